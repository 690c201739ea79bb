/* box: the userdata that are handles.
 *
 * LATE       A plain lua5.4 closes the state with our tasks still in it, and finalises what is newest first:
 *            the boxes of the objects that these tasks wait on before the engine itself. So what such a box
 *            refers to is kept until the tasks have been taken out (neap_vm_close). A finaliser below which
 *            there is no frame runs because the state is being closed, or because a host has called the
 *            collector: then it is dropped with the next box.
 * CLOSING    While a state is being closed its finalisers may use the handles that they have, but get no new ones:
 *            those would never be finalised. What they take is released when the state has gone (vm->ghost).
 * PLACES     The key that is put first into a table which has room for all of them is always found at the first
 *            look, whatever the seed of the state's hashes. In a metatable that is __index, among the methods the
 *            one that its file names first. */
#include "bindings/handle/box.h"

#include <stdio.h>

#include "bindings/handle/remote.h"
#include "bindings/state/registry.h"
#include "core/memory.h"

enum {
    OBJECT_SIZE = 384,          /* about what an object with a little in it takes */
    LOT_SIZE = 32 * 1024,       /* bytes of objects */
    MOST_AT_ONCE = 1024 * 1024, /* kilobytes that the collector is told of in one step */
    METAFIELDS = 6              /* of every metatable, at most; see make_metatable */
};

/* Registry keys, by address. */
static const char boxes_key; /* weak table: object (light userdata) -> box */
/* Each the key of its kind's table with weak values: constant -> metatable */
static const char constants[NEAP_HANDLE_COUNT];

/* --- metatables --- */

void neap_box_drop_late(struct neap_vm *vm) {
    while (vm->late_count > 0) neap_object_unref(vm->late[--vm->late_count]);
}

/* See LATE. False: the object need not be kept, or cannot. */
static bool keep_late(lua_State *L, struct neap_object *object) {
    struct neap_vm *vm = neap_vm_of(L);
    lua_Debug frame;
    if (!vm->foreign || vm->closed) return false; /* no plain lua5.4, or the tasks have been taken out */
    if (lua_getstack(L, 1, &frame)) {
        if (vm->late_count > 0) neap_box_drop_late(vm);
        return false;
    }
    if (vm->late_count == vm->late_room) {
        uint32_t room = vm->late_room * 2 + 16;
        struct neap_object **late = neap_realloc(vm->late, room * sizeof(struct neap_object *));
        if (late == NULL) return false;
        vm->late = late;
        vm->late_room = room;
    }
    vm->late[vm->late_count++] = object;
    return true;
}

static int box_collected(lua_State *L) {
    struct neap_box *box = lua_touserdata(L, 1);
    struct neap_object *object = box->object;
    box->object = NULL;
    if (object != NULL && !keep_late(L, object)) neap_object_unref(object);
    return 0;
}

int neap_box_tostring(lua_State *L) {
    char state[64] = "";
    enum neap_handle kind;
    struct neap_object *object = neap_box_test_any(L, 1, &kind);
    if (object == NULL) return luaL_error(L, "handle expected, got %s", luaL_typename(L, 1));
    const struct neap_binding *binding = neap_bindings[kind];
    struct neap_proxy *proxy = neap_remote_test(object);
    if (proxy != NULL)
        neap_remote_describe(proxy, state, sizeof state);
    else if (binding->describe != NULL)
        binding->describe(object, state, sizeof state);
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

static int count_methods(const luaL_Reg *methods) {
    int count = 0;
    while (methods != NULL && methods[count].name != NULL) count++;
    return count;
}

/* Pushes a table of the kind's methods, with room for `more`. */
static void make_methods(lua_State *L, const struct neap_binding *binding, int more) {
    lua_createtable(L, 0, count_methods(binding->methods) + count_methods(binding->more_methods) + more);
    luaL_setfuncs(L, binding->methods, 0);
    if (binding->more_methods != NULL) luaL_setfuncs(L, binding->more_methods, 0);
}

/* Pushes an empty metatable of the kind. Every call of a method looks __index up: see PLACES. */
static void make_empty_metatable(lua_State *L, const struct neap_binding *binding) {
    lua_createtable(L, 0, METAFIELDS + count_methods(binding->metamethods));
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__index");
}

static void make_metatable(lua_State *L, enum neap_handle kind) {
    const struct neap_binding *binding = neap_bindings[kind];
    make_empty_metatable(L, binding);
    lua_pushstring(L, binding->name);
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, neap_box_tostring);
    lua_setfield(L, -2, "__tostring");
    if (neap_vm_of(L)->limits.cpu_ns > 0) { /* a script could put a finaliser of its own there */
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    if (binding->metamethods != NULL) luaL_setfuncs(L, binding->metamethods, 0);
    make_methods(L, binding, 0);
    if (binding->half != NULL) {
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, binding->half);
        lua_setfield(L, -2, "__index");
        lua_setmetatable(L, -2);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__methods");
    if (binding->item != NULL) {
        lua_pushcclosure(L, binding->item, 1);
    } else if (binding->index != NULL) {
        lua_pushcfunction(L, binding->index);
        lua_pushcclosure(L, index_with_fields, 2);
    }
    lua_setfield(L, -2, "__index");
    if (!neap_box_is_in_place(kind)) {
        lua_pushcfunction(L, box_collected);
        lua_setfield(L, -2, "__gc");
    }
}

static void push_metatable(lua_State *L, enum neap_handle kind) {
    struct neap_vm *vm = neap_vm_of(L);
    if (vm->metatables[kind] == 0) {
        make_metatable(L, kind);
        vm->metatables[kind] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->metatables[kind]);
}

static const char *name_in(const luaL_Reg *methods, lua_CFunction function) {
    for (; methods != NULL && methods->name != NULL; methods++)
        if (methods->func == function) return methods->name;
    return NULL;
}

const char *neap_box_method_name(const struct neap_binding *binding, lua_CFunction function) {
    const char *name = name_in(binding->methods, function);
    return name != NULL ? name : name_in(binding->more_methods, function);
}

void neap_box_push_methods(lua_State *L, enum neap_handle kind) {
    push_metatable(L, kind);
    lua_getfield(L, -1, "__methods");
    lua_remove(L, -2);
}

/* --- constants --- */

/* Copies the fields of the table at `from` to the one on top of the stack. */
static void copy_fields(lua_State *L, int from) {
    from = lua_absindex(L, from);
    for (lua_pushnil(L); lua_next(L, from) != 0;) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

/* Pushes a metatable like the kind's own, but for an __index table that has the constant beside the methods. */
static void make_variant(lua_State *L, enum neap_handle kind, const char *field, lua_Integer value) {
    push_metatable(L, kind);
    make_empty_metatable(L, neap_bindings[kind]);
    copy_fields(L, -2);
    make_methods(L, neap_bindings[kind], 1);
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
    lua_setfield(L, -2, "__index");
    lua_remove(L, -2);
}

void neap_box_set_constant(lua_State *L, enum neap_handle kind, const char *field, lua_Integer value) {
    luaL_checkstack(L, 8, "handles");
    neap_registry_push_weak(L, &constants[kind], "v");
    if (lua_rawgeti(L, -1, value) == LUA_TNIL) {
        lua_pop(L, 1);
        make_variant(L, kind, field, value);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, value);
    }
    lua_setmetatable(L, -3);
    lua_pop(L, 1);
}

/* --- boxes --- */

/* Lua sees a few words of a handle, not the object behind it, and so would let very many
 * pile up. It is told by the lot. */
void neap_box_account(lua_State *L, size_t size) {
    struct neap_vm *vm = neap_vm_of(L);
    vm->outside += size;
    if (vm->outside < LOT_SIZE) return;
    size_t kilobytes = vm->outside / 1024;
    vm->outside = 0;
    lua_gc(L, LUA_GCSTEP, kilobytes > MOST_AT_ONCE ? MOST_AT_ONCE : (int)kilobytes);
}

void neap_box_refuse_late(lua_State *L, const char *name) {
    if (neap_vm_of(L)->closed) luaL_error(L, "cannot make a %s: the state is being closed", name);
}

void *neap_box_new(lua_State *L, enum neap_handle kind, size_t size, int uservalues) {
    neap_box_refuse_late(L, neap_bindings[kind]->name);
    if (!neap_box_is_in_place(kind)) neap_box_account(L, OBJECT_SIZE);
    struct neap_box *box = lua_newuserdatauv(L, size, uservalues);
    box->binding = neap_bindings[kind];
    box->object = NULL;
    push_metatable(L, kind);
    lua_setmetatable(L, -2);
    return box;
}

void neap_box_register(lua_State *L, int index, struct neap_object *object) {
    index = lua_absindex(L, index);
    neap_registry_push_weak(L, &boxes_key, "v");
    lua_pushvalue(L, index);
    lua_rawsetp(L, -2, object);
    lua_pop(L, 1);
}

/* NEAP_HANDLE_COUNT: it is none. */
static enum neap_handle kind_of(const struct neap_object *object) {
    int kind = 0;
    while (kind < NEAP_HANDLE_COUNT && (neap_bindings[kind] == NULL || (neap_bindings[kind]->class != object->class &&
                                                                        neap_bindings[kind]->proxy != object->class)))
        kind++;
    return (enum neap_handle)kind;
}

bool neap_box_is_kind(const struct neap_object *object) { return kind_of(object) < NEAP_HANDLE_COUNT; }

void neap_box_push(lua_State *L, struct neap_object *object) {
    luaL_checkstack(L, 5, "handles");
    neap_registry_push_weak(L, &boxes_key, "v");
    if (lua_rawgetp(L, -1, object) == LUA_TNIL) {
        lua_pop(L, 1);
        enum neap_handle kind = kind_of(object);
        if (kind == NEAP_HANDLE_COUNT) luaL_error(L, "malformed message"); /* of another process */
        struct neap_box *box = neap_box_new(L, kind, sizeof *box, neap_bindings[kind]->uservalues);
        box->object = neap_object_ref(object);
        if (box->binding->arrived != NULL) box->binding->arrived(L, object);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, -3, object);
    }
    lua_remove(L, -2);
}

bool neap_box_is_sendable(lua_State *L, int index) {
    enum neap_handle kind;
    return neap_box_test_any(L, index, &kind) != NULL && !neap_bindings[kind]->stays;
}

struct neap_object *neap_box_share(lua_State *L, int index) {
    enum neap_handle kind;
    struct neap_object *object = neap_box_test_any(L, index, &kind);
    if (object == NULL || neap_bindings[kind]->stays) return NULL;
    if (neap_bindings[kind]->travel != NULL) return neap_bindings[kind]->travel(L, index);
    if (!object->shared) {
        neap_box_register(L, index, object);
        neap_object_share(object);
    }
    return neap_object_ref(object);
}

/* --- checks --- */

struct neap_object *neap_box_test_any(lua_State *L, int index, enum neap_handle *kind) {
    const struct neap_box *box = neap_box_at(L, index);
    if (box == NULL) return NULL;
    for (int i = 0; i < NEAP_HANDLE_COUNT; i++) {
        if (neap_bindings[i] == NULL || box->binding != neap_bindings[i]) continue;
        struct neap_object *object = neap_box_object(box, (enum neap_handle)i);
        if (object != NULL && kind != NULL) *kind = (enum neap_handle)i;
        return object;
    }
    return NULL;
}
