#include "support.h"

#include <string.h>

#include "sync/event.h"
#include "sync/lock.h"
#include "sync/ring.h"
#include "sync/rwlock.h"

enum { ACTORS = 4, LOCKS = 4 };

static struct neap_rings rings;
static struct actor actors[ACTORS];
static struct neap_ring_waiter waiters[ACTORS];
static struct neap_lock *locks[LOCKS];
static struct neap_rwlock *rwlock;
static char found[64]; /* the members of the last ring, as digits */

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    neap_rings_init(&rings);
    for (int i = 0; i < ACTORS; i++) actor_init(&actors[i], &here);
    for (int i = 0; i < LOCKS; i++) locks[i] = made(neap_lock_new(i % 2 == 0 ? &neap_lock_class : &neap_rlock_class));
    rwlock = made(neap_rwlock_new());
    return 0;
}

/* Everybody ends; what they hold is abandoned, which serves those that wait. */
static int drop(void **state) {
    for (int round = 0; round < ACTORS; round++) {
        for (int i = 0; i < ACTORS; i++) {
            cancel(&actors[i]);
            neap_rings_leave(&rings, &actors[i].wait);
        }
        settle(&here);
    }
    for (int i = 0; i < ACTORS; i++) actor_end(&actors[i]);
    assert_int_equal(rings.count, 0);
    for (int i = 0; i < LOCKS; i++) neap_object_unref(&locks[i]->object);
    neap_object_unref(&rwlock->object);
    return tear_down(state);
}

static void hold(int actor, int lock) {
    assert_int_equal(start(&actors[actor], locks[lock], NEAP_LOCK_ACQUIRE, NEAP_FOREVER), 0);
}

static void note(const struct neap_ring_waiter *member, void *argument) {
    size_t length = strlen(found);
    (void)argument;
    found[length] = (char)('0' + (member - waiters));
    found[length + 1] = '\0';
}

/* The actor, which is parked, is entered: the ring that this closes, or "". */
static const char *enter(int actor) {
    waiters[actor].wait = &actors[actor].wait;
    found[0] = '\0';
    assert_true(neap_rings_concern(&actors[actor].wait));
    bool closed = neap_rings_enter(&rings, &waiters[actor], note, NULL);
    assert_int_equal(closed, found[0] != '\0');
    return found;
}

static const char *want(int actor, int lock) {
    assert_int_equal(start(&actors[actor], locks[lock], NEAP_LOCK_ACQUIRE, NEAP_FOREVER), NEAP_PARKED);
    return enter(actor);
}

static void two_that_want_what_the_other_holds_are_a_ring(void **state) {
    (void)state;
    hold(0, 0);
    hold(1, 1);
    assert_string_equal(want(0, 1), "");
    assert_string_equal(want(1, 0), "10"); /* the one that closes it first, each waits for the next */
}

static void many_are_named_in_the_order_in_which_they_wait(void **state) {
    (void)state;
    for (int i = 0; i < ACTORS; i++) hold(i, i);
    assert_string_equal(want(2, 3), "");
    assert_string_equal(want(0, 1), "");
    assert_string_equal(want(1, 2), "");
    assert_string_equal(want(3, 0), "3012");
}

static void a_chain_is_none(void **state) {
    (void)state;
    for (int i = 0; i < ACTORS; i++) hold(i, i);
    for (int i = 0; i + 1 < ACTORS; i++) assert_string_equal(want(i, i + 1), "");
}

static void a_tail_does_not_belong_to_it(void **state) {
    (void)state;
    for (int i = 0; i < ACTORS; i++) hold(i, i);
    assert_string_equal(want(3, 0), "");
    assert_string_equal(want(0, 1), "");
    assert_string_equal(want(1, 0), "10");
    assert_string_equal(want(2, 0), ""); /* waits for the ring; it was told already */
}

static void who_is_not_parked_any_more_breaks_it(void **state) {
    (void)state;
    hold(0, 0);
    hold(1, 1);
    assert_string_equal(want(0, 1), "");
    assert_true(cancel(&actors[0])); /* its thread has not noticed yet */
    assert_string_equal(want(1, 0), "");
}

static void who_was_handed_the_lock_breaks_it(void **state) {
    (void)state;
    hold(0, 0);
    hold(1, 1);
    hold(2, 2);
    assert_string_equal(want(0, 1), "");
    assert_int_equal(neap_lock_release(locks[1], &actors[1].owner), 0); /* to 0, which has not noticed yet */
    hold(1, 3);
    assert_string_equal(want(1, 0), "");
}

static void who_has_left_is_not_in_it(void **state) {
    (void)state;
    hold(0, 0);
    hold(1, 1);
    assert_string_equal(want(0, 1), "");
    cancel(&actors[0]);
    assert_ptr_equal(neap_rings_leave(&rings, &actors[0].wait), &waiters[0]);
    assert_null(neap_rings_leave(&rings, &actors[0].wait));
    settle(&here);
    assert_string_equal(want(1, 0), "");
    assert_string_equal(want(0, 1), "01"); /* once more */
}

static void a_writer_waits_for_every_reader(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        hold(i, i);
        assert_int_equal(start(&actors[i], rwlock, NEAP_RWLOCK_READ, NEAP_FOREVER), 0);
    }
    hold(3, 3);
    assert_string_equal(want(1, 3), "");
    assert_int_equal(start(&actors[3], rwlock, NEAP_RWLOCK_WRITE, NEAP_FOREVER), NEAP_PARKED);
    assert_string_equal(enter(3), "31");
}

static void a_reader_waits_for_the_writer(void **state) {
    (void)state;
    hold(0, 0);
    assert_int_equal(start(&actors[1], rwlock, NEAP_RWLOCK_WRITE, NEAP_FOREVER), 0);
    assert_string_equal(want(1, 0), "");
    assert_int_equal(start(&actors[0], rwlock, NEAP_RWLOCK_READ, NEAP_FOREVER), NEAP_PARKED);
    assert_string_equal(enter(0), "01");
}

static void only_endless_waits_for_locks_of_who_holds_something_concern_it(void **state) {
    (void)state;
    struct neap_event *event = made(neap_event_new());
    hold(0, 0);
    assert_int_equal(start(&actors[1], locks[0], NEAP_LOCK_ACQUIRE, NEAP_FOREVER), NEAP_PARKED);
    assert_false(neap_rings_concern(&actors[1].wait)); /* holds nothing */
    hold(2, 2);
    assert_int_equal(start(&actors[2], locks[0], NEAP_LOCK_ACQUIRE, soon(1000000)), NEAP_PARKED);
    assert_false(neap_rings_concern(&actors[2].wait)); /* has a deadline */
    assert_int_equal(start(&actors[0], event, NEAP_EVENT_WAIT, NEAP_FOREVER), NEAP_PARKED);
    assert_false(neap_rings_concern(&actors[0].wait)); /* no lock */
    cancel(&actors[0]);
    settle(&here);
    neap_object_unref(&event->object);
}

#define RING_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        RING_TEST(two_that_want_what_the_other_holds_are_a_ring),
        RING_TEST(many_are_named_in_the_order_in_which_they_wait),
        RING_TEST(a_chain_is_none),
        RING_TEST(a_tail_does_not_belong_to_it),
        RING_TEST(who_is_not_parked_any_more_breaks_it),
        RING_TEST(who_was_handed_the_lock_breaks_it),
        RING_TEST(who_has_left_is_not_in_it),
        RING_TEST(a_writer_waits_for_every_reader),
        RING_TEST(a_reader_waits_for_the_writer),
        RING_TEST(only_endless_waits_for_locks_of_who_holds_something_concern_it),
    };
    return run_local_and_shared(tests);
}
