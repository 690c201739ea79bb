#include "support.h"

#include <sched.h>
#include <signal.h>

#include "host/engine.h"
#include "host/signal.h"

static struct neap_engine engine;
static struct actor a, b;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    actor_init(&a, &here);
    actor_init(&b, &here);
    return neap_engine_init(&engine);
}

static int drop(void **state) {
    neap_engine_fini(&engine);
    return tear_down(state);
}

static struct neap_signal *opened(int number) {
    struct neap_signal *signal = NULL;
    CHECK(neap_signal_open(&engine, number, &signal) == 0);
    return signal;
}

static int wait_for(struct actor *actor, struct neap_signal *signal, int64_t deadline) {
    return act(actor, signal, NEAP_SIGNAL_WAIT, deadline);
}

static int busy(void) { return atomic_load(&engine.busy); }

/* Until the hub, which queues before it counts out, has done so. */
static void await_idle(void) {
    while (busy() > 0) sched_yield();
}

static void what_comes_while_nobody_waits_is_kept_once(void **state) {
    (void)state;
    struct neap_signal *signal = opened(SIGUSR1), *other = opened(SIGUSR1);
    raise(SIGUSR1);
    assert_int_equal(wait_for(&a, other, NEAP_FOREVER), 0);
    raise(SIGUSR1);
    assert_int_equal(wait_for(&a, other, NEAP_FOREVER), 0);
    assert_int_equal(wait_for(&a, signal, NEAP_FOREVER), 0);
    assert_int_equal(wait_for(&a, other, 0), NEAP_TIMEOUT);
    neap_object_unref(&signal->object);
    neap_object_unref(&other->object);
}

static void all_that_wait_get_it_and_count_while_they_do(void **state) {
    (void)state;
    struct neap_signal *signal = opened(SIGUSR1);
    assert_int_equal(busy(), 0);
    assert_int_equal(start(&a, signal, NEAP_SIGNAL_WAIT, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(start(&b, signal, NEAP_SIGNAL_WAIT, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(busy(), 1);
    raise(SIGUSR1);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(finish(&b), 0);
    await_idle();
    assert_int_equal(wait_for(&a, signal, 0), NEAP_TIMEOUT);
    neap_object_unref(&signal->object);
}

static void who_stops_waiting_counts_no_more(void **state) {
    (void)state;
    struct neap_signal *signal = opened(SIGUSR1);
    assert_int_equal(start(&a, signal, NEAP_SIGNAL_WAIT, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(start(&b, signal, NEAP_SIGNAL_WAIT, soon(300)), NEAP_PARKED);
    cancel(&a);
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    assert_int_equal(finish(&b), NEAP_TIMEOUT);
    assert_int_equal(busy(), 0);
    neap_object_unref(&signal->object);
}

static void closing_answers_who_waits_and_gives_the_signal_back(void **state) {
    struct sigaction now;
    (void)state;
    struct neap_signal *signal = opened(SIGUSR1);
    assert_int_equal(start(&a, signal, NEAP_SIGNAL_WAIT, NEAP_FOREVER), NEAP_PARKED);
    assert_true(neap_signal_close(signal));
    assert_false(neap_signal_close(signal));
    assert_true(neap_signal_is_closed(signal));
    assert_int_equal(finish(&a), NEAP_CLOSED);
    assert_int_equal(wait_for(&b, signal, NEAP_FOREVER), NEAP_CLOSED);
    assert_int_equal(busy(), 0);
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == SIG_DFL);
    neap_object_unref(&signal->object);
}

static void an_engine_that_stops_closes_all_and_opens_no_more(void **state) {
    struct neap_signal *refused = NULL;
    (void)state;
    struct neap_signal *signal = opened(SIGUSR1);
    assert_int_equal(start(&a, signal, NEAP_SIGNAL_WAIT, NEAP_FOREVER), NEAP_PARKED);
    neap_engine_stop_threads(&engine);
    assert_int_equal(finish(&a), NEAP_CLOSED);
    assert_int_equal(neap_signal_open(&engine, SIGUSR1, &refused), NEAP_CLOSED);
    assert_null(refused);
    neap_object_unref(&signal->object);
}

static void one_may_outlive_its_engine(void **state) {
    (void)state;
    struct neap_signal *signal = opened(SIGUSR1);
    neap_engine_fini(&engine);
    assert_true(neap_signal_is_closed(signal));
    assert_false(neap_signal_close(signal));
    neap_object_unref(&signal->object);
    assert_int_equal(neap_engine_init(&engine), 0);
}

static void every_allocation_may_fail(void **state) {
    struct neap_signal *signal = NULL;
    int code = NEAP_NOMEM;
    (void)state;
    for (int allowed = 0; code != 0; allowed++) {
        neap_memory_fail_after(allowed);
        code = neap_signal_open(&engine, SIGUSR1, &signal);
        neap_memory_fail_after(-1);
        assert_true(code == 0 || code == NEAP_NOMEM);
    }
    neap_object_unref(&signal->object);
}

#define SIGNAL_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest signal_tests[] = {
        SIGNAL_TEST(what_comes_while_nobody_waits_is_kept_once),
        SIGNAL_TEST(all_that_wait_get_it_and_count_while_they_do),
        SIGNAL_TEST(who_stops_waiting_counts_no_more),
        SIGNAL_TEST(closing_answers_who_waits_and_gives_the_signal_back),
        SIGNAL_TEST(an_engine_that_stops_closes_all_and_opens_no_more),
        SIGNAL_TEST(one_may_outlive_its_engine),
        SIGNAL_TEST(every_allocation_may_fail),
    };
    return run_once(signal_tests);
}
