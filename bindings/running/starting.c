#include "bindings/running/starting.h"

#include <lauxlib.h>
#include <limits.h>
#include <string.h>

#include "bindings/handle/handle.h"
#include "bindings/handle/instance.h"
#include "bindings/running/process.h"
#include "bindings/running/thread.h"
#include "bindings/state/argument.h"
#include "bindings/state/options.h"
#include "bindings/task/task.h"

enum { SELF = 1, RECORD }; /* the stack of start; then what is to be called and its arguments */

static int get_raw(lua_State *L, int index, const char *key) {
    index = lua_absindex(L, index);
    lua_pushstring(L, key);
    return lua_rawget(L, index);
}

/* --- in the new task --- */

static int run_returned(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return lua_gettop(L) - SELF;
}

int neap_starting_run(lua_State *L) {
    lua_settop(L, SELF);
    if (!neap_instance_push_record(L, SELF)) return neap_argument_type_error(L, SELF, "task, thread or process");
    neap_handle_push_current(L);
    lua_setfield(L, RECORD, "handle"); /* a thread's object is a copy, made before there was a handle */
    lua_settop(L, SELF);
    lua_getfield(L, SELF, "run");
    lua_pushvalue(L, SELF);
    lua_callk(L, 1, LUA_MULTRET, 0, run_returned);
    return run_returned(L, LUA_OK, 0);
}

/* --- starting --- */

/* Pushes what is to be called, and its arguments; returns how many. */
static int push_call(lua_State *L) {
    if (lua_getfield(L, SELF, "run") != LUA_TNIL) {
        if (!lua_isfunction(L, -1)) neap_argument_type_error(L, SELF, "object whose run is a function");
        lua_pop(L, 1);
        lua_pushcfunction(L, neap_starting_run);
        lua_pushvalue(L, SELF);
        return 1;
    }
    lua_pop(L, 1);
    if (get_raw(L, RECORD, "target") == LUA_TNIL)
        luaL_error(L, "there is nothing to start: neither a method run nor a target");
    if (get_raw(L, RECORD, "args") != LUA_TTABLE) {
        lua_pop(L, 1);
        return 0;
    }
    int arguments = lua_gettop(L);
    lua_Integer count = neap_argument_count(L, arguments);
    if (count < 0) luaL_error(L, "args: list of arguments expected, got %s", lua_tostring(L, -1));
    if (count > INT_MAX - 8 || !lua_checkstack(L, (int)count + 8)) luaL_error(L, "too many arguments");
    for (lua_Integer i = 1; i <= count; i++) lua_rawgeti(L, arguments, i);
    lua_remove(L, arguments);
    return (int)count;
}

static void read_options(lua_State *L, struct neap_task_options *options) {
    *options = (struct neap_task_options){.name = neap_options_string(L, RECORD, "name", NULL)};
    if (neap_options_boolean(L, RECORD, "daemon", false)) options->flags |= NEAP_TASK_DAEMON;
    if (neap_options_boolean(L, RECORD, "quiet", false)) options->flags |= NEAP_TASK_QUIET;
}

/* Of what is copied to where it runs. The object gives way to the reason of its cancellation, if it was cancelled. */
static void read_all_options(lua_State *L, struct neap_task_options *options) {
    read_options(L, options);
    if (neap_options_boolean(L, RECORD, "cancelled", false)) {
        options->flags |= NEAP_TASK_CANCELLED;
        get_raw(L, RECORD, "reason");
        lua_replace(L, SELF);
        options->reason = SELF;
    }
}

/* Protected: (object, record, function, arguments...) -> handle */
static int spawn_thread(lua_State *L) {
    struct neap_task_options options;
    read_all_options(L, &options);
    neap_thread_spawn(L, lua_gettop(L) - RECORD - 1, &options);
    return 1;
}

/* Likewise -> handle; or nil, message, code */
static int spawn_process(lua_State *L) {
    struct neap_task_options options;
    read_all_options(L, &options);
    return neap_process_spawn(L, lua_gettop(L) - RECORD - 1, &options);
}

/* An error in sending the object speaks of "self" instead of the argument that it is. */
static int raise_start(lua_State *L) {
    static const char sent[] = "cannot send args[1]";
    const char *message = lua_tostring(L, -1);
    luaL_where(L, 1);
    if (lua_type(L, -2) != LUA_TSTRING) {
        lua_pop(L, 1);
    } else if (lua_tocfunction(L, RECORD + 1) == neap_starting_run && strncmp(message, sent, sizeof sent - 1) == 0) {
        lua_pushfstring(L, "%scannot send self%s", lua_tostring(L, -1), message + sizeof sent - 1);
    } else {
        lua_pushvalue(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static void begin(lua_State *L, const char *class) {
    lua_settop(L, SELF);
    if (!neap_instance_push_record(L, SELF)) neap_argument_type_error(L, SELF, class);
    if (get_raw(L, RECORD, "handle") != LUA_TNIL) luaL_error(L, "it has been started already");
    lua_pop(L, 1);
}

/* The handle is on top of the stack. */
static int end(lua_State *L) {
    lua_setfield(L, RECORD, "handle");
    lua_settop(L, SELF);
    return 1;
}

int neap_starting_task(lua_State *L) {
    struct neap_task_options options;
    begin(L, "neap.Task");
    read_options(L, &options);
    neap_task_spawn(L, push_call(L), &options);
    if (neap_options_boolean(L, RECORD, "cancelled", false)) {
        get_raw(L, RECORD, "reason");
        neap_handle_cancel(L, -2);
    }
    return end(L);
}

static int start_elsewhere(lua_State *L, const char *class, lua_CFunction spawn) {
    begin(L, class);
    push_call(L);
    int top = lua_gettop(L);
    luaL_checkstack(L, top + 8, "arguments");
    lua_pushcfunction(L, spawn);
    for (int i = SELF; i <= top; i++) lua_pushvalue(L, i);
    if (lua_pcall(L, top, LUA_MULTRET, 0) != LUA_OK) return raise_start(L);
    int count = lua_gettop(L) - top;
    return count == 1 ? end(L) : count;
}

int neap_starting_thread(lua_State *L) { return start_elsewhere(L, "neap.Thread", spawn_thread); }

int neap_starting_process(lua_State *L) { return start_elsewhere(L, "neap.Process", spawn_process); }
