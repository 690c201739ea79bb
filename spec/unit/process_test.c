#include "support.h"

#include "host/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "host/engine.h"
#include "host/launcher.h"
#include "host/parent.h"
#include "host/session.h"

/* No object crosses here. */
static const struct neap_makers no_makers;

/* The children are this program, too: see main. */
static const char program[] = "/proc/self/exe";

/* What a child is told to do. */
enum order {
    RETURN,  /* tell that it is done, and exit with 0 */
    FAIL,    /* tell that it has failed, exit with 1 */
    EXIT,    /* exit with `number`, untold */
    DIE,     /* of signal `number` */
    WAIT,    /* for a cancel */
    TALK,    /* `number` bytes of nonsense */
    PRINT,   /* `number` lines */
    DIE_DONE /* tell that it is done, and die of signal `number` */
};

/* --- the child --- */

static struct { int order, number; } told;

static bool read_start(struct neap_unpacker *unpacker, void *argument) {
    (void)argument;
    told.order = neap_unpack_u8(unpacker);
    told.number = (int)neap_unpack_u32(unpacker);
    return unpacker->code == 0;
}

static void tell(struct neap_parent *parent, enum neap_future_state state, int status) {
    struct neap_report report = {.outcome = neap_outcome_new(), .state = state, .status = status};
    report.outcome->value = integer(told.number);
    if (state == NEAP_FUTURE_FAILED) report.text = strdup("it failed");
    neap_parent_report(parent, &report);
    neap_outcome_free(report.outcome);
    free(report.text);
}

static int wait_for_cancel(struct neap_parent *parent) {
    struct neap_engine engine;
    struct neap_mailbox *mailbox = neap_mailbox_new(NULL);
    neap_engine_init(&engine);
    engine.makers = &no_makers;
    CHECK(neap_parent_attach(parent, &engine, mailbox, 1) == 0);
    while (!atomic_load(&parent->self->job.cancel_given) && atomic_load(&engine.exit_status) < 0) usleep(1000);
    if (atomic_load(&engine.exit_status) < 0) tell(parent, NEAP_FUTURE_CANCELLED, 0);
    return 0;
}

static int talk(struct neap_parent *parent) {
    char bytes[256];
    for (int i = 0; i < told.number; i++) bytes[i] = (char)(i * 7);
    const struct iovec piece = {.iov_base = bytes, .iov_len = (size_t)told.number};
    neap_wire_send(parent->wire, NEAP_FRAME_OUTCOME, &piece, 1, NULL, 0);
    pause();
    return 0;
}

static int obey(struct neap_parent *parent) {
    switch (told.order) {
        case RETURN: tell(parent, NEAP_FUTURE_DONE, 0); return 0;
        case FAIL: tell(parent, NEAP_FUTURE_FAILED, 1); return 1;
        case EXIT: return told.number;
        case WAIT: return wait_for_cancel(parent);
        case TALK: return talk(parent);
        case PRINT:
            for (int i = 0; i < told.number; i++) printf("line %d\n", i);
            fflush(stdout);
            tell(parent, NEAP_FUTURE_DONE, 0);
            return 0;
        case DIE_DONE: tell(parent, NEAP_FUTURE_DONE, 0); break;
        default: break;
    }
    kill(getpid(), told.number);
    pause();
    return 0;
}

static int be_child(void) {
    static struct neap_parent parent;
    alarm(60);
    if (neap_parent_open(&parent, &no_makers, NULL, read_start, NULL) != 0) return 100;
    told.order = -1;
    while (told.order < 0)
        if (!neap_parent_await_start(&parent)) return 101;
    _exit(obey(&parent));
}

/* --- the parent --- */

static _Atomic pid_t killed; /* the last one that was sent a signal by its number */

/* Replaces the C library's: the number may be a stranger's. */
int kill(pid_t pid, int number) {
    atomic_store(&killed, pid);
    return (int)syscall(SYS_kill, pid, number);
}

static struct neap_engine engine;
static atomic_int failures;

static int make(void **state) {
    if (set_up(state) != 0 || neap_engine_init(&engine) != 0) return -1;
    engine.makers = &no_makers;
    engine.main = neap_mailbox_new(&engine.busy);
    atomic_store(&failures, 0);
    return 0;
}

static int drop(void **state) {
    assert_int_equal(atomic_load(&engine.process_count), 0);
    assert_int_equal(atomic_load(&engine.jobs_needed), 0);
    assert_int_equal(atomic_load(&engine.busy), 0);
    neap_engine_fini(&engine);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left, the nursery neither */
    return tear_down(state);
}

struct call {
    enum order order;
    int number;
};

static void pack(struct neap_packer *packer, void *argument) {
    const struct call *call = argument;
    neap_pack_u8(packer, (uint8_t)call->order);
    neap_pack_u32(packer, (uint32_t)call->number);
}

static void note_failure(struct neap_process *process) {
    (void)process;
    atomic_fetch_add(&failures, 1);
}

static struct neap_process *begin(enum order order, int number) {
    struct neap_process *process;
    struct call call = {order, number};
    assert_int_equal(neap_process_new(&engine, &process), 0);
    process->on_failure = note_failure;
    neap_job_set_name(&process->job, "p1");
    assert_int_equal(neap_process_start(process, program, pack, &call), 0);
    return process;
}

/* Also none that is just leaving. */
static bool is_any_left(void) {
    neap_guard_lock(&engine.guard);
    bool any = atomic_load(&engine.process_count) > 0;
    neap_guard_unlock(&engine.guard);
    return any;
}

static void await_end(struct neap_process *process) {
    struct actor actor;
    actor_init(&actor, NULL);
    assert_int_equal(act(&actor, process, NEAP_FUTURE_END, NEAP_FOREVER), 0);
    actor_end(&actor);
    while (is_any_left()) usleep(100); /* and what comes after */
}

static const char *text_of(struct neap_process *process) {
    static char text[200];
    const struct neap_message *value = &neap_future_outcome(&process->job.future)->value;
    if (value->kind == NEAP_MESSAGE_TEXT) snprintf(text, sizeof text, "%.*s", value->length, value->text);
    if (value->kind == NEAP_MESSAGE_BYTES)
        snprintf(text, sizeof text, "%.*s", (int)value->parcel->size, value->parcel->bytes);
    return text;
}

static void check(struct neap_process *process, enum neap_future_state state, int status) {
    int found;
    await_end(process);
    assert_int_equal(neap_future_state(&process->job.future), state);
    assert_true(neap_process_exit_status(process, &found, NULL));
    assert_int_equal(found, status);
}

static void let_go(struct neap_process *process) { neap_object_unref(&process->job.future.object); }

static void it_tells_how_it_ended(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) { /* the first is executed, the others are copies of the nursery */
        struct neap_process *process = begin(RETURN, 42);
        check(process, NEAP_FUTURE_DONE, 0);
        assert_int_equal(neap_future_outcome(&process->job.future)->value.integer, 42);
        let_go(process);
    }
    struct neap_process *process = begin(FAIL, 7);
    check(process, NEAP_FUTURE_FAILED, 1);
    assert_int_equal(neap_future_outcome(&process->job.future)->value.integer, 7);
    assert_string_equal(process->report.text, "it failed");
    let_go(process);
}

static void where_it_does_not_tell_the_system_does(void **state) {
    (void)state;
    struct neap_process *process = begin(EXIT, 3);
    check(process, NEAP_FUTURE_FAILED, 3);
    assert_string_equal(text_of(process), "process p1 exited with status 3");
    let_go(process);
    process = begin(EXIT, 0);
    check(process, NEAP_FUTURE_DONE, 0);
    let_go(process);
    process = begin(DIE, SIGKILL);
    check(process, NEAP_FUTURE_FAILED, -SIGKILL);
    assert_string_equal(text_of(process), "process p1 was killed by signal 9");
    let_go(process);
    process = begin(DIE_DONE, SIGABRT);
    check(process, NEAP_FUTURE_FAILED, -SIGABRT);
    let_go(process);
}

static void a_signal_through_its_handle_makes_no_failure(void **state) {
    (void)state;
    struct neap_process *process = begin(WAIT, 0);
    assert_int_equal(neap_process_signal(process, 0), 0);
    assert_int_equal(neap_process_signal(process, SIGKILL), 0);
    check(process, NEAP_FUTURE_CANCELLED, -SIGKILL);
    assert_string_equal(text_of(process), "process p1 was killed by signal 9");
    assert_int_equal(neap_process_signal(process, SIGKILL), UV_ESRCH);
    let_go(process);
    assert_int_equal(atomic_load(&failures), 0);
}

static void a_cancel_reaches_it(void **state) {
    (void)state;
    struct neap_message none;
    neap_message_clear(&none);
    for (int i = 0; i < 4; i++) {
        struct neap_process *process = begin(WAIT, 0);
        dawdle(100000);
        assert_true(neap_job_cancel(&process->job, &none));
        assert_false(neap_job_cancel(&process->job, &none));
        check(process, NEAP_FUTURE_CANCELLED, 0);
        let_go(process);
    }
}

/* Its end is its death, whatever it has said. */
static void one_that_talks_nonsense_is_killed(void **state) {
    (void)state;
    for (int size = 0; size < 200; size += 37) {
        struct neap_process *process = begin(TALK, size);
        check(process, NEAP_FUTURE_FAILED, -SIGKILL);
        let_go(process);
    }
}

static void a_failure_that_nobody_waits_for_is_told(void **state) {
    (void)state;
    struct neap_process *process = begin(FAIL, 0);
    while (is_any_left()) usleep(100);
    assert_int_equal(atomic_load(&failures), 1);
    assert_int_equal(atomic_load(&engine.failures), 1);
    let_go(process);
}

static void the_last_handle_may_go_first(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) let_go(begin(RETURN, 0));
    while (is_any_left()) usleep(100);
}

static void what_cannot_be_started_leaves_nothing(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct neap_process *process;
        struct call call = {RETURN, 0};
        assert_int_equal(neap_process_new(&engine, &process), 0);
        assert_int_equal(neap_process_start(process, "./no-such-program", pack, &call), UV_ENOENT);
        assert_int_equal(atomic_load(&engine.process_count), 0);
        let_go(process);
    }
    engine.stopping = true;
    struct neap_process *process;
    struct call call = {RETURN, 0};
    assert_int_equal(neap_process_new(&engine, &process), 0);
    assert_int_equal(neap_process_start(process, program, pack, &call), NEAP_CLOSED);
    let_go(process);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    int started = 0;
    for (long after = 0; started < 2; after++) {
        struct neap_process *process = NULL;
        struct call call = {RETURN, 1};
        neap_memory_fail_after(after);
        int code = neap_process_new(&engine, &process);
        if (code == 0) code = neap_process_start(process, program, pack, &call);
        neap_memory_fail_after(-1);
        assert_true(code == 0 || code == NEAP_NOMEM);
        if (code == 0) {
            check(process, NEAP_FUTURE_DONE, 0);
            started++;
        }
        if (process != NULL) let_go(process);
    }
}

/* What it prints is in our stdout once it has ended. */
static void all_that_it_prints_comes_first(void **state) {
    (void)state;
    char text[64];
    FILE *stream = tmpfile();
    int saved = dup(STDOUT_FILENO);
    fflush(stdout);
    dup2(fileno(stream), STDOUT_FILENO);
    struct neap_process *process = begin(PRINT, 20000);
    await_end(process);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    let_go(process);
    rewind(stream);
    int lines = 0, number;
    while (fgets(text, sizeof text, stream) != NULL) {
        assert_int_equal(sscanf(text, "line %d\n", &number), 1);
        assert_int_equal(number, lines++);
    }
    assert_int_equal(lines, 20000);
    fclose(stream);
}

/* At whatever instant it is killed, it ends once, and is reaped. */
static void it_may_be_killed_at_any_instant(void **state) {
    (void)state;
    for (int round = 0; round < repeated(40); round++) {
        struct neap_process *process = begin((enum order[]){RETURN, WAIT, PRINT}[chance(2)], 1);
        dawdle(chance(3) == 0 ? 400000 : 4000);
        neap_process_signal(process, SIGKILL);
        await_end(process);
        assert_true(neap_process_exit_status(process, NULL, NULL));
        let_go(process);
    }
}

/* Of a child that is left when all processes have ended; 0: there is none. */
static pid_t find_nursery(void) {
    FILE *stream = popen("ps -o pid=,args= --ppid $PPID | awk '/[n]ursery/ { print $1 }'", "r");
    int pid = 0;
    if (fscanf(stream, "%d", &pid) != 1) pid = 0;
    pclose(stream);
    return pid;
}

static void who_has_got_the_number_of_the_nursery_is_left_alone(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct neap_process *process = begin(RETURN, 1);
        check(process, NEAP_FUTURE_DONE, 0);
        let_go(process);
    }
    pid_t nursery = find_nursery(); /* with a sanitizer there is none */
    if (nursery != 0) {
        kill(nursery, SIGKILL);
        assert_int_equal(waitpid(nursery, NULL, 0), nursery); /* the number is anybody's */
    }
    atomic_store(&killed, 0);
    struct neap_process *process = begin(RETURN, 2);
    check(process, NEAP_FUTURE_DONE, 0);
    let_go(process);
    assert_int_equal(atomic_load(&killed), 0);
}

#define PROCESS(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], NEAP_LAUNCH_NURSERY) == 0) {
        neap_launch_nurse();
        return be_child();
    }
    if (argc == 3 && strcmp(argv[1], NEAP_LAUNCH_CHILD) == 0) {
        neap_launch_settle((pid_t)strtol(argv[2], NULL, 10));
        return be_child();
    }
    const struct CMUnitTest processes[] = {
        PROCESS(it_tells_how_it_ended),
        PROCESS(where_it_does_not_tell_the_system_does),
        PROCESS(a_signal_through_its_handle_makes_no_failure),
        PROCESS(a_cancel_reaches_it),
        PROCESS(one_that_talks_nonsense_is_killed),
        PROCESS(a_failure_that_nobody_waits_for_is_told),
        PROCESS(the_last_handle_may_go_first),
        PROCESS(what_cannot_be_started_leaves_nothing),
        PROCESS(every_allocation_may_fail),
        PROCESS(all_that_it_prints_comes_first),
        PROCESS(it_may_be_killed_at_any_instant),
        PROCESS(who_has_got_the_number_of_the_nursery_is_left_alone),
    };
    return run_once(processes);
}
