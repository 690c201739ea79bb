/* vm: what the engine knows of one Lua state. Used by the state's thread only. */
#ifndef NEAP_BINDINGS_STATE_VM_H
#define NEAP_BINDINGS_STATE_VM_H

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bindings/state/anchors.h"
#include "bindings/state/limits.h"
#include "bindings/task/slice.h"
#include "core/list.h"
#include "core/loop.h"

struct neap_arena;
struct neap_task;
struct neap_encoder;
struct neap_job;
struct neap_outcome;
struct site_store;
struct neap_engine;

/* One per kind of handle; indexes neap_vm.metatables and neap_bindings. */
enum neap_handle {
    NEAP_HANDLE_CHANNEL,
    NEAP_HANDLE_QUEUE,
    NEAP_HANDLE_PIPE,
    NEAP_HANDLE_LOCK,
    NEAP_HANDLE_RLOCK,
    NEAP_HANDLE_RWLOCK,
    NEAP_HANDLE_CONDITION,
    NEAP_HANDLE_SEMAPHORE,
    NEAP_HANDLE_BOUNDED_SEMAPHORE,
    NEAP_HANDLE_EVENT,
    NEAP_HANDLE_BARRIER,
    NEAP_HANDLE_SIGNAL,
    NEAP_HANDLE_TASK,     /* a task of this state: its record lies in the box */
    NEAP_HANDLE_TASK_JOB, /* a task of another state */
    NEAP_HANDLE_THREAD,
    NEAP_HANDLE_PROCESS,
    NEAP_HANDLE_VALUE,
    NEAP_HANDLE_ARRAY,
    NEAP_HANDLE_BUFFER,
    NEAP_HANDLE_DICT,
    NEAP_HANDLE_LIST,
    NEAP_HANDLE_STREAM,
    NEAP_HANDLE_LISTENER,
    NEAP_HANDLE_DATAGRAM,
    NEAP_HANDLE_PROGRAM,
    NEAP_HANDLE_FILE,
    NEAP_HANDLE_FILE_WATCH,
    NEAP_HANDLE_POLL,     /* of a listener in this state; scripts do not see it */
    NEAP_HANDLE_OFFLOAD,  /* scripts do not see it */
    NEAP_HANDLE_AGENT,    /* likewise */
    NEAP_HANDLE_TRANSFER, /* likewise */
    NEAP_HANDLE_TLS,      /* certificates and choices; scripts do not see it */
    NEAP_HANDLE_POOL,
    NEAP_HANDLE_FUTURE,
    NEAP_HANDLE_COUNT
};

/* What the state has printed and not written yet: see libraries.c. */
struct neap_output {
    char *bytes;       /* owned */
    size_t used, room; /* of bytes: collected, allocated */
    bool terminal;     /* stdout is one */
    const void *sink;  /* the file that stands for stdout where the host takes the output; its address. NULL: none */
    char *warning;     /* pieces of a warning that is not complete; owned */
    uint8_t warnings;  /* of warn(): enum in libraries.c */
};

struct neap_vm {
    lua_State *main;            /* the state's main thread */
    struct neap_arena *arena;   /* of a limited state: its memory. Owned */
    struct neap_engine *engine; /* constant */
    struct neap_loop loop;      /* of the state's thread */
    struct neap_task *root;     /* stands for code that no task runs: a host's frame */
    /* Is root while the state is being closed: outlives what lies in Lua; owned. NULL before */
    struct neap_task *ghost;
    struct neap_task *current;   /* whose code runs; root when no task's does */
    lua_State *volatile running; /* the innermost coroutine of current; NULL outside tasks. Read by signal handlers */
    lua_State *blocked;          /* while current->lua_blocked is not 0: the outermost coroutine that cannot yield */
    int blocked_level;           /* the innermost of its frames that can be why */
    int metatables[NEAP_HANDLE_COUNT]; /* registry references; 0 until first used */
    struct neap_encoder *encoder;      /* the codec's scratch; see codec.h */
    struct neap_list tasks;            /* neap_task.node: started or not, but not ended */
    struct neap_anchors handles;       /* boxes of live tasks, by task->slot: see ANCHORS in seat.c */
    struct neap_anchors pool;          /* coroutines that are used again and again; none is ever removed */
    lua_State **idle;               /* those of the pool that no task is bound to: a stack with room for all; owned */
    uint32_t idle_count, idle_room; /* of idle: used, allocated */
    size_t outside;                 /* bytes of objects that the collector was not told of yet; see box.c */
    uint32_t budget;                /* waits that may still be served at once before a task must give way */
    uint64_t next_id;               /* of its tasks: the engine gives them out by the lot */
    uint32_t ids_left;              /* of the present lot */
    uint32_t needed;                /* tasks that have not ended and are not daemon */
    uint64_t dropped;               /* work of its pools that nobody was left to do */
    uint32_t task_count;            /* tasks that have not ended */
    struct neap_limits limits;      /* see limits.c */
    struct neap_outcome *outcome;   /* of a thread's main task, once that has ended; owned */
    int outcome_state;              /* enum neap_future_state that goes with it; 0: it has not ended */
    char *origin;                   /* where the thread was spawned, as lines of a traceback; NULL: nowhere. Owned */
    struct site_store *sites;       /* see site.c; owned */
    struct neap_output output;      /* see libraries.c */
    bool open;                      /* spawning is allowed */
    bool closed;                    /* no task runs any more */
    struct neap_slice slice;        /* see slice.c */
    struct neap_list node;          /* in engine->states; its guard */
    struct neap_job *job;           /* of the thread, which keeps it; NULL: the main state. Constant once open */
    /* Outside tasks: the root's wait was interrupted, for a reason that is no cancellation (see
     * plain.c). Raises; NULL: never. */
    int (*interrupted)(lua_State *L);
    /* Whether it is a function of ours that calls the work of a pool: see WORK in bindings/report/failure.c. NULL: no
     * worker has been here. */
    bool (*calls_work)(lua_CFunction function);
    bool limited;    /* its memory is accounted for, see state.c. Constant */
    bool host_turns; /* the loop is turned by its host, from within which it cannot be turned. Constant */
    bool calls_back; /* a callback of somebody else's library runs, from within which the loop cannot be turned */
    bool foreign;    /* somebody else made the state, and closes it with our tasks in it. Constant */
    struct neap_object **late;      /* of boxes that were collected while the state is being closed; see box.c. Owned */
    uint32_t late_count, late_room; /* of late: used, allocated */
    struct neap_runnable reporting; /* posted at most once: says which tasks have not ended; see report.c */
    _Atomic bool has_reported;      /* it has run. Release; by its thread */
};

/* The vm of any coroutine of a state: its address stands in the extra space of the main
 * thread, which coroutines copy. */
static inline struct neap_vm *neap_vm_of(lua_State *L) { return *(struct neap_vm **)lua_getextraspace(L); }

/* The coroutine that runs: of a task, or the main one, outside of all tasks. NULL: the loop does. For signal handlers,
 * too. */
static inline lua_State *neap_vm_running(const struct neap_vm *vm) {
    return vm->running == NULL && vm->current == vm->root ? vm->main : vm->running;
}

/* Outside of tasks: may the loop be turned from here? */
static inline bool neap_vm_may_turn(const struct neap_vm *vm) { return !vm->host_turns && !vm->calls_back; }

/* The record and its loop, before there is a state. One more reference to `mailbox`. NULL: no memory. */
struct neap_vm *neap_vm_new(struct neap_engine *engine, struct neap_mailbox *mailbox);
/* Makes `L` the state of `vm`: the replaced functions of the standard library, what the bindings keep in the
 * registry. Raises when out of memory. */
void neap_vm_open(struct neap_vm *vm, lua_State *L);
/* Asks every task to stop, and lets none be spawned any more. */
void neap_vm_stop(struct neap_vm *vm);
/* Before lua_close: no task runs any more; those that still wait are taken out of what they wait on. */
void neap_vm_close(struct neap_vm *vm);
/* After lua_close. */
void neap_vm_free(struct neap_vm *vm);

#endif
