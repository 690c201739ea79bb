/* patience: who is woken often does not interrupt.
 *
 * WHY         A thread that wakes up goes before one that has been running, if both must share a processor. So a server
 *             wakes at the first byte that its client sends, in front of the client that was about to send more, does
 *             what there is, and sleeps: a switch there and one back for every byte, and half of the time goes into it.
 *             Where threads serve one port this is the rule, for then there are more of them than processors.
 * HOW         The system has a policy for threads that do not mind (SCHED_BATCH). Such a thread is woken at once where
 *             a processor is free, and otherwise when the one that runs there sleeps or its slice is over: then it
 *             finds more to do, and does it in one go.
 * PRICE       Beside a program that computes and never sleeps it may have to wait for the end of a slice, some
 *             milliseconds, each time. So that is tried when loops park very often, and kept while a runnable does not
 *             take much longer to come after the other than before. After a trial that fails there is none for a while,
 *             and for twice as long the next time.
 * TOGETHER    A thread that waits while the others of its port do not serves less, and they serve more. So all threads
 *             of an engine try it together, and what they do together is what counts. Each adopts it when it parks, and
 *             has lost it when it comes back from a long sleep: so what an idle thread then starts does not inherit it.
 * WHOSE       Threads of ours only: how the threads of a host are scheduled is the host's to say, and a policy that
 *             somebody has chosen is left alone. Threads and programs inherit the policy of who starts them; so who
 *             starts one loses patience first (neap_loop_lose_patience), until it parks again. So it is with libuv's
 *             threads, which stay. What other libraries start (os.execute among them) may inherit it.
 * FILTERS     A filter of system calls may end the process for asking for a policy. So where there is one, a copy of
 *             the process asks first, once; if it does not survive that, nobody asks any more. */
#include "core/patience.h"

#include <sched.h>
#include <stddef.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "core/clock.h"

enum {
    PARKS = 16,                        /* of a loop, between two looks */
    OFTEN_NS = 100 * 1000,             /* from park to park: that is often */
    SPAN_NS = 10 * NEAP_MILLISECOND,   /* of what is measured before; shorter ones say little */
    TRIAL_NS = 50 * NEAP_MILLISECOND,  /* and after */
    PAUSE_NS = 500 * NEAP_MILLISECOND, /* after the first trial that fails */
};

static const int64_t pause_max_ns = 60 * NEAP_SECOND;
static const double tolerated = 2; /* times the cost of before */

#ifdef SCHED_BATCH

static bool set_policy(int policy) {
    const struct sched_param none = {0};
    return sched_setscheduler(0, policy, &none) == 0;
}

/* False: somebody has chosen another policy, or the system does not let us. */
static bool begin_waiting(void) { return sched_getscheduler(0) == SCHED_OTHER && set_policy(SCHED_BATCH); }

/* Unless somebody has chosen another meanwhile. */
static void end_waiting(void) {
    if (sched_getscheduler(0) == SCHED_BATCH) set_policy(SCHED_OTHER);
}

enum { FILTERED = 2 }; /* what PR_GET_SECCOMP says then */

/* The copy has a thread, this one, and tells nobody of its end: it makes system calls only. */
static bool survives_asking(void) {
    const struct sched_param none = {0};
    int status;
    pid_t copy = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (copy == 0) {
        syscall(SYS_sched_getscheduler, 0);
        syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &none);
        syscall(SYS_exit_group, 0);
    }
    return copy > 0 && waitpid(copy, &status, __WALL) == copy && WIFEXITED(status);
}

static bool may_ask(void) { return prctl(PR_GET_SECCOMP) != FILTERED || survives_asking(); }

#else

static bool begin_waiting(void) { return false; }
static void end_waiting(void) {}
static bool may_ask(void) { return false; }

#endif

void neap_patience_init(struct neap_patience *patience) {
    neap_guard_init(&patience->guard);
    atomic_init(&patience->wanted, false);
    patience->trial = patience->asked = patience->refused = false;
    patience->parks = patience->runs = 0;
    patience->since = patience->retry_at = 0;
    patience->pause_ns = PAUSE_NS;
    patience->cost = 0;
}

/* The guard is held, and they do not wait. */
static bool is_worth_a_trial(struct neap_patience *patience, int64_t now) {
    if (patience->refused || now < patience->retry_at) return false;
    if (now - patience->since > (int64_t)(patience->parks * OFTEN_NS)) return false;
    if (!patience->asked) patience->refused = !may_ask();
    patience->asked = true;
    return !patience->refused;
}

/* The guard is held. */
static void fail(struct neap_patience *patience, int64_t now) {
    if (!patience->trial) return; /* what has changed is something else: it may be worth it again at once */
    patience->retry_at = now + patience->pause_ns;
    if (patience->pause_ns < pause_max_ns) patience->pause_ns *= 2;
}

/* The guard is held. */
static void judge(struct neap_patience *patience, int64_t now) {
    bool waits = atomic_load_explicit(&patience->wanted, memory_order_relaxed), wanted;
    double cost = (double)(now - patience->since) / (double)(patience->runs + 1);
    if (!waits) {
        wanted = patience->trial = is_worth_a_trial(patience, now);
        patience->cost = cost;
    } else {
        wanted = cost <= tolerated * patience->cost;
        if (wanted)
            patience->pause_ns = PAUSE_NS;
        else
            fail(patience, now);
        patience->trial = false;
    }
    atomic_store_explicit(&patience->wanted, wanted, memory_order_relaxed);
    patience->parks = patience->runs = 0;
    patience->since = now;
}

/* Who finds the guard held adds what it has the next time. */
static void report(struct neap_patient *patient, int64_t now) {
    struct neap_patience *patience = patient->patience;
    if (!neap_guard_try_lock(&patience->guard)) return;
    patience->parks += patient->parks;
    patience->runs += patient->runs;
    patient->parks = patient->runs = 0;
    bool waiting = atomic_load_explicit(&patience->wanted, memory_order_relaxed);
    if (now - patience->since >= (waiting ? TRIAL_NS : SPAN_NS)) judge(patience, now);
    neap_guard_unlock(&patience->guard);
}

void neap_patience_note_park(struct neap_patient *patient, int64_t now) {
    if (patient->patience == NULL) return;
    bool wanted = atomic_load_explicit(&patient->patience->wanted, memory_order_relaxed);
    if (++patient->parks >= PARKS || wanted) report(patient, now);
    wanted = atomic_load_explicit(&patient->patience->wanted, memory_order_relaxed);
    if (wanted == patient->waits) return;
    patient->waits = wanted && begin_waiting();
    if (!wanted)
        end_waiting();
    else if (!patient->waits)
        patient->patience = NULL;
}

void neap_patience_note_wake(struct neap_patient *patient, int64_t slept_ns) {
    if (slept_ns >= TRIAL_NS) neap_patience_lose(patient);
}

void neap_patience_lose(struct neap_patient *patient) {
    if (patient->waits) end_waiting();
    patient->waits = false;
}

void neap_patience_leave(struct neap_patient *patient) {
    neap_patience_lose(patient);
    patient->patience = NULL;
}
