#include "bindings/box.h"

#include <stdio.h>

/* Registry keys, by address. */
static const char boxes_key;     /* weak table: object (light userdata) -> box */
static const char kinds[NEAP_HANDLE_COUNT]; /* each the key of its kind's metatable */

/* --- metatables --- */

static int box_collected(lua_State *L) {
    struct neap_box *box = lua_touserdata(L, 1);
    struct neap_object *object = box->object;
    box->object = NULL;
    if (object != NULL) neap_object_unref(object);
    return 0;
}

int neap_box_tostring(lua_State *L) {
    char state[64] = "";
    enum neap_handle kind;
    struct neap_object *object = neap_box_test_any(L, 1, &kind);
    if (object == NULL) return luaL_error(L, "handle expected, got %s", luaL_typename(L, 1));
    const struct neap_binding *binding = neap_bindings[kind];
    if (binding->describe != NULL) binding->describe(object, state, sizeof state);
    if (state[0] == '\0')
        lua_pushfstring(L, "%s: %p", binding->name, (void *)object);
    else
        lua_pushfstring(L, "%s: %p (%s)", binding->name, (void *)object, state);
    return 1;
}

/* __index of kinds with fields: upvalue 1 is the table of methods, upvalue 2 the function for other keys. */
static int index_with_fields(lua_State *L) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

static void make_metatable(lua_State *L, enum neap_handle kind) {
    const struct neap_binding *binding = neap_bindings[kind];
    lua_createtable(L, 0, 6);
    lua_pushstring(L, binding->name);
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, neap_box_tostring);
    lua_setfield(L, -2, "__tostring");
    if (binding->metamethods != NULL) luaL_setfuncs(L, binding->metamethods, 0);
    lua_newtable(L);
    luaL_setfuncs(L, binding->methods, 0);
    if (binding->index != NULL) {
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "__methods");
        lua_pushcfunction(L, binding->index);
        lua_pushcclosure(L, index_with_fields, 2);
    }
    lua_setfield(L, -2, "__index");
    if (!binding->in_place) {
        lua_pushcfunction(L, box_collected);
        lua_setfield(L, -2, "__gc");
    }
    neap_vm_of(L)->metatables[kind] = lua_topointer(L, -1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &kinds[kind]);
}

static void push_metatable(lua_State *L, enum neap_handle kind) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &kinds[kind]) != LUA_TNIL) return;
    lua_pop(L, 1);
    make_metatable(L, kind);
}

/* --- boxes --- */

void *neap_box_new(lua_State *L, enum neap_handle kind, size_t size, int uservalues) {
    struct neap_box *box = lua_newuserdatauv(L, size, uservalues);
    box->object = NULL;
    push_metatable(L, kind);
    lua_setmetatable(L, -2);
    return box;
}

/* Pushes the table of boxes. */
static void push_boxes(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &boxes_key) != LUA_TNIL) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &boxes_key);
}

void neap_box_register(lua_State *L, int index, struct neap_object *object) {
    index = lua_absindex(L, index);
    push_boxes(L);
    lua_pushvalue(L, index);
    lua_rawsetp(L, -2, object);
    lua_pop(L, 1);
}

static enum neap_handle kind_of(const struct neap_object *object) {
    int kind = 0;
    while (neap_bindings[kind] == NULL || neap_bindings[kind]->class != object->class) kind++;
    return (enum neap_handle)kind;
}

void neap_box_push(lua_State *L, struct neap_object *object) {
    luaL_checkstack(L, 5, "handles");
    push_boxes(L);
    if (lua_rawgetp(L, -1, object) == LUA_TNIL) {
        lua_pop(L, 1);
        struct neap_box *box = neap_box_new(L, kind_of(object), sizeof *box, 0);
        box->object = neap_object_ref(object);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, -3, object);
    }
    lua_remove(L, -2);
}

struct neap_object *neap_box_share(lua_State *L, int index) {
    enum neap_handle kind;
    struct neap_object *object = neap_box_test_any(L, index, &kind);
    if (object == NULL) return NULL;
    if (neap_bindings[kind]->travel != NULL) return neap_bindings[kind]->travel(L, index);
    if (!object->shared) {
        neap_box_register(L, index, object);
        neap_object_share(object);
    }
    return neap_object_ref(object);
}

/* --- checks --- */

/* The metatable's address tells the kind: nothing of a foreign userdata is read. */
struct neap_object *neap_box_test(lua_State *L, int index, enum neap_handle kind) {
    struct neap_box *box = lua_touserdata(L, index);
    if (box == NULL || !lua_getmetatable(L, index)) return NULL;
    const void *metatable = lua_topointer(L, -1);
    lua_pop(L, 1);
    return metatable == neap_vm_of(L)->metatables[kind] ? box->object : NULL;
}

struct neap_object *neap_box_check(lua_State *L, int index, enum neap_handle kind) {
    struct neap_object *object = neap_box_test(L, index, kind);
    if (object == NULL) luaL_typeerror(L, index, neap_bindings[kind]->name);
    return object;
}

struct neap_object *neap_box_test_any(lua_State *L, int index, enum neap_handle *kind) {
    struct neap_box *box = lua_touserdata(L, index);
    if (box == NULL || !lua_getmetatable(L, index)) return NULL;
    const void *metatable = lua_topointer(L, -1);
    const void *const *metatables = neap_vm_of(L)->metatables;
    lua_pop(L, 1);
    for (int i = 0; i < NEAP_HANDLE_COUNT; i++) {
        if (metatables[i] != metatable) continue;
        if (kind != NULL) *kind = (enum neap_handle)i;
        return box->object;
    }
    return NULL;
}
