/* task: a coroutine run by a loop. The essay is in task.c. Everything here is for the thread of the task's state. */
#ifndef NEAP_BINDINGS_TASK_TASK_H
#define NEAP_BINDINGS_TASK_TASK_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "bindings/handle/box.h"
#include "bindings/state/vm.h"
#include "core/list.h"
#include "core/wait.h"
#include "host/job.h"
#include "sync/future.h"

struct neap_region;
struct neap_scope;

/* Lies in a box of kind NEAP_HANDLE_TASK, whose user values hold the function and its arguments until a coroutine is
 * bound, and what it returned or raised after it has ended. The box is anchored while the task lives. */
struct neap_task {
    const struct neap_binding *binding; /* with `future`, which begins as its object does, a box: see box.h */
    struct neap_future future;          /* never shared: other threads see `job` */
    struct neap_list node;              /* in vm->tasks until it has ended */
    /* Of its blocking operations; its runnable is also how the task is queued to run, and its owner holds. */
    struct neap_wait wait;
    struct neap_link link;       /* of waits on one object */
    lua_State *coroutine;        /* that it runs in, or will; NULL while none is bound */
    struct neap_region *regions; /* the innermost timeout, shield or scope that it is in; see cancel.h */
    union {
        struct neap_job *job; /* once another thread may see it (NEAP_TASK_KNOWN), kept by the box's extras */
        /* Before: a reference to the scope that it belongs to; NULL: to none. Then it is the job's. */
        struct neap_scope *scope;
    };
    uint32_t id;         /* constant */
    uint32_t slot;       /* of vm->handles; 0: it has none, see ANCHORS in seat.c */
    uint16_t depth;      /* protected calls around the code that runs; see cancel.c */
    uint16_t unwinding;  /* 0, or the depth whose end ends the unwinding of a cancellation */
    uint16_t flags;      /* NEAP_TASK_* */
    uint8_t lua_blocked; /* resumes below the running coroutine that cannot be yielded across */
    uint8_t swallowed;   /* cancellations that interrupted its code and were caught; see slice.c */
};

enum {
    NEAP_TASK_DAEMON = 1,     /* nobody waits for it at the end */
    NEAP_TASK_QUIET = 2,      /* a failure is not reported */
    NEAP_TASK_CANCELLED = 4,  /* asked to stop, as a whole */
    NEAP_TASK_TURN = 8,       /* gave way: runs again after the others */
    NEAP_TASK_REPORTED = 16,  /* its failure counts in engine->failures */
    NEAP_TASK_PENDING = 32,   /* some cancellation may have to be raised: looked at by each wait */
    NEAP_TASK_TIMER = 64,     /* made by neap.timer or neap.every */
    NEAP_TASK_MAIN = 128,     /* the first of its state: its outcome is kept in the vm */
    NEAP_TASK_HANDLER = 256,  /* tells a failure: begins although its state is ending, and is not cancelled before */
    NEAP_TASK_CONTEXT = 512,  /* its extras have a context: see context.h */
    NEAP_TASK_POOLED = 1024,  /* its coroutine is one of vm->pool */
    NEAP_TASK_LENDS = 2048,   /* its worker takes other work while it waits; see worker.c */
    NEAP_TASK_BOUNDED = 4096, /* it waits in regions, no longer than they last: the deadline of its wait is theirs */
    NEAP_TASK_KNOWN = 8192,   /* it has a job: other threads may know it */
    NEAP_TASK_SCOPED = 16384, /* it was spawned in a scope, which tells of its failure */
    NEAP_TASK_UNASKED = 32768 /* what it returns is nobody's: the first of a program; see neap_run_spawn_surely, too */
};

enum { NEAP_TASK_MANY = UINT8_MAX }; /* so many results, or more: see neap_task_values */

struct neap_task_options {
    const char *name;         /* NULL: none */
    int64_t start;            /* deadline before which it does not run; 0: at once */
    uint16_t flags;           /* DAEMON, QUIET, TIMER, HANDLER, UNASKED; CANCELLED: it never runs */
    struct neap_scope *scope; /* NULL: none; a reference is taken */
    int reason;               /* of a thread that is CANCELLED: its place on the stack, from the bottom; 0: none */
    struct neap_job *job;     /* of the thread whose main task this is; NULL: an ordinary task. Outlives the task */
};

/* Kept where its parts have room. The pool that it does work of, or was spawned by what does; 0: none. See worker.c */
static inline uint32_t *neap_task_pool(const struct neap_task *task) { return (uint32_t *)&task->future.object.tag; }
/* Where it was spawned; 0: unknown. See failure.h */
static inline uint16_t *neap_task_site(const struct neap_task *task) { return (uint16_t *)&task->future.object.mark; }
/* Not started: how many values its function and arguments are; done: how many results are kept, or NEAP_TASK_MANY: then
 * it stands at [0] of the table that holds them. */
static inline uint8_t *neap_task_values(const struct neap_task *task) { return (uint8_t *)&task->link.mark; }

extern const struct neap_class neap_task_class;

/* Spawns a task for the function and `arguments` arguments on top of the stack; they are replaced by its handle. It
 * runs after the caller next waits. Raises when out of memory or when the state is closing. */
struct neap_task *neap_task_spawn(lua_State *L, int arguments, const struct neap_task_options *options);

/* Makes the record that stands for code outside tasks; its box is anchored for as long as the state lives. */
struct neap_task *neap_task_new_root(lua_State *L);

/* What takes the place of root, with its handle, when the state is being closed, or while root waits; outside of Lua.
 * NULL: no memory. */
struct neap_task *neap_task_new_ghost(struct neap_vm *vm);
void neap_task_free_ghost(struct neap_task *ghost);

/* Gives way: the task runs again after what is queued. Returns what the C function must return. */
int neap_task_yield(lua_State *L);

/* Pushes the handle of a task that has not ended. Raises when out of memory. */
void neap_task_push(lua_State *L, struct neap_task *task);

/* Asks the task whose box is at `box` to stop; the value on top of the stack is the reason (nil: none) and is popped.
 * False when it has ended or was asked before. */
bool neap_task_cancel(lua_State *L, int box);
/* Something in `task` was cancelled: if it is parked where that can be delivered, wakes it. */
void neap_task_interrupt(struct neap_task *task);

static inline struct neap_vm *neap_task_vm(const struct neap_task *task) {
    return NEAP_CONTAINER_OF(task->wait.loop, struct neap_vm, loop);
}

static inline bool neap_task_has_ended(const struct neap_task *task) { return neap_future_has_ended(&task->future); }

/* Other threads may know it: it has a job. */
static inline bool neap_task_is_known(const struct neap_task *task) { return (task->flags & NEAP_TASK_KNOWN) != 0; }

/* That job; NULL: it has none. */
static inline struct neap_job *neap_task_known_job(const struct neap_task *task) {
    return neap_task_is_known(task) ? task->job : NULL;
}

/* Its function has been called, or is just about to be. */
static inline bool neap_task_has_begun(const struct neap_task *task) {
    return neap_future_state(&task->future) != NEAP_FUTURE_NEW;
}

static inline struct neap_task *neap_task_current(lua_State *L) { return neap_vm_of(L)->current; }

/* A table that belongs to the task whose box is at `box`: "name", "data", "traceback", "reason", "job", "context",
 * "endless" (of neap.every). Pushes it, made first when `make` says so; else nil and false. */
bool neap_task_push_extras(lua_State *L, int box, bool make);

#endif
