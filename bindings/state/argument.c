#include "bindings/state/argument.h"

#include <stdarg.h>
#include <string.h>

#include "bindings/handle/box.h"

/* --- whose argument it is --- */

/* The key of the function on top of the stack in the table below it; NULL: it is not there. */
static const char *find_key(lua_State *L) {
    const char *name = NULL;
    int function = lua_gettop(L);
    for (lua_pushnil(L); name == NULL && lua_next(L, function - 1) != 0; lua_pop(L, 1))
        if (lua_rawequal(L, -1, function) && lua_type(L, -2) == LUA_TSTRING) name = lua_tostring(L, -2);
    return name; /* anchored in the table; if it was found, its key is still on the stack */
}

/* The name of the running function, which is on top of the stack, as a method; NULL: it is none. */
static const char *find_method(lua_State *L) {
    lua_CFunction function = lua_tocfunction(L, -1);
    for (int kind = 0; kind < NEAP_HANDLE_COUNT; kind++) {
        const char *name = neap_bindings[kind] == NULL ? NULL : neap_box_method_name(neap_bindings[kind], function);
        if (name != NULL) return name;
    }
    if (luaL_getmetafield(L, 1, "__index") != LUA_TTABLE) return NULL;
    lua_insert(L, -2);
    return find_key(L);
}

/* Pushes the place of whoever has called the running function, as luaL_where does, but not one in the Lua half. */
static void push_place(lua_State *L) {
    lua_Debug frame;
    for (int level = 1; lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        if (strncmp(frame.source, "=[neap.", 7) == 0) continue;
        luaL_where(L, level);
        return;
    }
    lua_pushliteral(L, "");
}

int neap_refuse(lua_State *L, const char *format, ...) {
    va_list arguments;
    luaL_checkstack(L, LUA_MINSTACK, "an error");
    push_place(L);
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_concat(L, 2);
    lua_error(L);
    __builtin_unreachable(); /* Lua does not declare that it never returns */
}

int neap_argument_error(lua_State *L, int argument, const char *message) {
    lua_Debug frame;
    const char *name = NULL;
    luaL_checkstack(L, LUA_MINSTACK, "an error");
    if (lua_getstack(L, 0, &frame) && lua_getinfo(L, "nf", &frame))
        name = strcmp(frame.namewhat, "method") == 0 ? frame.name : find_method(L);
    if (name == NULL) luaL_argerror(L, argument, message);
    if (argument == 1) neap_refuse(L, "calling '%s' on bad self (%s)", name, message);
    neap_refuse(L, "bad argument #%d to '%s' (%s)", argument - 1, name, message);
}

int neap_argument_type_error(lua_State *L, int argument, const char *type) {
    const char *got = luaL_typename(L, argument);
    if (luaL_getmetafield(L, argument, "__name") == LUA_TSTRING)
        got = lua_tostring(L, -1);
    else if (lua_type(L, argument) == LUA_TLIGHTUSERDATA)
        got = "light userdata";
    neap_argument_error(L, argument, lua_pushfstring(L, "%s expected, got %s", type, got));
}

/* --- what it is --- */

void neap_argument_any(lua_State *L, int argument) {
    if (lua_type(L, argument) == LUA_TNONE) neap_argument_error(L, argument, "value expected");
}

void neap_argument_callable(lua_State *L, int argument) {
    if (lua_isfunction(L, argument)) return;
    if (lua_isnone(L, argument) || luaL_getmetafield(L, argument, "__call") == LUA_TNIL)
        neap_argument_type_error(L, argument, lua_typename(L, LUA_TFUNCTION));
    lua_pop(L, 1);
}

void neap_argument_type(lua_State *L, int argument, int type) {
    if (lua_type(L, argument) != type) neap_argument_type_error(L, argument, lua_typename(L, type));
}

lua_Integer neap_argument_integer(lua_State *L, int argument) {
    int is_integer;
    lua_Integer value = lua_tointegerx(L, argument, &is_integer);
    if (is_integer) return value;
    if (lua_isnumber(L, argument)) neap_argument_error(L, argument, "number has no integer representation");
    neap_argument_type_error(L, argument, lua_typename(L, LUA_TNUMBER));
}

lua_Number neap_argument_number(lua_State *L, int argument) {
    int is_number;
    lua_Number value = lua_tonumberx(L, argument, &is_number);
    if (!is_number) neap_argument_type_error(L, argument, lua_typename(L, LUA_TNUMBER));
    return value;
}

/* Is the key at the top of the stack, below its value, one of a list of that length? */
static bool is_of_list(lua_State *L, lua_Integer length) {
    if (lua_isinteger(L, -2)) return lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= length;
    if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "n") != 0) return false;
    return lua_isinteger(L, -1) && lua_tointeger(L, -1) == length;
}

bool neap_argument_is_stray(lua_State *L, lua_Integer length) {
    if (is_of_list(L, length)) return false;
    lua_pushfstring(L, "a table with the key '%s'", luaL_tolstring(L, -2, NULL));
    return true;
}

bool neap_argument_find_stray(lua_State *L, int table, lua_Integer length) {
    if (lua_getmetatable(L, table)) {
        lua_pop(L, 1);
        return false;
    }
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1))
        if (neap_argument_is_stray(L, length)) return true;
    return false;
}

lua_Integer neap_argument_count(lua_State *L, int table) {
    lua_Integer count = (lua_Integer)lua_rawlen(L, table);
    lua_pushliteral(L, "n");
    lua_rawget(L, table);
    if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 0) count = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return neap_argument_find_stray(L, table, count) ? -1 : count;
}

lua_Integer neap_argument_list(lua_State *L, int argument, const char *type) {
    if (!lua_istable(L, argument) && !lua_isuserdata(L, argument)) neap_argument_type_error(L, argument, type);
    lua_Integer length = luaL_len(L, argument);
    neap_argument_check(L, length >= 0, argument, "a length must not be negative"); /* __len may say anything */
    if (lua_istable(L, argument) && neap_argument_find_stray(L, argument, length))
        neap_argument_error(L, argument, lua_pushfstring(L, "%s expected, got %s", type, lua_tostring(L, -1)));
    return length;
}

const char *neap_argument_string(lua_State *L, int argument, size_t *size) {
    const char *string = lua_tolstring(L, argument, size);
    if (string == NULL) neap_argument_type_error(L, argument, lua_typename(L, LUA_TSTRING));
    return string;
}

int neap_argument_option(lua_State *L, int argument, const char *otherwise, const char *const names[]) {
    const char *name =
        otherwise == NULL ? neap_argument_string(L, argument, NULL) : neap_argument_string_or(L, argument, otherwise);
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0) return i;
    neap_argument_error(L, argument, lua_pushfstring(L, "invalid option '%s'", name));
}

lua_Integer neap_argument_integer_or(lua_State *L, int argument, lua_Integer otherwise) {
    return lua_isnoneornil(L, argument) ? otherwise : neap_argument_integer(L, argument);
}

const char *neap_argument_string_or(lua_State *L, int argument, const char *otherwise) {
    return lua_isnoneornil(L, argument) ? otherwise : neap_argument_string(L, argument, NULL);
}
