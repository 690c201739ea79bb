/* blocking: what neap.blocking (scripts/neap/blocking.lua) needs of C. */
#ifndef NEAP_BINDINGS_IO_BLOCKING_H
#define NEAP_BINDINGS_IO_BLOCKING_H

#include <lauxlib.h>

/* For the Lua half: helpers() -> the engine's channel on which idle helper threads receive; raise(err, traceback)
 * raises an error that came from another thread, whose traceback goes on below that of the task. */
extern const luaL_Reg neap_blocking_functions[];

#endif
