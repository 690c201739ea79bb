/* run: the functions of the module that start tasks, and that tell what runs. */
#include <lauxlib.h>
#include <sched.h>
#include <unistd.h>

#include "bindings/handle/classes.h"
#include "bindings/handle/handle.h"
#include "bindings/handle/instance.h"
#include "bindings/running/thread.h"
#include "bindings/state/options.h"
#include "bindings/task/await.h"
#include "bindings/task/cancel.h"
#include "bindings/task/task.h"
#include "core/clock.h"
#include "core/error.h"
#include "host/engine.h"

static const char *const option_names[] = {"name", "quiet", "daemon", NULL};

int neap_run_options(lua_State *L, int index, struct neap_task_options *options) {
    *options = (struct neap_task_options){.name = NULL};
    if (!lua_istable(L, index)) return index;
    if (neap_instance_push_record(L, index)) neap_argument_error(L, index, "an object of a class has a method start");
    lua_pushliteral(L, "__index");
    if (lua_rawget(L, index) != LUA_TNIL) neap_argument_error(L, index, "a class is called, and its object started");
    lua_pop(L, 1);
    neap_options_check(L, index, option_names);
    options->name = neap_options_string(L, index, "name", NULL);
    if (neap_options_boolean(L, index, "quiet", false)) options->flags |= NEAP_TASK_QUIET;
    if (neap_options_boolean(L, index, "daemon", false)) options->flags |= NEAP_TASK_DAEMON;
    return index + 1;
}

/* ([options,] fn, ...) */
static int spawn(lua_State *L, uint16_t more_flags) {
    struct neap_task_options options;
    int function = neap_run_options(L, 1, &options);
    options.flags |= more_flags;
    neap_argument_type(L, function, LUA_TFUNCTION);
    neap_task_spawn(L, lua_gettop(L) - function, &options);
    return 1;
}

/* neap.spawn([options,] fn, ...) */
static int run_spawn(lua_State *L) { return spawn(L, 0); }

int neap_run_spawn_surely(lua_State *L) { return spawn(L, NEAP_TASK_UNASKED); }

/* --- time --- */

static int slept(lua_State *L, struct neap_task *task, int code) {
    (void)L;
    (void)task;
    (void)code;
    return 0;
}

/* neap.sleep(seconds) */
static int run_sleep(lua_State *L) {
    int64_t deadline = neap_read_seconds(L, 1);
    neap_await_begin(L);
    if (deadline == 0) return neap_task_yield(L);
    return neap_await(L, NULL, 0, deadline, slept);
}

static int run_yield(lua_State *L) { return neap_task_yield(L); }

static int run_now(lua_State *L) {
    lua_pushnumber(L, (double)neap_clock_now() / (double)NEAP_SECOND);
    return 1;
}

/* Stack: [options,] seconds, fn, ... -> seconds out, the rest left for spawning. Returns the index of fn. */
static int check_timer(lua_State *L, struct neap_task_options *options) {
    int seconds = neap_run_options(L, 1, options);
    options->start = neap_read_seconds(L, seconds);
    neap_argument_type(L, seconds + 1, LUA_TFUNCTION);
    options->flags |= NEAP_TASK_TIMER;
    return seconds + 1;
}

/* neap.timer([options,] seconds, fn, ...) */
static int run_timer(lua_State *L) {
    struct neap_task_options options;
    int function = check_timer(L, &options);
    neap_task_spawn(L, lua_gettop(L) - function, &options);
    return 1;
}

/* The body of neap.every's task: 1 the period, 2 the next time, 3 fn, then its arguments. */
static int every_called(lua_State *L, int status, lua_KContext top);

static int every_slept(lua_State *L, struct neap_task *task, int code) {
    (void)task;
    (void)code;
    int top = lua_gettop(L);
    luaL_checkstack(L, top, "arguments");
    for (int i = 3; i <= top; i++) lua_pushvalue(L, i);
    lua_callk(L, top - 3, 0, top, every_called);
    return every_called(L, LUA_OK, top);
}

static int every_called(lua_State *L, int status, lua_KContext top) {
    (void)status;
    lua_settop(L, (int)top);
    int64_t period = (int64_t)(lua_tonumber(L, 1) * (double)NEAP_SECOND), now = neap_clock_now();
    int64_t next = lua_tointeger(L, 2) + period;
    if (next <= now) next = now + period - (now - next) % period; /* late: the beats that were missed are left out */
    lua_pushinteger(L, next);
    lua_replace(L, 2);
    neap_await_begin(L);
    return neap_await(L, NULL, 0, next, every_slept);
}

static int every_body(lua_State *L) { return every_slept(L, NULL, 0); }

/* neap.every([options,] seconds, fn, ...) */
static int run_every(lua_State *L) {
    struct neap_task_options options;
    int function = check_timer(L, &options);
    double period = lua_tonumber(L, function - 1);
    neap_argument_check(L, period > 0 && period < 9e9, function - 1, "a period is greater than 0");
    /* any of its beats may be the last: cancel works throughout */
    options.flags = (uint16_t)(options.flags & ~NEAP_TASK_TIMER);
    lua_pushcfunction(L, every_body);
    lua_insert(L, function - 1);
    lua_pushinteger(L, options.start);
    lua_insert(L, function + 1);
    neap_task_spawn(L, lua_gettop(L) - function + 1, &options);
    neap_task_push_extras(L, lua_gettop(L), true);
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "endless"); /* see handle_left */
    lua_pop(L, 1);
    return 1;
}

/* --- what runs --- */

static int run_main(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_job *job = vm->engine->main_job;
    if (job != NULL)
        neap_box_push(L, &job->future.object);
    else
        neap_task_push(L, vm->root);
    return 1;
}

static int run_tasks(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    lua_newtable(L);
    lua_Integer count = 0;
    for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next) {
        neap_task_push(L, NEAP_CONTAINER_OF(node, struct neap_task, node));
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

static int run_cpu_count(lua_State *L) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    lua_pushinteger(L, count > 0 ? count : 1);
    return 1;
}

static int run_getpid(lua_State *L) {
    lua_pushinteger(L, getpid());
    return 1;
}

static int run_getppid(lua_State *L) {
    lua_pushinteger(L, getppid());
    return 1;
}

const luaL_Reg neap_run_functions[] = {{"spawn", run_spawn},
                                       {"sleep", run_sleep},
                                       {"yield", run_yield},
                                       {"now", run_now},
                                       {"timer", run_timer},
                                       {"every", run_every},
                                       {"current", neap_handle_push_current},
                                       {"main", run_main},
                                       {"tasks", run_tasks},
                                       {"cpu_count", run_cpu_count},
                                       {"getpid", run_getpid},
                                       {"getppid", run_getppid},
                                       {NULL, NULL}};
