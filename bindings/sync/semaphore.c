#include <inttypes.h>
#include <lauxlib.h>
#include <stdio.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/holder.h"
#include "bindings/handle/remote.h"
#include "bindings/task/await.h"
#include "core/clock.h"
#include "core/error.h"
#include "sync/semaphore.h"

static struct neap_object *check(lua_State *L) {
    struct neap_object *object = neap_box_test(L, 1, NEAP_HANDLE_SEMAPHORE);
    if (object == NULL) object = neap_box_test(L, 1, NEAP_HANDLE_BOUNDED_SEMAPHORE);
    if (object == NULL) neap_argument_type_error(L, 1, "semaphore");
    return object;
}

static int make(lua_State *L, enum neap_handle kind, const struct neap_class *class) {
    lua_Integer permits = neap_argument_integer_or(L, 1, 1);
    neap_argument_check(L, permits >= 0, 1, "permits must not be negative");
    struct neap_box *box = neap_box_new(L, kind, sizeof *box, 0);
    struct neap_semaphore *semaphore = neap_semaphore_new(class, permits);
    if (semaphore == NULL) return luaL_error(L, "not enough memory");
    box->object = &semaphore->object;
    return 1;
}

/* neap.semaphore([permits]) */
int neap_semaphore_open(lua_State *L) { return make(L, NEAP_HANDLE_SEMAPHORE, &neap_semaphore_class); }

/* neap.bounded_semaphore([permits]) */
int neap_bounded_semaphore_open(lua_State *L) {
    return make(L, NEAP_HANDLE_BOUNDED_SEMAPHORE, &neap_bounded_semaphore_class);
}

static int semaphore_acquire(lua_State *L) {
    return neap_await_object(L, check(L), NEAP_SEMAPHORE_ACQUIRE, 2, neap_finish_true);
}

static int64_t bound_of(struct neap_object *object) {
    const struct neap_proxy *proxy = neap_remote_test(object);
    return proxy != NULL ? proxy->constants.numbers[0] : ((struct neap_semaphore *)object)->bound;
}

static int semaphore_release(lua_State *L) {
    struct neap_object *semaphore = check(L);
    struct neap_proxy *proxy = neap_remote_test(semaphore);
    lua_Integer count = neap_argument_integer_or(L, 2, 1);
    neap_argument_check(L, count >= 1, 2, "count must be at least 1");
    struct neap_call call = neap_remote_begin(L);
    call.number = count;
    if (proxy != NULL)
        neap_remote_call(L, proxy, NEAP_SEMAPHORE_RELEASE, &call);
    else
        call.result = neap_semaphore_release((struct neap_semaphore *)semaphore, count);
    if (call.result == 0) return 0;
    if (call.result != NEAP_RANGE) return neap_push_code(L, call.result);
    return luaL_error(L, "a semaphore cannot have more than %I permits", (LUAI_UACINT)bound_of(semaphore));
}

static int semaphore_value(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) return neap_remote_number(L, proxy, NEAP_SEMAPHORE_VALUE);
    lua_pushinteger(L, neap_semaphore_value((struct neap_semaphore *)check(L)));
    return 1;
}

/* --- holding --- */

static const char *give_back(lua_State *L, struct neap_holder *holder) {
    (void)L;
    neap_permit_return(&holder->permit); /* its task may have ended, and then it has returned already */
    return NULL;
}

/* Waits for a permit of the holder at 2. */
static int await_permit(lua_State *L, int64_t deadline, neap_finish finish) {
    struct neap_holder *holder = lua_touserdata(L, 2);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = holder->object;
    task->link.op = NEAP_SEMAPHORE_HOLD;
    task->link.hold = &holder->permit.hold;
    return neap_await(L, &task->link, 1, deadline, finish);
}

static int finish_guard(lua_State *L, struct neap_task *task, int code) {
    return neap_holder_finish(L, 2, code >= 0 ? task->link.result : code);
}

static int semaphore_guard(lua_State *L) {
    struct neap_object *semaphore = check(L);
    int64_t deadline = neap_check_timeout(L, 2);
    lua_settop(L, 1);
    neap_holder_new(L, semaphore, give_back);
    return await_permit(L, deadline, finish_guard);
}

static int finish_with(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    return code != 0 ? neap_push_code(L, code) : neap_holder_call(L);
}

static int semaphore_with(lua_State *L) {
    struct neap_object *semaphore = check(L);
    neap_argument_callable(L, 2);
    neap_holder_new(L, semaphore, give_back);
    lua_insert(L, 2);
    return await_permit(L, NEAP_FOREVER, finish_with);
}

/* --- bindings --- */

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_semaphore *semaphore = (struct neap_semaphore *)object;
    int64_t value = neap_semaphore_value(semaphore);
    if (semaphore->bound < INT64_MAX)
        snprintf(text, size, "%" PRId64 "/%" PRId64, value, semaphore->bound);
    else
        snprintf(text, size, "%" PRId64, value);
}

static const luaL_Reg methods[] = {{"acquire", semaphore_acquire}, {"release", semaphore_release},
                                   {"value", semaphore_value},     {"with", semaphore_with},
                                   {"guard", semaphore_guard},     {NULL, NULL}};

const struct neap_binding neap_semaphore_binding = {
    .name = "semaphore",
    .class = &neap_semaphore_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_SEMAPHORE],
    .methods = methods,
    .describe = describe,
};

const struct neap_binding neap_bounded_semaphore_binding = {
    .name = "bounded_semaphore",
    .class = &neap_bounded_semaphore_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_BOUNDED_SEMAPHORE],
    .methods = methods,
    .describe = describe,
};
