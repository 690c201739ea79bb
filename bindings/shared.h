/* shared: what the handles of objects in shared memory have in common. */
#ifndef NEAP_BINDINGS_SHARED_H
#define NEAP_BINDINGS_SHARED_H

#include <lua.h>

#include "bindings/vm.h"
#include "sync/array.h"

/* Raises what an engine's function could not do: out of memory, descriptors. */
int neap_shared_fail(lua_State *L, int code);

/* Pushes a box with a new array or value of zeros; raises if there is no room for it. */
struct neap_array *neap_shared_array(lua_State *L, enum neap_handle kind, enum neap_type type, lua_Unsigned length);

/* The metamethod: two handles are equal if they stand for the same bytes. */
int neap_shared_eq(lua_State *L);

#endif
