#include "support.h"

#include "sync/semaphore.h"

static struct neap_semaphore *semaphore;
static struct actor a, b, c;
static struct neap_permit permit;

static int make_with(void **state, const struct neap_class *class, int64_t permits) {
    if (set_up(state) != 0) return -1;
    semaphore = made(neap_semaphore_new(class, permits));
    neap_permit_init(&permit, semaphore);
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    return 0;
}

static int make(void **state) { return make_with(state, &neap_semaphore_class, 1); }

static int make_bounded(void **state) { return make_with(state, &neap_bounded_semaphore_class, 2); }

static int drop(void **state) {
    neap_object_unref(&semaphore->object);
    return tear_down(state);
}

static int acquire(struct actor *actor, int64_t deadline) {
    return start(actor, semaphore, NEAP_SEMAPHORE_ACQUIRE, deadline);
}

static int hold(struct actor *actor, int64_t deadline) {
    actor->links[0].hold = &permit.hold;
    return start(actor, semaphore, NEAP_SEMAPHORE_HOLD, deadline);
}

static void takes_a_permit_at_once(void **state) {
    (void)state;
    assert_int_equal(neap_semaphore_value(semaphore), 1);
    assert_int_equal(acquire(&a, NEAP_FOREVER), 0);
    assert_int_equal(neap_semaphore_value(semaphore), 0);
    assert_int_equal(acquire(&a, 0), NEAP_TIMEOUT);
    assert_int_equal(neap_semaphore_release(semaphore, 1), 0);
    assert_int_equal(acquire(&a, 0), 0);
}

static void serves_waiters_in_order_of_arrival(void **state) {
    (void)state;
    acquire(&a, NEAP_FOREVER);
    acquire(&b, NEAP_FOREVER);
    acquire(&c, NEAP_FOREVER);
    neap_semaphore_release(semaphore, 1);
    assert_int_equal(acquire(&a, 0), NEAP_TIMEOUT); /* it is b's */
    settle(&here);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(outcome(&c), NEAP_PARKED);
    neap_semaphore_release(semaphore, 1);
    assert_int_equal(finish(&c), 0);
    assert_int_equal(neap_semaphore_value(semaphore), 0);
}

static void releases_many_at_once(void **state) {
    (void)state;
    acquire(&a, NEAP_FOREVER);
    acquire(&a, NEAP_FOREVER);
    acquire(&b, NEAP_FOREVER);
    assert_int_equal(neap_semaphore_release(semaphore, 5), 0);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(finish(&b), 0);
    assert_int_equal(neap_semaphore_value(semaphore), 3);
}

static void a_wait_times_out(void **state) {
    (void)state;
    acquire(&a, NEAP_FOREVER);
    acquire(&b, PASSED);
    assert_int_equal(finish(&b), NEAP_TIMEOUT);
    assert_int_equal(act(&b, semaphore, NEAP_SEMAPHORE_ACQUIRE, soon(300)), NEAP_TIMEOUT);
    neap_semaphore_release(semaphore, 1);
    assert_int_equal(neap_semaphore_value(semaphore), 1);
}

static void a_cancelled_wait_is_passed_over(void **state) {
    (void)state;
    acquire(&a, NEAP_FOREVER);
    acquire(&b, NEAP_FOREVER);
    acquire(&c, NEAP_FOREVER);
    cancel(&b);
    neap_semaphore_release(semaphore, 1);
    assert_int_equal(finish(&b), NEAP_CANCELLED);
    assert_int_equal(finish(&c), 0);
    assert_int_equal(neap_semaphore_value(semaphore), 0);
}

static void a_permit_of_nobody_stays_out_when_its_taker_ends(void **state) {
    (void)state;
    acquire(&a, NEAP_FOREVER);
    actor_end(&a);
    assert_int_equal(neap_semaphore_value(semaphore), 0);
}

static void a_held_permit_is_returned(void **state) {
    (void)state;
    assert_int_equal(hold(&a, NEAP_FOREVER), 0);
    assert_int_equal(neap_semaphore_value(semaphore), 0);
    assert_true(neap_permit_return(&permit));
    assert_int_equal(neap_semaphore_value(semaphore), 1);
    assert_false(neap_permit_return(&permit));
    assert_int_equal(neap_semaphore_value(semaphore), 1);
}

static void a_held_permit_returns_when_its_holder_ends(void **state) {
    (void)state;
    hold(&a, NEAP_FOREVER);
    acquire(&b, NEAP_FOREVER);
    actor_end(&a);
    assert_int_equal(finish(&b), 0);
    assert_false(neap_permit_return(&permit));
    assert_int_equal(neap_semaphore_value(semaphore), 0);
}

static void a_permit_held_after_parking_is_in_the_name_of_who_waited(void **state) {
    (void)state;
    acquire(&b, NEAP_FOREVER);
    assert_int_equal(hold(&a, NEAP_FOREVER), NEAP_PARKED);
    assert_false(neap_permit_return(&permit)); /* not held yet */
    neap_semaphore_release(semaphore, 1);
    assert_int_equal(finish(&a), 0);
    actor_end(&a);
    assert_int_equal(neap_semaphore_value(semaphore), 1);
}

static void a_hold_that_timed_out_holds_nothing(void **state) {
    (void)state;
    acquire(&b, NEAP_FOREVER);
    assert_int_equal(hold(&a, 0), NEAP_TIMEOUT);
    hold(&a, PASSED);
    assert_int_equal(finish(&a), NEAP_TIMEOUT);
    assert_false(neap_permit_return(&permit));
    actor_end(&a);
    assert_int_equal(neap_semaphore_value(semaphore), 0);
}

static void a_holder_keeps_it_alive(void **state) {
    (void)state;
    struct neap_semaphore *kept = semaphore;
    hold(&a, NEAP_FOREVER);
    semaphore = made(neap_semaphore_new(&neap_semaphore_class, 0));
    neap_object_unref(&kept->object);
    assert_true(neap_permit_return(&permit));
}

static void counts_are_checked(void **state) {
    (void)state;
    assert_int_equal(neap_semaphore_release(semaphore, 0), NEAP_RANGE);
    assert_int_equal(neap_semaphore_release(semaphore, -1), NEAP_RANGE);
    assert_int_equal(neap_semaphore_release(semaphore, INT64_MAX), NEAP_RANGE);
    assert_int_equal(neap_semaphore_release(semaphore, INT64_MAX - 1), 0);
    assert_int_equal(neap_semaphore_release(semaphore, 1), NEAP_RANGE);
    assert_int_equal(neap_semaphore_value(semaphore), INT64_MAX);
}

static void a_bounded_one_never_has_more_than_at_first(void **state) {
    (void)state;
    assert_int_equal(neap_semaphore_release(semaphore, 1), NEAP_RANGE);
    acquire(&a, NEAP_FOREVER);
    assert_int_equal(neap_semaphore_release(semaphore, 2), NEAP_RANGE);
    assert_int_equal(neap_semaphore_value(semaphore), 1);
    assert_int_equal(neap_semaphore_release(semaphore, 1), 0);
    assert_int_equal(neap_semaphore_value(semaphore), 2);
}

static void the_bound_holds_whatever_returns(void **state) {
    (void)state;
    hold(&a, NEAP_FOREVER);
    neap_semaphore_release(semaphore, 1); /* a permit that nobody took */
    actor_end(&a);
    assert_int_equal(neap_semaphore_value(semaphore), 2);
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_semaphore_new(&neap_semaphore_class, 1));
    acquire(&a, NEAP_FOREVER);
    neap_memory_fail_after(0);
    assert_int_equal(acquire(&b, soon(1000)), NEAP_NOMEM);
    neap_memory_fail_after(-1);
    neap_semaphore_release(semaphore, 1);
    assert_int_equal(neap_semaphore_value(semaphore), 1);
}

/* --- threads --- */

/* A permit is released just as its waiter times out or is cancelled: the waiter has it, or it is there for the next. */
struct release_race {
    struct neap_semaphore *semaphore;
    struct actor first, next;
    struct neap_loop *loop;
    bool cancels;
    int64_t released;
};

static void begin_release(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct release_race *race = argument;
    (void)right;
    race->semaphore = neap_semaphore_new(&neap_semaphore_class, 0);
    neap_object_share(&race->semaphore->object);
    race->loop = left;
    race->cancels = chance(2) == 0;
    race->released = 1 + chance(2);
}

static void wait_for_permit(void *argument) {
    struct release_race *race = argument;
    actor_init(&race->first, race->loop);
    actor_init(&race->next, race->loop);
    start(&race->first, race->semaphore, NEAP_SEMAPHORE_ACQUIRE, race->cancels ? NEAP_FOREVER : soon(chance(20)));
    start(&race->next, race->semaphore, NEAP_SEMAPHORE_ACQUIRE, NEAP_FOREVER);
    dawdle(100);
    if (race->cancels) cancel(&race->first);
    finish(&race->first);
}

static void release_some(void *argument) {
    struct release_race *race = argument;
    dawdle(600);
    CHECK(neap_semaphore_release(race->semaphore, race->released) == 0);
}

static void check_release(void *argument) {
    struct release_race *race = argument;
    int got_first = outcome(&race->first) == 0;
    /* first did not take it, or two were released: next has one */
    if (!got_first || race->released == 2) {
        assert_int_equal(finish(&race->next), 0);
        assert_int_equal(neap_semaphore_value(race->semaphore), race->released - 1 - got_first);
    } else {
        assert_int_equal(outcome(&race->next), NEAP_PARKED);
        cancel(&race->next);
        finish(&race->next);
        assert_int_equal(neap_semaphore_value(race->semaphore), 0);
    }
    neap_object_unref(&race->semaphore->object);
}

static void a_permit_is_never_lost_to_a_wait_that_gives_up(void **state) {
    (void)state;
    struct release_race race;
    run_race(&(struct race){begin_release, wait_for_permit, release_some, check_release}, &race, repeated(1500));
}

struct traffic {
    struct neap_semaphore *semaphore;
    atomic_int inside;
    int rounds;
};

static void pass(void *argument) {
    struct traffic *traffic = argument;
    struct actor actor;
    actor_init(&actor, chance(2) == 0 ? neap_loop_here : NULL);
    for (int i = 0; i < traffic->rounds; i++) {
        int64_t deadline = chance(4) == 0 ? soon(chance(20)) : NEAP_FOREVER;
        if (act(&actor, traffic->semaphore, NEAP_SEMAPHORE_ACQUIRE, deadline) != 0) continue;
        CHECK(atomic_fetch_add(&traffic->inside, 1) < 2);
        dawdle(20);
        atomic_fetch_sub(&traffic->inside, 1);
        CHECK(neap_semaphore_release(traffic->semaphore, 1) == 0);
    }
}

static void no_more_than_its_permits_are_inside(void **state) {
    (void)state;
    struct traffic traffic = {neap_semaphore_new(&neap_bounded_semaphore_class, 2), 0, repeated(10000)};
    struct helper helpers[4];
    neap_object_share(&traffic.semaphore->object);
    for (int i = 0; i < 4; i++) helper_start(&helpers[i], pass, &traffic);
    for (int i = 0; i < 4; i++) helper_join(&helpers[i]);
    assert_int_equal(neap_semaphore_value(traffic.semaphore), 2);
    neap_object_unref(&traffic.semaphore->object);
}

#define PLAIN(function) cmocka_unit_test_setup_teardown(function, make, drop)
#define BOUNDED(function) cmocka_unit_test_setup_teardown(function, make_bounded, drop)

int main(void) {
    const struct CMUnitTest semaphore_tests[] = {
        PLAIN(takes_a_permit_at_once),
        PLAIN(serves_waiters_in_order_of_arrival),
        PLAIN(releases_many_at_once),
        PLAIN(a_wait_times_out),
        PLAIN(a_cancelled_wait_is_passed_over),
        PLAIN(a_permit_of_nobody_stays_out_when_its_taker_ends),
        PLAIN(a_held_permit_is_returned),
        PLAIN(a_held_permit_returns_when_its_holder_ends),
        PLAIN(a_permit_held_after_parking_is_in_the_name_of_who_waited),
        PLAIN(a_hold_that_timed_out_holds_nothing),
        PLAIN(a_holder_keeps_it_alive),
        PLAIN(counts_are_checked),
        BOUNDED(a_bounded_one_never_has_more_than_at_first),
        BOUNDED(the_bound_holds_whatever_returns),
        PLAIN(out_of_memory_is_an_answer),
    };
    const struct CMUnitTest semaphore_races[] = {
        TEST(a_permit_is_never_lost_to_a_wait_that_gives_up),
        TEST(no_more_than_its_permits_are_inside),
    };
    return run_local_and_shared(semaphore_tests) + run_once(semaphore_races);
}
