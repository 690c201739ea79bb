/* cancel: stopping tasks, and parts of them. The essay is in cancel.c. */
#ifndef NEAP_BINDINGS_TASK_CANCEL_H
#define NEAP_BINDINGS_TASK_CANCEL_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "bindings/task/task.h"

/* A stretch of a task's code that can be stopped, or protected, as a whole: the body of timeout, shield, scope. Lies in
 * a userdata on the stack of the call that it stands for. */
struct neap_region {
    struct neap_region *outer; /* NULL for the outermost of the task */
    lua_State *coroutine;      /* that entered it */
    int64_t own_deadline;      /* of this region alone */
    int64_t deadline;   /* the nearest one that counts within: of this region and, unless shielded, those around it */
    bool shield;        /* cancellations from outside do not pass */
    bool cancelled;     /* asked to stop; stays */
    bool timed_out;     /* it was its deadline that asked */
    bool noted;         /* a shield: it has held off what was asked for, for long. slice.c */
    uint16_t unwinding; /* of the task when it was entered: put back when it is left */
    int reason;         /* registry reference of what the error will say; 0: nothing. Of who made the region */
};

/* Raises the cancellation that is pending for `task`, the running one; returns when none is. */
void neap_cancel_check(lua_State *L, struct neap_task *task);
/* Would neap_cancel_check raise? */
bool neap_cancel_is_due(const struct neap_task *task);
/* The region that was asked to stop and for which it would, or `task` itself; NULL: it would not. */
const void *neap_cancel_due(const struct neap_task *task);
/* The nearest deadline of the regions around the running code; NEAP_FOREVER. */
static inline int64_t neap_cancel_deadline(const struct neap_task *task) {
    return task->regions == NULL ? INT64_MAX : task->regions->deadline;
}
/* Has the time of one of the regions passed, without anybody having noted that? For signal handlers, too. */
bool neap_cancel_is_late(const struct neap_task *task);
/* Notes it: those whose own deadline it was are cancelled. */
void neap_cancel_expire(struct neap_task *task);

/* Pushes a new cancellation error with the reason at `index` (0: none). */
void neap_cancel_push_error(lua_State *L, int index);
/* Pushes the reason that h:cancel gave for the task, or nil. */
void neap_cancel_push_reason(lua_State *L, struct neap_task *task);
/* The metatable of these errors: the class of this name, which every state knows without registering it. */
#define NEAP_CANCELLED_CLASS "neap.Cancelled"
void neap_cancel_push_metatable(lua_State *L);
/* Is the value at `index` one? */
bool neap_cancel_is_error(lua_State *L, int index);

/* Protected calls count how deep they are: enter returns the depth to be given to leave.
 * `failed`: an error was caught. */
static inline uint16_t neap_cancel_enter(struct neap_task *task) { return ++task->depth; }
static inline void neap_cancel_leave(struct neap_task *task, uint16_t depth, bool failed) {
    task->depth = (uint16_t)(depth - 1);
    if (failed && task->unwinding >= depth) task->unwinding = 0;
}

/* A coroutine of the user's own has its own count of depth. enter returns what leave wants: how it stood outside.
 * `failed`: an error came out of the coroutine; `caught`: it goes no further. */
lua_KContext neap_cancel_enter_coroutine(struct neap_task *task);
void neap_cancel_leave_coroutine(struct neap_task *task, lua_KContext outside, bool failed, bool caught);
/* The running coroutine is left by coroutine.yield. True when protected calls of its own are open: then `*inside` and
 * `*innermost`, its region or NULL, are to be given to resume when it goes on. */
bool neap_cancel_suspend(const struct neap_task *task, lua_KContext *inside, struct neap_region **innermost);
void neap_cancel_resume(struct neap_task *task, struct neap_region *innermost, lua_KContext inside);
/* Cuts the task's regions off from those of who resumed the coroutine, and gives the task these back. */
void neap_region_cut(struct neap_task *task, struct neap_region *resumer);

/* neap.timeout, neap.shield, neap.is_cancelled */
int neap_cancel_timeout(lua_State *L);
int neap_cancel_shield(lua_State *L);
int neap_cancel_is_cancelled(lua_State *L);
/* A region is entered and left around a protected call; running/scope.c does so too. */
void neap_region_enter(struct neap_task *task, struct neap_region *region);
void neap_region_leave(struct neap_task *task, struct neap_region *region);

#endif
