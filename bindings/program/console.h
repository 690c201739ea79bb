/* console: what the Lua half of the prompt is given of the terminal. */
#ifndef NEAP_BINDINGS_PROGRAM_CONSOLE_H
#define NEAP_BINDINGS_PROGRAM_CONSOLE_H

#include <lua.h>

/* For the Lua half: console() -> a table of functions; see console.c. Main state. */
int neap_console_open(lua_State *L);

/* The functions of the other files that belong to it, put into the table on top of the stack. */
void neap_editor_register(lua_State *L);
void neap_attach_register(lua_State *L);

#endif
