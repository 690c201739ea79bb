#include "bindings/pool.h"

#include <lauxlib.h>
#include <stdio.h>

#include "bindings/await.h"
#include "bindings/box.h"
#include "bindings/classes.h"
#include "bindings/codec.h"
#include "bindings/ending.h"
#include "bindings/future.h"
#include "bindings/handle.h"
#include "bindings/module.h"
#include "bindings/outcome.h"
#include "bindings/worker.h"
#include "core/clock.h"
#include "core/error.h"
#include "host/engine.h"
#include "host/pool.h"

static struct neap_pool *check(lua_State *L) { return (struct neap_pool *)neap_box_check(L, 1, NEAP_HANDLE_POOL); }

/* --- submitting --- */

enum { POOL = 1, FUTURE }; /* the stack of submit, once the function and its arguments have been encoded */

static int submitted(lua_State *L, struct neap_task *task, int code) {
    struct neap_pool *pool = check(L);
    if (code >= 0) code = task->link.result;
    struct neap_work *work = NULL;
    if (code == 0) {
        work = (struct neap_work *)task->link.message.object;
        neap_message_clear(&task->link.message);
    } else if (code == NEAP_BROKEN) {
        work = neap_pool_fail(pool, &task->link.message, task->link.number == NEAP_POOL_QUIET);
    }
    if (work != NULL) {
        neap_future_fill(L, FUTURE, work);
        return 1;
    }
    neap_message_fini(&task->link.message);
    if (code == NEAP_CLOSED) return luaL_error(L, "%s is closed: it takes no more work", pool->name);
    return luaL_error(L, "not enough memory");
}

/* The future goes where the pool is. */
static int applied(lua_State *L, struct neap_task *task, int code) {
    submitted(L, task, code);
    lua_replace(L, POOL);
    lua_settop(L, POOL);
    return neap_handle_join(L);
}

/* Stack: pool, function, arguments. */
static int submit(lua_State *L, bool quiet, neap_finish finish) {
    struct neap_pool *pool = check(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct neap_task *task = neap_await_begin(L);
    neap_encode_call(L, 2, lua_gettop(L) - 2, &task->link.message);
    lua_settop(L, POOL);
    neap_future_push_empty(L);
    task->link.object = &pool->object;
    task->link.op = NEAP_POOL_SUBMIT;
    task->link.number = quiet ? NEAP_POOL_QUIET : 0;
    return neap_await(L, &task->link, 1, NEAP_FOREVER, finish);
}

/* pool:submit(fn, ...) */
static int pool_submit(lua_State *L) { return submit(L, false, submitted); }

/* pool:apply(fn, ...) */
static int pool_apply(lua_State *L) { return submit(L, false, applied); }

int neap_pool_submit_quiet(lua_State *L) { return submit(L, true, submitted); }

/* --- the end --- */

/* pool:close() */
static int pool_close(lua_State *L) {
    neap_pool_close(check(L));
    return 0;
}

/* pool:terminate() */
static int pool_terminate(lua_State *L) {
    neap_pool_terminate(check(L));
    return 0;
}

/* pool:join([timeout]) */
static int pool_join(lua_State *L) {
    struct neap_pool *pool = check(L);
    lua_settop(L, 2);
    (void)neap_check_timeout(L, 2);
    if (neap_task_current(L)->pool == pool->id)
        return luaL_error(L, "the work of a pool cannot join it: it would never end");
    neap_pool_close(pool);
    return neap_await_object(L, &pool->object, NEAP_POOL_JOIN, 2, neap_finish_true);
}

static int pool_is_closed(lua_State *L) {
    lua_pushboolean(L, atomic_load_explicit(&check(L)->closed, memory_order_acquire));
    return 1;
}

static int closed(lua_State *L, struct neap_task *task, int code) {
    (void)L;
    (void)task;
    (void)code;
    return 0;
}

/* __close: (pool, error) */
static int pool_left(lua_State *L) {
    struct neap_pool *pool = check(L);
    if (lua_isnoneornil(L, 2))
        neap_pool_close(pool);
    else
        neap_pool_terminate(pool);
    lua_settop(L, 1);
    return neap_await_object(L, &pool->object, NEAP_POOL_JOIN, 2, closed);
}

/* --- how it stands --- */

static void set_count(lua_State *L, const char *name, uint64_t count) {
    lua_pushinteger(L, (lua_Integer)count);
    lua_setfield(L, -2, name);
}

static void set_seconds(lua_State *L, const char *name, int64_t duration_ns) {
    lua_pushnumber(L, (double)duration_ns / (double)NEAP_SECOND);
    lua_setfield(L, -2, name);
}

static void set_histogram(lua_State *L, const char *name, const struct neap_histogram *histogram) {
    lua_createtable(L, 0, 5);
    set_count(L, "count", histogram->count);
    set_seconds(L, "p50", neap_histogram_percentile(histogram, 0.5));
    set_seconds(L, "p90", neap_histogram_percentile(histogram, 0.9));
    set_seconds(L, "p99", neap_histogram_percentile(histogram, 0.99));
    set_seconds(L, "max", histogram->most);
    lua_setfield(L, -2, name);
}

/* pool:stats() */
static int pool_stats(lua_State *L) {
    struct neap_pool *pool = check(L);
    struct neap_pool_stats *stats = lua_newuserdatauv(L, sizeof *stats, 0);
    neap_pool_read_stats(pool, stats);
    lua_createtable(L, 0, 10);
    set_count(L, "workers", pool->workers);
    set_count(L, "submitted", stats->submitted);
    set_count(L, "queued", stats->queued);
    set_count(L, "running", stats->running);
    set_count(L, "done", stats->done);
    set_count(L, "failed", stats->failed);
    set_count(L, "cancelled", stats->cancelled);
    set_count(L, "lost", stats->lost);
    set_histogram(L, "wait", &stats->wait);
    set_histogram(L, "run", &stats->run);
    return 1;
}

static const char *state_of(struct neap_pool *pool) {
    if (neap_pool_is_broken(pool)) return "broken";
    if (atomic_load_explicit(&pool->ended, memory_order_acquire)) return "ended";
    return atomic_load_explicit(&pool->closed, memory_order_acquire) ? "closed" : "open";
}

/* "pool: images (4 threads, open)" */
static int pool_tostring(lua_State *L) {
    static const char *const kinds[] = {"thread", "process", "task"};
    struct neap_pool *pool = check(L);
    const char *kind = kinds[pool->kind], *ending = pool->workers == 1                  ? ""
                                                    : pool->kind == NEAP_POOL_PROCESSES ? "es"
                                                                                        : "s";
    lua_pushfstring(L, "pool: %s (%d %s%s, %s)", pool->name, (int)pool->workers, kind, ending, state_of(pool));
    return 1;
}

/* --- methods of the Lua half --- */

static int pool_half(lua_State *L) {
    lua_settop(L, 2);
    neap_module_push_part(L, "neap.pool");
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, 1);
    return 1;
}

static int worked(lua_State *L, int status, lua_KContext context) {
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

/* What a worker runs: (pool, ...), the arguments as in worker.lua. */
static int pool_work(lua_State *L) {
    check(L);
    neap_module_push_part(L, "neap.worker");
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, 0, 0, worked);
    return worked(L, LUA_OK, 0);
}

static const luaL_Reg methods[] = {{"submit", pool_submit},   {"apply", pool_apply},
                                   {"close", pool_close},     {"terminate", pool_terminate},
                                   {"join", pool_join},       {"is_closed", pool_is_closed},
                                   {"stats", pool_stats},     {"_work", pool_work},
                                   {"_map", neap_worker_map}, {NULL, NULL}};

static const luaL_Reg metamethods[] = {{"__tostring", pool_tostring}, {"__close", pool_left}, {NULL, NULL}};

const struct neap_binding neap_pool_binding = {
    .name = "pool",
    .class = &neap_pool_class,
    .methods = methods,
    .metamethods = metamethods,
    .half = pool_half,
};
