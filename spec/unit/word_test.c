/* Locks of another process, acquired in their word. */
#include "processes.h"

#include "sync/condition.h"
#include "sync/lock.h"

static struct neap_lock *new_lock(void) { return made(neap_lock_new(&neap_lock_class)); }

/* Acquires at once: nothing has to be asked. */
static void acquire_now(struct actor *actor, void *lock, int expected) {
    assert_int_equal(start(actor, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER), expected);
}

static void is_acquired_and_released_without_asking(void **state) {
    (void)state;
    struct neap_lock *lock = new_lock();
    struct neap_proxy *proxy = away(lock);
    for (int i = 0; i < 3; i++) {
        acquire_now(&a, proxy, 0);
        assert_non_null(neap_lock_holder(lock));
        assert_int_equal(start(&a, proxy, NEAP_LOCK_ACQUIRE, NEAP_FOREVER), NEAP_HELD);
        assert_int_equal(neap_holding_release(proxy, &b.owner), NEAP_NOT_OWNER);
        assert_int_equal(neap_holding_release(proxy, &a.owner), 0);
        assert_null(neap_lock_holder(lock));
        acquire_now(&b, lock, 0);
        assert_int_equal(neap_lock_release(lock, &b.owner), 0);
    }
    unref(proxy);
    unref(lock);
}

static void levels_of_an_rlock_are_counted(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_rlock_class));
    struct neap_proxy *proxy = away(lock);
    acquire_now(&a, proxy, 0);
    acquire_now(&a, proxy, 0);
    neap_holding_release(proxy, &a.owner);
    assert_non_null(neap_lock_holder(lock));
    neap_holding_release(proxy, &a.owner);
    assert_null(neap_lock_holder(lock));
    unref(proxy);
    unref(lock);
}

static void who_waits_for_it_is_served_in_turn(void **state) {
    (void)state;
    struct neap_lock *lock = new_lock();
    struct neap_proxy *proxy = away(lock);
    acquire_now(&a, proxy, 0);
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    start(&c, proxy, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&b), NEAP_PARKED);
    assert_int_equal(after(&c), NEAP_PARKED);
    neap_holding_release(proxy, &a.owner);
    assert_int_equal(after(&b), 0);
    assert_int_equal(start(&a, proxy, NEAP_LOCK_ACQUIRE, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(after(&c), NEAP_PARKED);
    neap_lock_release(lock, &b.owner);
    assert_int_equal(after(&c), 0);
    assert_int_equal(after(&a), NEAP_PARKED);
    neap_holding_release(proxy, &c.owner);
    assert_int_equal(after(&a), 0);
    neap_holding_release(proxy, &a.owner);
    deliver();
    assert_null(neap_lock_holder(lock));
    unref(proxy);
    unref(lock);
}

static void moves_while_it_is_held_and_waited_for(void **state) {
    (void)state;
    struct neap_lock *lock = new_lock();
    acquire_now(&a, lock, 0);
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    struct neap_proxy *proxy = away(lock);
    start(&c, proxy, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&c), NEAP_PARKED);
    assert_int_equal(neap_lock_release(lock, &a.owner), 0);
    assert_int_equal(after(&b), 0);
    assert_int_equal(neap_lock_release(lock, &b.owner), 0);
    assert_int_equal(after(&c), 0);
    neap_holding_release(proxy, &c.owner);
    deliver();
    unref(proxy);
    unref(lock);
}

static void a_holder_that_ends_leaves_it_abandoned(void **state) {
    (void)state;
    struct neap_lock *lock = new_lock();
    struct neap_proxy *proxy = away(lock);
    acquire_now(&a, proxy, 0);
    actor_end(&a);
    acquire_now(&b, lock, NEAP_ABANDONED);
    neap_lock_release(lock, &b.owner);
    acquire_now(&a, proxy, 0);
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    actor_end(&a);
    assert_int_equal(after(&b), NEAP_ABANDONED);
    actor_end(&b);
    acquire_now(&a, proxy, NEAP_ABANDONED);
    neap_holding_release(proxy, &a.owner);
    unref(proxy);
    unref(lock);
}

static void a_process_that_dies_leaves_it_abandoned(void **state) {
    (void)state;
    struct neap_lock *lock = new_lock(), *waited = new_lock();
    struct neap_proxy *proxy = away(lock), *of_waited = away(waited);
    acquire_now(&a, proxy, 0);
    acquire_now(&a, of_waited, 0);
    start(&b, waited, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    kill_link(0);
    assert_int_equal(after(&b), NEAP_ABANDONED);
    acquire_now(&c, lock, NEAP_ABANDONED);
    actor_end(&a); /* harmless */
    neap_lock_release(lock, &c.owner);
    neap_lock_release(waited, &b.owner);
    unref(proxy);
    unref(of_waited);
    unref(lock);
    unref(waited);
}

static void what_is_acquired_after_the_end_is_nobodys(void **state) {
    (void)state;
    struct neap_lock *lock = new_lock();
    struct neap_proxy *proxy = away(lock);
    struct neap_owner dying;
    uint64_t held = neap_lock_word(proxy->holding.party, &dying);
    kill_link(0);
    atomic_store((_Atomic uint64_t *)proxy->holding.word.at, held);
    assert_int_equal(act(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER), NEAP_ABANDONED);
    neap_lock_release(lock, &b.owner);
    unref(proxy);
    unref(lock);
}

static void is_broken_when_its_process_is_gone(void **state) {
    (void)state;
    struct neap_lock *lock = new_lock();
    struct neap_proxy *proxy = away(lock);
    kill_link(0);
    start(&a, proxy, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&a), NEAP_BROKEN);
    unref(proxy);
    unref(lock);
}

static void is_asked_for_through_a_process_in_between(void **state) {
    (void)state;
    struct neap_lock *lock = new_lock();
    struct neap_proxy *proxy = away(lock), *next = farther(lock);
    acquire_now(&a, proxy, 0);
    start(&b, next, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&b), NEAP_PARKED);
    neap_holding_release(proxy, &a.owner);
    assert_int_equal(after(&b), 0);
    start(&a, proxy, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&a), NEAP_PARKED);
    neap_holding_release(next, &b.owner);
    assert_int_equal(after(&a), 0);
    neap_holding_release(proxy, &a.owner);
    deliver();
    assert_null(neap_lock_holder(lock));
    unref(next);
    unref(proxy);
    unref(lock);
}

static void who_waits_on_a_condition_is_there_before_the_lock_is_free(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_rlock_class));
    struct neap_condition *condition = made(neap_condition_new(lock));
    struct neap_proxy *there = away(condition), *of_lock = neap_proxy_of(there->constants.parts[0]);
    acquire_now(&a, of_lock, 0);
    start(&a, there, NEAP_CONDITION_WAIT, NEAP_FOREVER);
    assert_int_equal(neap_holding_release_all(of_lock, &a.owner), 1);
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(outcome(&b), NEAP_PARKED);
    assert_int_equal(after(&b), 0);
    assert_int_equal(neap_condition_notify(condition, &b.owner, 1), 0);
    neap_lock_release(lock, &b.owner);
    assert_int_equal(after(&a), 0);
    unref(there);
    unref(condition);
    unref(lock);
}

/* Does what the hubs of both processes do, while the main thread waits for an answer. */
static void be_hubs(void *argument) {
    _Atomic bool *over = argument;
    while (!atomic_load(over)) deliver();
}

static void a_holder_has_itself_adopted(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_rlock_class));
    struct neap_proxy *proxy = away(lock);
    struct helper helper;
    _Atomic bool over = false;
    acquire_now(&a, proxy, 0);
    const struct neap_owner *before = neap_lock_holder(lock);
    helper_start(&helper, be_hubs, &over);
    assert_int_equal(neap_holding_tell(proxy, &a.owner), 0);
    assert_int_equal(neap_holding_tell(proxy, &a.owner), 0);
    atomic_store(&over, true);
    helper_join(&helper);
    assert_ptr_not_equal(neap_lock_holder(lock), before);
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    neap_holding_release(proxy, &a.owner);
    assert_int_equal(after(&b), 0);
    neap_lock_release(lock, &b.owner);
    acquire_now(&a, proxy, 0);
    neap_holding_release(proxy, &a.owner);
    unref(proxy);
    unref(lock);
}

int main(void) {
    const struct CMUnitTest words[] = {
        PROCESSES_TEST(is_acquired_and_released_without_asking),
        PROCESSES_TEST(levels_of_an_rlock_are_counted),
        PROCESSES_TEST(who_waits_for_it_is_served_in_turn),
        PROCESSES_TEST(moves_while_it_is_held_and_waited_for),
        PROCESSES_TEST(a_holder_that_ends_leaves_it_abandoned),
        PROCESSES_TEST(a_process_that_dies_leaves_it_abandoned),
        PROCESSES_TEST(what_is_acquired_after_the_end_is_nobodys),
        PROCESSES_TEST(is_broken_when_its_process_is_gone),
        PROCESSES_TEST(is_asked_for_through_a_process_in_between),
        PROCESSES_TEST(who_waits_on_a_condition_is_there_before_the_lock_is_free),
        PROCESSES_TEST(a_holder_has_itself_adopted),
    };
    return run_once(words);
}
