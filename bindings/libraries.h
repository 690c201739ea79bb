/* libraries: the standard library of a state that the engine runs: print and writes to stdout in whole lines, os.exit in order. */
#ifndef NEAP_BINDINGS_LIBRARIES_H
#define NEAP_BINDINGS_LIBRARIES_H

#include <lua.h>

/* Opens Lua's own, and makes `require "neap"` find the module. */
void neap_libraries_open(lua_State *L);
/* Replaces print, io.write, the write method of stdout, and os.exit. The state has a vm. */
void neap_libraries_replace(lua_State *L);
/* Writes what an unfinished line has left. */
void neap_libraries_flush(lua_State *L);

#endif
