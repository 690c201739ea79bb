/* What is sent to a channel of another process without asking. */
#include "processes.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/ticket.h"
#include "host/debtor.h"
#include "host/wire_lane.h"
#include "sync/channel_credit.h"
#include "sync/pipe.h"

/* Values that are sent here: the numbers 1, 2, ... */
static int64_t numbered;

/* Frames are not taken in meanwhile. */
static int send_at_once(struct actor *actor, void *channel) {
    add_link(actor, 0, channel, NEAP_CHANNEL_SEND)->message = integer(++numbered);
    return start_links(actor, 1, NEAP_FOREVER);
}

static void take_now(void *object, int64_t value) {
    assert_int_equal(start(&c, object, NEAP_CHANNEL_RECV, NEAP_FOREVER), 0);
    assert_int_equal(received(&c), value);
}

/* `proxy` asks until it need not; the channel is empty then, and the next number is 1. */
static void borrow(void *channel, void *proxy) {
    for (int i = 0; i < 8; i++) {
        send_now(&a, proxy, i);
        take_now(channel, i);
    }
    assert_non_null(atomic_load(&neap_proxy_of(proxy)->ahead.credit));
    assert_true(neap_credit_is_left(atomic_load(&neap_proxy_of(proxy)->ahead.credit)));
    numbered = 0;
}

static void who_keeps_sending_need_not_ask(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    void *proxy = away(channel);
    borrow(channel, proxy);
    for (int i = 1; i <= 4; i++) assert_int_equal(send_at_once(&a, proxy), 0);
    assert_int_equal(channel->buffer.count, 0);
    assert_int_equal(neap_channel_length(channel), 4); /* they count, though they are on their way */
    deliver();
    assert_int_equal(neap_channel_length(channel), 4);
    for (int i = 1; i <= 4; i++) take_now(channel, i);
    unref(proxy);
    unref(channel);
}

/* Who has been told of it by other means than the link finds it. */
static void who_receives_looks_for_what_is_on_its_way(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64), *own = new_channel(0);
    void *proxy = away(channel);
    borrow(channel, proxy);
    for (int i = 1; i <= 2; i++) assert_int_equal(send_at_once(&a, proxy), 0);
    take_now(channel, 1);
    take_now(channel, 2);
    assert_int_equal(send_at_once(&a, proxy), 0);
    add_link(&b, 0, own, NEAP_CHANNEL_RECV);
    add_link(&b, 1, channel, NEAP_CHANNEL_RECV);
    assert_int_equal(start_links(&b, 2, 0), 0);
    assert_int_equal(b.code, 1);
    assert_int_equal(value_of(&b.links[1].message), 3);
    assert_int_equal(send_at_once(&a, proxy), 0);
    neap_channel_look(channel);
    assert_int_equal(neap_channel_length(channel), 1);
    take_now(channel, 4);
    unref(proxy);
    unref(own);
    unref(channel);
}

static void it_comes_to_who_waits(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    void *proxy = away(channel);
    borrow(channel, proxy);
    assert_int_equal(start(&b, channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(send_at_once(&a, proxy), 0);
    assert_int_equal(after(&b), 0);
    assert_int_equal(received(&b), 1);
    unref(proxy);
    unref(channel);
}

/* What refers to objects is asked for, and whoever comes after it while it is under way. */
static void order_is_kept_among_those_that_are_asked_for(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64), *inside = new_channel(0);
    void *proxy = away(channel);
    borrow(channel, proxy);
    assert_int_equal(send_at_once(&a, proxy), 0);
    struct neap_link *link = add_link(&b, 0, proxy, NEAP_CHANNEL_SEND);
    link->message.kind = NEAP_MESSAGE_OBJECT;
    link->message.object = neap_object_ref(&inside->object);
    assert_int_equal(start_links(&b, 1, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(send_at_once(&a, proxy), NEAP_PARKED);
    assert_int_equal(after(&b), 0);
    assert_int_equal(after(&a), 0);
    assert_int_equal(send_at_once(&a, proxy), 0);
    take_now(channel, 1);
    assert_int_equal(start(&c, channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), 0);
    assert_int_equal(c.links[0].message.kind, NEAP_MESSAGE_OBJECT);
    neap_message_fini(&c.links[0].message);
    take_now(channel, 2);
    take_now(channel, 3);
    unref(proxy);
    unref(inside);
    unref(channel);
}

static void who_waits_already_comes_first(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(2);
    void *proxy = away(channel);
    borrow(channel, proxy);
    while (send_at_once(&a, proxy) == 0) deliver();
    deliver();
    int64_t waiting = numbered; /* that one has asked, for the channel is full */
    assert_int_equal(send_at_once(&b, proxy), NEAP_PARKED);
    for (int i = 1; i <= waiting + 1; i++) {
        take_now(channel, i);
        deliver();
    }
    assert_int_equal(after(&a), 0);
    assert_int_equal(after(&b), 0);
    unref(proxy);
    unref(channel);
}

static void who_waits_to_receive_does_not_hinder(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    void *proxy = away(channel);
    borrow(channel, proxy);
    assert_int_equal(start(&b, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    for (int i = 1; i <= 3; i++) assert_int_equal(send_at_once(&a, proxy), 0);
    assert_int_equal(after(&b), 0);
    assert_int_equal(received(&b), 1);
    take_now(channel, 2);
    take_now(channel, 3);
    unref(proxy);
    unref(channel);
}

static void never_more_than_fit_are_sent(void **state) {
    (void)state;
    for (size_t capacity = 1; capacity <= 40; capacity += 3) {
        struct neap_channel *channel = new_channel(capacity);
        void *proxy = away(channel);
        for (int i = 0; i < 8; i++) {
            send_now(&a, proxy, i);
            take_now(channel, i);
        }
        numbered = 0;
        do {
            if (send_at_once(&a, proxy) == NEAP_PARKED) after(&a);
            if (chance(2) == 0) deliver();
            assert_true(neap_channel_length(channel) <= capacity);
        } while (outcome(&a) == 0);
        assert_int_equal(neap_channel_length(channel), capacity);
        assert_int_equal(numbered, capacity + 1);
        for (int i = 1; i <= numbered; i++) {
            take_now(channel, i);
            deliver();
        }
        assert_int_equal(after(&a), 0);
        unref(proxy);
        unref(channel);
    }
}

static void what_was_sent_before_the_end_arrives(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    void *proxy = away(channel);
    borrow(channel, proxy);
    for (int i = 1; i <= 3; i++) assert_int_equal(send_at_once(&a, proxy), 0);
    neap_wire_close(wires[0][1]);
    deliver();
    assert_int_equal(channel->reserved, 0);
    assert_int_equal(neap_channel_length(channel), 3);
    for (int i = 1; i <= 3; i++) take_now(channel, i);
    send_at_once(&a, proxy);
    assert_int_equal(after(&a), NEAP_BROKEN);
    unref(proxy);
    unref(channel);
}

static void what_was_sent_before_closing_is_received(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    struct neap_message reason = integer(77);
    void *proxy = away(channel);
    borrow(channel, proxy);
    for (int i = 1; i <= 2; i++) assert_int_equal(send_at_once(&a, proxy), 0);
    assert_true(neap_channel_close(channel, &reason));
    start(&b, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
    assert_int_equal(send_at_once(&a, proxy), NEAP_PARKED);
    assert_int_equal(after(&a), NEAP_CLOSED);
    assert_int_equal(after(&b), 0);
    assert_int_equal(received(&b), 1);
    take_now(channel, 2);
    assert_int_equal(start(&c, channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_CLOSED);
    unref(proxy);
    unref(channel);
}

static void who_sends_through_another_keeps_its_order(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    void *next = farther(channel);
    numbered = 0;
    for (int i = 1; i <= 40; i++) {
        if (send_at_once(&a, next) == NEAP_PARKED) assert_int_equal(after(&a), 0);
        if (chance(3) == 0) deliver();
    }
    deliver();
    for (int i = 1; i <= 40; i++) take_now(channel, i);
    unref(next);
    unref(channel);
}

/* One has all the places that there are, and sends no more. */
static void another_process_is_not_kept_out(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(2);
    void *proxy = away(channel), *next = farther(channel);
    borrow(channel, proxy);
    for (int i = 1; i <= 2; i++) send_now(&b, next, i);
    take_now(channel, 1);
    take_now(channel, 2);
    unref(next);
    unref(proxy);
    unref(channel);
}

static void who_polls_a_pipe_finds_it(void **state) {
    (void)state;
    struct neap_pipe *first, *second;
    assert_int_equal(neap_pipe_new(false, &first, &second), 0);
    void *stream = made(first->in), *proxy = away(stream);
    borrow(stream, proxy);
    assert_int_equal(start(&b, stream, NEAP_STREAM_POLL, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(send_at_once(&a, proxy), 0);
    assert_int_equal(after(&b), 0);
    assert_int_equal(start(&b, stream, NEAP_STREAM_POLL, NEAP_FOREVER), 0);
    take_now(stream, 1);
    assert_int_equal(send_at_once(&a, proxy), 0);
    assert_int_equal(start(&b, stream, NEAP_STREAM_POLL, 0), 0); /* it looks, too */
    take_now(stream, 2);
    unref(proxy);
    unref(first);
    unref(second);
}

static void a_proxy_that_comes_anew_is_told_too(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    void *proxy = away(channel);
    borrow(channel, proxy);
    unref(proxy);
    proxy = away(channel); /* before it is heard that the other one has gone */
    borrow(channel, proxy);
    assert_int_equal(send_at_once(&a, proxy), 0);
    deliver();
    take_now(channel, 1);
    unref(proxy);
    unref(channel);
}

/* --- who tries from a third process, as this one hears before what is on its way has come --- */

/* Asked for, and the request has arrived: link 0 is not read meanwhile. */
static int try_from_beside(struct actor *actor, void *proxy, int op) {
    start(actor, proxy, op | NEAP_OP_TRY, NEAP_FOREVER);
    neap_wire_pump(wires[1][0]);
    neap_wire_pump(wires[1][1]);
    settle(&here);
    if (actor->code == NEAP_PARKED) return NEAP_PARKED;
    return outcome(actor);
}

/* A channel, what another process has of it, and sends by credit, and what a third one has. */
struct trio {
    struct neap_channel *channel;
    void *proxy, *third;
};

static struct trio make_trio(void) {
    struct neap_channel *channel = new_channel(64);
    struct trio trio = {channel, away(channel), beside(channel)};
    borrow(channel, trio.proxy);
    return trio;
}

static void drop_trio(struct trio trio) {
    unref(trio.third);
    unref(trio.proxy);
    unref(trio.channel);
}

static void who_tries_finds_what_is_on_its_way(void **state) {
    (void)state;
    struct trio trio = make_trio();
    assert_int_equal(send_at_once(&a, trio.proxy), 0);
    assert_int_equal(try_from_beside(&b, trio.third, NEAP_CHANNEL_RECV), NEAP_PARKED);
    assert_int_equal(try_from_beside(&c, trio.third, NEAP_CHANNEL_RECV), NEAP_PARKED);
    assert_int_equal(after(&b), 0);
    assert_int_equal(received(&b), 1);
    assert_int_equal(after(&c), NEAP_TIMEOUT);
    assert_int_equal(try_from_beside(&b, trio.third, NEAP_CHANNEL_RECV), NEAP_TIMEOUT);
    drop_trio(trio);
}

static void who_tries_comes_after_who_waits(void **state) {
    (void)state;
    struct trio trio = make_trio();
    assert_int_equal(start(&c, trio.channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(send_at_once(&a, trio.proxy), 0);
    assert_int_equal(try_from_beside(&b, trio.third, NEAP_CHANNEL_RECV), NEAP_PARKED);
    assert_int_equal(after(&c), 0);
    assert_int_equal(received(&c), 1);
    assert_int_equal(after(&b), NEAP_TIMEOUT);
    drop_trio(trio);
}

static void who_tries_waits_for_all_that_was_sent_before(void **state) {
    (void)state;
    struct trio trio = make_trio();
    assert_int_equal(start(&c, trio.channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    for (int i = 1; i <= 2; i++) assert_int_equal(send_at_once(&a, trio.proxy), 0);
    assert_int_equal(try_from_beside(&b, trio.third, NEAP_CHANNEL_RECV), NEAP_PARKED);
    assert_int_equal(after(&c), 0);
    assert_int_equal(received(&c), 1);
    assert_int_equal(after(&b), 0);
    assert_int_equal(received(&b), 2);
    drop_trio(trio);
}

static void who_waits_goes_on_when_others_have_tried(void **state) {
    (void)state;
    struct trio trio = make_trio();
    assert_int_equal(send_at_once(&a, trio.proxy), 0);
    assert_int_equal(try_from_beside(&b, trio.third, NEAP_CHANNEL_RECV), NEAP_PARKED);
    assert_int_equal(start(&c, trio.third, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    neap_wire_pump(wires[1][0]);
    assert_int_equal(after(&b), 0);
    assert_int_equal(received(&b), 1);
    assert_int_equal(after(&c), NEAP_PARKED);
    assert_int_equal(send_at_once(&a, trio.proxy), 0);
    assert_int_equal(after(&c), 0);
    assert_int_equal(received(&c), 2);
    drop_trio(trio);
}

static void who_polls_tries_too(void **state) {
    (void)state;
    struct neap_pipe *first, *second;
    assert_int_equal(neap_pipe_new(false, &first, &second), 0);
    void *stream = made(first->in), *proxy = away(stream), *third = beside(stream);
    borrow(stream, proxy);
    assert_int_equal(send_at_once(&a, proxy), 0);
    assert_int_equal(try_from_beside(&b, third, NEAP_STREAM_POLL), NEAP_PARKED);
    assert_int_equal(after(&b), 0);
    take_now(stream, 1);
    start(&c, stream, NEAP_STREAM_RECV, NEAP_FOREVER);
    assert_int_equal(send_at_once(&a, proxy), 0);
    assert_int_equal(try_from_beside(&b, third, NEAP_STREAM_POLL), NEAP_PARKED);
    assert_int_equal(after(&b), NEAP_TIMEOUT);
    assert_int_equal(after(&c), 0);
    unref(third);
    unref(proxy);
    unref(first);
    unref(second);
}

/* What is counted, and never published: its process is about to send it, or has died there. */
static void count_one(void *proxy) { assert_true(neap_credit_use(atomic_load(&neap_proxy_of(proxy)->ahead.credit))); }

static void who_tries_waits_for_nothing_that_was_sent_later(void **state) {
    (void)state;
    struct trio trio = make_trio();
    assert_int_equal(start(&c, trio.channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(send_at_once(&a, trio.proxy), 0);
    assert_int_equal(try_from_beside(&b, trio.third, NEAP_CHANNEL_RECV), NEAP_PARKED);
    count_one(trio.proxy);
    assert_int_equal(after(&b), NEAP_TIMEOUT);
    assert_int_equal(after(&c), 0);
    drop_trio(trio);
}

static void who_tries_does_not_wait_for_the_dead(void **state) {
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        struct neap_channel *channel = new_channel(64);
        struct neap_message reason = integer(77);
        void *proxy = away(channel), *third = beside(channel);
        borrow(channel, proxy);
        count_one(proxy);
        assert_int_equal(try_from_beside(&b, third, NEAP_CHANNEL_RECV), NEAP_PARKED);
        if (closes) assert_true(neap_channel_close(channel, &reason));
        neap_message_fini(&reason);
        assert_int_equal(after(&b), NEAP_PARKED);
        if (closes) kill_link(0);
        unref(proxy); /* else nobody sends any more */
        assert_int_equal(after(&b), closes ? NEAP_CLOSED : NEAP_TIMEOUT);
        if (closes) assert_int_equal(received(&b), 77);
        unref(third);
        unref(channel);
    }
}

static void who_tries_may_die_meanwhile(void **state) {
    (void)state;
    struct trio trio = make_trio();
    assert_int_equal(send_at_once(&a, trio.proxy), 0);
    assert_int_equal(try_from_beside(&b, trio.third, NEAP_CHANNEL_RECV), NEAP_PARKED);
    neap_wire_close(wires[1][1]);
    neap_wire_pump(wires[1][0]);
    deliver();
    take_now(trio.channel, 1);
    assert_int_equal(after(&b), NEAP_BROKEN);
    drop_trio(trio);
}

/* One lives next door, where something is on its way; the other in a process behind that. */
static void who_tries_several_waits_for_all_of_them(void **state) {
    (void)state;
    struct neap_channel *near = new_channel(64), *far = new_channel(64);
    void *sender = home(near), *third = beside(near), *fourth = farther(far);
    borrow(near, sender);
    count_one(sender);
    add_link(&b, 0, fourth, NEAP_CHANNEL_RECV | NEAP_OP_TRY);
    add_link(&b, 1, third, NEAP_CHANNEL_RECV | NEAP_OP_TRY);
    assert_int_equal(start_links(&b, 2, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(after(&b), NEAP_PARKED);
    kill_link(0);
    assert_int_equal(after(&b), NEAP_TIMEOUT);
    unref(fourth);
    unref(third);
    unref(sender);
    unref(far);
    unref(near);
}

/* --- what makes no sense --- */

static void send_frame(uint8_t type, const uint32_t *numbers, size_t count) {
    const struct iovec piece = {(void *)(uintptr_t)numbers, count * sizeof *numbers};
    neap_wire_tell(wires[0][1], type, &piece);
    deliver();
}

static void what_was_not_granted_ends_the_link(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(4);
    void *proxy = away(channel);
    borrow(channel, proxy);
    struct neap_credit_slot *slot = atomic_load(&neap_proxy_of(proxy)->ahead.credit);
    atomic_store(&slot->word, (uint64_t)1000 << 32);
    for (int i = 0; i < 20 && !neap_wire_has_ended(wires[0][0]); i++) {
        send_at_once(&a, proxy);
        if (outcome(&a) == NEAP_PARKED) break;
        deliver();
    }
    assert_true(neap_wire_has_ended(wires[0][0]));
    assert_true(neap_channel_length(channel) <= 4);
    after(&a);
    unref(proxy);
    unref(channel);
}

static void frames_that_make_no_sense_end_the_link(void **state) {
    (void)state;
    uint32_t numbers[] = {1 + chance(1000), chance(1000), chance(1000), 0, 0};
    send_frame(NEAP_FRAME_SENT, numbers, chance(6));
    assert_true(neap_wire_has_ended(wires[0][0]));
    numbers[1] = NEAP_WIRE_SLOTS;
    const struct iovec piece = {numbers, 2 * sizeof *numbers};
    assert_false(neap_wire_has_ended(wires[1][0]));
    neap_wire_tell(wires[1][1], NEAP_FRAME_CREDIT, &piece);
    deliver();
    assert_true(neap_wire_has_ended(wires[1][0]));
}

static void without_memory_it_is_asked_for_or_fails(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    void *proxy = away(channel);
    borrow(channel, proxy);
    int64_t sent = 0;
    for (int fails = 0; fails < 12; fails++) {
        add_link(&a, 0, proxy, NEAP_CHANNEL_SEND)->message = parcel(sent + 1);
        neap_memory_fail_after(fails);
        int code = start_links(&a, 1, NEAP_FOREVER);
        neap_memory_fail_after(-1);
        if (code == NEAP_PARKED) code = after(&a);
        if (code == 0) sent++;
        if (code != 0) assert_int_equal(code, NEAP_NOMEM);
        neap_message_fini(&a.links[0].message);
    }
    deliver();
    for (int i = 1; i <= sent; i++) take_now(channel, i);
    assert_int_equal(neap_channel_length(channel), 0);
    unref(proxy);
    unref(channel);
}

/* --- a process in between, which may be killed at any instant --- */

/* A copy of this process, which is about to pump the wire. */
static pid_t stop_before_pumping(struct neap_wire *wire) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        neap_wire_pump(wire);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    return pid;
}

/* One instruction; false: it has ended. */
static bool step(pid_t pid) {
    int status;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSTOPPED(status);
}

/* Else who had asked it would find his wait open, time out, and say that nothing was sent. */
static void what_is_sent_for_another_is_claimed_before_it_is_published(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    void *proxy = away(channel), *next = farther(channel);
    borrow(channel, proxy);
    assert_int_equal(send_at_once(&a, next), NEAP_PARKED);
    const struct neap_ticket *ticket = a.wait.ticket;
    const struct neap_wire_ring *ring = wires[0][0]->in.ring;
    uint64_t before = atomic_load(&ring->tail);
    bool was_open = neap_ticket_is_open(ticket);
    pid_t pid = stop_before_pumping(wires[1][0]);
    bool published_first = false;
    while (step(pid)) published_first |= atomic_load(&ring->tail) > before && neap_ticket_is_open(ticket);
    assert_true(was_open);
    assert_false(published_first);
    assert_true(atomic_load(&ring->tail) > before);
    kill_link(1); /* what it has answered is for a process that did not ask */
    assert_int_equal(after(&a), 0);
    unref(next);
    unref(proxy);
    unref(channel);
}

int main(void) {
    const struct CMUnitTest sent[] = {
        PROCESSES_TEST(who_keeps_sending_need_not_ask),
        PROCESSES_TEST(what_is_sent_for_another_is_claimed_before_it_is_published),
        PROCESSES_TEST(who_receives_looks_for_what_is_on_its_way),
        PROCESSES_TEST(it_comes_to_who_waits),
        PROCESSES_TEST(order_is_kept_among_those_that_are_asked_for),
        PROCESSES_TEST(who_waits_already_comes_first),
        PROCESSES_TEST(who_waits_to_receive_does_not_hinder),
        PROCESSES_TEST(never_more_than_fit_are_sent),
        PROCESSES_TEST(what_was_sent_before_the_end_arrives),
        PROCESSES_TEST(what_was_sent_before_closing_is_received),
        PROCESSES_TEST(who_sends_through_another_keeps_its_order),
        PROCESSES_TEST(another_process_is_not_kept_out),
        PROCESSES_TEST(who_polls_a_pipe_finds_it),
        PROCESSES_TEST(a_proxy_that_comes_anew_is_told_too),
        PROCESSES_TEST(who_tries_finds_what_is_on_its_way),
        PROCESSES_TEST(who_tries_comes_after_who_waits),
        PROCESSES_TEST(who_tries_waits_for_all_that_was_sent_before),
        PROCESSES_TEST(who_waits_goes_on_when_others_have_tried),
        PROCESSES_TEST(who_polls_tries_too),
        PROCESSES_TEST(who_tries_waits_for_nothing_that_was_sent_later),
        PROCESSES_TEST(who_tries_does_not_wait_for_the_dead),
        PROCESSES_TEST(who_tries_may_die_meanwhile),
        PROCESSES_TEST(who_tries_several_waits_for_all_of_them),
        PROCESSES_TEST(what_was_not_granted_ends_the_link),
        PROCESSES_TEST(frames_that_make_no_sense_end_the_link),
        PROCESSES_TEST(without_memory_it_is_asked_for_or_fails),
    };
    return run_once(sent);
}
