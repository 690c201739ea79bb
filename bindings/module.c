/* module: one table of C functions; what is written in Lua comes in when it is first asked for, so that a
 * thread pays only for what it uses. */
#include "bindings/module.h"

#include <lauxlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bindings/codec/codec.h"
#include "bindings/codec/permanent.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/handle.h"
#include "bindings/io/blocking.h"
#include "bindings/io/files.h"
#include "bindings/io/http.h"
#include "bindings/io/luv.h"
#include "bindings/io/net.h"
#include "bindings/io/patch.h"
#include "bindings/io/popen.h"
#include "bindings/io/stdio.h"
#include "bindings/io/tls.h"
#include "bindings/io/transfer.h"
#include "bindings/pool/pool.h"
#include "bindings/pool/watch.h"
#include "bindings/program/console.h"
#include "bindings/program/footer.h"
#include "bindings/report/failure.h"
#include "bindings/report/inspect.h"
#include "bindings/report/report.h"
#include "bindings/running/process.h"
#include "bindings/running/scope.h"
#include "bindings/running/starting.h"
#include "bindings/running/thread.h"
#include "bindings/state/commons.h"
#include "bindings/state/compiled.h"
#include "bindings/state/embedded.h"
#include "bindings/state/restrict.h"
#include "bindings/state/vm.h"
#include "bindings/task/cancel.h"
#include "bindings/task/context.h"
#include "bindings/task/slice.h"
#include "bindings/version.h"
#include "core/memory.h"
#include "host/engine.h"

static const luaL_Reg functions[] = {{"array", neap_array_open},
                                     {"barrier", neap_barrier_open},
                                     {"bounded_semaphore", neap_bounded_semaphore_open},
                                     {"buffer", neap_buffer_open},
                                     {"channel", neap_channel_open},
                                     {"condition", neap_condition_open},
                                     {"dict", neap_dict_open},
                                     {"event", neap_event_open},
                                     {"is_cancelled", neap_cancel_is_cancelled},
                                     {"lifo_queue", neap_lifo_queue_open},
                                     {"list", neap_list_open},
                                     {"lock", neap_lock_open},
                                     {"on_error", neap_failure_on_error},
                                     {"pipe", neap_pipe_open},
                                     {"priority_queue", neap_priority_queue_open},
                                     {"queue", neap_queue_open},
                                     {"register", neap_codec_register},
                                     {"rlock", neap_rlock_open},
                                     {"rwlock", neap_rwlock_open},
                                     {"scope", neap_scope_call},
                                     {"select", neap_select},
                                     {"semaphore", neap_semaphore_open},
                                     {"shield", neap_cancel_shield},
                                     {"signal", neap_signal_open_handle},
                                     {"slice", neap_slice_call},
                                     {"timeout", neap_cancel_timeout},
                                     {"value", neap_value_open},
                                     {NULL, NULL}};

static const char PARTS[] = "neap.parts";   /* registry: what the files of the Lua half have returned, by name */
static const char MODULE[] = "neap.module"; /* registry: the table of the module, which those files have added to */

/* For the Lua half: reference() -> a list of the texts of bindings/types. */
static int push_reference(lua_State *L) {
    lua_Integer count = 0;
    lua_newtable(L);
    for (const struct neap_embedded *file = neap_embedded; file->name != NULL; file++) {
        if (strncmp(file->name, "types.", 6) != 0) continue;
        lua_pushlstring(L, file->text, file->size);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* Names of the module that the Lua half defines, and the file (of scripts/neap) that does. */
static const struct {
    const char *name, *file;
} lazy[] = {{"as_completed", "neap.group"},
            {"blocking", "neap.blocking"},
            {"dns", "neap.net"},
            {"fs", "neap.fs"},
            {"gather", "neap.group"},
            {"http", "neap.http"},
            {"inspect", "neap.inspect"},
            {"luv", "neap.luv"},
            {"net", "neap.net"},
            {"patch_all", "neap.patch"},
            {"pool", "neap.pool"},
            {"popen", "neap.program"},
            {"race", "neap.group"},
            {"run", "neap.program"},
            {"stdin", "neap.stdin"},
            {"wait", "neap.group"},
            {"Process", "neap.class"},
            {"Task", "neap.class"},
            {"Thread", "neap.class"},
            {"log", "neap.log"},
            {"progress", "neap.progress"},
            {NULL, NULL}};

/* Is stderr one? */
static int is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty(STDERR_FILENO) == 1);
    return 1;
}

/* clock() -> seconds since 1970, and the thousandths of the second that has begun. */
static int read_clock(lua_State *L) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushinteger(L, (lua_Integer)now.tv_sec);
    lua_pushinteger(L, (lua_Integer)now.tv_nsec / 1000000);
    return 2;
}

/* report(text): on stderr, or to the host. */
static int report(lua_State *L) {
    neap_report_print("%s\n", luaL_checkstring(L, 1));
    return 0;
}

/* What the Lua half is given beside the module, and scripts do not see; and `load`, below. */
static const luaL_Reg internal[] = {{"clock", read_clock},
                                    {"commons", neap_commons_get},
                                    {"console", neap_console_open},
                                    {"context", neap_context_get},
                                    {"inherited", neap_commons_inherited},
                                    {"inspect_here", neap_inspect_here},
                                    {"inspect_others", neap_inspect_others},
                                    {"is_terminal", is_terminal},
                                    {"join", neap_handle_join},
                                    {"reference", push_reference},
                                    {"run", neap_starting_run},
                                    {"kill", neap_process_kill},
                                    {"report", report},
                                    {"rusage", neap_process_rusage},
                                    {"set_context", neap_context_set},
                                    {"spawn_surely", neap_run_spawn_surely},
                                    {"start_process", neap_starting_process},
                                    {"start_task", neap_starting_task},
                                    {"start_thread", neap_starting_thread},
                                    {"terminate", neap_process_terminate},
                                    {"wait", neap_handle_wait},
                                    {"watch", neap_watch_open},
                                    {NULL, NULL}};

/* More of it, in tables of their own. */
static const struct {
    const char *name;
    const luaL_Reg *functions;
} internal_tables[] = {
    {"blocking", neap_blocking_functions}, {"files", neap_files_functions},    {"footer", neap_footer_functions},
    {"http", neap_http_functions},         {"net", neap_net_functions},        {"patch", neap_patch_functions},
    {"pool", neap_pool_internals},         {"programs", neap_popen_functions}, {"stdio", neap_stdio_functions},
    {"tls", neap_tls_functions},           {"luv", neap_luv_functions},        {"transfers", neap_transfer_functions},
};

/* Pushes the table of what is internal. */
static void push_internal(lua_State *L) {
    luaL_newlib(L, internal);
    for (size_t i = 0; i < sizeof internal_tables / sizeof internal_tables[0]; i++) {
        lua_newtable(L);
        luaL_setfuncs(L, internal_tables[i].functions, 0);
        lua_setfield(L, -2, internal_tables[i].name);
    }
}

static const struct neap_embedded *find_embedded(lua_State *L, const char *name) {
    const struct neap_embedded *file = neap_embedded;
    while (file->name != NULL && strcmp(file->name, name) != 0) file++;
    if (file->name == NULL) luaL_error(L, "neap was built without %s", name);
    return file;
}

static int load_part(lua_State *L);

/* Pushes what a file of the Lua half returns. It is run once a state, with the module's
 * table (at 1) and what is internal. */
static void push_part(lua_State *L, const char *name) {
    const struct neap_embedded *file = find_embedded(L, name);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, PARTS);
    if (lua_getfield(L, -1, name) != LUA_TNIL) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    neap_compiled_push(L, file);
    lua_pushvalue(L, 1);
    push_internal(L);
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, load_part, 1);
    lua_setfield(L, -2, "load");
    lua_call(L, 2, 1);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
    }
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, name);
    lua_remove(L, -2);
    neap_restrict_module(L, 1);
    neap_codec_touch_modules(L);
}

/* For the Lua half: load(name) -> what the file returns. Upvalue 1 is the module's table. */
static int load_part(lua_State *L) {
    const char *name = neap_argument_string(L, 1, NULL);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    push_part(L, name);
    return 1;
}

/* (module, name) */
static int load_part_of(lua_State *L) {
    push_part(L, lua_tostring(L, 2));
    return 1;
}

void neap_module_push_part(lua_State *L, const char *name) {
    luaL_checkstack(L, 8, name);
    lua_pushliteral(L, "neap");
    neap_permanent_require(L);
    lua_pushcfunction(L, load_part_of);
    lua_insert(L, -2);
    lua_pushstring(L, name);
    lua_call(L, 2, 1);
}

/* __index of the module's table: (module, key). */
static int load_lazily(lua_State *L) {
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    for (int i = 0; lazy[i].name != NULL; i++) {
        if (strcmp(lazy[i].name, key) != 0) continue;
        push_part(L, lazy[i].file);
        lua_pushvalue(L, 2);
        lua_rawget(L, 1);
        return 1;
    }
    return 0;
}

static int next_field(lua_State *L) {
    lua_settop(L, 2);
    return lua_next(L, 1) ? 2 : 0;
}

/* __pairs of the module's table: everything, so the Lua half is loaded first. */
static int list_all(lua_State *L) {
    for (int i = 0; lazy[i].name != NULL; i++) {
        lua_getfield(L, 1, lazy[i].name);
        lua_pop(L, 1);
    }
    lua_pushcfunction(L, next_field);
    lua_pushvalue(L, 1);
    return 2;
}

int neap_module_open(lua_State *L) {
    if (lua_getfield(L, LUA_REGISTRYINDEX, MODULE) != LUA_TNIL)
        return 1; /* taken out of package.loaded, and required again */
    lua_createtable(L, 0, 64);
    luaL_setfuncs(L, functions, 0);
    luaL_setfuncs(L, neap_run_functions, 0);
    luaL_setfuncs(L, neap_thread_functions, 0);
    luaL_setfuncs(L, neap_process_functions, 0);
    neap_codec_push_null(L);
    lua_setfield(L, -2, "null");
    lua_pushliteral(L, NEAP_VERSION);
    lua_setfield(L, -2, "version");
    neap_restrict_module(L, -1);
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, load_lazily);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, list_all);
    lua_setfield(L, -2, "__pairs");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, MODULE);
    return 1;
}
