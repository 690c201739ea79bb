#include <lauxlib.h>
#include <stdio.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/holder.h"
#include "bindings/handle/remote.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "sync/rwlock.h"

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_RWLOCK); }

/* 0 or NEAP_NOT_OWNER. */
static int let_go(struct neap_object *object, struct neap_owner *owner) {
    struct neap_proxy *proxy = neap_remote_test(object);
    return proxy != NULL ? neap_holding_release_rwlock(proxy, owner)
                         : neap_rwlock_release((struct neap_rwlock *)object, owner);
}

/* neap.rwlock() */
int neap_rwlock_open(lua_State *L) {
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_RWLOCK, sizeof *box, 0);
    struct neap_rwlock *rwlock = neap_rwlock_new();
    if (rwlock == NULL) return luaL_error(L, "not enough memory");
    box->object = &rwlock->object;
    return 1;
}

static int rwlock_acquire_read(lua_State *L) {
    return neap_await_object(L, check(L), NEAP_RWLOCK_READ, 2, neap_finish_acquired);
}

static int rwlock_acquire_write(lua_State *L) {
    return neap_await_object(L, check(L), NEAP_RWLOCK_WRITE, 2, neap_finish_acquired);
}

static int rwlock_release(lua_State *L) {
    if (let_go(check(L), &neap_task_current(L)->wait.own) == 0) return 0;
    return luaL_error(L, "the task does not hold this lock");
}

/* --- holding --- */

static const char *give_back(lua_State *L, struct neap_holder *holder) {
    int code = let_go(holder->object, &neap_task_current(L)->wait.own);
    return code == 0 ? NULL : "the task does not hold the lock of this guard";
}

static int finish_guard(lua_State *L, struct neap_task *task, int code) {
    return neap_holder_finish(L, 2, neap_acquired_result(L, task, code));
}

static int guard(lua_State *L, enum neap_rwlock_op op) {
    struct neap_object *rwlock = check(L);
    int64_t deadline = neap_check_timeout(L, 2);
    lua_settop(L, 1);
    neap_holder_new(L, rwlock, give_back);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = rwlock;
    task->link.op = (uint8_t)op;
    return neap_await(L, &task->link, 1, deadline, finish_guard);
}

static int rwlock_guard_read(lua_State *L) { return guard(L, NEAP_RWLOCK_READ); }

static int rwlock_guard_write(lua_State *L) { return guard(L, NEAP_RWLOCK_WRITE); }

/* --- binding --- */

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_rwlock *rwlock = (struct neap_rwlock *)object;
    unsigned readers = neap_rwlock_readers(rwlock);
    if (neap_rwlock_is_written(rwlock))
        snprintf(text, size, "writing");
    else if (readers > 0)
        snprintf(text, size, "%u reading", readers);
    else
        snprintf(text, size, "free");
}

static const luaL_Reg methods[] = {{"acquire_read", rwlock_acquire_read}, {"acquire_write", rwlock_acquire_write},
                                   {"release", rwlock_release},           {"guard_read", rwlock_guard_read},
                                   {"guard_write", rwlock_guard_write},   {NULL, NULL}};

const struct neap_binding neap_rwlock_binding = {
    .name = "rwlock",
    .class = &neap_rwlock_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_RWLOCK],
    .methods = methods,
    .describe = describe,
};
