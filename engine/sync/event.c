#include "sync/event.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)batch;
    return neap_event_is_set((struct neap_event *)object) && neap_link_commit(link);
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_event *)object)->waiters, &link->node);
}

static bool hint(struct neap_object *object, const struct neap_link *link) {
    (void)link;
    return atomic_load_explicit(&((const struct neap_event *)object)->set, memory_order_relaxed);
}

void neap_event_set(struct neap_event *event) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&event->object);
    atomic_store_explicit(&event->set, true, memory_order_release);
    neap_waiters_claim_all(&event->waiters, 0, &batch);
    neap_object_unlock(&event->object);
    neap_batch_flush(&batch);
}

void neap_event_clear(struct neap_event *event) {
    neap_object_lock(&event->object);
    atomic_store_explicit(&event->set, false, memory_order_release);
    neap_object_unlock(&event->object);
}

bool neap_event_is_set(const struct neap_event *event) {
    return atomic_load_explicit(&event->set, memory_order_acquire);
}

struct neap_event *neap_event_new(void) {
    struct neap_event *event = neap_alloc(sizeof *event);
    if (event == NULL) return NULL;
    neap_object_init(&event->object, &neap_event_class);
    neap_list_init(&event->waiters);
    atomic_init(&event->set, false);
    return event;
}

static void destroy(struct neap_object *object) {
    NEAP_ASSERT(neap_list_is_empty(&((struct neap_event *)object)->waiters),
                "wait 2: who waits keeps the object alive");
    neap_free(object);
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_event *event = (struct neap_event *)object;
    switch (call->method) {
        case NEAP_EVENT_SET: neap_event_set(event); return;
        case NEAP_EVENT_CLEAR: neap_event_clear(event); return;
        case NEAP_EVENT_IS_SET: call->number = neap_event_is_set(event); return;
        default: call->result = NEAP_RANGE;
    }
}

static const struct neap_remote remote = {.kind = NEAP_KIND_EVENT, .ops = NEAP_EVENT_WAIT + 1, .serve = serve};

static const char *const verbs[] = {"wait"};

const struct neap_class neap_event_class = {
    .name = "event",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .hint = hint,
    .remote = &remote,
};
