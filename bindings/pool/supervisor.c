/* supervisor: what the Lua half needs to run a pool (scripts/neap/pool.lua). */
#include <lauxlib.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/remote.h"
#include "bindings/pool/pool.h"
#include "bindings/pool/worker.h"
#include "bindings/state/registry.h"
#include "bindings/sync/future.h"
#include "bindings/task/await.h"
#include "bindings/task/outcome.h"
#include "bindings/task/task.h"
#include "bindings/task/task_job.h"
#include "core/error.h"
#include "host/engine.h"
#include "host/pool.h"

static const char keeper_key, promise_key, series_key; /* registry: metatables */

/* Supervisors live where the pool does. */
static struct neap_pool *check(lua_State *L) {
    struct neap_object *pool = neap_box_check(L, 1, NEAP_HANDLE_POOL);
    if (pool->class != &neap_pool_class) luaL_error(L, "this can be done only in the process that made the pool");
    return (struct neap_pool *)pool;
}

/* (kind, workers, limit, name) */
static int open_pool(lua_State *L) {
    static const char *const kinds[] = {"thread", "process", "task", NULL};
    enum neap_pool_kind kind = (enum neap_pool_kind)neap_argument_option(L, 1, NULL, kinds);
    uint32_t workers = (uint32_t)neap_argument_integer(L, 2);
    size_t limit = (size_t)neap_argument_integer(L, 3);
    const char *name = neap_argument_string_or(L, 4, NULL);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_POOL, sizeof *box, 0);
    struct neap_pool *pool = neap_pool_new(neap_vm_of(L)->engine, kind, workers, limit, name);
    if (pool == NULL) return luaL_error(L, "not enough memory");
    box->object = &pool->object;
    neap_box_register(L, -1, box->object);
    lua_pushinteger(L, (lua_Integer)pool->id);
    lua_pushstring(L, pool->name);
    return 3;
}

/* --- keepers --- */

struct keeper {
    struct neap_pool *pool; /* a reference; NULL once closed */
};

static int keeper_close(lua_State *L) {
    struct keeper *keeper = lua_touserdata(L, 1);
    struct neap_pool *pool = keeper->pool;
    if (pool == NULL) return 0;
    keeper->pool = NULL;
    neap_vm_of(L)->dropped += neap_pool_end(pool);
    neap_object_unref(&pool->object);
    return 0;
}

static int keep(lua_State *L) {
    struct neap_pool *pool = check(L);
    struct keeper *keeper = lua_newuserdatauv(L, sizeof *keeper, 0);
    keeper->pool = NULL;
    neap_registry_set_end(L, &keeper_key, keeper_close);
    keeper->pool = (struct neap_pool *)neap_object_ref(&pool->object);
    return 1;
}

/* --- workers come and go --- */

/* The error at `index` and the traceback behind it. NULL: no memory. */
static struct neap_outcome *make_failure(lua_State *L, int index) {
    enum neap_future_state state = NEAP_FUTURE_FAILED;
    lua_pushvalue(L, index);
    struct neap_outcome *outcome = neap_outcome_make(L, 1, &state);
    if (outcome != NULL) neap_outcome_add_traceback(L, outcome, index + 1);
    return outcome;
}

enum { LOST = 1 }; /* of ends */

static const char *const ends[] = {"done", "failed", "cancelled", "exited", NULL};
static const enum neap_future_state end_states[] = {NEAP_FUTURE_DONE, NEAP_FUTURE_FAILED, NEAP_FUTURE_CANCELLED,
                                                    NEAP_FUTURE_FAILED};

/* (pool, id, how[, err, traceback]) */
static int bury(lua_State *L) {
    struct neap_pool *pool = check(L);
    lua_Integer id = neap_argument_integer(L, 2);
    int how = neap_argument_option(L, 3, NULL, ends);
    lua_settop(L, 5);
    bool failed = end_states[how] == NEAP_FUTURE_FAILED;
    neap_pool_bury(pool, (uint64_t)id, how == LOST, failed ? make_failure(L, 4) : NULL);
    return 0;
}

/* (pool, err) */
static int give_up(lua_State *L) {
    struct neap_pool *pool = check(L);
    lua_settop(L, 3);
    struct neap_outcome *outcome = make_failure(L, 2);
    if (outcome == NULL) return luaL_error(L, "not enough memory");
    neap_pool_break(pool, outcome);
    return 0;
}

static int wants_workers(lua_State *L) {
    lua_pushboolean(L, neap_pool_wants_workers(check(L)));
    return 1;
}

/* --- promises --- */

struct promise {
    struct neap_work *work; /* a reference; NULL once it has been kept or broken */
};

static void end_promise(struct promise *promise, enum neap_future_state state, struct neap_outcome *outcome) {
    struct neap_work *work = promise->work;
    promise->work = NULL;
    neap_pool_finish(work->pool, work->id, state, outcome, NULL);
    neap_outcome_free(outcome);
    neap_object_unref(&work->future.object);
}

/* Who should have kept it never will. */
static int promise_close(lua_State *L) {
    struct promise *promise = lua_touserdata(L, 1);
    if (promise->work != NULL) end_promise(promise, NEAP_FUTURE_CANCELLED, NULL);
    return 0;
}

/* What a promise in this process is made of: a reference. NULL: no memory. */
static struct neap_pool *pool_here(lua_State *L, struct neap_object *pool) {
    if (neap_remote_test(pool) == NULL) return (struct neap_pool *)neap_object_ref(pool);
    neap_pool_push_name(L, pool);
    struct neap_pool *here = neap_pool_new_elsewhere(neap_vm_of(L)->engine, neap_pool_tag(pool), lua_tostring(L, -1));
    lua_pop(L, 1);
    return here;
}

/* (pool, task) */
static int make_promise(lua_State *L) {
    struct neap_object *object = neap_box_check(L, 1, NEAP_HANDLE_POOL);
    struct neap_job *job = neap_task_job(L, 2);
    neap_future_push_empty(L);
    struct promise *promise = lua_newuserdatauv(L, sizeof *promise, 0);
    promise->work = NULL;
    neap_registry_set_end(L, &promise_key, promise_close);
    struct neap_pool *pool = pool_here(L, object);
    struct neap_work *work = pool != NULL ? neap_pool_promise(pool, job) : NULL;
    if (pool != NULL) neap_object_unref(&pool->object);
    if (work == NULL) return luaL_error(L, "not enough memory");
    promise->work = (struct neap_work *)neap_object_ref(&work->future.object);
    neap_future_fill(L, lua_gettop(L) - 1, &work->future.object);
    return 2;
}

/* (promise, how, results..., or an error and a traceback) */
static int fulfil(lua_State *L) {
    struct promise *promise = lua_touserdata(L, 1);
    enum neap_future_state state = end_states[neap_argument_option(L, 2, NULL, ends)];
    struct neap_outcome *outcome;
    if (state == NEAP_FUTURE_DONE) {
        outcome = neap_outcome_make(L, lua_gettop(L) - 2, &state);
    } else {
        lua_settop(L, 4);
        outcome = make_failure(L, 3);
    }
    end_promise(promise, state, outcome);
    return 0;
}

/* --- series --- */

struct series {
    struct neap_series series;
    struct neap_owner owner; /* in whose list it is while it lasts: it may outlive the task that has begun it */
};

static int series_close(lua_State *L) {
    struct series *series = lua_touserdata(L, 1);
    (void)neap_hold_give_back(&series->series.hold);
    return 0;
}

static struct series *push_series(lua_State *L, struct neap_object *pool) {
    struct series *series = lua_newuserdatauv(L, sizeof *series, 0);
    struct neap_proxy *proxy = neap_remote_test(pool);
    neap_owner_init(&series->owner);
    if (proxy != NULL)
        neap_proxy_hold_init(&series->series.hold, proxy);
    else
        neap_series_init(&series->series, (struct neap_pool *)pool);
    neap_registry_set_end(L, &series_key, series_close);
    return series;
}

/* The series is on top of the stack. That the process of the pool has gone is for who submits to learn. */
static int begun(lua_State *L, struct neap_task *task, int code) {
    struct series *series = lua_touserdata(L, -1);
    if (code >= 0) code = task->link.result;
    if (code == NEAP_CLOSED) return 0;
    if (code == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    if (code != 0) return 1;
    neap_hold_unlink(&series->series.hold);
    neap_hold_link(&series->owner, &series->series.hold);
    return 1;
}

/* (pool) */
static int begin_series(lua_State *L) {
    struct neap_object *pool = neap_box_check(L, 1, NEAP_HANDLE_POOL);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = pool;
    task->link.op = NEAP_POOL_BEGIN;
    task->link.hold = &push_series(L, pool)->series.hold;
    return neap_await(L, &task->link, 1, NEAP_FOREVER, begun);
}

/* (pool) */
static int await_haste(lua_State *L) {
    struct neap_object *pool = neap_box_check(L, 1, NEAP_HANDLE_POOL);
    lua_settop(L, 1);
    return neap_await_object(L, pool, NEAP_POOL_HASTE, 2, neap_finish_true);
}

static int methods(lua_State *L) {
    neap_box_push_methods(L, NEAP_HANDLE_POOL);
    return 1;
}

const luaL_Reg neap_pool_internals[] = {{"open", open_pool},
                                        {"keep", keep},
                                        {"bury", bury},
                                        {"give_up", give_up},
                                        {"wants_workers", wants_workers},
                                        {"promise", make_promise},
                                        {"fulfil", fulfil},
                                        {"begin", begin_series},
                                        {"await_haste", await_haste},
                                        {"methods", methods},
                                        {"submit", neap_pool_submit_quiet},
                                        {"encode", neap_pool_encode},
                                        {"copy", neap_pool_copy},
                                        {"why_no_list", neap_pool_why_no_list},
                                        {"count_arguments", neap_pool_count_arguments},
                                        {"drop", neap_future_drop},
                                        {"worker", neap_worker_open},
                                        {"call", neap_worker_call},
                                        {NULL, NULL}};
