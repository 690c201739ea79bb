/* lock: whose turn it is.
 *
 * WORD        Who holds it and whether that is all stands in one word, so that acquiring a free lock and releasing one
 *             that nobody waits for is one compare-and-swap each, past the guard. The holder's number is the address of
 *             its owner, whose three lowest bits are free for flags; the upper sixteen say in which process that is
 *             (OTHERS). Past the guard only 0 (or ABANDONED) becomes a holder, and a holder without flags 0 (or
 *             ABANDONED), and what is open changes as OPEN says. Everything else is made under the guard.
 * INVARIANTS  1. A free lock has no waiters, unless it is open: attempt sets WAITED before its link is enlisted, under
 *                the same guard, and then releasing hands the lock to the first waiter that can still be claimed.
 *             2. The word names an owner from the moment of the hand-over on, before that owner runs again. It
 *                becomes another only by the holder's own release or end. So an owner that reads itself there holds,
 *                and one that does not, does not.
 *             3. `hold` is linked from when the holder's thread knows that it holds (got, resumed) until it lets go,
 *                and is let go before the lock is passed on: the next holder finds it unlinked.
 * CONTENTION  Who comes while it is held for a moment looks a little before it waits (core/spin.c), and
 *             takes the lock when it is free: those that look overtake each other. So the threads that want it take it
 *             in runs, each while its memory is near, instead of waking each other for each turn. Who does not get it
 *             by looking waits, and who waits is overtaken by nobody (1): nobody starves.
 * OTHERS      When the lock is first sent to another process its word moves to a cell of shared memory, which that
 *             process maps: then it acquires and releases as we do, past any guard, with the number that it was given
 *             (its party) in the word. What it cannot do so it asks for, or tells: its waits are served here, in the
 *             name of a delegate (host/delegate.c), and so are releases of a lock that is waited for. Some things want
 *             to know here in whose name the lock is held (a condition's notify): then the holder has itself adopted,
 *             and is a delegate as if it had been served. When a party leaves, as by its death, what it holds is
 *             abandoned. One that goes on acquiring after that, being about to die, holds nothing in our eyes. Moving:
 *             under the guard, the word is written to the cell, and then swapped for MOVED where it was. Whoever reads
 *             that looks there; whoever was about to change it fails.
 * OPEN        Processes that want it all the time would hand it to each other for each turn: two messages and a
 *             wake-up, a hundred times as long as the turn itself. So after a short turn of a delegate that had waited
 *             the lock is not handed to the next one, but is open: it is free for anybody (the word is WAITED alone),
 *             who takes it, lets it go and takes it again unseen by us (holder|WAITED|OPEN, and back to WAITED). After
 *             a moment an alarm looks whether anybody has. If not it is handed on at once, else after a quarter of a
 *             millisecond: OPEN is taken out of the word, so that whoever holds it then tells us. So it is one turn in
 *             line, and then some out of line; nobody starves, and those who wait are served in order. Between threads
 *             it is never open: those find it by looking. Whoever dies while it is open leaves nothing behind: the
 *             alarm is ours, what it held is abandoned as ever, and it is open no more.
 * LIFE        A hold counts no reference: that would be two more atomic operations on the word's cache line. So the
 *             last reference may go while the lock is held, by an owner that can no longer release it, but will end.
 *             `revived` then gives it one reference that is the hold's, and says so in the word (FORGOTTEN), under the
 *             guard: `abandon` either came before, and was done with the lock when the guard was free, or finds the
 *             flag and drops that reference. */
#include "sync/lock.h"

#include <stddef.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"
#include "sync/condition.h"

enum { CELL_SIZE = 64 }; /* bytes: a cache line */

/* See OPEN; ns. BRIEF: what a short turn takes at most; PROBE: when the alarm looks first. */
enum { BRIEF_NS = 20000, PROBE_NS = 40000, OPEN_NS = 250000 };

static uint64_t number_of(const struct neap_owner *owner) {
    NEAP_ASSERT(((uintptr_t)owner & NEAP_LOCK_FLAGS) == 0, "an owner is aligned");
    return (uintptr_t)owner;
}

static uint64_t holder_in(uint64_t word) { return neap_lock_holder_in(word); }

static uint64_t read_word(const struct neap_lock *lock) { return neap_lock_read(lock); }

/* Where it is; for who does not hold the guard it may just be moving away. */
static _Atomic uint64_t *place_of(struct neap_lock *lock) {
    bool moved = atomic_load_explicit(&lock->word, memory_order_acquire) == NEAP_LOCK_MOVED;
    return moved ? neap_lock_moved_word(lock) : &lock->word;
}

/* Guard held. The order makes what a holder did visible to the next one. */
static void write_word(struct neap_lock *lock, uint64_t word) {
    atomic_store_explicit(place_of(lock), word, memory_order_release);
}

/* From *word to `next`; false when it is something else meanwhile, which *word then says. The order as above. */
static bool change_word(struct neap_lock *lock, uint64_t *word, uint64_t next) {
    uint64_t expected = *word;
    if (lock->object.shared) {
        if (atomic_compare_exchange_strong_explicit(place_of(lock), word, next, memory_order_acq_rel,
                                                    memory_order_acquire))
            return true;
        if (*word == NEAP_LOCK_MOVED) *word = read_word(lock);
        return false;
    }
    *word = read_word(lock);
    if (*word != expected) return false;
    atomic_store_explicit(&lock->word, next, memory_order_relaxed);
    return true;
}

/* --- acquiring --- */

static void enter(struct neap_lock *lock, struct neap_owner *owner) {
    NEAP_ASSERT(!neap_hold_is_linked(&lock->hold), "lock 3: the last holder has let go");
    neap_hold_link(owner, &lock->hold);
}

/* The word, which said `before`, says that the link's owner holds. */
static void got(struct neap_lock *lock, struct neap_link *link, uint64_t before) {
    lock->depth = 1;
    if (before & NEAP_LOCK_ABANDONED) link->result = NEAP_ABANDONED;
    if (before & NEAP_LOCK_WAITED) atomic_store_explicit(&neap_lock_shared(lock)->taken, 1, memory_order_relaxed);
    enter(lock, neap_wait_owner(link->wait));
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
    uint64_t owner = number_of(neap_wait_owner(link->wait)), word = read_word(lock);
    if (holder_in(word) == owner) {
        again(lock, link);
    } else {
        while (holder_in(word) == 0 && !change_word(lock, &word, neap_lock_taken(word, owner)))
            continue; /* it may just be moving */
        if (holder_in(word) != 0) return NEAP_QUICK_LATER;
        got(lock, link, word);
    }
    return NEAP_QUICK_DONE;
}

/* Guard held. Does somebody hold who has left? Then nobody does. */
static bool is_orphan(const struct neap_lock *lock, uint64_t word) {
    uint64_t party = word >> NEAP_LOCK_PARTY_SHIFT;
    return party != 0 && (party > NEAP_LOCK_PARTIES || (lock->parties >> party & 1) == 0);
}

/* Guard held. Makes `owner` the holder, or sees to it that the holder lets go under the guard;
 * false. *word: what it said before. */
static bool take(struct neap_lock *lock, uint64_t owner, uint64_t *word) {
    uint64_t flags = NEAP_LOCK_WAITED | (lock->open_until != 0 ? NEAP_LOCK_OPEN : 0);
    for (;;) {
        if (holder_in(*word) == 0) {
            bool waited = !neap_list_is_empty(&lock->waiters);
            NEAP_ASSERT(!waited || *word == NEAP_LOCK_WAITED, "lock 1: a free lock has no waiters, unless it is open");
            if (waited) return false;
            if (change_word(lock, word, owner)) return true;
        } else if (is_orphan(lock, *word)) {
            if (change_word(lock, word, NEAP_LOCK_ABANDONED)) *word = NEAP_LOCK_ABANDONED;
        } else if (*word & NEAP_LOCK_WAITED || change_word(lock, word, *word | flags)) {
            return false;
        }
    }
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_lock *lock = (struct neap_lock *)object;
    uint64_t owner = number_of(neap_wait_owner(link->wait)), word = read_word(lock);
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
    return holder == NULL || holder == neap_wait_owner(link->wait);
}

static void resumed(struct neap_object *object, struct neap_link *link) {
    enter((struct neap_lock *)object, neap_wait_owner(link->wait));
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
    write_word(lock,
               number_of(neap_wait_owner(next->wait)) | (neap_list_is_empty(&lock->waiters) ? 0 : NEAP_LOCK_WAITED));
    neap_batch_add(batch, next->wait);
}

/* Past the guard, where that may be. */
static bool free_word(struct neap_lock *lock, int result) {
    uint64_t holder = holder_in(read_word(lock)), word = holder;
    if (change_word(lock, &word, result == NEAP_ABANDONED ? NEAP_LOCK_ABANDONED : 0)) return true;
    return result == 0 && word == (holder | NEAP_LOCK_WAITED | NEAP_LOCK_OPEN) &&
           change_word(lock, &word, NEAP_LOCK_WAITED);
}

/* `hold` is unlinked. The lock may be gone after that, unless the caller has a reference. */
static void let_go(struct neap_lock *lock, int result) {
    struct neap_batch batch = {NULL, NULL};
    if (free_word(lock, result)) return;
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
    neap_hold_unlink(&lock->hold);
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

/* --- open; see OPEN --- */

static bool is_open(uint64_t word) {
    return holder_in(word) == 0 ? word == NEAP_LOCK_WAITED : (word & NEAP_LOCK_OPEN) != 0;
}

/* Guard held. If somebody holds it, it is handed on when that lets go. */
static void close_up(struct neap_lock *lock, struct neap_batch *batch) {
    const uint64_t nobody = (uintptr_t)lock; /* a holder that is none: nobody else takes it or lets it go */
    const uint64_t open = NEAP_LOCK_OPEN;
    uint64_t word = read_word(lock);
    lock->open_until = 0;
    while (is_open(word)) {
        bool orphan = is_orphan(lock, word), free = holder_in(word) == 0 || orphan;
        if (!change_word(lock, &word, free ? nobody : word & ~open)) continue;
        if (free) pass_on(lock, orphan ? NEAP_ABANDONED : 0, batch);
        return;
    }
}

/* Guard held; it has been open. Does it stay so? */
static bool stays_open(struct neap_lock *lock) {
    bool taken = atomic_exchange_explicit(&neap_lock_shared(lock)->taken, 0, memory_order_relaxed) != 0;
    if (!taken || neap_clock_now() >= lock->open_until) return false;
    return neap_alarms_set(lock->alarms, &lock->alarm, lock->open_until);
}

static void ring(struct neap_alarm *alarm) {
    struct neap_lock *lock = NEAP_CONTAINER_OF(alarm, struct neap_lock, alarm);
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&lock->object);
    bool stays = stays_open(lock);
    if (!stays) {
        lock->is_alarmed = false;
        close_up(lock, &batch);
    }
    neap_object_unlock(&lock->object);
    neap_batch_flush(&batch);
    if (!stays) neap_object_unref(&lock->object);
}

/* Guard held, by whoever pumps: somebody of another process held it for `held_ns`, and lets go. */
static bool opens(struct neap_lock *lock, int64_t held_ns) {
    if (held_ns > BRIEF_NS || lock->alarms == NULL || lock->is_alarmed || neap_list_is_empty(&lock->waiters))
        return false;
    int64_t now = neap_clock_now();
    if (!neap_alarms_set(lock->alarms, &lock->alarm, now + PROBE_NS)) return false;
    neap_object_ref(&lock->object);
    lock->is_alarmed = true;
    lock->open_until = now + OPEN_NS;
    atomic_store_explicit(&neap_lock_shared(lock)->taken, 0, memory_order_relaxed);
    write_word(lock, NEAP_LOCK_WAITED);
    return true;
}

/* The same without the guard. */
static bool open_up(struct neap_lock *lock, int64_t held_ns) {
    neap_object_lock(&lock->object);
    bool opened = opens(lock, held_ns);
    neap_object_unlock(&lock->object);
    return opened;
}

struct neap_lock *neap_lock_new(const struct neap_class *class) {
    struct neap_lock *lock = neap_alloc(sizeof *lock);
    if (lock == NULL) return NULL;
    neap_object_init(&lock->object, class);
    neap_list_init(&lock->waiters);
    atomic_init(&lock->word, 0);
    lock->cell.at = NULL;
    lock->parties = 0;
    lock->alarms = NULL;
    neap_alarm_init(&lock->alarm, ring);
    lock->is_alarmed = false;
    lock->open_until = 0;
    lock->depth = 0;
    neap_hold_init(&lock->hold);
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
    if (lock->cell.at != NULL) neap_cell_free(&lock->cell);
    neap_free(lock);
}

/* --- from other processes --- */

/* Guard held: from now on the word is in the cell. */
static void move_word(struct neap_lock *lock) {
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
    atomic_store_explicit(&lock->object.far, true, memory_order_relaxed);
    do atomic_store_explicit(neap_lock_moved_word(lock), word, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&lock->word, &word, NEAP_LOCK_MOVED, memory_order_acq_rel,
                                                  memory_order_relaxed));
}

/* Guard held. 0: there are too many. */
static uint32_t add_party(struct neap_lock *lock) {
    uint32_t party = 1;
    while (party <= NEAP_LOCK_PARTIES && (lock->parties >> party & 1) != 0) party++;
    if (party > NEAP_LOCK_PARTIES) return 0;
    lock->parties |= (uint64_t)1 << party;
    return party;
}

static uint32_t join(struct neap_object *object, struct neap_cells *cells, struct neap_alarms *alarms,
                     const struct neap_cell **cell) {
    struct neap_lock *lock = (struct neap_lock *)object;
    struct neap_cell made;
    if (neap_cell_alloc(cells, CELL_SIZE, &made) != 0) return 0;
    neap_object_lock(object);
    bool first = lock->cell.at == NULL;
    if (first) {
        lock->cell = made;
        lock->alarms = alarms;
        move_word(lock);
    }
    uint32_t party = add_party(lock);
    neap_object_unlock(object);
    if (!first) neap_cell_free(&made);
    *cell = &lock->cell;
    return party;
}

/* If `holder`, a word without flags, is in it, and in another process, the lock goes on without it. */
static bool let_go_for(struct neap_lock *lock, uint64_t holder, int result) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&lock->object);
    bool held = holder >> NEAP_LOCK_PARTY_SHIFT != 0 && holder_in(read_word(lock)) == holder;
    if (held) pass_on(lock, result, &batch);
    neap_object_unlock(&lock->object);
    neap_batch_flush(&batch);
    return held;
}

static void leave(struct neap_object *object, uint32_t party) {
    struct neap_lock *lock = (struct neap_lock *)object;
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(object);
    lock->parties &= ~((uint64_t)1 << party);
    if (read_word(lock) >> NEAP_LOCK_PARTY_SHIFT == party) pass_on(lock, NEAP_ABANDONED, &batch);
    close_up(lock, &batch); /* it may have been the last: until the alarm all would seem to wait for ever */
    neap_object_unlock(object);
    neap_batch_flush(&batch);
}

/* By whoever pumps. */
static int adopt(struct neap_lock *lock, uint64_t holder, struct neap_owner *owner) {
    neap_object_lock(&lock->object);
    uint64_t word = read_word(lock);
    bool held = holder >> NEAP_LOCK_PARTY_SHIFT != 0 && holder_in(word) == holder;
    if (held) write_word(lock, number_of(owner) | (word & NEAP_LOCK_FLAGS));
    neap_object_unlock(&lock->object);
    if (!held) return NEAP_NOT_OWNER;
    lock->depth = 1;
    enter(lock, owner);
    return 0;
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_lock *lock = (struct neap_lock *)object;
    if (call->method == NEAP_LOCK_LOCKED) {
        call->number = neap_lock_holder(lock) != NULL;
    } else if (call->method == NEAP_LOCK_CONDITION) {
        neap_condition_serve_making(lock, call);
    } else if (call->method == NEAP_LOCK_RELEASE_WORD || call->method == NEAP_LOCK_ABANDON_WORD) {
        int result = call->method == NEAP_LOCK_ABANDON_WORD ? NEAP_ABANDONED : 0;
        call->result = let_go_for(lock, (uint64_t)call->number, result) ? 0 : NEAP_NOT_OWNER;
    } else if (call->method == NEAP_LOCK_ADOPT) {
        call->result = adopt(lock, (uint64_t)call->number, call->owner);
    } else if (call->method > NEAP_LOCK_ADOPT) {
        call->result = NEAP_RANGE;
    } else if (!neap_lock_is_held_by(lock, call->owner)) {
        call->result = NEAP_NOT_OWNER;
    } else {
        neap_hold_unlink(&lock->hold);
        bool abandons = call->method == NEAP_LOCK_ABANDON;
        if (abandons || !open_up(lock, call->number)) let_go(lock, abandons ? NEAP_ABANDONED : 0);
    }
}

#define REMOTE(kind_)                                                                                                 \
    {                                                                                                                 \
        .kind = (kind_), .ops = NEAP_LOCK_ACQUIRE + 1, .adopting = NEAP_LOCK_ADOPT + 1, .serve = serve, .join = join, \
        .leave = leave,                                                                                               \
    }
static const struct neap_remote lock_remote = REMOTE(NEAP_KIND_LOCK), rlock_remote = REMOTE(NEAP_KIND_RLOCK);

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
