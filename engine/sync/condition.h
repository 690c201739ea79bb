/* condition: holders of a lock wait in it until another holder notifies them.
 *
 * To wait is three steps by the owner's thread: neap_condition_begin; when that returned NEAP_PARKED,
 * neap_wait_end after run(); and, however it ended, acquiring the lock again without a deadline (neap_lock_class,
 * ACQUIRE), then neap_lock_restore. */
#ifndef NEAP_SYNC_CONDITION_H
#define NEAP_SYNC_CONDITION_H

#include <stddef.h>
#include <stdint.h>

#include "core/object.h"
#include "core/remote.h"
#include "core/wait.h"
#include "sync/lock.h"

/* Operations of a link. WAIT is never served at once; 0 when notified. Begun through neap_condition_begin only. */
enum neap_condition_op { NEAP_CONDITION_WAIT };

#define NEAP_CONDITION_ALL SIZE_MAX

/* Calls of other processes, in the name of who holds the lock. NOTIFY: number of them; negative: all: result. */
enum neap_condition_call { NEAP_CONDITION_NOTIFY };

struct neap_condition {
    struct neap_object object;
    struct neap_lock *lock;   /* constant; one reference. Any class of lock */
    struct neap_list waiters; /* links with WAIT. guard */
};

/* One reference; takes one of its own to `lock`. NULL: no memory. */
struct neap_condition *neap_condition_new(struct neap_lock *lock);

/* Opens `wait` on the condition and then gives up the lock, all its levels, which it counts in *depth: whoever
 * acquires the lock after that can notify this wait. Returns as neap_wait_begin does; the lock was given up if
 * that is NEAP_PARKED or NEAP_TIMEOUT, and is held as before otherwise. NEAP_NOT_OWNER unless
 * neap_wait_owner(wait) holds the lock. */
int neap_condition_begin(struct neap_condition *condition, struct neap_wait *wait, struct neap_link *link,
                         int64_t deadline, uint32_t *depth);

/* Wakes the first `count` that wait (NEAP_CONDITION_ALL: all). A wait that has timed out or was interrupted does not
 * count. 0, or NEAP_NOT_OWNER unless `owner` holds the lock. */
int neap_condition_notify(struct neap_condition *condition, const struct neap_owner *owner, size_t count);

/* Carries out NEAP_LOCK_CONDITION. */
void neap_condition_serve_making(struct neap_lock *lock, struct neap_call *call);

extern const struct neap_class neap_condition_class;

#endif
