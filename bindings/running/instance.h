/* instance: objects of the class form of tasks, threads and processes, as C sees them. The classes are in
 * scripts/neap/class.lua; an object of theirs has a raw field "_record": a table with name, daemon, quiet, target,
 * args, cancelled, and the handle once it has been started. */
#ifndef NEAP_BINDINGS_RUNNING_INSTANCE_H
#define NEAP_BINDINGS_RUNNING_INSTANCE_H

#include <lua.h>
#include <stdbool.h>

/* If the value at `index` is such an object: pushes its handle, or nil before its start. Else pushes nothing: false. */
bool neap_instance_push_handle(lua_State *L, int index);

/* The methods start() of neap.Task, neap.Thread and neap.Process: (object) -> object; of a
 * process, also nil, message, code. */
int neap_instance_start_task(lua_State *L);
int neap_instance_start_thread(lua_State *L);
int neap_instance_start_process(lua_State *L);
/* What the new task or thread calls: (object) -> what its method run returns. Stands in both
 * classes, so that it travels by name. */
int neap_instance_run(lua_State *L);

#endif
