/* SENT        u32 id of the export, u64 priority (the bits of a double), message. It needs no answer: the place
 *             was counted as it was published.
 * WHAT        Messages without objects, which may be refused where they arrive, and of a moderate size: else they are
 *             asked for, and so is what finds the ring half full. */
#include "host/debtor.h"

#include <stddef.h>
#include <string.h>

#include "core/error.h"
#include "core/wait.h"
#include "host/proxy.h"
#include "host/reference.h"
#include "host/session.h"
#include "sync/credit.h"

enum { SENT_SIZE = 16 * 1024 /* bytes of a message that is sent so, at most */ };

bool neap_debtor_may_send(const struct neap_message *message) { return neap_message_is_plain(message, SENT_SIZE); }

/* What is about to be sent. */
struct offer {
    struct neap_credit_slot *slot;
    struct neap_link *link;
};

/* For another process its wait, which is held, is taken before anything is published: should we be killed in between,
 * it learns that it is broken, instead of timing out though the message has arrived. */
static bool use(void *argument) {
    const struct offer *offer = argument;
    if (!neap_credit_use(offer->slot)) return false;
    if (offer->link->mode == NEAP_LINK_FOREIGN) neap_link_settle(offer->link, true);
    return true;
}

bool neap_debtor_send(const struct neap_import *import, struct neap_credit_slot *slot, struct neap_link *link) {
    struct neap_packer packer;
    uint64_t priority;
    memcpy(&priority, &link->priority, sizeof priority);
    neap_packer_init(&packer, import->session->wire);
    neap_pack_u32(&packer, import->id);
    neap_pack_u64(&packer, priority);
    neap_pack_message(&packer, &link->message);
    const struct iovec piece = {packer.bytes, packer.used};
    struct offer offer = {slot, link};
    bool sent = packer.code == 0 && neap_wire_send_if(packer.wire, NEAP_FRAME_SENT, &piece, use, &offer) == 0;
    neap_packer_fini(&packer);
    if (sent) neap_message_fini(&link->message);
    return sent;
}

bool neap_debtor_told(struct neap_session *session, struct neap_unpacker *unpacker) {
    uint32_t id = neap_unpack_u32(unpacker), slot = neap_unpack_u32(unpacker);
    if (unpacker->code != 0 || slot >= NEAP_WIRE_SLOTS) return false;
    struct neap_object *object = neap_import_object(session, id);
    if (object == NULL) return true; /* nobody sends any more */
    struct neap_proxy *proxy = neap_proxy_of(object);
    bool good = proxy != NULL && object->class->remote->sending != 0;
    if (good)
        atomic_store_explicit(&proxy->ahead.credit, neap_wire_slot(session->wire, false, slot), memory_order_release);
    neap_object_unref(object);
    return good;
}
