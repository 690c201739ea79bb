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

int main(void) {
    const struct CMUnitTest message_tests[] = {
        TEST(small_values_own_nothing),      TEST(a_text_fills_all_its_bytes),
        TEST(a_handle_holds_one_reference),  TEST(a_parcel_drops_its_references_and_itself),
        TEST(out_of_memory_makes_no_parcel),
    };
    return run_local_and_shared(message_tests);
}
