/* trap: what a signal handler may do, and no more: note the signal, and write to a descriptor that somebody reads.
 *
 * MODEL      What a signal does belongs to the whole process. It is claimed when the first trap wants it, and
 *            given back when the last one does not any more; unless somebody else has put a handler in the place
 *            of ours meanwhile, which then stays.
 * LIST       The handler walks the list of traps, on whatever thread, and takes no lock. Who takes a trap out of the
 *            list therefore waits until no handler is inside before the trap goes. Both sides write first and then read
 *            (handler: `inside`, then the list; remover: the list, then `inside`), all sequentially consistent: so
 *            either the handler does not find the trap, or the remover sees it inside. A handler that interrupts the
 *            remover's own thread has returned before that goes on.
 * MERGED     What comes twice before it is taken has come once, as with the system's own pending signals.
 * PASSED ON  A signal that ends no process by default (of children, of the terminal's size) goes on to the handler that
 *            was there before: a library that lives by it does not notice us. */
#include "core/trap.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/check.h"
#include "core/guard.h"

static struct {
    unsigned users;              /* traps that want it */
    struct sigaction before;     /* what the process did with it; valid while there are users */
} claims[NEAP_TRAP_SIGNALS + 1]; /* under guard; `before` is read by the handler, which users keep in place */

static _Atomic(struct neap_trap *) traps; /* the list; written under guard */
static atomic_int inside;                 /* handlers that walk it */
static struct neap_guard guard;

static uint64_t bit_of(int signal) { return UINT64_C(1) << (signal - 1); }

/* --- the handler --- */

static bool is_passed_on(int signal) {
    return signal == SIGCHLD || signal == SIGCONT || signal == SIGWINCH || signal == SIGURG;
}

void neap_trap_pass_on(const struct sigaction *before, int signal, siginfo_t *info, void *context) {
    if (before->sa_flags & SA_SIGINFO)
        before->sa_sigaction(signal, info, context);
    else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
        before->sa_handler(signal);
}

static void on_signal(int signal, siginfo_t *info, void *context) {
    static const uint64_t one = 1;
    int error = errno;
    atomic_fetch_add(&inside, 1);
    for (struct neap_trap *trap = atomic_load(&traps); trap != NULL; trap = atomic_load(&trap->next)) {
        if (!(atomic_load(&trap->wanted) & bit_of(signal))) continue;
        atomic_fetch_or(&trap->came, bit_of(signal));
        ssize_t written = write(trap->fd, &one, sizeof one); /* a full counter can be read as well */
        (void)written;
    }
    atomic_fetch_sub(&inside, 1);
    if (is_passed_on(signal)) neap_trap_pass_on(&claims[signal].before, signal, info, context);
    errno = error;
}

/* --- claiming; guard held --- */

static int claim(int signal) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    /* asked for first: it must be known when ours is called */
    if (claims[signal].users == 0 &&
        (sigaction(signal, NULL, &claims[signal].before) != 0 || sigaction(signal, &action, NULL) != 0))
        return -errno;
    claims[signal].users++;
    return 0;
}

static void disclaim(int signal) {
    struct sigaction now;
    if (--claims[signal].users > 0 || sigaction(signal, NULL, &now) != 0) return;
    if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_signal) sigaction(signal, &claims[signal].before, NULL);
}

/* --- traps --- */

int neap_trap_init(struct neap_trap *trap) {
    trap->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (trap->fd < 0) return -errno;
    atomic_init(&trap->wanted, 0);
    atomic_init(&trap->came, 0);
    for (int signal = 0; signal <= NEAP_TRAP_SIGNALS; signal++) trap->users[signal] = 0;
    neap_guard_lock(&guard);
    atomic_init(&trap->next, atomic_load(&traps));
    atomic_store(&traps, trap);
    neap_guard_unlock(&guard);
    return 0;
}

void neap_trap_fini(struct neap_trap *trap) {
    NEAP_ASSERT(atomic_load(&trap->wanted) == 0, "who wanted something has unwanted it");
    neap_guard_lock(&guard);
    _Atomic(struct neap_trap *) *place = &traps;
    while (atomic_load(place) != trap) place = &atomic_load(place)->next;
    atomic_store(place, atomic_load(&trap->next));
    neap_guard_unlock(&guard);
    while (atomic_load(&inside) > 0) sched_yield(); /* see LIST */
    close(trap->fd);
}

bool neap_trap_can(int signal) {
    static const int never[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    if (signal < 1 || signal > NEAP_TRAP_SIGNALS) return false;
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (signal == never[i]) return false;
    return true;
}

int neap_trap_want(struct neap_trap *trap, int signal) {
    int code = 0;
    neap_guard_lock(&guard);
    if (trap->users[signal] == 0) {
        atomic_fetch_or(&trap->wanted, bit_of(signal)); /* first: what comes once it is ours must find somebody */
        code = claim(signal);
        if (code != 0) atomic_fetch_and(&trap->wanted, ~bit_of(signal));
    }
    if (code == 0) trap->users[signal]++;
    neap_guard_unlock(&guard);
    return code;
}

void neap_trap_unwant(struct neap_trap *trap, int signal) {
    neap_guard_lock(&guard);
    NEAP_ASSERT(trap->users[signal] > 0, "only what is wanted is unwanted");
    if (--trap->users[signal] == 0) {
        disclaim(signal);
        atomic_fetch_and(&trap->wanted, ~bit_of(signal));
    }
    neap_guard_unlock(&guard);
}

uint64_t neap_trap_take(struct neap_trap *trap) {
    uint64_t count;
    ssize_t size = read(trap->fd, &count, sizeof count); /* first: what comes after it is written again */
    (void)size;
    return atomic_exchange(&trap->came, 0);
}
