/* lock: whose turn it is.
 *
 * INVARIANTS (under the guard)
 *   1. A free lock has no waiters: releasing hands it to the first one that can still be claimed.
 *   2. `holder` is the owner from the moment of the hand-over on, before that owner runs again. It becomes another only by the
 *      holder's own release or end. So an owner that reads itself there holds, and one that does not, does not.
 *   3. `hold` is linked from when the holder's thread knows that it holds (attempt, resumed) until it lets go, and is
 *      let go before the lock is passed on: the next holder finds it unlinked.
 * CONTENTION  The hint shows whether the lock is free, so that somebody who comes while it is held for a moment looks a little
 *             instead of parking; nobody is overtaken, since a lock with waiters is never free (1). */
#include "sync/lock.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"
#include "sync/condition.h"

static void set_holder(struct neap_lock *lock, struct neap_owner *owner) {
    atomic_store_explicit(&lock->holder, owner, memory_order_relaxed);
}

static void enter(struct neap_lock *lock, struct neap_owner *owner) {
    NEAP_ASSERT(!neap_list_is_linked(&lock->hold.node), "lock 3: the last holder has let go");
    neap_owner_enter(owner, &lock->hold);
}

/* Guard held; the holder has let go. */
static void pass_on(struct neap_lock *lock, int result, struct neap_batch *batch) {
    struct neap_link *next = neap_waiters_claim(&lock->waiters);
    if (next == NULL) {
        lock->abandoned = result == NEAP_ABANDONED;
        set_holder(lock, NULL);
        return;
    }
    set_holder(lock, next->wait->owner);
    lock->depth = 1;
    next->result = result;
    neap_batch_add(batch, next->wait);
}

static void let_go(struct neap_lock *lock, int result) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&lock->object);
    pass_on(lock, result, &batch);
    neap_object_unlock(&lock->object);
    if (batch.first != NULL) neap_batch_flush(&batch);
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_lock *lock = (struct neap_lock *)object;
    struct neap_owner *owner = link->wait->owner;
    (void)batch;
    const struct neap_owner *holder = neap_lock_holder(lock);
    if (holder == owner) {
        if (!neap_link_commit(link)) return false;
        if (object->class == &neap_lock_class)
            link->result = NEAP_HELD;
        else if (lock->depth == UINT32_MAX)
            link->result = NEAP_RANGE;
        else
            lock->depth++;
        return true;
    }
    if (holder != NULL || !neap_link_commit(link)) return false;
    NEAP_ASSERT(neap_list_is_empty(&lock->waiters), "lock 1: a free lock has no waiters");
    set_holder(lock, owner);
    lock->depth = 1;
    if (lock->abandoned) link->result = NEAP_ABANDONED;
    enter(lock, owner);
    return true;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_lock *)object)->waiters, &link->node);
}

static bool hint(const struct neap_object *object, const struct neap_link *link) {
    const struct neap_owner *holder = neap_lock_holder((const struct neap_lock *)object);
    return holder == NULL || holder == link->wait->owner;
}

static void resumed(struct neap_object *object, struct neap_link *link) {
    enter((struct neap_lock *)object, link->wait->owner);
}

static void abandon(struct neap_hold *hold) { let_go(NEAP_CONTAINER_OF(hold, struct neap_lock, hold), NEAP_ABANDONED); }

uint32_t neap_lock_release_all(struct neap_lock *lock, struct neap_owner *owner) {
    uint32_t depth = lock->depth;
    NEAP_ASSERT(neap_lock_is_held_by(lock, owner), "who releases holds");
    (void)owner;
    neap_list_remove(&lock->hold.node);
    let_go(lock, 0);
    neap_object_unref(&lock->object); /* the hold's; the caller has one of its own */
    return depth;
}

int neap_lock_release(struct neap_lock *lock, struct neap_owner *owner) {
    if (!neap_lock_is_held_by(lock, owner)) return NEAP_NOT_OWNER;
    if (lock->depth > 1)
        lock->depth--;
    else
        neap_lock_release_all(lock, owner);
    return 0;
}

void neap_lock_restore(struct neap_lock *lock, uint32_t depth) { lock->depth = depth; }

struct neap_lock *neap_lock_new(const struct neap_class *class) {
    struct neap_lock *lock = neap_alloc(sizeof *lock);
    if (lock == NULL) return NULL;
    neap_object_init(&lock->object, class);
    neap_list_init(&lock->waiters);
    atomic_init(&lock->holder, NULL);
    lock->depth = 0;
    lock->abandoned = false;
    neap_list_init(&lock->hold.node);
    lock->hold.object = &lock->object;
    lock->hold.abandon = abandon;
    return lock;
}

static void destroy(struct neap_object *object) {
    struct neap_lock *lock = (struct neap_lock *)object;
    NEAP_ASSERT(neap_list_is_empty(&lock->waiters), "wait 2: who waits keeps the object alive");
    NEAP_ASSERT(neap_lock_holder(lock) == NULL, "who holds keeps the lock alive");
    neap_free(lock);
}

/* --- from other processes --- */

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_lock *lock = (struct neap_lock *)object;
    if (call->method == NEAP_LOCK_LOCKED) {
        call->number = neap_lock_holder(lock) != NULL;
    } else if (call->method == NEAP_LOCK_CONDITION) {
        neap_condition_serve_making(lock, call);
    } else if (call->method > NEAP_LOCK_CONDITION) {
        call->result = NEAP_RANGE;
    } else if (!neap_lock_is_held_by(lock, call->owner)) {
        call->result = NEAP_NOT_OWNER;
    } else {
        neap_list_remove(&lock->hold.node);
        let_go(lock, call->method == NEAP_LOCK_ABANDON ? NEAP_ABANDONED : 0);
        neap_object_unref(object); /* the hold's */
    }
}

static const struct neap_remote lock_remote = {.kind = NEAP_KIND_LOCK, .ops = NEAP_LOCK_ACQUIRE + 1, .serve = serve};
static const struct neap_remote rlock_remote = {.kind = NEAP_KIND_RLOCK, .ops = NEAP_LOCK_ACQUIRE + 1, .serve = serve};

static const char *const verbs[] = {"acquire"};

const struct neap_class neap_lock_class = {
    .name = "lock",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .hint = hint,
    .resumed = resumed,
    .remote = &lock_remote,
};

const struct neap_class neap_rlock_class = {
    .name = "rlock",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .hint = hint,
    .resumed = resumed,
    .remote = &rlock_remote,
};
