#include "support.h"

#include <math.h>
#include <string.h>

#include "core/remote.h"
#include "sync/dict.h"
#include "sync/event.h"

static struct neap_dict *dict;
static struct actor a, b, c;
static struct neap_turn turn_a, turn_b, turn_c;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    dict = made(neap_dict_new());
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    neap_dict_prepare(dict, &turn_a);
    neap_dict_prepare(dict, &turn_b);
    neap_dict_prepare(dict, &turn_c);
    return 0;
}

static int drop(void **state) {
    neap_object_unref(&dict->object);
    return tear_down(state);
}

#define DICT_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

/* --- keys --- */

static struct neap_key text(const char *bytes) {
    return (struct neap_key){.kind = NEAP_MESSAGE_BYTES, .size = strlen(bytes), .bytes = bytes};
}

static struct neap_key number(int64_t value) {
    return (struct neap_key){.kind = NEAP_MESSAGE_INTEGER, .integer = value};
}

/* --- shorthands: values are parcels of integers, 0 stands for none --- */

static int64_t value_at(struct neap_dict *which, struct neap_key key) {
    struct neap_message value;
    neap_dict_get(which, &key, &value);
    return value.kind == NEAP_MESSAGE_EMPTY ? 0 : value_of(&value);
}

static int set_by(struct actor *actor, struct neap_key key, int64_t value) {
    struct neap_message message;
    neap_message_clear(&message);
    if (value != 0) message = parcel(value);
    int code = neap_dict_swap(dict, &actor->owner, &key, &message);
    neap_message_fini(&message);
    return code;
}

static int set(struct neap_key key, int64_t value) { return set_by(&a, key, value); }

static int64_t at(struct neap_key key) { return value_at(dict, key); }

static int update(struct actor *actor, struct neap_turn *turn, struct neap_key key, int64_t deadline) {
    neap_message_fini(&actor->links[0].message);
    assert_int_equal(neap_key_write(&key, &actor->links[0].message), 0);
    actor->links[0].hold = &turn->hold;
    return start(actor, dict, NEAP_DICT_UPDATE, deadline);
}

/* What an update began with; 0: nothing. */
static int64_t seen(struct actor *actor) {
    struct neap_message *message = &actor->links[0].message;
    return message->kind == NEAP_MESSAGE_EMPTY ? 0 : value_of(message);
}

/* --- values --- */

static void a_value_is_found_by_its_key(void **state) {
    (void)state;
    const char *longer = "a key that is too long to lie in a message by itself";
    struct neap_key keys[] = {text(""),
                              text("a"),
                              text("b"),
                              text(longer),
                              number(0),
                              number(-1),
                              number(INT64_MAX),
                              {.kind = NEAP_MESSAGE_TRUE},
                              {.kind = NEAP_MESSAGE_FALSE},
                              {.kind = NEAP_MESSAGE_NULL},
                              {.kind = NEAP_MESSAGE_NUMBER, .number = 0.5}};
    enum { KEYS = sizeof keys / sizeof *keys };
    for (int i = 0; i < KEYS; i++) assert_int_equal(at(keys[i]), 0);
    for (int i = 0; i < KEYS; i++) assert_int_equal(set(keys[i], i + 1), 0);
    for (int i = 0; i < KEYS; i++) assert_int_equal(at(keys[i]), i + 1);
    assert_int_equal(neap_dict_count(dict), KEYS);
    set(keys[1], 100);
    assert_int_equal(at(keys[1]), 100);
    assert_int_equal(neap_dict_count(dict), KEYS);
}

static void an_object_is_a_key_by_itself(void **state) {
    (void)state;
    struct neap_event *one = made(neap_event_new()), *other = made(neap_event_new());
    struct neap_key key = {.kind = NEAP_MESSAGE_OBJECT, .object = &one->object};
    set(key, 1);
    assert_int_equal(atomic_load(&one->object.refs), 2);
    assert_int_equal(at(key), 1);
    key.object = &other->object;
    assert_int_equal(at(key), 0);
    neap_object_unref(&one->object); /* the dict keeps it */
    neap_object_unref(&other->object);
}

static void what_is_no_key_is_not_read_as_one(void **state) {
    (void)state;
    struct neap_message nothing, list, table = parcel(1), not_a_number;
    struct neap_key key;
    neap_message_clear(&nothing);
    assert_false(neap_key_read(&nothing, &key));
    table.kind = NEAP_MESSAGE_PARCEL;
    assert_false(neap_key_read(&table, &key));
    neap_message_fini(&table);
    assert_int_equal(neap_message_pack(NULL, 0, &list), 0);
    assert_false(neap_key_read(&list, &key));
    neap_message_fini(&list);
    not_a_number.kind = NEAP_MESSAGE_NUMBER;
    not_a_number.number = NAN;
    assert_false(neap_key_read(&not_a_number, &key));
}

static void a_removed_value_is_gone(void **state) {
    (void)state;
    set(text("x"), 5);
    struct neap_message old;
    struct neap_key key = text("x");
    neap_message_clear(&old);
    assert_int_equal(neap_dict_swap(dict, &a.owner, &key, &old), 0);
    assert_int_equal(value_of(&old), 5);
    assert_int_equal(at(key), 0);
    assert_int_equal(neap_dict_count(dict), 0);
    assert_int_equal(set(key, 0), 0); /* nothing is there */
}

/* Against the plainest model. */
static void many_come_and_go(void **state) {
    (void)state;
    enum { KEYS = 300 };
    int64_t model[KEYS] = {0};
    for (int i = 0; i < 20000; i++) {
        uint32_t key = chance(KEYS);
        int64_t value = chance(3) == 0 ? 0 : i + 1;
        model[key] = value;
        assert_int_equal(set(number(key), value), 0);
    }
    size_t count = 0;
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(at(number(i)), model[i]);
        count += model[i] != 0;
    }
    assert_int_equal(neap_dict_count(dict), count);
}

static void a_snapshot_has_everything_in_the_order_of_coming(void **state) {
    (void)state;
    struct neap_message list;
    size_t count;
    for (int i = 1; i <= 20; i++) set(number(i), i * 10);
    set(number(3), 0);
    set(number(3), 33);
    set(number(1), 11);
    assert_int_equal(neap_dict_snapshot(dict, &list), 0);
    set(number(2), 99);
    neap_dict_clear(dict, &a.owner);
    const struct neap_message *items = neap_message_items(&list, &count);
    assert_int_equal(count, 40);
    assert_int_equal(items[0].integer, 1);
    assert_int_equal(items[2].integer, 2);
    assert_int_equal(items[38].integer, 3);
    struct neap_message value;
    neap_message_copy(&value, &items[3]);
    assert_int_equal(value_of(&value), 20);
    neap_message_fini(&list);
}

static void a_cleared_one_is_empty(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) set(number(i), 1);
    assert_int_equal(neap_dict_clear(dict, &a.owner), 0);
    assert_int_equal(neap_dict_count(dict), 0);
    assert_int_equal(at(number(5)), 0);
    set(number(5), 2);
    assert_int_equal(at(number(5)), 2);
}

static void every_failing_allocation_leaves_it_as_it_was(void **state) {
    (void)state;
    struct neap_key key = text("a key that is too long to lie in a message by itself");
    int code = NEAP_NOMEM, tries = 0;
    while (code < 0) {
        struct neap_message value = parcel(7), list;
        assert_int_equal(code, NEAP_NOMEM);
        assert_int_equal(neap_dict_count(dict), 0);
        neap_memory_fail_after(0);
        assert_int_equal(neap_dict_snapshot(dict, &list), NEAP_NOMEM);
        neap_memory_fail_after(tries++);
        code = neap_dict_swap(dict, &a.owner, &key, &value);
        neap_memory_fail_after(-1);
        neap_message_fini(&value);
    }
    assert_true(tries >= 3);
    assert_int_equal(at(key), 7);
    for (int i = 0; i < 100; i++) { /* chains get longer when they cannot get more */
        struct neap_message value = integer(i + 1);
        struct neap_key next = number(i);
        neap_memory_fail_after(1);
        code = neap_dict_swap(dict, &a.owner, &next, &value);
        neap_memory_fail_after(-1);
        if (code < 0) assert_int_equal(set(next, i + 1), 0);
        neap_message_fini(&value);
    }
    for (int i = 0; i < 100; i++) assert_int_equal(at(number(i)), i + 1);
}

/* --- updates --- */

static void an_update_begins_with_the_value(void **state) {
    (void)state;
    set(text("x"), 5);
    assert_int_equal(update(&a, &turn_a, text("x"), NEAP_FOREVER), 0);
    assert_int_equal(seen(&a), 5);
    assert_int_equal(set_by(&a, text("x"), 6), 0);
    neap_turn_return(&turn_a);
    assert_int_equal(at(text("x")), 6);
    neap_turn_return(&turn_a); /* it has none any more */
}

static void nobody_else_changes_what_is_updated(void **state) {
    (void)state;
    set(text("x"), 5);
    update(&a, &turn_a, text("x"), NEAP_FOREVER);
    assert_int_equal(set_by(&b, text("x"), 6), NEAP_BUSY);
    assert_int_equal(set_by(&b, text("x"), 0), NEAP_BUSY);
    assert_int_equal(neap_dict_clear(dict, &b.owner), NEAP_BUSY);
    assert_int_equal(neap_dict_clear(dict, &a.owner), NEAP_HELD);
    assert_int_equal(at(text("x")), 5);
    assert_int_equal(set_by(&b, text("y"), 7), 0);
    neap_turn_return(&turn_a);
    assert_int_equal(set_by(&b, text("x"), 6), 0);
    assert_int_equal(seen(&a), 5);
}

static void updates_of_a_key_follow_each_other(void **state) {
    (void)state;
    update(&a, &turn_a, text("x"), NEAP_FOREVER);
    assert_int_equal(update(&b, &turn_b, text("x"), NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(update(&c, &turn_c, text("x"), NEAP_FOREVER), NEAP_PARKED);
    set_by(&a, text("x"), 1);
    neap_turn_return(&turn_a);
    assert_int_equal(set_by(&a, text("x"), 9), NEAP_BUSY); /* it is handed over in the same moment */
    assert_int_equal(finish(&b), 0);
    assert_int_equal(seen(&b), 1);
    set_by(&b, text("x"), 2);
    neap_turn_return(&turn_b);
    assert_int_equal(finish(&c), 0);
    assert_int_equal(seen(&c), 2);
    neap_turn_return(&turn_c);
    assert_int_equal(at(text("x")), 2);
}

static void keys_are_updated_independently(void **state) {
    (void)state;
    assert_int_equal(update(&a, &turn_a, text("x"), NEAP_FOREVER), 0);
    assert_int_equal(update(&b, &turn_b, text("y"), NEAP_FOREVER), 0);
    assert_int_equal(update(&c, &turn_c, text("y"), NEAP_FOREVER), NEAP_PARKED);
    neap_turn_return(&turn_a);
    assert_int_equal(outcome(&c), NEAP_PARKED);
    neap_turn_return(&turn_b);
    assert_int_equal(finish(&c), 0);
    neap_turn_return(&turn_c);
}

static void an_update_within_itself_is_refused(void **state) {
    (void)state;
    update(&a, &turn_a, text("x"), NEAP_FOREVER);
    assert_int_equal(update(&a, &turn_b, text("x"), NEAP_FOREVER), NEAP_HELD);
    assert_int_equal(update(&a, &turn_b, text("y"), NEAP_FOREVER), 0);
    neap_turn_return(&turn_b);
    neap_turn_return(&turn_a);
    neap_message_fini(&a.links[0].message);
}

static void an_update_that_sets_nothing_leaves_nothing(void **state) {
    (void)state;
    update(&a, &turn_a, text("x"), NEAP_FOREVER);
    assert_int_equal(neap_dict_count(dict), 0);
    struct neap_message list;
    size_t count;
    assert_int_equal(neap_dict_snapshot(dict, &list), 0);
    neap_message_items(&list, &count);
    assert_int_equal(count, 0);
    neap_message_fini(&list);
    neap_turn_return(&turn_a);
    assert_int_equal(dict->entry_count, 0);
}

static void an_owner_that_ends_has_changed_nothing(void **state) {
    (void)state;
    set(text("x"), 5);
    update(&a, &turn_a, text("x"), NEAP_FOREVER);
    update(&b, &turn_b, text("x"), NEAP_FOREVER);
    actor_end(&a);
    assert_int_equal(finish(&b), 0);
    assert_int_equal(seen(&b), 5);
    neap_turn_return(&turn_b);
    assert_int_equal(seen(&a), 5);
}

static void who_was_handed_the_turn_can_end_too(void **state) {
    (void)state;
    update(&a, &turn_a, text("x"), NEAP_FOREVER);
    update(&b, &turn_b, text("x"), NEAP_FOREVER);
    neap_turn_return(&turn_a);
    finish(&b);
    actor_end(&b);
    assert_int_equal(set_by(&c, text("x"), 1), 0);
}

static void who_stops_waiting_is_passed_over(void **state) {
    (void)state;
    update(&a, &turn_a, text("x"), NEAP_FOREVER);
    assert_int_equal(update(&b, &turn_b, text("x"), 0), NEAP_TIMEOUT);
    update(&b, &turn_b, text("x"), NEAP_FOREVER);
    update(&c, &turn_c, text("x"), NEAP_FOREVER);
    assert_true(cancel(&b));
    neap_turn_return(&turn_a);
    assert_int_equal(finish(&b), NEAP_CANCELLED);
    assert_int_equal(finish(&c), 0);
    neap_turn_return(&turn_c);
    neap_message_fini(&b.links[0].message);
}

static void clearing_waits_for_the_last_update(void **state) {
    (void)state;
    assert_int_equal(start(&c, dict, NEAP_DICT_IDLE, NEAP_FOREVER), 0);
    update(&a, &turn_a, text("x"), NEAP_FOREVER);
    update(&b, &turn_b, text("y"), NEAP_FOREVER);
    assert_int_equal(start(&c, dict, NEAP_DICT_IDLE, NEAP_FOREVER), NEAP_PARKED);
    neap_turn_return(&turn_a);
    assert_int_equal(outcome(&c), NEAP_PARKED);
    neap_turn_return(&turn_b);
    assert_int_equal(finish(&c), 0);
}

static void an_update_keeps_the_dict_alive(void **state) {
    (void)state;
    struct neap_dict *own = made(neap_dict_new());
    neap_dict_prepare(own, &turn_a);
    struct neap_key key = text("x");
    assert_int_equal(neap_key_write(&key, &a.links[0].message), 0);
    a.links[0].hold = &turn_a.hold;
    assert_int_equal(start(&a, own, NEAP_DICT_UPDATE, NEAP_FOREVER), 0);
    neap_object_unref(&own->object);
    neap_turn_return(&turn_a);
}

static void an_update_of_what_is_no_key_or_without_memory_fails(void **state) {
    (void)state;
    struct neap_key key = text("a key that is too long to lie in a message by itself");
    a.links[0].hold = &turn_a.hold;
    assert_int_equal(start(&a, dict, NEAP_DICT_UPDATE, NEAP_FOREVER), NEAP_RANGE);
    const int steps[] = {0, 1, 1}; /* the buckets, the entry, its key */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(neap_key_write(&key, &a.links[0].message), 0);
        neap_memory_fail_after(steps[i]);
        assert_int_equal(start(&a, dict, NEAP_DICT_UPDATE, NEAP_FOREVER), NEAP_NOMEM);
        neap_memory_fail_after(-1);
        neap_message_fini(&a.links[0].message);
    }
    assert_int_equal(dict->busy, 0);
    assert_int_equal(dict->entry_count, 0);
}

/* --- calls of other processes --- */

/* Calls with `first`, or with both as a list. */
static int call(struct actor *actor, enum neap_dict_call method, struct neap_message first, int64_t second,
                struct neap_call *call) {
    *call = (struct neap_call){.owner = &actor->owner, .method = (uint8_t)method};
    neap_message_clear(&call->message);
    if (method == NEAP_DICT_SWAP) {
        struct neap_message items[2] = {first, parcel(second)};
        if (second == 0) neap_message_fini(&items[1]);
        assert_int_equal(neap_message_pack(items, 2, &call->message), 0);
    } else {
        call->message = first;
    }
    dict->object.class->remote->serve(&dict->object, call);
    return call->result;
}

static void other_processes_do_the_same_by_calls(void **state) {
    (void)state;
    struct neap_call done;
    size_t count;
    assert_int_equal(call(&a, NEAP_DICT_SWAP, integer(1), 10, &done), 0);
    assert_int_equal(done.message.kind, NEAP_MESSAGE_EMPTY);
    assert_int_equal(call(&a, NEAP_DICT_SWAP, integer(1), 11, &done), 0);
    assert_int_equal(value_of(&done.message), 10);
    assert_int_equal(call(&a, NEAP_DICT_GET, integer(1), 0, &done), 0);
    assert_int_equal(value_of(&done.message), 11);
    assert_int_equal(call(&a, NEAP_DICT_HAS, integer(1), 0, &done), 0);
    assert_int_equal(done.number, 1);
    call(&a, NEAP_DICT_HAS, integer(2), 0, &done);
    assert_int_equal(done.number, 0);
    call(&a, NEAP_DICT_COUNT, integer(0), 0, &done);
    assert_int_equal(done.number, 1);
    assert_int_equal(call(&a, NEAP_DICT_SNAPSHOT, integer(0), 0, &done), 0);
    neap_message_items(&done.message, &count);
    assert_int_equal(count, 2);
    neap_message_fini(&done.message);
    assert_int_equal(call(&a, NEAP_DICT_SWAP, integer(1), 0, &done), 0);
    assert_int_equal(value_of(&done.message), 11);
    set(number(5), 5);
    assert_int_equal(call(&a, NEAP_DICT_CLEAR, integer(0), 0, &done), 0);
    assert_int_equal(neap_dict_count(dict), 0);
}

static void a_call_during_an_update_is_told_so(void **state) {
    (void)state;
    struct neap_call done;
    update(&a, &turn_a, number(1), NEAP_FOREVER);
    assert_int_equal(call(&b, NEAP_DICT_SWAP, integer(1), 10, &done), NEAP_BUSY);
    neap_message_fini(&done.message);
    assert_int_equal(call(&b, NEAP_DICT_CLEAR, integer(1), 0, &done), NEAP_BUSY);
    assert_int_equal(call(&a, NEAP_DICT_CLEAR, integer(1), 0, &done), NEAP_HELD);
    assert_int_equal(call(&a, NEAP_DICT_SWAP, integer(1), 10, &done), 0);
    neap_turn_return(&turn_a);
}

static void a_call_that_makes_no_sense_is_refused(void **state) {
    (void)state;
    struct neap_call done;
    struct neap_message nothing, item = integer(1), list;
    neap_message_clear(&nothing);
    assert_int_equal(call(&a, NEAP_DICT_GET, nothing, 0, &done), NEAP_RANGE);
    assert_int_equal(call(&a, NEAP_DICT_SWAP, nothing, 5, &done), NEAP_RANGE);
    neap_message_fini(&done.message);
    assert_int_equal(call(&a, (enum neap_dict_call)50, nothing, 0, &done), NEAP_RANGE);
    done = (struct neap_call){.owner = &a.owner, .method = NEAP_DICT_SWAP};
    done.message = item;
    dict->object.class->remote->serve(&dict->object, &done);
    assert_int_equal(done.result, NEAP_RANGE);
    assert_int_equal(neap_message_pack(&item, 1, &list), 0);
    done.message = list;
    dict->object.class->remote->serve(&dict->object, &done);
    assert_int_equal(done.result, NEAP_RANGE);
    neap_message_fini(&done.message);
}

static void a_hold_for_another_process_is_a_turn(void **state) {
    (void)state;
    struct neap_hold *hold = dict->object.class->remote->make_hold(&dict->object);
    a.links[0].message = integer(1);
    a.links[0].hold = hold;
    assert_int_equal(start(&a, dict, NEAP_DICT_UPDATE, NEAP_FOREVER), 0);
    assert_int_equal(set_by(&b, number(1), 1), NEAP_BUSY);
    neap_hold_unlink(hold);
    hold->abandon(hold);
    neap_object_unref(&dict->object);
    neap_free(hold);
    assert_int_equal(set_by(&b, number(1), 1), 0);
    neap_memory_fail_after(0);
    assert_null(dict->object.class->remote->make_hold(&dict->object));
    neap_memory_fail_after(-1);
}

/* --- many threads --- */

enum { THREADS = 4, COUNTERS = 3 };

static struct neap_dict *common;
static int rounds;

/* Each adds to one of a few counters, now and then ends in the middle of it, now and then clears another key. */
static void count_up(void *argument) {
    struct actor actor;
    struct neap_turn turn;
    _Atomic int64_t *added = argument;
    actor_init(&actor, NULL);
    for (int i = 0; i < rounds; i++) {
        struct neap_key key = number(chance(COUNTERS));
        neap_dict_prepare(common, &turn);
        neap_message_fini(&actor.links[0].message);
        CHECK(neap_key_write(&key, &actor.links[0].message) == 0);
        actor.links[0].hold = &turn.hold;
        CHECK(act(&actor, common, NEAP_DICT_UPDATE, NEAP_FOREVER) == 0);
        if (chance(10) == 0) {
            actor_end(&actor);
            continue;
        }
        struct neap_message value = parcel(seen(&actor) + 1);
        dawdle(20);
        CHECK(neap_dict_swap(common, &actor.owner, &key, &value) == 0);
        neap_message_fini(&value);
        neap_turn_return(&turn);
        atomic_fetch_add(added, 1);
    }
    neap_message_fini(&actor.links[0].message);
}

static void many_threads_update_without_loss(void **state) {
    (void)state;
    struct helper helpers[THREADS];
    _Atomic int64_t added = 0;
    common = neap_dict_new();
    neap_object_share(&common->object);
    rounds = repeated(500);
    for (int i = 0; i < THREADS; i++) helper_start(&helpers[i], count_up, &added);
    for (int i = 0; i < THREADS; i++) helper_join(&helpers[i]);
    int64_t sum = 0;
    for (int i = 0; i < COUNTERS; i++) sum += value_at(common, number(i));
    assert_int_equal(sum, atomic_load(&added));
    assert_int_equal(common->busy, 0);
    neap_object_unref(&common->object);
}

int main(void) {
    const struct CMUnitTest dict_tests[] = {
        DICT_TEST(a_value_is_found_by_its_key),
        DICT_TEST(an_object_is_a_key_by_itself),
        DICT_TEST(what_is_no_key_is_not_read_as_one),
        DICT_TEST(a_removed_value_is_gone),
        DICT_TEST(many_come_and_go),
        DICT_TEST(a_snapshot_has_everything_in_the_order_of_coming),
        DICT_TEST(a_cleared_one_is_empty),
        DICT_TEST(every_failing_allocation_leaves_it_as_it_was),
        DICT_TEST(an_update_begins_with_the_value),
        DICT_TEST(nobody_else_changes_what_is_updated),
        DICT_TEST(updates_of_a_key_follow_each_other),
        DICT_TEST(keys_are_updated_independently),
        DICT_TEST(an_update_within_itself_is_refused),
        DICT_TEST(an_update_that_sets_nothing_leaves_nothing),
        DICT_TEST(an_owner_that_ends_has_changed_nothing),
        DICT_TEST(who_was_handed_the_turn_can_end_too),
        DICT_TEST(who_stops_waiting_is_passed_over),
        DICT_TEST(clearing_waits_for_the_last_update),
        DICT_TEST(an_update_keeps_the_dict_alive),
        DICT_TEST(an_update_of_what_is_no_key_or_without_memory_fails),
        DICT_TEST(other_processes_do_the_same_by_calls),
        DICT_TEST(a_call_during_an_update_is_told_so),
        DICT_TEST(a_call_that_makes_no_sense_is_refused),
        DICT_TEST(a_hold_for_another_process_is_a_turn),
    };
    const struct CMUnitTest dict_races[] = {TEST(many_threads_update_without_loss)};
    return run_local_and_shared(dict_tests) + run_once(dict_races);
}
