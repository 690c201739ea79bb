/* AHEAD       u32 id of the export, u32 slot, u32 round, u32 number of the first, messages. It is only offered to
 *             the wire: who receives looks there first, and asks (REQUEST) before it sleeps; then everything is
 *             recalled, and the oldest is the answer.
 * WHAT        Messages without objects, since packing an object may take guards, and of a moderate size. One that
 *             cannot be lent holds up those behind it: it is asked for. */
#include "host/lender.h"

#include <stdatomic.h>
#include <uv.h>

#include "core/error.h"
#include "core/memory.h"
#include "host/exports.h"
#include "host/session.h"
#include "sync/channel_loan.h"

enum {
    ASKED_MIN = 3,        /* so often, before it is worth a slot */
    FRAME_SIZE = 4096,    /* bytes: one that has more gets no more messages */
    LENT_SIZE = 16 * 1024 /* bytes of a message that is lent, at most */
};

_Static_assert(sizeof(struct neap_loan_slot) <= NEAP_WIRE_SLOT, "a loan has a slot");

struct neap_lender {
    struct neap_loan loan;        /* the channel's guard */
    atomic_uint refs;             /* of its export, and servings */
    struct neap_session *session; /* which has the export, and outlives the loan. Constant */
    struct neap_channel *channel; /* alive while the export is. Constant */
    uint32_t id, slot;            /* constant */
};

/* A frame with as many as may be; 0: none. */
static uint32_t offer(struct neap_lender *lender, const struct neap_buffer *buffer, uint32_t from, uint32_t count) {
    struct neap_packer packer;
    uint32_t packed = 0;
    neap_packer_init(&packer, lender->session->wire);
    neap_pack_u32(&packer, lender->id);
    neap_pack_u32(&packer, lender->slot);
    neap_pack_u32(&packer, lender->loan.round);
    neap_pack_u32(&packer, lender->loan.first + from);
    for (; packed < count && packer.used < FRAME_SIZE; packed++) {
        const struct neap_message *message = neap_buffer_at(buffer, from + packed);
        if (!neap_message_is_plain(message, LENT_SIZE)) break;
        neap_pack_message(&packer, message);
    }
    const struct iovec piece = {packer.bytes, packer.used};
    bool sent = packed > 0 && packer.code == 0 && neap_wire_offer(packer.wire, NEAP_FRAME_AHEAD, &piece) == 0;
    neap_packer_fini(&packer);
    return sent ? packed : 0;
}

static uint32_t lend(struct neap_loan *loan, const struct neap_buffer *buffer, uint32_t from, uint32_t count) {
    struct neap_lender *lender = NEAP_CONTAINER_OF(loan, struct neap_lender, loan);
    uint32_t sent = 0, more;
    while (sent < count && (more = offer(lender, buffer, from + sent, count - sent)) > 0) sent += more;
    return sent;
}

/* --- life --- */

/* The session's guard is held. */
static struct neap_lender *make(struct neap_session *session, uint32_t id, struct neap_object *object) {
    struct neap_lender *lender = neap_alloc(sizeof *lender);
    if (lender == NULL) return NULL;
    if (!neap_session_take_slot(session, &lender->slot)) {
        neap_free(lender);
        return NULL;
    }
    atomic_init(&lender->refs, 1);
    lender->session = session;
    lender->channel = (struct neap_channel *)object;
    lender->id = id;
    neap_loan_init(&lender->loan, neap_wire_slot(session->wire, true, lender->slot), lend);
    return lender;
}

/* The session's guard is held. */
static struct neap_lender *ref(struct neap_lender *lender) {
    if (lender != NULL) atomic_fetch_add_explicit(&lender->refs, 1, memory_order_relaxed);
    return lender;
}

struct neap_lender *neap_lender_get(struct neap_session *session, uint32_t id, struct neap_object *object) {
    struct neap_lender *lender = NULL;
    neap_guard_lock(&session->guard);
    struct neap_export *export = neap_export_at(session, id);
    if (!session->ended && export != NULL && export->object == object) {
        if (export->lender == NULL && ++export->asked >= ASKED_MIN) {
            export->lender = make(session, id, object);
            export->asked = 0;
        }
        lender = ref(export->lender);
    }
    neap_guard_unlock(&session->guard);
    return lender;
}

void neap_lender_unref(struct neap_lender *lender) {
    if (atomic_fetch_sub_explicit(&lender->refs, 1, memory_order_acq_rel) == 1) neap_free(lender);
}

struct neap_loan *neap_lender_loan(struct neap_lender *lender) {
    return &lender->loan;
}

void neap_lender_served(struct neap_lender *lender) { neap_channel_lend(lender->channel, &lender->loan); }

void neap_lender_told(struct neap_session *session, uint32_t id) {
    struct neap_object *object = NULL;
    neap_guard_lock(&session->guard);
    const struct neap_export *export = neap_export_at(session, id);
    struct neap_lender *lender = export != NULL ? ref(export->lender) : NULL;
    if (lender != NULL) object = neap_object_ref(export->object);
    neap_guard_unlock(&session->guard);
    if (lender == NULL) return;
    neap_channel_repaid(lender->channel, &lender->loan);
    neap_lender_unref(lender);
    neap_object_unref(object);
}

void neap_lender_end(struct neap_lender *lender) {
    if (lender == NULL) return;
    struct neap_session *session = lender->session;
    neap_channel_end_loan(lender->channel, &lender->loan);
    neap_session_give_slot(session, lender->slot);
    neap_lender_unref(lender);
}
