/* slice: interrupting a task that does not wait: to let others run, and to stop it. The essay is in slice.c. Everything
 * here is for the thread of the state. */
#ifndef NEAP_BINDINGS_TASK_SLICE_H
#define NEAP_BINDINGS_TASK_SLICE_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct neap_task;
struct neap_vm;

enum { NEAP_FOREIGN_HOOKS = 4 };

/* A hook that somebody else had set (debug.sethook, a debugger) on a coroutine that ours was set on. */
struct neap_foreign_hook {
    lua_State *volatile coroutine; /* NULL: the entry is free. Written last when filled in, first when emptied */
    lua_Hook hook;
    int mask, count;             /* as it was */
    int armed_mask, armed_count; /* what ours was set with meanwhile */
};

/* Part of neap_vm. "Handler": what runs in a signal handler on this thread. */
struct neap_slice {
    double seconds;         /* how long a task may run while others are ready; 0: until it waits */
    int patience;           /* the same in beats of the pulse; see BEATS */
    int signal;             /* that interrupts this thread; 0: it may not be interrupted */
    int64_t hard_at;        /* deadline after which tasks are stopped by force; 0: not asked to stop */
    volatile uint32_t turn; /* resumes of tasks so far */
    uint32_t seen;          /* turn at the last beat. Handler only */
    /* During the present resume: since somebody wanted something of the task, since it is to stop. */
    volatile sig_atomic_t beats, stop_beats;
    volatile sig_atomic_t unheard; /* beats since the hook was called, or more; see GRACE */
    const void *due;               /* what the hook has seen: a region or the task that is to stop; NULL: neither */
    uint32_t due_turn;             /* turn at that time */
    int heard, calls;              /* of the hook since: in a row after one beat each, and all that followed a beat */
    volatile sig_atomic_t armed;   /* some coroutine may carry our hook; cleared by neap_slice_settle */
    bool pulsing;                  /* the pulse has been started from here */
    bool preempted;                /* the running task is just being put back: joins the late ones */
    struct neap_foreign_hook foreign[NEAP_FOREIGN_HOOKS];
};

/* As the engine says; threads take over what their spawner has, see inherit. Before neap_slice_open. */
void neap_slice_init(struct neap_vm *vm);
void neap_slice_inherit(struct neap_vm *vm, int signal, double seconds);
/* The state is there: from now on the thread may be interrupted, if that was allowed. */
void neap_slice_open(struct neap_vm *vm);
/* It is not any more. Idempotent. */
void neap_slice_close(struct neap_vm *vm);

/* There is something that may want to interrupt: a second task, or a request to stop. */
void neap_slice_start_pulse(struct neap_vm *vm);
static inline void neap_slice_start(struct neap_vm *vm, const struct neap_slice *slice) {
    if (slice->signal != 0 && !slice->pulsing) neap_slice_start_pulse(vm);
}

/* Every task was asked to stop: what has not ended some seconds from now is stopped by force. */
void neap_slice_stop(struct neap_vm *vm);

/* The running task has done something that it must have the time to take note of: see GRACE. */
static inline void neap_slice_grant(struct neap_slice *slice) { slice->unheard = 2; /* not in a row */ }
/* The region is left: another may come to be at its address. */
static inline void neap_slice_forget(struct neap_slice *slice, const void *region) {
    if (slice->due == region) slice->due = NULL;
}

/* A shield of the running task has ended: if it has long been asked to stop, that is looked at at once. So a loop that
 * spends nearly all of its time inside shields is stopped, too. */
void neap_slice_look_again(lua_State *L, const struct neap_task *task);

/* To be called after each lua_resume of `left`, when vm->running has been set to the resumer (NULL: no
 * coroutine), and before vm->current is. */
void neap_slice_settle(struct neap_vm *vm, lua_State *left);
static inline void neap_slice_leave(struct neap_vm *vm, const struct neap_slice *slice, lua_State *left) {
    if (slice->armed) neap_slice_settle(vm, left);
}

/* neap.slice([seconds]) -> what it was */
int neap_slice_call(lua_State *L);

#endif
