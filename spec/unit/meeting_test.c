#include "support.h"

#include <string.h>

#include "sync/channel.h"
#include "sync/meeting.h"

enum { CROWD = 6, STEPS = 20000 };

static struct neap_channel *rendezvous, *buffered;
static struct actor a, b, c;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    rendezvous = neap_channel_new(0);
    buffered = neap_channel_new(2);
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
    return start(actor, channel, NEAP_CHANNEL_SEND, deadline);
}

static int take(struct actor *actor, struct neap_channel *channel, int64_t deadline) {
    return start(actor, channel, NEAP_CHANNEL_RECV, deadline);
}

static int64_t message_of(struct actor *actor) { return value_of(&actor->links[0].message); }

static enum neap_quick meet_receiver(struct neap_channel *channel, int64_t value) {
    struct neap_message message = parcel(value);
    enum neap_quick met = neap_meeting_send(channel, &message);
    assert_int_equal(message.kind == NEAP_MESSAGE_EMPTY, met == NEAP_QUICK_DONE);
    neap_message_fini(&message);
    return met;
}

/* What was received, or -1. */
static int64_t receive(struct neap_channel *channel, enum neap_quick *met) {
    struct neap_message message;
    neap_message_clear(&message);
    *met = neap_meeting_receive(channel, &message);
    return *met == NEAP_QUICK_DONE ? value_of(&message) : -1;
}

static enum neap_quick meet_sender(struct neap_channel *channel) {
    enum neap_quick met;
    assert_int_equal(receive(channel, &met), -1);
    return met;
}

static void close_channel(struct neap_channel *channel) {
    struct neap_message none;
    neap_message_clear(&none);
    neap_channel_close(channel, &none);
}

static void a_receiver_that_waits_is_met(void **state) {
    (void)state;
    assert_int_equal(take(&a, rendezvous, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(take(&b, rendezvous, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(meet_receiver(rendezvous, 1), NEAP_QUICK_DONE);
    assert_int_equal(a.code, NEAP_PARKED); /* it runs later, from the queue */
    assert_int_equal(meet_receiver(rendezvous, 2), NEAP_QUICK_DONE);
    assert_int_equal(meet_receiver(rendezvous, 3), NEAP_QUICK_LATER);
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(message_of(&a), 1);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(message_of(&b), 2);
    assert_int_equal(rendezvous->sent, 2);
}

static void a_sender_that_waits_is_met(void **state) {
    enum neap_quick met;
    (void)state;
    put(&a, rendezvous, 1, NEAP_FOREVER);
    put(&b, rendezvous, 2, NEAP_FOREVER);
    assert_int_equal(receive(rendezvous, &met), 1);
    assert_int_equal(receive(rendezvous, &met), 2);
    assert_int_equal(meet_sender(rendezvous), NEAP_QUICK_LATER);
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(a.links[0].message.kind, NEAP_MESSAGE_EMPTY);
    assert_int_equal(rendezvous->sent, 2);
}

static void what_has_room_is_met_only_by_who_waits(void **state) {
    (void)state;
    assert_int_equal(meet_receiver(buffered, 1), NEAP_QUICK_ASK);
    assert_int_equal(meet_sender(buffered), NEAP_QUICK_LATER);
    assert_int_equal(take(&a, buffered, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(meet_receiver(buffered, 2), NEAP_QUICK_DONE);
    settle(&here);
    assert_int_equal(message_of(&a), 2);
    put(&a, buffered, 3, 0);
    assert_int_equal(meet_sender(buffered), NEAP_QUICK_ASK); /* of the buffer */
    put(&b, buffered, 4, 0);
    put(&c, buffered, 5, NEAP_FOREVER);
    assert_int_equal(meet_sender(buffered), NEAP_QUICK_ASK); /* what is in the buffer comes first */
    for (int i = 3; i <= 5; i++) {
        assert_int_equal(take(&a, buffered, 0), 0);
        assert_int_equal(message_of(&a), i);
    }
    settle(&here);
    assert_int_equal(outcome(&c), 0);
}

static void a_closed_one_is_asked(void **state) {
    (void)state;
    close_channel(rendezvous);
    assert_int_equal(meet_receiver(rendezvous, 1), NEAP_QUICK_ASK);
    assert_int_equal(meet_sender(rendezvous), NEAP_QUICK_ASK);
}

/* Another case may be served, by another thread even: who waits on several is claimed as wait.c says. */
static void who_waits_on_several_is_left_to_attempt(void **state) {
    (void)state;
    add_link(&a, 0, rendezvous, NEAP_CHANNEL_RECV);
    add_link(&a, 1, buffered, NEAP_CHANNEL_RECV);
    assert_int_equal(start_links(&a, 2, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(meet_receiver(rendezvous, 1), NEAP_QUICK_ASK);
    assert_int_equal(meet_receiver(buffered, 1), NEAP_QUICK_ASK);
    assert_int_equal(put(&b, buffered, 2, 0), 0);
    assert_int_equal(meet_receiver(rendezvous, 1), NEAP_QUICK_ASK); /* claimed, but its link is still in this list */
    assert_int_equal(put(&b, rendezvous, 3, 0), NEAP_TIMEOUT);
    assert_int_equal(message_of(&b), 3);
    settle(&here);
    assert_int_equal(a.code, 1);
    assert_int_equal(value_of(&a.links[1].message), 2);
    assert_int_equal(meet_receiver(rendezvous, 1), NEAP_QUICK_LATER);
}

static void who_has_been_claimed_is_not_met(void **state) {
    (void)state;
    take(&a, rendezvous, NEAP_FOREVER);
    take(&b, rendezvous, NEAP_FOREVER);
    assert_true(cancel(&a)); /* and has not run yet */
    assert_int_equal(meet_receiver(rendezvous, 1), NEAP_QUICK_ASK);
    assert_int_equal(put(&c, rendezvous, 2, 0), 0); /* passes it over */
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_CANCELLED);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(message_of(&b), 2);
}

static void who_is_served_so_cannot_be_cancelled_any_more(void **state) {
    (void)state;
    take(&a, rendezvous, soon(1000));
    assert_int_equal(meet_receiver(rendezvous, 1), NEAP_QUICK_DONE);
    assert_false(cancel(&a));
    assert_false(neap_wait_expire(&a.wait));
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(message_of(&a), 1);
}

/* A host's thread sleeps on a word of its own. */
static void who_has_no_loop_is_left_to_attempt(void **state) {
    struct actor host;
    (void)state;
    actor_init(&host, NULL);
    take(&host, rendezvous, NEAP_FOREVER);
    assert_int_equal(meet_receiver(rendezvous, 1), NEAP_QUICK_ASK);
    assert_int_equal(put(&a, rendezvous, 2, 0), 0);
    assert_int_equal(finish(&host), 0);
    assert_int_equal(message_of(&host), 2);
}

static void one_that_becomes_shared_meanwhile_is_left_to_attempt(void **state) {
    (void)state;
    take(&a, rendezvous, NEAP_FOREVER);
    take(&b, rendezvous, NEAP_FOREVER);
    assert_int_equal(meet_receiver(rendezvous, 1), NEAP_QUICK_DONE);
    neap_object_share(&rendezvous->object);
    assert_int_equal(meet_receiver(rendezvous, 2), NEAP_QUICK_ASK);
    assert_int_equal(put(&c, rendezvous, 3, 0), 0);
    settle(&here);
    assert_int_equal(message_of(&a), 1);
    assert_int_equal(message_of(&b), 3);
}

/* --- both ways in turn --- */

/* Actors send and receive at random, by meeting where that will do if `meets`, and now and then one is cancelled.
 * What was received is summed up. */
struct play {
    struct actor actors[CROWD];
    int64_t next;     /* value to be sent */
    int64_t received; /* the sum of the values, each times its place in their order */
    int64_t count;    /* of values received */
};

static void conclude(struct play *play, struct actor *actor) {
    if (outcome(actor) == 0 && actor->links[0].op == NEAP_CHANNEL_RECV)
        play->received += message_of(actor) * ++play->count;
    neap_message_fini(&actor->links[0].message);
    actor->code = 0;
    actor->links[0].op = NEAP_CHANNEL_SEND;
}

static void begin_to_receive(struct play *play, struct actor *actor, bool meets) {
    neap_message_clear(&actor->links[0].message);
    if (meets && neap_meeting_receive(rendezvous, &actor->links[0].message) == NEAP_QUICK_DONE) {
        actor->code = 0;
        add_link(actor, 0, rendezvous, NEAP_CHANNEL_RECV)->result = 0;
        conclude(play, actor);
    } else if (take(actor, rendezvous, NEAP_FOREVER) != NEAP_PARKED) {
        conclude(play, actor);
    }
}

static void begin_to_send(struct play *play, struct actor *actor, bool meets) {
    actor->links[0].message = parcel(++play->next);
    if (meets && neap_meeting_send(rendezvous, &actor->links[0].message) == NEAP_QUICK_DONE) return;
    if (start(actor, rendezvous, NEAP_CHANNEL_SEND, NEAP_FOREVER) != NEAP_PARKED) conclude(play, actor);
}

static void step(struct play *play, const uint8_t *dice, bool meets) {
    struct actor *actor = &play->actors[dice[0] % CROWD];
    if (actor->code == NEAP_PARKED) {
        if (dice[1] % 4 == 0) cancel(actor);
    } else if (dice[1] % 2 == 0) {
        begin_to_send(play, actor, meets);
    } else {
        begin_to_receive(play, actor, meets);
    }
    if (dice[2] % 3 != 0) return; /* what has been served waits for its turn */
    settle(&here);
    for (int i = 0; i < CROWD; i++)
        if (play->actors[i].code != NEAP_PARKED) conclude(play, &play->actors[i]);
}

static void perform(struct play *play, uint8_t dice[STEPS][3], bool meets) {
    memset(play, 0, sizeof *play);
    for (int i = 0; i < CROWD; i++) {
        actor_init(&play->actors[i], &here);
        add_link(&play->actors[i], 0, rendezvous, NEAP_CHANNEL_SEND); /* it has received nothing yet */
    }
    for (int i = 0; i < STEPS; i++) step(play, dice[i], meets);
    for (int i = 0; i < CROWD; i++)
        if (play->actors[i].code == NEAP_PARKED) cancel(&play->actors[i]);
    settle(&here);
    for (int i = 0; i < CROWD; i++) conclude(play, &play->actors[i]);
}

static void it_comes_to_the_same_as_attempt(void **state) {
    static uint8_t dice[STEPS][3];
    struct play met, asked;
    (void)state;
    for (int i = 0; i < STEPS; i++)
        for (int j = 0; j < 3; j++) dice[i][j] = (uint8_t)chance(256);
    perform(&met, dice, true);
    perform(&asked, dice, false);
    assert_true(met.count > STEPS / 100);
    assert_int_equal(met.count, asked.count);
    assert_int_equal(met.received, asked.received);
    assert_true(neap_list_is_empty(&rendezvous->senders) && neap_list_is_empty(&rendezvous->receivers));
}

#define MEETING_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest meeting_tests[] = {
        MEETING_TEST(a_receiver_that_waits_is_met),
        MEETING_TEST(a_sender_that_waits_is_met),
        MEETING_TEST(what_has_room_is_met_only_by_who_waits),
        MEETING_TEST(a_closed_one_is_asked),
        MEETING_TEST(who_waits_on_several_is_left_to_attempt),
        MEETING_TEST(who_has_been_claimed_is_not_met),
        MEETING_TEST(who_is_served_so_cannot_be_cancelled_any_more),
        MEETING_TEST(who_has_no_loop_is_left_to_attempt),
        MEETING_TEST(one_that_becomes_shared_meanwhile_is_left_to_attempt),
        MEETING_TEST(it_comes_to_the_same_as_attempt),
    };
    return run_once(meeting_tests);
}
