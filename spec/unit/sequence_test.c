#include "support.h"

#include "core/remote.h"
#include "sync/sequence.h"

static struct neap_sequence *list;
static struct actor a, b, c;
static struct neap_turn turn_a, turn_b, turn_c;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    list = made(neap_sequence_new());
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    neap_sequence_prepare(list, &turn_a);
    neap_sequence_prepare(list, &turn_b);
    neap_sequence_prepare(list, &turn_c);
    return 0;
}

static int drop(void **state) {
    neap_object_unref(&list->object);
    return tear_down(state);
}

#define LIST_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

/* --- shorthands: elements are parcels of integers, 0 stands for none --- */

static int64_t at(int64_t index) {
    struct neap_message value;
    neap_sequence_get(list, index, &value);
    return value.kind == NEAP_MESSAGE_EMPTY ? 0 : value_of(&value);
}

static int changed(int code, struct neap_message *value) {
    neap_message_fini(value);
    return code;
}

static int set_by(struct actor *actor, int64_t index, int64_t value) {
    struct neap_message message;
    neap_message_clear(&message);
    if (value != 0) message = parcel(value);
    return changed(neap_sequence_swap(list, &actor->owner, index, &message), &message);
}

static int insert(int64_t index, int64_t value) {
    struct neap_message message = parcel(value);
    return changed(neap_sequence_insert(list, &a.owner, index, &message), &message);
}

static int64_t take(int64_t index) {
    struct neap_message value;
    int code = neap_sequence_take(list, &a.owner, index, &value);
    return code < 0 ? code : value_of(&value);
}

static void fill(int count) {
    for (int i = 1; i <= count; i++) assert_int_equal(insert(0, i), 0);
}

/* index 0: none is wanted */
static int update(struct actor *actor, struct neap_turn *turn, int64_t index, int64_t deadline) {
    neap_message_fini(&actor->links[0].message);
    if (index != 0) actor->links[0].message = integer(index);
    actor->links[0].hold = &turn->hold;
    return start(actor, list, NEAP_SEQUENCE_UPDATE, deadline);
}

static int64_t seen(struct actor *actor) { return value_of(&actor->links[0].message); }

/* --- elements --- */

static void elements_come_behind_the_last(void **state) {
    (void)state;
    fill(100);
    assert_int_equal(neap_sequence_count(list), 100);
    for (int i = 1; i <= 100; i++) assert_int_equal(at(i), i);
    assert_int_equal(at(0), 0);
    assert_int_equal(at(101), 0);
    assert_int_equal(at(-1), 0);
}

static void an_element_is_set_and_the_next_one_is_new(void **state) {
    (void)state;
    fill(2);
    assert_int_equal(set_by(&a, 1, 11), 0);
    assert_int_equal(set_by(&a, 3, 33), 0);
    assert_int_equal(at(1), 11);
    assert_int_equal(at(3), 33);
    assert_int_equal(set_by(&a, 5, 1), NEAP_RANGE);
    assert_int_equal(set_by(&a, 0, 1), NEAP_RANGE);
    assert_int_equal(set_by(&a, -1, 1), NEAP_RANGE);
    assert_int_equal(set_by(&a, INT64_MAX, 1), NEAP_RANGE);
    assert_int_equal(neap_sequence_count(list), 3);
}

static void only_the_last_one_can_be_unset(void **state) {
    (void)state;
    fill(3);
    assert_int_equal(set_by(&a, 1, 0), NEAP_RANGE);
    assert_int_equal(set_by(&a, 4, 0), NEAP_RANGE);
    assert_int_equal(set_by(&a, 3, 0), 0);
    assert_int_equal(neap_sequence_count(list), 2);
}

static void inserting_moves_the_others_up(void **state) {
    (void)state;
    fill(3);
    assert_int_equal(insert(1, 10), 0);
    assert_int_equal(insert(3, 20), 0);
    assert_int_equal(insert(6, 30), 0);
    const int64_t expected[] = {10, 1, 20, 2, 3, 30};
    for (int i = 0; i < 6; i++) assert_int_equal(at(i + 1), expected[i]);
    assert_int_equal(insert(8, 1), NEAP_RANGE);
    assert_int_equal(insert(-1, 1), NEAP_RANGE);
}

static void taking_moves_the_others_down(void **state) {
    (void)state;
    fill(4);
    assert_int_equal(take(2), 2);
    assert_int_equal(take(0), 4);
    assert_int_equal(take(1), 1);
    assert_int_equal(take(2), NEAP_RANGE);
    assert_int_equal(take(1), 3);
    assert_int_equal(take(0), NEAP_RANGE);
}

static void many_come_at_once(void **state) {
    (void)state;
    struct neap_message items[3] = {parcel(7), parcel(8), integer(9)}, packed;
    assert_int_equal(neap_message_pack(items, 3, &packed), 0);
    for (int i = 0; i < 10; i++) assert_int_equal(neap_sequence_extend(list, &a.owner, &packed), 0);
    neap_message_fini(&packed);
    assert_int_equal(neap_sequence_count(list), 30);
    assert_int_equal(at(29), 8);
    assert_int_equal(at(30), 9);
}

static void a_snapshot_does_not_change(void **state) {
    (void)state;
    struct neap_message snapshot, value;
    size_t count;
    fill(3);
    assert_int_equal(neap_sequence_snapshot(list, &snapshot), 0);
    assert_int_equal(neap_sequence_clear(list, &a.owner), 0);
    assert_int_equal(neap_sequence_count(list), 0);
    const struct neap_message *items = neap_message_items(&snapshot, &count);
    assert_int_equal(count, 3);
    neap_message_copy(&value, &items[2]);
    neap_message_fini(&snapshot);
    assert_int_equal(value_of(&value), 3);
    fill(1);
    assert_int_equal(at(1), 1);
}

static void out_of_memory_leaves_it_as_it_was(void **state) {
    (void)state;
    struct neap_message items[1] = {integer(1)}, packed, snapshot;
    assert_int_equal(neap_message_pack(items, 1, &packed), 0);
    for (int count = 0; count < 20; count++) {
        size_t room = list->room;
        struct neap_message value = integer(5);
        neap_memory_fail_after(0);
        int code = neap_sequence_insert(list, &a.owner, 0, &value);
        neap_memory_fail_after(-1);
        assert_int_equal(code, (size_t)count < room ? 0 : NEAP_NOMEM);
        if (code == 0) continue;
        neap_memory_fail_after(0);
        assert_int_equal(neap_sequence_extend(list, &a.owner, &packed), NEAP_NOMEM);
        neap_memory_fail_after(0);
        assert_int_equal(neap_sequence_snapshot(list, &snapshot), NEAP_NOMEM);
        neap_memory_fail_after(-1);
        assert_int_equal(neap_sequence_count(list), count);
        assert_int_equal(insert(0, 5), 0);
    }
    neap_message_fini(&packed);
}

/* --- updates --- */

static void an_update_begins_with_the_element(void **state) {
    (void)state;
    fill(3);
    assert_int_equal(update(&a, &turn_a, 2, NEAP_FOREVER), 0);
    assert_int_equal(seen(&a), 2);
    set_by(&a, 2, 22);
    neap_turn_return(&turn_a);
    assert_int_equal(at(2), 22);
}

static void nobody_else_changes_the_list_meanwhile(void **state) {
    (void)state;
    struct neap_message value = integer(1), packed;
    fill(3);
    assert_int_equal(neap_message_pack(&value, 1, &packed), 0);
    assert_int_equal(update(&b, &turn_b, 2, NEAP_FOREVER), 0);
    assert_int_equal(set_by(&a, 1, 1), NEAP_BUSY);
    assert_int_equal(insert(1, 1), NEAP_BUSY);
    assert_int_equal(take(0), NEAP_BUSY);
    assert_int_equal(neap_sequence_extend(list, &a.owner, &packed), NEAP_BUSY);
    assert_int_equal(neap_sequence_clear(list, &a.owner), NEAP_BUSY);
    assert_int_equal(at(2), 2);
    neap_turn_return(&turn_b);
    assert_int_equal(take(0), 3);
    neap_message_fini(&packed);
    neap_message_fini(&b.links[0].message);
}

static void an_update_of_what_is_not_there_fails(void **state) {
    (void)state;
    fill(2);
    const int64_t bad[] = {3, -1, INT64_MAX, INT64_MIN};
    for (int i = 0; i < 4; i++) assert_int_equal(update(&a, &turn_a, bad[i], NEAP_FOREVER), NEAP_RANGE);
    assert_int_equal(update(&a, &turn_a, 0, NEAP_FOREVER), 0);
    assert_int_equal(update(&a, &turn_b, 0, NEAP_FOREVER), NEAP_HELD);
    neap_turn_return(&turn_a);
}

static void who_waits_for_what_is_gone_is_told_and_the_next_one_served(void **state) {
    (void)state;
    fill(2);
    update(&a, &turn_a, 1, NEAP_FOREVER);
    assert_int_equal(update(&b, &turn_b, 2, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(update(&c, &turn_c, 1, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(seen(&a), 1);
    assert_int_equal(take(0), 2); /* by the one whose turn it is */
    neap_turn_return(&turn_a);
    assert_int_equal(finish(&b), NEAP_RANGE);
    assert_int_equal(finish(&c), 0);
    assert_int_equal(seen(&c), 1);
    neap_turn_return(&turn_b); /* was never had */
    assert_int_equal(insert(0, 1), NEAP_BUSY);
    neap_turn_return(&turn_c);
    assert_int_equal(insert(0, 1), 0);
}

static void an_owner_that_ends_passes_the_turn_on(void **state) {
    (void)state;
    fill(1);
    update(&a, &turn_a, 0, NEAP_FOREVER);
    update(&b, &turn_b, 1, NEAP_FOREVER);
    update(&c, &turn_c, 1, NEAP_FOREVER);
    assert_true(cancel(&b));
    actor_end(&a);
    assert_int_equal(finish(&b), NEAP_CANCELLED);
    assert_int_equal(finish(&c), 0);
    assert_int_equal(seen(&c), 1);
    actor_end(&c);
    assert_int_equal(take(0), 1);
}

/* --- calls of other processes --- */

static int call(struct actor *actor, int method, int64_t index, struct neap_message message, struct neap_call *call) {
    *call = (struct neap_call){.owner = &actor->owner, .number = index, .method = (uint8_t)method};
    call->message = message;
    list->object.class->remote->serve(&list->object, call);
    return call->result;
}

static void other_processes_do_the_same_by_calls(void **state) {
    (void)state;
    struct neap_call done;
    struct neap_message none, items[2] = {integer(8), parcel(9)}, more;
    size_t count;
    neap_message_clear(&none);
    assert_int_equal(call(&a, NEAP_SEQUENCE_INSERT, 0, parcel(1), &done), 0);
    assert_int_equal(call(&a, NEAP_SEQUENCE_INSERT, 1, parcel(2), &done), 0);
    assert_int_equal(call(&a, NEAP_SEQUENCE_SWAP, 1, parcel(3), &done), 0);
    assert_int_equal(value_of(&done.message), 2);
    assert_int_equal(call(&a, NEAP_SEQUENCE_GET, 2, none, &done), 0);
    assert_int_equal(value_of(&done.message), 1);
    assert_int_equal(neap_message_pack(items, 2, &more), 0);
    assert_int_equal(call(&a, NEAP_SEQUENCE_EXTEND, 0, more, &done), 0);
    neap_message_fini(&done.message);
    call(&a, NEAP_SEQUENCE_COUNT, 0, none, &done);
    assert_int_equal(done.number, 4);
    assert_int_equal(call(&a, NEAP_SEQUENCE_SNAPSHOT, 0, none, &done), 0);
    neap_message_items(&done.message, &count);
    assert_int_equal(count, 4);
    neap_message_fini(&done.message);
    assert_int_equal(call(&a, NEAP_SEQUENCE_CLEAR, 0, none, &done), 0);
    assert_int_equal(neap_sequence_count(list), 0);
}

static void a_call_that_cannot_be_is_refused(void **state) {
    (void)state;
    struct neap_call done;
    struct neap_message none, packed;
    neap_message_clear(&none);
    fill(1);
    assert_int_equal(neap_message_pack(NULL, 0, &packed), 0);
    assert_int_equal(call(&a, NEAP_SEQUENCE_INSERT, 1, packed, &done), NEAP_RANGE); /* no list is an element */
    neap_message_fini(&done.message);
    assert_int_equal(call(&a, NEAP_SEQUENCE_INSERT, 1, none, &done), NEAP_RANGE);
    assert_int_equal(call(&a, NEAP_SEQUENCE_EXTEND, 1, none, &done), NEAP_RANGE);
    assert_int_equal(call(&a, 50, 1, none, &done), NEAP_RANGE);
    update(&a, &turn_a, 1, NEAP_FOREVER);
    assert_int_equal(call(&b, NEAP_SEQUENCE_INSERT, 0, parcel(1), &done), NEAP_BUSY);
    assert_int_equal(value_of(&done.message), 1); /* it is where it was */
    assert_int_equal(seen(&a), 1);
    neap_turn_return(&turn_a);
    neap_memory_fail_after(0);
    assert_null(list->object.class->remote->make_hold(&list->object));
    neap_memory_fail_after(-1);
    struct neap_hold *hold = list->object.class->remote->make_hold(&list->object);
    assert_ptr_equal(hold->object, list);
    neap_free(hold);
}

/* --- many threads --- */

enum { THREADS = 4 };

static int rounds;

static void append_and_update(void *argument) {
    struct neap_sequence *common = argument;
    struct actor actor;
    struct neap_turn turn;
    actor_init(&actor, NULL);
    for (int i = 0; i < rounds; i++) {
        neap_sequence_prepare(common, &turn);
        neap_message_fini(&actor.links[0].message);
        actor.links[0].message = integer(1);
        actor.links[0].hold = &turn.hold;
        CHECK(act(&actor, common, NEAP_SEQUENCE_UPDATE, NEAP_FOREVER) == 0);
        struct neap_message value = parcel(seen(&actor) + 1), more = parcel(i);
        CHECK(neap_sequence_swap(common, &actor.owner, 1, &value) == 0);
        CHECK(neap_sequence_insert(common, &actor.owner, 0, &more) == 0);
        neap_turn_return(&turn);
        neap_message_fini(&value);
    }
}

static void many_threads_update_without_loss(void **state) {
    (void)state;
    struct helper helpers[THREADS];
    struct neap_sequence *common = neap_sequence_new();
    struct neap_message value = parcel(0);
    neap_object_share(&common->object);
    assert_int_equal(neap_sequence_insert(common, NULL, 0, &value), 0);
    rounds = repeated(500);
    for (int i = 0; i < THREADS; i++) helper_start(&helpers[i], append_and_update, common);
    for (int i = 0; i < THREADS; i++) helper_join(&helpers[i]);
    neap_sequence_get(common, 1, &value);
    assert_int_equal(value_of(&value), THREADS * rounds);
    assert_int_equal(neap_sequence_count(common), THREADS * rounds + 1);
    neap_object_unref(&common->object);
}

int main(void) {
    const struct CMUnitTest list_tests[] = {
        LIST_TEST(elements_come_behind_the_last),
        LIST_TEST(an_element_is_set_and_the_next_one_is_new),
        LIST_TEST(only_the_last_one_can_be_unset),
        LIST_TEST(inserting_moves_the_others_up),
        LIST_TEST(taking_moves_the_others_down),
        LIST_TEST(many_come_at_once),
        LIST_TEST(a_snapshot_does_not_change),
        LIST_TEST(out_of_memory_leaves_it_as_it_was),
        LIST_TEST(an_update_begins_with_the_element),
        LIST_TEST(nobody_else_changes_the_list_meanwhile),
        LIST_TEST(an_update_of_what_is_not_there_fails),
        LIST_TEST(who_waits_for_what_is_gone_is_told_and_the_next_one_served),
        LIST_TEST(an_owner_that_ends_passes_the_turn_on),
        LIST_TEST(other_processes_do_the_same_by_calls),
        LIST_TEST(a_call_that_cannot_be_is_refused),
    };
    const struct CMUnitTest list_races[] = {TEST(many_threads_update_without_loss)};
    return run_local_and_shared(list_tests) + run_once(list_races);
}
