/* seat: coroutines, and what keeps tasks from being collected.
 *
 * POOL       A new coroutine costs five times a used one, so some are kept in a pool and used again. If one is idle
 *            when a task is spawned, the task is seated there at once: its function and arguments wait on the
 *            coroutine's stack. Else, and before a timer's delay, they wait in the user values of the handle, and a
 *            coroutine is bound when the task first runs: very many tasks that have not started cost no coroutine. One
 *            that the pool has no room for is the task's own.
 * ANCHORS    The pool is anchored for good. The handle of a seated task stands on the stack of its coroutine, which
 *            keeps it; any other is anchored in vm->handles while the task lives, and keeps a coroutine of its own as a
 *            user value. So a parked task is never collected, and an ended one is as soon as its handle is.
 * LEAVING    A coroutine is idle only when it has been left: until then code that runs on it, a finaliser or a
 *            function of neap.on_error, may spawn. */
#include "bindings/task/seat.h"

#include <lauxlib.h>

#include "bindings/report/failure.h"
#include "bindings/task/task_body.h"
#include "core/memory.h"

enum { POOLED_COROUTINES = 256, FIRST_IDLE = 8 };

/* --- finding the box --- */

/* Fills in the outermost frame of a coroutine; false when there is none. */
static bool get_base(lua_State *coroutine, lua_Debug *frame) {
    int low = 0, high = 1; /* there is a frame at level `low`, and none at `high` */
    if (!lua_getstack(coroutine, 0, frame)) return false;
    while (lua_getstack(coroutine, high, frame)) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        *(lua_getstack(coroutine, middle, frame) ? &low : &high) = middle;
    }
    return lua_getstack(coroutine, low, frame);
}

void neap_seat_push_box(lua_State *L, lua_State *coroutine) {
    lua_Debug base;
    if (!lua_checkstack(coroutine, 1)) luaL_error(L, "not enough memory");
    if (get_base(coroutine, &base))
        lua_getlocal(coroutine, &base, NEAP_SEAT_BOX);
    else
        lua_pushvalue(coroutine, NEAP_SEAT_BOX + 1); /* the main function is there, too */
    if (coroutine != L) lua_xmove(coroutine, L, 1);
}

/* --- seating --- */

/* On top of L stands the box, below it `values` values: moves them to where neap_task_main will
 * find them. The box stays, alone. */
static void seat(lua_State *L, int values, struct neap_task *task, lua_State *coroutine) {
    task->coroutine = coroutine;
    lua_pushcfunction(coroutine, neap_task_main);
    lua_xmove(L, coroutine, 1);
    lua_pushcfunction(coroutine, neap_failure_handler);
    lua_xmove(L, coroutine, values);
    lua_pushvalue(coroutine, NEAP_SEAT_BOX + 1); /* the main function is there, too */
    lua_xmove(coroutine, L, 1);
}

static bool has_room(lua_State *coroutine, int values) {
    return values <= LUA_MINSTACK - 8 || lua_checkstack(coroutine, values + 8);
}

/* Moves the values of the box at `box` to the coroutine, which has room. */
static void seat_late(lua_State *L, int box, struct neap_task *task, lua_State *coroutine) {
    int values = *neap_task_values(task);
    for (int i = 1; i <= values; i++) lua_getiuservalue(L, box, i);
    lua_pushvalue(L, box);
    seat(L, values, task, coroutine);
    lua_pop(L, 1);
    for (int i = 1; i <= values; i++) { /* the body alone keeps its arguments alive */
        lua_pushnil(L);
        lua_setiuservalue(L, box, i);
    }
}

int neap_seat_make(lua_State *L) {
    struct neap_task *task = lua_touserdata(L, 1);
    struct neap_vm *vm = neap_task_vm(task);
    bool pooled = vm->pool.last < POOLED_COROUTINES;
    luaL_checkstack(L, *neap_task_values(task) + 8, "arguments");
    neap_task_push(L, task);
    lua_State *coroutine = lua_newthread(L);
    if (!has_room(coroutine, *neap_task_values(task))) return luaL_error(L, "not enough memory");
    if (vm->limits.cpu_ns > 0) neap_limits_rest(vm, coroutine);
    if (pooled) {
        if (vm->pool.last == vm->idle_room) { /* so that giving it back cannot fail */
            uint32_t room = vm->idle_room == 0 ? FIRST_IDLE : vm->idle_room * 2;
            lua_State **idle = neap_realloc(vm->idle, room * sizeof(lua_State *));
            if (idle == NULL) return luaL_error(L, "not enough memory");
            vm->idle = idle;
            vm->idle_room = room;
        }
        neap_anchors_add(L, &vm->pool);
    }
    if (pooled) task->flags |= NEAP_TASK_POOLED;
    seat_late(L, 2, task, coroutine);
    if (!pooled) lua_setiuservalue(L, 2, 1);
    return 0;
}

bool neap_seat_take(lua_State *L, struct neap_task *task) {
    struct neap_vm *vm = neap_task_vm(task);
    if (vm->idle_count == 0 || !has_room(vm->idle[vm->idle_count - 1], *neap_task_values(task))) return false;
    task->flags |= NEAP_TASK_POOLED;
    seat(L, *neap_task_values(task), task, vm->idle[--vm->idle_count]);
    return true;
}

bool neap_seat_take_late(lua_State *L, struct neap_task *task) {
    struct neap_vm *vm = neap_task_vm(task);
    if (vm->idle_count == 0 || !has_room(vm->idle[vm->idle_count - 1], *neap_task_values(task))) return false;
    if (!lua_checkstack(L, *neap_task_values(task) + 8)) return false;
    task->flags |= NEAP_TASK_POOLED;
    neap_task_push(L, task);
    seat_late(L, lua_gettop(L), task, vm->idle[--vm->idle_count]);
    lua_pop(L, 1);
    return true;
}

/* --- leaving --- */

void neap_seat_leave(struct neap_vm *vm, lua_State *coroutine, bool pooled) {
    if (lua_gethook(coroutine) != NULL) neap_limits_rest(vm, coroutine); /* the next task has no part in it */
    if (pooled) vm->idle[vm->idle_count++] = coroutine;
}
