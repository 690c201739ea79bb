/* future: an outcome may refer to the very future that owns it: what a thread returns contains its own handle. Such
 * references are not counted, else they would keep both for ever: the outcome lives no longer than the future. Where
 * others share the bytes, as the futures of a pool that has broken do, it first gets some of its own. */
#include "sync/future.h"

#include <stddef.h>

#include "core/check.h"
#include "core/memory.h"

const char *const neap_future_verbs[] = {"join"};

void neap_future_init(struct neap_future *future, const struct neap_class *class) {
    neap_object_init(&future->object, class);
    neap_list_init(&future->waiters);
    future->object.loops = future->object.in_place = false;
    atomic_init(&future->object.state, NEAP_FUTURE_NEW);
    atomic_init(&future->object.observed, false);
}

static uint32_t count_references(const struct neap_message *message, const struct neap_object *object) {
    uint32_t count = 0;
    if (message->kind == NEAP_MESSAGE_OBJECT) return message->object == object;
    if (message->kind != NEAP_MESSAGE_PARCEL) return 0;
    for (uint32_t i = 0; i < message->parcel->object_count; i++) count += message->parcel->objects[i] == object;
    return count;
}

/* Takes references to `object` out of what is about to be freed. */
static void forget_references(struct neap_message *message, const struct neap_object *object) {
    if (message->kind == NEAP_MESSAGE_OBJECT && message->object == object) neap_message_clear(message);
    if (message->kind != NEAP_MESSAGE_PARCEL) return;
    struct neap_parcel *parcel = message->parcel;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < parcel->object_count; i++)
        if (parcel->objects[i] != object) parcel->objects[kept++] = parcel->objects[i];
    parcel->object_count = kept;
}

void neap_future_fini(struct neap_future *future) {
    struct neap_outcome *outcome = neap_future_outcome(future);
    NEAP_ASSERT(neap_future_has_ended(future) || neap_list_is_empty(&future->waiters),
                "wait 2: who waits keeps the object alive");
    if (future->object.loops) forget_references(&outcome->value, &future->object);
    if (!future->object.in_place)
        neap_outcome_free(outcome);
    else if (outcome != NULL)
        neap_outcome_fini(outcome);
}

bool neap_future_end(struct neap_future *future, enum neap_future_state state, struct neap_outcome *outcome) {
    struct neap_batch batch = {NULL, NULL};
    NEAP_ASSERT(!neap_future_has_ended(future), "a future ends once");
    uint32_t own = outcome != NULL ? count_references(&outcome->value, &future->object) : 0;
    if (own > 0 && neap_message_unshare(&outcome->value) != 0) own = 0; /* counted: it is kept for ever */
    future->object.loops = own > 0;
    neap_object_lock(&future->object);
    neap_waiters_claim_all(&future->waiters, 0, &batch);
    future->end = outcome;
    atomic_store_explicit(&future->object.state, (uint8_t)state, memory_order_release);
    neap_object_unlock(&future->object);
    neap_batch_flush(&batch);
    while (own-- > 0) neap_object_unref(&future->object); /* not the last: the caller has one */
    return batch.first != NULL;
}

bool neap_future_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)batch;
    return neap_future_has_ended((struct neap_future *)object) && neap_link_commit(link);
}

void neap_future_enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_future *)object)->waiters, &link->node);
}

bool neap_future_is_awaited(struct neap_future *future) {
    neap_object_lock(&future->object);
    bool awaited = !neap_future_has_ended(future) && !neap_list_is_empty(&future->waiters);
    neap_object_unlock(&future->object);
    return awaited;
}

struct neap_outcome *neap_outcome_new(void) {
    struct neap_outcome *outcome = neap_alloc(sizeof *outcome);
    if (outcome != NULL) neap_outcome_init(outcome);
    return outcome;
}

void neap_outcome_free(struct neap_outcome *outcome) {
    if (outcome == NULL) return;
    neap_outcome_fini(outcome);
    neap_free(outcome);
}

void neap_outcome_init(struct neap_outcome *outcome) {
    neap_message_clear(&outcome->value);
    neap_message_clear(&outcome->traceback);
}

void neap_outcome_fini(struct neap_outcome *outcome) {
    neap_message_fini(&outcome->value);
    neap_message_fini(&outcome->traceback);
}
