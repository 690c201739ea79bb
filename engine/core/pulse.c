/* pulse: interrupting a thread that computes.
 *
 * MODEL      A timer on the thread's own processor time sends the thread a signal; the handler, which thus
 *            runs on the very thread that it is about, hands over to the loop that runs there. A thread that
 *            sleeps uses no such time and gets no signal; one that nobody ever wanted to interrupt has no
 *            timer. There is no watchdog thread.
 * LEVEL      A beat that comes at a bad moment may do nothing: the next one follows. So
 *            nothing depends on a single signal.
 * STARTING   Others start the pulse of a thread: who cancels a task in it. They do so under the guard, with the number
 *            of the thread there; the thread withdraws that number, under the guard, before it ends. So a number that
 *            the system may have given to somebody else is never used.
 * SIGNAL     Its disposition belongs to the whole process. It is claimed when the first pulse of the process
 *            attaches and given back when the last one detaches. What is not ours (no timer sent it) goes on to
 *            the handler that was there before. Deleting a timer takes back what it has sent: the system
 *            delivers that before the call returns.
 * ELSEWHERE  Systems without such timers: a pulse attaches, and never beats. */
#include "core/pulse.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "core/clock.h"
#include "core/loop.h"
#include "core/trap.h"

void neap_pulse_init(struct neap_pulse *pulse) {
    neap_guard_init(&pulse->guard);
    pulse->signal = 0;
    pulse->thread = 0;
    pulse->interval_ns = 0;
    atomic_init(&pulse->beating, false);
}

#ifdef __linux__

#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid /* older C libraries do not name it */
#endif

/* --- the signal --- */

static struct {
    unsigned users;          /* pulses that are attached with it */
    struct sigaction before; /* what the process did with it; valid while there are users */
} claims[NSIG];              /* under claims_guard; `before` is read by the handler, which users keep in place */
static struct neap_guard claims_guard;

static void on_signal(int signal, siginfo_t *info, void *context) {
    struct neap_loop *loop = neap_loop_here;
    int error = errno;
    if (info->si_code != SI_TIMER)
        neap_trap_pass_on(&claims[signal].before, signal, info, context);
    else if (loop != NULL && loop->beat != NULL)
        loop->beat(loop);
    errno = error;
}

bool neap_pulse_is_free(int signal) {
    struct sigaction now;
    if (sigaction(signal, NULL, &now) != 0) return false;
    if (now.sa_flags & SA_SIGINFO) return now.sa_sigaction == on_signal;
    return now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN;
}

static int claim(int signal) {
    int code = 0;
    neap_guard_lock(&claims_guard);
    if (claims[signal].users == 0) {
        struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO};
        sigemptyset(&action.sa_mask);
        if (sigaction(signal, &action, &claims[signal].before) != 0) code = -errno;
    }
    if (code == 0) claims[signal].users++;
    neap_guard_unlock(&claims_guard);
    return code;
}

static void disclaim(int signal) {
    neap_guard_lock(&claims_guard);
    if (--claims[signal].users == 0) sigaction(signal, &claims[signal].before, NULL);
    neap_guard_unlock(&claims_guard);
}

/* --- the timer; guard held --- */

static void wind(struct neap_pulse *pulse) {
    struct timespec interval = {.tv_sec = pulse->interval_ns / NEAP_SECOND,
                                .tv_nsec = pulse->interval_ns % NEAP_SECOND};
    const struct itimerspec times = {.it_interval = interval, .it_value = interval};
    timer_settime(pulse->timer, 0, &times, NULL);
}

static void start(struct neap_pulse *pulse) {
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = pulse->signal;
    event.sigev_notify_thread_id = pulse->thread;
    if (timer_create(pulse->clock, &event, &pulse->timer) != 0) return;
    wind(pulse);
    atomic_store_explicit(&pulse->beating, true, memory_order_relaxed);
}

/* --- attaching --- */

int neap_pulse_attach(struct neap_pulse *pulse, int signal, int64_t interval_ns) {
    clockid_t clock;
    int code = -pthread_getcpuclockid(pthread_self(), &clock);
    if (code == 0) code = claim(signal);
    if (code != 0) return code;
    neap_guard_lock(&pulse->guard);
    pulse->signal = signal;
    pulse->thread = gettid();
    pulse->clock = clock;
    pulse->interval_ns = interval_ns;
    neap_guard_unlock(&pulse->guard);
    return 0;
}

void neap_pulse_detach(struct neap_pulse *pulse) {
    neap_guard_lock(&pulse->guard);
    int signal = pulse->signal;
    if (atomic_load_explicit(&pulse->beating, memory_order_relaxed)) timer_delete(pulse->timer);
    atomic_store_explicit(&pulse->beating, false, memory_order_relaxed);
    pulse->signal = 0;
    pulse->thread = 0;
    neap_guard_unlock(&pulse->guard);
    if (signal != 0) disclaim(signal);
}

void neap_pulse_start(struct neap_pulse *pulse) {
    if (atomic_load_explicit(&pulse->beating, memory_order_relaxed)) return;
    neap_guard_lock(&pulse->guard);
    if (pulse->signal != 0 && !atomic_load_explicit(&pulse->beating, memory_order_relaxed)) start(pulse);
    neap_guard_unlock(&pulse->guard);
}

void neap_pulse_set_interval(struct neap_pulse *pulse, int64_t interval_ns) {
    neap_guard_lock(&pulse->guard);
    pulse->interval_ns = interval_ns;
    if (atomic_load_explicit(&pulse->beating, memory_order_relaxed)) wind(pulse);
    neap_guard_unlock(&pulse->guard);
}

#else

bool neap_pulse_is_free(int signal) {
    (void)signal;
    return true;
}

int neap_pulse_attach(struct neap_pulse *pulse, int signal, int64_t interval_ns) {
    (void)pulse;
    (void)signal;
    (void)interval_ns;
    return 0;
}

void neap_pulse_detach(struct neap_pulse *pulse) { (void)pulse; }

void neap_pulse_start(struct neap_pulse *pulse) { (void)pulse; }

void neap_pulse_set_interval(struct neap_pulse *pulse, int64_t interval_ns) {
    (void)pulse;
    (void)interval_ns;
}

#endif
