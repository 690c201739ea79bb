/* program: what the runner promises.
 *
 * ORDER OF THE END   1. the main chunk has returned, or failed, or an exit was asked for (os.exit, a signal, a deadlock);
 *                    2. unless an exit was asked for or main failed: everything that is not daemon has ended; 3. no new work;
 *                    4. the rest is cancelled, `<close>` variables run; 5. threads are joined; 6. the state is closed.
 *                    4 and 5 together take at most GRACE_SECONDS; who has not ended by then is named.
 * SIGNALS            SIGINT and SIGTERM: the handler notes the signal and wakes the main loop, which ends the program as
 *                    os.exit would; the second signal ends the process at once. */
#include "bindings/program.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bindings/box.h"
#include "bindings/cancel.h"
#include "bindings/failure.h"
#include "bindings/libraries.h"
#include "bindings/report.h"
#include "bindings/task.h"
#include "core/arena.h"
#include "core/clock.h"
#include "host/engine.h"

enum { GRACE_SECONDS = 5 };

struct program {
    struct neap_engine engine;
    struct neap_vm *vm;
    struct neap_task *main;      /* NULL once its handle may have been collected; see main_job */
    int (*load)(lua_State *L, void *argument);
    void *argument;              /* of load */
    struct neap_arena *arena;    /* of the main state */
    struct neap_wait alarm;      /* ends the grace; queued perhaps until the vm is closed */
};

/* --- signals --- */

static struct neap_engine *volatile signalled; /* the engine that signals end; one a process */
static volatile sig_atomic_t signals;          /* that came so far */

static void on_signal(int number) {
    struct neap_engine *engine = signalled;
    if (signals++ > 0 || engine == NULL) _exit(128 + number);
    neap_engine_exit(engine, 128 + number);
}

static void catch_signals(struct neap_engine *engine) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    signalled = engine;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* --- the main task --- */

/* Protected: (program). */
static int open_main(lua_State *L) {
    struct program *program = lua_touserdata(L, 1);
    const struct neap_task_options options = {.name = "main", .flags = NEAP_TASK_MAIN | NEAP_TASK_QUIET};
    neap_libraries_open(L);
    neap_vm_open(program->vm, L);
    neap_libraries_replace(L);
    int arguments = program->load(L, program->argument);
    program->vm->root->site = NULL;
    program->main = neap_task_spawn(L, arguments, &options);
    struct neap_job *job = neap_task_job(L, -1);
    program->engine.main_job = (struct neap_job *)neap_object_ref(&job->future.object);
    return 0;
}

static bool main_has_ended(const struct program *program) { return program->vm->outcome_state != 0; }

static bool exit_was_asked(const struct program *program) {
    return atomic_load_explicit(&program->engine.exit_status, memory_order_acquire) >= 0;
}

static bool is_over(void *argument) {
    struct program *program = argument;
    if (exit_was_asked(program)) return true;
    if (!main_has_ended(program)) return false;
    if (program->vm->outcome_state != NEAP_FUTURE_DONE) return true;
    return program->vm->needed == 0 &&
           atomic_load_explicit(&program->engine.threads_needed, memory_order_acquire) == 0;
}

/* The main chunk has failed: its error and traceback, before anything else is said. */
static void report_main(struct program *program) {
    if (program->vm->outcome_state == NEAP_FUTURE_FAILED) neap_report_main(program->vm->main, program->vm->outcome);
}

/* --- the end --- */

struct ending {
    struct program *program;
    int64_t deadline;
};

static bool has_settled(void *argument) {
    struct ending *ending = argument;
    return (neap_list_is_empty(&ending->program->vm->tasks) &&
            atomic_load_explicit(&ending->program->engine.alive, memory_order_acquire) == 0) ||
           neap_clock_now() >= ending->deadline;
}

/* A wait without links wakes the loop when the grace is over. */
static void no_op(struct neap_runnable *runnable) { (void)runnable; }

/* 3 to 5 of the order. True when everything has ended. */
static bool settle(struct program *program) {
    struct ending ending = {program, neap_clock_after(GRACE_SECONDS)};
    neap_wait_init(&program->alarm, &program->vm->loop, NULL, no_op);
    int code = neap_wait_begin(&program->alarm, NULL, 0, ending.deadline);
    neap_vm_stop(program->vm);
    neap_engine_stop(&program->engine);
    neap_loop_run(&program->vm->loop, has_settled, &ending);
    if (code == NEAP_PARKED) {
        neap_wait_interrupt(&program->alarm, NEAP_WAIT_INTERRUPTED);
        neap_wait_end(&program->alarm);
    }
    return neap_list_is_empty(&program->vm->tasks) && neap_engine_join(&program->engine, neap_clock_now()) == 0;
}

static int status_of(const struct program *program) {
    int asked = atomic_load(&program->engine.exit_status);
    if (asked >= 0) return asked;
    if (program->vm->outcome_state != NEAP_FUTURE_DONE) return 1;
    return atomic_load(&program->engine.failures) > 0 ? 1 : 0;
}

static void close_program(struct program *program, lua_State *L) {
    neap_vm_close(program->vm);
    lua_close(L);
    neap_vm_free(program->vm);
    neap_engine_fini(&program->engine);
    neap_arena_free(program->arena);
}

static int run(struct program *program, lua_State *L) {
    lua_pushcfunction(L, open_main);
    lua_pushlightuserdata(L, program);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        fprintf(stderr, "neap: %s\n", luaL_tolstring(L, -1, NULL));
        lua_pop(L, 2);
        neap_vm_close(program->vm);
        return 1;
    }
    catch_signals(&program->engine);
    neap_loop_run(&program->vm->loop, is_over, program);
    report_main(program);
    bool settled = settle(program);
    int status = status_of(program);
    neap_libraries_flush(L);
    if (settled) return status;
    neap_report_stragglers(program->vm);
    fflush(NULL);
    _exit(status == 0 ? 1 : status); /* they still run: nothing can be freed under them */
}

int neap_program_run(int (*load)(lua_State *L, void *argument), void *argument) {
    struct program program = {.load = load, .argument = argument};
    struct neap_engine *engine = &program.engine;
    neap_engine_init(engine);
    engine->stuck = neap_report_deadlock;
    atomic_store(&engine->busy, 1);
    engine->main = neap_mailbox_new(&engine->busy);
    program.vm = engine->main == NULL ? NULL : neap_vm_new(engine, engine->main);
    program.arena = neap_arena_new();
    lua_State *L = program.vm == NULL || program.arena == NULL ? NULL : lua_newstate(neap_arena_alloc, program.arena);
    if (L == NULL) {
        fputs("neap: not enough memory\n", stderr);
        return 1;
    }
    engine->context = program.vm;
    neap_loop_here = &program.vm->loop;
    int status = run(&program, L);
    signalled = NULL;
    close_program(&program, L);
    return status;
}
