/* process: child processes in Lua. */
#ifndef NEAP_BINDINGS_RUNNING_PROCESS_H
#define NEAP_BINDINGS_RUNNING_PROCESS_H

#include <lauxlib.h>
#include <lua.h>

#include "bindings/handle/box.h"
#include "bindings/task/task.h"

/* As neap_thread_spawn, for a process. The handle; or, where the system has no process for us: nil, message, code.
 * Returns how many values it has pushed instead of the function and the arguments. */
int neap_process_spawn(lua_State *L, int arguments, const struct neap_task_options *options);

extern const luaL_Reg neap_process_functions[];

/* Methods of handles of processes, for the class form. */
int neap_process_terminate(lua_State *L);
int neap_process_kill(lua_State *L);
int neap_process_rusage(lua_State *L);

#endif
