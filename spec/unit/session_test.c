/* Two or three processes in one: each side has a session of its own, over a real wire. */
#include "support.h"

#include <string.h>
#include <unistd.h>

#include "core/ticket.h"
#include "host/packer.h"
#include "host/proxy.h"
#include "host/session.h"
#include "host/wire.h"
#include "sync/channel.h"
#include "sync/condition.h"
#include "sync/event.h"
#include "sync/lock.h"
#include "sync/queue.h"
#include "sync/rwlock.h"
#include "sync/semaphore.h"

enum { LINKS = 2 }; /* home - away, away - farther */

static struct neap_makers makers;
static struct neap_board *board;
static struct neap_wire *wires[LINKS][2];
static struct neap_session *sessions[LINKS][2]; /* of each link: the upper end, the lower end */
static struct actor a, b, c;

static bool receive(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    return neap_session_receive(wire->context, frame);
}

static void ended(struct neap_wire *wire, int code) {
    (void)code;
    neap_session_end(wire->context, "it was killed");
}

static const struct neap_wire_user user = {receive, ended};

/* All that is under way arrives. */
static void deliver(void) {
    for (int round = 0; round < 6; round++)
        for (int i = 0; i < LINKS; i++)
            for (int end = 0; end < 2; end++)
                if (wires[i][end] != NULL) neap_wire_pump(wires[i][end]);
}

static void connect_ends(int i) {
    int socket;
    assert_int_equal(neap_wire_new(&wires[i][0], &socket), 0);
    assert_int_equal(neap_wire_open(socket, dup(wires[i][0]->segment->fd), &wires[i][1]), 0);
    for (int end = 0; end < 2; end++) {
        sessions[i][end] = neap_session_new(wires[i][end], board, &makers);
        assert_non_null(sessions[i][end]);
        neap_wire_start(wires[i][end], &user, sessions[i][end], NULL);
        wires[i][end]->session = sessions[i][end];
    }
}

/* The process below link `i` is gone. */
static void kill_link(int i) {
    neap_wire_close(wires[i][0]);
    deliver();
}

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    for (int kind = 0; kind < NEAP_KIND_COUNT; kind++)
        if (neap_proxy_classes[kind].name != NULL) makers.make[kind] = neap_proxy_make;
    if (neap_board_new(&board) != 0) return -1;
    for (int i = 0; i < LINKS; i++) connect_ends(i);
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    return 0;
}

static int drop(void **state) {
    deliver();
    for (int i = 0; i < LINKS; i++) neap_wire_close(wires[i][0]);
    deliver();
    for (int i = 0; i < LINKS; i++)
        for (int end = 0; end < 2; end++) {
            neap_session_unref(sessions[i][end]);
            neap_wire_unref(wires[i][end]);
        }
    neap_board_free(board);
    return tear_down(state);
}

/* What `message` becomes on its way from one session to the other end's. */
static void carry(struct neap_session *from, struct neap_session *to, const struct neap_message *message,
                  struct neap_message *arrived) {
    struct neap_packer packer;
    struct neap_unpacker unpacker;
    neap_packer_init(&packer, from->wire);
    neap_pack_message(&packer, message);
    assert_int_equal(packer.code, 0);
    const struct neap_wire_frame frame = {.bytes = packer.bytes, .size = packer.used};
    neap_unpacker_init(&unpacker, to->wire, &frame);
    neap_message_clear(arrived);
    neap_unpack_message(&unpacker, arrived);
    assert_int_equal(unpacker.code, 0);
    neap_packer_fini(&packer);
}

static void *cross(struct neap_session *from, struct neap_session *to, void *object) {
    struct neap_message message = {.kind = NEAP_MESSAGE_OBJECT}, arrived;
    message.object = object;
    carry(from, to, &message, &arrived);
    assert_int_equal(arrived.kind, NEAP_MESSAGE_OBJECT);
    return arrived.object;
}

/* `object` of the topmost process as the next one sees it, and the one below that. */
static void *away(void *object) { return cross(sessions[0][0], sessions[0][1], object); }

static void *farther(void *object) {
    void *proxy = away(object), *next = cross(sessions[1][0], sessions[1][1], proxy);
    neap_object_unref(proxy);
    return next;
}

static void *home(void *proxy) { return cross(sessions[0][1], sessions[0][0], proxy); }

static void unref(void *object) { neap_object_unref(object); }

static struct neap_channel *new_channel(size_t capacity) { return made(neap_channel_new(capacity)); }

/* What becomes of `actor`, once everything has arrived. */
static int after(struct actor *actor) {
    deliver();
    settle(&here);
    deliver();
    return outcome(actor);
}

static void send_now(struct actor *actor, void *channel, int64_t value) {
    add_link(actor, 0, channel, NEAP_CHANNEL_SEND)->message = parcel(value);
    start_links(actor, 1, NEAP_FOREVER);
    assert_int_equal(after(actor), 0);
}

static int64_t received(struct actor *actor) { return value_of(&actor->links[0].message); }

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

/* --- ahead --- */

/* Values that are sent here: the numbers 1, 2, ... */
static int64_t numbered;

static void send_some(void *channel, int count) {
    for (int i = 0; i < count; i++) send_now(&b, channel, ++numbered);
}

/* `proxy` asks for values until some are sent ahead; those are then taken. */
static void borrow(void *channel, void *proxy) {
    numbered = 0;
    for (int i = 0; i < 8; i++) {
        send_some(channel, 1);
        start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
        assert_int_equal(after(&a), 0);
        assert_int_equal(received(&a), numbered);
    }
    numbered = 0;
}

/* Receives at once: nothing has to be asked. */
static void take_now(void *object, int64_t value) {
    assert_int_equal(start(&a, object, NEAP_CHANNEL_RECV, NEAP_FOREVER), 0);
    assert_int_equal(received(&a), value);
}

static void who_keeps_receiving_need_not_ask(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel);
    borrow(channel, proxy);
    for (int round = 0; round < 4; round++) {
        send_some(channel, 5);
        for (int i = 1; i <= 5; i++) take_now(proxy, round * 5 + i);
    }
    unref(proxy);
    unref(channel);
}

static void what_was_sent_ahead_is_received_by_who_comes_first(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel);
    borrow(channel, proxy);
    send_some(channel, 4);
    take_now(proxy, 1);
    take_now(channel, 2);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 3);
    take_now(channel, 4);
    assert_int_equal(neap_channel_length(channel), 0);
    unref(proxy);
    unref(channel);
}

static void what_was_sent_ahead_counts_until_it_is_taken(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(4);
    void *proxy = away(channel);
    borrow(channel, proxy);
    send_some(channel, 4);
    assert_int_equal(neap_channel_length(channel), 4);
    add_link(&c, 0, channel, NEAP_CHANNEL_SEND)->message = integer(5);
    assert_int_equal(start_links(&c, 1, NEAP_FOREVER), NEAP_PARKED);
    take_now(proxy, 1);
    assert_int_equal(after(&c), 0);
    assert_int_equal(neap_channel_length(channel), 4);
    for (int i = 2; i <= 5; i++) take_now(proxy, i);
    assert_int_equal(neap_channel_length(channel), 0);
    unref(proxy);
    unref(channel);
}

static void several_senders_wait_for_what_was_sent_ahead(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1);
    struct actor *senders[] = {&b, &c};
    void *proxy = away(channel);
    borrow(channel, proxy);
    send_some(channel, 1);
    for (int i = 0; i < 2; i++) {
        add_link(senders[i], 0, channel, NEAP_CHANNEL_SEND)->message = integer(2 + i);
        assert_int_equal(start_links(senders[i], 1, NEAP_FOREVER), NEAP_PARKED);
    }
    for (int i = 1; i <= 3; i++) {
        take_now(proxy, i);
        deliver();
    }
    assert_int_equal(after(&b), 0);
    assert_int_equal(after(&c), 0);
    unref(proxy);
    unref(channel);
}

static void what_the_dead_had_not_taken_is_there_in_order(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel);
    borrow(channel, proxy);
    send_some(channel, 5);
    take_now(proxy, 1);
    take_now(proxy, 2);
    kill_link(0);
    assert_int_equal(neap_channel_length(channel), 3);
    for (int i = 3; i <= 5; i++) take_now(channel, i);
    unref(proxy);
    unref(channel);
}

static void what_was_sent_ahead_outlives_closing(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    struct neap_message reason = integer(77);
    void *proxy = away(channel);
    borrow(channel, proxy);
    send_some(channel, 2);
    neap_channel_close(channel, &reason);
    take_now(proxy, 1);
    take_now(proxy, 2);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(after(&a), NEAP_CLOSED);
    assert_int_equal(received(&a), 77);
    unref(proxy);
    unref(channel);
}

static void who_waits_comes_before_what_is_sent_ahead(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel);
    borrow(channel, proxy);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER); /* and its request has not arrived when they are sent */
    for (int i = 1; i <= 3; i++) {
        add_link(&b, 0, channel, NEAP_CHANNEL_SEND)->message = integer(i);
        assert_int_equal(start_links(&b, 1, NEAP_FOREVER), 0);
    }
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 1);
    take_now(proxy, 2);
    take_now(proxy, 3);
    unref(proxy);
    unref(channel);
}

static void a_select_takes_what_was_sent_ahead(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8), *own = new_channel(0);
    void *proxy = away(channel);
    borrow(channel, proxy);
    send_some(channel, 2);
    take_now(proxy, 1);
    add_link(&a, 0, own, NEAP_CHANNEL_RECV);
    add_link(&a, 1, proxy, NEAP_CHANNEL_RECV);
    assert_int_equal(start_links(&a, 2, NEAP_FOREVER), 0);
    assert_int_equal(a.code, 1);
    assert_int_equal(value_of(&a.links[1].message), 2);
    unref(proxy);
    unref(own);
    unref(channel);
}

static void who_asks_through_another_is_served_from_what_that_has(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel), *next = farther(channel);
    borrow(channel, proxy);
    send_some(channel, 3);
    take_now(proxy, 1);
    start(&a, next, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 2);
    take_now(proxy, 3);
    unref(next);
    unref(proxy);
    unref(channel);
}

static void what_cannot_be_lent_keeps_its_place(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8), *inside = new_channel(0);
    void *proxy = away(channel);
    borrow(channel, proxy);
    send_some(channel, 1);
    struct neap_link *link = add_link(&b, 0, channel, NEAP_CHANNEL_SEND);
    link->message.kind = NEAP_MESSAGE_OBJECT;
    link->message.object = neap_object_ref(&inside->object);
    assert_int_equal(start_links(&b, 1, NEAP_FOREVER), 0);
    send_some(channel, 1);
    take_now(proxy, 1);
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_int_equal(a.links[0].message.kind, NEAP_MESSAGE_OBJECT);
    neap_message_fini(&a.links[0].message);
    take_now(proxy, 2);
    unref(proxy);
    unref(inside);
    unref(channel);
}

static void a_proxy_that_comes_anew_gets_what_the_last_one_left(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel);
    borrow(channel, proxy);
    send_some(channel, 3);
    take_now(proxy, 1);
    unref(proxy);
    proxy = away(channel); /* before it is heard that the other one has gone */
    start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_int_equal(received(&a), 2);
    unref(proxy);
    deliver();
    take_now(channel, 3);
    unref(channel);
}

/* --- holding --- */

static void a_lock_is_held_from_elsewhere(void **state) {
    (void)state;
    struct neap_lock *lock = made(neap_lock_new(&neap_lock_class));
    struct neap_proxy *next = farther(lock);
    start(&a, next, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&a), 0);
    assert_true(neap_proxy_is_held_by(next, &a.owner));
    assert_int_equal(start(&a, next, NEAP_LOCK_ACQUIRE, NEAP_FOREVER), NEAP_HELD);
    start(&b, lock, NEAP_LOCK_ACQUIRE, NEAP_FOREVER);
    assert_int_equal(after(&b), NEAP_PARKED);
    assert_int_equal(neap_proxy_release(next, &b.owner), NEAP_NOT_OWNER);
    assert_int_equal(neap_proxy_release(next, &a.owner), 0);
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
    neap_proxy_release(proxy, &a.owner);
    deliver();
    assert_non_null(neap_lock_holder(lock));
    neap_proxy_release(proxy, &a.owner);
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
    neap_proxy_release_rwlock(next, &a.owner);
    neap_proxy_release_rwlock(next, &b.owner);
    assert_int_equal(after(&c), NEAP_PARKED);
    assert_int_equal(neap_proxy_release_rwlock(next, &a.owner), 0);
    assert_int_equal(neap_proxy_release_rwlock(next, &a.owner), NEAP_NOT_OWNER);
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
    assert_int_equal(neap_proxy_release_all(of_lock, &a.owner), 1);
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
        cmocka_unit_test_setup_teardown(an_object_has_one_proxy_and_comes_home_as_itself, make, drop),
        cmocka_unit_test_setup_teardown(a_reference_under_way_keeps_the_object_while_its_proxy_ends, make, drop),
        cmocka_unit_test_setup_teardown(parts_travel_with_their_object, make, drop),
    };
    const struct CMUnitTest waits[] = {
        cmocka_unit_test_setup_teardown(a_value_reaches_who_waits_elsewhere, make, drop),
        cmocka_unit_test_setup_teardown(a_value_comes_from_elsewhere, make, drop),
        cmocka_unit_test_setup_teardown(two_of_another_process_meet_in_ours, make, drop),
        cmocka_unit_test_setup_teardown(what_is_not_to_wait_is_told_so, make, drop),
        cmocka_unit_test_setup_teardown(a_wait_that_is_over_takes_nothing, make, drop),
        cmocka_unit_test_setup_teardown(a_wait_that_is_over_before_its_request_arrives_takes_nothing, make, drop),
        cmocka_unit_test_setup_teardown(closing_tells_who_waits_elsewhere_with_the_reason, make, drop),
        cmocka_unit_test_setup_teardown(a_select_takes_from_here_or_from_there, make, drop),
        cmocka_unit_test_setup_teardown(a_select_on_both_sides_of_a_rendezvous_does_not_meet_itself, make, drop),
        cmocka_unit_test_setup_teardown(events_and_joins_are_waited_for, make, drop),
    };
    const struct CMUnitTest holding[] = {
        cmocka_unit_test_setup_teardown(a_lock_is_held_from_elsewhere, make, drop),
        cmocka_unit_test_setup_teardown(levels_of_an_rlock_are_counted_where_it_is_held, make, drop),
        cmocka_unit_test_setup_teardown(a_rwlock_is_read_and_written_from_elsewhere, make, drop),
        cmocka_unit_test_setup_teardown(permits_come_back_with_their_guard, make, drop),
        cmocka_unit_test_setup_teardown(a_condition_is_waited_for_and_notified_from_elsewhere, make, drop),
    };
    const struct CMUnitTest ahead[] = {
        cmocka_unit_test_setup_teardown(who_keeps_receiving_need_not_ask, make, drop),
        cmocka_unit_test_setup_teardown(what_was_sent_ahead_is_received_by_who_comes_first, make, drop),
        cmocka_unit_test_setup_teardown(what_was_sent_ahead_counts_until_it_is_taken, make, drop),
        cmocka_unit_test_setup_teardown(several_senders_wait_for_what_was_sent_ahead, make, drop),
        cmocka_unit_test_setup_teardown(what_the_dead_had_not_taken_is_there_in_order, make, drop),
        cmocka_unit_test_setup_teardown(what_was_sent_ahead_outlives_closing, make, drop),
        cmocka_unit_test_setup_teardown(who_waits_comes_before_what_is_sent_ahead, make, drop),
        cmocka_unit_test_setup_teardown(a_select_takes_what_was_sent_ahead, make, drop),
        cmocka_unit_test_setup_teardown(who_asks_through_another_is_served_from_what_that_has, make, drop),
        cmocka_unit_test_setup_teardown(what_cannot_be_lent_keeps_its_place, make, drop),
        cmocka_unit_test_setup_teardown(a_proxy_that_comes_anew_gets_what_the_last_one_left, make, drop),
    };
    const struct CMUnitTest ends[] = {
        cmocka_unit_test_setup_teardown(what_was_asked_of_the_dead_is_broken, make, drop),
        cmocka_unit_test_setup_teardown(what_the_dead_asked_is_withdrawn, make, drop),
        cmocka_unit_test_setup_teardown(what_the_dead_held_is_given_back, make, drop),
    };
    return run_once(references) + run_once(waits) + run_once(holding) + run_once(ahead) + run_once(ends);
}
