#include "support.h"

#include "sync/channel.h"

static struct neap_channel *rendezvous, *buffered;
static struct actor a, b, c;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    rendezvous = made(neap_channel_new(0));
    buffered = made(neap_channel_new(2));
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    return 0;
}

static int drop(void **state) {
    neap_object_unref(&rendezvous->object);
    neap_object_unref(&buffered->object);
    return tear_down(state);
}

static int put(struct actor *actor, struct neap_channel *channel, int64_t value, int64_t deadline) {
    actor->links[0].message = parcel(value);
    actor->links[0].priority = 0;
    return start(actor, channel, NEAP_CHANNEL_SEND, deadline);
}

static int take(struct actor *actor, struct neap_channel *channel, int64_t deadline) {
    return start(actor, channel, NEAP_CHANNEL_RECV, deadline);
}

/* The message of an actor's link: what it received, or still has since it could not send it. */
static int64_t message_of(struct actor *actor) { return value_of(&actor->links[0].message); }

static bool close_channel(struct neap_channel *channel) {
    struct neap_message none;
    neap_message_clear(&none);
    return neap_channel_close(channel, &none);
}

static void a_rendezvous_hands_over(void **state) {
    (void)state;
    assert_int_equal(take(&a, rendezvous, 0), NEAP_TIMEOUT);
    assert_int_equal(put(&a, rendezvous, 1, 0), NEAP_TIMEOUT);
    assert_int_equal(message_of(&a), 1);
    assert_int_equal(take(&a, rendezvous, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(put(&b, rendezvous, 2, 0), 0);
    assert_int_equal(b.links[0].message.kind, NEAP_MESSAGE_EMPTY); /* moved */
    assert_int_equal(finish(&a), 0);
    assert_int_equal(message_of(&a), 2);
    assert_int_equal(put(&a, rendezvous, 3, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(take(&b, rendezvous, 0), 0);
    assert_int_equal(message_of(&b), 3);
    assert_int_equal(finish(&a), 0);
}

static void a_buffered_one_keeps_what_fits(void **state) {
    (void)state;
    assert_int_equal(put(&a, buffered, 1, 0), 0);
    assert_int_equal(put(&a, buffered, 2, 0), 0);
    assert_int_equal(neap_channel_length(buffered), 2);
    assert_int_equal(put(&a, buffered, 3, 0), NEAP_TIMEOUT);
    assert_int_equal(message_of(&a), 3);
    assert_int_equal(take(&b, buffered, 0), 0);
    assert_int_equal(message_of(&b), 1);
    assert_int_equal(take(&b, buffered, NEAP_FOREVER), 0);
    assert_int_equal(message_of(&b), 2);
    assert_int_equal(take(&b, buffered, 0), NEAP_TIMEOUT);
}

static void senders_and_receivers_are_served_in_order(void **state) {
    (void)state;
    put(&a, rendezvous, 1, NEAP_FOREVER);
    put(&b, rendezvous, 2, NEAP_FOREVER);
    take(&c, rendezvous, 0);
    assert_int_equal(message_of(&c), 1);
    take(&c, rendezvous, 0);
    assert_int_equal(message_of(&c), 2);
    settle(&here);
    take(&a, rendezvous, NEAP_FOREVER);
    take(&b, rendezvous, NEAP_FOREVER);
    put(&c, rendezvous, 3, 0);
    put(&c, rendezvous, 4, 0);
    settle(&here);
    assert_int_equal(message_of(&a), 3);
    assert_int_equal(message_of(&b), 4);
}

static void a_waiting_sender_moves_up(void **state) {
    (void)state;
    put(&a, buffered, 1, 0);
    put(&a, buffered, 2, 0);
    assert_int_equal(put(&a, buffered, 3, NEAP_FOREVER), NEAP_PARKED);
    take(&b, buffered, 0);
    assert_int_equal(message_of(&b), 1);
    assert_int_equal(neap_channel_length(buffered), 2);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(put(&a, buffered, 4, 0), NEAP_TIMEOUT);
    message_of(&a);
    for (int i = 2; i <= 3; i++) {
        take(&b, buffered, 0);
        assert_int_equal(message_of(&b), i);
    }
}

static void waits_time_out_and_leave_all_as_it_was(void **state) {
    (void)state;
    assert_int_equal(act(&a, rendezvous, NEAP_CHANNEL_RECV, soon(300)), NEAP_TIMEOUT);
    put(&a, rendezvous, 1, PASSED);
    assert_int_equal(finish(&a), NEAP_TIMEOUT);
    assert_int_equal(message_of(&a), 1);
    assert_int_equal(take(&b, rendezvous, 0), NEAP_TIMEOUT);
}

static void cancelled_waits_are_passed_over(void **state) {
    (void)state;
    take(&a, rendezvous, NEAP_FOREVER);
    take(&b, rendezvous, NEAP_FOREVER);
    cancel(&a);
    assert_int_equal(put(&c, rendezvous, 1, 0), 0);
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    assert_int_equal(finish(&b), 0);
    assert_int_equal(message_of(&b), 1);
    put(&a, rendezvous, 2, NEAP_FOREVER);
    put(&b, rendezvous, 3, NEAP_FOREVER);
    cancel(&a);
    assert_int_equal(take(&c, rendezvous, 0), 0);
    assert_int_equal(message_of(&c), 3);
    settle(&here);
    assert_int_equal(message_of(&a), 2); /* still its own */
}

static void a_served_wait_keeps_its_value_whatever_comes_after(void **state) {
    (void)state;
    take(&a, rendezvous, soon(0));
    put(&b, rendezvous, 1, 0);
    assert_false(cancel(&a));
    assert_int_equal(finish(&a), 0); /* though its deadline has passed */
    assert_int_equal(message_of(&a), 1);
}

static void closing_ends_waits_and_leaves_what_is_buffered(void **state) {
    (void)state;
    take(&a, rendezvous, NEAP_FOREVER);
    assert_false(neap_channel_is_closed(rendezvous));
    assert_true(close_channel(rendezvous));
    assert_true(neap_channel_is_closed(rendezvous));
    assert_int_equal(finish(&a), NEAP_CLOSED);
    assert_int_equal(take(&a, rendezvous, 0), NEAP_CLOSED);
    assert_int_equal(put(&a, rendezvous, 1, 0), NEAP_CLOSED);
    assert_int_equal(message_of(&a), 1);

    put(&a, buffered, 1, 0);
    put(&a, buffered, 2, 0);
    put(&a, buffered, 3, NEAP_FOREVER);
    close_channel(buffered);
    assert_int_equal(finish(&a), NEAP_CLOSED);
    assert_int_equal(message_of(&a), 3);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(take(&b, buffered, 0), 0);
        assert_int_equal(message_of(&b), i);
    }
    assert_int_equal(take(&b, buffered, 0), NEAP_CLOSED);
}

static void the_first_to_close_gives_the_reason(void **state) {
    (void)state;
    struct neap_message first = parcel(1), second = parcel(2);
    assert_true(neap_channel_close(buffered, &first));
    assert_int_equal(first.kind, NEAP_MESSAGE_EMPTY);
    assert_false(neap_channel_close(buffered, &second));
    assert_int_equal(value_of(&second), 2);
    assert_int_equal(buffered->reason.kind, NEAP_MESSAGE_PARCEL); /* dropped with the channel */
}

static void what_nobody_received_ends_with_it(void **state) {
    (void)state;
    put(&a, buffered, 1, 0);
    struct neap_message in_itself; /* a channel in another: the reference goes too */
    neap_message_clear(&in_itself);
    in_itself.kind = NEAP_MESSAGE_OBJECT;
    in_itself.object = neap_object_ref(&rendezvous->object);
    b.links[0].message = in_itself;
    assert_int_equal(start(&b, buffered, NEAP_CHANNEL_SEND, 0), 0);
}

static void a_long_chain_of_channels_ends_without_recursion(void **state) {
    (void)state;
    struct neap_channel *last = made(neap_channel_new(1));
    for (int i = 0; i < 200000; i++) {
        struct neap_channel *next = made(neap_channel_new(1));
        neap_message_clear(&a.links[0].message);
        a.links[0].message.kind = NEAP_MESSAGE_OBJECT;
        a.links[0].message.object = &last->object;
        assert_int_equal(start(&a, next, NEAP_CHANNEL_SEND, 0), 0);
        last = next;
    }
    neap_object_unref(&last->object);
}

static void out_of_memory_leaves_it_as_it_was(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_channel_new(1));
    struct neap_channel *large = made(neap_channel_new(1 << 20)); /* too large to have its places beforehand */
    a.links[0].message = parcel(1);
    neap_memory_fail_after(0);
    assert_int_equal(start(&a, large, NEAP_CHANNEL_SEND, NEAP_FOREVER), NEAP_NOMEM);
    assert_int_equal(message_of(&a), 1);
    assert_int_equal(neap_channel_length(large), 0);
    assert_int_equal(put(&a, large, 2, 0), 0);
    take(&b, large, 0);
    assert_int_equal(message_of(&b), 2);
    neap_object_unref(&large->object);
}

/* --- several at once --- */

static void select_serves_one_and_leaves_the_rest(void **state) {
    (void)state;
    put(&b, buffered, 1, 0);
    add_link(&a, 0, rendezvous, NEAP_CHANNEL_RECV);
    add_link(&a, 1, buffered, NEAP_CHANNEL_RECV);
    assert_int_equal(start_links(&a, 2, 0), 0);
    assert_int_equal(a.code, 1);
    assert_int_equal(value_of(&a.links[1].message), 1);
    assert_int_equal(start_links(&a, 2, 0), NEAP_TIMEOUT);
    assert_int_equal(start_links(&a, 2, NEAP_FOREVER), NEAP_PARKED);
    put(&b, rendezvous, 2, 0);
    put(&b, buffered, 3, 0);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(a.code, 0);
    assert_int_equal(value_of(&a.links[0].message), 2);
    assert_int_equal(neap_channel_length(buffered), 1); /* the loser's value stays */
    assert_true(neap_list_is_empty(&buffered->receivers));
}

static void select_on_both_sides_of_one_channel_does_not_meet_itself(void **state) {
    (void)state;
    a.links[0].message = parcel(1);
    add_link(&a, 0, rendezvous, NEAP_CHANNEL_SEND);
    add_link(&a, 1, rendezvous, NEAP_CHANNEL_RECV);
    assert_int_equal(start_links(&a, 2, NEAP_FOREVER), NEAP_PARKED);
    b.links[0].message = parcel(2);
    add_link(&b, 0, rendezvous, NEAP_CHANNEL_SEND);
    add_link(&b, 1, rendezvous, NEAP_CHANNEL_RECV);
    assert_int_equal(start_links(&b, 2, NEAP_FOREVER), 0); /* one of them sends to the other */
    finish(&a);
    assert_int_equal(a.code + b.code, 1);
    struct actor *receiver = a.code == 0 ? &b : &a;
    assert_int_equal(value_of(&receiver->links[1].message), a.code == 0 ? 1 : 2);
    neap_message_fini(&a.links[0].message);
    neap_message_fini(&b.links[0].message);
}

static void select_is_told_of_a_closed_channel(void **state) {
    (void)state;
    add_link(&a, 0, rendezvous, NEAP_CHANNEL_RECV);
    add_link(&a, 1, buffered, NEAP_CHANNEL_RECV);
    start_links(&a, 2, NEAP_FOREVER);
    close_channel(buffered);
    assert_int_equal(finish(&a), NEAP_CLOSED);
    assert_int_equal(a.code, 1);
    assert_true(neap_list_is_empty(&rendezvous->receivers));
}

static void select_takes_ready_cases_in_turn(void **state) {
    (void)state;
    int served[2] = {0, 0};
    for (int i = 0; i < 400; i++) {
        while (neap_channel_length(buffered) < 2) put(&b, buffered, i, 0);
        add_link(&a, 0, buffered, NEAP_CHANNEL_RECV);
        add_link(&a, 1, buffered, NEAP_CHANNEL_RECV);
        start_links(&a, 2, 0);
        served[a.code]++;
        neap_message_fini(&a.links[a.code].message);
    }
    assert_true(served[0] > 50 && served[1] > 50); /* either is chosen half the time: fails once in 10^60 runs */
}

#define CHANNEL_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest channel_tests[] = {
        CHANNEL_TEST(a_rendezvous_hands_over),
        CHANNEL_TEST(a_buffered_one_keeps_what_fits),
        CHANNEL_TEST(senders_and_receivers_are_served_in_order),
        CHANNEL_TEST(a_waiting_sender_moves_up),
        CHANNEL_TEST(waits_time_out_and_leave_all_as_it_was),
        CHANNEL_TEST(cancelled_waits_are_passed_over),
        CHANNEL_TEST(a_served_wait_keeps_its_value_whatever_comes_after),
        CHANNEL_TEST(closing_ends_waits_and_leaves_what_is_buffered),
        CHANNEL_TEST(the_first_to_close_gives_the_reason),
        CHANNEL_TEST(what_nobody_received_ends_with_it),
        CHANNEL_TEST(a_long_chain_of_channels_ends_without_recursion),
        CHANNEL_TEST(out_of_memory_leaves_it_as_it_was),
        CHANNEL_TEST(select_serves_one_and_leaves_the_rest),
        CHANNEL_TEST(select_on_both_sides_of_one_channel_does_not_meet_itself),
        CHANNEL_TEST(select_is_told_of_a_closed_channel),
        CHANNEL_TEST(select_takes_ready_cases_in_turn),
    };
    return run_local_and_shared(channel_tests);
}
