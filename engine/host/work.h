/* work: what a pool was asked to do: a future, with the message that says what is to be called. */
#ifndef NEAP_HOST_WORK_H
#define NEAP_HOST_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/list.h"
#include "core/message.h"
#include "sync/future.h"

struct neap_engine;
struct neap_job;
struct neap_pool;

/* Where it stands. Written under the guard of its pool; who makes it ENDED ends the future, once the guard is free. */
enum neap_work_phase { NEAP_WORK_QUEUED, NEAP_WORK_RUNNING, NEAP_WORK_ENDED };

/* What a worker has been asked about it. */
enum neap_work_request {
    NEAP_WORK_GO_ON,
    NEAP_WORK_DROP,  /* not to begin with what has not begun */
    NEAP_WORK_CANCEL /* to stop */
};

/* In the order in which the threads of submitter and worker need it. */
struct neap_work {
    struct neap_future future; /* first; shared from the start */
    bool near;              /* a thread of ours does it, and may be done in a moment. Constant once others know of it */
    bool quiet;             /* its failure is somebody's concern: not counted as unread. Constant */
    struct neap_pool *pool; /* a reference; constant */
    /* The task that ends it, a reference; NULL: a worker does. Constant once others know of it. */
    struct neap_job *promised;
    /* In a list of its pool, with a reference, until it has ended. The pool's guard, as all below. */
    struct neap_list node;
    uint64_t id;                /* among the work of its pool; positive. Constant */
    uint64_t batch;             /* the id of the first of its batch; 0: it is of none. Constant */
    uint64_t worker;            /* that runs it; 0: none. Constant while it runs */
    int64_t submitted, started; /* times of the clock; constant */
    uint8_t phase;              /* enum neap_work_phase */
    uint8_t request;            /* enum neap_work_request; only ever grows */
    uint8_t told;               /* what of it the worker has been told */
    struct neap_message call;   /* what is to be done; once a worker has taken it: what it has given back */
    struct neap_outcome result; /* what the future's outcome is, if anything came out */
    /* Of a cancellation; constant once the future has ended, and once CANCEL is requested. */
    struct neap_message reason;
    struct neap_list unread; /* in engine->unread, with a reference; the engine's guard */
};

/* By its place in a list of its pool. */
static inline struct neap_work *neap_work_at(struct neap_list *node) {
    return NEAP_CONTAINER_OF(node, struct neap_work, node);
}

/* A call of other processes, beside those of jobs (host/mirror.h): it need not go on. */
enum { NEAP_WORK_GIVE_UP = 32 };

/* One reference, shared, queued nowhere; takes over `call`, and a new reference to `pool`. NULL: no memory. */
struct neap_work *neap_work_new(struct neap_pool *pool, uint64_t id, struct neap_message *call, bool quiet);

/* No guard held; the phase is ENDED, by the caller. Ends the future, and gives back the reference of the list it was
 * in. Counts a failure as unread, until neap_work_observe. `outcome` is empty afterwards; NULL: there is none. */
void neap_work_end(struct neap_work *work, enum neap_future_state state, struct neap_outcome *outcome);

/* Any thread: somebody has seen how it ended. */
void neap_work_observe(struct neap_work *work);

/* The main thread, at the end: takes the next failure that nobody has seen out of the engine's list, and gives the
 * reference to the caller; NULL: none is left. Only the first NEAP_WORK_UNREAD_MAX are in the list. */
struct neap_work *neap_work_next_unread(struct neap_engine *engine);
enum { NEAP_WORK_UNREAD_MAX = 20 };

extern const struct neap_class neap_work_class;

#endif
