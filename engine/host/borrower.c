#include "host/borrower.h"

#include "core/error.h"
#include "core/memory.h"
#include "host/proxy.h"
#include "host/reference.h"
#include "host/session.h"

enum { BATCH = 32 };

struct neap_borrower *neap_borrower_new(void) {
    struct neap_borrower *borrower = neap_alloc(sizeof *borrower);
    if (borrower == NULL) return NULL;
    neap_buffer_init(&borrower->buffer, NEAP_FIFO);
    borrower->slot = NULL;
    borrower->round = 0;
    borrower->next = 0;
    borrower->deaf = true;
    atomic_init(&borrower->is_busy, false);
    return borrower;
}

void neap_borrower_free(struct neap_borrower *borrower) {
    if (borrower == NULL) return;
    neap_buffer_fini(&borrower->buffer);
    neap_free(borrower);
}

/* They are plain: dropping them runs nothing. */
static void drop_all(struct neap_borrower *borrower) {
    struct neap_message message;
    double priority;
    while (borrower->buffer.count > 0) {
        neap_buffer_take(&borrower->buffer, &message, &priority);
        neap_message_fini(&message);
    }
}

bool neap_borrower_take(struct neap_borrower *borrower, struct neap_message *message, bool *tell) {
    double priority;
    *tell = false;
    if (borrower->buffer.count == 0) return false;
    if (!neap_loan_take(borrower->slot, borrower->round, borrower->next, tell)) {
        drop_all(borrower);
        borrower->deaf = true;
        return false;
    }
    borrower->next++;
    neap_buffer_take(&borrower->buffer, message, &priority);
    return true;
}

void neap_borrower_tell(struct neap_session *session, uint32_t id) {
    struct iovec piece = {&id, sizeof id};
    neap_wire_tell(session->wire, NEAP_FRAME_TAKEN, &piece);
}

/* --- receiving --- */

/* What stands at the beginning of a frame. */
struct ahead {
    uint32_t slot, round, number;
};

/* The proxy's guard is held. A new round: what is left of the old one is not ours any more. */
static void begin_round(struct neap_borrower *borrower, struct neap_session *session, const struct ahead *ahead) {
    struct neap_loan_slot *slot = neap_wire_slot(session->wire, false, ahead->slot);
    if (borrower->slot == slot && borrower->round == ahead->round) return;
    drop_all(borrower);
    borrower->slot = slot;
    borrower->round = ahead->round;
    borrower->next = ahead->number;
    borrower->deaf = false;
}

/* The proxy's guard is held. Takes the messages over. Those before them have been missed when they came while nobody
 * referred to the proxy, which was then revived: what comes behind such a gap is asked for. */
static void append(struct neap_borrower *borrower, const struct ahead *ahead, struct neap_message *messages,
                   uint32_t count) {
    if (ahead->number != borrower->next + (uint32_t)borrower->buffer.count) borrower->deaf = true;
    for (uint32_t i = 0; i < count; i++) {
        if (!borrower->deaf && neap_buffer_reserve(&borrower->buffer, 1) != 0) borrower->deaf = true;
        if (!borrower->deaf)
            neap_buffer_put(&borrower->buffer, &messages[i], 0);
        else
            neap_message_fini(&messages[i]);
    }
    atomic_store_explicit(&borrower->is_busy, true, memory_order_relaxed);
}

/* Up to `most` messages without objects, as they are lent. */
static uint32_t read_some(struct neap_unpacker *unpacker, struct neap_message *messages, uint32_t most) {
    uint32_t count = 0;
    for (; count < most && unpacker->at < unpacker->end && unpacker->code == 0; count++) {
        neap_unpack_message(unpacker, &messages[count]);
        if (neap_message_is_plain(&messages[count], SIZE_MAX)) continue;
        neap_message_fini(&messages[count]);
        neap_unpack_fail(unpacker, NEAP_BROKEN);
    }
    if (unpacker->code == 0) return count;
    while (count > 0) neap_message_fini(&messages[--count]);
    return 0;
}

/* The proxy's guard is held. NULL: no memory. */
static struct neap_borrower *borrower_of(struct neap_proxy *proxy) {
    struct neap_borrower *borrower = atomic_load_explicit(&proxy->ahead.borrower, memory_order_relaxed);
    if (borrower != NULL) return borrower;
    borrower = neap_borrower_new();
    atomic_store_explicit(&proxy->ahead.borrower, borrower, memory_order_release);
    return borrower;
}

static void receive(struct neap_proxy *proxy, struct neap_session *session, struct neap_unpacker *unpacker,
                    struct ahead *ahead) {
    struct neap_message messages[BATCH];
    while (unpacker->at < unpacker->end && unpacker->code == 0) {
        uint32_t count = read_some(unpacker, messages, BATCH);
        neap_object_lock(&proxy->object);
        struct neap_borrower *borrower = borrower_of(proxy);
        if (unpacker->code == NEAP_NOMEM && borrower != NULL) borrower->deaf = true;
        if (borrower != NULL && count > 0) {
            begin_round(borrower, session, ahead);
            append(borrower, ahead, messages, count);
        }
        neap_object_unlock(&proxy->object);
        for (uint32_t i = 0; borrower == NULL && i < count; i++) neap_message_fini(&messages[i]);
        ahead->number += count;
    }
    if (unpacker->code == NEAP_NOMEM) unpacker->code = 0; /* they are asked for */
}

bool neap_borrower_receive(struct neap_session *session, struct neap_unpacker *unpacker) {
    struct ahead ahead;
    uint32_t id = neap_unpack_u32(unpacker);
    ahead.slot = neap_unpack_u32(unpacker);
    ahead.round = neap_unpack_u32(unpacker);
    ahead.number = neap_unpack_u32(unpacker);
    if (unpacker->code != 0 || ahead.slot >= NEAP_WIRE_SLOTS) return false;
    struct neap_object *object = neap_import_object(session, id);
    if (object == NULL) return true; /* nobody will ask any more */
    struct neap_proxy *proxy = neap_proxy_of(object);
    bool good = proxy != NULL && object->class->remote->lending != 0;
    if (good) receive(proxy, session, unpacker, &ahead);
    neap_object_unref(object);
    return good;
}
