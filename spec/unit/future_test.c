#include "support.h"

#include <string.h>

#include "sync/future.h"

static void destroy(struct neap_object *object) {
    neap_future_fini((struct neap_future *)object);
    neap_free(object);
}

static const struct neap_class promise_class = {
    .name = "promise",
    .verbs = neap_future_verbs,
    .destroy = destroy,
    .attempt = neap_future_attempt,
    .enlist = neap_future_enlist,
};

static struct neap_future *new_promise(void) {
    struct neap_future *promise = neap_alloc(sizeof *promise);
    CHECK(promise != NULL);
    neap_future_init(promise, &promise_class);
    return promise;
}

static struct neap_outcome *outcome_with(int64_t value) {
    struct neap_outcome *outcome = neap_outcome_new();
    CHECK(outcome != NULL);
    outcome->value = parcel(value);
    return outcome;
}

static struct neap_future *future;
static struct actor a, b;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    future = made(new_promise());
    actor_init(&a, &here);
    actor_init(&b, &here);
    return 0;
}

static int drop(void **state) {
    neap_object_unref(&future->object);
    return tear_down(state);
}

static int await(struct actor *actor, int64_t deadline) { return start(actor, future, NEAP_FUTURE_END, deadline); }

static void waiting_is_over_once_it_has_ended(void **state) {
    (void)state;
    assert_int_equal(neap_future_state(future), NEAP_FUTURE_NEW);
    assert_false(neap_future_has_ended(future));
    assert_int_equal(await(&a, 0), NEAP_TIMEOUT);
    assert_false(neap_future_end(future, NEAP_FUTURE_DONE, outcome_with(7)));
    assert_int_equal(neap_future_state(future), NEAP_FUTURE_DONE);
    assert_int_equal(await(&a, 0), 0);
    assert_int_equal(await(&b, NEAP_FOREVER), 0);
    int64_t value;
    memcpy(&value, neap_future_outcome(future)->value.parcel->bytes, sizeof value);
    assert_int_equal(value, 7);
}

static void all_that_wait_are_woken_whatever_the_end(void **state) {
    (void)state;
    assert_false(neap_future_is_awaited(future));
    assert_int_equal(await(&a, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(await(&b, NEAP_FOREVER), NEAP_PARKED);
    assert_true(neap_future_is_awaited(future));
    assert_true(neap_future_end(future, NEAP_FUTURE_FAILED, outcome_with(1)));
    assert_int_equal(finish(&a), 0);
    assert_int_equal(finish(&b), 0);
    assert_int_equal(neap_future_state(future), NEAP_FUTURE_FAILED);
}

static void waits_time_out_and_are_cancelled(void **state) {
    (void)state;
    assert_int_equal(act(&a, future, NEAP_FUTURE_END, soon(300)), NEAP_TIMEOUT);
    await(&a, NEAP_FOREVER);
    cancel(&a);
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    assert_false(neap_future_end(future, NEAP_FUTURE_CANCELLED, outcome_with(1)));
}

static void an_outcome_is_not_needed_here(void **state) {
    (void)state;
    if (sharing) return; /* others would read it */
    neap_future_end(future, NEAP_FUTURE_DONE, NULL);
    assert_null(neap_future_outcome(future));
}

/* What a broken pool gives to all of its futures, one of which it refers to. */
static void an_outcome_that_refers_to_its_future_may_be_shared_with_others(void **state) {
    (void)state;
    struct neap_future *other = made(new_promise());
    struct neap_outcome *outcome = neap_outcome_new(), *copy = neap_outcome_new();
    struct neap_parcel *shared = neap_parcel_new(1, 1);
    CHECK(outcome != NULL && copy != NULL && shared != NULL);
    shared->objects[0] = neap_object_ref(&other->object);
    outcome->value.kind = NEAP_MESSAGE_PARCEL;
    outcome->value.parcel = shared;
    neap_message_copy(&copy->value, &outcome->value);
    neap_future_end(other, NEAP_FUTURE_FAILED, copy);
    neap_future_end(future, NEAP_FUTURE_FAILED, outcome);
    neap_object_unref(&other->object);
    const struct neap_parcel *left = neap_future_outcome(future)->value.parcel;
    assert_int_equal(left->object_count, 1);
    assert_ptr_equal(left->objects[0], &other->object);
    assert_int_equal(neap_future_state(other), NEAP_FUTURE_FAILED); /* it is alive */
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_outcome_new());
    neap_outcome_free(NULL);
}

/* --- threads --- */

/* Many join one; some are cancelled, some time out, the first reference goes. */
enum { JOINERS = 6 };

struct joining {
    struct neap_future *future;
    struct actor joiners[JOINERS];
    struct neap_loop *loop;
};

static void begin_joining(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct joining *joining = argument;
    (void)left;
    joining->future = new_promise();
    neap_object_share(&joining->future->object);
    neap_object_ref(&joining->future->object);
    joining->loop = right;
}

static void end_it(void *argument) {
    struct joining *joining = argument;
    dawdle(400);
    neap_future_end(joining->future, NEAP_FUTURE_DONE, outcome_with(5));
    neap_object_unref(&joining->future->object);
}

static void join_it(void *argument) {
    struct joining *joining = argument;
    for (int i = 0; i < JOINERS; i++) {
        actor_init(&joining->joiners[i], joining->loop);
        start(&joining->joiners[i], joining->future, NEAP_FUTURE_END, i % 3 == 0 ? soon(chance(20)) : NEAP_FOREVER);
        dawdle(50);
    }
    for (int i = 1; i < JOINERS; i += 3) cancel(&joining->joiners[i]);
    for (int i = 0; i < JOINERS; i++) {
        int code = finish(&joining->joiners[i]);
        CHECK(code == 0 || (i % 3 == 0 && code == NEAP_TIMEOUT) || (i % 3 == 1 && code == NEAP_CANCELLED));
        if (code == 0) CHECK(neap_future_has_ended(joining->future) && neap_future_outcome(joining->future) != NULL);
    }
    neap_object_unref(&joining->future->object);
}

static void check_joining(void *argument) { (void)argument; /* tear_down counts what is left */ }

static void many_join_one_that_ends_elsewhere(void **state) {
    (void)state;
    struct joining joining;
    run_race(&(struct race){begin_joining, end_it, join_it, check_joining}, &joining, repeated(1500));
}

#define FUTURE_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest future_tests[] = {
        FUTURE_TEST(waiting_is_over_once_it_has_ended),
        FUTURE_TEST(all_that_wait_are_woken_whatever_the_end),
        FUTURE_TEST(waits_time_out_and_are_cancelled),
        FUTURE_TEST(an_outcome_is_not_needed_here),
        FUTURE_TEST(an_outcome_that_refers_to_its_future_may_be_shared_with_others),
        FUTURE_TEST(out_of_memory_is_an_answer),
    };
    const struct CMUnitTest future_races[] = {
        TEST(many_join_one_that_ends_elsewhere),
    };
    return run_local_and_shared(future_tests) + run_once(future_races);
}
