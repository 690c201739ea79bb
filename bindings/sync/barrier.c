/* barrier: its action may be run by any thread.
 *
 * The action is a function of the state that made the barrier, and there it is called as it is. When the barrier is
 * sent it is encoded, and each other state has a copy, decoded when it is first needed there. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/holder.h"
#include "bindings/handle/remote.h"
#include "bindings/state/registry.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "host/acting.h"
#include "sync/barrier.h"

static const char actions_key; /* registry: a table with weak keys, box -> action */

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_BARRIER); }

static uint32_t parties_of(struct neap_object *object) {
    const struct neap_proxy *proxy = neap_remote_test(object);
    return proxy != NULL ? (uint32_t)proxy->constants.numbers[0] : ((struct neap_barrier *)object)->parties;
}

static bool acts(struct neap_object *object) {
    const struct neap_proxy *proxy = neap_remote_test(object);
    return proxy != NULL ? proxy->constants.numbers[1] != 0 : ((struct neap_barrier *)object)->acts;
}

/* --- actions --- */

static void push_actions(lua_State *L) { neap_registry_push_weak(L, &actions_key, "k"); }

/* The value on top becomes the action of the box at `index`; it is popped. */
static void set_action(lua_State *L, int index) {
    push_actions(L);
    lua_pushvalue(L, index);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

/* Pushes the action of the box at `index`, or nil. */
static void push_action(lua_State *L, int index) {
    push_actions(L);
    lua_pushvalue(L, index);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

/* From the process that has the barrier. */
static void fetch_action(lua_State *L, struct neap_proxy *proxy) {
    struct neap_call call = neap_remote_begin(L);
    neap_remote_call(L, proxy, NEAP_BARRIER_ACTION, &call);
    if (call.result != 0) luaL_error(L, "the action is gone: %s", neap_code_name(call.result));
    neap_decode_take(L, &call.message);
}

static void push_action_or_copy(lua_State *L, int index, struct neap_object *barrier) {
    struct neap_proxy *proxy = neap_remote_test(barrier);
    push_action(L, index);
    if (!lua_isnil(L, -1)) return;
    lua_pop(L, 1);
    if (proxy != NULL)
        fetch_action(L, proxy);
    else
        neap_decode(L, &((struct neap_barrier *)barrier)->action);
    if (lua_isnil(L, -1)) luaL_error(L, "the action of this barrier could not be sent");
    lua_pushvalue(L, -1);
    set_action(L, index);
}

/* neap.barrier(parties[, action]) */
int neap_barrier_open(lua_State *L) {
    lua_Integer parties = neap_argument_integer(L, 1);
    bool acts = !lua_isnoneornil(L, 2);
    neap_argument_check(L, parties >= 1 && parties <= INT32_MAX, 1, "1 to 2147483647 parties expected");
    if (acts) neap_argument_type(L, 2, LUA_TFUNCTION);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_BARRIER, sizeof *box, 0);
    if (acts) {
        lua_pushvalue(L, 2);
        set_action(L, lua_gettop(L) - 1);
    }
    struct neap_barrier *barrier = neap_barrier_new((uint32_t)parties, acts);
    if (barrier == NULL) return luaL_error(L, "not enough memory");
    box->object = &barrier->object;
    return 1;
}

/* Protected: (barrier, message). */
static int encode_action(lua_State *L) {
    struct neap_message *message = lua_touserdata(L, 2);
    push_action(L, 1);
    neap_encode(L, lua_gettop(L), message, "action");
    return 0;
}

/* What the action mentions is shared with it: other barriers, too, whose actions may mention this one. If it cannot be
 * sent itself after all, such a one still has it, and may come to another thread. No finaliser may run meanwhile: it
 * would send what has no action yet. */
static void encode_departing(lua_State *L, int index, struct neap_barrier *barrier, struct neap_message *message) {
    unsigned refs = atomic_load_explicit(&barrier->object.refs, memory_order_relaxed);
    bool collects = lua_gc(L, LUA_GCISRUNNING);
    lua_gc(L, LUA_GCSTOP);
    lua_pushcfunction(L, encode_action);
    lua_pushvalue(L, index);
    lua_pushlightuserdata(L, message);
    barrier->departing = true;
    int status = lua_pcall(L, 2, 0, 0);
    barrier->departing = false;
    if (collects) lua_gc(L, LUA_GCRESTART);
    if (status == LUA_OK) return;
    if (atomic_load_explicit(&barrier->object.refs, memory_order_relaxed) > refs) neap_object_share(&barrier->object);
    lua_error(L);
}

static struct neap_object *travel(lua_State *L, int index) {
    struct neap_barrier *barrier = (struct neap_barrier *)neap_box_test(L, index, NEAP_HANDLE_BARRIER);
    if (barrier->object.shared || barrier->departing) return neap_object_ref(&barrier->object);
    index = lua_absindex(L, index);
    luaL_checkstack(L, 5, "handles");
    neap_box_register(L, index, &barrier->object);
    struct neap_message action;
    neap_message_clear(&action);
    if (barrier->acts) encode_departing(L, index, barrier, &action);
    neap_message_move(&barrier->action, &action);
    neap_object_share(&barrier->object);
    return neap_object_ref(&barrier->object);
}

/* --- waiting --- */

/* The action failed, or was cancelled. */
static const char *break_it(lua_State *L, struct neap_holder *holder) {
    struct neap_proxy *proxy = neap_remote_test(holder->object);
    struct neap_call call = neap_remote_begin(L);
    if (proxy != NULL)
        neap_acting_end(proxy, NEAP_BARRIER_FAIL, &call);
    else
        neap_barrier_fail((struct neap_barrier *)holder->object, call.owner);
    neap_message_fini(&call.message);
    return NULL;
}

/* Stack: barrier, holder. */
static int acted(lua_State *L, int status, lua_KContext context) {
    struct neap_object *barrier = check(L);
    struct neap_proxy *proxy = neap_remote_test(barrier);
    struct neap_call call = neap_remote_begin(L);
    (void)status;
    (void)context;
    ((struct neap_holder *)lua_touserdata(L, 2))->holds = false;
    if (proxy != NULL)
        neap_acting_end(proxy, NEAP_BARRIER_RELEASE, &call);
    else
        call.result = neap_barrier_release((struct neap_barrier *)barrier, call.owner);
    neap_message_fini(&call.message);
    if (call.result == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    if (call.result != 0) return neap_push_code(L, call.result);
    lua_pushinteger(L, parties_of(barrier));
    return 1;
}

static int finish_wait(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code != 0) return neap_push_code(L, code);
    struct neap_holder *holder = lua_touserdata(L, 2);
    if (holder == NULL || task->link.number != parties_of(check(L))) {
        lua_pushinteger(L, task->link.number);
        return 1;
    }
    holder->holds = true;
    lua_toclose(L, 2);
    push_action_or_copy(L, 1, check(L));
    lua_callk(L, 0, 0, 0, acted);
    return acted(L, LUA_OK, 0);
}

static int barrier_wait(lua_State *L) {
    struct neap_object *barrier = check(L);
    int64_t deadline = neap_check_timeout(L, 2);
    lua_settop(L, 1);
    if (acts(barrier)) neap_holder_new(L, barrier, break_it);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = barrier;
    task->link.op = deadline == 0 ? NEAP_BARRIER_TRY : NEAP_BARRIER_WAIT;
    return neap_await(L, &task->link, 1, deadline, finish_wait);
}

/* --- the rest --- */

static int barrier_reset(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) return neap_remote_none(L, proxy, NEAP_BARRIER_RESET);
    neap_barrier_reset((struct neap_barrier *)check(L));
    return 0;
}

static int barrier_abort(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) return neap_remote_none(L, proxy, NEAP_BARRIER_ABORT);
    neap_barrier_abort((struct neap_barrier *)check(L));
    return 0;
}

static int barrier_is_broken(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) return neap_remote_boolean(L, proxy, NEAP_BARRIER_IS_BROKEN);
    lua_pushboolean(L, neap_barrier_is_broken((struct neap_barrier *)check(L)));
    return 1;
}

static int barrier_index(lua_State *L) {
    struct neap_object *barrier = check(L);
    struct neap_proxy *proxy = neap_remote_test(barrier);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    if (strcmp(key, "parties") == 0)
        lua_pushinteger(L, parties_of(barrier));
    else if (strcmp(key, "waiting") == 0 && proxy != NULL)
        neap_remote_number(L, proxy, NEAP_BARRIER_WAITING);
    else if (strcmp(key, "waiting") == 0)
        lua_pushinteger(L, neap_barrier_waiting((struct neap_barrier *)barrier));
    else
        lua_pushnil(L);
    return 1;
}

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_barrier *barrier = (struct neap_barrier *)object;
    if (neap_barrier_is_broken(barrier))
        snprintf(text, size, "broken");
    else
        snprintf(text, size, "%u/%u", neap_barrier_waiting(barrier), barrier->parties);
}

static const luaL_Reg methods[] = {{"wait", barrier_wait},
                                   {"reset", barrier_reset},
                                   {"abort", barrier_abort},
                                   {"is_broken", barrier_is_broken},
                                   {NULL, NULL}};

const struct neap_binding neap_barrier_binding = {
    .name = "barrier",
    .class = &neap_barrier_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_BARRIER],
    .methods = methods,
    .index = barrier_index,
    .describe = describe,
    .travel = travel,
};
