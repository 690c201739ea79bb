/* popen: other programs. The options of neap.popen and neap.run are read by the Lua half (scripts/neap/program.lua). */
#ifndef NEAP_BINDINGS_IO_POPEN_H
#define NEAP_BINDINGS_IO_POPEN_H

#include <lauxlib.h>

/* For the Lua half: starting a program, and the environment. */
extern const luaL_Reg neap_popen_functions[];

#endif
