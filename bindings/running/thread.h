/* thread: OS threads, each with a loop and a state of its own. */
#ifndef NEAP_BINDINGS_RUNNING_THREAD_H
#define NEAP_BINDINGS_RUNNING_THREAD_H

#include <lauxlib.h>
#include <lua.h>

#include "bindings/task/task.h"
#include "sync/scope.h"

/* Reads the options at `index` if a table is there; returns the index of what follows them. */
int neap_run_options(lua_State *L, int index, struct neap_task_options *options);

/* internal.spawn_surely([options,] fn, ...): as neap.spawn, but `fn` is called also when the task has been asked to
 * stop before it began; its first wait raises that. What it returns is dropped. For what others wait for. */
int neap_run_spawn_surely(lua_State *L);

/* Starts a thread for the function and `arguments` arguments on top of the stack, which are copied; they are replaced
 * by its handle. Raises when a value cannot be sent, and when the system has no thread for us. */
void neap_thread_spawn(lua_State *L, int arguments, const struct neap_task_options *options);

extern const luaL_Reg neap_run_functions[];
extern const luaL_Reg neap_thread_functions[];

#endif
