/* What was given to a process of another that dies before it has received it. */
#include "processes.h"

#include "host/request.h"
#include "sync/condition.h"
#include "sync/dict.h"
#include "sync/lock.h"
#include "sync/pipe.h"
#include "sync/queue.h"
#include "sync/semaphore.h"
#include "sync/sequence.h"

/* --- helpers --- */

/* The process at the top does what it is asked for, and nobody reads its answers. */
static void answer_at_the_top(void) { neap_wire_pump(wires[0][0]); }

/* `actor` asks for `op` of the proxy `next` to what is right above it;
 * it is given something, and does not read that. */
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

/* A grandchild has asked for the 1 that is sent to `channel`, and the answer is on its way to the process in between.
 * Its proxy. */
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

/* --- lists and dicts --- */

/* 1, 2, 3... */
static struct neap_sequence *new_list(int64_t count) {
    struct neap_sequence *list = made(neap_sequence_new());
    for (int64_t i = 1; i <= count; i++) {
        struct neap_message value = parcel(i);
        assert_int_equal(neap_sequence_insert(list, &c.owner, 0, &value), 0);
    }
    return list;
}

static void assert_list_is(struct neap_sequence *list, const char *digits) {
    assert_int_equal(neap_sequence_count(list), strlen(digits));
    for (int64_t i = 1; digits[i - 1] != '\0'; i++) {
        struct neap_message value;
        neap_sequence_get(list, i, &value);
        assert_int_equal(value_of(&value), digits[i - 1] - '0');
    }
}

static void ask_for(struct actor *actor, void *proxy, int64_t index) {
    add_link(actor, 0, proxy, NEAP_SEQUENCE_POP)->number = index;
    assert_int_equal(start_links(actor, 1, NEAP_FOREVER), NEAP_PARKED);
}

static void be_popped(struct actor *actor, void *proxy, int64_t index) {
    ask_for(actor, proxy, index);
    answer_at_the_top();
}

static void an_element_is_in_its_place_again(void **state) {
    (void)state;
    struct neap_sequence *list = new_list(4);
    void *proxy = away(list);
    be_popped(&a, proxy, 0);
    be_popped(&b, proxy, 2);
    assert_list_is(list, "13");
    kill_link(0);
    assert_list_is(list, "1234");
    assert_int_equal(after(&a), NEAP_BROKEN);
    assert_int_equal(after(&b), NEAP_BROKEN);
    unref(proxy);
    unref(list);
}

static void an_element_that_was_received_is_gone(void **state) {
    (void)state;
    struct neap_sequence *list = new_list(2);
    void *proxy = away(list);
    ask_for(&a, proxy, 1);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 1);
    assert_int_equal(list->owed, 1);
    ask_for(&a, proxy, 3); /* has it found out */
    assert_int_equal(after(&a), NEAP_RANGE);
    assert_int_equal(list->owed, 0);
    kill_link(0);
    assert_list_is(list, "2");
    unref(proxy);
    unref(list);
}

static void an_element_comes_behind_the_others_while_the_list_is_updated(void **state) {
    (void)state;
    struct neap_sequence *list = new_list(2);
    struct neap_turn turn;
    void *proxy = away(list);
    be_popped(&a, proxy, 1);
    neap_sequence_prepare(list, &turn);
    add_link(&c, 0, list, NEAP_SEQUENCE_UPDATE)->hold = &turn.hold;
    assert_int_equal(start_links(&c, 1, NEAP_FOREVER), 0);
    be_popped(&b, proxy, 1);
    die(&a);
    assert_int_equal(after(&b), NEAP_BUSY);
    assert_list_is(list, "21");
    neap_turn_return(&turn);
    unref(proxy);
    unref(list);
}

static void what_was_cleared_does_not_come_back(void **state) {
    (void)state;
    struct neap_sequence *list = new_list(2);
    void *proxy = away(list);
    be_popped(&a, proxy, 1);
    assert_int_equal(neap_sequence_clear(list, &c.owner), 0);
    struct neap_message value = parcel(5);
    assert_int_equal(neap_sequence_insert(list, &c.owner, 0, &value), 0);
    be_popped(&b, proxy, 1);
    kill_link(0);
    assert_list_is(list, "5");
    assert_int_equal(after(&a), NEAP_BROKEN);
    assert_int_equal(after(&b), NEAP_BROKEN);
    unref(proxy);
    unref(list);
}

static void there_is_room_for_what_comes_back(void **state) {
    (void)state;
    struct neap_sequence *list = new_list(8);
    void *proxy = away(list);
    be_popped(&a, proxy, 1);
    while (list->room > neap_sequence_count(list) + list->owed) {
        struct neap_message value = parcel(9);
        assert_int_equal(neap_sequence_insert(list, &c.owner, 0, &value), 0);
    }
    size_t count = neap_sequence_count(list);
    neap_memory_fail_after(0);
    kill_link(0);
    neap_memory_fail_after(-1);
    assert_int_equal(neap_sequence_count(list), count + 1);
    assert_int_equal(after(&a), NEAP_BROKEN);
    unref(proxy);
    unref(list);
}

static void an_element_comes_back_from_a_grandchild(void **state) {
    (void)state;
    struct neap_sequence *list = new_list(2);
    void *next = farther(list);
    ask_for(&a, next, 1);
    neap_wire_pump(wires[1][0]); /* it is passed on */
    answer_at_the_top();
    neap_wire_pump(wires[0][1]); /* the answer, which nobody reads */
    assert_list_is(list, "2");
    kill_link(1);
    deliver();
    assert_list_is(list, "12");
    assert_int_equal(after(&a), NEAP_BROKEN);
    unref(next);
    unref(list);
}

/* What is at `key`, 0: nothing. */
static int64_t value_at(struct neap_dict *dict, int64_t number) {
    struct neap_message name = integer(number), value;
    struct neap_key key;
    neap_key_read(&name, &key);
    neap_dict_get(dict, &key, &value);
    return value.kind == NEAP_MESSAGE_EMPTY ? 0 : value_of(&value);
}

static void put_at(struct neap_dict *dict, int64_t number, int64_t value) {
    struct neap_message name = integer(number), message = parcel(value);
    struct neap_key key;
    neap_key_read(&name, &key);
    assert_int_equal(neap_dict_swap(dict, &c.owner, &key, &message), 0);
    neap_message_fini(&message);
}

static void be_removed(struct actor *actor, void *proxy, int64_t key) {
    add_link(actor, 0, proxy, NEAP_DICT_REMOVE)->message = integer(key);
    assert_int_equal(start_links(actor, 1, NEAP_FOREVER), NEAP_PARKED);
    answer_at_the_top();
}

static void a_value_is_at_its_key_again_unless_another_is(void **state) {
    (void)state;
    struct neap_dict *dict = made(neap_dict_new());
    void *proxy = away(dict);
    put_at(dict, 1, 10);
    put_at(dict, 2, 20);
    be_removed(&a, proxy, 1);
    be_removed(&b, proxy, 2);
    assert_int_equal(value_at(dict, 1), 0);
    assert_int_equal(neap_dict_count(dict), 0);
    put_at(dict, 2, 21);
    neap_memory_fail_after(0);
    kill_link(0);
    neap_memory_fail_after(-1);
    assert_int_equal(value_at(dict, 1), 10);
    assert_int_equal(value_at(dict, 2), 21);
    assert_int_equal(neap_dict_count(dict), 2);
    assert_int_equal(after(&a), NEAP_BROKEN);
    assert_int_equal(after(&b), NEAP_BROKEN);
    unref(proxy);
    unref(dict);
}

static void a_value_that_was_received_is_gone_and_so_is_its_entry(void **state) {
    (void)state;
    struct neap_dict *dict = made(neap_dict_new());
    void *proxy = away(dict);
    size_t count;
    put_at(dict, 1, 10);
    be_removed(&a, proxy, 1);
    assert_int_equal(after(&a), 0);
    const struct neap_message *pair = neap_message_items(&a.links[0].message, &count);
    assert_int_equal(count, 2);
    assert_int_equal(pair[0].integer, 1);
    neap_message_fini(&a.links[0].message);
    be_removed(&a, proxy, 1); /* has it found out */
    assert_int_equal(after(&a), 0);
    assert_int_equal(a.links[0].message.kind, NEAP_MESSAGE_EMPTY);
    assert_int_equal(dict->entry_count, 0);
    kill_link(0);
    assert_int_equal(value_at(dict, 1), 0);
    unref(proxy);
    unref(dict);
}

static void what_a_dict_was_cleared_of_does_not_come_back(void **state) {
    (void)state;
    struct neap_dict *dict = made(neap_dict_new());
    void *proxy = away(dict);
    put_at(dict, 1, 10);
    be_removed(&a, proxy, 1);
    assert_int_equal(neap_dict_clear(dict, &c.owner), 0);
    assert_int_equal(dict->entry_count, 0);
    put_at(dict, 1, 11);
    be_removed(&b, proxy, 1);
    kill_link(0);
    assert_int_equal(value_at(dict, 1), 11);
    assert_int_equal(after(&a), NEAP_BROKEN);
    assert_int_equal(after(&b), NEAP_BROKEN);
    unref(proxy);
    unref(dict);
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
        PROCESSES_TEST(an_element_is_in_its_place_again),
        PROCESSES_TEST(an_element_that_was_received_is_gone),
        PROCESSES_TEST(an_element_comes_behind_the_others_while_the_list_is_updated),
        PROCESSES_TEST(what_was_cleared_does_not_come_back),
        PROCESSES_TEST(there_is_room_for_what_comes_back),
        PROCESSES_TEST(an_element_comes_back_from_a_grandchild),
        PROCESSES_TEST(a_value_is_at_its_key_again_unless_another_is),
        PROCESSES_TEST(a_value_that_was_received_is_gone_and_so_is_its_entry),
        PROCESSES_TEST(what_a_dict_was_cleared_of_does_not_come_back),
        PROCESSES_TEST(what_was_received_is_not_kept_for_long),
        PROCESSES_TEST(what_is_large_is_not_kept_at_all),
        PROCESSES_TEST(who_has_no_memory_for_an_answer_is_told_and_it_goes_back),
        PROCESSES_TEST(an_answer_needs_no_memory_when_there_is_none),
    };
    return run_once(returns);
}
