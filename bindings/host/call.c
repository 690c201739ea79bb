/* call: a host runs Lua.
 *
 * RIGHT HERE  neap_engine_call runs a function on the state's main stack, as the root: outside of tasks. Simple
 *             arguments go straight to the stack, since a call that costs much more than lua_pcall would not be used;
 *             whatever may raise is protected.
 * AS A TASK   neap_engine_await spawns a task and joins it, from the root.
 *             neap_engine_spawn has a watcher tell the host.
 * MESSAGES    The handler keeps the traceback in the registry, so that the error value stays what it is. */
#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#include "bindings/handle/handle.h"
#include "bindings/host/host.h"
#include "bindings/host/host_value.h"
#include "bindings/host/watcher.h"
#include "bindings/report/failure.h"
#include "bindings/task/ending.h"

enum { ARGUMENTS_MAX = 200 };

static const char traceback_key; /* registry: of the last error that a call of the host ended with */

/* --- compiling --- */

static int keep_loaded(struct neap_host *host, lua_State *L, int status, neap_function *function) {
    if (status == LUA_OK) {
        *function = luaL_ref(L, LUA_REGISTRYINDEX); /* has room, or the caller is protected */
        return 0;
    }
    int code = neap_host_code(L, status);
    lua_pushnil(L);
    lua_insert(L, -2);
    return neap_host_note(host, L, code);
}

struct source {
    struct neap_host *host;
    const char *bytes; /* NULL: a file */
    size_t size;
    const char *name; /* or the path */
    neap_function function;
    int code;
};

/* Protected: (source). */
static int load_source(lua_State *L) {
    struct source *source = lua_touserdata(L, 1);
    int status;
    if (source->bytes != NULL) {
        lua_pushfstring(L, "=%s", source->name);
        status = luaL_loadbufferx(L, source->bytes, source->size, lua_tostring(L, -1), "t");
    } else {
        errno = 0;
        status = luaL_loadfilex(L, source->name, "t");
    }
    int error = errno;
    source->code = keep_loaded(source->host, L, status, &source->function);
    if (status == LUA_ERRFILE) source->code = error != 0 ? -error : NEAP_FAILED;
    return 0;
}

static int load(struct neap_engine *engine, struct source *source, neap_function *function) {
    NEAP_CONTRACT_ENGINE(engine);
    NEAP_CONTRACT_POINTER(function);
    source->host = neap_host_of(engine);
    int code = neap_host_protect(source->host, load_source, source);
    if (code == 0) code = source->code;
    if (code == 0) *function = source->function;
    return code;
}

int neap_engine_load_file(struct neap_engine *engine, const char *path, neap_function *function) {
    struct source source = {.name = path};
    NEAP_CONTRACT_POINTER(path);
    return load(engine, &source, function);
}

int neap_engine_load_string(struct neap_engine *engine, const char *text, neap_function *function) {
    struct source source = {.bytes = text, .name = "string"};
    NEAP_CONTRACT_POINTER(text);
    source.size = strlen(text);
    return load(engine, &source, function);
}

int neap_engine_load_buffer(struct neap_engine *engine, const void *bytes, size_t size, const char *name,
                            neap_function *function) {
    struct source source = {.bytes = bytes, .size = size, .name = name};
    NEAP_CONTRACT_POINTER(bytes);
    NEAP_CONTRACT_POINTER(name);
    return load(engine, &source, function);
}

/* --- names --- */

struct field {
    const char *name;
    neap_function function;         /* FIND */
    struct neap_value *value;       /* GET */
    const struct neap_value *given; /* SET */
    int code;
};

/* Pushes what stands under the name, or nil: metamethods are not asked. */
static void push_field(lua_State *L, const char *name) {
    const char *dot;
    lua_pushglobaltable(L);
    for (bool more = true; more; name = dot + 1) {
        dot = strchr(name, '.');
        more = dot != NULL;
        if (!lua_istable(L, -1)) {
            lua_pop(L, 1);
            lua_pushnil(L);
            return;
        }
        lua_pushlstring(L, name, more ? (size_t)(dot - name) : strlen(name));
        lua_rawget(L, -2);
        lua_remove(L, -2);
    }
}

/* Protected: (field). */
static int find_field(lua_State *L) {
    struct field *field = lua_touserdata(L, 1);
    push_field(L, field->name);
    if (lua_isfunction(L, -1))
        field->function = luaL_ref(L, LUA_REGISTRYINDEX);
    else
        field->code = NEAP_MISSING;
    return 0;
}

int neap_engine_find(struct neap_engine *engine, const char *name, neap_function *function) {
    struct field field = {.name = name};
    NEAP_CONTRACT_ENGINE(engine);
    NEAP_CONTRACT_POINTER(name);
    NEAP_CONTRACT_POINTER(function);
    int code = neap_host_protect(neap_host_of(engine), find_field, &field);
    if (code == 0) code = field.code;
    if (code == 0) *function = field.function;
    if (code == NEAP_MISSING) neap_host_note_text(neap_host_of(engine), "there is no function of that name");
    return code;
}

void neap_engine_forget(struct neap_engine *engine, neap_function function) {
    if (engine == NULL || function <= 0 || !neap_host_is_here(engine)) return;
    luaL_unref(neap_host_of(engine)->vm->main, LUA_REGISTRYINDEX, function);
}

/* Protected: (field). */
static int get_field(lua_State *L) {
    struct field *field = lua_touserdata(L, 1);
    push_field(L, field->name);
    if (lua_isnil(L, -1))
        field->code = NEAP_MISSING;
    else
        neap_value_read(L, -1, field->value);
    return 0;
}

int neap_engine_get(struct neap_engine *engine, const char *name, struct neap_value *value) {
    struct neap_value read;
    struct field field = {.name = name, .value = &read};
    NEAP_CONTRACT_ENGINE(engine);
    NEAP_CONTRACT_POINTER(name);
    NEAP_CONTRACT_POINTER(value);
    int code = neap_host_protect(neap_host_of(engine), get_field, &field);
    if (code == 0) code = field.code;
    if (code == 0) *value = read;
    return code;
}

/* Protected: (field). */
static int set_field(lua_State *L) {
    struct field *field = lua_touserdata(L, 1);
    const char *name = field->name, *dot;
    lua_pushglobaltable(L);
    for (; (dot = strchr(name, '.')) != NULL; name = dot + 1) {
        lua_pushlstring(L, name, (size_t)(dot - name));
        lua_pushvalue(L, -1);
        int type = lua_rawget(L, -3);
        if (type != LUA_TTABLE && type != LUA_TNIL) {
            field->code = NEAP_MISSING;
            return 0;
        }
        if (type == LUA_TNIL) {
            lua_pop(L, 1);
            lua_newtable(L);
            lua_pushvalue(L, -2);
            lua_pushvalue(L, -2);
            lua_rawset(L, -5);
        }
        lua_replace(L, 2);
        lua_settop(L, 2);
    }
    lua_pushstring(L, name);
    neap_value_push(L, field->given);
    lua_rawset(L, -3);
    return 0;
}

int neap_engine_set(struct neap_engine *engine, const char *name, const struct neap_value *value) {
    struct field field = {.name = name, .given = value};
    NEAP_CONTRACT_ENGINE(engine);
    NEAP_CONTRACT_POINTER(name);
    NEAP_CONTRACT_POINTER(value);
    NEAP_CONTRACT_VALUES(value, 1);
    int code = neap_host_protect(neap_host_of(engine), set_field, &field);
    return code != 0 ? code : field.code;
}

/* --- calls --- */

/* What is called, with what, and where the results go. */
struct request {
    neap_function function;
    const struct neap_value *arguments;
    size_t count; /* of arguments */
    struct neap_value *results;
    size_t room;  /* of results */
    int first;    /* stack index of the first result */
    size_t taken; /* of results: read so far */
    struct neap_host *host;
    neap_watcher_done done; /* of spawn */
    void *argument;         /* of done */
};

static bool is_simple(const struct neap_value *value) { return value->kind < NEAP_STRING; }

/* Pushes a value that cannot raise. */
static void push_simple(lua_State *L, const struct neap_value *value) {
    switch (value->kind) {
        case NEAP_BOOLEAN: lua_pushboolean(L, value->as.boolean); return;
        case NEAP_INTEGER: lua_pushinteger(L, value->as.integer); return;
        case NEAP_NUMBER: lua_pushnumber(L, value->as.number); return;
        default: lua_pushnil(L);
    }
}

static int keep_traceback(lua_State *L) {
    luaL_traceback(L, L, NULL, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
    return 1;
}

/* Protected: (request) -> the arguments. */
static int push_arguments(lua_State *L) {
    const struct request *request = lua_touserdata(L, 1);
    for (size_t i = 0; i < request->count; i++) neap_value_push(L, &request->arguments[i]);
    return (int)request->count;
}

/* Pushes the function and its arguments; a status of Lua, with the error on top. */
static int push_call(lua_State *L, struct request *request) {
    bool simple = true;
    for (size_t i = 0; i < request->count; i++) simple = simple && is_simple(&request->arguments[i]);
    if (simple) {
        for (size_t i = 0; i < request->count; i++) push_simple(L, &request->arguments[i]);
        return LUA_OK;
    }
    lua_pushcfunction(L, push_arguments);
    lua_pushlightuserdata(L, request);
    return lua_pcall(L, 1, (int)request->count, 0);
}

/* Protected: (request, results...). */
static int read_results(lua_State *L) {
    struct request *request = lua_touserdata(L, 1);
    for (; request->taken < request->room; request->taken++)
        neap_value_read(L, 2 + (int)request->taken, &request->results[request->taken]);
    return 0;
}

/* Reads a value of which no copy has to be made: so nothing can raise. False: it is another one. */
static bool read_simple(lua_State *L, int index, struct neap_value *value) {
    switch (lua_type(L, index)) {
        case LUA_TNIL: *value = neap_nil(); return true;
        case LUA_TBOOLEAN: *value = neap_boolean(lua_toboolean(L, index)); return true;
        case LUA_TNUMBER:
            *value =
                lua_isinteger(L, index) ? neap_integer(lua_tointeger(L, index)) : neap_number(lua_tonumber(L, index));
            return true;
        default: return false;
    }
}

/* The results are the values of L from `first` on, `room` of them. */
static int take_results(lua_State *L, struct request *request, int first) {
    while (request->taken < request->room &&
           read_simple(L, first + (int)request->taken, &request->results[request->taken]))
        request->taken++;
    if (request->taken == request->room) return LUA_OK;
    lua_pushcfunction(L, read_results);
    lua_pushlightuserdata(L, request);
    for (int i = 0; i < (int)request->room; i++) lua_pushvalue(L, first + i);
    int status = lua_pcall(L, (int)request->room + 1, 0, 0);
    while (status != LUA_OK && request->taken > 0) neap_value_clear(&request->results[--request->taken]);
    return status;
}

/* The error is on top of L: notes it with its traceback. */
static int fail(struct neap_host *host, lua_State *L, int status) {
    int code = neap_host_code(L, status);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
    lua_insert(L, -2);
    code = neap_host_note(host, L, code);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
    return code;
}

static int check_request(struct neap_engine *engine, const struct neap_value *arguments, size_t count,
                         const struct neap_value *results, size_t room) {
    NEAP_CONTRACT_ENGINE(engine);
    NEAP_CONTRACT(arguments != NULL || count == 0, NEAP_INVALID,
                  "neap.h, RESULTS: arguments may be NULL where there are none");
    NEAP_CONTRACT(results != NULL || room == 0, NEAP_INVALID, "neap.h, RESULTS: results may be NULL where room is 0");
    NEAP_CONTRACT(count <= ARGUMENTS_MAX && room <= ARGUMENTS_MAX, NEAP_INVALID,
                  "neap.h: at most 200 arguments and results");
    NEAP_CONTRACT_VALUES(arguments, count);
    return 0;
}

static int refuse_stopped(struct neap_host *host) {
    neap_host_note_text(host, "the engine was stopped");
    return NEAP_CANCELLED;
}

int neap_engine_call(struct neap_engine *engine, neap_function function, const struct neap_value *arguments,
                     size_t count, struct neap_value *results, size_t room) {
    int code = check_request(engine, arguments, count, results, room);
    if (code != 0) return code;
    struct neap_host *host = neap_host_of(engine);
    if (neap_engine_status(engine) >= 0) return refuse_stopped(host);
    struct request request = {.arguments = arguments, .count = count, .results = results, .room = room};
    struct neap_visit visit;
    lua_State *L = host->vm->main;
    if (!lua_checkstack(L, (int)(count + 2 * room) + 8)) return NEAP_NOMEM;
    int top = lua_gettop(L);
    code = neap_host_enter(host, &visit);
    if (code != 0) return code;
    lua_pushcfunction(L, keep_traceback);
    if (lua_rawgeti(L, LUA_REGISTRYINDEX, function) != LUA_TFUNCTION) {
        code = NEAP_INVALID;
    } else {
        int status = push_call(L, &request);
        if (host->vm->limits.cpu_ns > 0) neap_limits_begin_stretch(host->vm, L);
        if (status == LUA_OK) status = lua_pcall(L, (int)count, (int)room, top + 1);
        if (host->vm->limits.cpu_ns > 0) neap_limits_end_stretch(host->vm);
        if (status == LUA_OK) status = take_results(L, &request, top + 2);
        if (status != LUA_OK) code = fail(host, L, status);
    }
    lua_settop(L, top);
    neap_host_leave(host, &visit);
    NEAP_CONTRACT(code != NEAP_INVALID, NEAP_INVALID, "neap.h: a neap_function is one that was loaded or found");
    return code;
}

/* --- tasks --- */

/* (request) -> the handle of a task. */
static int spawn(lua_State *L, struct request *request) {
    const struct neap_task_options options = {.flags = NEAP_TASK_QUIET};
    luaL_checkstack(L, (int)request->count + 4, "arguments");
    lua_rawgeti(L, LUA_REGISTRYINDEX, request->function);
    neap_argument_type(L, -1, LUA_TFUNCTION);
    for (size_t i = 0; i < request->count; i++) neap_value_push(L, &request->arguments[i]);
    neap_task_spawn(L, (int)request->count, &options);
    return 1;
}

/* Protected: (request). Spawns a task and joins it; its traceback goes where keep_traceback puts one. */
static int await(lua_State *L) {
    struct request *request = lua_touserdata(L, 1);
    spawn(L, request); /* 2: the handle */
    lua_pushcfunction(L, neap_handle_join);
    lua_pushvalue(L, 2);
    int status = lua_pcall(L, 1, (int)request->room, 0);
    if (status == LUA_OK) return (int)request->room;
    if (neap_task_push_extras(L, 2, false))
        lua_getfield(L, -1, "traceback");
    else
        lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
    lua_settop(L, 3);
    return lua_error(L);
}

#define CONTRACT_TURNS(host)                             \
    NEAP_CONTRACT(!(host)->vm->host_turns, NEAP_INVALID, \
                  "neap.h: an engine in the host's libuv loop is not turned by calls")

/* Has the host loaded or found it? */
static bool is_function(lua_State *L, neap_function function) {
    if (!lua_checkstack(L, 1)) return true; /* what comes next says so */
    bool is = lua_rawgeti(L, LUA_REGISTRYINDEX, function) == LUA_TFUNCTION;
    lua_pop(L, 1);
    return is;
}

#define CONTRACT_FUNCTION(is) NEAP_CONTRACT(is, NEAP_INVALID, "neap.h: a neap_function is one that was loaded or found")

int neap_engine_await(struct neap_engine *engine, neap_function function, const struct neap_value *arguments,
                      size_t count, struct neap_value *results, size_t room) {
    int code = check_request(engine, arguments, count, results, room);
    if (code != 0) return code;
    struct neap_host *host = neap_host_of(engine);
    CONTRACT_TURNS(host);
    CONTRACT_FUNCTION(is_function(host->vm->main, function));
    if (neap_engine_status(engine) >= 0) return refuse_stopped(host);
    struct request request = {
        .function = function, .arguments = arguments, .count = count, .results = results, .room = room, .host = host};
    struct neap_visit visit;
    lua_State *L = host->vm->main;
    if (!lua_checkstack(L, (int)(2 * room) + 8)) return NEAP_NOMEM;
    int top = lua_gettop(L);
    code = neap_host_enter(host, &visit);
    if (code != 0) return code;
    lua_pushcfunction(L, await);
    lua_pushlightuserdata(L, &request);
    int status = lua_pcall(L, 1, (int)room, 0);
    if (status == LUA_OK) status = take_results(L, &request, top + 1);
    if (status != LUA_OK) code = fail(host, L, status);
    lua_settop(L, top);
    neap_host_leave(host, &visit);
    return code;
}

/* Protected: (request). */
static int spawn_watched(lua_State *L) {
    struct request *request = lua_touserdata(L, 1);
    spawn(L, request);
    neap_watcher_add(L, request->host, request->done, request->argument);
    return 0;
}

int neap_engine_spawn(struct neap_engine *engine, neap_function function, const struct neap_value *arguments,
                      size_t count, neap_watcher_done done, void *argument) {
    int code = check_request(engine, arguments, count, NULL, 0);
    if (code != 0) return code;
    struct neap_host *host = neap_host_of(engine);
    CONTRACT_FUNCTION(is_function(host->vm->main, function));
    if (!host->vm->open || neap_engine_status(engine) >= 0) return NEAP_CLOSED;
    struct request request = {
        .function = function, .arguments = arguments, .count = count, .host = host, .done = done, .argument = argument};
    return neap_host_protect(host, spawn_watched, &request);
}

/* --- running --- */

static bool is_over(void *argument) {
    struct neap_host *host = argument;
    if (atomic_load_explicit(&host->engine.exit_status, memory_order_acquire) >= 0) return true;
    return host->vm->needed == 0 && !neap_engine_is_needed(&host->engine);
}

#define CONTRACT_NO_TASK(host)                                           \
    NEAP_CONTRACT((host)->vm->current == (host)->vm->root, NEAP_INVALID, \
                  "neap.h: a task, which would have to end first, does not run its engine")

int neap_engine_run(struct neap_engine *engine) {
    NEAP_CONTRACT_ENGINE(engine);
    struct neap_host *host = neap_host_of(engine);
    struct neap_visit visit;
    CONTRACT_TURNS(host);
    CONTRACT_NO_TASK(host);
    int code = neap_host_enter(host, &visit);
    if (code != 0) return code;
    neap_loop_run(&host->vm->loop, is_over, host);
    neap_host_leave(host, &visit);
    return neap_engine_status(engine) < 0 ? 0 : refuse_stopped(host);
}

static int check_run(struct neap_engine *engine) {
    NEAP_CONTRACT_ENGINE(engine);
    CONTRACT_NO_TASK(neap_host_of(engine));
    return 0;
}

static int run_loaded(struct neap_engine *engine, int code, neap_function function) {
    if (code != 0) return code;
    code = neap_engine_await(engine, function, NULL, 0, NULL, 0);
    neap_engine_forget(engine, function);
    return code == 0 ? neap_engine_run(engine) : code;
}

int neap_engine_run_file(struct neap_engine *engine, const char *path) {
    neap_function function = 0;
    int code = check_run(engine);
    if (code == 0) code = neap_engine_load_file(engine, path, &function);
    return run_loaded(engine, code, function);
}

int neap_engine_run_string(struct neap_engine *engine, const char *text) {
    neap_function function = 0;
    int code = check_run(engine);
    if (code == 0) code = neap_engine_load_string(engine, text, &function);
    return run_loaded(engine, code, function);
}
