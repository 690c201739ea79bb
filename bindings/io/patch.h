/* patch: what neap.patch_all (scripts/neap/patch.lua) needs of C. The files of the standard library are in stdio.c. */
#ifndef NEAP_BINDINGS_IO_PATCH_H
#define NEAP_BINDINGS_IO_PATCH_H

#include <lauxlib.h>
#include <stdbool.h>

/* Can the running code wait here without blocking its thread: is it in a task, where Lua can yield? */
bool neap_patch_can_wait(lua_State *L);

/* For the Lua half. */
extern const luaL_Reg neap_patch_functions[];

#endif
