/* What a channel makes of credits. The other process is played by the test: it uses the slot, and what it has sent
 * comes when the test says so. */
#include "support.h"

#include <string.h>

#include "sync/channel_credit.h"
#include "sync/channel_loan.h"
#include "sync/queue.h"

static struct neap_credit_slot slot, other_slot;
static struct neap_credit credit, other;
static bool is_read;
static const struct neap_credit *coming; /* the only one that has something on its way; NULL: none */
static struct neap_channel *busy;        /* that everybody looks at at once; NULL: nobody else does */
static int looks, references;

static bool is_coming(const struct neap_credit *asked) { return asked == coming || busy != NULL; }

static bool being_read(const struct neap_credit *asked) {
    (void)asked;
    return is_read;
}

/* Somebody else may look meanwhile. */
static void count_look(struct neap_credit *asked) {
    assert_true(is_coming(asked));
    looks++;
    if (busy == NULL || looks > 1) return;
    coming = NULL;
    neap_channel_look(busy);
    coming = &credit;
}

static void ref(struct neap_credit *asked) {
    (void)asked;
    references++;
}

static void unref(struct neap_credit *asked) {
    (void)asked;
    references--;
}

static int tells;

static void tell(struct neap_credit *asked) {
    (void)asked;
    tells++;
}

static const struct neap_credit_class class = {is_coming, being_read, ref, unref, tell, count_look};

static int make(void **state) {
    memset(&slot, 0, sizeof slot);
    memset(&other_slot, 0, sizeof other_slot);
    is_read = false;
    coming = NULL;
    busy = NULL;
    looks = references = tells = 0;
    neap_credit_init(&credit, &class, &slot);
    neap_credit_init(&other, &class, &other_slot);
    return set_up(state);
}

#define RUN(function) cmocka_unit_test_setup_teardown(function, make, tear_down)

static uint32_t lend_all(struct neap_loan *loan, const struct neap_buffer *buffer, uint32_t from, uint32_t count) {
    (void)loan;
    (void)buffer;
    (void)from;
    return count;
}

static uint32_t use_all(struct neap_credit_slot *of) {
    uint32_t used = 0;
    while (neap_credit_use(of)) used++;
    return used;
}

static struct neap_channel *new_channel(size_t capacity) { return made(neap_channel_new(capacity)); }

static void drop(struct neap_channel *channel) {
    neap_channel_end_credit(channel, &credit);
    neap_channel_end_credit(channel, &other);
    neap_object_unref(&channel->object);
}

/* A message of `from` has come. */
static int come(struct neap_channel *channel, struct neap_credit *from, int64_t value, double priority) {
    struct neap_message message = parcel(value);
    bool due = false;
    int code = neap_channel_accept(channel, from, &message, priority, &due);
    neap_message_fini(&message);
    if (due) neap_channel_share(channel, from);
    return code;
}

/* Sends by `of`, and it comes. */
static void send_by(struct neap_channel *channel, struct neap_credit *from, int64_t value) {
    assert_true(neap_credit_use(from->slot));
    assert_int_equal(come(channel, from, value, 0), 0);
}

static int try_send(struct neap_channel *channel, int64_t value) {
    struct actor actor;
    actor_init(&actor, &here);
    add_link(&actor, 0, channel, NEAP_CHANNEL_SEND)->message = parcel(value);
    int code = start_links(&actor, 1, 0);
    neap_message_fini(&actor.links[0].message);
    actor_end(&actor);
    return code;
}

static int64_t take(struct neap_channel *channel) {
    struct actor actor;
    actor_init(&actor, &here);
    assert_int_equal(start(&actor, channel, NEAP_CHANNEL_RECV, 0), 0);
    int64_t value = value_of(&actor.links[0].message);
    actor_end(&actor);
    return value;
}

static void check_books(const struct neap_channel *channel) {
    assert_int_equal(channel->reserved, neap_credit_reserved(&credit) + neap_credit_reserved(&other));
    assert_true(channel->buffer.count + channel->reserved <= channel->capacity);
}

static void half_of_the_places_are_reserved_at_most(void **state) {
    (void)state;
    static const size_t capacities[] = {1, 2, 3, 16, 1024, 5000, NEAP_UNBOUNDED};
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        struct neap_channel *channel = new_channel(capacities[i]);
        size_t half = capacities[i] - capacities[i] / 2, most = half < NEAP_CREDIT_MAX ? half : NEAP_CREDIT_MAX;
        neap_credit_init(&credit, &class, &slot);
        neap_credit_init(&other, &class, &other_slot);
        neap_channel_credit(channel, &credit);
        assert_true(channel->reserved > 0);
        for (int round = 0; round < 2000; round++) {
            if (!neap_credit_is_left(&slot)) neap_channel_credit(channel, &credit); /* it has asked */
            send_by(channel, &credit, round);
            assert_int_equal(take(channel), round);
            check_books(channel);
            assert_true(channel->reserved <= most);
        }
        assert_true(channel->reserved >= most / 2); /* it grows while it is used */
        drop(channel);
    }
}

static void a_rendezvous_has_none(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(0);
    neap_channel_credit(channel, &credit);
    assert_false(neap_credit_use(&slot));
    assert_int_equal(come(channel, &credit, 1, 0), NEAP_RANGE);
    drop(channel);
}

static void what_comes_without_a_place_is_refused(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(4);
    neap_channel_credit(channel, &credit);
    uint32_t granted = use_all(&slot);
    for (uint32_t i = 0; i < granted; i++) assert_int_equal(come(channel, &credit, i, 0), 0);
    use_all(&slot);
    while (neap_credit_reserved(&credit) > 0) assert_int_equal(come(channel, &credit, 9, 0), 0);
    assert_int_equal(come(channel, &credit, 1, 0), NEAP_RANGE);
    assert_true(neap_channel_length(channel) <= 4);
    drop(channel);
}

static void who_finds_it_full_has_what_is_not_used(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(16);
    neap_channel_credit(channel, &credit);
    assert_true(channel->reserved >= 2);
    assert_true(neap_credit_use(&slot)); /* is on its way */
    for (int i = 0; i < 15; i++) assert_int_equal(try_send(channel, i), 0);
    assert_int_equal(try_send(channel, 15), NEAP_TIMEOUT);
    assert_int_equal(channel->reserved, 1);
    assert_false(neap_credit_use(&slot));
    assert_int_equal(come(channel, &credit, 15, 0), 0);
    assert_int_equal(neap_channel_length(channel), 16);
    for (int i = 0; i < 16; i++) assert_int_equal(take(channel), i);
    drop(channel);
}

static void receivers_make_room_for_who_has_credit(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(4);
    neap_channel_credit(channel, &other);
    assert_true(neap_credit_use(&other_slot)); /* is on its way: so the quick way is closed */
    for (int i = 0; i < 3; i++) assert_int_equal(try_send(channel, i), 0);
    neap_channel_credit(channel, &credit);
    assert_false(neap_credit_is_left(&slot));
    for (int i = 0; i < 3; i++) assert_int_equal(take(channel), i);
    assert_true(neap_credit_is_left(&slot));
    check_books(channel);
    drop(channel);
}

/* Else who reads the link would never come to an end. */
static void none_is_granted_while_the_link_is_read(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(16);
    neap_channel_credit(channel, &credit);
    uint32_t granted = use_all(&slot);
    is_read = true;
    for (uint32_t i = 0; i < granted; i++) {
        struct neap_message message = parcel(i);
        bool due = false;
        assert_int_equal(neap_channel_accept(channel, &credit, &message, 0, &due), 0);
        assert_int_equal(due, neap_credit_reserved(&credit) <= credit.quota / 2);
        assert_int_equal(take(channel), i);
        assert_false(neap_credit_is_left(&slot));
    }
    is_read = false;
    neap_channel_share(channel, &credit);
    assert_true(neap_credit_is_left(&slot));
    drop(channel);
}

/* While anything is reserved the quick way is closed to the others. */
static void who_does_not_use_it_loses_it(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1024);
    neap_object_share(&channel->object);
    neap_channel_credit(channel, &credit);
    for (int i = 0; i < 32; i++) assert_int_equal(try_send(channel, i), 0);
    assert_true(channel->reserved > 0);
    for (int i = 32; i < 64; i++) assert_int_equal(try_send(channel, i), 0);
    assert_int_equal(channel->reserved, 0);
    assert_false(neap_credit_is_left(&slot));
    for (int i = 0; i < 64; i++) assert_int_equal(take(channel), i);
    drop(channel);
}

static void a_closed_channel_waits_for_what_is_on_its_way(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(8);
    struct neap_message reason = integer(7);
    struct actor first, second;
    actor_init(&first, &here);
    actor_init(&second, &here);
    neap_channel_credit(channel, &credit);
    assert_true(neap_credit_use(&slot));
    assert_true(neap_channel_close(channel, &reason));
    assert_false(neap_credit_use(&slot));
    assert_int_equal(start(&first, channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(start(&second, channel, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(try_send(channel, 2), NEAP_CLOSED);
    assert_int_equal(come(channel, &credit, 1, 0), 0);
    settle(&here);
    assert_int_equal(outcome(&first), 0);
    assert_int_equal(value_of(&first.links[0].message), 1);
    assert_int_equal(outcome(&second), NEAP_CLOSED);
    actor_end(&first);
    actor_end(&second);
    drop(channel);
}

static void what_was_counted_and_never_comes_is_given_up_with_the_credit(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(2), *closed = new_channel(2);
    struct neap_message none;
    struct actor waits, sends;
    neap_message_clear(&none);
    actor_init(&waits, &here);
    actor_init(&sends, &here);
    neap_channel_credit(channel, &credit);
    assert_true(neap_credit_use(&slot));
    assert_int_equal(try_send(channel, 1), 0);
    add_link(&sends, 0, channel, NEAP_CHANNEL_SEND)->message = parcel(2);
    assert_int_equal(start_links(&sends, 1, NEAP_FOREVER), NEAP_PARKED);
    neap_channel_end_credit(channel, &credit);
    settle(&here);
    assert_int_equal(outcome(&sends), 0);
    assert_int_equal(take(channel), 1);
    assert_int_equal(take(channel), 2);
    neap_channel_credit(channel, &credit);
    assert_false(neap_credit_is_left(&slot)); /* for good */

    neap_channel_credit(closed, &other);
    assert_true(neap_credit_use(&other_slot));
    neap_channel_close(closed, &none);
    assert_int_equal(start(&waits, closed, NEAP_CHANNEL_RECV, NEAP_FOREVER), NEAP_PARKED);
    neap_channel_end_credit(closed, &other);
    settle(&here);
    assert_int_equal(outcome(&waits), NEAP_CLOSED);
    actor_end(&waits);
    actor_end(&sends);
    neap_object_unref(&closed->object);
    neap_object_unref(&channel->object);
}

static void two_share_what_there_is(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    neap_channel_credit(channel, &credit);
    neap_channel_credit(channel, &other);
    for (int round = 0; round < 500; round++) {
        struct neap_credit *from = chance(2) == 0 ? &credit : &other;
        if (!neap_credit_use(from->slot)) {
            neap_channel_credit(channel, from);
            continue;
        }
        assert_int_equal(come(channel, from, round, 0), 0);
        assert_int_equal(take(channel), round);
        check_books(channel);
        assert_true(channel->reserved <= 32);
    }
    drop(channel);
}

/* Each that has something on its way is taken in once. */
static void who_looks_takes_in_what_is_coming(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    neap_channel_look(channel);
    neap_channel_credit(channel, &credit);
    neap_channel_credit(channel, &other);
    neap_channel_look(channel);
    assert_int_equal(looks, 0);
    coming = &other;
    neap_channel_look(channel);
    assert_int_equal(looks, 1);
    coming = &credit;
    neap_channel_look(channel);
    assert_int_equal(looks, 2);
    assert_int_equal(references, 0);
    coming = NULL;
    drop(channel);
}

static void two_may_look_at_once(void **state) {
    (void)state;
    struct neap_credit_slot slots[3];
    struct neap_credit credits[3];
    struct neap_channel *channel = new_channel(64);
    memset(slots, 0, sizeof slots);
    for (int i = 0; i < 3; i++) {
        neap_credit_init(&credits[i], &class, &slots[i]);
        neap_channel_credit(channel, &credits[i]);
    }
    busy = channel;
    neap_channel_look(channel);
    assert_int_equal(looks, 6);
    assert_int_equal(references, 0);
    for (int i = 0; i < 3; i++) neap_channel_end_credit(channel, &credits[i]);
    drop(channel);
}

/* Else the number and the slot may be another's by then. */
static void who_has_ended_is_told_nothing(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(64);
    neap_channel_credit(channel, &credit);
    assert_int_equal(tells, 1);
    send_by(channel, &credit, 1);
    neap_channel_credit(channel, &credit);
    assert_int_equal(tells, 1);
    neap_channel_credit(channel, &credit); /* asks though it has credit: it does not know */
    assert_int_equal(tells, 2);
    neap_channel_end_credit(channel, &credit);
    neap_channel_credit(channel, &credit);
    assert_int_equal(tells, 2);
    drop(channel);
}

static void what_is_on_its_way_is_unfinished(void **state) {
    (void)state;
    struct neap_queue *queue = made(neap_queue_new(8, NEAP_FIFO));
    struct neap_channel *channel = &queue->channel;
    struct actor joins;
    actor_init(&joins, &here);
    neap_channel_credit(channel, &credit);
    assert_int_equal(start(&joins, queue, NEAP_QUEUE_JOIN, 0), 0);
    assert_int_equal(try_send(channel, 1), 0);
    assert_true(neap_credit_use(&slot));
    assert_int_equal(neap_channel_length(channel), 2);
    assert_int_equal(start(&joins, queue, NEAP_QUEUE_JOIN, NEAP_FOREVER), NEAP_PARKED);
    take(channel);
    assert_int_equal(neap_queue_task_done(queue), 0);
    settle(&here);
    assert_int_equal(outcome(&joins), NEAP_PARKED);
    assert_int_equal(come(channel, &credit, 2, 0), 0);
    take(channel);
    assert_int_equal(neap_queue_task_done(queue), 0);
    settle(&here);
    assert_int_equal(outcome(&joins), 0);

    neap_channel_credit(channel, &credit);
    assert_true(neap_credit_use(&slot)); /* and never comes */
    assert_int_equal(start(&joins, queue, NEAP_QUEUE_JOIN, NEAP_FOREVER), NEAP_PARKED);
    neap_channel_end_credit(channel, &credit);
    settle(&here);
    assert_int_equal(outcome(&joins), 0);
    actor_end(&joins);
    drop(channel);
}

/* The borrower of what is lent takes one, which makes room: that is for who asks, not for who has credit. */
static void room_is_for_who_asks(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(4);
    struct neap_loan_slot lent;
    struct neap_loan loan;
    bool told;
    memset(&lent, 0, sizeof lent);
    neap_loan_init(&loan, &lent, lend_all);
    neap_channel_credit(channel, &credit);
    for (int i = 0; i < 3; i++) neap_channel_lend(channel, &loan); /* it is trusted more each time */
    for (uint32_t used = use_all(&slot); used > 0; used--) assert_int_equal(come(channel, &credit, 0, 0), 0);
    while (try_send(channel, 1) == 0) {}
    for (int i = 0; i < 3; i++) neap_channel_lend(channel, &loan);
    neap_channel_credit(channel, &credit);
    assert_int_equal(loan.lent, 4);
    assert_int_equal(channel->reserved, 0);
    credit.quota = 2;
    assert_true(neap_loan_take(&lent, loan.round, loan.first, &told));
    assert_int_equal(try_send(channel, 5), 0);
    neap_channel_end_loan(channel, &loan);
    drop(channel);
}

static void priorities_hold(void **state) {
    (void)state;
    struct neap_queue *queue = made(neap_queue_new(8, NEAP_PRIORITY));
    struct neap_channel *channel = &queue->channel;
    neap_channel_credit(channel, &credit);
    assert_true(neap_credit_use(&slot) && neap_credit_use(&slot) && neap_credit_use(&slot));
    assert_int_equal(come(channel, &credit, 1, 3), 0);
    assert_int_equal(come(channel, &credit, 2, 1), 0);
    assert_int_equal(come(channel, &credit, 3, 2), 0);
    assert_int_equal(take(channel), 2);
    assert_int_equal(take(channel), 3);
    assert_int_equal(take(channel), 1);
    drop(channel);
}

static void without_memory_none_is_granted(void **state) {
    (void)state;
    struct neap_channel *channel = new_channel(1024);
    neap_memory_fail_after(0);
    neap_channel_credit(channel, &credit);
    neap_memory_fail_after(-1);
    check_books(channel);
    for (uint32_t used = use_all(&slot); used > 0; used--) assert_int_equal(come(channel, &credit, 1, 0), 0);
    while (neap_channel_length(channel) > 0) take(channel);
    neap_channel_share(channel, &credit);
    assert_true(neap_credit_is_left(&slot));
    check_books(channel);
    drop(channel);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RUN(half_of_the_places_are_reserved_at_most),
        RUN(a_rendezvous_has_none),
        RUN(what_comes_without_a_place_is_refused),
        RUN(who_finds_it_full_has_what_is_not_used),
        RUN(receivers_make_room_for_who_has_credit),
        RUN(none_is_granted_while_the_link_is_read),
        RUN(who_does_not_use_it_loses_it),
        RUN(a_closed_channel_waits_for_what_is_on_its_way),
        RUN(what_was_counted_and_never_comes_is_given_up_with_the_credit),
        RUN(two_share_what_there_is),
        RUN(who_looks_takes_in_what_is_coming),
        RUN(two_may_look_at_once),
        RUN(who_has_ended_is_told_nothing),
        RUN(what_is_on_its_way_is_unfinished),
        RUN(room_is_for_who_asks),
        RUN(priorities_hold),
        RUN(without_memory_none_is_granted),
    };
    return run_once(tests);
}
