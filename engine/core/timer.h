/* timer: the deadlines of one loop, the nearest first. Used by the loop's own thread only. */
#ifndef NEAP_CORE_TIMER_H
#define NEAP_CORE_TIMER_H

#include <stdint.h>

#include "core/wait.h"

struct neap_timer {
    int64_t deadline; /* here, so that comparing does not touch the wait */
    struct neap_wait *wait;
};

struct neap_timers {
    struct neap_timer *heap; /* four children a node: half the depth, one cache line of children */
    uint32_t count;          /* used of heap */
    uint32_t capacity;       /* allocated of heap */
};

void neap_timers_init(struct neap_timers *timers);
void neap_timers_fini(struct neap_timers *timers);
/* Enters `wait` and notes its place in wait->timer. 0 or NEAP_NOMEM. */
int neap_timers_add(struct neap_timers *timers, struct neap_wait *wait, int64_t deadline);
/* `wait` must be in `timers`. */
void neap_timers_remove(struct neap_timers *timers, struct neap_wait *wait);
/* NEAP_FOREVER when there is none. */
int64_t neap_timers_next(const struct neap_timers *timers);
/* Takes out the nearest one if its deadline is not after `now`; NULL otherwise. */
struct neap_wait *neap_timers_pop(struct neap_timers *timers, int64_t now);

#endif
