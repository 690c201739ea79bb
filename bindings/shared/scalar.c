#include "bindings/shared/scalar.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "bindings/state/argument.h"
#include "bindings/state/vm.h"

enum neap_type neap_check_type(lua_State *L, int index) {
    luaL_Buffer text;
    const char *name = neap_argument_string(L, index, NULL);
    for (int type = 0; type < NEAP_TYPE_COUNT; type++)
        if (strcmp(neap_types[type].name, name) == 0) return (enum neap_type)type;
    const char *start = lua_pushfstring(L, "unknown type '%s' (known: ", name);
    luaL_buffinit(L, &text);
    luaL_addstring(&text, start);
    for (int type = 0; type < NEAP_TYPE_COUNT; type++) {
        if (type > 0) luaL_addstring(&text, ", ");
        luaL_addstring(&text, neap_types[type].name);
    }
    luaL_addchar(&text, ')');
    luaL_pushresult(&text);
    neap_argument_error(L, index, lua_tostring(L, -1));
    return NEAP_TYPE_COUNT;
}

/* --- from Lua and back --- */

static const char *complain_type(lua_State *L, int index, enum neap_type type) {
    return lua_pushfstring(L, "%s expected, got %s", neap_types[type].name, luaL_typename(L, index));
}

static const char *complain_fraction(lua_State *L, int index, enum neap_type type) {
    return lua_pushfstring(L, "%s expected, %s is no integer", neap_types[type].name, luaL_tolstring(L, index, NULL));
}

static const char *complain_range(lua_State *L, int index, enum neap_type type) {
    const struct neap_type_facts *facts = &neap_types[type];
    const char *given = luaL_tolstring(L, index, NULL);
    if (neap_type_is_float(type)) return lua_pushfstring(L, "%s is too large for %s", given, facts->name);
    return lua_pushfstring(L, "%s is out of the range of %s, %I to %I", given, facts->name, (LUAI_UACINT)facts->min,
                           (LUAI_UACINT)facts->max);
}

/* A number, of which nothing is known but that it is one. */
static const char *read_number(lua_State *L, int index, enum neap_type type, union neap_scalar *value) {
    int is_integer;
    if (type == NEAP_BOOL || lua_type(L, index) != LUA_TNUMBER) return complain_type(L, index, type);
    if (neap_type_is_float(type)) {
        value->number = lua_tonumber(L, index);
        return NULL;
    }
    value->integer = lua_tointegerx(L, index, &is_integer);
    if (is_integer) return NULL;
    lua_Number number = lua_tonumber(L, index);
    return number == floor(number) ? complain_range(L, index, type) : complain_fraction(L, index, type);
}

const char *neap_scalar_read(lua_State *L, int index, enum neap_type type, union neap_scalar *value) {
    if (type == NEAP_BOOL && lua_isboolean(L, index)) {
        value->integer = lua_toboolean(L, index);
        return NULL;
    }
    const char *complaint = read_number(L, index, type, value);
    if (complaint == NULL && neap_scalar_fit(type, value) < 0) complaint = complain_range(L, index, type);
    return complaint;
}

union neap_scalar neap_scalar_check(lua_State *L, int index, enum neap_type type) {
    union neap_scalar value;
    const char *complaint = neap_scalar_read(L, index, type, &value);
    if (complaint != NULL) neap_argument_error(L, index, complaint);
    return value;
}

union neap_scalar neap_scalar_check_step(lua_State *L, int index, enum neap_type type) {
    union neap_scalar value = {0};
    if (type == NEAP_BOOL) luaL_error(L, "booleans cannot be added");
    const char *complaint = read_number(L, index, type, &value);
    if (complaint != NULL) neap_argument_error(L, index, complaint);
    return value;
}

void neap_scalar_push(lua_State *L, enum neap_type type, union neap_scalar value) {
    if (type == NEAP_BOOL)
        lua_pushboolean(L, (int)value.integer);
    else if (neap_type_is_float(type))
        lua_pushnumber(L, value.number);
    else
        lua_pushinteger(L, value.integer);
}

/* --- methods --- */

int neap_scalar_method_add(lua_State *L, int index, enum neap_type type, void *at) {
    int64_t wide;
    neap_scalar_expect(at);
    if (neap_type_is_wide(type) && lua_isinteger(L, index) &&
        neap_scalar_add_wide(type, at, lua_tointeger(L, index), &wide)) {
        lua_pushinteger(L, wide);
        return 1;
    }
    union neap_scalar by = neap_scalar_check_step(L, index, type), sum;
    if (neap_scalar_add(type, at, by, &sum) < 0)
        return luaL_error(L, "overflow: with %s added it would be out of the range of %s",
                          luaL_tolstring(L, index, NULL), neap_types[type].name);
    neap_scalar_push(L, type, sum);
    return 1;
}

int neap_scalar_method_cas(lua_State *L, int index, enum neap_type type, void *at) {
    union neap_scalar old = neap_scalar_check(L, index, type), new = neap_scalar_check(L, index + 1, type);
    lua_pushboolean(L, neap_scalar_swap(type, at, old, new));
    return 1;
}

/* The stack of an update, from the top: what the function returned, the value before, the type, the function. */
static void call_update(lua_State *L, enum neap_type type, void *at, lua_KFunction k) {
    neap_scalar_push(L, type, neap_scalar_load(type, at));
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -2);
    lua_callk(L, 1, 1, (lua_KContext)at, k);
}

/* Loops, for there is no limit to how often others may change the value while the function runs. */
static int updated(lua_State *L, int status, lua_KContext context) {
    void *at = (void *)context;
    enum neap_type type = (enum neap_type)lua_tointeger(L, -3);
    union neap_scalar old, new;
    (void)status;
    for (;;) {
        const char *complaint = neap_scalar_read(L, -1, type, &new);
        if (complaint != NULL) return luaL_error(L, "what the function of an update returns: %s", complaint);
        neap_scalar_read(L, -2, type, &old);
        if (neap_scalar_swap(type, at, old, new)) break;
        lua_pop(L, 2);
        call_update(L, type, at, updated);
    }
    neap_slice_grant(&neap_vm_of(L)->slice);
    neap_scalar_push(L, type, new);
    return 1;
}

int neap_scalar_method_update(lua_State *L, int index, enum neap_type type, void *at) {
    neap_argument_callable(L, index);
    lua_settop(L, index);
    lua_pushinteger(L, type);
    call_update(L, type, at, updated);
    return updated(L, LUA_OK, (lua_KContext)at);
}
