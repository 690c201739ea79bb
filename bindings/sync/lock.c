#include "bindings/sync/lock.h"

#include <stdio.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/holder.h"
#include "bindings/handle/remote.h"
#include "bindings/sync/condition.h"
#include "bindings/task/await.h"
#include "core/clock.h"
#include "core/error.h"

static struct neap_object *test(lua_State *L, int index) {
    struct neap_object *object = neap_box_test(L, index, NEAP_HANDLE_LOCK);
    return object != NULL ? object : neap_box_test(L, index, NEAP_HANDLE_RLOCK);
}

struct neap_object *neap_lock_check(lua_State *L, int index) {
    struct neap_object *lock = test(L, index);
    if (lock == NULL) neap_argument_type_error(L, index, "lock");
    return lock;
}

/* The lock of a method call: a condition lends its own. */
static struct neap_object *self(lua_State *L) {
    struct neap_object *lock = test(L, 1);
    if (lock != NULL) return lock;
    struct neap_object *condition = neap_box_test(L, 1, NEAP_HANDLE_CONDITION);
    return condition != NULL ? neap_condition_lock(condition) : neap_lock_check(L, 1);
}

/* --- here or there --- */

int neap_lock_let_go(struct neap_object *lock, struct neap_owner *owner) {
    struct neap_proxy *proxy = neap_remote_test(lock);
    return proxy != NULL ? neap_holding_release(proxy, owner) : neap_lock_release((struct neap_lock *)lock, owner);
}

bool neap_lock_is_own(struct neap_object *lock, const struct neap_owner *owner) {
    const struct neap_proxy *proxy = neap_remote_test(lock);
    return proxy != NULL ? neap_holding_is_by(proxy, owner) : neap_lock_is_held_by((struct neap_lock *)lock, owner);
}

static int make(lua_State *L, enum neap_handle kind, const struct neap_class *class) {
    struct neap_box *box = neap_box_new(L, kind, sizeof *box, 0);
    struct neap_lock *lock = neap_lock_new(class);
    if (lock == NULL) return luaL_error(L, "not enough memory");
    box->object = &lock->object;
    return 1;
}

/* neap.lock() */
int neap_lock_open(lua_State *L) { return make(L, NEAP_HANDLE_LOCK, &neap_lock_class); }

/* neap.rlock() */
int neap_rlock_open(lua_State *L) { return make(L, NEAP_HANDLE_RLOCK, &neap_rlock_class); }

/* --- acquiring --- */

int neap_lock_method_acquire(lua_State *L) {
    return neap_await_object(L, self(L), NEAP_LOCK_ACQUIRE, 2, neap_finish_acquired);
}

int neap_lock_method_release(lua_State *L) {
    if (neap_lock_let_go(self(L), &neap_task_current(L)->wait.own) == 0) return 0;
    return luaL_error(L, "the task does not hold this lock");
}

int neap_lock_method_locked(lua_State *L) {
    struct neap_object *lock = self(L);
    struct neap_proxy *proxy = neap_remote_test(lock);
    if (proxy != NULL) return neap_remote_boolean(L, proxy, NEAP_LOCK_LOCKED);
    lua_pushboolean(L, neap_lock_holder((struct neap_lock *)lock) != NULL);
    return 1;
}

/* --- holding --- */

static const char *give_back(lua_State *L, struct neap_holder *holder) {
    int code = neap_lock_let_go(holder->object, &neap_task_current(L)->wait.own);
    return code == 0 ? NULL : "the task does not hold the lock of this guard";
}

static int await_lock(lua_State *L, struct neap_object *lock, int64_t deadline, neap_finish finish) {
    struct neap_task *task = neap_await_begin(L);
    task->link.object = lock;
    task->link.op = NEAP_LOCK_ACQUIRE;
    return neap_await(L, &task->link, 1, deadline, finish);
}

static int finish_guard(lua_State *L, struct neap_task *task, int code) {
    return neap_holder_finish(L, 2, neap_acquired_result(L, task, code));
}

int neap_lock_method_guard(lua_State *L) {
    struct neap_object *lock = self(L);
    int64_t deadline = neap_check_timeout(L, 2);
    lua_settop(L, 1);
    neap_holder_new(L, lock, give_back);
    return await_lock(L, lock, deadline, finish_guard);
}

static int finish_with(lua_State *L, struct neap_task *task, int code) {
    code = neap_acquired_result(L, task, code);
    return code != 0 && code != NEAP_ABANDONED ? neap_push_code(L, code) : neap_holder_call(L);
}

int neap_lock_method_with(lua_State *L) {
    struct neap_object *lock = self(L);
    neap_argument_callable(L, 2);
    neap_holder_new(L, lock, give_back);
    lua_insert(L, 2);
    return await_lock(L, lock, NEAP_FOREVER, finish_with);
}

/* --- bindings --- */

static void describe(struct neap_object *object, char *text, size_t size) {
    snprintf(text, size, neap_lock_holder((struct neap_lock *)object) != NULL ? "locked" : "free");
}

static const luaL_Reg methods[] = {NEAP_LOCK_METHODS, {NULL, NULL}};

const struct neap_binding neap_lock_binding = {
    .name = "lock",
    .class = &neap_lock_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_LOCK],
    .methods = methods,
    .describe = describe,
};

const struct neap_binding neap_rlock_binding = {
    .name = "rlock",
    .class = &neap_rlock_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_RLOCK],
    .methods = methods,
    .describe = describe,
};
