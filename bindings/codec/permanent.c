/* permanent: from values to names and back.
 *
 * MODEL      names (weak keys) maps a value to its name: "string\0format", the module first. It is filled from what
 *            stands in package.loaded, in two steps, for most messages need none or the first only: modules, once a
 *            table is sent; C functions, once one is sent.
 *
 * FRESHNESS  A module that is loaded later must be known as well, but to look through package.loaded for every
 *            message costs more than the message. So package.loaded gets a __newindex that notes the change. Where it
 *            has a metatable already, each message that is a parcel looks. A C function without a name has them all
 *            taken again before it is refused. Whether a named module is still loaded is checked each time.
 *
 * METHODS    of handles (local send = channel.send) stand in no module. They are the same C functions in every state,
 *            and named by kind: "neap:channel\0send".
 *
 * WHAT COUNTS Modules, whatever they are; C functions in them, and in tables in them (socket.dns.toip). Of neap itself
 *            all tables and functions, also the Lua ones. Data of other modules and their Lua functions are copied. */
#include "bindings/codec/permanent.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/codec/encoder.h"
#include "bindings/handle/box.h"
#include "bindings/state/registry.h"

#define METHOD_PREFIX "neap:"

enum {
    OWN_DEPTH = 2, /* of tables in modules that are looked into */
    OTHER_DEPTH = 2,
    NAME_MAX_SIZE = 128 /* of a method's name, in bytes */
};

/* --- package.loaded --- */

void neap_permanent_push_loaded(lua_State *L) { lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->loaded_ref); }

/* (loaded, name, module) */
static int module_loaded(lua_State *L) {
    neap_encoder_of(L)->modules_stale = true;
    lua_rawset(L, 1);
    return 0;
}

/* On top of the stack: package.loaded. */
static bool watch(lua_State *L) {
    if (lua_getmetatable(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, module_loaded);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    return true;
}

void neap_permanent_open(lua_State *L, struct neap_encoder *encoder) {
    neap_registry_new_weak(L, "k");
    encoder->names_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    encoder->modules_watched = watch(L);
    encoder->loaded_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getglobal(L, "require");
    encoder->require_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    encoder->modules_stale = true;
}

/* --- naming. Stack: 1 names, 2 package.loaded, 3 the name of a module, 4 the module --- */

enum { NAMES = 1, LOADED, MODULE_NAME, MODULE };

/* Takes `name` (a stack index) for the value at `value`, unless it has one. */
static void take_name(lua_State *L, int value, int name) {
    value = lua_absindex(L, value);
    name = lua_absindex(L, name);
    lua_pushvalue(L, value);
    if (lua_rawget(L, NAMES) == LUA_TNIL) {
        lua_pushvalue(L, value);
        lua_pushvalue(L, name);
        lua_rawset(L, NAMES);
    }
    lua_pop(L, 1);
    if (!lua_iscfunction(L, value)) neap_filter_add(neap_encoder_of(L), lua_topointer(L, value));
}

static bool is_own(const char *module) {
    return strncmp(module, "neap", 4) == 0 && (module[4] == '\0' || module[4] == '.');
}

/* Pushes the name of the field whose key is at `key`, in the thing whose name is at `name`. */
static void push_field_name(lua_State *L, int name, int key) {
    luaL_Buffer buffer;
    name = lua_absindex(L, name);
    key = lua_absindex(L, key);
    luaL_buffinit(L, &buffer);
    lua_pushvalue(L, name);
    luaL_addvalue(&buffer);
    luaL_addchar(&buffer, '\0');
    lua_pushvalue(L, key);
    luaL_addvalue(&buffer);
    luaL_pushresult(&buffer);
}

/* A module goes by its own name. */
static bool is_module(lua_State *L, int value) {
    lua_pushvalue(L, value);
    bool module = lua_rawget(L, NAMES) == LUA_TSTRING && strlen(lua_tostring(L, -1)) == lua_rawlen(L, -1);
    lua_pop(L, 1);
    return module;
}

/* Names what the table on top of the stack contains; its own name is below it. `own`: all that it contains, else C
 * functions only. `depth`: of tables to look into. */
static void name_fields(lua_State *L, bool own, int depth) {
    int table = lua_gettop(L), name = table - 1;
    luaL_checkstack(L, LUA_MINSTACK, "names");
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        int type = lua_type(L, -1);
        if (lua_type(L, -2) != LUA_TSTRING || (type != LUA_TFUNCTION && type != LUA_TTABLE)) continue;
        if (type == LUA_TTABLE && is_module(L, -1)) continue;
        if (type == LUA_TFUNCTION && !own && !lua_iscfunction(L, -1)) continue;
        push_field_name(L, name, -2);
        if (own || type == LUA_TFUNCTION) take_name(L, -2, -1);
        lua_pushvalue(L, -2); /* the field above its name */
        if (type == LUA_TTABLE && depth > 1) name_fields(L, own, depth - 1);
        lua_pop(L, 2);
    }
}

/* Calls `visit` for each module, with MODULE_NAME and MODULE on the stack. */
static void each_module(lua_State *L, void (*visit)(lua_State *L)) {
    lua_settop(L, 0);
    lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->names_ref);
    neap_permanent_push_loaded(L);
    for (lua_pushnil(L); lua_next(L, LOADED); lua_settop(L, MODULE_NAME))
        if (lua_type(L, MODULE_NAME) == LUA_TSTRING) visit(L);
}

static void name_module(lua_State *L) {
    int type = lua_type(L, MODULE);
    if (strlen(lua_tostring(L, MODULE_NAME)) != lua_rawlen(L, MODULE_NAME)) return; /* would read as a field */
    if (type == LUA_TTABLE || type == LUA_TFUNCTION || type == LUA_TUSERDATA) take_name(L, MODULE, MODULE_NAME);
}

static void name_own(lua_State *L) {
    if (lua_istable(L, MODULE) && is_own(lua_tostring(L, MODULE_NAME))) name_fields(L, true, OWN_DEPTH);
}

int neap_permanent_name_modules(lua_State *L) {
    struct neap_encoder *encoder = neap_encoder_of(L);
    encoder->modules_stale = false;
    each_module(L, name_module);
    each_module(L, name_own);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    neap_filter_add(encoder, lua_topointer(L, -1));
    return 0;
}

/* The standard library's own names come first: what other modules offer of it goes by those. */
static bool is_standard(const char *module) {
    static const char *const names[] = {"_G", "coroutine", "debug",  "io",    "math",
                                        "os", "package",   "string", "table", "utf8"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(module, names[i]) == 0) return true;
    return false;
}

static void name_standard_functions(lua_State *L) {
    if (lua_istable(L, MODULE) && is_standard(lua_tostring(L, MODULE_NAME))) name_fields(L, false, 1);
}

static void name_other_functions(lua_State *L) {
    if (lua_istable(L, MODULE) && !is_standard(lua_tostring(L, MODULE_NAME))) name_fields(L, false, OTHER_DEPTH);
}

int neap_permanent_name_functions(lua_State *L) {
    neap_permanent_name_modules(L);
    each_module(L, name_standard_functions);
    each_module(L, name_other_functions);
    return 0;
}

/* --- sending --- */

static bool is_globals(lua_State *L) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    return same;
}

/* Stack: ... value, name. A module that is no longer loaded, or was loaded anew, has lost its name. */
static bool is_current(lua_State *L, size_t size) {
    if (strlen(lua_tostring(L, -1)) != size) return true; /* a field */
    neap_permanent_push_loaded(L);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    bool current = lua_rawequal(L, -1, -4);
    lua_pop(L, 2);
    return current;
}

bool neap_permanent_put(lua_State *L, struct neap_scratch *scratch) {
    if (is_globals(L)) {
        neap_scratch_put_tag(L, scratch, NEAP_TAG_GLOBALS);
        return true;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->names_ref);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    size_t size;
    const char *name = lua_tolstring(L, -1, &size);
    bool found = name != NULL && is_current(L, size);
    if (found) {
        neap_scratch_put_u32(L, scratch, NEAP_TAG_NAME, (uint32_t)size);
        neap_scratch_put_bytes(L, scratch, name, size);
    }
    lua_pop(L, 1);
    return found;
}

/* Writes the name of the function on top of the stack, if it is a method of a kind of handles. */
static bool put_method(lua_State *L, struct neap_scratch *scratch) {
    lua_CFunction function = lua_tocfunction(L, -1);
    char name[NAME_MAX_SIZE];
    for (int kind = 0; kind < NEAP_HANDLE_COUNT; kind++) {
        const struct neap_binding *binding = neap_bindings[kind];
        const char *method = binding == NULL ? NULL : neap_box_method_name(binding, function);
        if (method == NULL) continue;
        int size = snprintf(name, sizeof name, METHOD_PREFIX "%s%c%s", binding->name, '\0', method);
        neap_scratch_put_u32(L, scratch, NEAP_TAG_NAME, (uint32_t)size);
        neap_scratch_put_bytes(L, scratch, name, (size_t)size);
        return true;
    }
    return false;
}

bool neap_permanent_put_function(lua_State *L, struct neap_scratch *scratch) {
    if (neap_permanent_put(L, scratch) || put_method(L, scratch)) return true;
    neap_scratch_apart(L, scratch, neap_permanent_name_functions, 0, 0);
    return neap_permanent_put(L, scratch);
}

/* --- receiving --- */

void neap_permanent_require(lua_State *L) {
    neap_permanent_push_loaded(L);
    lua_pushvalue(L, -2);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->require_ref);
        if (lua_isnil(L, -1)) luaL_error(L, "module '%s' is not loaded, and there is no require", lua_tostring(L, -2));
        lua_pushvalue(L, -2);
        lua_call(L, 1, 1);
    }
    lua_remove(L, -2);
}

/* Raises: there is nothing of this name. */
static void fail(lua_State *L, const char *name, size_t size) {
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (size_t i = 0; i < size; i++) luaL_addchar(&buffer, name[i] == '\0' ? '.' : name[i]);
    luaL_pushresult(&buffer);
    luaL_error(L, "cannot receive '%s': there is no such value here", lua_tostring(L, -1));
}

static bool push_from(lua_State *L, const luaL_Reg *methods, const char *name, size_t size) {
    for (; methods != NULL && methods->name != NULL; methods++) {
        if (strlen(methods->name) != size || memcmp(methods->name, name, size) != 0) continue;
        lua_pushcfunction(L, methods->func);
        return true;
    }
    return false;
}

/* Pushes the method of that name, the prefix left out, if there is one. */
static bool push_method(lua_State *L, const char *name, size_t size) {
    for (int kind = 0; kind < NEAP_HANDLE_COUNT; kind++) {
        const struct neap_binding *binding = neap_bindings[kind];
        size_t length = binding == NULL ? size : strlen(binding->name);
        if (length >= size || memcmp(name, binding->name, length) != 0 || name[length] != '\0') continue;
        const char *method = name + length + 1;
        size_t rest = size - length - 1;
        if (push_from(L, binding->methods, method, rest) || push_from(L, binding->more_methods, method, rest))
            return true;
    }
    return false;
}

void neap_permanent_push(lua_State *L, const char *name, size_t size) {
    size_t prefix = sizeof METHOD_PREFIX - 1;
    if (size > prefix && memcmp(name, METHOD_PREFIX, prefix) == 0 && push_method(L, name + prefix, size - prefix))
        return;
    const char *end = name + size;
    const char *part_end = memchr(name, '\0', size);
    if (part_end == NULL) part_end = end;
    lua_pushlstring(L, name, (size_t)(part_end - name));
    neap_permanent_require(L);
    while (part_end != end) {
        const char *part = part_end + 1;
        part_end = memchr(part, '\0', (size_t)(end - part));
        if (part_end == NULL) part_end = end;
        if (!lua_istable(L, -1)) fail(L, name, size);
        lua_pushlstring(L, part, (size_t)(part_end - part));
        lua_gettable(L, -2);
        lua_remove(L, -2);
    }
    if (lua_isnil(L, -1)) fail(L, name, size);
}
