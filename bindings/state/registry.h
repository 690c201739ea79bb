/* registry: tables that the bindings keep in the registry of a state, each under the address of a key. */
#ifndef NEAP_BINDINGS_STATE_REGISTRY_H
#define NEAP_BINDINGS_STATE_REGISTRY_H

#include <lua.h>

/* Pushes a new table whose keys ("k") or values ("v") are weak, as `mode` says. */
void neap_registry_new_weak(lua_State *L, const char *mode);
/* The same, and keeps it under `key`. */
void neap_registry_make_weak(lua_State *L, const void *key, const char *mode);

/* Pushes the one under `key`, which is made when it is first asked for. */
static inline void neap_registry_push_weak(lua_State *L, const void *key, const char *mode) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) != LUA_TNIL) return;
    lua_pop(L, 1);
    neap_registry_make_weak(L, key, mode);
}

/* Gives the userdata on top of the stack the metatable under `key`, by which `end` is called when a to-be-closed
 * variable with it is left, and when it is collected, at the latest. */
void neap_registry_set_end(lua_State *L, const void *key, lua_CFunction end);

#endif
