/* Programs that lead a group, and are kept so that its number stays theirs; be it that somebody else in this process
 * reaps them. */
#include "support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "io/program.h"

static struct neap_program *program;
static pid_t killed; /* what was sent a signal; 0: nothing */

/* Replaces the C library's: the group may be one of strangers. */
int kill(pid_t pid, int number) {
    (void)number;
    killed = pid;
    return 0;
}

static int begin(void **state) {
    char *arguments[] = {"sh", "-c", "exit 3", NULL};
    const struct neap_program_plan plan = {
        .arguments = arguments, .streams = {-1, -1, -1}, .group = true, .keep = true};
    killed = 0;
    return set_up(state) != 0 ? -1 : neap_program_start(&here, &plan, &program);
}

static int end(void **state) {
    neap_object_unref(&program->poll.object);
    return tear_down(state);
}

/* Waits until it has ended. */
static void await_end(bool reaps) {
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)program->pid, &info, WEXITED | (reaps ? 0 : WNOWAIT)), 0);
}

static void assert_is_gone(void) {
    assert_int_equal(neap_program_kill(program, SIGTERM), UV_ESRCH);
    assert_int_equal(killed, 0);
    assert_false(program->kept);
    assert_true(neap_program_look(program));
}

static void what_it_has_left_behind_is_killed_while_it_is_kept(void **state) {
    (void)state;
    await_end(false);
    assert_true(neap_program_look(program));
    assert_int_equal(neap_program_kill(program, SIGTERM), 0);
    assert_int_equal(killed, -program->pid);
    killed = 0;
    neap_program_release(program);
    assert_is_gone();
}

static void nothing_is_killed_once_somebody_has_reaped_it(void **state) {
    (void)state;
    await_end(false);
    assert_true(neap_program_look(program));
    await_end(true);
    assert_is_gone();
    assert_int_equal(WEXITSTATUS(program->status), 3);
}

static void nor_if_that_was_before_its_end_was_seen(void **state) {
    (void)state;
    await_end(true);
    assert_is_gone();
}

/* Its number is another child's by now. */
static void nor_is_who_has_got_its_number(void **state) {
    (void)state;
    siginfo_t info = {.si_pid = 0};
    pid_t number = program->pid, other = fork();
    if (other == 0) _exit(0);
    await_end(true);
    program->pid = other;
    assert_is_gone();
    assert_int_equal(waitid(P_PID, (id_t)other, &info, WEXITED), 0); /* nobody has reaped it */
    assert_int_equal(info.si_pid, other);
    program->pid = number;
}

#define PROGRAM_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void) {
    const struct CMUnitTest program_tests[] = {
        PROGRAM_TEST(what_it_has_left_behind_is_killed_while_it_is_kept),
        PROGRAM_TEST(nothing_is_killed_once_somebody_has_reaped_it),
        PROGRAM_TEST(nor_if_that_was_before_its_end_was_seen),
        PROGRAM_TEST(nor_is_who_has_got_its_number),
    };
    return run_once(program_tests);
}
