/* loop: the scheduler of one OS thread. A flat run queue, the deadlines, a mailbox,
 * and libuv once somebody needs it. */
#ifndef NEAP_CORE_LOOP_H
#define NEAP_CORE_LOOP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/mailbox.h"
#include "core/patience.h"
#include "core/timer.h"
#include "core/wait.h"

/* Runnables in the order in which they came. */
struct neap_line {
    struct neap_runnable *first, *last; /* last: of no meaning while first is NULL */
};

static inline void neap_line_push(struct neap_line *line, struct neap_runnable *runnable) {
    runnable->next = 0;
    if (line->first == 0)
        line->first = runnable;
    else
        line->last->next = runnable;
    line->last = runnable;
}

/* `line` must not be empty. */
static inline struct neap_runnable *neap_line_pop(struct neap_line *line) {
    struct neap_runnable *runnable = line->first;
    line->first = runnable->next;
    return runnable;
}

struct neap_guest;
struct neap_quota;

enum { NEAP_LOOK_PAUSES_MAX = 1024 };

/* Something that a loop looks at while it spins. What it finds runs right there, and
 * may put something into the queue. */
struct neap_loop_watch {
    bool (*begin)(void *context); /* false: there is nothing to look at, and neither look nor end follows */
    void (*look)(void *context);
    void (*end)(void *context);
};

/* A run of a loop. */
struct neap_loop_frame {
    const void *floor; /* where its frame lies, on a stack that grows downwards */
    bool (*done)(void *argument);
    void *argument;
};

struct neap_loop {
    struct neap_line ready;            /* the run queue; own thread */
    struct neap_line due;              /* what a deadline has woken: see DUE. Own thread */
    struct neap_line late;             /* what has had more than its share: see LATE. Own thread */
    struct neap_runnable *recalled;    /* the one of these that is in the run queue; NULL. Own thread */
    struct neap_mailbox *mailbox;      /* constant; counted */
    struct neap_timers timers;         /* own thread */
    int64_t now;                       /* when this turn began; for reports and slices, never for deadlines */
    uint32_t spin_ns;                  /* how long to spin before parking; adapts, see park.  Own thread */
    uint32_t look_pauses;              /* how long a wait looks before it parks; see HOW LONG in spin.c. Own thread */
    uint32_t looks_in_vain;            /* since that became the least. Own thread */
    uint32_t idle_parks;               /* parks since spinning was last tried */
    uint32_t probe_parks;              /* as many until it is tried again; adapts, see IDLE. Own thread */
    bool parks_at_once;                /* never spins. Constant once it runs */
    struct neap_patient patient;       /* of whoever made the loop, then the loop's */
    atomic_int *busy;                  /* the mailbox's. Constant */
    void (*stuck)(struct neap_loop *); /* every loop of the engine waits for another: called by the last. Constant */
    /* Own thread, nothing is ready: may do something useful in the meantime, and then
     * says so. NULL: nothing. Constant */
    bool (*idle)(struct neap_loop *);
    const struct neap_loop_watch *watch; /* NULL: nothing. Constant, as is what belongs to it */
    void *watched;                       /* its context */
    void (*beat)(struct neap_loop *);    /* called by the signal handler of core/pulse.h; NULL: nobody cares */
    volatile sig_atomic_t cut;    /* this turn ends after the present runnable. Own thread, signal handlers too */
    bool was_due;                 /* the last runnable came from `due`. Own thread */
    bool passing;                 /* see PASSING. Own thread */
    bool owes_look;               /* the last turn has not looked at libuv: see LOOKING. Own thread */
    struct neap_loop_frame frame; /* of the innermost neap_loop_run; zeros: outside. Own thread */
    uint8_t trust,
        unpassed;  /* whether it pays off: passes in vain that it takes to stop, parks since then. Own thread */
    int left;      /* runnables that this turn may still run. Own thread */
    void *context; /* of whoever made the loop */
    struct neap_quota *quota; /* that what it allocates counts in; NULL: none. Of whoever made the loop */
    uint32_t offloads;        /* that libuv's threads have not done: see io/offload.h. Own thread */
    bool has_offloaded;       /* once that was more than 0. Own thread */
    uv_loop_t *uv;            /* NULL until neap_loop_uv */
    struct neap_guest *guest; /* uv is somebody else's: what we have in it; NULL: it is ours. See guest.c. Owned */
    uv_async_t alarm;         /* of uv: another thread wakes us */
    uv_timer_t bell;          /* of uv: the next deadline */
    uv_prepare_t look;        /* of uv: before it waits */
};

/* If it fails you owe nothing; if it succeeds you must call fini, on the thread that ran it. `busy` may be NULL; the
 * caller has counted the loop in it, and counts it out after fini. 0 or NEAP_NOMEM. */
int neap_loop_init(struct neap_loop *loop, atomic_int *busy, void (*stuck)(struct neap_loop *));
/* The same over a mailbox that others know already: takes over one reference to `mailbox`; cannot fail. */
void neap_loop_init_over(struct neap_loop *loop, struct neap_mailbox *mailbox, void (*stuck)(struct neap_loop *));
/* The queue is empty, no wait is open and every libuv handle of others is closed. Refuses posts from now on. Waits for
 * `offloads`, however long that takes. */
void neap_loop_fini(struct neap_loop *loop);

/* The loop of the code that runs on this thread; NULL where none does. Set for the time of neap_loop_run, and by
 * whoever runs Lua outside of it. */
extern _Thread_local struct neap_loop *neap_loop_here __attribute__((tls_model("initial-exec")));

/* Own thread: runs `runnable` once, after what is queued already. */
static inline void neap_loop_push(struct neap_loop *loop, struct neap_runnable *runnable) {
    neap_line_push(&loop->ready, runnable);
}

/* Own thread: the same for what a deadline has woken. */
static inline void neap_loop_push_due(struct neap_loop *loop, struct neap_runnable *runnable) {
    neap_line_push(&loop->due, runnable);
}

/* Own thread: the same for work that was interrupted because it ran too long. */
static inline void neap_loop_push_late(struct neap_loop *loop, struct neap_runnable *runnable) {
    neap_line_push(&loop->late, runnable);
}

/* Called by `runnable`, which runs on this loop and has parked: lets the next one run now. True when after that it is
 * the turn of `runnable`: it was queued meanwhile, and has been taken out again. Own thread. */
bool neap_loop_pass(struct neap_loop *loop, struct neap_runnable *runnable);

/* Own thread: does the running code run so? Then it cannot do the same: neap_loop_pass says no. */
static inline bool neap_loop_is_passing(const struct neap_loop *loop) { return loop->passing; }

/* Own thread: is anything waiting for its turn, in the queues or in the mailbox? */
static inline bool neap_loop_has_ready(const struct neap_loop *loop) {
    return loop->ready.first != 0 || loop->due.first != 0 || loop->late.first != 0 ||
           !neap_mailbox_is_empty(loop->mailbox);
}

/* No other loop of the engine is busy: nobody could send it anything. */
static inline bool neap_loop_is_alone(const struct neap_loop *loop) {
    return loop->busy != 0 && atomic_load_explicit(loop->busy, memory_order_relaxed) <= 1;
}

/* Own thread: turns until `done(argument)`. Whoever makes that true cuts the turn, or what is queued behind it runs
 * first, for as long as that takes. May be called from within a turn (a host's frame that must wait). */
void neap_loop_run(struct neap_loop *loop, bool (*done)(void *argument), void *argument);

/* Own thread: is it being run, and may return? */
static inline bool neap_loop_is_done(const struct neap_loop *loop) {
    return loop->frame.done != 0 && loop->frame.done(loop->frame.argument);
}

/* Own thread: runs what is queued, and comes back when those that are behind would have their turn. */
void neap_loop_give_way(struct neap_loop *loop);

/* Own thread: runs everything that is queued or posted, without waiting for more. */
void neap_loop_drain(struct neap_loop *loop);

/* --- a loop that its host turns --- */

/* Own thread, outside of the loop: one turn, without waiting. True when the next one is due at once. From then on
 * whoever posts wakes the host: see guest.c. */
bool neap_loop_step(struct neap_loop *loop);
/* Own thread, outside of the loop: when it next wants to turn; 0: now. */
int64_t neap_loop_next(const struct neap_loop *loop);
/* Own thread, outside of the loop: something may have been queued that the host has not
 * been told of. True as of step. */
bool neap_loop_rest(struct neap_loop *loop);

/* The OS thread is about to start something that inherits its policy, which is the usual one then, until the loop that
 * runs here parks again: see core/patience.h. Any thread, one without a loop, too. */
void neap_loop_lose_patience(void);

/* Own thread: makes loop->uv, unless it is there; from then on the loop parks in libuv.
 * NEAP_NOMEM, or what the system said. */
int neap_loop_open_uv(struct neap_loop *loop);
/* The same, and gives it; NULL: it could not be made. */
uv_loop_t *neap_loop_uv(struct neap_loop *loop);

#endif
