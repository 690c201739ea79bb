#include "bindings/handle/handle.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/instance.h"
#include "bindings/handle/remote.h"
#include "bindings/report/failure.h"
#include "bindings/task/await.h"
#include "bindings/task/cancel.h"
#include "bindings/task/ending.h"
#include "bindings/task/task.h"
#include "bindings/task/task_body.h"
#include "bindings/task/task_job.h"
#include "core/error.h"
#include "host/engine.h"
#include "host/mirror.h"
#include "host/pool.h"
#include "host/process.h"
#include "host/unjoined.h"

/* What a handle refers to: a task of this state, or a job (a task may have both), or work of a pool. */
struct target {
    struct neap_future *future; /* to be waited for */
    struct neap_task *task;     /* NULL unless it is a task of this state whose record lies in the box */
    struct neap_job *job;       /* NULL unless it may be seen by other threads */
    struct neap_work *work;     /* NULL unless it is a future of a pool of this process; then the others are */
    struct neap_mirror *mirror; /* the job's, if it is in another process; else NULL */
    enum neap_handle kind;
};

static bool find_target(lua_State *L, int index, struct target *target) {
    struct neap_object *object = neap_box_test_any(L, index, &target->kind);
    if (object == NULL) return false;
    target->task = NULL;
    target->job = NULL;
    target->work = NULL;
    target->mirror = neap_mirror_of(object);
    target->future = (struct neap_future *)object;
    if (target->mirror != NULL) {
        target->job = &target->mirror->job;
        return true;
    }
    switch (target->kind) {
        case NEAP_HANDLE_TASK:
            target->task = lua_touserdata(L, index);
            target->job = neap_task_known_job(target->task);
            return true;
        case NEAP_HANDLE_TASK_JOB:
        case NEAP_HANDLE_THREAD:
        case NEAP_HANDLE_PROCESS: target->job = (struct neap_job *)object; return true;
        case NEAP_HANDLE_FUTURE: target->work = (struct neap_work *)object; return true;
        default: return false;
    }
}

static struct target check_target(lua_State *L) {
    struct target target = {.kind = NEAP_HANDLE_TASK};
    struct neap_object *task = neap_box_test(L, 1, NEAP_HANDLE_TASK);
    struct neap_object *future = task == NULL ? neap_box_test(L, 1, NEAP_HANDLE_FUTURE) : NULL;
    if (future != NULL && future->class == &neap_work_class) { /* a common case */
        target.work = NEAP_CONTAINER_OF(future, struct neap_work, future.object);
        target.future = &target.work->future;
        target.kind = NEAP_HANDLE_FUTURE;
        return target;
    }
    if (task != NULL) { /* the other one */
        target.task = NEAP_CONTAINER_OF(task, struct neap_task, future.object);
        target.job = neap_task_known_job(target.task);
        target.future = &target.task->future;
        return target;
    }
    neap_instance_replace(L, 1);
    if (!find_target(L, 1, &target)) neap_argument_type_error(L, 1, "task, thread, process or future");
    return target;
}

/* For what futures do not have. */
static struct target check_started(lua_State *L) {
    struct target target = check_target(L);
    if (target.work != NULL) neap_argument_type_error(L, 1, "task, thread or process");
    return target;
}

struct neap_future *neap_handle_test(lua_State *L, int index) {
    struct target target;
    return find_target(L, index, &target) ? target.future : NULL;
}

/* The task of this state that the target stands for, be it a thread seen from inside;
 * NULL: it is elsewhere, or has ended. */
static struct neap_task *own_task(lua_State *L, const struct target *target) {
    if (target->task != NULL || target->job == NULL) return target->task;
    return target->job->mailbox == neap_vm_of(L)->loop.mailbox ? target->job->task : NULL;
}

/* --- outcomes --- */

/* Somebody has seen how it ended: its failure need not be told at the end of the program. */
static void observe(lua_State *L, const struct target *target) {
    if (target->work != NULL) {
        neap_work_observe(target->work);
        return;
    }
    struct neap_future *future = target->job != NULL ? &target->job->future : target->future;
    if (neap_future_state(future) != NEAP_FUTURE_FAILED || atomic_exchange(&future->object.observed, true)) return;
    if (target->mirror != NULL) {
        neap_mirror_tell(target->mirror, NEAP_JOB_OBSERVE); /* it is counted there */
        return;
    }
    if (target->job != NULL && target->job->scope != NULL) return; /* the scope tells */
    if (target->task != NULL ? !(target->task->flags & NEAP_TASK_REPORTED) : target->job == NULL) return;
    atomic_fetch_sub_explicit(&neap_vm_of(L)->engine->failures, 1, memory_order_relaxed);
    neap_unjoined_remove(neap_vm_of(L)->engine, target->job != NULL ? target->job->id : target->task->id);
}

/* Pushes the traceback of a failure, or nil. */
static void push_traceback(lua_State *L, const struct target *target, int index) {
    if (target->task == NULL) {
        if (neap_future_outcome(target->future) != NULL)
            neap_decode(L, &neap_future_outcome(target->future)->traceback);
        else
            lua_pushnil(L);
        return;
    }
    if (!neap_task_push_extras(L, index, false)) return;
    lua_getfield(L, -1, "traceback");
    lua_remove(L, -2);
}

/* Work that nobody could say more of: it was cancelled before it ran, or there was no memory. */
static void push_no_outcome(lua_State *L, const struct target *target, enum neap_future_state state) {
    if (state != NEAP_FUTURE_CANCELLED) {
        lua_pushliteral(L, "not enough memory");
        return;
    }
    neap_decode(L, &target->work->reason);
    neap_cancel_push_error(L, -1);
    lua_remove(L, -2);
}

static int push_outcome(lua_State *L, const struct target *target, int index) {
    enum neap_future_state state = neap_future_state(target->future);
    observe(L, target);
    int count = 1;
    if (target->task != NULL)
        count = neap_task_push_values(L, target->task, index);
    else if (neap_future_outcome(target->future) == NULL)
        push_no_outcome(L, target, state);
    else if (state == NEAP_FUTURE_DONE)
        count = neap_decode_all(L, &neap_future_outcome(target->future)->value);
    else
        neap_decode(L, &neap_future_outcome(target->future)->value);
    if (state == NEAP_FUTURE_CANCELLED && target->kind == NEAP_HANDLE_FUTURE && !neap_cancel_is_error(L, -1)) {
        neap_cancel_push_error(L, -1); /* it was cancelled elsewhere before it ran: that is the reason */
        lua_remove(L, -2);
    }
    return state == NEAP_FUTURE_DONE ? count : -1;
}

int neap_handle_push_outcome(lua_State *L, int index) {
    struct target target;
    find_target(L, index, &target);
    return push_outcome(L, &target, lua_absindex(L, index));
}

/* --- join, wait, cancel --- */

/* Whose end was waited for; its handle lies at 1. */
static struct target awaited(lua_State *L, const struct neap_task *waiting) {
    if (waiting->link.object->class != &neap_task_class) return check_target(L);
    struct target target = {.future = (struct neap_future *)waiting->link.object, .kind = NEAP_HANDLE_TASK};
    target.task = NEAP_CONTAINER_OF(target.future, struct neap_task, future);
    target.job = neap_task_known_job(target.task);
    return target;
}

static int joined(lua_State *L, struct neap_task *task, int code) {
    if (code < 0) return neap_push_code(L, code);
    struct target target = awaited(L, task);
    int count = push_outcome(L, &target, 1);
    if (count >= 0) return count;
    if (neap_future_state(target.future) == NEAP_FUTURE_CANCELLED) neap_ending_follow(L);
    if (neap_future_state(target.future) == NEAP_FUTURE_FAILED) {
        push_traceback(L, &target, 1);
        neap_failure_note_cause(L, -2, -1);
        lua_pop(L, 1);
    }
    return lua_error(L);
}

static bool is_current(lua_State *L, const struct target *target) {
    const struct neap_task *current = neap_task_current(L);
    return target->task != NULL ? target->task == current : own_task(L, target) == current;
}

bool neap_handle_is_current(lua_State *L, int index) {
    struct target target;
    return find_target(L, index, &target) && is_current(L, &target);
}

static void refuse_self(lua_State *L, const struct target *target, const char *what) {
    if (is_current(L, target)) luaL_error(L, "a task cannot %s itself: it would never end", what);
}

/* Who does not wait wants to know how it stands now. */
static void look_there(lua_State *L, const struct target *target, int timeout) {
    if (target->mirror != NULL && lua_type(L, timeout) == LUA_TNUMBER && lua_tonumber(L, timeout) <= 0)
        neap_mirror_look(target->mirror);
}

void neap_handle_look(lua_State *L, int index, int timeout) {
    struct target target;
    if (find_target(L, index, &target)) look_there(L, &target, timeout);
}

int neap_handle_join(lua_State *L) {
    struct target target = check_target(L);
    refuse_self(L, &target, "join");
    look_there(L, &target, 2);
    return neap_await_object(L, &target.future->object, NEAP_FUTURE_END, 2, joined);
}

int neap_handle_wait(lua_State *L) {
    struct target target = check_target(L);
    refuse_self(L, &target, "wait for");
    look_there(L, &target, 2);
    return neap_await_object(L, &target.future->object, NEAP_FUTURE_END, 2, neap_finish_true);
}

/* The reason is taken over. */
static bool cancel_there(lua_State *L, struct neap_mirror *mirror, struct neap_message *reason) {
    struct neap_call call = neap_remote_begin(L);
    neap_message_move(&call.message, reason);
    neap_mirror_call(mirror, NEAP_JOB_CANCEL, &call);
    neap_message_fini(&call.message);
    return call.result == 0 && call.number != 0;
}

bool neap_handle_cancel(lua_State *L, int index) {
    struct target target;
    if (!find_target(L, index, &target)) { /* collected */
        lua_pop(L, 1);
        return false;
    }
    if (target.task != NULL) {
        bool is_late_timer =
            target.task->flags & NEAP_TASK_TIMER && neap_future_state(target.future) != NEAP_FUTURE_NEW;
        if (!is_late_timer) return neap_task_cancel(L, lua_absindex(L, index));
        lua_pop(L, 1);
        return false;
    }
    struct neap_task *own = own_task(L, &target);
    if (own != NULL) { /* a thread's main task, from inside */
        neap_task_push(L, own);
        lua_insert(L, -2);
        bool asked = neap_task_cancel(L, lua_gettop(L) - 1);
        lua_pop(L, 1);
        return asked;
    }
    struct neap_message reason;
    neap_message_clear(&reason);
    neap_encode(L, -1, &reason, "reason");
    lua_pop(L, 1);
    bool asked = target.mirror != NULL ? cancel_there(L, target.mirror, &reason)
                 : target.work != NULL ? neap_pool_request(target.work, NEAP_WORK_CANCEL, &reason)
                                       : neap_job_cancel(target.job, &reason);
    if (!asked) neap_message_fini(&reason);
    return asked;
}

int neap_handle_cancel_method(lua_State *L) {
    check_target(L);
    lua_settop(L, 2);
    lua_pushboolean(L, neap_handle_cancel(L, 1));
    return 1;
}

/* --- as a to-be-closed variable --- */

static bool is_daemon(const struct target *target) {
    if (target->task != NULL) return (target->task->flags & NEAP_TASK_DAEMON) != 0;
    return atomic_load_explicit(&target->job->daemon, memory_order_relaxed);
}

static int left(lua_State *L, struct neap_task *task, int code) {
    (void)L;
    (void)task;
    (void)code;
    return 0;
}

/* Has what the handle at 1 does no end of its own, or none that anybody waits for? */
static bool is_to_be_stopped(lua_State *L, const struct target *target) {
    if (target->work != NULL) return false;
    if (is_daemon(target)) return true;
    return target->task != NULL ? neap_task_is_endless(L, 1) : target->job->endless;
}

/* __close: (handle, error) */
static int handle_left(lua_State *L) {
    struct target target = check_target(L);
    refuse_self(L, &target, "wait for");
    if (!lua_isnoneornil(L, 2) || is_to_be_stopped(L, &target)) {
        lua_pushnil(L);
        neap_handle_cancel(L, 1);
    }
    lua_settop(L, 1);
    return neap_await_object(L, &target.future->object, NEAP_FUTURE_END, 2, left);
}

/* --- how it stands --- */

static const char *status_of(const struct target *target) {
    const struct neap_task *task = target->task;
    int64_t seen = target->mirror != NULL ? neap_mirror_look(target->mirror) : 0;
    switch (neap_future_state(target->future)) {
        case NEAP_FUTURE_NEW: return "new";
        case NEAP_FUTURE_DONE: return "done";
        case NEAP_FUTURE_FAILED: return "failed";
        case NEAP_FUTURE_CANCELLED: return "cancelled";
        case NEAP_FUTURE_RUNNING: break;
    }
    if (target->work != NULL) return "running";
    if (target->mirror != NULL && seen == NEAP_FUTURE_NEW) return "new"; /* a mirror itself never is */
    bool waiting = (seen & NEAP_JOB_WAITING) != 0;
    if (task != NULL)
        waiting = atomic_load_explicit(&task->wait.state, memory_order_relaxed) == NEAP_WAIT_OPEN;
    else if (target->mirror == NULL)
        waiting = neap_job_is_waiting(target->job);
    return waiting ? "waiting" : "running";
}

int neap_handle_status(lua_State *L) {
    struct target target = check_target(L);
    lua_pushstring(L, status_of(&target));
    return 1;
}

int neap_handle_is_alive(lua_State *L) {
    struct target target = check_target(L);
    if (target.mirror != NULL) neap_mirror_look(target.mirror);
    lua_pushboolean(L, !neap_future_has_ended(target.future));
    return 1;
}

int neap_handle_error(lua_State *L) {
    struct target target = check_target(L);
    if (target.mirror != NULL) neap_mirror_look(target.mirror);
    enum neap_future_state state = neap_future_state(target.future);
    if (state == NEAP_FUTURE_FAILED || state == NEAP_FUTURE_CANCELLED)
        push_outcome(L, &target, 1);
    else
        lua_pushnil(L);
    return 1;
}

int neap_handle_traceback(lua_State *L) {
    struct target target = check_target(L);
    if (target.mirror != NULL) neap_mirror_look(target.mirror);
    if (neap_future_state(target.future) == NEAP_FUTURE_FAILED)
        push_traceback(L, &target, 1);
    else
        lua_pushnil(L);
    return 1;
}

/* --- fields --- */

static void ask_name(struct neap_mirror *mirror, char name[NEAP_JOB_NAME_MAX + 1]) {
    struct neap_call call = {.owner = NULL};
    neap_message_clear(&call.message);
    neap_mirror_call(mirror, NEAP_JOB_NAME, &call);
    if (call.result == 0) neap_job_take_name(&mirror->job, &call.message);
    neap_message_fini(&call.message);
    neap_job_get_name(&mirror->job, name);
}

static void get_name(lua_State *L, const struct target *target, char name[NEAP_JOB_NAME_MAX + 1]) {
    if (target->mirror != NULL)
        ask_name(target->mirror, name);
    else if (target->task != NULL)
        neap_task_get_name(L, 1, name);
    else
        neap_job_get_name(target->job, name);
}

/* h.data: a table of the task's own, for the code of its state. */
static int push_data(lua_State *L, const struct target *target) {
    struct neap_task *task = own_task(L, target);
    if (task == NULL) return luaL_error(L, "data of a task can be used in its own thread only");
    if (target->task == NULL) {
        neap_task_push(L, task);
        lua_replace(L, 1);
    }
    neap_task_push_extras(L, 1, true);
    if (lua_getfield(L, -1, "data") == LUA_TTABLE) return 1;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "data");
    return 1;
}

int neap_handle_index(lua_State *L) {
    struct target target = check_started(L);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    char name[NEAP_JOB_NAME_MAX + 1];
    if (strcmp(key, "name") == 0) {
        get_name(L, &target, name);
        lua_pushstring(L, name);
    } else if (strcmp(key, "id") == 0) {
        lua_pushinteger(L, target.task != NULL ? (lua_Integer)target.task->id : (lua_Integer)target.job->id);
    } else if (strcmp(key, "daemon") == 0) {
        lua_pushboolean(L, is_daemon(&target));
    } else if (strcmp(key, "data") == 0) {
        return push_data(L, &target);
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/* The name is at 3. */
static int set_name_there(lua_State *L, struct neap_mirror *mirror) {
    struct neap_call call = neap_remote_begin(L);
    neap_message_set_text(&call.message, lua_tostring(L, 3));
    neap_mirror_call(mirror, NEAP_JOB_SET_NAME, &call);
    neap_message_fini(&call.message);
    return 0;
}

static int handle_newindex(lua_State *L) {
    struct target target = check_started(L);
    const char *key = luaL_tolstring(L, 2, NULL);
    if (strcmp(key, "daemon") == 0)
        return luaL_error(L, "daemon can be set before the start only: give it as an option");
    if (strcmp(key, "name") != 0)
        return luaL_error(L, "a %s has no field '%s' to set", neap_bindings[target.kind]->name, key);
    if (lua_type(L, 3) != LUA_TSTRING) return luaL_error(L, "name: string expected, got %s", luaL_typename(L, 3));
    if (target.mirror != NULL) return set_name_there(L, target.mirror);
    if (target.job != NULL) neap_job_set_name(target.job, lua_tostring(L, 3));
    if (target.kind == NEAP_HANDLE_PROCESS) neap_process_named((struct neap_process *)target.job);
    if (target.task == NULL) return 0;
    neap_task_push_extras(L, 1, true);
    lua_pushvalue(L, 3);
    lua_setfield(L, -2, "name");
    return 0;
}

/* --- bindings --- */

/* "thread: w1 (running)" */
static int handle_tostring(lua_State *L) {
    struct target target = check_started(L);
    char name[NEAP_JOB_NAME_MAX + 1];
    get_name(L, &target, name);
    lua_pushfstring(L, "%s: %s (%s)", neap_bindings[target.kind]->name, name, status_of(&target));
    return 1;
}

static struct neap_object *task_travels(lua_State *L, int index) {
    return neap_object_ref(&neap_task_job(L, index)->future.object);
}

const luaL_Reg neap_handle_methods[] = {{"join", neap_handle_join},
                                        {"wait", neap_handle_wait},
                                        {"cancel", neap_handle_cancel_method},
                                        {"status", neap_handle_status},
                                        {"error", neap_handle_error},
                                        {"is_alive", neap_handle_is_alive},
                                        {"traceback", neap_handle_traceback},
                                        {NULL, NULL}};

const luaL_Reg neap_handle_metamethods[] = {
    {"__tostring", handle_tostring}, {"__newindex", handle_newindex}, {"__close", handle_left}, {NULL, NULL}};

const struct neap_binding neap_task_binding = {
    .name = "task",
    .class = &neap_task_class,
    .methods = neap_handle_methods,
    .metamethods = neap_handle_metamethods,
    .index = neap_handle_index,
    .travel = task_travels,
};

const struct neap_binding neap_task_job_binding = {
    .name = "task",
    .class = &neap_task_job_class,
    .proxy = &neap_mirror_task_class,
    .methods = neap_handle_methods,
    .metamethods = neap_handle_metamethods,
    .index = neap_handle_index,
};

const struct neap_binding neap_thread_binding = {
    .name = "thread",
    .class = &neap_thread_job_class,
    .proxy = &neap_mirror_thread_class,
    .methods = neap_handle_methods,
    .metamethods = neap_handle_metamethods,
    .index = neap_handle_index,
};

int neap_handle_push_current(lua_State *L) {
    struct neap_task *task = neap_task_current(L);
    const struct neap_job *job = neap_task_known_job(task);
    if (task->flags & NEAP_TASK_MAIN && job != NULL && job->future.object.class != &neap_task_job_class)
        neap_box_push(L, &task->job->future.object);
    else
        neap_task_push(L, task);
    return 1;
}
