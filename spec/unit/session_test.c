/* Objects, and waits on them, in several processes. */
#include "processes.h"

#include "sync/condition.h"
#include "sync/event.h"
#include "sync/lock.h"
#include "sync/queue.h"
#include "sync/rwlock.h"
#include "sync/semaphore.h"

/* --- references --- */

static void an_object_has_one_proxy_and_comes_home_as_itself(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(3);
    struct neap_proxy *proxy = away(channel), *again = away(channel);
    assert_ptr_equal(proxy, again);
    assert_int_equal(proxy->constants.numbers[0], 3);
    void *back = home(proxy);
    assert_ptr_equal(back, channel);
    unref(back);
    unref(again);
    unref(proxy);
    assert_int_equal(atomic_load(&channel->object.refs), 2); /* exported still */
    deliver();
    assert_int_equal(atomic_load(&channel->object.refs), 1);
    unref(channel);
}

static void a_reference_under_way_keeps_the_object_while_its_proxy_ends(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0);
    struct neap_proxy *proxy = away(channel);
    struct neap_message message = {.kind = NEAP_MESSAGE_OBJECT};
    struct neap_packer packer;
    struct neap_unpacker unpacker;
    message.object = &channel->object;
    neap_packer_init(&packer, wires[0][0]);
    neap_pack_message(&packer, &message);
    unref(proxy);
    unref(channel);
    deliver();
    const struct neap_wire_frame frame = {.bytes = packer.bytes, .size = packer.used};
    neap_unpacker_init(&unpacker, wires[0][1], &frame);
    neap_message_clear(&message);
    neap_unpack_message(&unpacker, &message);
    neap_packer_fini(&packer);
    assert_int_equal(unpacker.code, 0);
    void *back = home(message.object);
    assert_ptr_equal(back, channel);
    unref(back);
    neap_message_fini(&message);
    deliver();
}

static void parts_travel_with_their_object(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_rlock_class));
    struct neap_condition *condition = made(neap_condition_new(lock));
    struct neap_proxy *proxy = away(condition), *of_lock = away(lock);
    assert_ptr_equal(proxy->constants.parts[0], of_lock);
    unref(of_lock);
    unref(proxy);
    unref(condition);
    unref(lock);
}

/* --- waits --- */

static void a_value_reaches_who_waits_elsewhere(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0);
    void *proxy = away(channel);
    assert_int_equal(start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(after(&a), NEAP_PARKED);
    send_now(&b, channel, 7);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 7);
    unref(proxy);
    unref(channel);
}

static void a_value_comes_from_elsewhere(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0);
    void *proxy = away(channel);
    start(&a, channel, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    send_now(&b, proxy, 8);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 8);
    unref(proxy);
    unref(channel);
}

static void two_of_another_process_meet_in_ours(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0);
    void *proxy = away(channel), *next = farther(channel);
    start(&a, next, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(after(&a), NEAP_PARKED);
    send_now(&b, proxy, 9);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 9);
    start(&b, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    deliver();
    send_now(&a, next, 10);
    assert_int_equal(after(&b), 0);
    assert_int_equal(received(&b), 10);
    unref(next);
    unref(proxy);
    unref(channel);
}

static void what_is_not_to_wait_is_told_so(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    void *next = farther(channel);
    start(&a, next, NEAP_CHANNEL_RECV | NEAP_OP_TRY, NEAP_FOREVER);
    assert_int_equal(after(&a), NEAP_TIMEOUT);
    send_now(&b, channel, 1);
    start(&a, next, NEAP_CHANNEL_RECV | NEAP_OP_TRY, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 1);
    unref(next);
    unref(channel);
}

static void a_wait_that_is_over_takes_nothing(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0);
    void *next = farther(channel);
    start(&a, next, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    deliver();
    assert_true(cancel(&a)); /* and the withdrawal has not arrived */
    add_link(&b, 0, channel, NEAP_CHANNEL_SEND)->message = parcel(3);
    assert_int_equal(start_links(&b, 1, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    assert_int_equal(after(&b), NEAP_PARKED);
    start(&a, next, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 3);
    assert_int_equal(after(&b), 0);
    unref(next);
    unref(channel);
}

static void a_wait_that_is_over_before_its_request_arrives_takes_nothing(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    void *proxy = away(channel);
    send_now(&b, channel, 4);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_true(cancel(&a));
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    deliver();
    assert_int_equal(neap_channel_length(channel), 1);
    unref(proxy);
    unref(channel);
}

static void closing_tells_who_waits_elsewhere_with_the_reason(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0);
    void *next = farther(channel);
    struct neap_message reason = integer(77);
    start(&a, next, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    deliver();
    neap_channel_close(channel, &reason);
    assert_int_equal(after(&a), NEAP_CLOSED);
    assert_int_equal(received(&a), 77);
    unref(next);
    unref(channel);
}

static void a_select_takes_from_here_or_from_there(void **state) {
    (void)state;
    struct neap_channel *there = new_channel(0), *own = new_channel(0);
    void *next = farther(there);
    for (int i = 0; i < 2; i++) {
        add_link(&a, 0, next, NEAP_CHANNEL_RECV);
        add_link(&a, 1, own, NEAP_CHANNEL_RECV);
        assert_int_equal(start_links(&a, 2, NEAP_FOREVER), NEAP_PARKED);
        deliver();
        send_now(&b, i == 0 ? there : own, i);
        deliver();
        settle(&here);
        assert_int_equal(a.code, i);
        assert_int_equal(value_of(&a.links[i].message), i);
        deliver();
    }
    assert_true(neap_list_is_empty(&there->receivers));
    unref(next);
    unref(own);
    unref(there);
}

static void a_select_on_both_sides_of_a_rendezvous_does_not_meet_itself(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0);
    void *proxy = away(channel);
    for (int i = 0; i < 2; i++) {
        struct actor *actor = i == 0 ? &a : &b;
        add_link(actor, 0, proxy, NEAP_CHANNEL_RECV);
        add_link(actor, 1, proxy, NEAP_CHANNEL_SEND)->message = parcel(i);
        start_links(actor, 2, NEAP_FOREVER);
        deliver();
        settle(&here);
        assert_int_equal(actor->code == NEAP_PARKED, i == 0);
    }
    deliver();
    settle(&here);
    assert_int_equal(a.code + b.code, 1); /* one received, one sent */
    struct actor *receiver = a.code == 0 ? &a : &b, *sender = a.code == 0 ? &b : &a;
    assert_int_equal(received(receiver), receiver == &a ? 1 : 0);
    neap_message_fini(&receiver->links[1].message);
    neap_message_fini(&sender->links[1].message);
    unref(proxy);
    unref(channel);
}

static void events_and_joins_are_waited_for(void **state) {
    (void)state;
    struct neap_event *event = made(neap_event_new());
    struct neap_queue *queue = made(neap_queue_new(0, NEAP_FIFO));
    void *of_event = farther(event), *of_queue = farther(queue);
    send_now(&c, queue, 1);
    start(&a, of_event, NEAP_EVENT_WAIT, NEAP_FOREVER);
    start(&b, of_queue, NEAP_QUEUE_JOIN, NEAP_FOREVER);
    assert_int_equal(after(&a), NEAP_PARKED);
    neap_event_set(event);
    neap_queue_task_done(queue);
    assert_int_equal(after(&a), 0);
    assert_int_equal(after(&b), 0);
    unref(of_event);
    unref(of_queue);
    unref(event);
    unref(queue);
}

/* --- holding --- */

static void a_lock_is_held_from_elsewhere(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_lock_class));
    struct neap_proxy *next = farther(lock);
    start(&a, next, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_true(neap_holding_is_by(next, &a.owner));
    assert_int_equal(start(&a, next, NEAP_LOCK_ACQUIRE, NEAP_FOREVER), NEAP_HELD);
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&b), NEAP_PARKED);
    assert_int_equal(neap_holding_release(next, &b.owner), NEAP_NOT_OWNER);
    assert_int_equal(neap_holding_release(next, &a.owner), 0);
    assert_int_equal(after(&b), 0);
    start(&a, next, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&a), NEAP_PARKED);
    neap_lock_release(lock, &b.owner);
    assert_int_equal(after(&a), 0);
    actor_end(&a);
    deliver();
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&b), NEAP_ABANDONED);
    neap_lock_release(lock, &b.owner);
    unref(next);
    unref(lock);
}

static void levels_of_an_rlock_are_counted_where_it_is_held(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_rlock_class));
    struct neap_proxy *proxy = away(lock);
    start(&a, proxy, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_int_equal(start(&a, proxy, NEAP_LOCK_ACQUIRE, NEAP_FOREVER), 0);
    neap_holding_release(proxy, &a.owner);
    deliver();
    assert_non_null(neap_lock_holder(lock));
    neap_holding_release(proxy, &a.owner);
    deliver();
    assert_null(neap_lock_holder(lock));
    unref(proxy);
    unref(lock);
}

static void a_rwlock_is_read_and_written_from_elsewhere(void **state) {
    (void)state;
    struct neap_rwlock *rwlock = made(neap_rwlock_new());
    struct neap_proxy *next = farther(rwlock);
    start(&a, next, NEAP_RWLOCK_READ, NEAP_FOREVER);
    start(&b, next, NEAP_RWLOCK_READ, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_int_equal(after(&b), 0);
    assert_int_equal(start(&a, next, NEAP_RWLOCK_READ, NEAP_FOREVER), 0);
    start(&c, next, NEAP_RWLOCK_WRITE, NEAP_FOREVER);
    neap_holding_release_rwlock(next, &a.owner);
    neap_holding_release_rwlock(next, &b.owner);
    assert_int_equal(after(&c), NEAP_PARKED);
    assert_int_equal(neap_holding_release_rwlock(next, &a.owner), 0);
    assert_int_equal(neap_holding_release_rwlock(next, &a.owner), NEAP_NOT_OWNER);
    assert_int_equal(after(&c), 0);
    start(&a, next, NEAP_RWLOCK_READ, NEAP_FOREVER);
    assert_int_equal(after(&a), NEAP_PARKED);
    actor_end(&c);
    assert_int_equal(after(&a), NEAP_ABANDONED);
    actor_end(&a);
    deliver();
    assert_int_equal(neap_rwlock_readers(rwlock), 0);
    unref(next);
    unref(rwlock);
}

static void permits_come_back_with_their_guard(void **state) {
    (void)state;
    struct neap_semaphore *semaphore = made(neap_semaphore_new(&neap_semaphore_class, 2));
    struct neap_proxy *next = farther(semaphore);
    struct neap_permit permits[2];
    for (int i = 0; i < 2; i++) {
        neap_proxy_hold_init(&permits[i].hold, next);
        add_link(&a, 0, next, NEAP_SEMAPHORE_HOLD)->hold = &permits[i].hold;
        start_links(&a, 1, NEAP_FOREVER);
        assert_int_equal(after(&a), 0);
    }
    assert_int_equal(neap_semaphore_value(semaphore), 0);
    assert_true(neap_permit_return(&permits[0]));
    assert_false(neap_permit_return(&permits[0]));
    deliver();
    assert_int_equal(neap_semaphore_value(semaphore), 1);
    actor_end(&a);
    deliver();
    assert_int_equal(neap_semaphore_value(semaphore), 2);
    unref(next);
    unref(semaphore);
}

static void a_condition_is_waited_for_and_notified_from_elsewhere(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_rlock_class));
    struct neap_condition *condition = made(neap_condition_new(lock));
    struct neap_proxy *next = farther(condition);
    struct neap_proxy *of_lock = neap_proxy_of(next->constants.parts[0]);
    start(&a, of_lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    start(&a, next, NEAP_CONDITION_WAIT, NEAP_FOREVER);
    assert_int_equal(neap_holding_release_all(of_lock, &a.owner), 1);
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&b), 0);
    assert_int_equal(after(&a), NEAP_PARKED);
    assert_int_equal(neap_condition_notify(condition, &b.owner, 1), 0);
    neap_lock_release(lock, &b.owner);
    assert_int_equal(after(&a), 0);
    unref(next);
    unref(condition);
    unref(lock);
}

/* --- the end --- */

static void what_was_asked_of_the_dead_is_broken(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0), *own = new_channel(0);
    void *proxy = away(channel);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    add_link(&b, 0, own, NEAP_CHANNEL_RECV);
    add_link(&b, 1, proxy, NEAP_CHANNEL_RECV);
    start_links(&b, 2, NEAP_FOREVER);
    deliver();
    kill_link(0);
    assert_int_equal(after(&a), NEAP_BROKEN);
    assert_int_equal(b.code, 1);
    assert_int_equal(b.links[1].result, NEAP_BROKEN);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(after(&a), NEAP_BROKEN);
    unref(proxy);
    unref(own);
    unref(channel);
}

static void what_the_dead_asked_is_withdrawn(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    void *next = farther(channel);
    start(&a, next, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    deliver();
    kill_link(1);
    assert_true(neap_list_is_empty(&channel->receivers));
    send_now(&b, channel, 5);
    assert_int_equal(neap_channel_length(channel), 1);
    assert_int_equal(after(&a), NEAP_BROKEN);
    unref(next);
    deliver();
    assert_int_equal(atomic_load(&channel->object.refs), 1);
    unref(channel);
}

static void what_the_dead_held_is_given_back(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_lock_class));
    struct neap_semaphore *semaphore = made(neap_semaphore_new(&neap_semaphore_class, 1));
    struct neap_proxy *next = farther(lock), *of_semaphore = farther(semaphore);
    struct neap_permit permit;
    start(&a, next, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    neap_proxy_hold_init(&permit.hold, of_semaphore);
    add_link(&a, 0, of_semaphore, NEAP_SEMAPHORE_HOLD)->hold = &permit.hold;
    start_links(&a, 1, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    kill_link(1);
    assert_int_equal(after(&b), NEAP_ABANDONED);
    assert_int_equal(neap_semaphore_value(semaphore), 1);
    neap_lock_release(lock, &b.owner);
    actor_end(&a); /* harmless */
    unref(next);
    unref(of_semaphore);
    unref(lock);
    unref(semaphore);
}

int main(void) {
    const struct CMUnitTest references[] = {
        PROCESSES_TEST(an_object_has_one_proxy_and_comes_home_as_itself),
        PROCESSES_TEST(a_reference_under_way_keeps_the_object_while_its_proxy_ends),
        PROCESSES_TEST(parts_travel_with_their_object),
    };
    const struct CMUnitTest waits[] = {
        PROCESSES_TEST(a_value_reaches_who_waits_elsewhere),
        PROCESSES_TEST(a_value_comes_from_elsewhere),
        PROCESSES_TEST(two_of_another_process_meet_in_ours),
        PROCESSES_TEST(what_is_not_to_wait_is_told_so),
        PROCESSES_TEST(a_wait_that_is_over_takes_nothing),
        PROCESSES_TEST(a_wait_that_is_over_before_its_request_arrives_takes_nothing),
        PROCESSES_TEST(closing_tells_who_waits_elsewhere_with_the_reason),
        PROCESSES_TEST(a_select_takes_from_here_or_from_there),
        PROCESSES_TEST(a_select_on_both_sides_of_a_rendezvous_does_not_meet_itself),
        PROCESSES_TEST(events_and_joins_are_waited_for),
    };
    const struct CMUnitTest holding[] = {
        PROCESSES_TEST(a_lock_is_held_from_elsewhere),
        PROCESSES_TEST(levels_of_an_rlock_are_counted_where_it_is_held),
        PROCESSES_TEST(a_rwlock_is_read_and_written_from_elsewhere),
        PROCESSES_TEST(permits_come_back_with_their_guard),
        PROCESSES_TEST(a_condition_is_waited_for_and_notified_from_elsewhere),
    };
    const struct CMUnitTest ends[] = {
        PROCESSES_TEST(what_was_asked_of_the_dead_is_broken),
        PROCESSES_TEST(what_the_dead_asked_is_withdrawn),
        PROCESSES_TEST(what_the_dead_held_is_given_back),
    };
    return run_once(references) + run_once(waits) + run_once(holding) + run_once(ends);
}
