/* compiled: the Lua half of the library, compiled once an engine. */
#ifndef NEAP_BINDINGS_STATE_COMPILED_H
#define NEAP_BINDINGS_STATE_COMPILED_H

#include <lua.h>

#include "bindings/state/embedded.h"

/* Pushes the function that `file` is. Raises when out of memory. */
void neap_compiled_push(lua_State *L, const struct neap_embedded *file);

#endif
