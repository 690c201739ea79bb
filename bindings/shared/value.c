#include <lauxlib.h>
#include <stdio.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/shared/scalar.h"
#include "bindings/shared/shared.h"
#include "sync/array.h"

static struct neap_array *check(lua_State *L) { return (struct neap_array *)neap_box_check(L, 1, NEAP_HANDLE_VALUE); }

/* neap.value(type[, value]) */
int neap_value_open(lua_State *L) {
    enum neap_type type = neap_check_type(L, 1);
    union neap_scalar initial = {0};
    if (!lua_isnoneornil(L, 2)) initial = neap_scalar_check(L, 2, type);
    struct neap_array *value = neap_shared_array(L, NEAP_HANDLE_VALUE, type, 1);
    neap_scalar_store(type, neap_array_at(value, 0), initial);
    return 1;
}

static int value_get(lua_State *L) {
    const struct neap_array *value = check(L);
    enum neap_type type = neap_array_type(value);
    neap_scalar_push(L, type, neap_scalar_load(type, neap_array_at(value, 0)));
    return 1;
}

static int value_set(lua_State *L) {
    const struct neap_array *value = check(L);
    enum neap_type type = neap_array_type(value);
    neap_scalar_store(type, neap_array_at(value, 0), neap_scalar_check(L, 2, type));
    return 0;
}

static int value_add(lua_State *L) {
    const struct neap_array *value = check(L);
    return neap_scalar_method_add(L, 2, neap_array_type(value), neap_array_at(value, 0));
}

static int value_cas(lua_State *L) {
    const struct neap_array *value = check(L);
    return neap_scalar_method_cas(L, 2, neap_array_type(value), neap_array_at(value, 0));
}

static int value_update(lua_State *L) {
    const struct neap_array *value = check(L);
    return neap_scalar_method_update(L, 2, neap_array_type(value), neap_array_at(value, 0));
}

/* "i32 7" */
static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_array *array = (struct neap_array *)object;
    enum neap_type type = neap_array_type(array);
    union neap_scalar value = neap_scalar_load(type, neap_array_at(array, 0));
    const char *name = neap_types[type].name;
    if (type == NEAP_BOOL)
        snprintf(text, size, "%s %s", name, value.integer ? "true" : "false");
    else if (neap_type_is_float(type))
        snprintf(text, size, "%s " LUA_NUMBER_FMT, name, value.number);
    else
        snprintf(text, size, "%s " LUA_INTEGER_FMT, name, (LUAI_UACINT)value.integer);
}

static const luaL_Reg methods[] = {{"get", value_get}, {"set", value_set},       {"add", value_add},
                                   {"cas", value_cas}, {"update", value_update}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__eq", neap_shared_eq}, {NULL, NULL}};

const struct neap_binding neap_value_binding = {
    .name = "value",
    .class = &neap_value_class,
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
};
