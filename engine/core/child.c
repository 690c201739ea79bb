#include "core/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BY_PIDFD = 3 }; /* P_PIDFD, which older headers do not have */

int neap_child_open(pid_t pid) {
#ifdef SYS_pidfd_open
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
#else
    (void)pid;
    return -ENOSYS;
#endif
}

/* The C library's waitid tells nothing of what was used. */
static long wait_by(int type, int id, siginfo_t *info, int options, struct rusage *usage) {
    long result;
    do result = syscall(SYS_waitid, type, id, info, options | WEXITED, usage);
    while (result < 0 && errno == EINTR);
    return result;
}

/* A pidfd that does not block is not waited for either. */
static void await_end(int pidfd) {
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    while (poll(&end, 1, -1) < 0 && errno == EINTR) {}
}

static int status_of(const siginfo_t *info) {
    if (info->si_code == CLD_EXITED) return W_EXITCODE(info->si_status, 0);
    return W_EXITCODE(0, info->si_status) | (info->si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

int neap_child_wait(pid_t pid, int pidfd, int options, int *status, struct rusage *usage) {
    siginfo_t info = {.si_pid = 0};
    bool by_number = pidfd < 0;
    long result = 0;
    if (!by_number) {
        if (!(options & WNOHANG)) await_end(pidfd);
        result = wait_by(BY_PIDFD, pidfd, &info, options, usage);
        by_number = result < 0 && errno == EINVAL; /* before Linux 5.4 */
    }
    if (by_number) result = wait_by(P_PID, pid, &info, options, usage);
    if (result < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *status = status_of(&info);
    return 1;
}

int neap_child_kill(pid_t pid, int pidfd, int number) {
#ifdef SYS_pidfd_send_signal
    if (pidfd >= 0) {
        if (syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) == 0) return 0;
        if (errno != ENOSYS && errno != EPERM) return -errno; /* a container may refuse what it does not know */
    }
#endif
    return kill(pid, number) == 0 ? 0 : -errno;
}
