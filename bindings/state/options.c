#include "bindings/state/options.h"

#include <lauxlib.h>
#include <string.h>

#include "bindings/state/argument.h"

static bool is_known(const char *key, const char *const names[]) {
    for (; *names != NULL; names++)
        if (strcmp(*names, key) == 0) return true;
    return false;
}

static int raise_unknown(lua_State *L, int index, const char *key, const char *const names[]) {
    luaL_Buffer text;
    const char *start = lua_pushfstring(L, "unknown option '%s' (known: ", key);
    luaL_buffinit(L, &text);
    luaL_addstring(&text, start);
    for (int i = 0; names[i] != NULL; i++) {
        if (i > 0) luaL_addstring(&text, ", ");
        luaL_addstring(&text, names[i]);
    }
    luaL_addchar(&text, ')');
    luaL_pushresult(&text);
    return neap_argument_error(L, index, lua_tostring(L, -1));
}

void neap_options_check(lua_State *L, int index, const char *const names[]) {
    neap_argument_type(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        const char *key = luaL_tolstring(L, -1, NULL);
        if (lua_type(L, -4) != LUA_TSTRING || !is_known(key, names)) raise_unknown(L, index, key, names);
        lua_pop(L, 2);
    }
}

static void raise_type(lua_State *L, int index, const char *name, const char *expected) {
    lua_pushfstring(L, "option '%s': %s expected, got %s", name, expected, luaL_typename(L, -1));
    neap_argument_error(L, index, lua_tostring(L, -1));
}

const char *neap_options_string(lua_State *L, int index, const char *name, const char *otherwise) {
    int type = lua_getfield(L, index, name);
    if (type != LUA_TNIL && type != LUA_TSTRING) raise_type(L, index, name, "string");
    const char *value = type == LUA_TNIL ? otherwise : lua_tostring(L, -1);
    lua_pop(L, 1);
    return value;
}

bool neap_options_boolean(lua_State *L, int index, const char *name, bool otherwise) {
    int type = lua_getfield(L, index, name);
    if (type != LUA_TNIL && type != LUA_TBOOLEAN) raise_type(L, index, name, "boolean");
    bool value = type == LUA_TNIL ? otherwise : lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}
