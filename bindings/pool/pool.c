#include "bindings/pool/pool.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/handle.h"
#include "bindings/handle/remote.h"
#include "bindings/module.h"
#include "bindings/pool/worker.h"
#include "bindings/state/registry.h"
#include "bindings/sync/future.h"
#include "bindings/task/await.h"
#include "bindings/task/ending.h"
#include "bindings/task/outcome.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/remote.h"
#include "host/engine.h"
#include "host/mirror.h"
#include "host/pool_remote.h"

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_POOL); }

uint32_t neap_pool_tag(struct neap_object *object) {
    const struct neap_proxy *proxy = neap_remote_test(object);
    return proxy != NULL ? (uint32_t)proxy->constants.numbers[0] : ((const struct neap_pool *)object)->tag;
}

uint32_t neap_pool_tag_of_future(struct neap_object *object) {
    if (object->class == &neap_work_class) return ((const struct neap_work *)object)->pool->tag;
    if (object->class == &neap_mirror_future_class) return (uint32_t)((const struct neap_mirror *)object)->pid;
    return 0;
}

/* --- in other processes --- */

static enum neap_pool_kind kind_of(struct neap_object *pool) {
    const struct neap_proxy *proxy = neap_remote_test(pool);
    return proxy != NULL ? neap_pool_kind_of(proxy->constants.numbers[1]) : ((struct neap_pool *)pool)->kind;
}

/* How it stands: NEAP_POOL_IS_CLOSED and the like. Pushes its name. */
static int64_t push_state(lua_State *L, struct neap_object *pool) {
    struct neap_proxy *proxy = neap_remote_test(pool);
    struct neap_call call = neap_remote_begin(L);
    if (proxy != NULL)
        neap_remote_call(L, proxy, NEAP_POOL_STATE, &call);
    else
        neap_pool_class.remote->serve(pool, (call.method = NEAP_POOL_STATE, &call));
    neap_decode_take(L, &call.message);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushliteral(L, "?");
    }
    return call.result == 0 ? call.number : NEAP_POOL_HAS_ENDED | NEAP_POOL_IS_BROKEN;
}

void neap_pool_push_name(lua_State *L, struct neap_object *pool) { (void)push_state(L, pool); }

/* A method without operands. */
static int tell(lua_State *L, uint8_t method) {
    struct neap_object *pool = check(L);
    struct neap_proxy *proxy = neap_remote_test(pool);
    if (proxy != NULL) return neap_remote_none(L, proxy, method);
    if (method == NEAP_POOL_CLOSE)
        neap_pool_close((struct neap_pool *)pool);
    else if (method == NEAP_POOL_HASTEN)
        neap_pool_hasten((struct neap_pool *)pool);
    else
        neap_pool_terminate((struct neap_pool *)pool);
    return 0;
}

/* --- submitting --- */

static const char call_key; /* registry: the metatable of calls that have been encoded */

enum { POOL = 1, FUTURE }; /* the stack of submit, once the function and its arguments have been encoded */

/* Work that fails at once; the call is taken over. NULL: no memory, or the other process has gone. */
static struct neap_object *make_failed(lua_State *L, struct neap_object *pool, struct neap_link *link) {
    struct neap_proxy *proxy = neap_remote_test(pool);
    if (proxy == NULL) {
        struct neap_work *work =
            neap_pool_fail((struct neap_pool *)pool, &link->message, (link->number & NEAP_POOL_QUIET) != 0);
        return work != NULL ? &work->future.object : NULL;
    }
    struct neap_call call = neap_remote_begin(L);
    call.number = link->number;
    neap_message_move(&call.message, &link->message);
    neap_remote_call(L, proxy, NEAP_POOL_FAIL, &call);
    if (call.result == 0 && call.message.kind == NEAP_MESSAGE_OBJECT) return call.message.object;
    neap_message_fini(&call.message);
    return NULL;
}

static int submitted(lua_State *L, struct neap_task *task, int code) {
    struct neap_object *pool = check(L), *work = NULL;
    struct neap_link *link = &task->link;
    if (code >= 0) code = link->result;
    if (code == 0 && link->message.kind == NEAP_MESSAGE_OBJECT) {
        work = link->message.object;
        neap_message_clear(&link->message);
    } else if (code == NEAP_BROKEN) {
        work = make_failed(L, pool, link);
    }
    if (work != NULL) {
        neap_future_fill(L, FUTURE, work);
        return 1;
    }
    neap_message_fini(&link->message);
    if (code == NEAP_FAILED) { /* the batch: only a map has one */
        lua_pushnil(L);
        return 1;
    }
    if (code == NEAP_CLOSED) {
        neap_pool_push_name(L, pool);
        return luaL_error(L, "%s is closed: it takes no more work", lua_tostring(L, -1));
    }
    if (code == NEAP_RANGE) return luaL_error(L, "the call is too large to be sent");
    return luaL_error(L, code == NEAP_BROKEN ? "the process of the pool has ended" : "not enough memory");
}

/* The future goes where the pool is. */
static int applied(lua_State *L, struct neap_task *task, int code) {
    submitted(L, task, code);
    lua_replace(L, POOL);
    lua_settop(L, POOL);
    return neap_handle_join(L);
}

/* Does the work of the pool leave this process? */
static bool leaves(struct neap_object *pool) {
    return neap_remote_test(pool) != NULL || kind_of(pool) == NEAP_POOL_PROCESSES;
}

/* Stack: anything, function, arguments. */
static void encode(lua_State *L, bool to_leave, struct neap_message *call) {
    neap_argument_type(L, 2, LUA_TFUNCTION);
    neap_encode_call(L, 2, lua_gettop(L) - 2, to_leave, call);
}

/* Stack: pool, and the call that is in task->link.message, of a wait that has begun. */
static int submit_encoded(lua_State *L, struct neap_task *task, int64_t flags, neap_finish finish) {
    struct neap_object *pool = check(L);
    lua_settop(L, POOL);
    neap_future_push_empty(L);
    task->link.object = pool;
    task->link.op = NEAP_POOL_SUBMIT;
    task->link.number = flags;
    return neap_await(L, &task->link, 1, NEAP_FOREVER, finish);
}

/* Stack: pool, function, arguments. */
static int submit(lua_State *L, int64_t flags, neap_finish finish) {
    struct neap_task *task = neap_await_begin(L);
    encode(L, leaves(check(L)), &task->link.message);
    return submit_encoded(L, task, flags, finish);
}

/* pool:submit(fn, ...) */
static int pool_submit(lua_State *L) { return submit(L, 0, submitted); }

/* pool:apply(fn, ...) */
static int pool_apply(lua_State *L) { return submit(L, 0, applied); }

/* --- for the Lua half --- */

static int call_collected(lua_State *L) {
    neap_message_fini(lua_touserdata(L, 1));
    return 0;
}

int neap_pool_encode(lua_State *L) {
    bool to_leave = leaves(check(L));
    struct neap_message *call = lua_newuserdatauv(L, sizeof *call, 0);
    neap_message_clear(call);
    neap_registry_set_end(L, &call_key, call_collected);
    lua_replace(L, 1);
    encode(L, to_leave, call);
    lua_settop(L, 1);
    return 1;
}

enum { COPIED = 1, COUNT, COPY }; /* the stack of neap_pool_copy; then a key and its value */

/* All in one pass: it may be a long list. */
int neap_pool_copy(lua_State *L) {
    bool plain = true;
    luaL_checktype(L, COPIED, LUA_TTABLE);
    lua_Integer count = lua_tointeger(L, COUNT);
    lua_settop(L, COUNT);
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    lua_pushnil(L);
    while (lua_next(L, COPIED) != 0) {
        if (neap_argument_is_stray(L, count)) {
            lua_pushnil(L);
            lua_insert(L, -2);
            return 2;
        }
        int type = lua_type(L, -1);
        plain = plain && (type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING);
        if (lua_isinteger(L, -2))
            lua_rawseti(L, COPY, lua_tointeger(L, -2));
        else
            lua_pop(L, 1); /* `n` */
    }
    lua_pushboolean(L, plain);
    return 2;
}

int neap_pool_why_no_list(lua_State *L) {
    luaL_checkany(L, 1);
    const struct neap_box *box = neap_box_at(L, 1);
    enum neap_handle kind;
    if (lua_istable(L, 1)) {
        if (!neap_argument_find_stray(L, 1, (lua_Integer)lua_rawlen(L, 1))) return 0;
    } else if (box != NULL && neap_box_test_any(L, 1, &kind) != NULL) {
        if (kind == NEAP_HANDLE_LIST || kind == NEAP_HANDLE_ARRAY || kind == NEAP_HANDLE_BUFFER) return 0;
        lua_pushstring(L, box->binding->name);
    } else {
        if (lua_isuserdata(L, 1) && luaL_getmetafield(L, 1, "__len") != LUA_TNIL) return 0;
        lua_pushstring(L, luaL_typename(L, 1));
    }
    return 1;
}

int neap_pool_count_arguments(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer count = neap_argument_count(L, 1);
    if (count >= 0) {
        lua_pushinteger(L, count);
        return 1;
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* The id among the work of its pool. */
static uint64_t id_of_future(struct neap_object *future) {
    const struct neap_mirror *mirror = neap_mirror_of(future);
    return mirror != NULL ? mirror->job.id : ((const struct neap_work *)future)->id;
}

int neap_pool_submit_quiet(lua_State *L) {
    bool leads = lua_isboolean(L, 2) && lua_toboolean(L, 2);
    uint64_t batch = lua_isuserdata(L, 2) ? id_of_future(neap_box_check(L, 2, NEAP_HANDLE_FUTURE)) : 0;
    struct neap_message *call = lua_touserdata(L, 3);
    int64_t flags = neap_pool_flags(true, leads, batch) | NEAP_POOL_GOES_ON;
    lua_remove(L, 2);
    if (call == NULL) return submit(L, flags, submitted);
    struct neap_task *task = neap_await_begin(L);
    neap_message_move(&task->link.message, call);
    return submit_encoded(L, task, flags, submitted);
}

/* --- the end --- */

/* pool:close() */
static int pool_close(lua_State *L) { return tell(L, NEAP_POOL_CLOSE); }

/* pool:terminate() */
static int pool_terminate(lua_State *L) { return tell(L, NEAP_POOL_TERMINATE); }

/* pool:join([timeout]) */
static int pool_join(lua_State *L) {
    struct neap_object *pool = check(L);
    lua_settop(L, 2);
    (void)neap_check_timeout(L, 2);
    if (*neap_task_pool(neap_task_current(L)) == neap_pool_tag(pool))
        return luaL_error(L, "the work of a pool cannot join it: it would never end");
    tell(L, NEAP_POOL_HASTEN);
    lua_settop(L, 2);
    return neap_await_object(L, pool, NEAP_POOL_JOIN, 2, neap_finish_true);
}

static int pool_is_closed(lua_State *L) {
    int64_t state = push_state(L, check(L));
    lua_pushboolean(L, (state & NEAP_POOL_IS_CLOSED) != 0);
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
    struct neap_object *pool = check(L);
    tell(L, lua_isnoneornil(L, 2) ? NEAP_POOL_HASTEN : NEAP_POOL_TERMINATE);
    lua_settop(L, 1);
    return neap_await_object(L, pool, NEAP_POOL_JOIN, 2, closed);
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

static uint32_t workers_of(struct neap_object *pool) {
    const struct neap_proxy *proxy = neap_remote_test(pool);
    return proxy != NULL ? neap_pool_workers_of(proxy->constants.numbers[1]) : ((struct neap_pool *)pool)->workers;
}

/* False: nil, "broken", "broken" have been pushed. */
static bool read_stats(lua_State *L, struct neap_object *pool, struct neap_pool_stats *stats) {
    struct neap_proxy *proxy = neap_remote_test(pool);
    if (proxy == NULL) {
        neap_pool_read_stats((struct neap_pool *)pool, stats);
        return true;
    }
    struct neap_call call = neap_remote_begin(L);
    neap_remote_call(L, proxy, NEAP_POOL_STATS, &call);
    bool read =
        call.result == 0 && call.message.kind == NEAP_MESSAGE_BYTES && call.message.parcel->size == sizeof *stats;
    if (read) memcpy(stats, neap_parcel_string(call.message.parcel), sizeof *stats);
    neap_message_fini(&call.message);
    if (!read) neap_push_code(L, NEAP_BROKEN);
    return read;
}

/* pool:stats() */
static int pool_stats(lua_State *L) {
    struct neap_object *pool = check(L);
    struct neap_pool_stats *stats = lua_newuserdatauv(L, sizeof *stats, 0);
    if (!read_stats(L, pool, stats)) return 3;
    lua_createtable(L, 0, 10);
    set_count(L, "workers", workers_of(pool));
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

/* "pool: images (4 threads, open)" */
static int pool_tostring(lua_State *L) {
    static const char *const kinds[] = {"thread", "process", "task"};
    struct neap_object *pool = check(L);
    int64_t state = push_state(L, pool);
    uint32_t workers = workers_of(pool);
    const char *ending = workers == 1 ? "" : kind_of(pool) == NEAP_POOL_PROCESSES ? "es" : "s";
    const char *how = state & NEAP_POOL_IS_BROKEN   ? "broken"
                      : state & NEAP_POOL_HAS_ENDED ? "ended"
                      : state & NEAP_POOL_IS_CLOSED ? "closed"
                                                    : "open";
    lua_pushfstring(L, "pool: %s (%d %s%s, %s)", lua_tostring(L, -1), (int)workers, kinds[kind_of(pool)], ending, how);
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
    .proxy = &neap_proxy_classes[NEAP_KIND_POOL],
    .methods = methods,
    .metamethods = metamethods,
    .half = pool_half,
};
