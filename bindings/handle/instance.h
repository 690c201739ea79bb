/* instance: objects of the class form of tasks, threads and processes, as C sees them. The classes are in
 * scripts/neap/class.lua; an object of theirs has a raw field "_record": a table with name, daemon, quiet, target,
 * args, cancelled, and the handle once it has been started (running/starting.h). */
#ifndef NEAP_BINDINGS_HANDLE_INSTANCE_H
#define NEAP_BINDINGS_HANDLE_INSTANCE_H

#include <lua.h>
#include <stdbool.h>

/* If the value at `index` is such an object: pushes its record. Else pushes nothing: false. */
bool neap_instance_push_record(lua_State *L, int index);
/* The same for its handle, or nil before its start. */
bool neap_instance_push_handle(lua_State *L, int index);
/* Puts the handle in the place of such an object, of which `index` is an argument; raises before its start. */
void neap_instance_replace(lua_State *L, int index);

#endif
