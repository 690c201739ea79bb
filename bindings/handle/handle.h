/* handle: what the handles of tasks, threads, processes and futures share. */
#ifndef NEAP_BINDINGS_HANDLE_HANDLE_H
#define NEAP_BINDINGS_HANDLE_HANDLE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "bindings/handle/box.h"
#include "sync/future.h"

extern const struct neap_binding neap_task_binding;
extern const struct neap_binding neap_task_job_binding;
extern const struct neap_binding neap_thread_binding;

/* The future of the task, thread or future at `index`, or NULL if something else is there. */
struct neap_future *neap_handle_test(lua_State *L, int index);

/* For their bindings. The function is for the fields of a handle. */
extern const luaL_Reg neap_handle_methods[];
extern const luaL_Reg neap_handle_metamethods[];
int neap_handle_index(lua_State *L);

/* The methods that all of them have; join and wait also for objects of the class form. */
int neap_handle_join(lua_State *L);
int neap_handle_wait(lua_State *L);
int neap_handle_cancel_method(lua_State *L);
int neap_handle_status(lua_State *L);
int neap_handle_is_alive(lua_State *L);
int neap_handle_error(lua_State *L);
int neap_handle_traceback(lua_State *L);

/* If the handle at `index` is of another process, and the timeout at `timeout` is 0: finds out whether it has ended. */
void neap_handle_look(lua_State *L, int index, int timeout);

/* Is the task or thread at `index` the one that asks (a future never is)? To wait for it would never end. */
bool neap_handle_is_current(lua_State *L, int index);

/* Asks the task, thread or future at `index` to stop; the reason (nil: none) is on top of the stack and popped. False
 * when it has ended, or was asked before. Raises, and has done nothing, when the reason must be sent and cannot. */
bool neap_handle_cancel(lua_State *L, int index);

/* Pushes the running task's handle: a thread's where it is the thread's main task. */
int neap_handle_push_current(lua_State *L);

/* The task, thread or future at `index` has ended: pushes what it returned and returns how many values, or pushes the
 * error it ended with and returns -1. Takes note that somebody has seen it. */
int neap_handle_push_outcome(lua_State *L, int index);

#endif
