#include "bindings/state/registry.h"

void neap_registry_new_weak(lua_State *L, const char *mode) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushstring(L, mode);
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

void neap_registry_make_weak(lua_State *L, const void *key, const char *mode) {
    neap_registry_new_weak(L, mode);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void neap_registry_set_end(lua_State *L, const void *key, lua_CFunction end) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 2);
        lua_pushcfunction(L, end);
        lua_setfield(L, -2, "__close");
        lua_pushcfunction(L, end);
        lua_setfield(L, -2, "__gc");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    }
    lua_setmetatable(L, -2);
}
