#include "bindings/handle/instance.h"

#include <lauxlib.h>

bool neap_instance_push_record(lua_State *L, int index) {
    index = lua_absindex(L, index);
    if (!lua_istable(L, index)) return false;
    lua_pushliteral(L, "_record");
    if (lua_rawget(L, index) == LUA_TTABLE) return true;
    lua_pop(L, 1);
    return false;
}

bool neap_instance_push_handle(lua_State *L, int index) {
    luaL_checkstack(L, 3, "handle");
    if (!neap_instance_push_record(L, index)) return false;
    lua_pushliteral(L, "handle");
    lua_rawget(L, -2);
    lua_remove(L, -2);
    return true;
}

void neap_instance_replace(lua_State *L, int index) {
    if (!neap_instance_push_handle(L, index)) return;
    if (lua_isnil(L, -1)) luaL_error(L, "it has not been started");
    lua_replace(L, index);
}
