#include <lauxlib.h>
#include <stdio.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/shared/scalar.h"
#include "bindings/shared/shared.h"
#include "core/error.h"
#include "sync/array.h"

static struct neap_array *check(lua_State *L) { return (struct neap_array *)neap_box_check(L, 1, NEAP_HANDLE_ARRAY); }

/* --- elements --- */

/* The place of element `index`, counted from 1. */
static void *element(lua_State *L, const struct neap_array *array, lua_Integer index) {
    size_t length = neap_array_length(array);
    if ((lua_Unsigned)index - 1 >= length)
        luaL_error(L, "index %I is out of bounds: the array has %I elements", (LUAI_UACINT)index, (LUAI_UACINT)length);
    return neap_array_at(array, (size_t)index - 1);
}

/* The place that argument 2 of a method names. */
static void *check_element(lua_State *L, const struct neap_array *array) {
    return element(L, array, neap_argument_integer(L, 2));
}

static void set_element(lua_State *L, const struct neap_array *array, lua_Integer index, int value_index) {
    enum neap_type type = neap_array_type(array);
    union neap_scalar value;
    void *at = element(L, array, index);
    const char *complaint = neap_scalar_read(L, value_index, type, &value);
    if (complaint != NULL) luaL_error(L, "element %I: %s", (LUAI_UACINT)index, complaint);
    neap_scalar_store(type, at, value);
}

static void push_element(lua_State *L, const struct neap_array *array, size_t index) {
    enum neap_type type = neap_array_type(array);
    neap_scalar_push(L, type, neap_scalar_load(type, neap_array_at(array, index)));
}

/* --- making --- */

/* Sets the elements to those of the list at 2. */
static void fill_from_list(lua_State *L, const struct neap_array *array) {
    lua_Integer length = (lua_Integer)neap_array_length(array);
    for (lua_Integer i = 1; i <= length; i++) {
        lua_geti(L, 2, i);
        set_element(L, array, i, -1);
        lua_pop(L, 1);
    }
}

/* neap.array(type, length | list) */
int neap_array_open(lua_State *L) {
    enum neap_type type = neap_check_type(L, 1);
    bool is_list = lua_type(L, 2) != LUA_TNUMBER;
    lua_Integer length = is_list ? neap_argument_list(L, 2, "length or list") : neap_argument_integer(L, 2);
    neap_argument_check(L, length >= 0, 2, "a length must not be negative");
    lua_settop(L, 2);
    const struct neap_array *array = neap_shared_array(L, NEAP_HANDLE_ARRAY, type, (lua_Unsigned)length);
    if (is_list) fill_from_list(L, array);
    return 1;
}

/* --- methods --- */

static int array_add(lua_State *L) {
    const struct neap_array *array = check(L);
    return neap_scalar_method_add(L, 3, neap_array_type(array), check_element(L, array));
}

static int array_cas(lua_State *L) {
    const struct neap_array *array = check(L);
    return neap_scalar_method_cas(L, 3, neap_array_type(array), check_element(L, array));
}

static int array_update(lua_State *L) {
    const struct neap_array *array = check(L);
    return neap_scalar_method_update(L, 3, neap_array_type(array), check_element(L, array));
}

/* The elements that arguments `index` (by default the first) and `index` + 1 (the last)
 * enclose; none where they cross. */
static lua_Integer check_range(lua_State *L, const struct neap_array *array, int index, lua_Integer *last) {
    lua_Integer first = neap_argument_integer_or(L, index, 1);
    *last = neap_argument_integer_or(L, index + 1, (lua_Integer)neap_array_length(array));
    if (first > *last) return first;
    element(L, array, first);
    element(L, array, *last);
    return first;
}

static int array_slice(lua_State *L) {
    const struct neap_array *array = check(L);
    lua_Integer last, first = check_range(L, array, 2, &last);
    lua_createtable(L, first > last || last - first >= INT32_MAX ? 0 : (int)(last - first + 1), 0);
    for (lua_Integer i = first; i <= last; i++) {
        push_element(L, array, (size_t)i - 1);
        lua_rawseti(L, -2, i - first + 1);
    }
    return 1;
}

static int array_fill(lua_State *L) {
    const struct neap_array *array = check(L);
    enum neap_type type = neap_array_type(array);
    union neap_scalar value = neap_scalar_check(L, 2, type);
    lua_Integer last, first = check_range(L, array, 3, &last);
    for (lua_Integer i = first; i <= last; i++) neap_scalar_store(type, neap_array_at(array, (size_t)i - 1), value);
    return 0;
}

/* --- metamethods --- */

static int array_len(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)neap_array_length(check(L)));
    return 1;
}

/* Does an iterator ask, as that of ipairs, which goes on until there is nothing? */
static bool is_asked_by_iterator(lua_State *L) {
    lua_Debug frame;
    return lua_getstack(L, 1, &frame) && lua_getinfo(L, "S", &frame) && *frame.what == 'C';
}

/* array[key]; upvalue 1 is the table of methods. */
static int array_item(lua_State *L) {
    const struct neap_array *array = check(L);
    int is_integer;
    lua_Integer index = lua_tointegerx(L, 2, &is_integer);
    if (!is_integer || lua_type(L, 2) != LUA_TNUMBER) {
        if (lua_type(L, 2) == LUA_TNUMBER) return luaL_error(L, "index %f is no integer", lua_tonumber(L, 2));
        lua_settop(L, 2);
        lua_rawget(L, lua_upvalueindex(1));
        return 1;
    }
    size_t length = neap_array_length(array);
    if ((lua_Unsigned)index - 1 == length && is_asked_by_iterator(L)) return 0;
    element(L, array, index);
    push_element(L, array, (size_t)index - 1);
    return 1;
}

static int array_newindex(lua_State *L) {
    const struct neap_array *array = check(L);
    int is_integer;
    lua_Integer index = lua_tointegerx(L, 2, &is_integer);
    if (!is_integer || lua_type(L, 2) != LUA_TNUMBER)
        return luaL_error(L, "an array has no field '%s' to set", luaL_tolstring(L, 2, NULL));
    set_element(L, array, index, 3);
    return 0;
}

static int next_element(lua_State *L) {
    const struct neap_array *array = check(L);
    size_t index = (size_t)neap_argument_integer(L, 2);
    if (index >= neap_array_length(array)) return 0;
    lua_pushinteger(L, (lua_Integer)index + 1);
    push_element(L, array, index);
    return 2;
}

static int array_pairs(lua_State *L) {
    check(L);
    lua_pushcfunction(L, next_element);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

/* "f64, 1000" */
static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_array *array = (struct neap_array *)object;
    snprintf(text, size, "%s, %zu", neap_types[neap_array_type(array)].name, neap_array_length(array));
}

static const luaL_Reg methods[] = {{"add", array_add},     {"cas", array_cas},   {"update", array_update},
                                   {"slice", array_slice}, {"fill", array_fill}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__eq", neap_shared_eq},
                                       {"__len", array_len},
                                       {"__newindex", array_newindex},
                                       {"__pairs", array_pairs},
                                       {NULL, NULL}};

const struct neap_binding neap_array_binding = {
    .name = "array",
    .class = &neap_array_class,
    .methods = methods,
    .metamethods = metamethods,
    .item = array_item,
    .describe = describe,
};
