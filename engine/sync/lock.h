/* lock: one owner at a time; whoever waits is served first come, first served (between processes: and others a little
 * in between, see OPEN in lock.c). An rlock may be acquired again by the owner that holds it.
 *
 * The hold is a record inside the lock: when the owner ends without releasing, the next one to acquire is told
 * (NEAP_ABANDONED). A lock that is held lives on when nobody refers to it any more. */
#ifndef NEAP_SYNC_LOCK_H
#define NEAP_SYNC_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/alarm.h"
#include "core/cell.h"
#include "core/object.h"
#include "core/owner.h"
#include "core/wait.h"

/* Operations of a link.
 * ACQUIRE  for neap_wait_owner(link->wait): 0; NEAP_ABANDONED: acquired, and the last holder ended without releasing;
 *          NEAP_HELD: not acquired, the owner holds it already. An rlock goes one level deeper instead;
 *          NEAP_RANGE when that is one too many. */
enum neap_lock_op { NEAP_LOCK_ACQUIRE };

/* Calls of other processes, in the name of the holder. RELEASE: all levels: result; number: for how many ns it held.
 * ABANDON: the holder over there has ended. LOCKED: number. CONDITION: message: a new condition of it; see condition.c.
 * RELEASE_WORD, ABANDON_WORD: the same for one that holds by itself; number: the word without flags. ADOPT: that is in
 * the name of the owner from now on; see OTHERS in lock.c. */
enum neap_lock_call {
    NEAP_LOCK_RELEASE,
    NEAP_LOCK_ABANDON,
    NEAP_LOCK_LOCKED,
    NEAP_LOCK_CONDITION,
    NEAP_LOCK_RELEASE_WORD,
    NEAP_LOCK_ABANDON_WORD,
    NEAP_LOCK_ADOPT
};

/* In a lock's word, beside its holder. */
enum {
    /* Held: somebody may wait, so that it must be let go under the guard. Free: somebody may wait, and it is open. */
    NEAP_LOCK_WAITED = 1,
    NEAP_LOCK_OPEN = 2,      /* held, with WAITED: let go it is free. See OPEN in lock.c */
    NEAP_LOCK_ABANDONED = 2, /* free: its last holder ended without releasing */
    NEAP_LOCK_FORGOTTEN = 4, /* held: nobody refers to it, its last reference is the holder's */
    NEAP_LOCK_FLAGS = 7,
    NEAP_LOCK_PARTIES = 63,    /* other processes that may change the word by themselves: numbers from 1 on */
    NEAP_LOCK_PARTY_SHIFT = 48 /* in the word: which of them the holder is in; 0: this one */
};

#define NEAP_LOCK_MOVED UINT64_MAX /* a word that is elsewhere now */

/* The word that says that the owner at `address`, in the process that is `party`, holds. */
static inline uint64_t neap_lock_word(uint32_t party, const struct neap_owner *owner) {
    return (uint64_t)party << NEAP_LOCK_PARTY_SHIFT | (uintptr_t)owner;
}
static inline uint64_t neap_lock_holder_in(uint64_t word) { return word & ~(uint64_t)NEAP_LOCK_FLAGS; }
/* What becomes of `word`, which nobody holds, when `holder` takes it past the guard. */
static inline uint64_t neap_lock_taken(uint64_t word, uint64_t holder) {
    return word & NEAP_LOCK_WAITED ? holder | NEAP_LOCK_WAITED | NEAP_LOCK_OPEN : holder;
}

/* In the cell, once other processes know the lock. */
struct neap_lock_shared {
    _Atomic uint64_t word;
    _Atomic uint32_t taken; /* 1: it has been, while it was open. Relaxed */
};

struct neap_lock {
    struct neap_object object;
    _Atomic uint64_t word; /* who holds it, by number, or 0: free; and flags. See WORD in lock.c */
    uint32_t depth;        /* levels that are held; holder's thread, guard while it is handed over */
    struct neap_hold hold; /* the holder's thread, from when it knows that it holds */
    /* Of shared memory, where the word is once other processes know the lock; until then its `at` is NULL. Written
     * once, before `word` says MOVED. */
    struct neap_cell cell;
    uint64_t parties;           /* a bit for each of them. guard */
    struct neap_alarms *alarms; /* of who looks after the other processes. With the cell; NULL: it is never open */
    struct neap_alarm alarm;    /* while `is_alarmed`, and then with a reference */
    bool is_alarmed;            /* the alarm is set, or rings. guard */
    int64_t open_until;         /* 0: it is not. guard */
    struct neap_list waiters;   /* links with ACQUIRE; empty while it is free. guard */
};

/* One reference; NULL: no memory. */
struct neap_lock *neap_lock_new(const struct neap_class *class);

/* By the owner's thread: gives up one level; the last one hands the lock to the first waiter. 0 or NEAP_NOT_OWNER. */
int neap_lock_release(struct neap_lock *lock, struct neap_owner *owner);
/* The same for all levels at once, which must be at least one; returns how many they were. */
uint32_t neap_lock_release_all(struct neap_lock *lock, struct neap_owner *owner);
/* By the owner's thread, which has just acquired it: as deep as it was before neap_lock_release_all. */
void neap_lock_restore(struct neap_lock *lock, uint32_t depth);

static inline struct neap_lock_shared *neap_lock_shared(const struct neap_lock *lock) { return lock->cell.at; }
static inline _Atomic uint64_t *neap_lock_moved_word(const struct neap_lock *lock) {
    return &neap_lock_shared(lock)->word;
}
/* Any thread. */
static inline uint64_t neap_lock_read(const struct neap_lock *lock) {
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_acquire); /* with it the cell, if it has moved */
    return word != NEAP_LOCK_MOVED ? word : atomic_load_explicit(neap_lock_moved_word(lock), memory_order_relaxed);
}

/* Any thread, a snapshot; NULL: free. To be compared only: the holder may end at any time, or be in another process. */
static inline const struct neap_owner *neap_lock_holder(const struct neap_lock *lock) {
    return (const struct neap_owner *)(uintptr_t)neap_lock_holder_in(neap_lock_read(lock));
}

/* Exact for the owner's own thread. */
static inline bool neap_lock_is_held_by(const struct neap_lock *lock, const struct neap_owner *owner) {
    return neap_lock_holder(lock) == owner;
}

extern const struct neap_class neap_lock_class;
extern const struct neap_class neap_rlock_class;

#endif
