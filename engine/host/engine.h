/* engine: one instance; what its threads share. A process may have several. */
#ifndef NEAP_HOST_ENGINE_H
#define NEAP_HOST_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/guard.h"
#include "core/list.h"
#include "core/loop.h"
#include "host/crew.h"
#include "host/job.h"
#include "host/lookout.h"
#include "host/screen.h"
#include "sync/ring.h"

struct neap_board;
struct neap_cells;
struct neap_channel;
struct neap_class;
struct neap_embedding;
struct neap_hub;
struct neap_object;
struct neap_process;
struct neap_signals;
struct neap_thread;

/* Something whose work the program stays alive for, such as a pool. */
struct neap_need {
    struct neap_list node;  /* in engine->needs; its guard */
    _Atomic uint64_t count; /* of what has not ended. Sequentially consistent, as is engine->attended */
};

struct neap_engine {
    atomic_int busy;        /* loops that are not idle: see COUNTING in core/mailbox.c */
    _Atomic uint64_t ids;   /* the last id given to a task, thread or process; relaxed */
    atomic_int failures;    /* tasks, threads and processes that failed and that nobody has joined; relaxed */
    atomic_int jobs_needed; /* threads and processes that have not ended and are not daemon; who leaves releases */
    atomic_int reports;     /* failures on their way to the main state; who sent one leaves jobs_needed later */
    _Atomic uint32_t alive; /* threads whose body has not ended; who leaves releases */
    _Atomic uint32_t process_count; /* in `processes`; written under guard, who leaves releases */
    _Atomic bool stopping;          /* no thread or process may start any more; set under guard */
    _Atomic int exit_status;        /* what os.exit, a signal or a deadlock asked for; -1: nothing. First one wins */
    _Atomic int output_error;       /* the errno of the first write to stdout that failed; 0: none. Relaxed */
    struct neap_mailbox *main;      /* of the loop that stays to the end; counted. Constant once set */
    /* Of the program's main task, a reference; NULL in a host without one. Constant once threads run. */
    struct neap_job *main_job;
    struct neap_guard guard;            /* of the lists */
    struct neap_list threads;           /* neap_thread.node: started, not ended */
    struct neap_list excused;           /* neap_thread.node: but for its loop, which waits for libuv's threads */
    struct neap_crew crew;              /* the OS threads that they run on; it has a guard of its own */
    struct neap_list processes;         /* neap_process.node: started, not ended */
    struct neap_list needs;             /* neap_need.node */
    _Atomic bool attended;              /* somebody waits until nothing is needed: `main` is told. Never false again */
    struct neap_list states;            /* neap_vm.node, for the bindings: the Lua states that are open; guard */
    _Atomic(struct neap_cells *) cells; /* NULL until the first is asked for; see neap_engine_cells */
    struct neap_hub *hub;               /* made by neap_hub_get, under the guard; NULL: nobody has needed it */
    _Atomic(struct neap_spare *) spare; /* NULL: none is ready. Exchanged, acquire and release */
    _Atomic bool spare_wanted;          /* a thread was started, and will take it; relaxed */
    _Atomic(struct neap_kept *) kept;   /* the newest first; entries are constant and stay as long as the engine */
    struct neap_signals *signals;       /* likewise, by neap_signal_open */
    struct neap_channel *helpers;       /* likewise, by neap_engine_helpers: a reference */
    struct neap_list unread;            /* neap_work.unread: failed, nobody has seen it; a reference each. guard */
    uint32_t unread_count;              /* of unread; guard */
    struct neap_list unjoined;          /* neap_unjoined.node; guard */
    uint32_t unjoined_count;            /* of unjoined; guard */
    struct neap_patience patience;      /* how its threads share processors */
    struct neap_rings rings;            /* who waits for a lock while holding others */
    void (*stuck)(struct neap_loop *loop); /* every loop waits for another; NULL: such waiting is the host's business */
    _Atomic bool forward_failures;         /* the main state wants to be told of failures in others; by its thread */
    void (*overdue)(
        struct neap_engine *engine); /* in a signal handler: the program is to end, and its main thread does not
                                                  * come back to its loop; NULL: nobody cares. Constant */
    bool (*on_output)(
        struct neap_engine *engine, bool is_error, const char *bytes,
        size_t size);     /* the hub's thread: gives what a child process has printed to the host. False, or NULL:
                                      * it goes to our own stdout or stderr. Constant */
    bool slices;          /* the host lets us use a signal to interrupt running Lua. Constant */
    int slice_signal;     /* which; constant */
    uint32_t threads_max; /* threads that may be alive at a time; 0: no limit. Constant */
    double slice;         /* seconds a task may run while others are ready, in the main thread at first; constant */
    struct neap_screen screen; /* the terminal, while lines are edited on it */
    /* Of the family of processes; NULL until there is one. Written under the guard. */
    _Atomic(struct neap_board *) board;
    struct neap_lookout lookout; /* the wires to other processes */
    /* Of the bindings: what states have in common. A reference; NULL: not needed yet. Guard. */
    struct neap_object *commons;
    struct neap_object *inherited;    /* that of the first process; a reference, or NULL. Constant once threads run */
    const struct neap_makers *makers; /* of what comes from other processes; see host/session.h. Constant */
    /* Whose objects can be made anew in another process: see host/packer.h. Constant. */
    const struct neap_class *const *classes;
    /* The program that child processes run, as the host says; NULL: none. Constant once processes run. */
    const char *runner;
    void *context; /* the vm of the main loop, for the bindings; NULL: none. Constant once threads run */
    /* What a host has asked for, for the bindings; NULL: there is no host. Constant. */
    struct neap_embedding *embedding;
};

/* What the bindings have made ahead for the next thread; they know what it is. */
struct neap_spare {
    void (*drop)(struct neap_spare *spare); /* nobody will use it */
};

/* Bytes that the bindings keep for all states of an engine. */
struct neap_kept {
    struct neap_kept *next;
    const void *key; /* an address that tells what they are */
    size_t size;     /* of bytes */
    char bytes[];
};

/* A body, and the job that stands for it. */
struct neap_thread {
    struct neap_list node;                   /* in engine->threads or `excused`; its guard */
    struct neap_engine *engine;              /* constant */
    struct neap_job *job;                    /* one reference */
    int (*body)(struct neap_thread *thread); /* runs on the new thread; ends the job */
    void *argument;                          /* body's */
    bool needed;                             /* the program waits for it. The engine's guard */
};

int neap_engine_init(struct neap_engine *engine);
/* No thread is left. */
void neap_engine_fini(struct neap_engine *engine);

/* The first of `count` numbers that follow each other and that nothing else in the engine has. Any thread. */
uint64_t neap_engine_next_ids(struct neap_engine *engine, uint32_t count);
static inline uint64_t neap_engine_next_id(struct neap_engine *engine) { return neap_engine_next_ids(engine, 1); }

/* Any thread: the board of the family, made on the first call. 0, NEAP_NOMEM, or what the system said. */
int neap_engine_board(struct neap_engine *engine, struct neap_board **board);

/* Where its shared memory comes from, as long as the engine lives; NULL: no memory. Any thread. */
struct neap_cells *neap_engine_cells(struct neap_engine *engine);

/* Any thread: the channel on which idle helper threads receive, made on the first call; the engine's reference. A
 * rendezvous that serves the one which came last. NULL: no memory. */
struct neap_channel *neap_engine_helpers(struct neap_engine *engine);

/* Puts `spare` (NULL: nothing) in the place of what is there, which is the caller's from now on. Any thread. */
struct neap_spare *neap_engine_swap_spare(struct neap_engine *engine, struct neap_spare *spare);
/* Is it time to make one? Says so to one caller after each start of a thread, once none is there. Any thread. */
bool neap_engine_wants_spare(struct neap_engine *engine);

/* Room for `size` bytes, to be filled in; NULL: no memory. */
struct neap_kept *neap_kept_new(const void *key, size_t size);
/* Takes it over: any thread finds it from now on. If two keep the same, one of them is found. Any thread. */
void neap_engine_keep(struct neap_engine *engine, struct neap_kept *kept);
/* What is kept under `key`, for as long as the engine lives; NULL: nothing. Any thread. */
const struct neap_kept *neap_engine_find_kept(const struct neap_engine *engine, const void *key);

/* Has an OS thread run `body`; the thread record is the engine's from then on. Takes over one reference to
 * `job` on success. Any thread. 0, NEAP_NOMEM, NEAP_CLOSED (the engine is stopping), or what the system said. */
int neap_thread_start(struct neap_engine *engine, struct neap_job *job, int (*body)(struct neap_thread *),
                      void *argument);
/* By its body, which has ended the job and closed its state: the program waits for it no longer than for a daemon. */
void neap_thread_excuse(struct neap_thread *thread);
/* Is there such a thread? Any thread. */
bool neap_engine_has_excused(struct neap_engine *engine);

/* Any thread: `need` counts from now on; and no longer, which must be before the engine ends. Its count is 0. */
void neap_engine_add_need(struct neap_engine *engine, struct neap_need *need);
void neap_engine_remove_need(struct neap_engine *engine, struct neap_need *need);
/* Any thread of the engine: the program stays alive for one thing more, or `count` less. */
static inline void neap_engine_need(struct neap_need *need) { atomic_fetch_add(&need->count, 1); }
void neap_engine_relent(struct neap_engine *engine, struct neap_need *need, uint64_t count);
/* Is there anything that the program stays alive for: threads and processes that are not daemon, work of
 * pools? Once this has been asked the loop `main` looks around when it may have become false. Any thread;
 * acquires what they have done. */
bool neap_engine_is_needed(struct neap_engine *engine);

/* Any thread, which is counted itself or serves others: one thing more, or less,
 * that something may happen to by itself: see `busy`. */
void neap_engine_count_in(struct neap_engine *engine);
void neap_engine_count_out(struct neap_engine *engine);

/* Any thread: the program is to end with `status`, in order. The first one to ask wins. */
void neap_engine_exit(struct neap_engine *engine, int status);

/* Asks every thread and process but those that have ended to stop; from now on none starts. */
void neap_engine_stop_threads(struct neap_engine *engine);
/* How many threads have not ended; if none, they are joined: nothing of them is left. */
uint32_t neap_engine_join(struct neap_engine *engine);
/* Calls `visit` for the job of each live thread, or process, holding the guard. */
void neap_engine_each_thread(struct neap_engine *engine, void (*visit)(struct neap_job *job, void *argument),
                             void *argument);
void neap_engine_each_process(struct neap_engine *engine, void (*visit)(struct neap_job *job, void *argument),
                              void *argument);

/* Another process has started, or has ended: counts it. ENTER: false, and nothing has happened, when the engine is
 * stopping. LEAVE: whoever waited for that is told. */
bool neap_engine_enter(struct neap_engine *engine, struct neap_process *process);
void neap_engine_leave(struct neap_engine *engine, struct neap_process *process);

#endif
