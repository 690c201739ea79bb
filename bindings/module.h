/* module: the table that `require "neap"` returns. */
#ifndef NEAP_BINDINGS_MODULE_H
#define NEAP_BINDINGS_MODULE_H

#include <lua.h>

/* Pushes the module's table; the state has a vm. */
int neap_module_open(lua_State *L);

/* Pushes what a file of the Lua half returns: "neap.prompt.main" is scripts/prompt/main.lua. Raises what it raises. */
void neap_module_push_part(lua_State *L, const char *name);

/* The entry point for a plain lua5.4: gives the state a vm of its own first. */
__attribute__((visibility("default"))) int luaopen_neap(lua_State *L);

#endif
