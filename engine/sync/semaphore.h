/* semaphore: a number of permits. A bounded one never has more than it began with. */
#ifndef NEAP_SYNC_SEMAPHORE_H
#define NEAP_SYNC_SEMAPHORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/object.h"
#include "core/owner.h"
#include "core/wait.h"

/* Operations of a link. Both take one permit.
 * ACQUIRE  the permit belongs to nobody.
 * HOLD     link->hold is the hold of a neap_permit: the permit is in the name of neap_wait_owner(link->wait), and
 *          returns when that ends. On success only; the record must stay where it is until it was given back. */
enum neap_semaphore_op { NEAP_SEMAPHORE_ACQUIRE, NEAP_SEMAPHORE_HOLD };

/* Calls of other processes. RELEASE: number permits: result. VALUE: number. */
enum neap_semaphore_call { NEAP_SEMAPHORE_RELEASE, NEAP_SEMAPHORE_VALUE };

struct neap_semaphore {
    struct neap_object object;
    struct neap_list waiters; /* links with either operation; empty while permits are left. guard */
    _Atomic int64_t permits;  /* left. Written under the guard */
    int64_t bound;            /* constant: permits is never more */
};

/* A permit that is held in somebody's name. */
struct neap_permit {
    struct neap_hold hold; /* owner's thread; linked while the permit is held */
};

/* `class` is one of the two below; permits >= 0. One reference; NULL: no memory. */
struct neap_semaphore *neap_semaphore_new(const struct neap_class *class, int64_t permits);

/* Any thread: adds `count` permits, serving who waits. 0; NEAP_RANGE, and nothing has changed, unless count >= 1 and
 * the permits stay within their bound (any number that fits, where it is not bounded). */
int neap_semaphore_release(struct neap_semaphore *semaphore, int64_t count);

/* Any thread, a snapshot. */
int64_t neap_semaphore_value(const struct neap_semaphore *semaphore);

/* Not held; `semaphore` is kept alive by the caller while it is not. */
void neap_permit_init(struct neap_permit *permit, struct neap_semaphore *semaphore);
/* By the owner's thread: gives a held permit back. False when it is not held: given back
 * already, or its owner has ended. */
bool neap_permit_return(struct neap_permit *permit);

extern const struct neap_class neap_semaphore_class;
extern const struct neap_class neap_bounded_semaphore_class;

#endif
