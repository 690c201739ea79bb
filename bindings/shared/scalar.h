/* scalar: what shared values and arrays have in common: their types by name, and Lua
 * values as numbers of such a type. */
#ifndef NEAP_BINDINGS_SHARED_SCALAR_H
#define NEAP_BINDINGS_SHARED_SCALAR_H

#include <lua.h>

#include "sync/scalar.h"

/* The type that argument `index` names: "i32"; raises otherwise. */
enum neap_type neap_check_type(lua_State *L, int index);

/* The value at `index` as one of the type. NULL; or why it is none ("i8 expected, got string"), on top of the stack.
 * Numbers of integer types may be floats without a fraction; strings are not taken for numbers. */
const char *neap_scalar_read(lua_State *L, int index, enum neap_type type, union neap_scalar *value);
/* The same for an argument: raises what is wrong. */
union neap_scalar neap_scalar_check(lua_State *L, int index, enum neap_type type);
/* For `add`: a number that need not fit the type; raises for booleans. */
union neap_scalar neap_scalar_check_step(lua_State *L, int index, enum neap_type type);

void neap_scalar_push(lua_State *L, enum neap_type type, union neap_scalar value);

/* The methods `add` and `cas` of the element at `at`, whose operands are the arguments from `index` on. */
int neap_scalar_method_add(lua_State *L, int index, enum neap_type type, void *at);
int neap_scalar_method_cas(lua_State *L, int index, enum neap_type type, void *at);

/* The method `update`: calls the function at `index` (the last argument) with the element's value, and sets what
 * it returns, if nobody has changed it meanwhile; else again. The handle at 1 keeps `at` alive, which must be as
 * it is when it is called again. */
int neap_scalar_method_update(lua_State *L, int index, enum neap_type type, void *at);

#endif
