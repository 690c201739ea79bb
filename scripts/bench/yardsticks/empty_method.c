/* A Lua module that makes objects with one method that does nothing. */
#include <lauxlib.h>
#include <lua.h>

static int empty(lua_State *L) {
    (void)L;
    return 0;
}

static int new_object(lua_State *L) {
    lua_newuserdatauv(L, 1, 0);
    luaL_setmetatable(L, "bench.object");
    return 1;
}

int luaopen_empty_method(lua_State *L);

int luaopen_empty_method(lua_State *L) {
    luaL_newmetatable(L, "bench.object");
    lua_newtable(L);
    lua_pushcfunction(L, empty);
    lua_setfield(L, -2, "empty");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, new_object);
    return 1;
}
