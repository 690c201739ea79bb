/* ring: owners that wait for each other's locks in a circle, which nobody in it can ever
 * leave. The essay is in ring.c. */
#ifndef NEAP_SYNC_RING_H
#define NEAP_SYNC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/guard.h"
#include "core/list.h"
#include "core/wait.h"

enum { NEAP_RING_BUCKETS = 64 };

/* An owner that holds something and waits for a lock without a deadline. The fields
 * are under the guard of the rings. */
struct neap_ring_waiter {
    struct neap_list node;         /* in its bucket */
    const struct neap_wait *wait;  /* open on one link; constant while entered */
    struct neap_ring_waiter *next; /* during a walk: the next one to be looked at */
    struct neap_ring_waiter *from; /* during a walk: who waits for this one */
    uint64_t walk;                 /* the last walk that came here */
    bool told;                     /* as a member of a ring */
};

/* Everybody of an engine who does so. */
struct neap_rings {
    struct neap_guard guard;                     /* taken last: nothing is locked inside it */
    struct neap_list buckets[NEAP_RING_BUCKETS]; /* by the address of the owner */
    uint64_t walk;                               /* the last walk; guard */
    uint32_t count;                              /* of waiters; guard */
};

void neap_rings_init(struct neap_rings *rings);

/* Is `wait` one that can close a ring: open without a deadline on a lock, by an owner that
 * holds something? Owner's thread. */
bool neap_rings_concern(const struct neap_wait *wait);

/* Called for each member of a ring, in order: each waits for the next one, the last for the first. The guard is held:
 * it may read, and must not lock, wait or call Lua. */
typedef void (*neap_ring_visitor)(const struct neap_ring_waiter *member, void *argument);

/* Enters `waiter`, whose `wait` is set and which must stay until it leaves. When that closes a ring, `visit`
 * is called for its members. True if so. Owner's thread, once the wait is open. */
bool neap_rings_enter(struct neap_rings *rings, struct neap_ring_waiter *waiter, neap_ring_visitor visit,
                      void *argument);

/* Has the waiter of `wait` been a member of a ring that was told since it was entered? Any
 * thread, while the wait is open. */
bool neap_rings_have_told(struct neap_rings *rings, const struct neap_wait *wait);

/* The waiter of `wait`, which leaves; NULL when it had not been entered. Owner's thread, after
 * run() and before neap_wait_end. */
struct neap_ring_waiter *neap_rings_leave(struct neap_rings *rings, const struct neap_wait *wait);

#endif
