/* What was given to a process of another that dies before it has received it. */
#include "processes.h"

#include "host/request.h"
#include "sync/condition.h"
#include "sync/lock.h"
#include "sync/pipe.h"
#include "sync/queue.h"
#include "sync/semaphore.h"

/* --- helpers --- */

/* The process at the top does what it is asked for, and nobody reads its answers. */
static void answer_at_the_top(void) { neap_wire_pump(wires[0][0]); }

/* `actor` asks for `op` of the proxy `next` to what is right above it; it is given something, and does not read that. */
static void be_given(struct actor *actor, void *next, int op) {
    assert_int_equal(start(actor, next, op, NEAP_FOREVER), NEAP_PARKED);
    answer_at_the_top();
}

/* The process below dies; whoever waited there finds out. */
static void die(struct actor *actor) {
    kill_link(0);
    assert_int_equal(after(actor), NEAP_BROKEN);
}

static void take(struct actor *actor, void *channel, int64_t value) {
    assert_int_equal(start(actor, channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), 0);
    assert_int_equal(received(actor), value);
}

static void put(struct actor *actor, void *queue, int64_t value, double priority) {
    struct neap_link *link = add_link(actor, 0, queue, NEAP_QUEUE_PUT);
    link->message = parcel(value);
    link->priority = priority;
    assert_int_equal(start_links(actor, 1, NEAP_FOREVER), 0);
}

static void begin_send(struct actor *actor, void *channel, int64_t value) {
    add_link(actor, 0, channel, NEAP_CHANNEL_SEND)->message = parcel(value);
    start_links(actor, 1, NEAP_FOREVER);
}

/* --- channels --- */

static void what_the_dead_had_not_received_is_there_again_and_first(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel);
    for (int i = 1; i <= 4; i++) send_now(&c, channel, i);
    be_given(&a, proxy, NEAP_CHANNEL_RECV);
    be_given(&b, proxy, NEAP_CHANNEL_RECV);
    take(&c, channel, 3);
    assert_int_equal(neap_channel_length(channel), 1);
    kill_link(0);
    assert_int_equal(neap_channel_length(channel), 3);
    assert_int_equal(after(&a), NEAP_BROKEN);
    assert_int_equal(after(&b), NEAP_BROKEN);
    take(&c, channel, 1);
    take(&c, channel, 2);
    take(&c, channel, 4);
    assert_int_equal(neap_channel_length(channel), 0);
    unref(proxy);
    unref(channel);
}

static void what_the_dead_had_received_is_gone(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel);
    for (int i = 1; i <= 2; i++) send_now(&c, channel, i);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 1);
    kill_link(0);
    assert_int_equal(neap_channel_length(channel), 1);
    take(&c, channel, 2);
    unref(proxy);
    unref(channel);
}

static void it_goes_to_who_waits(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    void *proxy = away(channel);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    answer_at_the_top();
    begin_send(&c, channel, 1); /* claims the wait, and nobody reads the answer */
    assert_int_equal(outcome(&c), 0);
    start(&b, channel, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    die(&a);
    assert_int_equal(after(&b), 0);
    assert_int_equal(received(&b), 1);
    unref(proxy);
    unref(channel);
}

static void what_a_rendezvous_had_handed_over_goes_to_the_next_receiver(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0);
    void *proxy = away(channel);
    begin_send(&c, channel, 1);
    be_given(&a, proxy, NEAP_CHANNEL_RECV);
    settle(&here);
    assert_int_equal(outcome(&c), 0); /* has been told so */
    die(&a);
    assert_int_equal(neap_channel_length(channel), 1);
    begin_send(&c, channel, 2);
    assert_int_equal(after(&c), NEAP_PARKED);
    take(&b, channel, 1);
    assert_int_equal(after(&c), NEAP_PARKED);
    take(&b, channel, 2);
    assert_int_equal(after(&c), 0);
    unref(proxy);
    unref(channel);
}

static void a_full_channel_takes_it_back_and_admits_nobody_until_there_is_room(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    void *proxy = away(channel);
    send_now(&c, channel, 1);
    be_given(&a, proxy, NEAP_CHANNEL_RECV);
    begin_send(&c, channel, 2);
    assert_int_equal(outcome(&c), 0);
    die(&a);
    assert_int_equal(neap_channel_length(channel), 2);
    begin_send(&c, channel, 3);
    assert_int_equal(after(&c), NEAP_PARKED);
    take(&b, channel, 1);
    assert_int_equal(after(&c), NEAP_PARKED);
    take(&b, channel, 2);
    assert_int_equal(after(&c), 0);
    take(&b, channel, 3);
    send_now(&c, channel, 4); /* the quick way is open again */
    take(&b, channel, 4);
    unref(proxy);
    unref(channel);
}

static void a_closed_channel_has_it_to_receive(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    struct neap_message reason = integer(0);
    void *proxy = away(channel);
    send_now(&c, channel, 1);
    be_given(&a, proxy, NEAP_CHANNEL_RECV);
    neap_channel_close(channel, &reason);
    die(&a);
    take(&b, channel, 1);
    assert_int_equal(start(&b, channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_CLOSED);
    unref(proxy);
    unref(channel);
}

static void nobody_who_is_left_receives_it_and_it_goes_with_its_channel(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    void *proxy = away(channel);
    send_now(&c, channel, 1);
    be_given(&a, proxy, NEAP_CHANNEL_RECV);
    die(&a);
    unref(proxy);
    unref(channel); /* tear_down finds what leaks */
}

static void a_select_that_was_given_something_is_as_good(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1), *other = new_channel(1);
    void *proxy = away(channel), *second = away(other);
    send_now(&c, other, 1);
    add_link(&a, 0, proxy, NEAP_CHANNEL_RECV);
    add_link(&a, 1, second, NEAP_CHANNEL_RECV);
    assert_int_equal(start_links(&a, 2, NEAP_FOREVER), NEAP_PARKED);
    answer_at_the_top();
    assert_int_equal(neap_channel_length(other), 0);
    die(&a);
    take(&b, other, 1);
    unref(proxy);
    unref(second);
    unref(channel);
    unref(other);
}

static void who_polls_a_pipe_finds_it(void **state) {
    (void)state;
    struct neap_pipe *reader, *writer;
    assert_int_equal(neap_pipe_new(false, &writer, &reader), 0);
    struct neap_stream *stream = reader->in != NULL ? reader->in : writer->in;
    made(reader);
    made(writer);
    neap_object_ref(&stream->channel.object);
    void *proxy = away(stream);
    send_now(&c, stream, 1);
    be_given(&a, proxy, NEAP_STREAM_RECV);
    assert_int_equal(start(&b, stream, NEAP_STREAM_POLL, NEAP_FOREVER), NEAP_PARKED);
    die(&a);
    assert_int_equal(after(&b), 0);
    take(&b, stream, 1);
    unref(proxy);
    unref(stream);
    unref(reader);
    unref(writer);
}

/* --- queues --- */

static void a_priority_queue_has_it_in_its_place(void **state) {
    (void)state;
    struct neap_queue *queue = made(neap_queue_new(0, NEAP_PRIORITY));
    void *proxy = away(queue);
    put(&c, queue, 5, 5);
    be_given(&a, proxy, NEAP_QUEUE_GET);
    put(&c, queue, 3, 3);
    be_given(&b, proxy, NEAP_QUEUE_GET);
    put(&c, queue, 1, 1);
    put(&c, queue, 4, 4);
    put(&c, queue, 50, 5);
    kill_link(0);
    assert_int_equal(after(&a), NEAP_BROKEN);
    assert_int_equal(after(&b), NEAP_BROKEN);
    static const int64_t order[] = {1, 3, 4, 5, 50};
    for (int i = 0; i < 5; i++) {
        take(&c, queue, order[i]);
        assert_int_equal(neap_queue_task_done(queue), 0);
    }
    assert_int_equal(neap_queue_task_done(queue), NEAP_RANGE); /* what came back was not put again */
    unref(proxy);
    unref(queue);
}

/* --- others --- */

static void a_permit_that_was_not_received_is_back(void **state) {
    (void)state;
    struct neap_semaphore *semaphore = made(neap_semaphore_new(&neap_bounded_semaphore_class, 1));
    void *proxy = away(semaphore);
    be_given(&a, proxy, NEAP_SEMAPHORE_ACQUIRE);
    assert_int_equal(neap_semaphore_value(semaphore), 0);
    start(&b, semaphore, NEAP_SEMAPHORE_ACQUIRE, NEAP_FOREVER);
    die(&a);
    assert_int_equal(after(&b), 0);
    unref(proxy);
    unref(semaphore);
}

static void a_notification_that_was_not_received_goes_to_the_next_one(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_lock_class));
    struct neap_condition *condition = made(neap_condition_new(lock));
    struct neap_proxy *proxy = away(condition);
    uint32_t depth;
    assert_int_equal(start(&a, proxy, NEAP_CONDITION_WAIT, NEAP_FOREVER), NEAP_PARKED);
    answer_at_the_top();
    assert_int_equal(start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER), 0);
    assert_int_equal(
        neap_condition_begin(condition, &b.wait, add_link(&b, 0, condition, NEAP_CONDITION_WAIT), NEAP_FOREVER, &depth),
        NEAP_PARKED);
    b.code = NEAP_PARKED;
    assert_int_equal(start(&c, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER), 0);
    assert_int_equal(neap_condition_notify(condition, &c.owner, 1), 0);
    neap_lock_release(lock, &c.owner);
    assert_int_equal(outcome(&b), NEAP_PARKED);
    die(&a);
    assert_int_equal(after(&b), 0);
    unref(proxy);
    unref(condition);
    unref(lock);
}

/* --- through another --- */

/* A grandchild has asked for the 1 that is sent to `channel`, and the answer is on its way to the process in between. Its proxy. */
static void *be_given_from_afar(struct neap_channel *channel) {
    void *next = farther(channel);
    send_now(&c, channel, 1);
    assert_int_equal(start(&a, next, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    neap_wire_pump(wires[1][0]); /* passed on */
    answer_at_the_top();
    return next;
}

static void what_a_grandchild_had_not_received_comes_all_the_way_back(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(2);
    void *next = be_given_from_afar(channel);
    neap_wire_pump(wires[0][1]); /* passed back, and not read */
    assert_int_equal(neap_channel_length(channel), 0);
    kill_link(1);
    assert_int_equal(neap_channel_length(channel), 1);
    assert_int_equal(after(&a), NEAP_BROKEN);
    take(&b, channel, 1);
    unref(next);
    unref(channel);
}

static void what_crosses_the_end_of_a_grandchild_comes_back(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(2);
    void *next = be_given_from_afar(channel);
    neap_wire_close(wires[1][0]); /* who is in between has not read the answer when its child is dead */
    neap_wire_pump(wires[1][0]);
    deliver();
    assert_int_equal(neap_channel_length(channel), 1);
    assert_int_equal(after(&a), NEAP_BROKEN);
    take(&b, channel, 1);
    unref(next);
    unref(channel);
}

static void who_is_in_between_dies_with_the_answer(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(2);
    void *next = be_given_from_afar(channel);
    kill_link(1); /* the grandchild finds out first, and does not wait any more */
    assert_int_equal(after(&a), NEAP_BROKEN);
    kill_link(0);
    assert_int_equal(neap_channel_length(channel), 1);
    take(&b, channel, 1);
    unref(next);
    unref(channel);
}

static void what_was_taken_from_a_loan_for_another_is_sent_back(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel), *next = farther(channel);
    for (int i = 1; i <= 8; i++) { /* until it is sent ahead */
        send_now(&c, channel, i);
        start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
        assert_int_equal(after(&a), 0);
        assert_int_equal(received(&a), i);
    }
    send_now(&c, channel, 9);
    send_now(&c, channel, 10);
    assert_int_equal(start(&a, next, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    neap_wire_pump(wires[1][0]);
    assert_int_equal(neap_channel_length(channel), 1);
    kill_link(1);
    assert_int_equal(neap_channel_length(channel), 2);
    assert_int_equal(after(&a), NEAP_BROKEN);
    take(&b, channel, 9);
    take(&b, channel, 10);
    unref(proxy);
    unref(next);
    unref(channel);
}

/* --- what is kept --- */

static size_t kept(const struct neap_session *session) {
    size_t count = 0;
    for (const struct neap_list *node = session->given.next; node != &session->given; node = node->next) count++;
    return count;
}

static void what_was_received_is_not_kept_for_long(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    void *proxy = away(channel);
    for (int i = 1; i <= 50; i++) {
        start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
        deliver();
        send_now(&c, channel, i);
        assert_int_equal(after(&a), 0);
        assert_int_equal(received(&a), i);
        assert_true(kept(sessions[0][0]) <= 1);
    }
    unref(proxy);
    deliver(); /* the end of the proxy has it looked at */
    assert_int_equal(kept(sessions[0][0]), 0);
    assert_int_equal(atomic_load(&channel->object.refs), 1);
    unref(channel);
}

static void what_is_large_is_not_kept_at_all(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    void *next = farther(channel);
    for (int i = 0; i < 3; i++) {
        struct neap_link *link = add_link(&c, 0, channel, NEAP_CHANNEL_SEND);
        neap_message_set_kind(&link->message, NEAP_MESSAGE_BYTES);
        link->message.parcel = neap_parcel_new(100000, 0);
        assert_non_null(link->message.parcel);
        start_links(&c, 1, NEAP_FOREVER);
        start(&a, next, NEAP_CHANNEL_RECV, NEAP_FOREVER);
        assert_int_equal(after(&a), 0);
        neap_message_fini(&a.links[0].message);
        deliver();
        assert_int_equal(kept(sessions[0][0]), 0);
        assert_int_equal(kept(sessions[1][0]), 0);
    }
    unref(next);
    unref(channel);
}

/* --- without memory --- */

static void who_has_no_memory_for_an_answer_is_told_and_it_goes_back(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(2);
    void *proxy = away(channel);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    send_now(&c, channel, 0); /* there is room for a frame of that size from now on */
    assert_int_equal(received(&a), 0);
    send_now(&c, channel, 1);
    for (int64_t after_so_many = 0;; after_so_many++) {
        be_given(&a, proxy, NEAP_CHANNEL_RECV);
        assert_int_equal(neap_channel_length(channel), 0);
        neap_memory_fail_after(after_so_many);
        neap_wire_pump(wires[0][1]);
        neap_memory_fail_after(-1);
        deliver();
        int code = after(&a);
        if (code == 0) break;
        assert_int_equal(code, NEAP_NOMEM);
        assert_int_equal(neap_channel_length(channel), 1);
    }
    assert_int_equal(received(&a), 1);
    unref(proxy);
    unref(channel);
}

/* Fills the ring from the top to the next process, so that all that follows has to be kept. */
static void fill(void) {
    static const uint32_t none[2] = {UINT32_MAX, 0};
    const struct iovec piece = {(void *)(uintptr_t)none, sizeof none};
    for (int i = 0; i < 6000; i++) neap_wire_send(wires[0][0], NEAP_FRAME_FORGET, &piece, 1, NULL, 0);
}

static void an_answer_needs_no_memory_when_there_is_none(void **state) {
    (void)state;
    struct neap_queue *channel = made(neap_queue_new(0, NEAP_LIFO)); /* nothing is sent ahead */
    void *proxy = away(channel);
    int refused = 0;
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    send_now(&c, channel, 0); /* there is room for frames of that size from now on */
    assert_int_equal(received(&a), 0);
    for (long after_so_many = 0; after_so_many < 8; after_so_many++) {
        send_now(&c, channel, after_so_many);
        assert_int_equal(start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
        fill();
        neap_memory_fail_after(after_so_many);
        neap_wire_pump(wires[0][0]);
        neap_memory_fail_after(-1);
        int code = after(&a);
        assert_true(code == 0 || code == NEAP_NOMEM);
        if (code == 0) assert_int_equal(received(&a), after_so_many);
        if (code != 0) take(&c, channel, after_so_many);
        refused += code != 0;
    }
    assert_true(refused > 0 && refused < 8);
    unref(proxy);
    unref(channel);
}

int main(void) {
    const struct CMUnitTest returns[] = {
        PROCESSES_TEST(what_the_dead_had_not_received_is_there_again_and_first),
        PROCESSES_TEST(what_the_dead_had_received_is_gone),
        PROCESSES_TEST(it_goes_to_who_waits),
        PROCESSES_TEST(what_a_rendezvous_had_handed_over_goes_to_the_next_receiver),
        PROCESSES_TEST(a_full_channel_takes_it_back_and_admits_nobody_until_there_is_room),
        PROCESSES_TEST(a_closed_channel_has_it_to_receive),
        PROCESSES_TEST(nobody_who_is_left_receives_it_and_it_goes_with_its_channel),
        PROCESSES_TEST(a_select_that_was_given_something_is_as_good),
        PROCESSES_TEST(who_polls_a_pipe_finds_it),
        PROCESSES_TEST(a_priority_queue_has_it_in_its_place),
        PROCESSES_TEST(a_permit_that_was_not_received_is_back),
        PROCESSES_TEST(a_notification_that_was_not_received_goes_to_the_next_one),
        PROCESSES_TEST(what_a_grandchild_had_not_received_comes_all_the_way_back),
        PROCESSES_TEST(what_crosses_the_end_of_a_grandchild_comes_back),
        PROCESSES_TEST(who_is_in_between_dies_with_the_answer),
        PROCESSES_TEST(what_was_taken_from_a_loan_for_another_is_sent_back),
        PROCESSES_TEST(what_was_received_is_not_kept_for_long),
        PROCESSES_TEST(what_is_large_is_not_kept_at_all),
        PROCESSES_TEST(who_has_no_memory_for_an_answer_is_told_and_it_goes_back),
        PROCESSES_TEST(an_answer_needs_no_memory_when_there_is_none),
    };
    return run_once(returns);
}
