/* condition: waiting in three steps.
 *
 * c:wait opens the wait and gives up the lock (neap_condition_begin), is woken, times out or is cancelled (woken), and
 * acquires the lock again, come what may (reacquire, reacquired). Only then does the script learn what happened: a
 * cancellation too is raised with the lock held, so that the script's own `<close>` variables find what they expect.
 * One that comes while the lock is acquired again only makes it queue anew; it is raised by the next wait, so a
 * notification that has come is not lost.
 *
 * The stack of a waiting call: */
#include <lauxlib.h>
#include <stdio.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/remote.h"
#include "bindings/sync/condition.h"
#include "bindings/sync/lock.h"
#include "bindings/task/await.h"
#include "bindings/task/cancel.h"
#include "core/clock.h"
#include "core/error.h"
#include "sync/condition.h"

enum {
    CONDITION = 1,
    PREDICATE, /* of c:wait_for; nil in c:wait */
    DEADLINE,  /* integer */
    DEPTH,     /* integer: levels of the lock that were given up */
    OUTCOME    /* integer: how the waiting ended */
};

static struct neap_object *check(lua_State *L) { return neap_box_check(L, CONDITION, NEAP_HANDLE_CONDITION); }

/* --- here or there --- */

struct neap_object *neap_condition_lock(struct neap_object *object) {
    const struct neap_proxy *proxy = neap_remote_test(object);
    return proxy != NULL ? proxy->constants.parts[0] : &((struct neap_condition *)object)->lock->object;
}

/* As neap_condition_begin. What is told over there arrives in order: first that we wait, then that the lock is free. */
static int begin(struct neap_object *condition, struct neap_task *task, int64_t deadline, uint32_t *depth) {
    struct neap_link *link = &task->link;
    if (neap_remote_test(condition) == NULL)
        return neap_condition_begin((struct neap_condition *)condition, &task->wait, link, deadline, depth);
    struct neap_proxy *lock = neap_remote_test(neap_condition_lock(condition));
    if (lock == NULL || !neap_holding_is_by(lock, &task->wait.own)) return NEAP_NOT_OWNER;
    link->object = condition;
    link->op = NEAP_CONDITION_WAIT;
    int code = neap_wait_begin(&task->wait, link, 1, deadline);
    if (code == NEAP_PARKED || code == NEAP_TIMEOUT) *depth = neap_holding_release_all(lock, &task->wait.own);
    return code;
}

static void restore(struct neap_object *lock, uint32_t depth) {
    struct neap_proxy *proxy = neap_remote_test(lock);
    if (proxy != NULL)
        neap_holding_restore(proxy, depth);
    else
        neap_lock_restore((struct neap_lock *)lock, depth);
}

/* A condition lives where its lock does: it is made there. */
static int make_there(lua_State *L, struct neap_proxy *lock) {
    struct neap_call call = neap_remote_begin(L);
    neap_remote_call(L, lock, NEAP_LOCK_CONDITION, &call);
    if (call.result != 0) return neap_push_code(L, call.result);
    neap_decode_take(L, &call.message);
    return 1;
}

/* neap.condition([lock]); a lock that was given is kept as user value */
int neap_condition_open(lua_State *L) {
    struct neap_lock *lock = NULL;
    if (!lua_isnoneornil(L, 1)) {
        struct neap_object *given = neap_lock_check(L, 1);
        struct neap_proxy *proxy = neap_remote_test(given);
        if (proxy != NULL) return make_there(L, proxy);
        lock = (struct neap_lock *)given;
    }
    lua_settop(L, 1);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_CONDITION, sizeof *box, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    struct neap_lock *own = lock == NULL ? neap_lock_new(&neap_rlock_class) : NULL;
    if (lock == NULL && own == NULL) return luaL_error(L, "not enough memory");
    struct neap_condition *condition = neap_condition_new(lock != NULL ? lock : own);
    if (own != NULL) neap_object_unref(&own->object);
    if (condition == NULL) return luaL_error(L, "not enough memory");
    box->object = &condition->object;
    return 1;
}

/* --- waiting --- */

static int begin_wait(lua_State *L);

/* The waiting of c:wait is over, the lock is held. */
static int push_results(lua_State *L, int outcome, bool abandoned) {
    int count = 1;
    if (outcome == NEAP_TIMEOUT)
        count = neap_push_code(L, NEAP_TIMEOUT);
    else
        lua_pushboolean(L, 1);
    if (!abandoned) return count;
    lua_pushstring(L, neap_code_name(NEAP_ABANDONED));
    return count + 1;
}

/* The value of the predicate is on top. */
static int after_predicate(lua_State *L, int status, lua_KContext last) {
    (void)status;
    if (lua_toboolean(L, -1)) return 1;
    if (last) return neap_push_code(L, NEAP_TIMEOUT);
    lua_settop(L, DEADLINE);
    return begin_wait(L);
}

/* Calls the predicate; if it is false and this is not the last look, waits on. */
static int look(lua_State *L, bool last) {
    lua_settop(L, DEADLINE);
    lua_pushvalue(L, PREDICATE);
    lua_callk(L, 0, 1, last, after_predicate);
    return after_predicate(L, LUA_OK, last);
}

static int reacquire(lua_State *L, struct neap_task *task);

/* The lock is held again. Outside tasks wait_for goes on in a loop of its own: nothing
 * unwinds the C stack in between. */
static int reacquired(lua_State *L, struct neap_task *task, int code) {
    struct neap_object *lock = neap_condition_lock(check(L));
    if (code == NEAP_CANCELLED) return reacquire(L, task);
    if (task->link.result == NEAP_BROKEN) return neap_push_code(L, NEAP_BROKEN);
    bool abandoned = task->link.result == NEAP_ABANDONED;
    int outcome = (int)lua_tointeger(L, OUTCOME);
    restore(lock, (uint32_t)lua_tointeger(L, DEPTH));
    if (outcome == NEAP_CANCELLED) neap_cancel_check(L, task);
    if (lua_isnil(L, PREDICATE)) return push_results(L, outcome, abandoned);
    if (task == neap_task_vm(task)->root) return 0;
    return look(L, outcome == NEAP_TIMEOUT);
}

static int reacquire(lua_State *L, struct neap_task *task) {
    task->link.object = neap_condition_lock(check(L));
    task->link.op = NEAP_LOCK_ACQUIRE;
    int code = neap_wait_begin(&task->wait, &task->link, 1, NEAP_FOREVER);
    return code == NEAP_PARKED ? neap_await_parked(L, reacquired) : reacquired(L, task, code);
}

static int woken(lua_State *L, struct neap_task *task, int code) {
    lua_pushinteger(L, code);
    return reacquire(L, task);
}

/* Stack: condition, predicate or nil, deadline. */
static int begin_wait(lua_State *L) {
    struct neap_object *condition = check(L);
    struct neap_task *task = neap_await_begin(L);
    uint32_t depth = 0;
    neap_await_check(L);
    int64_t deadline = neap_await_limit(task, lua_tointeger(L, DEADLINE));
    int code = begin(condition, task, deadline, &depth);
    if (code == NEAP_NOT_OWNER) return luaL_error(L, "the task does not hold the lock of this condition");
    if (code == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    lua_pushinteger(L, depth);
    return code == NEAP_PARKED ? neap_await_parked(L, woken) : woken(L, task, code);
}

static int condition_wait(lua_State *L) {
    check(L);
    int64_t deadline = neap_check_timeout(L, 2);
    lua_settop(L, CONDITION);
    lua_pushnil(L);
    lua_pushinteger(L, deadline);
    return begin_wait(L);
}

/* Outside tasks: begin_wait returns when the waiting is over. */
static int wait_for_in_place(lua_State *L) {
    for (bool last = false;; last = lua_tointeger(L, OUTCOME) == NEAP_TIMEOUT) {
        lua_settop(L, DEADLINE);
        lua_pushvalue(L, PREDICATE);
        lua_call(L, 0, 1);
        if (lua_toboolean(L, -1)) return 1;
        if (last) return neap_push_code(L, NEAP_TIMEOUT);
        lua_settop(L, DEADLINE);
        begin_wait(L);
    }
}

static int condition_wait_for(lua_State *L) {
    struct neap_object *lock = neap_condition_lock(check(L));
    struct neap_task *task = neap_task_current(L);
    neap_argument_callable(L, PREDICATE);
    int64_t deadline = neap_check_timeout(L, 3);
    if (!neap_lock_is_own(lock, &task->wait.own))
        return luaL_error(L, "the task does not hold the lock of this condition");
    lua_settop(L, PREDICATE);
    lua_pushinteger(L, deadline);
    return task == neap_task_vm(task)->root ? wait_for_in_place(L) : look(L, false);
}

/* --- notifying --- */

/* `count` of them; NEAP_CONDITION_ALL. 0 or a code. */
static int notify_there(lua_State *L, struct neap_proxy *condition, size_t count) {
    struct neap_call call = neap_remote_begin(L);
    struct neap_proxy *lock = neap_remote_test(neap_condition_lock(&condition->object));
    if (lock == NULL || !neap_holding_is_by(lock, call.owner)) return NEAP_NOT_OWNER;
    int code = neap_holding_tell(lock, call.owner);
    if (code != 0) return code;
    call.number = count > INT64_MAX ? -1 : (int64_t)count;
    neap_remote_call(L, condition, NEAP_CONDITION_NOTIFY, &call);
    return call.result;
}

static int notify(lua_State *L, size_t count) {
    struct neap_object *condition = check(L);
    const struct neap_owner *owner = &neap_task_current(L)->wait.own;
    struct neap_proxy *proxy = neap_remote_test(condition);
    int code = proxy != NULL ? notify_there(L, proxy, count)
                             : neap_condition_notify((struct neap_condition *)condition, owner, count);
    if (code == 0) return 0;
    if (code != NEAP_NOT_OWNER) return neap_push_code(L, code);
    return luaL_error(L, "the task does not hold the lock of this condition");
}

static int condition_notify(lua_State *L) {
    check(L);
    lua_Integer count = neap_argument_integer_or(L, 2, 1);
    neap_argument_check(L, count >= 1, 2, "count must be at least 1");
    return notify(L, (size_t)count);
}

static int condition_notify_all(lua_State *L) { return notify(L, NEAP_CONDITION_ALL); }

/* --- binding --- */

/* With the condition its lock is shared: the handle that made it must be known as the lock's. */
static struct neap_object *travel(lua_State *L, int index) {
    struct neap_object *object = neap_box_test(L, index, NEAP_HANDLE_CONDITION);
    if (!object->shared) {
        lua_getiuservalue(L, index, 1);
        struct neap_object *lock = lua_isnil(L, -1) ? NULL : neap_box_share(L, -1);
        lua_pop(L, 1);
        if (lock != NULL) neap_object_unref(lock);
        neap_box_register(L, index, object);
        neap_object_share(object);
    }
    return neap_object_ref(object);
}

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_condition *condition = (struct neap_condition *)object;
    snprintf(text, size, neap_lock_holder(condition->lock) != NULL ? "locked" : "free");
}

static const luaL_Reg methods[] = {NEAP_LOCK_METHODS,
                                   {"wait", condition_wait},
                                   {"wait_for", condition_wait_for},
                                   {"notify", condition_notify},
                                   {"notify_all", condition_notify_all},
                                   {NULL, NULL}};

const struct neap_binding neap_condition_binding = {
    .name = "condition",
    .class = &neap_condition_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_CONDITION],
    .methods = methods,
    .describe = describe,
    .travel = travel,
};
