/* Channels between threads: nothing is lost, nothing comes twice, nobody sleeps on. */
#include "support.h"

#include "sync/channel.h"

static bool close_channel(struct neap_channel *channel) {
    struct neap_message none;
    neap_message_clear(&none);
    return neap_channel_close(channel, &none);
}

static struct neap_channel *new_shared(size_t capacity) {
    struct neap_channel *channel = neap_channel_new(capacity);
    CHECK(channel != NULL);
    neap_object_share(&channel->object);
    return channel;
}

/* --- a crowd --- */

enum { CROWD = 2, MANY = 100000 };

struct market {
    struct neap_channel *channel;
    int rounds;
    atomic_int sellers;
    _Atomic uint8_t *seen; /* how often each value was received */
    atomic_int next;
};

/* Sends each value until it is taken, through timeouts and cancellations. */
static void sell(void *argument) {
    struct market *market = argument;
    struct actor actor;
    actor_init(&actor, chance(3) > 0 ? neap_loop_here : NULL);
    for (int i = 0; i < market->rounds; i++) {
        actor.links[0].message = parcel(atomic_fetch_add(&market->next, 1));
        int code;
        do {
            code = start(&actor, market->channel, NEAP_CHANNEL_SEND, chance(8) == 0 ? soon(chance(20)) : NEAP_FOREVER);
            if (code == NEAP_PARKED && chance(8) == 0) cancel(&actor);
            code = finish(&actor);
        } while (code == NEAP_TIMEOUT || code == NEAP_CANCELLED);
        CHECK(code == 0);
    }
    if (atomic_fetch_sub(&market->sellers, 1) == 1) close_channel(market->channel);
}

static void buy(void *argument) {
    struct market *market = argument;
    struct actor actor;
    actor_init(&actor, chance(3) > 0 ? neap_loop_here : NULL);
    for (;;) {
        int code = start(&actor, market->channel, NEAP_CHANNEL_RECV, chance(8) == 0 ? soon(chance(20)) : NEAP_FOREVER);
        if (code == NEAP_PARKED && chance(8) == 0) cancel(&actor);
        code = finish(&actor);
        if (code == NEAP_CLOSED) return;
        if (code == 0) atomic_fetch_add(&market->seen[value_of(&actor.links[0].message)], 1);
    }
}

static void trade(size_t capacity) {
    static _Atomic uint8_t seen[CROWD * MANY];
    struct market market = {.channel = new_shared(capacity), .rounds = repeated(2000), .sellers = CROWD, .seen = seen};
    struct helper sellers[CROWD], buyers[CROWD];
    if (market.rounds > MANY) market.rounds = MANY;
    for (int i = 0; i < CROWD * market.rounds; i++) atomic_store(&seen[i], 0);
    for (int i = 0; i < CROWD; i++) helper_start(&sellers[i], sell, &market);
    for (int i = 0; i < CROWD; i++) helper_start(&buyers[i], buy, &market);
    for (int i = 0; i < CROWD; i++) helper_join(&sellers[i]);
    for (int i = 0; i < CROWD; i++) helper_join(&buyers[i]);
    for (int i = 0; i < CROWD * market.rounds; i++) assert_int_equal(atomic_load(&seen[i]), 1);
    neap_object_unref(&market.channel->object);
}

static void every_value_arrives_once_by_rendezvous(void **state) {
    (void)state;
    trade(0);
}

static void every_value_arrives_once_through_a_small_buffer(void **state) {
    (void)state;
    trade(3);
}

static void every_value_arrives_once_through_a_big_buffer(void **state) {
    (void)state;
    trade(NEAP_UNBOUNDED);
}

/* --- hand-over against cancellation --- */

struct handover {
    struct neap_channel *channel;
    struct actor receiver, sender;
    struct neap_loop *loops[2];
    bool cancels;
};

static void begin_handover(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct handover *handover = argument;
    handover->channel = new_shared(0);
    handover->loops[0] = left;
    handover->loops[1] = right;
    handover->cancels = chance(2) == 0;
}

static void receive_and_give_up(void *argument) {
    struct handover *handover = argument;
    struct actor *receiver = &handover->receiver;
    actor_init(receiver, handover->loops[0]);
    start(receiver, handover->channel, NEAP_CHANNEL_RECV, handover->cancels ? NEAP_FOREVER : soon(chance(20)));
    dawdle(100);
    if (handover->cancels) cancel(receiver);
    finish(receiver);
}

static void send_and_give_up(void *argument) {
    struct handover *handover = argument;
    struct actor *sender = &handover->sender;
    actor_init(sender, handover->loops[1]);
    sender->links[0].message = parcel(7);
    dawdle(600);
    act(sender, handover->channel, NEAP_CHANNEL_SEND, soon(chance(20)));
}

static void check_handover(void *argument) {
    struct handover *handover = argument;
    struct actor *receiver = &handover->receiver, *sender = &handover->sender;
    bool received = outcome(receiver) == 0, sent = outcome(sender) == 0;
    assert_int_equal(received, sent);
    assert_int_equal(value_of(&(sent ? receiver : sender)->links[0].message), 7);
    assert_int_equal(sender->links[0].message.kind, NEAP_MESSAGE_EMPTY);
    neap_object_unref(&handover->channel->object);
}

static void a_value_is_with_exactly_one_side(void **state) {
    (void)state;
    struct handover handover;
    run_race(&(struct race){begin_handover, receive_and_give_up, send_and_give_up, check_handover}, &handover,
             repeated(2000));
}

/* --- closing --- */

struct closing {
    struct neap_channel *channels[2];
    struct actor sender, receiver, selector;
    struct neap_loop *loop;
};

static void begin_closing(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct closing *closing = argument;
    (void)right;
    closing->channels[0] = new_shared(0);
    closing->channels[1] = new_shared(0);
    closing->loop = left;
}

static void wait_in_all_ways(void *argument) {
    struct closing *closing = argument;
    actor_init(&closing->sender, closing->loop);
    actor_init(&closing->receiver, closing->loop);
    actor_init(&closing->selector, closing->loop);
    closing->sender.links[0].message = parcel(1);
    start(&closing->sender, closing->channels[0], NEAP_CHANNEL_SEND, NEAP_FOREVER);
    start(&closing->receiver, closing->channels[1], NEAP_CHANNEL_RECV, NEAP_FOREVER);
    closing->selector.links[0].message = parcel(2);
    add_link(&closing->selector, 0, closing->channels[0], NEAP_CHANNEL_SEND);
    add_link(&closing->selector, 1, closing->channels[1], NEAP_CHANNEL_RECV);
    CHECK(act_links(&closing->selector, 2, NEAP_FOREVER) == NEAP_CLOSED);
    CHECK(finish(&closing->sender) == NEAP_CLOSED);
    CHECK(finish(&closing->receiver) == NEAP_CLOSED);
}

static void close_twice(void *argument) {
    struct closing *closing = argument;
    uint32_t first = chance(2);
    dawdle(400);
    CHECK(close_channel(closing->channels[first]));
    dawdle(100);
    CHECK(close_channel(closing->channels[1 - first]));
    CHECK(!close_channel(closing->channels[first]));
}

static void check_closing(void *argument) {
    struct closing *closing = argument;
    assert_int_equal(value_of(&closing->sender.links[0].message), 1);
    assert_int_equal(value_of(&closing->selector.links[0].message), 2);
    for (int i = 0; i < 2; i++) {
        assert_true(neap_list_is_empty(&closing->channels[i]->senders));
        assert_true(neap_list_is_empty(&closing->channels[i]->receivers));
        neap_object_unref(&closing->channels[i]->object);
    }
}

static void closing_ends_every_wait(void **state) {
    (void)state;
    struct closing closing;
    run_race(&(struct race){begin_closing, wait_in_all_ways, close_twice, check_closing}, &closing, repeated(1500));
}

/* --- select against select --- */

/* Two threads select over the same two channels, each from the other end, in opposite
 * order: one value passes each time. */
struct exchange {
    struct neap_channel *channels[2];
    struct actor left, right;
    struct neap_loop *loops[2];
};

static void begin_exchange(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct exchange *exchange = argument;
    exchange->loops[0] = left;
    exchange->loops[1] = right;
}

static void send_to_either(void *argument) {
    struct exchange *exchange = argument;
    struct actor *actor = &exchange->left;
    actor_init(actor, exchange->loops[0]);
    for (uint32_t i = 0; i < 2; i++) add_link(actor, i, exchange->channels[i], NEAP_CHANNEL_SEND)->message = parcel(i);
    CHECK(act_links(actor, 2, NEAP_FOREVER) == 0);
}

static void receive_from_either(void *argument) {
    struct exchange *exchange = argument;
    struct actor *actor = &exchange->right;
    actor_init(actor, exchange->loops[1]);
    for (uint32_t i = 0; i < 2; i++) add_link(actor, i, exchange->channels[1 - i], NEAP_CHANNEL_RECV);
    CHECK(act_links(actor, 2, NEAP_FOREVER) == 0);
}

static void check_exchange(void *argument) {
    struct exchange *exchange = argument;
    int sent = exchange->left.code, received = exchange->right.code;
    assert_int_equal(sent, 1 - received);
    assert_int_equal(value_of(&exchange->right.links[received].message), sent);
    assert_int_equal(value_of(&exchange->left.links[1 - sent].message), 1 - sent); /* the loser is untouched */
    assert_int_equal(exchange->left.links[sent].message.kind, NEAP_MESSAGE_EMPTY);
}

static void selects_meet_once(void **state) {
    (void)state;
    struct exchange exchange = {.channels = {new_shared(0), new_shared(0)}};
    run_race(&(struct race){begin_exchange, send_to_either, receive_from_either, check_exchange}, &exchange,
             repeated(2000));
    for (int i = 0; i < 2; i++) neap_object_unref(&exchange.channels[i]->object);
}

/* --- the last reference --- */

static void drop_one(void *argument) { neap_object_unref(&((struct neap_channel *)argument)->object); }

static void the_last_reference_may_go_anywhere(void **state) {
    (void)state;
    for (int i = 0; i < repeated(200); i++) {
        struct helper helper;
        struct actor sender;
        struct neap_channel *channel = new_shared(4);
        actor_init(&sender, &here);
        sender.links[0].message = parcel(1);
        sender.links[0].priority = 0;
        assert_int_equal(start(&sender, channel, NEAP_CHANNEL_SEND, 0), 0);
        neap_object_ref(&channel->object);
        helper_start(&helper, drop_one, channel);
        neap_object_unref(&channel->object);
        helper_join(&helper);
    }
}

int main(void) {
    const struct CMUnitTest channel_races[] = {
        TEST(every_value_arrives_once_by_rendezvous),
        TEST(every_value_arrives_once_through_a_small_buffer),
        TEST(every_value_arrives_once_through_a_big_buffer),
        TEST(a_value_is_with_exactly_one_side),
        TEST(closing_ends_every_wait),
        TEST(selects_meet_once),
        TEST(the_last_reference_may_go_anywhere),
    };
    return run_once(channel_races);
}
