/* What a channel of another process sends before it is asked. */
#include "processes.h"

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

/* The last reference goes, and the proxy is found again before its thread has come to end
 * it; in between more comes ahead. */
static void a_proxy_that_is_revived_goes_on_without_what_it_missed(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    void *proxy = away(channel);
    borrow(channel, proxy);
    send_some(channel, 1);
    atomic_fetch_sub(&((struct neap_object *)proxy)->refs, 1);
    send_some(channel, 2);
    atomic_fetch_add(&((struct neap_object *)proxy)->refs, 1);
    send_some(channel, 1);
    take_now(proxy, 1);
    for (int i = 2; i <= 4; i++) {
        start(&a, proxy, NEAP_CHANNEL_RECV, NEAP_FOREVER);
        assert_int_equal(after(&a), 0);
        assert_int_equal(received(&a), i);
    }
    unref(proxy);
    unref(channel);
}

int main(void) {
    const struct CMUnitTest ahead[] = {
        PROCESSES_TEST(who_keeps_receiving_need_not_ask),
        PROCESSES_TEST(what_was_sent_ahead_is_received_by_who_comes_first),
        PROCESSES_TEST(what_was_sent_ahead_counts_until_it_is_taken),
        PROCESSES_TEST(several_senders_wait_for_what_was_sent_ahead),
        PROCESSES_TEST(what_the_dead_had_not_taken_is_there_in_order),
        PROCESSES_TEST(what_was_sent_ahead_outlives_closing),
        PROCESSES_TEST(who_waits_comes_before_what_is_sent_ahead),
        PROCESSES_TEST(a_select_takes_what_was_sent_ahead),
        PROCESSES_TEST(who_asks_through_another_is_served_from_what_that_has),
        PROCESSES_TEST(what_cannot_be_lent_keeps_its_place),
        PROCESSES_TEST(a_proxy_that_comes_anew_gets_what_the_last_one_left),
        PROCESSES_TEST(a_proxy_that_is_revived_goes_on_without_what_it_missed),
    };
    return run_once(ahead);
}
