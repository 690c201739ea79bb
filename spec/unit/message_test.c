#include "support.h"

#include "core/message.h"
#include "sync/event.h"

static struct neap_message object_message(struct neap_object *object) {
    struct neap_message message;
    neap_message_clear(&message);
    message.kind = NEAP_MESSAGE_OBJECT;
    message.object = neap_object_ref(object);
    return message;
}

static void small_values_own_nothing(void **state) {
    (void)state;
    long before = neap_memory_live();
    for (int kind = NEAP_MESSAGE_EMPTY; kind < NEAP_MESSAGE_BYTES; kind++) {
        struct neap_message message;
        neap_message_clear(&message);
        message.kind = (uint8_t)kind;
        neap_message_fini(&message);
        assert_int_equal(message.kind, NEAP_MESSAGE_EMPTY);
        neap_message_fini(&message);
    }
    assert_int_equal(neap_memory_live(), before);
}

static void a_text_fills_all_its_bytes(void **state) {
    (void)state;
    struct neap_message message, other;
    neap_message_clear(&message);
    message.kind = NEAP_MESSAGE_TEXT;
    message.length = NEAP_MESSAGE_TEXT_MAX;
    for (int i = 0; i < NEAP_MESSAGE_TEXT_MAX; i++) message.text[i] = (char)('a' + i % 26);
    neap_message_move(&other, &message);
    assert_int_equal(message.kind, NEAP_MESSAGE_EMPTY);
    assert_int_equal(other.kind, NEAP_MESSAGE_TEXT);
    assert_int_equal(other.length, NEAP_MESSAGE_TEXT_MAX);
    for (int i = 0; i < NEAP_MESSAGE_TEXT_MAX; i++) assert_int_equal(other.text[i], 'a' + i % 26);
}

static void a_handle_holds_one_reference(void **state) {
    (void)state;
    struct neap_event *event = made(neap_event_new());
    struct neap_message message = object_message(&event->object), moved;
    assert_int_equal(atomic_load(&event->object.refs), 2);
    neap_message_move(&moved, &message);
    neap_message_fini(&message);
    assert_int_equal(atomic_load(&event->object.refs), 2);
    neap_message_fini(&moved);
    assert_int_equal(atomic_load(&event->object.refs), 1);
    neap_object_unref(&event->object);
}

static void a_parcel_drops_its_references_and_itself(void **state) {
    (void)state;
    struct neap_event *event = made(neap_event_new());
    struct neap_parcel *with_references = neap_parcel_new(100, 3);
    assert_non_null(with_references);
    assert_int_equal(with_references->size, 100);
    for (int i = 0; i < 3; i++) with_references->objects[i] = neap_object_ref(&event->object);
    struct neap_message message;
    neap_message_clear(&message);
    message.kind = NEAP_MESSAGE_PARCEL;
    message.parcel = with_references;
    neap_object_unref(&event->object); /* the parcel's are the last ones */
    neap_message_fini(&message);
}

static void out_of_memory_makes_no_parcel(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        neap_memory_fail_after(i);
        assert_null(neap_parcel_new(10, 2));
    }
    neap_memory_fail_after(0);
    assert_null(neap_parcel_new(10, 0));
}

static void a_copy_shares_what_is_not_inline(void **state) {
    (void)state;
    struct neap_message message = parcel(7), copy;
    neap_message_copy(&copy, &message);
    assert_ptr_equal(copy.parcel, message.parcel);
    neap_message_fini(&message);
    assert_int_equal(value_of(&copy), 7);
    message = integer(8);
    neap_message_copy(&copy, &message);
    assert_int_equal(value_of(&copy), 8);
    struct neap_event *event = made(neap_event_new());
    message = object_message(&event->object);
    neap_message_copy(&copy, &message);
    assert_int_equal(atomic_load(&event->object.refs), 3);
    neap_message_fini(&message);
    neap_message_fini(&copy);
    neap_object_unref(&event->object);
}

static void a_list_holds_messages_until_its_last_copy_goes(void **state) {
    (void)state;
    struct neap_message list, copy, items[3] = {integer(1), parcel(2), parcel(3)};
    assert_int_equal(neap_message_pack(items, 3, &list), 0);
    for (int i = 0; i < 3; i++) assert_int_equal(items[i].kind, NEAP_MESSAGE_EMPTY);
    neap_message_copy(&copy, &list);
    neap_message_fini(&list);
    size_t count;
    const struct neap_message *inside = neap_message_items(&copy, &count);
    assert_int_equal(count, 3);
    struct neap_message taken;
    neap_message_copy(&taken, &inside[2]);
    neap_message_fini(&copy);
    assert_int_equal(value_of(&taken), 3);
    assert_int_equal(neap_message_pack(NULL, 0, &list), 0);
    neap_message_items(&list, &count);
    assert_int_equal(count, 0);
    neap_message_fini(&list);
}

static void out_of_memory_leaves_messages_unpacked(void **state) {
    (void)state;
    struct neap_message list, items[1] = {parcel(5)};
    neap_memory_fail_after(0);
    assert_int_equal(neap_message_pack(items, 1, &list), NEAP_NOMEM);
    neap_memory_fail_after(-1);
    assert_int_equal(value_of(&items[0]), 5);
}

int main(void) {
    const struct CMUnitTest message_tests[] = {
        TEST(small_values_own_nothing),
        TEST(a_text_fills_all_its_bytes),
        TEST(a_handle_holds_one_reference),
        TEST(a_parcel_drops_its_references_and_itself),
        TEST(out_of_memory_makes_no_parcel),
        TEST(a_copy_shares_what_is_not_inline),
        TEST(a_list_holds_messages_until_its_last_copy_goes),
        TEST(out_of_memory_leaves_messages_unpacked),
    };
    return run_local_and_shared(message_tests);
}
