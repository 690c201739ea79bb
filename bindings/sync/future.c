/* future: most of its methods are those of all handles (handle.c). */
#include "bindings/sync/future.h"

#include <lauxlib.h>
#include <stdio.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/handle.h"
#include "bindings/task/await.h"
#include "bindings/task/task.h"
#include "host/mirror.h"
#include "host/pool.h"

static struct neap_future *check(lua_State *L) {
    return (struct neap_future *)neap_box_check(L, 1, NEAP_HANDLE_FUTURE);
}

/* How it stands now, wherever it is. */
static enum neap_future_state look(lua_State *L) {
    struct neap_future *future = check(L);
    struct neap_mirror *mirror = neap_mirror_of(&future->object);
    return mirror == NULL ? neap_future_state(future)
                          : (enum neap_future_state)(neap_mirror_look(mirror) & ~NEAP_JOB_WAITING);
}

void neap_future_push_empty(lua_State *L) { neap_box_new(L, NEAP_HANDLE_FUTURE, sizeof(struct neap_box), 0); }

void neap_future_fill(lua_State *L, int index, struct neap_object *work) {
    struct neap_box *box = lua_touserdata(L, index);
    box->object = work;
}

/* Its object is shared from the start, but only a handle that is sent may come back. */
static struct neap_object *travel(lua_State *L, int index) {
    struct neap_box *box = lua_touserdata(L, index);
    neap_box_register(L, index, box->object);
    return neap_object_ref(box->object);
}

/* --- how it stands --- */

static int push_whether(lua_State *L, bool whether) {
    lua_pushboolean(L, whether);
    return 1;
}

static int future_done(lua_State *L) { return push_whether(L, look(L) >= NEAP_FUTURE_DONE); }

static int future_running(lua_State *L) { return push_whether(L, look(L) == NEAP_FUTURE_RUNNING); }

static int future_cancelled(lua_State *L) { return push_whether(L, look(L) == NEAP_FUTURE_CANCELLED); }

/* --- callbacks --- */

enum { FUTURE = 1, FUNCTION };

static int called(lua_State *L, int status, lua_KContext context) {
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static int call_back(lua_State *L, struct neap_task *task, int code) {
    (void)task;
    (void)code;
    lua_pushvalue(L, FUNCTION);
    lua_pushvalue(L, FUTURE);
    lua_callk(L, 1, 0, 0, called);
    return called(L, LUA_OK, 0);
}

/* The body of the task: (future, function). */
static int run_callback(lua_State *L) { return neap_await_object(L, &check(L)->object, NEAP_FUTURE_END, 3, call_back); }

/* future:on_done(fn). The task waits for its own sake, not for a worker's: see worker.c. */
static int future_on_done(lua_State *L) {
    const struct neap_task_options options = {.name = "on_done"};
    check(L);
    neap_argument_type(L, FUNCTION, LUA_TFUNCTION);
    lua_settop(L, FUNCTION);
    lua_pushcfunction(L, run_callback);
    lua_pushvalue(L, FUTURE);
    lua_pushvalue(L, FUNCTION);
    *neap_task_pool(neap_task_spawn(L, 2, &options)) = 0;
    lua_settop(L, FUTURE);
    return 1;
}

/* --- for the Lua half --- */

int neap_future_drop(lua_State *L) {
    struct neap_future *future = check(L);
    struct neap_message none;
    neap_message_clear(&none);
    struct neap_mirror *mirror = neap_mirror_of(&future->object);
    if (mirror != NULL)
        neap_mirror_tell(mirror, NEAP_WORK_GIVE_UP);
    else
        neap_pool_request((struct neap_work *)future, NEAP_WORK_DROP, &none);
    return 0;
}

/* --- binding --- */

/* "pool-1 #7, running" */
static void describe(struct neap_object *object, char *text, size_t size) {
    static const char *const states[] = {"queued", "running", "done", "failed", "cancelled"};
    const struct neap_work *work = (struct neap_work *)object;
    struct neap_mirror *mirror = neap_mirror_of(object);
    if (mirror != NULL) {
        int64_t state = neap_mirror_look(mirror) & ~NEAP_JOB_WAITING;
        snprintf(text, size, "#%llu, %s", (unsigned long long)mirror->job.id, states[state]);
        return;
    }
    snprintf(text, size, "%s #%llu, %s", work->pool->name, (unsigned long long)work->id,
             states[neap_future_state(&work->future)]);
}

static const luaL_Reg methods[] = {{"result", neap_handle_join},
                                   {"join", neap_handle_join},
                                   {"wait", neap_handle_wait},
                                   {"cancel", neap_handle_cancel_method},
                                   {"status", neap_handle_status},
                                   {"is_alive", neap_handle_is_alive},
                                   {"error", neap_handle_error},
                                   {"traceback", neap_handle_traceback},
                                   {"done", future_done},
                                   {"running", future_running},
                                   {"cancelled", future_cancelled},
                                   {"on_done", future_on_done},
                                   {NULL, NULL}};

const struct neap_binding neap_future_binding = {
    .name = "future",
    .class = &neap_work_class,
    .proxy = &neap_mirror_future_class,
    .methods = methods,
    .describe = describe,
    .travel = travel,
};
