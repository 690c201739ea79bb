/* stdio: the files of Lua's standard library, for tasks. The essay is in stdio.c. */
#ifndef NEAP_BINDINGS_IO_STDIO_H
#define NEAP_BINDINGS_IO_STDIO_H

#include <lauxlib.h>

/* Pushes a closed file, with a user value. Raises when out of memory. */
void neap_stdio_push_closed(lua_State *L);
/* A closed file and, on top of it, the box of a program (popped): opens the file over `fd`, which it owns from now on
 * (mode "r" or "w"). Its closing waits for the end of the program and returns what os.execute does. 0, or what the
 * system said; `fd` is closed then. */
int neap_stdio_fill_program(lua_State *L, int fd, const char *mode);

/* For the Lua half (scripts/neap/patch_io.lua). */
extern const luaL_Reg neap_stdio_functions[];

#endif
