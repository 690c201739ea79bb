/* ending: the last seconds.
 *
 * ORDER      1. no new work; 2. every task is cancelled, in every thread and process, and its `<close>` variables run;
 *            3. the threads are joined, processes are reaped. 2 and 3 take at most NEAP_GRACE_SECONDS together. A
 *            process that has not ended is sent SIGTERM in that time, and SIGKILL after it.
 * OFFLOADS   What was begun in libuv's threads, as opening a pipe that nobody reads, cannot be broken off. A task that
 *            is cancelled does not wait for it, but the loop does when it is closed: so it has the same time of grace,
 *            and then its loop stays open. That is the end of the process, or what a host is told.
 * STRAGGLERS Who has not ended by then is named. The tasks of a parked thread, and of one that runs Lua which can be
 *            interrupted, are named by their own thread, which needs a moment for that (ANSWER_SECONDS); one that does
 *            not find the time runs a long call of C, and is named itself. */
#include "bindings/task/ending.h"

#include <signal.h>

#include "bindings/report/report.h"
#include "bindings/task/cancel.h"
#include "bindings/task/task.h"
#include "core/clock.h"
#include "host/engine.h"
#include "host/process.h"

static const double ANSWER_SECONDS = 0.5;
static const double POLITE_SECONDS = 3; /* before a process is sent a signal */

/* Ends a wait of the loop's own. */
struct alarm {
    struct neap_wait wait; /* without links */
    bool rung;
    bool (*done)(void *argument);
    void *argument; /* of done */
};

static void ring(struct neap_runnable *runnable) {
    NEAP_CONTAINER_OF(runnable, struct alarm, wait.runnable)->rung = true;
}

static bool is_done_or_late(void *argument) {
    const struct alarm *alarm = argument;
    return alarm->rung || alarm->done(alarm->argument);
}

static bool has_rung(void *argument) { return ((struct alarm *)argument)->rung; }

bool neap_ending_wait(struct neap_vm *vm, double seconds, bool (*done)(void *argument), void *argument) {
    struct alarm alarm = {.rung = false, .done = done, .argument = argument};
    neap_wait_init(&alarm.wait, &vm->loop, NULL, ring);
    if (neap_wait_sleep(&alarm.wait, neap_clock_after(seconds)) != NEAP_PARKED) return done(argument);
    neap_loop_run(&vm->loop, is_done_or_late, &alarm);
    if (alarm.rung || !neap_wait_abandon(&alarm.wait)) {
        neap_loop_run(&vm->loop, has_rung, &alarm); /* it was queued */
        neap_wait_end(&alarm.wait);
    }
    return done(argument);
}

bool neap_ending_is_near(const struct neap_vm *vm) {
    struct neap_engine *engine = vm->engine;
    return vm->needed == 0 && !neap_engine_is_needed(engine) &&
           atomic_load_explicit(&engine->reports, memory_order_relaxed) == 0;
}

static bool has_settled(void *argument) {
    const struct neap_vm *vm = argument;
    struct neap_engine *engine = vm->engine;
    return neap_list_is_empty(&vm->tasks) && vm->loop.offloads == 0 &&
           atomic_load_explicit(&engine->alive, memory_order_acquire) == 0 &&
           atomic_load_explicit(&engine->process_count, memory_order_acquire) == 0 &&
           atomic_load_explicit(&engine->reports, memory_order_relaxed) == 0;
}

static bool have_answered(void *argument) { return neap_report_silent(argument) == 0; }

static bool has_no_processes(void *engine) {
    return atomic_load_explicit(&((struct neap_engine *)engine)->process_count, memory_order_acquire) == 0;
}

static void terminate(struct neap_job *job, void *argument) {
    (void)argument;
    neap_process_signal((struct neap_process *)job, SIGTERM);
}

static void put_down(struct neap_job *job, void *argument) {
    char name[NEAP_JOB_NAME_MAX + 1];
    (void)argument;
    if (neap_process_signal((struct neap_process *)job, SIGKILL) != 0) return;
    neap_job_get_name(job, name);
    neap_report_print("neap: process %s was asked to end and did not: it was killed\n", name);
}

static void report_offloads(const struct neap_vm *vm) {
    if (vm->loop.offloads == 0 && !neap_engine_has_excused(vm->engine)) return;
    neap_report_print("neap: a call for a file or a name was given up: the system has not answered\n");
}

bool neap_ending_run(struct neap_vm *vm) {
    struct neap_engine *engine = vm->engine;
    neap_vm_stop(vm);
    neap_engine_stop_threads(engine);
    bool has_ended = neap_ending_wait(vm, POLITE_SECONDS, has_settled, vm);
    if (!has_ended) {
        neap_engine_each_process(engine, terminate, NULL);
        has_ended = neap_ending_wait(vm, NEAP_GRACE_SECONDS - POLITE_SECONDS, has_settled, vm);
    }
    if (!has_ended) {
        neap_engine_each_process(engine, put_down, NULL);
        neap_report_tasks(vm);
        neap_report_ask(vm);
        if (!neap_ending_wait(vm, ANSWER_SECONDS, have_answered, vm)) neap_report_name(vm);
        neap_ending_wait(vm, NEAP_GRACE_SECONDS, has_no_processes, engine);
        neap_report_finalising(vm->engine);
        report_offloads(vm);
    }
    return neap_engine_join(engine) == 0 && vm->loop.offloads == 0;
}

static bool has_no_tasks(void *argument) { return neap_list_is_empty(&((struct neap_vm *)argument)->tasks); }

void neap_ending_run_tasks(struct neap_vm *vm) {
    neap_vm_stop(vm);
    if (!neap_ending_wait(vm, NEAP_GRACE_SECONDS, has_no_tasks, vm)) neap_report_tasks(vm);
}

void neap_ending_follow(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    if (atomic_load_explicit(&vm->engine->exit_status, memory_order_acquire) < 0) return;
    neap_vm_stop(vm);
    neap_cancel_check(L, vm->current);
}

void neap_ending_refuse(lua_State *L, const char *what) {
    struct neap_vm *vm = neap_vm_of(L);
    if (vm->open) neap_vm_stop(vm);
    neap_cancel_check(L, vm->current);
    luaL_error(L, "cannot %s: the program is ending", what);
}
