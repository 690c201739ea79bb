/* CREDIT      u32 id of the export, u32 slot: where the other process finds what it is granted. Told once, and again if
 *             that asks though some is left: its proxy is a new one, which has not heard. What is granted later stands
 *             in the slot, and costs no frame.
 * DUE         Those who have used up half of what they had are granted more when all that had come is in: until then
 *             they cannot send on for ever, and whoever receives it comes to an end. */
#include "host/creditor.h"

#include <stdatomic.h>

#include "core/error.h"
#include "core/memory.h"
#include "host/exports.h"
#include "host/session.h"
#include "sync/channel_credit.h"

enum { ASKED_MIN = 3 /* so often, before it is worth a slot */ };

_Static_assert(sizeof(struct neap_credit_slot) <= NEAP_WIRE_SLOT, "a credit has a slot");

struct neap_creditor {
    struct neap_credit credit;    /* the channel's guard */
    atomic_uint refs;             /* of its export, of servings, of who looks */
    struct neap_session *session; /* which has the export; one reference. Constant */
    struct neap_channel *channel; /* alive while the export is. Constant */
    uint32_t id, slot;            /* constant */
    struct neap_list due;         /* in session->due, with references to this and the channel. By who receives */
};

static struct neap_creditor *creditor_of(const struct neap_credit *credit) {
    return NEAP_CONTAINER_OF(credit, struct neap_creditor, credit);
}

static struct neap_creditor *ref(struct neap_creditor *creditor) {
    if (creditor != NULL) atomic_fetch_add_explicit(&creditor->refs, 1, memory_order_relaxed);
    return creditor;
}

void neap_creditor_unref(struct neap_creditor *creditor) {
    if (atomic_fetch_sub_explicit(&creditor->refs, 1, memory_order_acq_rel) != 1) return;
    neap_session_unref(creditor->session);
    neap_free(creditor);
}

/* --- for the channel --- */

static bool is_coming(const struct neap_credit *credit) {
    return neap_wire_has_frames(creditor_of(credit)->session->wire);
}

static bool is_being_read(const struct neap_credit *credit) {
    return neap_wire_is_being_read(creditor_of(credit)->session->wire);
}

static void ref_credit(struct neap_credit *credit) { ref(creditor_of(credit)); }

static void unref_credit(struct neap_credit *credit) { neap_creditor_unref(creditor_of(credit)); }

/* Before the credit ends, so that the export's number and the slot are still its own when the other side reads it. */
static void tell(struct neap_credit *credit) {
    const struct neap_creditor *creditor = creditor_of(credit);
    uint32_t numbers[] = {creditor->id, creditor->slot};
    const struct iovec piece = {numbers, sizeof numbers};
    neap_wire_tell(creditor->session->wire, NEAP_FRAME_CREDIT, &piece);
}

static void take_in(struct neap_credit *credit) { neap_wire_take_in(creditor_of(credit)->session->wire); }

static const struct neap_credit_class credit_class = {
    .is_coming = is_coming,
    .is_being_read = is_being_read,
    .ref = ref_credit,
    .unref = unref_credit,
    .tell = tell,
    .take_in = take_in,
};

/* --- life --- */

/* The session's guard is held. */
static struct neap_creditor *make(struct neap_session *session, uint32_t id, struct neap_object *object) {
    uint32_t slot;
    struct neap_creditor *creditor = neap_alloc(sizeof *creditor);
    if (creditor == NULL) return NULL;
    if (!neap_session_take_slot(session, &slot)) {
        neap_free(creditor);
        return NULL;
    }
    atomic_init(&creditor->refs, 1);
    creditor->session = neap_session_ref(session);
    creditor->channel = (struct neap_channel *)object;
    creditor->id = id;
    creditor->slot = slot;
    neap_list_init(&creditor->due);
    neap_credit_init(&creditor->credit, &credit_class, neap_wire_slot(session->wire, true, slot));
    return creditor;
}

struct neap_creditor *neap_creditor_get(struct neap_session *session, uint32_t id, struct neap_object *object) {
    struct neap_creditor *creditor = NULL;
    neap_guard_lock(&session->guard);
    struct neap_export *export = neap_export_at(session, id);
    if (!session->ended && export != NULL && export->object == object) {
        if (export->creditor == NULL && ++export->sends >= ASKED_MIN) {
            export->creditor = make(session, id, object);
            export->sends = 0;
        }
        creditor = ref(export->creditor);
    }
    neap_guard_unlock(&session->guard);
    return creditor;
}

void neap_creditor_served(struct neap_creditor *creditor) { neap_channel_credit(creditor->channel, &creditor->credit); }

void neap_creditor_end(struct neap_creditor *creditor) {
    if (creditor == NULL) return;
    neap_channel_end_credit(creditor->channel, &creditor->credit);
    neap_session_give_slot(creditor->session, creditor->slot);
    neap_creditor_unref(creditor);
}

/* --- receiving --- */

/* The creditor of `id`, with references to it and its channel; NULL: there is none. */
static struct neap_creditor *find(struct neap_session *session, uint32_t id) {
    neap_guard_lock(&session->guard);
    const struct neap_export *export = neap_export_at(session, id);
    struct neap_creditor *creditor = export != NULL ? ref(export->creditor) : NULL;
    if (creditor != NULL) neap_object_ref(export->object);
    neap_guard_unlock(&session->guard);
    return creditor;
}

static void let_go(struct neap_creditor *creditor) {
    struct neap_object *object = &creditor->channel->object;
    neap_creditor_unref(creditor);
    neap_object_unref(object);
}

bool neap_creditor_receive(struct neap_session *session, struct neap_unpacker *unpacker) {
    struct neap_message message;
    bool due = false;
    struct neap_creditor *creditor = find(session, neap_unpack_u32(unpacker));
    uint64_t bits = neap_unpack_u64(unpacker);
    double priority;
    memcpy(&priority, &bits, sizeof priority);
    neap_unpack_message(unpacker, &message);
    bool good = creditor != NULL && unpacker->code == 0 && neap_message_is_plain(&message, SIZE_MAX) &&
                neap_channel_accept(creditor->channel, &creditor->credit, &message, priority, &due) == 0;
    neap_message_fini(&message);
    if (due && !neap_list_is_linked(&creditor->due))
        neap_list_push_back(&session->due, &creditor->due);
    else if (creditor != NULL)
        let_go(creditor);
    return good;
}

void neap_creditors_passed(struct neap_session *session) {
    while (!neap_list_is_empty(&session->due)) {
        struct neap_creditor *creditor =
            NEAP_CONTAINER_OF(neap_list_pop_front(&session->due), struct neap_creditor, due);
        neap_channel_share(creditor->channel, &creditor->credit);
        let_go(creditor);
    }
}
