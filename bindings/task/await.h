/* await: how a C function of the library waits. In a task it suspends the task; elsewhere it turns the loop. */
#ifndef NEAP_BINDINGS_TASK_AWAIT_H
#define NEAP_BINDINGS_TASK_AWAIT_H

#include <lua.h>
#include <stdint.h>

#include "bindings/task/cancel.h"
#include "bindings/task/task.h"
#include "core/clock.h"
#include "core/wait.h"

/* Called when a wait has ended: pushes the results of the C function and returns how many. `code` is the index of the
 * link that was served (its ->result says how), or NEAP_TIMEOUT. May await again, as its last action, or raise. */
typedef int (*neap_finish)(lua_State *L, struct neap_task *task, int code);

/* The deadline of the timeout at `index`: nil or none: NEAP_FOREVER; 0: 0. Negative, NaN or no number raises. */
int64_t neap_read_timeout(lua_State *L, int index);
static inline int64_t neap_check_timeout(lua_State *L, int index) {
    if (lua_gettop(L) < index) return NEAP_FOREVER;
    return lua_isnil(L, index) ? NEAP_FOREVER : neap_read_timeout(L, index);
}

/* The time that is so many seconds from now, as the number at `index` says, which is not for a timeout; 0: 0. The same
 * raises, and that there is none. */
int64_t neap_read_seconds(lua_State *L, int index);

/* To be called first by everything that waits: raises the cancellation that is pending. Returns the running task, whose
 * `link` is empty and ready to be filled in. */
static inline struct neap_task *neap_await_begin(lua_State *L) {
    struct neap_task *task = neap_task_current(L);
    if (task->flags & NEAP_TASK_PENDING || task->regions != NULL) neap_cancel_check(L, task);
    neap_message_fini(&task->link.message);
    return task;
}

/* Waits for one of `links`; they stay in place until `finish`. Returns what the C function must return. Raises when the
 * task was cancelled, when Lua cannot yield here, and when out of memory; what links carry is then dropped. */
int neap_await(lua_State *L, struct neap_link *links, uint32_t count, int64_t deadline, neap_finish finish);

/* The rest of it for one link of a local object, which has just refused or would refuse. */
int neap_await_refused(lua_State *L, struct neap_link *link, int64_t deadline, neap_finish finish);

/* The common case: begins, and waits for `op` of `object` on the task's own link, with
 * the timeout at `timeout_index`. */
int neap_await_object(lua_State *L, struct neap_object *object, uint8_t op, int timeout_index, neap_finish finish);

/* For what begins its wait itself. CHECK: raises where Lua cannot yield. LIMIT: `deadline`, or that of the code around
 * if it is nearer. PARKED: neap_wait_begin has returned NEAP_PARKED: suspends as neap_await does; but `finish` is told
 * of a cancellation too (NEAP_CANCELLED), and has to call neap_cancel_check. */
void neap_await_check(lua_State *L);
int64_t neap_await_limit(struct neap_task *task, int64_t deadline);
int neap_await_parked(lua_State *L, neap_finish finish);

/* For what did not have to wait: the last thing that the C function does, with its `count` results on the stack. Now
 * and then gives way to others. Returns what the C function must return. */
int neap_await_served(lua_State *L, int count);

/* nil, message, code. */
int neap_push_code(lua_State *L, int code);

/* Finishers. TRUE: true; or nil, "timeout"; or nil and the name of the link's result.
 * VALUE: the link's message, likewise. */
int neap_finish_true(lua_State *L, struct neap_task *task, int code);
int neap_finish_value(lua_State *L, struct neap_task *task, int code);

#endif
