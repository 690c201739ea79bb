/* task_body: what runs in a task's coroutine, and what comes out of it.
 *
 * BODY       task_main runs the function under lua_pcallk at the base of the coroutine. An error unwinds to there, its
 *            `<close>` variables may wait, and the traceback was taken before by the message handler.
 * END        1. what it holds is abandoned; 2. the values are kept in the handle; 3. if a job exists, they are
 *            encoded for other threads; 4. the futures end and wake who joined; 5. the scope is told; 6. a failure that
 *            nobody awaited is reported; 7. the anchor goes. The coroutine is idle only when it has been left: until
 *            then code that runs on it may spawn. */
#include "bindings/task/task_body.h"

#include <lauxlib.h>

#include "bindings/codec/codec.h"
#include "bindings/report/failure.h"
#include "bindings/task/cancel.h"
#include "bindings/task/outcome.h"
#include "bindings/task/seat.h"
#include "host/engine.h"
#include "sync/scope.h"

enum { RESULTS_WITH_ROOM = LUA_MINSTACK - 10 }; /* behind so few the stack of neap_task_main has room left */

/* --- values --- */

/* Keeps the `count` values on top of L in the box at `box`, which has at least one user value. */
static void keep_values(lua_State *L, struct neap_task *task, int box, int count) {
    if (count == 0) {
        if (task->slot != 0) { /* else nothing was ever put there */
            lua_pushnil(L);
            lua_setiuservalue(L, box, 1);
        }
    } else if (count == 1) {
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, box, 1);
    } else {
        int first = lua_gettop(L) - count + 1;
        lua_createtable(L, count, count >= NEAP_TASK_MANY);
        for (int i = 0; i < count; i++) {
            lua_pushvalue(L, first + i);
            lua_rawseti(L, -2, i + 1);
        }
        if (count >= NEAP_TASK_MANY) {
            lua_pushinteger(L, count);
            lua_rawseti(L, -2, 0);
        }
        lua_setiuservalue(L, box, 1);
    }
    *neap_task_values(task) = (uint8_t)(count < NEAP_TASK_MANY ? count : NEAP_TASK_MANY);
}

int neap_task_push_values(lua_State *L, const struct neap_task *task, int box) {
    int count = neap_future_state(&task->future) == NEAP_FUTURE_DONE ? *neap_task_values(task) : 1;
    if (count <= 1) {
        if (count == 1) lua_getiuservalue(L, box, 1);
        return count;
    }
    lua_getiuservalue(L, box, 1);
    int table = lua_gettop(L);
    if (count == NEAP_TASK_MANY) {
        lua_rawgeti(L, table, 0);
        count = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    luaL_checkstack(L, count, "results");
    for (int i = 1; i <= count; i++) lua_rawgeti(L, table, i);
    lua_remove(L, table);
    return count;
}

/* --- for other threads --- */

/* What other threads will read: the values at `first` .. `first + count - 1` of L, or the
 * reason why they cannot be sent. */
static struct neap_outcome *make_outcome(lua_State *L, int box, int first, int count, enum neap_future_state *state) {
    luaL_checkstack(L, count + 8, "results");
    for (int i = 0; i < count; i++) lua_pushvalue(L, first + i);
    struct neap_outcome *outcome = neap_outcome_make(L, count, state);
    if (outcome == NULL) luaL_error(L, "not enough memory");
    if (*state == NEAP_FUTURE_FAILED && neap_task_push_extras(L, box, false)) {
        lua_getfield(L, -1, "traceback");
        neap_outcome_add_traceback(L, outcome, -1);
    }
    lua_settop(L, first + count - 1);
    return outcome;
}

void neap_task_end_job(lua_State *L, struct neap_task *task, struct neap_job *job, int box) {
    enum neap_future_state state = neap_future_state(&task->future);
    int first = lua_gettop(L) + 1, count = neap_task_push_values(L, task, box);
    struct neap_outcome *outcome = make_outcome(L, box, first, count, &state);
    lua_settop(L, first - 1);
    job->task = NULL;
    if (state != neap_future_state(&task->future)) /* it was done: see share */
        atomic_store_explicit(&job->future.object.observed, true, memory_order_relaxed);
    neap_future_end(&job->future, state, outcome);
}

/* Protected: (message). */
static int decode_message(lua_State *L) {
    neap_decode(L, lua_touserdata(L, 1));
    return 1;
}

/* What the task's job will say, and in `shared` in which state. A task whose results cannot be sent is done at home,
 * and has failed for others: no failure that counts. But the main task of a thread or process returns them to others
 * alone: it has failed, and the reason takes their place. */
static struct neap_outcome *share(lua_State *L, struct neap_task *task, int box, int first, int count,
                                  enum neap_future_state *state, enum neap_future_state *shared) {
    if (task->flags & NEAP_TASK_UNASKED && *state == NEAP_FUTURE_DONE) count = 0;
    struct neap_outcome *outcome = make_outcome(L, box, first, count, shared);
    if (*shared == *state) return outcome;
    if (task->flags & NEAP_TASK_MAIN) {
        *state = *shared;
        lua_pushcfunction(L, decode_message);
        lua_pushlightuserdata(L, &outcome->value);
        lua_pcall(L, 1, 1, 0); /* if there is no memory, it says so */
        keep_values(L, task, box, 1);
    } else {
        atomic_store_explicit(&task->job->future.object.observed, true, memory_order_relaxed);
    }
    return outcome;
}

/* --- ending --- */

static enum neap_future_state state_after(lua_State *L, struct neap_task *task, int status) {
    if (status == LUA_OK) return NEAP_FUTURE_DONE;
    return task->flags & NEAP_TASK_CANCELLED && neap_cancel_is_error(L, -1) ? NEAP_FUTURE_CANCELLED
                                                                            : NEAP_FUTURE_FAILED;
}

void neap_task_leave_scope(struct neap_task *task, bool failed) {
    if (!(task->flags & NEAP_TASK_SCOPED)) return;
    struct neap_scope **place = task->flags & NEAP_TASK_KNOWN ? &task->job->scope : &task->scope, *scope = *place;
    *place = NULL;
    neap_scope_leave(scope, task->id, failed);
}

/* Tells other threads, and who waits here. True when somebody waited. */
static bool publish(struct neap_task *task, enum neap_future_state state, enum neap_future_state shared_state,
                    struct neap_outcome *outcome) {
    bool awaited = neap_future_end(&task->future, state, NULL);
    if (!neap_task_is_known(task)) return awaited;
    task->job->task = NULL;
    if (task->flags & NEAP_TASK_MAIN) { /* the thread ends later */
        neap_task_vm(task)->outcome = outcome;
        neap_task_vm(task)->outcome_state = shared_state;
        return awaited || neap_future_is_awaited(&task->job->future);
    }
    return neap_future_end(&task->job->future, shared_state, outcome) || awaited;
}

void neap_task_finish(lua_State *L, int box, int first, int count, int status) {
    struct neap_task *task = lua_touserdata(L, box);
    struct neap_vm *vm = neap_task_vm(task);
    enum neap_future_state state = state_after(L, task, status), shared_state = state;
    struct neap_outcome *outcome = NULL;
    if (count > RESULTS_WITH_ROOM) luaL_checkstack(L, 6, "results");
    neap_message_fini(&task->link.message);
    neap_owner_end(&task->wait.own);
    keep_values(L, task, box, count);
    /* From here to publish no finaliser runs: a job that one made is seen here. */
    if (neap_task_is_known(task)) outcome = share(L, task, box, first, count, &state, &shared_state);
    neap_list_remove(&task->node);
    vm->task_count--;
    bool awaited = publish(task, state, shared_state, outcome);
    if (!(task->flags & NEAP_TASK_DAEMON)) vm->needed--;
    if (task->flags & NEAP_TASK_SCOPED) {
        neap_task_leave_scope(task, state == NEAP_FUTURE_FAILED);
    } else if (state == NEAP_FUTURE_FAILED && !(neap_task_is_known(task) && task->job->scope != NULL)) {
        atomic_fetch_add_explicit(&vm->engine->failures, 1, memory_order_relaxed);
        task->flags |= NEAP_TASK_REPORTED;
        if (task->flags & NEAP_TASK_QUIET) {
            /* it is told nowhere */
        } else if (awaited) {
            neap_failure_note_unjoined(L, box);
        } else {
            neap_failure_report(L, box);
        }
    }
    neap_owner_end(&task->wait.own); /* what finalisers have taken in its name meanwhile */
    task->coroutine = NULL;
    if (task->slot != 0) neap_anchors_remove(L, &vm->handles, task->slot);
}

/* --- the body --- */

static int body_ended(lua_State *L, int status, lua_KContext context) {
    int top = lua_gettop(L);
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD)
        neap_task_finish(L, NEAP_SEAT_BOX, NEAP_SEAT_FUNCTION, top - NEAP_SEAT_HANDLER, LUA_OK);
    else
        neap_task_finish(L, NEAP_SEAT_BOX, top, 1, status);
    return 0;
}

int neap_task_main(lua_State *L) {
    return body_ended(
        L, lua_pcallk(L, lua_gettop(L) - NEAP_SEAT_FUNCTION, LUA_MULTRET, NEAP_SEAT_HANDLER, 0, body_ended), 0);
}
