/* child: a process that this one has started. It is waited for, and sent signals, by its pidfd: once somebody else in
 * this process has reaped it, its number may be that of another child, or of a stranger. Where there is no pidfd (-1)
 * the number has to do. All of this may be called by any thread. */
#ifndef NEAP_CORE_CHILD_H
#define NEAP_CORE_CHILD_H

#include <sys/resource.h>
#include <sys/types.h>

/* The pidfd of `pid`, owned by the caller, or a negative code: UV_ENOSYS where the system has none. */
int neap_child_open(pid_t pid);

/* 1 when it has ended: `status` is as waitpid tells it, and it is reaped; 0: it has not; a negative code: somebody
 * has reaped it. `options`: WNOHANG, else it blocks until it has ended; WNOWAIT: it is not reaped. `usage` NULL: what
 * it has used is not asked for. */
int neap_child_wait(pid_t pid, int pidfd, int options, int *status, struct rusage *usage);

/* 0, or a negative code: UV_ESRCH once it was reaped. */
int neap_child_kill(pid_t pid, int pidfd, int number);

#endif
