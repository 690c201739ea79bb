#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "core/pulse.h"

enum { INTERVAL_NS = NEAP_MILLISECOND };

static struct neap_pulse pulse;
static _Atomic int beats;
static pthread_t beaten; /* by the last beat */

static void note_beat(struct neap_loop *loop) {
    CHECK(loop == neap_loop_here);
    beaten = pthread_self();
    atomic_fetch_add(&beats, 1);
}

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    here.beat = note_beat;
    atomic_store(&beats, 0);
    neap_pulse_init(&pulse);
    return 0;
}

static int drop(void **state) {
    neap_pulse_detach(&pulse);
    return tear_down(state);
}

static void attach(void) { CHECK(neap_pulse_attach(&pulse, SIGURG, INTERVAL_NS) == 0); }

/* Computes until there were `count` beats. */
static void await_beats(int count) {
    while (atomic_load(&beats) < count) neap_clock_now();
}

/* Computes for so much processor time that there would have been some. */
static void compute(void) {
    struct timespec time;
    int64_t until = 0, now;
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        now = (int64_t)time.tv_sec * NEAP_SECOND + time.tv_nsec;
        if (until == 0) until = now + 20 * NEAP_MILLISECOND;
    } while (now < until);
}

static void it_beats_once_it_is_started(void **state) {
    (void)state;
    attach();
    compute();
    assert_int_equal(atomic_load(&beats), 0);
    neap_pulse_start(&pulse);
    await_beats(3);
    assert_true(pthread_equal(beaten, pthread_self()));
    neap_pulse_start(&pulse); /* again: nothing changes */
    await_beats(5);
}

static void it_beats_no_more_once_it_is_detached(void **state) {
    (void)state;
    attach();
    neap_pulse_start(&pulse);
    await_beats(1);
    neap_pulse_detach(&pulse);
    int before = atomic_load(&beats);
    neap_pulse_start(&pulse);
    compute();
    assert_int_equal(atomic_load(&beats), before);
    neap_pulse_detach(&pulse);
    attach();
    neap_pulse_start(&pulse);
    await_beats(before + 1);
}

static void it_beats_on_while_its_interval_changes(void **state) {
    (void)state;
    attach();
    neap_pulse_set_interval(&pulse, 3600 * NEAP_SECOND);
    neap_pulse_start(&pulse);
    compute();
    assert_int_equal(atomic_load(&beats), 0);
    neap_pulse_set_interval(&pulse, INTERVAL_NS);
    await_beats(2);
}

static void a_loop_that_does_not_care_is_left_alone(void **state) {
    (void)state;
    here.beat = NULL;
    attach();
    neap_pulse_start(&pulse);
    compute();
    assert_int_equal(atomic_load(&beats), 0);
}

/* --- other threads --- */

static void start_pulse(void *argument) {
    (void)argument;
    neap_pulse_start(&pulse);
}

static void another_thread_may_start_it(void **state) {
    struct helper helper;
    (void)state;
    attach();
    helper_start(&helper, start_pulse, NULL);
    await_beats(2);
    helper_join(&helper);
    assert_true(pthread_equal(beaten, pthread_self()));
}

static struct neap_pulse its_own;
static atomic_int phase;

static void compute_with_its_own(void *argument) {
    (void)argument;
    neap_loop_here->beat = note_beat;
    CHECK(neap_pulse_attach(&its_own, SIGURG, INTERVAL_NS) == 0);
    atomic_store(&phase, 1);
    await_beats(2);
    CHECK(pthread_equal(beaten, pthread_self()));
    neap_pulse_detach(&its_own);
}

static void each_thread_has_its_own(void **state) {
    struct helper helper;
    (void)state;
    neap_pulse_init(&its_own);
    atomic_store(&phase, 0);
    attach();
    helper_start(&helper, compute_with_its_own, NULL);
    while (atomic_load(&phase) == 0) neap_clock_now();
    neap_pulse_start(&its_own);
    helper_join(&helper);
    neap_pulse_start(&its_own); /* the thread has ended */
    int before = atomic_load(&beats);
    compute();
    assert_int_equal(atomic_load(&beats), before);
}

/* One computes for a moment and ends, while another wants to interrupt it. */
static void race_setup(void *state, struct neap_loop *left, struct neap_loop *right) {
    (void)state;
    (void)right;
    left->beat = note_beat;
}

static void race_left(void *state) {
    (void)state;
    attach();
    dawdle(2000);
    neap_pulse_detach(&pulse);
}

static void race_right(void *state) {
    (void)state;
    dawdle(2000);
    neap_pulse_start(&pulse);
}

static void race_check(void *state) {
    (void)state;
    CHECK(!atomic_load(&pulse.beating) && pulse.signal == 0);
}

static void a_start_may_come_at_any_time(void **state) {
    static const struct race race = {race_setup, race_left, race_right, race_check};
    (void)state;
    run_race(&race, NULL, repeated(1000));
}

/* --- the signal --- */

static volatile sig_atomic_t others;

static void note_other(int number) {
    (void)number;
    others++;
}

static void the_signal_is_shared_and_given_back(void **state) {
    struct sigaction action = {.sa_handler = note_other}, before, after;
    (void)state;
    others = 0;
    sigaction(SIGURG, &action, &before);
    neap_pulse_init(&its_own);
    attach();
    assert_int_equal(neap_pulse_attach(&its_own, SIGURG, INTERVAL_NS), 0);
    neap_pulse_start(&pulse);
    raise(SIGURG);
    assert_int_equal(others, 1);
    await_beats(1);
    assert_int_equal(others, 1);
    neap_pulse_detach(&pulse);
    raise(SIGURG);
    assert_int_equal(others, 2);
    neap_pulse_start(&its_own);
    await_beats(atomic_load(&beats) + 1);
    neap_pulse_detach(&its_own);
    sigaction(SIGURG, &before, &after);
    assert_true(after.sa_handler == note_other);
}

static void a_signal_is_free_where_only_pulses_use_it(void **state) {
    (void)state;
    const struct sigaction ours = {.sa_handler = note_other};
    struct sigaction before;
    assert_true(neap_pulse_is_free(SIGUSR2));
    assert_int_equal(sigaction(SIGUSR2, &ours, &before), 0);
    assert_false(neap_pulse_is_free(SIGUSR2));
    sigaction(SIGUSR2, &before, NULL);
    neap_pulse_init(&its_own);
    assert_int_equal(neap_pulse_attach(&its_own, SIGUSR2, INTERVAL_NS), 0);
    assert_true(neap_pulse_is_free(SIGUSR2));
    neap_pulse_detach(&its_own);
    assert_false(neap_pulse_is_free(NSIG + 1));
}

static void a_signal_that_does_not_exist_is_refused(void **state) {
    (void)state;
    assert_true(neap_pulse_attach(&pulse, SIGKILL, INTERVAL_NS) < 0);
    neap_pulse_start(&pulse);
    compute();
    assert_int_equal(atomic_load(&beats), 0);
}

int main(void) {
#define PULSE_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)
    const struct CMUnitTest pulse_tests[] = {
        PULSE_TEST(it_beats_once_it_is_started),
        PULSE_TEST(it_beats_no_more_once_it_is_detached),
        PULSE_TEST(it_beats_on_while_its_interval_changes),
        PULSE_TEST(a_loop_that_does_not_care_is_left_alone),
        PULSE_TEST(another_thread_may_start_it),
        PULSE_TEST(each_thread_has_its_own),
        PULSE_TEST(a_start_may_come_at_any_time),
        PULSE_TEST(the_signal_is_shared_and_given_back),
        PULSE_TEST(a_signal_is_free_where_only_pulses_use_it),
        PULSE_TEST(a_signal_that_does_not_exist_is_refused),
    };
    return run_once(pulse_tests);
}
