/* pool: work that is queued, and workers that take it. The essay is in pool.c.
 *
 * The pool knows no threads or processes, and starts none: a worker is a number, in whose name somebody takes. Whoever
 * starts workers tells the pool when one has gone. */
#ifndef NEAP_HOST_POOL_H
#define NEAP_HOST_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/histogram.h"
#include "core/object.h"
#include "core/owner.h"
#include "core/wait.h"
#include "host/engine.h"
#include "host/work.h"

/* Operations of a link.
 * SUBMIT  link->message is the call, link->number what neap_pool_flags says. Waits while the queue is full. Afterwards
 *         message is a handle of the work; or result is NEAP_CLOSED; NEAP_BROKEN: see neap_pool_fail; NEAP_NOMEM;
 *         NEAP_FAILED, which nothing else is told with: its batch has failed.
 * TAKE    link->number is the worker. Afterwards message is the call of the next work, number its id; or result is
 *         NEAP_CLOSED: there is none, and there never will be.
 * LISTEN  link->number is the worker. Waits until it is asked something about work that it runs. Afterwards number is
 *         NEAP_POOL_REQUESTS times the id, plus the neap_work_request; message is the reason. Or result is NEAP_CLOSED:
 *         the pool has been terminated, and nothing more will be asked. Who hears of work that has not reached its
 *         runner yet gives its id as link->message next time, an integer: if it still runs, it hears the same again.
 * JOIN    waits until the pool has ended.
 * BEGIN   link->hold is that of a neap_series, which has begun afterwards, in the name of neap_wait_owner(link->wait);
 *         or result is NEAP_CLOSED, and it has not. Does not wait.
 * HASTE   waits until the pool is hastened, see neap_pool_hasten. */
enum neap_pool_op {
    NEAP_POOL_SUBMIT,
    NEAP_POOL_TAKE,
    NEAP_POOL_LISTEN,
    NEAP_POOL_JOIN,
    NEAP_POOL_BEGIN,
    NEAP_POOL_HASTE
};

enum {
    NEAP_POOL_QUIET = 1,
    NEAP_POOL_LEADS = 2,
    NEAP_POOL_GOES_ON = 4, /* it is of a series, which the submitter has begun */
    NEAP_POOL_FLAGS = 8,
    NEAP_POOL_REQUESTS = 4
};

/* `quiet`: its failure is the submitter's concern. Work of a batch (a map): what of it has not begun is cancelled when
 * the first of it fails. `leads`: it is the first of a batch, which has its id from then on; `batch`: that id, or 0. */
static inline int64_t neap_pool_flags(bool quiet, bool leads, uint64_t batch) {
    return (int64_t)(batch * NEAP_POOL_FLAGS) | (quiet ? NEAP_POOL_QUIET : 0) | (leads ? NEAP_POOL_LEADS : 0);
}

enum neap_pool_kind { NEAP_POOL_THREADS, NEAP_POOL_PROCESSES, NEAP_POOL_TASKS };

enum { NEAP_POOL_NAME_MAX = 47, NEAP_POOL_BUCKETS = 64, NEAP_POOL_FAILED_MAX = 16 };

struct neap_pool_stats {
    uint64_t submitted, done, failed, cancelled; /* since the beginning */
    uint64_t queued, running;                    /* now */
    uint64_t lost;                               /* workers that ended without being asked to */
    struct neap_histogram wait, run; /* how long work waited in the queue, and how long it took: of all that ran */
};

/* What every submitter and every taker writes comes first, together: between threads it is memory, not work,
 * that takes the time. */
struct neap_pool {
    struct neap_object object; /* shared from the start */
    /* neap_work.node: the oldest first; a reference each. Guard, as all below that is not constant. */
    struct neap_list queue;
    _Atomic size_t queued; /* length of the queue. Written under the guard */
    /* Takers that look at `queued` and will come for work: see LOOKERS. Fewer under the guard only. */
    _Atomic uint32_t lookers;
    _Atomic bool closed;                                     /* nothing begins any more; what has begun is done */
    _Atomic bool ended;                                      /* no worker is left, nor who ends what it had */
    bool hastened;                                           /* somebody waits for its end; closed as well */
    bool terminated;                                         /* all that has begun is cancelled; closed as well */
    uint64_t last_id;                                        /* given to work */
    uint64_t submitted;                                      /* pieces of work since the beginning */
    uint64_t series;                                         /* that have begun and not ended */
    struct neap_need unfinished;                             /* work that has not ended */
    struct neap_list submitters, takers, listeners, joiners; /* links, by operation */
    struct neap_list lazy;                                   /* those with HASTE */
    struct neap_outcome *broken; /* why no work can be done: with it all fails. NULL: it can. Owned */
    struct neap_engine *engine;  /* constant, as are the next ones */
    uint64_t id;                 /* no other pool, task or thread of the engine has it */
    uint32_t tag;                /* what it is known by, in whatever process; never 0 */
    size_t limit;                /* of the queue; SIZE_MAX: none */
    uint32_t workers;            /* how many there are to be */
    enum neap_pool_kind kind;
    char name[NEAP_POOL_NAME_MAX + 1];           /* terminated, cut */
    struct neap_list running[NEAP_POOL_BUCKETS]; /* neap_work.node: by id; a reference each */
    /* The last batches that have failed, round and round: more of them may still come, and is refused. What comes of an
     * older one is work like any other. */
    uint64_t failed[NEAP_POOL_FAILED_MAX];
    uint32_t failed_at;           /* where the next one goes */
    bool deserted;                /* no worker is left */
    uint32_t ending;              /* threads that end what was queued, or what nobody is left to do: see ORDER */
    struct neap_pool_stats stats; /* but for `submitted` and `queued`, see neap_pool_read_stats */
};

/* Work that is submitted bit by bit: a map, or an iterator, of which more may come though the pool is closed meanwhile.
 * It ends when it is given back (neap_hold_give_back), or its owner ends. */
struct neap_series {
    struct neap_hold hold; /* owner's thread; linked from its beginning to its end */
};

/* Not begun; the pool is kept alive by the caller until it is. */
void neap_series_init(struct neap_series *series, struct neap_pool *pool);

/* `name` NULL: one is made of the id. `limit` 0: none. One reference, shared; NULL: no memory. */
struct neap_pool *neap_pool_new(struct neap_engine *engine, enum neap_pool_kind kind, uint32_t workers, size_t limit,
                                const char *name);

/* What promises are made of in a process where the pool does not live; of `tag` and `name` like that. The same. */
struct neap_pool *neap_pool_new_elsewhere(struct neap_engine *engine, uint32_t tag, const char *name);

/* --- any thread, no guard held --- */

/* A worker has done the work `id`: ends its future. False when it has ended already. What came out, NULL for
 * nothing, and what is left of the call, or NULL, are empty afterwards: that goes with the work, so that it is
 * dropped where it was made. */
bool neap_pool_finish(struct neap_pool *pool, uint64_t id, enum neap_future_state state, struct neap_outcome *outcome,
                      struct neap_message *call);

/* Work that no worker does, but the task of `job`, which calls neap_pool_finish; cancelling it cancels that task. A new
 * reference, for the caller. NULL: no memory. */
struct neap_work *neap_pool_promise(struct neap_pool *pool, struct neap_job *job);

/* What is queued is cancelled at once; who runs it is asked. `reason` is taken over when true. False when it has ended,
 * or as much was asked before. */
bool neap_pool_request(struct neap_work *work, enum neap_work_request request, struct neap_message *reason);

/* A worker has ended: what it still ran fails with copies of `outcome` (taken over), or was cancelled where that is
 * NULL. `lost`: it was not to end, whatever it did; nor was one that has failed work. */
void neap_pool_bury(struct neap_pool *pool, uint64_t worker, bool lost, struct neap_outcome *outcome);

/* Nothing begins any more: no work is taken but that of who is in line already, and of the series that have begun. */
void neap_pool_close(struct neap_pool *pool);
/* The same, and who submits a series only as its results are taken is to submit the rest: somebody waits for the
 * end. Of a series of a broken pool no more is taken. */
void neap_pool_hasten(struct neap_pool *pool);
/* No work is taken at all, and what there is is cancelled. */
void neap_pool_terminate(struct neap_pool *pool);
/* No work can be done: what is queued, and all that comes, fails with copies of `outcome`, which is taken over. */
void neap_pool_break(struct neap_pool *pool, struct neap_outcome *outcome);
/* SUBMIT said NEAP_BROKEN: work that has failed with that. Takes over `call`. NULL: no memory. */
struct neap_work *neap_pool_fail(struct neap_pool *pool, struct neap_message *call, bool quiet);
/* No worker is left, and none will come: cancels what is left for them, and lets join go on.
 * Promises are kept by others. Returns how much of it nobody had asked to stop. */
uint64_t neap_pool_end(struct neap_pool *pool);

bool neap_pool_is_broken(struct neap_pool *pool);
/* Is there work in the queue, or may there be more? */
bool neap_pool_wants_workers(struct neap_pool *pool);

/* Guard held. Work that runs; NULL: there is none of that id. */
struct neap_work *neap_pool_find_running(struct neap_pool *pool, uint64_t id);

void neap_pool_read_stats(struct neap_pool *pool, struct neap_pool_stats *stats);

extern const struct neap_class neap_pool_class;

#endif
