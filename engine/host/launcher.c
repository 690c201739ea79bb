/* launcher: from a request to a running child process.
 *
 * PURPOSE     A child is a clean new process: no thread, lock, loop or Lua state of ours is in it. It runs the runner,
 *             whatever the program is that has the library loaded.
 *
 * TWO WAYS    posix_spawn executes the runner: 0.5 ms and more, most of it for the dynamic linker. So from the
 *             second child on there is a nursery: a runner that was executed likewise, has one thread and does
 *             nothing but wait for requests. A copy of it (a fork) is as clean as a new process, and takes a fifth
 *             of the time. It is made with CLONE_PARENT: the copy is our own child, not the nursery's; we reap it,
 *             it ends with us, ps shows it below us.
 *             The nursery has the environment and the working directory that we had when it was started. When ours have
 *             changed it is replaced. Where it cannot be had, or dies, posix_spawn does.
 *
 * THREADS     A child is told of its parent's death (PR_SET_PDEATHSIG) when the *thread* that started it ends. So
 *             posix_spawn is called by the hub's thread, which lives as long as any child; also for the nursery,
 *             whose copies take that over.
 *
 * THE COPY    is made by the system call, for want of a function that takes flags. Of what fork would do besides, the C
 *             library needs one thing in a process with one thread: its own note of the thread's number, which the
 *             system writes (CLONE_CHILD_SETTID) where it knows it to be (PR_GET_TID_ADDRESS). A nursery that does not
 *             find it there refuses to be one.
 *             Copies have the same addresses, from which Lua makes its seeds; see RANDOM in bindings/state/libraries.c.
 *
 * LOCKS       `guard` is held while the nursery is asked: 0.1 ms, longer than others of our guards.
 *
 * REJECTED    A fork of our own process (threads, locks, and 7 ms for 500 MB); libuv's uv_spawn, which is one; children
 *             of the nursery with their status sent on (kill -9 of the nursery would take it along). */
#include "host/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#ifdef __linux__
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "core/child.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/futex.h"
#include "core/guard.h"
#include "core/memory.h"
#include "host/hub.h"

enum {
    GIVEN = 4,       /* descriptors of a request */
    FIRST_FREE = 10, /* descriptors that are moved away from the standard ones go here */
    ANSWER_MS = 5000 /* a nursery that has not answered by then is given up */
};

struct neap_launcher {
    struct neap_guard guard;
    int nursery;            /* a socket to it; -1: there is none. guard */
    pid_t nursery_pid;      /* guard */
    int nursery_pidfd;      /* see core/child.h. guard */
    uint64_t circumstances; /* of the nursery; see digest. guard */
    unsigned launches;      /* so far. guard */
    bool is_refused;        /* there can be no nursery. guard */
};

/* --- posix_spawn; the hub's thread --- */

/* What stands at the standard places is moved away, since others are going to be put there. */
static int out_of_the_way(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE); }

static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, const int *fds) {
    static const int places[GIVEN] = {NEAP_LAUNCH_SOCKET, NEAP_LAUNCH_SEGMENT, STDOUT_FILENO, STDERR_FILENO};
    sigset_t none, defaults;
    int code = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (int i = 0; code == 0 && i < GIVEN; i++) code = posix_spawn_file_actions_adddup2(actions, fds[i], places[i]);
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGXFSZ);
    if (code == 0) code = posix_spawnattr_setsigmask(attributes, &none);
    if (code == 0) code = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (code == 0) code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return code;
}

/* Runs `program mode` with four descriptors in their places. 0 or a negative code. */
static int execute(const char *program, const char *mode, const int *given, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char parent[24];
    snprintf(parent, sizeof parent, "%ld", (long)getpid());
    char *arguments[] = {(char *)(uintptr_t) "neap", (char *)(uintptr_t)mode, parent, NULL};
    int fds[GIVEN] = {-1, -1, -1, -1}, code = 0;
    for (int i = 0; i < GIVEN && code == 0; i++) {
        fds[i] = out_of_the_way(given[i]);
        if (fds[i] < 0) code = errno;
    }
    if (code == 0 && posix_spawn_file_actions_init(&actions) != 0) code = ENOMEM;
    if (code == 0) {
        if (posix_spawnattr_init(&attributes) == 0) {
            code = prepare(&actions, &attributes, fds);
            if (code == 0) code = posix_spawn(pid, program, &actions, &attributes, arguments, environ);
            posix_spawnattr_destroy(&attributes);
        } else {
            code = ENOMEM;
        }
        posix_spawn_file_actions_destroy(&actions);
    }
    for (int i = 0; i < GIVEN; i++)
        if (fds[i] >= 0) close(fds[i]);
    return -code;
}

static int execute_child(const struct neap_launch *launch, pid_t *pid) {
    const int fds[GIVEN] = {launch->socket, launch->segment, launch->output, launch->error_output};
    return execute(launch->program, NEAP_LAUNCH_CHILD, fds, pid);
}

/* --- asking the nursery; guard held --- */

/* What a child takes over from its parent, in a number: the environment, the working directory, who we are. */
static uint64_t digest(const char *program) {
    uint64_t sum = UINT64_C(0xCBF29CE484222325);
    struct stat here;
    if (stat(".", &here) == 0) sum ^= (uint64_t)here.st_ino * 31 + (uint64_t)here.st_dev;
    sum = sum * 31 + ((uint64_t)geteuid() << 32 | getegid());
    for (const char *at = program; *at != '\0'; at++) sum = (sum ^ (unsigned char)*at) * UINT64_C(0x100000001B3);
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++)
        for (const char *at = *variable;; at++) {
            sum = (sum ^ (unsigned char)*at) * UINT64_C(0x100000001B3);
            if (*at == '\0') break;
        }
    return sum;
}

static void dismiss(struct neap_launcher *launcher) {
    int status;
    if (launcher->nursery < 0) return;
    close(launcher->nursery);
    launcher->nursery = -1;
    neap_child_kill(launcher->nursery_pid, launcher->nursery_pidfd, SIGKILL);
    neap_child_wait(launcher->nursery_pid, launcher->nursery_pidfd, 0, &status, NULL);
    if (launcher->nursery_pidfd >= 0) close(launcher->nursery_pidfd);
}

static bool send_request(int socket, const struct neap_launch *launch) {
    const int fds[GIVEN] = {launch->socket, launch->segment, launch->output, launch->error_output};
    char byte = 1;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof fds)];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == 1;
}

static bool receive_answer(int socket, int32_t *answer) {
    struct pollfd polled = {.fd = socket, .events = POLLIN};
    int ready;
    do {
        ready = poll(&polled, 1, ANSWER_MS);
    } while (ready < 0 && errno == EINTR);
    return ready == 1 && recv(socket, answer, sizeof *answer, MSG_WAITALL) == (ssize_t)sizeof *answer;
}

/* True: it answered, with a child or a reason why there is none. */
static bool ask(struct neap_launcher *launcher, const struct neap_launch *launch, pid_t *pid, int *code) {
    int32_t answer;
    if (launcher->nursery < 0 || launcher->circumstances != digest(launch->program)) return false;
    if (!send_request(launcher->nursery, launch) || !receive_answer(launcher->nursery, &answer)) {
        dismiss(launcher);
        return false;
    }
    *code = answer < 0 ? answer : 0;
    if (answer > 0) *pid = answer;
    return true;
}

/* The hub's thread, guard held. It says whether it can be one, by a number. */
static void start_nursery(struct neap_launcher *launcher, const char *program) {
    int ends[2], none = open("/dev/null", O_RDWR | O_CLOEXEC);
    int32_t greeting = -1;
    if (none < 0) return;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) {
        const int fds[GIVEN] = {ends[1], none, none, none};
        int code = execute(program, NEAP_LAUNCH_NURSERY, fds, &launcher->nursery_pid);
        close(ends[1]);
        launcher->nursery = code == 0 ? ends[0] : -1;
        if (code == 0)
            launcher->nursery_pidfd = neap_child_open(launcher->nursery_pid);
        else
            close(ends[0]);
        launcher->circumstances = digest(program);
        if (code == 0 && (!receive_answer(ends[0], &greeting) || greeting != 0)) {
            launcher->is_refused = true;
            dismiss(launcher);
        }
    }
    close(none);
}

/* --- launching --- */

/* A launch that the hub's thread carries out. */
struct errand {
    struct neap_runnable runnable;
    struct neap_hub *hub;
    const struct neap_launch *launch;
    pid_t pid;
    int code;
    _Atomic uint32_t done; /* a futex */
};

static void carry_out(struct neap_runnable *runnable) {
    struct errand *errand = NEAP_CONTAINER_OF(runnable, struct errand, runnable);
    struct neap_launcher *launcher = errand->hub->launcher;
    neap_guard_lock(&launcher->guard);
    if (launcher->launches > 1 && !launcher->is_refused) {
        dismiss(launcher); /* its circumstances are not ours */
        start_nursery(launcher, errand->launch->program);
    }
    if (!ask(launcher, errand->launch, &errand->pid, &errand->code))
        errand->code = execute_child(errand->launch, &errand->pid);
    neap_guard_unlock(&launcher->guard);
    atomic_store_explicit(&errand->done, 1, memory_order_release);
    neap_futex_wake(&errand->done); /* the errand may be gone: waking a word that nobody waits for is harmless */
}

static struct neap_launcher *get_launcher(struct neap_hub *hub) {
    struct neap_launcher *launcher = atomic_load_explicit(&hub->launcher, memory_order_acquire);
    if (launcher != NULL) return launcher;
    struct neap_launcher *made = neap_alloc_zeroed(sizeof *made);
    if (made == NULL) return NULL;
    neap_guard_init(&made->guard);
    made->nursery = -1;
    if (atomic_compare_exchange_strong_explicit(&hub->launcher, &launcher, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    neap_free(made);
    return launcher;
}

int neap_launch(struct neap_hub *hub, const struct neap_launch *launch, pid_t *pid) {
    struct neap_launcher *launcher = get_launcher(hub);
    int code = 0;
    if (launcher == NULL) return NEAP_NOMEM;
    neap_guard_lock(&launcher->guard);
    launcher->launches++;
    bool asked = ask(launcher, launch, pid, &code);
    neap_guard_unlock(&launcher->guard);
    if (asked) return code;
    struct errand errand = {.runnable = {.run = carry_out}, .hub = hub, .launch = launch};
    atomic_init(&errand.done, 0);
    neap_hub_post(hub, &errand.runnable);
    while (atomic_load_explicit(&errand.done, memory_order_acquire) == 0)
        neap_futex_wait(&errand.done, 0, NEAP_FOREVER);
    if (errand.code == 0) *pid = errand.pid;
    return errand.code;
}

void neap_launcher_end(struct neap_hub *hub) {
    struct neap_launcher *launcher = atomic_load_explicit(&hub->launcher, memory_order_relaxed);
    if (launcher == NULL) return;
    dismiss(launcher);
    neap_free(launcher);
}

/* --- in the process that was started --- */

static void end_with(pid_t parent, int number) {
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, number);
#endif
    if (getppid() != parent) _exit(1); /* it has died meanwhile */
}

static void close_others(void) {
#ifdef SYS_close_range
    syscall(SYS_close_range, NEAP_LAUNCH_SEGMENT + 1, ~0u, 0);
#endif
}

void neap_launch_settle(pid_t parent) {
    close_others();
    for (int fd = NEAP_LAUNCH_SOCKET; fd <= NEAP_LAUNCH_SEGMENT; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
    end_with(parent, SIGTERM);
}

#if defined(__linux__) && defined(SYS_clone3) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/* Where the C library keeps the number of the thread; NULL: not where we can tell. */
static int *find_thread_number(void) {
    int *address = NULL;
    if (prctl(PR_GET_TID_ADDRESS, &address) != 0 || address == NULL) return NULL;
    return *address == gettid() ? address : NULL;
}

/* As fork, but the parent of the copy is our own. See THE COPY. */
static pid_t copy_for_parent(const int *thread_number) {
    struct clone_args arguments = {.flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                                   .child_tid = (uint64_t)(uintptr_t)thread_number};
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

/* The copy: puts the descriptors in their places. */
static void become_child(const int *fds, pid_t parent) {
    dup2(fds[0], NEAP_LAUNCH_SOCKET);
    dup2(fds[1], NEAP_LAUNCH_SEGMENT);
    dup2(fds[2], STDOUT_FILENO);
    dup2(fds[3], STDERR_FILENO);
    neap_launch_settle(parent);
}

/* The next request: 1; 0: nobody asks any more. */
static int receive_request(int fds[GIVEN]) {
    char byte;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(GIVEN * sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t size;
    do {
        size = recvmsg(NEAP_LAUNCH_SOCKET, &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size != 1 || control.header.cmsg_len != CMSG_LEN(GIVEN * sizeof(int))) return 0;
    memcpy(fds, CMSG_DATA(&control.header), GIVEN * sizeof(int));
    return 1;
}

static bool answer(int32_t number) {
    return send(NEAP_LAUNCH_SOCKET, &number, sizeof number, MSG_NOSIGNAL) == sizeof number;
}

void neap_launch_nurse(void) {
    int fds[GIVEN], *thread_number = find_thread_number();
    pid_t parent = getppid();
    close_others();
    end_with(parent, SIGKILL);
    if (thread_number == NULL || !answer(0)) _exit(1);
    while (receive_request(fds) != 0) {
        pid_t pid = copy_for_parent(thread_number);
        if (pid == 0) {
            become_child(fds, parent);
            return;
        }
        int32_t outcome = pid > 0 ? pid : -errno;
        for (int i = 0; i < GIVEN; i++) close(fds[i]);
        if (!answer(outcome)) break;
    }
    _exit(0);
}

#else

void neap_launch_nurse(void) { _exit(1); }

#endif
