#include "sync/future.h"

#include <stddef.h>

#include "core/check.h"
#include "core/memory.h"

const char *const neap_future_verbs[] = {"join"};

void neap_future_init(struct neap_future *future, const struct neap_class *class) {
    neap_object_init(&future->object, class);
    neap_list_init(&future->waiters);
    future->outcome = NULL;
    atomic_init(&future->state, NEAP_FUTURE_NEW);
    atomic_init(&future->observed, false);
}

void neap_future_fini(struct neap_future *future) {
    NEAP_ASSERT(neap_list_is_empty(&future->waiters), "wait 2: who waits keeps the object alive");
    neap_outcome_free(future->outcome);
}

bool neap_future_end(struct neap_future *future, enum neap_future_state state, struct neap_outcome *outcome) {
    struct neap_batch batch = {NULL, NULL};
    NEAP_ASSERT(!neap_future_has_ended(future), "a future ends once");
    neap_object_lock(&future->object);
    if (outcome != NULL) future->outcome = outcome;
    atomic_store_explicit(&future->state, (uint8_t)state, memory_order_release);
    neap_waiters_claim_all(&future->waiters, 0, &batch);
    neap_object_unlock(&future->object);
    neap_batch_flush(&batch);
    return batch.first != NULL;
}

bool neap_future_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)link;
    (void)batch;
    return neap_future_has_ended((struct neap_future *)object);
}

void neap_future_enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_future *)object)->waiters, &link->node);
}

bool neap_future_is_awaited(struct neap_future *future) {
    neap_object_lock(&future->object);
    bool awaited = !neap_list_is_empty(&future->waiters);
    neap_object_unlock(&future->object);
    return awaited;
}

struct neap_outcome *neap_outcome_new(void) {
    struct neap_outcome *outcome = neap_alloc(sizeof *outcome);
    if (outcome == NULL) return NULL;
    neap_message_clear(&outcome->value);
    neap_message_clear(&outcome->traceback);
    return outcome;
}

void neap_outcome_free(struct neap_outcome *outcome) {
    if (outcome == NULL) return;
    neap_message_fini(&outcome->value);
    neap_message_fini(&outcome->traceback);
    neap_free(outcome);
}
