/* host_objects: channels, queues, locks and the rest, as a host makes and uses them. What waits is in host_wait.c. */
#include "bindings/host/host.h"
#include "core/memory.h"
#include "sync/barrier.h"
#include "sync/channel.h"
#include "sync/condition.h"
#include "sync/event.h"
#include "sync/lock.h"
#include "sync/pipe.h"
#include "sync/queue.h"
#include "sync/rwlock.h"
#include "sync/semaphore.h"

/* --- making --- */

static int publish(struct neap_object *made, struct neap_object **object) {
    if (made == NULL) return NEAP_NOMEM;
    neap_object_share(made);
    *object = made;
    return 0;
}

int neap_channel_create(size_t capacity, struct neap_object **channel) {
    NEAP_CONTRACT_POINTER(channel);
    return publish((struct neap_object *)neap_channel_new(capacity), channel);
}

int neap_queue_create(size_t maxsize, enum neap_queue_order order, struct neap_object **queue) {
    NEAP_CONTRACT_POINTER(queue);
    NEAP_CONTRACT(order >= NEAP_QUEUE_FIFO && order <= NEAP_QUEUE_PRIORITY, NEAP_INVALID,
                  "neap.h: an order of neap_queue_order");
    return publish((struct neap_object *)neap_queue_new(maxsize, (enum neap_order)order), queue);
}

int neap_event_create(struct neap_object **event) {
    NEAP_CONTRACT_POINTER(event);
    return publish((struct neap_object *)neap_event_new(), event);
}

int neap_lock_create(bool reentrant, struct neap_object **lock) {
    NEAP_CONTRACT_POINTER(lock);
    return publish((struct neap_object *)neap_lock_new(reentrant ? &neap_rlock_class : &neap_lock_class), lock);
}

int neap_rwlock_create(struct neap_object **rwlock) {
    NEAP_CONTRACT_POINTER(rwlock);
    return publish((struct neap_object *)neap_rwlock_new(), rwlock);
}

int neap_condition_create(struct neap_object *lock, struct neap_object **condition) {
    NEAP_CONTRACT_POINTER(lock);
    NEAP_CONTRACT_POINTER(condition);
    NEAP_CONTRACT(lock->class == &neap_lock_class || lock->class == &neap_rlock_class, NEAP_INVALID,
                  "neap.h: a condition has a lock");
    return publish((struct neap_object *)neap_condition_new((struct neap_lock *)lock), condition);
}

int neap_semaphore_create(int64_t permits, bool bounded, struct neap_object **semaphore) {
    NEAP_CONTRACT_POINTER(semaphore);
    NEAP_CONTRACT(permits >= 0, NEAP_INVALID, "neap.h: permits are not negative");
    const struct neap_class *class = bounded ? &neap_bounded_semaphore_class : &neap_semaphore_class;
    return publish((struct neap_object *)neap_semaphore_new(class, permits), semaphore);
}

int neap_barrier_create(uint32_t parties, struct neap_object **barrier) {
    NEAP_CONTRACT_POINTER(barrier);
    NEAP_CONTRACT(parties >= 1, NEAP_INVALID, "neap.h: a barrier has a party");
    return publish((struct neap_object *)neap_barrier_new(parties, false), barrier);
}

struct neap_object *neap_object_keep(struct neap_object *object) {
    return object == NULL ? NULL : neap_object_ref(object);
}

void neap_object_drop(struct neap_object *object) {
    if (object != NULL) neap_object_unref(object);
}

const char *neap_object_kind(const struct neap_object *object) {
    return object == NULL ? "nothing" : object->class->name;
}

int neap_owner_new(struct neap_owner **owner) {
    NEAP_CONTRACT_POINTER(owner);
    struct neap_owner *made = neap_alloc(sizeof *made);
    if (made == NULL) return NEAP_NOMEM;
    neap_owner_init(made);
    *owner = made;
    return 0;
}

void neap_owner_free(struct neap_owner *owner) {
    if (owner == NULL) return;
    neap_owner_end(owner);
    neap_free(owner);
}
bool neap_host_needs_owner(const struct neap_object *object) {
    return object->class == &neap_lock_class || object->class == &neap_rlock_class ||
           object->class == &neap_rwlock_class;
}

/* --- what does not wait --- */

static struct neap_channel *channel_in(struct neap_object *object) {
    bool channel = object->class == &neap_channel_class || object->class == &neap_queue_class;
    return channel ? (struct neap_channel *)object : NULL;
}

#define CONTRACT_KIND(condition) NEAP_CONTRACT(condition, NEAP_INVALID, "neap.h: a verb is one that the object has")

int neap_object_close(struct neap_object *object) {
    NEAP_CONTRACT_POINTER(object);
    struct neap_channel *channel = channel_in(object);
    struct neap_message none;
    neap_message_clear(&none);
    CONTRACT_KIND(channel != NULL || object->class == &neap_pipe_class);
    if (channel != NULL)
        neap_channel_close(channel, &none);
    else
        neap_pipe_close((struct neap_pipe *)object);
    return 0;
}

bool neap_object_is_closed(struct neap_object *object) {
    if (object == NULL) return false;
    if (object->class == &neap_pipe_class) return neap_pipe_is_closed((struct neap_pipe *)object);
    const struct neap_channel *channel = channel_in(object);
    return channel != NULL && neap_channel_is_closed(channel);
}

size_t neap_object_length(struct neap_object *object) {
    struct neap_channel *channel = object == NULL ? NULL : channel_in(object);
    return channel == NULL ? 0 : neap_channel_length(channel);
}

int neap_object_set(struct neap_object *event) {
    NEAP_CONTRACT_POINTER(event);
    CONTRACT_KIND(event->class == &neap_event_class);
    neap_event_set((struct neap_event *)event);
    return 0;
}

int neap_object_clear(struct neap_object *event) {
    NEAP_CONTRACT_POINTER(event);
    CONTRACT_KIND(event->class == &neap_event_class);
    neap_event_clear((struct neap_event *)event);
    return 0;
}

bool neap_object_is_set(struct neap_object *event) {
    return event != NULL && event->class == &neap_event_class && neap_event_is_set((struct neap_event *)event);
}

int neap_object_task_done(struct neap_object *queue) {
    NEAP_CONTRACT_POINTER(queue);
    CONTRACT_KIND(queue->class == &neap_queue_class);
    return neap_queue_task_done((struct neap_queue *)queue);
}

int neap_object_release(struct neap_object *object, struct neap_owner *owner) {
    NEAP_CONTRACT_POINTER(object);
    if (object->class == &neap_semaphore_class || object->class == &neap_bounded_semaphore_class)
        return neap_semaphore_release((struct neap_semaphore *)object, 1);
    CONTRACT_KIND(neap_host_needs_owner(object));
    NEAP_CONTRACT_POINTER(owner);
    if (object->class == &neap_rwlock_class) return neap_rwlock_release((struct neap_rwlock *)object, owner);
    return neap_lock_release((struct neap_lock *)object, owner);
}

int neap_object_notify(struct neap_object *condition, struct neap_owner *owner, size_t count) {
    NEAP_CONTRACT_POINTER(condition);
    NEAP_CONTRACT_POINTER(owner);
    CONTRACT_KIND(condition->class == &neap_condition_class);
    return neap_condition_notify((struct neap_condition *)condition, owner, count);
}

int neap_object_abort(struct neap_object *barrier) {
    NEAP_CONTRACT_POINTER(barrier);
    CONTRACT_KIND(barrier->class == &neap_barrier_class);
    neap_barrier_abort((struct neap_barrier *)barrier);
    return 0;
}
