/* crew: the OS threads that an engine's threads run on. Making one takes as long as starting a thread may take in all;
 * so one that is done rests for a moment, and runs the next. The essay is in crew.c. */
#ifndef NEAP_HOST_CREW_H
#define NEAP_HOST_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/guard.h"
#include "core/list.h"

enum { NEAP_CREW_RESTING = 8 }; /* no more rest at a time */

struct neap_crew {
    struct neap_guard guard;    /* of all that follows, but where it says otherwise */
    struct neap_list busy;      /* those that run something, or are about to rest, or to end */
    struct neap_list resting;   /* who came last is the first */
    struct neap_list ended;     /* their last instructions may still run */
    uint32_t rest_count;        /* of resting */
    bool leaving;               /* neap_crew_leave is under way: nobody rests any more */
    bool looking;               /* one of resting does, and does not sleep yet: see LOOKING in crew.c */
    uint8_t trust, unlooked;    /* whether it pays off: looks in vain that it takes to stop, rests since then */
    _Atomic uint32_t finishing; /* bodies that are about to return: see FINISHING. Atomic, a hint: relaxed */
    /* Constant once it is used: */
    bool has_processors; /* more than one */
    int64_t rest_ns;     /* how long one rests, a tenth of a second */
    int64_t look_ns;     /* how long of that it looks */
    int64_t wait_ns;     /* how long somebody who has something to be run waits for who is finishing */
};

void neap_crew_init(struct neap_crew *crew);

/* Any thread: calls `body` on an OS thread of its own, with the caller's signal mask. See LEFT OVER in crew.c for what
 * it finds there. 0, NEAP_NOMEM, or what the system said. */
int neap_crew_run(struct neap_crew *crew, void (*body)(void *argument), void *argument);

/* From a body, once: little is left of it, so that this OS thread is soon free for the next. */
void neap_crew_finish(void);

/* Waits for everything that runs, and until no OS thread is left. Nothing is run meanwhile; later it may be. */
void neap_crew_leave(struct neap_crew *crew);

#endif
