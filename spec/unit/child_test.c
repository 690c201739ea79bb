/* Children, by pidfd and by number; the number is another child's once somebody else has reaped the first. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "core/child.h"

static pid_t launch(int status) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    if (status < 0) pause();
    _exit(status);
}

static void await_end(pid_t pid) {
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

/* A program that ends, then one that is killed. */
static void check_both(bool by_number) {
    struct rusage usage;
    int status = -1;
    pid_t pid = launch(3);
    int pidfd = by_number ? -1 : neap_child_open(pid);
    await_end(pid);
    assert_int_equal(neap_child_wait(pid, pidfd, WNOHANG | WNOWAIT, &status, NULL), 1);
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_int_equal(neap_child_wait(pid, pidfd, 0, &status, &usage), 1);
    assert_true(usage.ru_maxrss > 0);
    assert_int_equal(neap_child_wait(pid, pidfd, WNOHANG, &status, NULL), -ECHILD);
    assert_int_equal(neap_child_kill(pid, pidfd, 0), UV_ESRCH);
    if (!by_number) close(pidfd);
    pid = launch(-1);
    pidfd = by_number ? -1 : neap_child_open(pid);
    if (!by_number) assert_int_equal(fcntl(pidfd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(neap_child_wait(pid, pidfd, WNOHANG, &status, NULL), 0);
    assert_int_equal(neap_child_kill(pid, pidfd, SIGTERM), 0);
    assert_int_equal(neap_child_wait(pid, pidfd, 0, &status, NULL), 1);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    if (!by_number) close(pidfd);
}

static void one_is_waited_for_and_sent_signals(void **state) {
    (void)state;
    check_both(false);
}

static void so_it_is_without_a_pidfd(void **state) {
    (void)state;
    check_both(true);
}

static void another_one_with_its_number_is_left_alone(void **state) {
    (void)state;
    int status = -1;
    pid_t first = launch(0), second = launch(-1);
    int pidfd = neap_child_open(first);
    assert_int_equal(waitpid(first, NULL, 0), first);
    assert_int_equal(neap_child_kill(second, pidfd, SIGKILL), UV_ESRCH);
    assert_int_equal(neap_child_wait(second, pidfd, 0, &status, NULL), -ECHILD);
    assert_int_equal(neap_child_wait(second, -1, WNOHANG, &status, NULL), 0);
    assert_int_equal(neap_child_kill(second, -1, SIGKILL), 0);
    assert_int_equal(neap_child_wait(second, -1, 0, &status, NULL), 1);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    close(pidfd);
}

int main(void) {
    const struct CMUnitTest child_tests[] = {
        cmocka_unit_test(one_is_waited_for_and_sent_signals),
        cmocka_unit_test(so_it_is_without_a_pidfd),
        cmocka_unit_test(another_one_with_its_number_is_left_alone),
    };
    return run_once(child_tests);
}
