#include "support.h"

#include "sync/event.h"

static struct neap_event *event;
static struct actor a, b;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    event = made(neap_event_new());
    actor_init(&a, &here);
    actor_init(&b, &here);
    return 0;
}

static int drop(void **state) {
    neap_object_unref(&event->object);
    return tear_down(state);
}

static int wait_for(struct actor *actor, int64_t deadline) { return start(actor, event, NEAP_EVENT_WAIT, deadline); }

static void waiting_for_a_set_event_is_over_at_once(void **state) {
    (void)state;
    assert_false(neap_event_is_set(event));
    assert_int_equal(wait_for(&a, 0), NEAP_TIMEOUT);
    neap_event_set(event);
    neap_event_set(event);
    assert_true(neap_event_is_set(event));
    assert_int_equal(wait_for(&a, 0), 0);
    assert_int_equal(wait_for(&b, NEAP_FOREVER), 0);
    neap_event_clear(event);
    assert_int_equal(wait_for(&a, 0), NEAP_TIMEOUT);
}

static void setting_wakes_all_even_if_it_is_cleared_at_once(void **state) {
    (void)state;
    assert_int_equal(wait_for(&a, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(wait_for(&b, NEAP_FOREVER), NEAP_PARKED);
    neap_event_set(event);
    neap_event_clear(event);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(finish(&b), 0);
}

static void a_wait_times_out_or_is_cancelled(void **state) {
    (void)state;
    assert_int_equal(act(&a, event, NEAP_EVENT_WAIT, soon(300)), NEAP_TIMEOUT);
    wait_for(&a, NEAP_FOREVER);
    wait_for(&b, NEAP_FOREVER);
    cancel(&a);
    neap_event_set(event);
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    assert_int_equal(finish(&b), 0);
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_event_new());
    neap_memory_fail_after(0);
    assert_int_equal(wait_for(&a, soon(1000)), NEAP_NOMEM);
}

static void set_it(void *argument) {
    struct neap_event *which = argument;
    await_waiters(which, &which->waiters, 2);
    neap_event_set(which);
}

static void another_thread_wakes_loops_and_host_threads(void **state) {
    (void)state;
    struct actor host;
    struct helper helper;
    actor_init(&host, NULL);
    wait_for(&a, NEAP_FOREVER);
    helper_start(&helper, set_it, event);
    assert_int_equal(act(&host, event, NEAP_EVENT_WAIT, NEAP_FOREVER), 0);
    assert_int_equal(finish(&a), 0);
    helper_join(&helper);
}

static void a_host_thread_times_out_and_is_cancelled(void **state) {
    (void)state;
    struct actor host;
    actor_init(&host, NULL);
    assert_int_equal(act(&host, event, NEAP_EVENT_WAIT, soon(300)), NEAP_TIMEOUT);
    start(&host, event, NEAP_EVENT_WAIT, NEAP_FOREVER);
    cancel(&host);
    assert_int_equal(finish(&host), NEAP_CANCELLED);
}

/* A signal between a waiter's check and its park is never slept through. */
struct signalling {
    struct neap_event *event;
    struct actor waiter;
    struct neap_loop *loop;
};

static void begin_signalling(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct signalling *signalling = argument;
    (void)left;
    signalling->loop = right;
    neap_event_clear(signalling->event);
}

static void send_signal(void *argument) {
    dawdle(300);
    neap_event_set(((struct signalling *)argument)->event);
}

static void await_signal(void *argument) {
    struct signalling *signalling = argument;
    actor_init(&signalling->waiter, chance(2) == 0 ? signalling->loop : NULL);
    dawdle(300);
    CHECK(act(&signalling->waiter, signalling->event, NEAP_EVENT_WAIT, NEAP_FOREVER) == 0);
}

static void check_signalling(void *argument) {
    assert_true(neap_list_is_empty(&((struct signalling *)argument)->event->waiters));
}

static void a_signal_just_before_the_park_is_not_lost(void **state) {
    (void)state;
    struct signalling signalling = {.event = event};
    run_race(&(struct race){begin_signalling, send_signal, await_signal, check_signalling}, &signalling,
             repeated(3000));
}

#define EVENT_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest event_tests[] = {
        EVENT_TEST(waiting_for_a_set_event_is_over_at_once),
        EVENT_TEST(setting_wakes_all_even_if_it_is_cleared_at_once),
        EVENT_TEST(a_wait_times_out_or_is_cancelled),
        EVENT_TEST(out_of_memory_is_an_answer),
    };
    const struct CMUnitTest event_races[] = {
        EVENT_TEST(another_thread_wakes_loops_and_host_threads),
        EVENT_TEST(a_host_thread_times_out_and_is_cancelled),
        EVENT_TEST(a_signal_just_before_the_park_is_not_lost),
    };
    return run_local_and_shared(event_tests) + run_once(event_races);
}
