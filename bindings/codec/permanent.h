/* permanent: values that every state has of its own, and that travel by name: loaded modules, the C functions in them,
 * and everything that neap itself offers. */
#ifndef NEAP_BINDINGS_CODEC_PERMANENT_H
#define NEAP_BINDINGS_CODEC_PERMANENT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

struct neap_encoder;
struct neap_scratch;

/* Makes the table of names, and has package.loaded tell when a module is loaded. */
void neap_permanent_open(lua_State *L, struct neap_encoder *encoder);

/* A Lua C function without arguments or results: names the modules that are loaded now. */
int neap_permanent_name_modules(lua_State *L);
/* Likewise: these, and the C functions in them. */
int neap_permanent_name_functions(lua_State *L);

/* Writes the name of the value on top of the stack, if it has one. Names of modules must be fresh. */
bool neap_permanent_put(lua_State *L, struct neap_scratch *scratch);
/* The same for a C function; its name need not be fresh. */
bool neap_permanent_put_function(lua_State *L, struct neap_scratch *scratch);

/* Pushes the value of that name; loads the module if need be. Raises when that fails, or has no such field. */
void neap_permanent_push(lua_State *L, const char *name, size_t size);

/* Pushes package.loaded. */
void neap_permanent_push_loaded(lua_State *L);
/* Pushes the value of the module whose name is on top of the stack (popped), loaded by require if need be. */
void neap_permanent_require(lua_State *L);

#endif
