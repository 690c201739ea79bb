/* Barriers whose action is run in another process. */
#include "processes.h"

#include "host/acting.h"
#include "host/request.h"
#include "sync/barrier.h"

static struct neap_barrier *barrier; /* of two, which acts */
static struct neap_proxy *proxy;     /* in the lowest process */

static int make(void **state) {
    if (make_processes(state) != 0) return -1;
    barrier = made(neap_barrier_new(2, true));
    proxy = farther(barrier);
    return 0;
}

static int drop(void **state) {
    unref(proxy);
    unref(barrier);
    return drop_processes(state);
}

#define RUN(function) cmocka_unit_test_setup_teardown(function, make, drop)

/* `a` waits where the barrier is, and `b` comes last, two processes away: it is to run the action. */
static void meet(void) {
    assert_int_equal(start(&a, barrier, NEAP_BARRIER_WAIT, NEAP_FOREVER), NEAP_PARKED);
    start(&b, proxy, NEAP_BARRIER_WAIT, NEAP_FOREVER);
    assert_int_equal(after(&b), 0);
    assert_int_equal(b.links[0].number, 2);
    assert_int_equal(after(&a), NEAP_PARKED);
}

/* A call that is answered while this thread does not block. */
static int say(uint8_t method) {
    struct neap_call call = {.owner = &b.owner, .method = method};
    neap_message_clear(&call.message);
    neap_acting_pass(proxy, &b.owner);
    neap_request_tell(&proxy->import, &call);
    deliver();
    return after(&a);
}

static void it_is_let_go_by_who_acted(void **state) {
    (void)state;
    meet();
    assert_int_equal(say(NEAP_BARRIER_RELEASE), 0);
    assert_false(neap_barrier_is_broken(barrier));
    actor_end(&b);
    deliver();
    assert_false(neap_barrier_is_broken(barrier));
}

static void it_breaks_when_the_action_fails(void **state) {
    (void)state;
    meet();
    assert_int_equal(say(NEAP_BARRIER_FAIL), NEAP_BROKEN);
    assert_true(neap_barrier_is_broken(barrier));
}

static void it_breaks_when_the_task_that_acts_ends(void **state) {
    (void)state;
    meet();
    actor_end(&b);
    assert_int_equal(after(&a), NEAP_BROKEN);
}

static void it_breaks_when_the_process_that_acts_dies(void **state) {
    (void)state;
    meet();
    kill_link(1);
    assert_int_equal(after(&a), NEAP_BROKEN);
    actor_end(&b);
}

static void it_breaks_when_the_process_in_between_dies(void **state) {
    (void)state;
    meet();
    kill_link(0);
    assert_int_equal(after(&a), NEAP_BROKEN);
    actor_end(&b);
}

static void who_is_not_the_last_holds_nothing(void **state) {
    (void)state;
    start(&b, proxy, NEAP_BARRIER_WAIT, NEAP_FOREVER);
    deliver();
    assert_int_equal(start(&a, barrier, NEAP_BARRIER_WAIT, NEAP_FOREVER), 0);
    assert_int_equal(neap_barrier_release(barrier, &a.owner), 0);
    assert_int_equal(after(&b), 0);
    assert_int_equal(b.links[0].number, 1);
    kill_link(1);
    assert_false(neap_barrier_is_broken(barrier));
}

int main(void) {
    const struct CMUnitTest acting[] = {
        RUN(it_is_let_go_by_who_acted),
        RUN(it_breaks_when_the_action_fails),
        RUN(it_breaks_when_the_task_that_acts_ends),
        RUN(it_breaks_when_the_process_that_acts_dies),
        RUN(it_breaks_when_the_process_in_between_dies),
        RUN(who_is_not_the_last_holds_nothing),
    };
    return run_once(acting);
}
