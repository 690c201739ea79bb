/* program: what the runner promises.
 *
 * ORDER OF THE END   1. the main chunk has returned and everything that is not daemon has ended; or the main chunk
 *                    failed or was cancelled, or an end was asked for (os.exit, a signal, a deadlock, nobody reads our
 *                    output); 2. after a signal: the main task is cancelled, and has a time of grace for its `<close>`
 *                    variables; 3. ending.c: the rest is cancelled and joined, stragglers are named; 4. the state is
 *                    closed; 5. what is still in stdout is written.
 * STATUS             What was asked for first; else 1 if the main chunk or something that nobody joined failed, or
 *                    somebody did not end in time; else 0, unless the output could not be written.
 * SIGNALS            SIGINT and SIGTERM are handled on the main thread, be it that another one receives them: the
 *                    handler notes the signal and wakes the main loop; the second signal ends the process at once. A
 *                    system call that a signal interrupts is not restarted: so a script that reads from a terminal
 *                    ends, too. Where a signal was ignored from the start (nohup, background jobs of a shell) it
 *                    stays so. While a prompt is open (host/screen.h) it gets the interrupts; two within a second
 *                    still end the program. SIGPIPE is caught and means nothing by itself: a write fails with EPIPE,
 *                    and one to stdout ends the program (libraries.c). So is SIGXFSZ: a write past the limit of a
 *                    file's size fails with EFBIG. Both are caught, not ignored, since programs that we start would
 *                    inherit that they are ignored.
 * CHILDREN           A child process is a program too. Its parent is told how its main task ended, and says so; here
 *                    nothing is said. Ctrl-C, which the terminal sends to all of us, is the parent's to act upon: a
 *                    child lets it pass, but not a SIGINT that somebody sends to it. What has ended it in order it
 *                    finally dies of, so that its parent can see that. */
#include "bindings/program/program.h"

#include <errno.h>
#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/remote.h"
#include "bindings/report/failure.h"
#include "bindings/report/report.h"
#include "bindings/state/libraries.h"
#include "bindings/state/spare.h"
#include "bindings/state/state.h"
#include "bindings/task/ending.h"
#include "bindings/task/task.h"
#include "bindings/task/task_job.h"
#include "host/engine.h"

#ifdef __linux__
#define THIS_PROGRAM "/proc/self/exe"
#else
#define THIS_PROGRAM NULL
#endif

enum { SIGNAL_STATUS = 128, ARGUMENTS_MAX = 200 };

struct program {
    const struct neap_program *what;
    struct neap_engine engine;
    struct neap_vm *vm;               /* of the main state */
    struct neap_task_options options; /* of the main task */
    int main_task;                    /* registry reference: the handle of the main task */
    bool reported;                    /* its failure */
};

/* --- signals --- */

static struct {
    struct neap_engine *volatile engine; /* that signals end; one a process */
    volatile sig_atomic_t number;        /* of the first one that came; 0: none */
    pthread_t thread;                    /* that handles them; constant while engine is set */
    bool in_child;                       /* constant while engine is set */
} signals;

/* Ends the process by the signal, as far as that is possible. */
static _Noreturn void die_of(int number) {
    sigset_t it;
    signal(number, SIG_DFL);
    sigemptyset(&it);
    sigaddset(&it, number);
    kill(getpid(), number);
    pthread_sigmask(SIG_UNBLOCK, &it, NULL);
    _exit(SIGNAL_STATUS + number);
}

static void on_signal(int number, siginfo_t *info, void *context) {
    int saved = errno;
    struct neap_engine *engine = signals.engine;
    (void)context;
    if (engine == NULL) die_of(number);
    if (signals.in_child && number == SIGINT && info->si_code == SI_KERNEL) return; /* of the terminal */
    if (!pthread_equal(pthread_self(), signals.thread)) {
        pthread_kill(signals.thread, number);
    } else if (number == SIGINT && signals.number == 0 && neap_screen_interrupt(&engine->screen)) {
        /* the prompt sees to it */
    } else if (signals.number != 0) {
        if (signals.in_child) die_of(number);
        _exit(SIGNAL_STATUS + number);
    } else {
        signals.number = number;
        neap_engine_exit(engine, SIGNAL_STATUS + number);
    }
    errno = saved;
}

static void on_failed_write(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)info;
    (void)context;
}

static void on_terminal(int number, siginfo_t *info, void *context) {
    int saved = errno;
    struct neap_engine *engine = signals.engine;
    (void)info;
    (void)context;
    if (engine != NULL && !pthread_equal(pthread_self(), signals.thread))
        pthread_kill(signals.thread, number);
    else if (engine != NULL)
        neap_screen_tell(&engine->screen, number == SIGWINCH ? NEAP_SCREEN_RESIZED : NEAP_SCREEN_RESUMED);
    errno = saved;
}

static void catch_signal(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO}, before;
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler == SIG_IGN) return;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void catch_signals(struct neap_engine *engine, bool in_child) {
    signals.thread = pthread_self();
    signals.in_child = in_child;
    signals.engine = engine;
    catch_signal(SIGINT, on_signal, 0);
    catch_signal(SIGTERM, on_signal, 0);
    catch_signal(SIGPIPE, on_failed_write, SA_RESTART);
    catch_signal(SIGXFSZ, on_failed_write, SA_RESTART);
}

void neap_program_catch_terminal(void) {
    catch_signal(SIGWINCH, on_terminal, SA_RESTART);
    catch_signal(SIGCONT, on_terminal, SA_RESTART);
}

/* --- the main task --- */

static int chunk_returned(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return lua_gettop(L);
}

/* The body of a main task with many arguments: (chunk, table of arguments). */
static int call_with_table(lua_State *L) {
    int count = (int)lua_rawlen(L, 2);
    luaL_checkstack(L, count, "too many arguments to the script");
    for (int i = 1; i <= count; i++) lua_rawgeti(L, 2, i);
    lua_remove(L, 2);
    lua_callk(L, count, LUA_MULTRET, 0, chunk_returned);
    return chunk_returned(L, LUA_OK, 0);
}

/* Stack: the chunk and its arguments. A task takes no more than a few hundred as they are. */
static int pack_arguments(lua_State *L, int count) {
    if (count <= ARGUMENTS_MAX) return count;
    lua_createtable(L, count, 0);
    lua_insert(L, -count - 1);
    for (int i = count; i >= 1; i--) lua_rawseti(L, -i - 1, i);
    lua_pushcfunction(L, call_with_table);
    lua_insert(L, -3);
    return 2;
}

/* Protected: (program). */
static int open_main(lua_State *L) {
    struct program *program = lua_touserdata(L, 1);
    const struct neap_program *what = program->what;
    neap_state_open(program->vm, L);
    int arguments = pack_arguments(L, what->load(L, what->argument));
    if (!what->is_child) program->options.flags |= NEAP_TASK_UNASKED;
    *neap_task_site(neap_task_spawn(L, arguments, &program->options)) = 0;
    struct neap_job *job = neap_task_job(L, -1);
    program->engine.main_job = (struct neap_job *)neap_object_ref(&job->future.object);
    program->main_task = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static bool main_has_ended(void *program) { return ((struct program *)program)->vm->outcome_state != 0; }

static bool main_has_failed(const struct program *program) { return program->vm->outcome_state == NEAP_FUTURE_FAILED; }

static int asked_status(const struct program *program) {
    return atomic_load_explicit(&program->engine.exit_status, memory_order_acquire);
}

static bool is_over(void *argument) {
    struct program *program = argument;
    if (asked_status(program) >= 0) return true;
    if (!main_has_ended(program)) return false;
    return program->vm->outcome_state != NEAP_FUTURE_DONE || neap_ending_is_near(program->vm);
}

/* Says that the main chunk has failed, once. */
static void report_main(struct program *program) {
    lua_State *L = program->vm->main;
    if (program->reported || program->what->is_child || !main_has_failed(program)) return;
    program->reported = true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, program->main_task);
    neap_failure_report_main(L, lua_gettop(L));
    lua_pop(L, 1);
}

/* Every loop waits for another. See WHO MAY LOOK in report.c. */
static void on_deadlock(struct neap_loop *loop) {
    struct neap_vm *vm = loop->context;
    struct neap_engine *engine = vm->engine;
    if (vm != engine->context) {
        neap_mailbox_notify(engine->main);
        return;
    }
    char *text = neap_report_waiting(engine, false);
    neap_report_print("neap: %s\n", text != NULL ? text : "deadlock");
    free(text);
    neap_engine_exit(engine, 1);
}

/* In a signal handler: what the main thread does cannot be interrupted, so nothing else will ever end it. */
static void on_overdue(struct neap_engine *engine) {
    static const char text[] = "neap: the program did not end: its main thread runs what cannot be interrupted\n";
    int status = atomic_load_explicit(&engine->exit_status, memory_order_relaxed);
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    _exit(status > 0 ? status : 1);
}

/* --- the end --- */

static void cancel_main(struct program *program) {
    struct neap_message reason = {.kind = NEAP_MESSAGE_TEXT};
    const char *name = signals.number == SIGINT ? "SIGINT" : "SIGTERM";
    reason.length = (uint8_t)strlen(name);
    memcpy(reason.text, name, reason.length);
    neap_job_cancel(program->engine.main_job, &reason);
}

/* True when every thread has ended. */
static bool end(struct program *program) {
    if (signals.number != 0 && !main_has_ended(program)) {
        cancel_main(program);
        neap_ending_wait(program->vm, NEAP_GRACE_SECONDS, main_has_ended, program);
    }
    report_main(program);
    bool ended = neap_ending_run(program->vm);
    report_main(program);
    neap_failure_report_unread(program->vm);
    return ended;
}

/* Before the state is closed. */
static int status_of(const struct program *program, bool ended) {
    int asked = asked_status(program);
    if (asked >= 0) return asked;
    bool failed = main_has_failed(program) || atomic_load(&program->engine.failures) > 0;
    return failed || !ended || !neap_list_is_empty(&program->vm->tasks) ? 1 : 0;
}

static int flush(const struct program *program, int status, bool ended) {
    int code = ended ? neap_libraries_flush(program->vm) : neap_libraries_flush_if_free(program->vm);
    if (code == 0) return status;
    if (code == EPIPE) return status != 0 ? status : SIGNAL_STATUS + SIGPIPE;
    neap_report_print("neap: cannot write to standard output: %s\n", strerror(code));
    return status != 0 ? status : 1;
}

static void free_program(struct program *program) {
    neap_state_free(program->vm);
    neap_engine_fini(&program->engine);
}

static int run(struct program *program, lua_State *L) {
    lua_pushcfunction(L, open_main);
    lua_pushlightuserdata(L, program);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        neap_report_print("neap: %s\n", lua_tostring(L, -1));
        neap_vm_close(program->vm);
        neap_spare_close(L);
        free_program(program);
        return 1;
    }
    catch_signals(&program->engine, program->what->is_child);
    neap_loop_run(&program->vm->loop, is_over, program);
    bool ended = end(program);
    int status = status_of(program, ended);
    if (program->what->close != NULL)
        program->what->close(program->vm, program->main_task, status, asked_status(program) >= 0,
                             program->what->argument);
    neap_vm_close(program->vm);
    neap_spare_close(L);
    status = flush(program, status, ended);
    if (program->what->is_child && signals.number != 0) die_of(signals.number);
    if (!ended) _exit(status); /* what the threads that are left use must stay */
    signals.engine = NULL;
    free_program(program);
    return status;
}

int neap_program_run(const struct neap_program *what) {
    struct program program = {.what = what, .options = {.name = "main", .flags = NEAP_TASK_MAIN | NEAP_TASK_QUIET}};
    struct neap_engine *engine = &program.engine;
    neap_engine_init(engine);
    engine->stuck = on_deadlock;
    engine->overdue = on_overdue;
    engine->slices = true;
    engine->classes = neap_packed_classes;
    engine->makers = &neap_remote_makers;
    engine->runner = THIS_PROGRAM;
    atomic_store(&engine->busy, 1);
    engine->main = neap_mailbox_new(&engine->busy);
    program.vm = engine->main == NULL ? NULL : neap_vm_new(engine, engine->main);
    bool is_open =
        program.vm != NULL && (what->open == NULL || what->open(program.vm, &program.options, what->argument) == 0);
    lua_State *L = is_open ? neap_state_new(program.vm) : NULL;
    if (L == NULL) {
        fputs("neap: not enough memory\n", stderr);
        return 1;
    }
    engine->context = program.vm;
    program.vm->loop.patient.patience = &engine->patience;
    return run(&program, L);
}
