#include "support.h"

#include "sync/condition.h"

static struct neap_lock *lock;
static struct neap_condition *condition;
static struct actor a, b, c;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    lock = neap_lock_new(&neap_rlock_class);
    condition = made(neap_condition_new(lock)); /* shares the lock too */
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    return 0;
}

static int drop(void **state) {
    neap_object_unref(&condition->object);
    neap_object_unref(&lock->object);
    return tear_down(state);
}

static int acquire(struct actor *actor) { return start(actor, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER); }

static void release(struct actor *actor) { CHECK(neap_lock_release(lock, &actor->owner) == 0); }

/* Begins to wait; *depth is to be given to rejoin. */
static int begin(struct actor *actor, int64_t deadline, uint32_t *depth) {
    actor->deadline = deadline;
    actor->code = neap_condition_begin(condition, &actor->wait, &actor->links[0], deadline, depth);
    return outcome(actor);
}

/* The rest of a wait: ends it, acquires the lock again. Returns how the wait ended. */
static int rejoin(struct actor *actor, uint32_t depth) {
    int code = finish(actor);
    CHECK(act(actor, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER) == 0);
    neap_lock_restore(lock, depth);
    return code;
}

static int notify(struct actor *actor, size_t count) { return neap_condition_notify(condition, &actor->owner, count); }

static void waiting_gives_the_lock_up_and_takes_it_again(void **state) {
    (void)state;
    uint32_t depth;
    acquire(&a);
    acquire(&a);
    assert_int_equal(begin(&a, NEAP_FOREVER, &depth), NEAP_PARKED);
    assert_null(neap_lock_holder(lock));
    acquire(&b);
    assert_int_equal(notify(&b, 1), 0);
    release(&b);
    assert_int_equal(rejoin(&a, depth), 0);
    release(&a);
    assert_true(neap_lock_is_held_by(lock, &a.owner)); /* both levels are back */
    release(&a);
    assert_null(neap_lock_holder(lock));
}

static void notifying_wakes_as_many_as_were_asked_for_in_order(void **state) {
    (void)state;
    uint32_t depth[3];
    acquire(&a);
    begin(&a, NEAP_FOREVER, &depth[0]);
    acquire(&b);
    begin(&b, NEAP_FOREVER, &depth[1]);
    acquire(&c);
    begin(&c, NEAP_FOREVER, &depth[2]);
    struct actor d;
    actor_init(&d, &here);
    acquire(&d);
    assert_int_equal(notify(&d, 0), 0);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_PARKED);
    notify(&d, 2);
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(outcome(&c), NEAP_PARKED);
    notify(&d, NEAP_CONDITION_ALL);
    settle(&here);
    assert_int_equal(outcome(&c), 0);
    assert_int_equal(notify(&d, NEAP_CONDITION_ALL), 0);
    release(&d);
}

static void only_a_holder_waits_or_notifies(void **state) {
    (void)state;
    uint32_t depth;
    assert_int_equal(begin(&a, NEAP_FOREVER, &depth), NEAP_NOT_OWNER);
    assert_int_equal(notify(&a, 1), NEAP_NOT_OWNER);
    acquire(&b);
    assert_int_equal(begin(&a, NEAP_FOREVER, &depth), NEAP_NOT_OWNER);
    assert_int_equal(notify(&a, 1), NEAP_NOT_OWNER);
    release(&b);
}

static void a_timeout_takes_the_lock_again_too(void **state) {
    (void)state;
    uint32_t depth;
    acquire(&a);
    assert_int_equal(begin(&a, PASSED, &depth), NEAP_PARKED);
    assert_null(neap_lock_holder(lock));
    assert_int_equal(rejoin(&a, depth), NEAP_TIMEOUT);
    assert_true(neap_lock_is_held_by(lock, &a.owner));
    assert_int_equal(begin(&a, 0, &depth), NEAP_TIMEOUT); /* lets others have it for a moment */
    assert_null(neap_lock_holder(lock));
    assert_int_equal(rejoin(&a, depth), NEAP_TIMEOUT);
    release(&a);
}

static void a_notification_passes_over_a_wait_that_gave_up(void **state) {
    (void)state;
    uint32_t depth[2];
    acquire(&a);
    begin(&a, NEAP_FOREVER, &depth[0]);
    acquire(&b);
    begin(&b, NEAP_FOREVER, &depth[1]);
    acquire(&c);
    cancel(&a); /* still in the list */
    notify(&c, 1);
    release(&c);
    assert_int_equal(rejoin(&a, depth[0]), NEAP_CANCELLED);
    release(&a);
    assert_int_equal(rejoin(&b, depth[1]), 0);
    release(&b);
}

static void who_waits_hands_the_lock_to_the_next(void **state) {
    (void)state;
    uint32_t depth;
    acquire(&a);
    acquire(&b);
    begin(&a, NEAP_FOREVER, &depth);
    assert_int_equal(finish(&b), 0);
    notify(&b, 1);
    actor_end(&b);
    finish(&a);
    assert_int_equal(acquire(&a), NEAP_ABANDONED);
    release(&a);
}

static void out_of_memory_leaves_the_lock_held(void **state) {
    (void)state;
    uint32_t depth;
    neap_memory_fail_after(0);
    assert_null(neap_condition_new(lock));
    acquire(&a);
    neap_memory_fail_after(0);
    assert_int_equal(begin(&a, soon(1000), &depth), NEAP_NOMEM);
    assert_true(neap_lock_is_held_by(lock, &a.owner));
    neap_memory_fail_after(-1);
    release(&a);
}

/* --- threads --- */

/* A store of one thing, between two threads. With timeouts and host threads among them. */
struct store {
    int full; /* under the lock */
    int rounds;
};

static void exchange(struct store *store, int turn) {
    struct actor actor;
    actor_init(&actor, chance(2) == 0 ? neap_loop_here : NULL);
    for (int i = 0; i < store->rounds; i++) {
        CHECK(act(&actor, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER) == 0);
        while (store->full != turn) {
            uint32_t depth;
            begin(&actor, chance(8) == 0 ? soon(chance(50)) : NEAP_FOREVER, &depth);
            rejoin(&actor, depth);
        }
        store->full = !turn;
        CHECK(notify(&actor, 1) == 0);
        release(&actor);
    }
}

static void fill(void *argument) { exchange(argument, 0); }

static void empty(void *argument) { exchange(argument, 1); }

static void no_notification_is_lost_between_threads(void **state) {
    (void)state;
    struct store store = {0, repeated(2000)};
    struct helper helpers[2];
    helper_start(&helpers[0], fill, &store);
    helper_start(&helpers[1], empty, &store);
    helper_join(&helpers[0]);
    helper_join(&helpers[1]);
    assert_int_equal(store.full, 0);
}

/* One of two waits gives up while one is notified: then the other one is woken. */
struct notification {
    struct actor first, next, notifier;
    uint32_t depth[2];
    bool cancels;
};

static void begin_notification(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct notification *race = argument;
    actor_init(&race->first, left);
    actor_init(&race->next, left);
    actor_init(&race->notifier, right);
    race->cancels = chance(2) == 0;
    acquire(&race->first);
    begin(&race->first, race->cancels ? NEAP_FOREVER : soon(chance(15)), &race->depth[0]);
    acquire(&race->next);
    begin(&race->next, NEAP_FOREVER, &race->depth[1]);
}

static void give_up_if_not_notified(void *argument) {
    struct notification *race = argument;
    dawdle(200);
    if (race->cancels) cancel(&race->first);
    finish(&race->first);
}

static void notify_one(void *argument) {
    struct notification *race = argument;
    dawdle(300);
    CHECK(act(&race->notifier, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER) == 0);
    CHECK(notify(&race->notifier, 1) == 0);
    release(&race->notifier);
}

static void check_who_was_notified(void *argument) {
    struct notification *race = argument;
    int first = outcome(&race->first);
    if (first == 0) {
        assert_int_equal(outcome(&race->next), NEAP_PARKED);
        cancel(&race->next);
        finish(&race->next);
    } else {
        assert_int_equal(first, race->cancels ? NEAP_CANCELLED : NEAP_TIMEOUT);
        assert_int_equal(finish(&race->next), 0);
    }
}

static void a_notification_is_never_lost_to_a_wait_that_gives_up(void **state) {
    (void)state;
    struct notification race;
    run_race(&(struct race){begin_notification, give_up_if_not_notified, notify_one, check_who_was_notified}, &race,
             repeated(1500));
}

#define CONDITION_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest condition_tests[] = {
        CONDITION_TEST(waiting_gives_the_lock_up_and_takes_it_again),
        CONDITION_TEST(notifying_wakes_as_many_as_were_asked_for_in_order),
        CONDITION_TEST(only_a_holder_waits_or_notifies),
        CONDITION_TEST(a_timeout_takes_the_lock_again_too),
        CONDITION_TEST(a_notification_passes_over_a_wait_that_gave_up),
        CONDITION_TEST(who_waits_hands_the_lock_to_the_next),
        CONDITION_TEST(out_of_memory_leaves_the_lock_held),
    };
    const struct CMUnitTest condition_races[] = {
        CONDITION_TEST(no_notification_is_lost_between_threads),
        CONDITION_TEST(a_notification_is_never_lost_to_a_wait_that_gives_up),
    };
    return run_local_and_shared(condition_tests) + run_once(condition_races);
}
