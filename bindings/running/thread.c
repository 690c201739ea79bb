/* thread: from neap.thread to the end of an OS thread.
 *
 * START      The function and its arguments are encoded by the spawner, so what cannot be sent raises there.
 *            The mailbox of the new loop is made by the spawner too: the handle can be cancelled and joined
 *            before the thread has begun.
 * LIFE       The thread makes a state, spawns a main task that decodes and calls the function, and turns its loop until
 *            that task and every other one that is not daemon has ended, or that task has failed or the thread was
 *            cancelled; then it cancels what is left and waits for it (ending.c).
 * END        The job ends when all of its tasks have: what they held has been released, what they printed is written.
 *            Only then is the state closed, while who joined goes on already. */
#include "bindings/running/thread.h"

#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/handle.h"
#include "bindings/module.h"
#include "bindings/neap.h"
#include "bindings/report/failure.h"
#include "bindings/report/report.h"
#include "bindings/running/listing.h"
#include "bindings/running/start.h"
#include "bindings/state/libraries.h"
#include "bindings/state/restrict.h"
#include "bindings/state/state.h"
#include "bindings/task/await.h"
#include "bindings/task/ending.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/crew.h"
#include "host/engine.h"

/* --- in the new thread --- */

/* Protected: (vm, start, job). */
static int open_state(lua_State *L) {
    struct neap_vm *vm = lua_touserdata(L, 1);
    struct neap_start *start = lua_touserdata(L, 2);
    struct neap_task_options options = {.flags = (start->flags & NEAP_TASK_QUIET) | NEAP_TASK_MAIN,
                                        .job = lua_touserdata(L, 3)};
    neap_state_open(vm, L);
    lua_pushcfunction(L, neap_start_body);
    lua_pushlightuserdata(L, start);
    neap_task_spawn(L, 1, &options);
    return 0;
}

static bool is_over(void *argument) {
    const struct neap_vm *vm = argument;
    if (vm->outcome_state == 0) return false;
    return vm->needed == 0 || vm->outcome_state != NEAP_FUTURE_DONE ||
           atomic_load_explicit(&vm->job->cancel_requested, memory_order_acquire);
}

static void run_tasks(struct neap_vm *vm) {
    neap_loop_run(&vm->loop, is_over, vm);
    neap_ending_run_tasks(vm);
}

/* The thread could not be brought up, or its main task left nothing: out of memory. */
static struct neap_outcome *make_failure(void) {
    struct neap_outcome *outcome = neap_outcome_new();
    if (outcome == NULL) return NULL;
    neap_message_set_text(&outcome->value, "not enough memory");
    return outcome;
}

static void end_job(struct neap_engine *engine, struct neap_job *job, struct neap_vm *vm) {
    enum neap_future_state state = vm != NULL ? (enum neap_future_state)vm->outcome_state : NEAP_FUTURE_NEW;
    struct neap_outcome *outcome = vm != NULL ? vm->outcome : NULL;
    job->task = NULL;
    if (outcome == NULL) {
        outcome = make_failure();
        state = NEAP_FUTURE_FAILED;
        if (job->scope == NULL) atomic_fetch_add_explicit(&engine->failures, 1, memory_order_relaxed);
        char name[NEAP_JOB_NAME_MAX + 1];
        neap_job_get_name(job, name);
        neap_report_print("neap: thread %s failed: not enough memory\n", name);
    }
    if (vm != NULL) vm->outcome = NULL;
    struct neap_scope *scope = job->scope;
    uint64_t id = job->id;
    neap_future_end(&job->future, state, outcome);
    if (scope != NULL) neap_scope_leave(scope, id, state == NEAP_FUTURE_FAILED);
}

static int run_thread(struct neap_thread *thread) {
    struct neap_start *start = thread->argument;
    struct neap_vm *vm = neap_vm_new(thread->engine, start->mailbox);
    lua_State *L = vm != NULL ? neap_state_new(vm) : NULL;
    if (L != NULL) {
        neap_start_prepare(start, vm, start->slice_signal);
        vm->job = thread->job;
        vm->loop.patient.patience = &thread->engine->patience;
        lua_pushcfunction(L, open_state);
        lua_pushlightuserdata(L, vm);
        lua_pushlightuserdata(L, start);
        lua_pushlightuserdata(L, thread->job);
        if (lua_pcall(L, 3, 0, 0) == LUA_OK) run_tasks(vm);
        neap_vm_close(vm);
        neap_libraries_flush(vm);
    }
    neap_crew_finish();
    end_job(thread->engine, thread->job, vm);
    if (L != NULL) neap_state_close(vm, L);
    if (vm != NULL && vm->loop.offloads > 0) neap_thread_excuse(thread); /* see OFFLOADS in bindings/task/ending.c */
    if (vm != NULL) neap_state_free(vm);
    neap_start_free(start);
    return 0;
}

/* --- in the spawner --- */

void neap_thread_spawn(lua_State *L, int arguments, const struct neap_task_options *options) {
    struct neap_vm *vm = neap_vm_of(L);
    int function = lua_gettop(L) - arguments;
    neap_box_refuse_late(L, "thread");
    neap_restrict_check(L, NEAP_DENY_THREADS, "starting a thread");
    luaL_checkstack(L, 8, "thread");
    struct neap_start **keeper = neap_start_push(L);
    struct neap_start *start = *keeper;
    neap_start_fill(L, start, function, arguments, false, options);
    start->mailbox = neap_mailbox_new(&vm->engine->busy);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_THREAD, sizeof *box, 0);
    struct neap_job *job = start->mailbox == NULL
                               ? NULL
                               : neap_job_new(&neap_thread_job_class, start->mailbox, neap_engine_next_id(vm->engine));
    if (job == NULL) luaL_error(L, "not enough memory");
    job->failures = &vm->engine->failures;
    box->object = &job->future.object;
    neap_box_register(L, -1, box->object);
    if (options->name != NULL) neap_job_set_name(job, options->name);
    atomic_store_explicit(&job->daemon, (options->flags & NEAP_TASK_DAEMON) != 0, memory_order_relaxed);
    atomic_store_explicit(&job->future.object.state, NEAP_FUTURE_RUNNING, memory_order_relaxed);
    if (options->flags & NEAP_TASK_CANCELLED) {
        if (options->reason != 0) neap_encode(L, options->reason, &job->reason, "reason");
        neap_job_cancel_early(job);
    }
    if (options->scope != NULL) {
        job->scope = options->scope;
        neap_object_share(&options->scope->object);
        neap_scope_enter(options->scope);
    }
    neap_object_ref(&job->future.object); /* the thread's */
    int code = neap_thread_start(vm->engine, job, run_thread, start);
    if (code != 0) {
        neap_object_unref(&job->future.object);
        if (options->scope != NULL) neap_scope_leave(options->scope, job->id, false);
        if (code == NEAP_DENIED)
            luaL_error(L, "denied: the host allows %d threads at a time", (int)vm->engine->threads_max);
        if (code == NEAP_CLOSED) neap_ending_refuse(L, "start a thread");
        luaL_error(L, "cannot start a thread: %s", neap_code_name(code));
    }
    *keeper = NULL;
    lua_replace(L, function);
    lua_settop(L, function);
}

/* neap.thread([options,] fn, ...) */
static int run_spawn_thread(lua_State *L) {
    struct neap_task_options options;
    int function = neap_run_options(L, 1, &options);
    neap_argument_type(L, function, LUA_TFUNCTION);
    neap_thread_spawn(L, lua_gettop(L) - function, &options);
    return 1;
}

/* --- who runs --- */

/* neap.threads() */
static int list_threads(lua_State *L) {
    lua_settop(L, 0);
    return neap_listing_push(L, neap_engine_each_thread);
}

static int count_active(lua_State *L) {
    list_threads(L);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1) + 1);
    return 1;
}

const luaL_Reg neap_thread_functions[] = {
    {"thread", run_spawn_thread}, {"threads", list_threads}, {"active_count", count_active}, {NULL, NULL}};
