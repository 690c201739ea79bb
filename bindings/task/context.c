#include "bindings/task/context.h"

#include <lauxlib.h>

#include "bindings/codec/codec.h"
#include "bindings/task/task.h"

static bool has_context(const struct neap_task *task) { return (task->flags & NEAP_TASK_CONTEXT) != 0; }

/* Pushes the running task's. */
static void push(lua_State *L) {
    struct neap_task *task = neap_task_current(L);
    luaL_checkstack(L, 4, "context");
    if (!has_context(task)) {
        lua_pushnil(L);
        return;
    }
    neap_task_push(L, task);
    neap_task_push_extras(L, -1, true);
    lua_getfield(L, -1, "context");
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Gives the value on top of the stack, which is popped, to the task whose box is below it. */
static void put(lua_State *L, struct neap_task *task) {
    neap_task_push_extras(L, -2, true);
    lua_insert(L, -2);
    lua_setfield(L, -2, "context");
    lua_pop(L, 1);
    task->flags |= NEAP_TASK_CONTEXT;
}

int neap_context_get(lua_State *L) {
    push(L);
    return 1;
}

int neap_context_set(lua_State *L) {
    struct neap_task *task = neap_task_current(L);
    lua_settop(L, 1);
    neap_task_push(L, task);
    lua_insert(L, 1);
    put(L, task);
    return 0;
}

void neap_context_hand_on(lua_State *L, struct neap_task *task) {
    if (!has_context(neap_task_current(L))) return;
    push(L);
    put(L, task);
}

void neap_context_encode(lua_State *L, struct neap_message *message) {
    if (!has_context(neap_task_current(L))) return;
    push(L);
    neap_encode(L, -1, message, "context");
    lua_pop(L, 1);
}

void neap_context_decode(lua_State *L, const struct neap_message *message) {
    struct neap_task *task = neap_task_current(L);
    if (message->kind == NEAP_MESSAGE_EMPTY) return;
    neap_task_push(L, task);
    neap_decode(L, message);
    put(L, task);
    lua_pop(L, 1);
}
