/* crew: the OS threads that an engine's threads run on. Making one takes as long as starting a thread may take in all;
 * so one that is done rests for a moment, and runs the next. The essay is in crew.c. */
#ifndef NEAP_HOST_CREW_H
#define NEAP_HOST_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/guard.h"
#include "core/list.h"

enum { NEAP_CREW_RESTING = 8 }; /* no more rest at a time */

struct neap_crew {
    struct neap_guard guard;  /* of all that follows */
    struct neap_list busy;    /* those that run something, or are about to rest, or to end */
    struct neap_list resting; /* who came last is the first */
    struct neap_list ended;   /* their last instructions may still run */
    uint32_t rest_count;      /* of resting */
    bool leaving;             /* neap_crew_leave is under way: nobody rests any more */
    int64_t rest_ns; /* how long one rests, a tenth of a second. Not under the guard: constant once it is used */
};

void neap_crew_init(struct neap_crew *crew);

/* Any thread: calls `body` on an OS thread of its own, with the caller's signal mask. See LEFT OVER in crew.c for what
 * it finds there. 0, NEAP_NOMEM, or what the system said. */
int neap_crew_run(struct neap_crew *crew, void (*body)(void *argument), void *argument);

/* Waits for everything that runs, and until no OS thread is left. Nothing is run meanwhile; later it may be. */
void neap_crew_leave(struct neap_crew *crew);

#endif
