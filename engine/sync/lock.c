/* lock: whose turn it is.
 *
 * WORD        Who holds it and whether that is all stands in one word, so that acquiring a free lock and releasing one that nobody
 *             waits for is one compare-and-swap each, past the guard. The holder's number is the address of its owner, whose three
 *             lowest bits are free for flags; the upper sixteen are never used.
 *             Past the guard only 0 (or ABANDONED) becomes a holder, and a holder without flags 0 (or ABANDONED). Everything else, so
 *             every change of a word with flags, is made under the guard.
 * INVARIANTS  1. A free lock has no waiters: attempt sets WAITED before its link is enlisted, under the same guard, and then
 *                releasing hands the lock to the first waiter that can still be claimed.
 *             2. The word names an owner from the moment of the hand-over on, before that owner runs again. It becomes another only by the
 *                holder's own release or end. So an owner that reads itself there holds, and one that does not, does not.
 *             3. `hold` is linked from when the holder's thread knows that it holds (got, resumed) until it lets go, and is
 *                let go before the lock is passed on: the next holder finds it unlinked.
 * CONTENTION  Who comes while it is held for a moment looks a little before it waits (SPINNING in core/wait.c), and takes the lock when
 *             it is free: those that look overtake each other. So the threads that want it take it in runs, each while its memory is
 *             near, instead of waking each other for each turn. Who does not get it by looking waits, and who waits is
 *             overtaken by nobody (1): nobody starves.
 * LIFE        A hold counts no reference: that would be two more atomic operations on the word's cache line. So the last reference may go
 *             while the lock is held, by an owner that can no longer release it, but will end. `revived` then gives it one reference that is
 *             the hold's, and says so in the word (FORGOTTEN), under the guard: `abandon` either came before, and was done
 *             with the lock when the guard was free, or finds the flag and drops that reference. */
#include "sync/lock.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"
#include "sync/condition.h"

static uint64_t number_of(const struct neap_owner *owner) {
    NEAP_ASSERT(((uintptr_t)owner & NEAP_LOCK_FLAGS) == 0, "an owner is aligned");
    return (uintptr_t)owner;
}

static uint64_t holder_in(uint64_t word) { return word & ~(uint64_t)NEAP_LOCK_FLAGS; }

static uint64_t read_word(const struct neap_lock *lock) {
    return atomic_load_explicit(&lock->word, memory_order_relaxed);
}

/* The order makes what a holder did visible to the next one. */
static void write_word(struct neap_lock *lock, uint64_t word) {
    atomic_store_explicit(&lock->word, word, memory_order_release);
}

/* From *word to `next`; false when it is something else meanwhile, which *word then says. The order as above. */
static bool change_word(struct neap_lock *lock, uint64_t *word, uint64_t next) {
    if (lock->object.shared)
        return atomic_compare_exchange_strong_explicit(&lock->word, word, next, memory_order_acq_rel,
                                                       memory_order_relaxed);
    uint64_t expected = *word;
    *word = read_word(lock);
    if (*word != expected) return false;
    atomic_store_explicit(&lock->word, next, memory_order_relaxed);
    return true;
}

/* --- acquiring --- */

static void enter(struct neap_lock *lock, struct neap_owner *owner) {
    NEAP_ASSERT(!neap_list_is_linked(&lock->hold.node), "lock 3: the last holder has let go");
    neap_list_push_back(&owner->held, &lock->hold.node);
}

/* The word, which said `before`, says that the link's owner holds. */
static void got(struct neap_lock *lock, struct neap_link *link, uint64_t before) {
    lock->depth = 1;
    if (before & NEAP_LOCK_ABANDONED) link->result = NEAP_ABANDONED;
    enter(lock, link->wait->owner);
}

/* The link's owner holds it already. */
static void again(struct neap_lock *lock, struct neap_link *link) {
    if (lock->object.class == &neap_lock_class)
        link->result = NEAP_HELD;
    else if (lock->depth == UINT32_MAX)
        link->result = NEAP_RANGE;
    else
        lock->depth++;
}

static enum neap_quick quick(struct neap_object *object, struct neap_link *link) {
    struct neap_lock *lock = (struct neap_lock *)object;
    uint64_t owner = number_of(link->wait->owner), word = read_word(lock);
    if (holder_in(word) == owner) {
        again(lock, link);
    } else {
        if (holder_in(word) != 0 || !change_word(lock, &word, owner)) return NEAP_QUICK_LATER;
        got(lock, link, word);
    }
    return NEAP_QUICK_DONE;
}

/* Guard held. Makes `owner` the holder, or sees to it that the holder lets go under the guard; false. *word: what it said before. */
static bool take(struct neap_lock *lock, uint64_t owner, uint64_t *word) {
    for (;;) {
        if (holder_in(*word) == 0) {
            NEAP_ASSERT(neap_list_is_empty(&lock->waiters), "lock 1: a free lock has no waiters");
            if (change_word(lock, word, owner)) return true;
        } else if (*word & NEAP_LOCK_WAITED || change_word(lock, word, *word | NEAP_LOCK_WAITED)) {
            return false;
        }
    }
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_lock *lock = (struct neap_lock *)object;
    uint64_t owner = number_of(link->wait->owner), word = read_word(lock);
    (void)batch;
    if (holder_in(word) == owner) {
        if (!neap_link_commit(link)) return false;
        again(lock, link);
        return true;
    }
    if (!take(lock, owner, &word)) return false;
    if (!neap_link_commit(link)) { /* nobody but us could change it: whoever came meanwhile wants the guard */
        write_word(lock, word);
        return false;
    }
    got(lock, link, word);
    return true;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_lock *)object)->waiters, &link->node);
}

static bool hint(struct neap_object *object, const struct neap_link *link) {
    const struct neap_owner *holder = neap_lock_holder((const struct neap_lock *)object);
    return holder == NULL || holder == link->wait->owner;
}

static void resumed(struct neap_object *object, struct neap_link *link) {
    enter((struct neap_lock *)object, link->wait->owner);
}

/* --- letting go --- */

/* Guard held; the holder has let go. */
static void pass_on(struct neap_lock *lock, int result, struct neap_batch *batch) {
    struct neap_link *next = neap_waiters_claim(&lock->waiters);
    if (next == NULL) {
        write_word(lock, result == NEAP_ABANDONED ? NEAP_LOCK_ABANDONED : 0);
        return;
    }
    lock->depth = 1;
    next->result = result;
    write_word(lock, number_of(next->wait->owner) | (neap_list_is_empty(&lock->waiters) ? 0 : NEAP_LOCK_WAITED));
    neap_batch_add(batch, next->wait);
}

/* `hold` is unlinked. The lock may be gone after that, unless the caller has a reference. */
static void let_go(struct neap_lock *lock, int result) {
    struct neap_batch batch = {NULL, NULL};
    uint64_t word = holder_in(read_word(lock));
    if (change_word(lock, &word, result == NEAP_ABANDONED ? NEAP_LOCK_ABANDONED : 0)) return;
    neap_object_lock(&lock->object);
    bool forgotten = (read_word(lock) & NEAP_LOCK_FORGOTTEN) != 0;
    pass_on(lock, result, &batch);
    neap_object_unlock(&lock->object);
    neap_batch_flush(&batch);
    if (forgotten) neap_object_unref(&lock->object);
}

static void abandon(struct neap_hold *hold) { let_go(NEAP_CONTAINER_OF(hold, struct neap_lock, hold), NEAP_ABANDONED); }

uint32_t neap_lock_release_all(struct neap_lock *lock, struct neap_owner *owner) {
    uint32_t depth = lock->depth;
    NEAP_ASSERT(neap_lock_is_held_by(lock, owner), "who releases holds");
    (void)owner;
    neap_list_remove(&lock->hold.node);
    let_go(lock, 0);
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
    atomic_init(&lock->word, 0);
    lock->depth = 0;
    neap_list_init(&lock->hold.node);
    lock->hold.object = &lock->object;
    lock->hold.counted = false;
    lock->hold.abandon = abandon;
    return lock;
}

/* See LIFE. */
static bool revived(struct neap_object *object) {
    struct neap_lock *lock = (struct neap_lock *)object;
    neap_object_lock(object);
    uint64_t word = read_word(lock);
    atomic_store_explicit(&object->refs, 1, memory_order_relaxed);
    while (holder_in(word) != 0 && !change_word(lock, &word, word | NEAP_LOCK_FORGOTTEN)) continue;
    neap_object_unlock(object);
    return holder_in(word) != 0;
}

static void destroy(struct neap_object *object) {
    struct neap_lock *lock = (struct neap_lock *)object;
    NEAP_ASSERT(neap_list_is_empty(&lock->waiters), "wait 2: who waits keeps the object alive");
    NEAP_ASSERT(neap_lock_holder(lock) == NULL, "a lock that is held lives on");
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
    }
}

static const struct neap_remote lock_remote = {.kind = NEAP_KIND_LOCK, .ops = NEAP_LOCK_ACQUIRE + 1, .serve = serve};
static const struct neap_remote rlock_remote = {.kind = NEAP_KIND_RLOCK, .ops = NEAP_LOCK_ACQUIRE + 1, .serve = serve};

static const char *const verbs[] = {"acquire"};

const struct neap_class neap_lock_class = {
    .name = "lock",
    .verbs = verbs,
    .destroy = destroy,
    .revived = revived,
    .attempt = attempt,
    .quick = quick,
    .enlist = enlist,
    .hint = hint,
    .resumed = resumed,
    .remote = &lock_remote,
};

const struct neap_class neap_rlock_class = {
    .name = "rlock",
    .verbs = verbs,
    .destroy = destroy,
    .revived = revived,
    .attempt = attempt,
    .quick = quick,
    .enlist = enlist,
    .hint = hint,
    .resumed = resumed,
    .remote = &rlock_remote,
};
