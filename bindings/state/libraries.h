/* libraries: the standard library of a state that the engine runs: print and writes to stdout in
 * whole lines, os.exit in order. */
#ifndef NEAP_BINDINGS_STATE_LIBRARIES_H
#define NEAP_BINDINGS_STATE_LIBRARIES_H

#include <lua.h>

#include "bindings/state/vm.h"

/* Opens Lua's own, and makes `require "neap"` find the module. */
void neap_libraries_open(lua_State *L);
/* Replaces print, io.write and io.flush, the methods write, flush, seek and setvbuf of stdout,
 * and os.exit. The state has a vm. */
void neap_libraries_replace(lua_State *L);
/* Somebody may have put the globals back as they were before that: replaces print again. */
void neap_libraries_replace_print(lua_State *L);
/* Writes what an unfinished line has left, and all that waits in stdout. 0, or the errno of the first write that failed
 * since the program began (EIO if that is not known any more). The state may be closed. */
int neap_libraries_flush(struct neap_vm *vm);

/* The same where threads have not ended: one of them may be stuck in writing, and then
 * nothing can be written any more. */
int neap_libraries_flush_if_free(struct neap_vm *vm);

/* The status in the arguments of os.exit. Raises. */
int neap_libraries_exit_status(lua_State *L);
/* Asks for the end of the program with `status`, and raises what ends the running task. */
int neap_libraries_exit(lua_State *L, int status);

#endif
