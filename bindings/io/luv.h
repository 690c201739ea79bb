/* luv: what the Lua half (scripts/neap/luv.lua) is given for neap.luv. */
#ifndef NEAP_BINDINGS_IO_LUV_H
#define NEAP_BINDINGS_IO_LUV_H

#include <lauxlib.h>

extern const luaL_Reg neap_luv_functions[];

#endif
