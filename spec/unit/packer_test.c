#include "support.h"

#include "host/packer.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "core/object.h"

/* --- an object that travels: a number --- */

struct thing {
    struct neap_object object;
    uint64_t number;
};

static void destroy(struct neap_object *object) { neap_free(object); }

static void pack_thing(struct neap_object *object, struct neap_packer *packer) {
    neap_pack_u64(packer, ((struct thing *)object)->number);
}

static struct neap_object *unpack_thing(struct neap_unpacker *unpacker);

static const struct neap_class thing_class = {
    .name = "thing", .destroy = destroy, .pack = pack_thing, .unpack = unpack_thing};
static const struct neap_class rooted_class = {.name = "rooted", .destroy = destroy};
static const struct neap_class *const classes[] = {&rooted_class, &thing_class, NULL};

static struct neap_object *new_thing(const struct neap_class *class, uint64_t number) {
    struct thing *thing = neap_alloc(sizeof *thing);
    if (thing == NULL) return NULL;
    neap_object_init(&thing->object, class);
    neap_object_share(&thing->object);
    thing->number = number;
    return &thing->object;
}

static struct neap_object *unpack_thing(struct neap_unpacker *unpacker) {
    uint64_t number = neap_unpack_u64(unpacker);
    if (unpacker->code != 0) return NULL;
    struct neap_object *object = new_thing(&thing_class, number);
    if (object == NULL) neap_unpack_fail(unpacker, NEAP_NOMEM);
    return object;
}

/* --- two ends --- */

static struct neap_wire *near, *far;
static void (*read_frame)(struct neap_unpacker *unpacker);
static int read_code;
static int frames;

static bool receive(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    struct neap_unpacker unpacker;
    neap_unpacker_init(&unpacker, wire, frame);
    read_frame(&unpacker);
    read_code = unpacker.code;
    frames++;
    return true;
}

static void ended(struct neap_wire *wire, int code) {
    (void)wire;
    (void)code;
}

static const struct neap_wire_user user = {.receive = receive, .ended = ended};

static int make_wires(void) {
    int socket;
    if (neap_wire_new(&near, &socket) != 0) return -1;
    if (neap_wire_open(socket, dup(near->segment->fd), &far) != 0) return -1;
    neap_wire_start(near, &user, NULL, classes);
    neap_wire_start(far, &user, NULL, classes);
    frames = 0;
    return 0;
}

static void drop_wires(void) {
    neap_wire_unref(near);
    neap_wire_unref(far);
}

static int make(void **state) { return set_up(state) == 0 ? make_wires() : -1; }

static int drop(void **state) {
    drop_wires();
    return tear_down(state);
}

static void deliver(struct neap_packer *packer, void (*reader)(struct neap_unpacker *unpacker)) {
    read_frame = reader;
    int before = frames;
    assert_int_equal(neap_packer_send(packer, 1), 0);
    neap_packer_fini(packer);
    neap_wire_pump(far);
    assert_int_equal(frames, before + 1);
}

/* --- tests --- */

static void read_numbers(struct neap_unpacker *unpacker) {
    assert_int_equal(neap_unpack_u8(unpacker), 7);
    assert_int_equal(neap_unpack_u32(unpacker), 70000);
    assert_string_equal(neap_unpack_text(unpacker), "a text");
    assert_string_equal(neap_unpack_text(unpacker), "");
    assert_true(neap_unpack_u64(unpacker) == UINT64_C(1) << 40);
    char byte = 0;
    int fd = neap_unpack_fd(unpacker);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'f');
    close(fd);
    assert_int_equal(unpacker->code, 0);
}

static void numbers_texts_and_descriptors_arrive(void **state) {
    struct neap_packer packer;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "f", 1), 1);
    neap_packer_init(&packer, near);
    neap_pack_u8(&packer, 7);
    neap_pack_u32(&packer, 70000);
    neap_pack_text(&packer, "a text");
    neap_pack_text(&packer, NULL);
    neap_pack_u64(&packer, UINT64_C(1) << 40);
    neap_pack_fd(&packer, dup(ends[0]));
    deliver(&packer, read_numbers);
    close(ends[0]);
    close(ends[1]);
}

static void read_too_much(struct neap_unpacker *unpacker) {
    assert_int_equal(neap_unpack_u8(unpacker), 1);
    assert_int_equal(neap_unpack_u64(unpacker), 0);
    assert_int_equal(unpacker->code, UV_EPROTO);
    assert_int_equal(neap_unpack_u8(unpacker), 0);
    assert_string_equal(neap_unpack_text(unpacker), "");
    assert_int_equal(neap_unpack_fd(unpacker), -1);
    struct neap_message message = {.kind = NEAP_MESSAGE_EMPTY};
    neap_unpack_message(unpacker, &message);
    assert_int_equal(message.kind, NEAP_MESSAGE_EMPTY);
}

static void reading_past_the_end_is_an_error(void **state) {
    struct neap_packer packer;
    (void)state;
    neap_packer_init(&packer, near);
    neap_pack_u8(&packer, 1);
    neap_pack_u32(&packer, 2);
    deliver(&packer, read_too_much);
}

static struct neap_message sent[11];

static void read_messages(struct neap_unpacker *unpacker) {
    for (int i = 0; i < 11; i++) {
        struct neap_message message = {.kind = NEAP_MESSAGE_EMPTY};
        neap_unpack_message(unpacker, &message);
        assert_int_equal(unpacker->code, 0);
        assert_int_equal(message.kind, sent[i].kind);
        if (message.kind == NEAP_MESSAGE_INTEGER) assert_true(message.integer == sent[i].integer);
        if (message.kind == NEAP_MESSAGE_TEXT) {
            assert_int_equal(message.length, sent[i].length);
            assert_memory_equal(message.text, sent[i].text, message.length);
        }
        if (message.kind == NEAP_MESSAGE_PARCEL || message.kind == NEAP_MESSAGE_BYTES) {
            assert_int_equal(message.parcel->size, sent[i].parcel->size);
            assert_memory_equal(neap_parcel_string(message.parcel), sent[i].parcel->bytes, message.parcel->size);
            assert_int_equal(message.parcel->object_count, sent[i].parcel->object_count);
            for (uint32_t o = 0; o < message.parcel->object_count; o++)
                assert_true(((struct thing *)message.parcel->objects[o])->number ==
                            ((struct thing *)sent[i].parcel->objects[o])->number);
        }
        if (message.kind == NEAP_MESSAGE_OBJECT) {
            assert_ptr_not_equal(message.object, sent[i].object);
            assert_int_equal(((struct thing *)message.object)->number, 42);
        }
        if (message.kind == NEAP_MESSAGE_LIST) {
            size_t count;
            const struct neap_message *items = neap_message_items(&message, &count);
            assert_int_equal(count, 2);
            assert_int_equal(items[0].kind, NEAP_MESSAGE_TRUE);
            assert_int_equal(items[1].parcel->bytes[0], 7);
        }
        neap_message_fini(&message);
    }
}

static void make_messages(void) {
    memset(sent, 0, sizeof sent);
    sent[0].kind = NEAP_MESSAGE_EMPTY;
    sent[1].kind = NEAP_MESSAGE_NULL;
    sent[2].kind = NEAP_MESSAGE_TRUE;
    sent[3] = integer(-5);
    sent[4].kind = NEAP_MESSAGE_NUMBER;
    sent[4].number = 0.5;
    sent[5].kind = NEAP_MESSAGE_TEXT;
    sent[5].length = 5;
    memcpy(sent[5].text, "a\0b\0c", 5);
    for (int i = 6; i < 9; i++) {
        uint32_t objects = i == 8 ? 3 : 0;
        sent[i].kind = i == 6 ? NEAP_MESSAGE_BYTES : NEAP_MESSAGE_PARCEL;
        sent[i].parcel = neap_parcel_new(i == 6 ? 100000 : 40, objects);
        memset(sent[i].parcel->bytes, 'p', sent[i].parcel->size);
        for (uint32_t o = 0; o < objects; o++) sent[i].parcel->objects[o] = new_thing(&thing_class, o);
    }
    sent[9].kind = NEAP_MESSAGE_OBJECT;
    sent[9].object = new_thing(&thing_class, 42);
    struct neap_message items[] = {{.kind = NEAP_MESSAGE_TRUE}, parcel(7)};
    assert_int_equal(neap_message_pack(items, 2, &sent[10]), 0);
}

static void drop_messages(void) {
    for (int i = 0; i < 11; i++) neap_message_fini(&sent[i]);
}

static void messages_of_every_kind_arrive(void **state) {
    struct neap_packer packer;
    (void)state;
    make_messages();
    neap_packer_init(&packer, near);
    for (int i = 0; i < 11; i++) neap_pack_message(&packer, &sent[i]);
    deliver(&packer, read_messages);
    drop_messages();
}

/* --- long strings --- */

enum { LONG = 100000, LONGER = 5 << 20 }; /* bytes; of the second kind are no places used again */

static struct neap_message got; /* the last one that was read */

static void read_one(struct neap_unpacker *unpacker) {
    neap_message_clear(&got);
    neap_unpack_message(unpacker, &got);
    assert_int_equal(unpacker->code, 0);
    assert_ptr_equal(unpacker->at, unpacker->end);
}

static void send_long(enum neap_message_kind kind, size_t size, char fill) {
    struct neap_packer packer;
    struct neap_message message;
    neap_message_set_kind(&message, kind);
    message.parcel = neap_parcel_new(size, 0);
    memset(message.parcel->bytes, fill, size);
    neap_packer_init(&packer, near);
    neap_pack_message(&packer, &message);
    assert_int_equal(neap_packer_send(&packer, 1), 0);
    neap_packer_fini(&packer);
    neap_message_fini(&message);
}

/* Sends one, and reads it into `got`. */
static void pass_long(enum neap_message_kind kind, size_t size, char fill) {
    read_frame = read_one;
    send_long(kind, size, fill);
    neap_wire_pump(far);
    assert_int_equal(got.kind, kind);
}

static void check_long(const struct neap_message *message, size_t size, char fill) {
    const char *bytes = neap_parcel_string(message->parcel);
    assert_int_equal(message->parcel->size, size);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != fill) fail_msg("byte %zu is %d, not %d", i, bytes[i], fill);
}

static bool is_lent(const struct neap_message *message) { return message->parcel->store != NULL; }

static void a_long_string_is_read_where_it_lies(void **state) {
    static const size_t sizes[] = {NEAP_WIRE_INLINE_MAX, LONG, 1 << 20, LONG, LONGER};
    (void)state;
    for (int i = 0; i < 50; i++) {
        size_t size = sizes[i % 5];
        pass_long(NEAP_MESSAGE_BYTES, size, (char)i);
        assert_true(is_lent(&got));
        check_long(&got, size, (char)i);
        neap_message_fini(&got);
    }
}

static void what_is_looked_into_is_copied(void **state) {
    (void)state;
    pass_long(NEAP_MESSAGE_PARCEL, LONG, 'p');
    assert_false(is_lent(&got));
    check_long(&got, LONG, 'p');
    neap_message_fini(&got);
}

static void strings_that_are_kept_leave_places_for_others(void **state) {
    struct neap_message kept[NEAP_LARGE_LENT];
    (void)state;
    for (int i = 0; i < NEAP_LARGE_LENT; i++) {
        pass_long(NEAP_MESSAGE_BYTES, LONG, (char)i);
        assert_true(is_lent(&got));
        kept[i] = got;
    }
    for (int i = 0; i < 20; i++) {
        pass_long(NEAP_MESSAGE_BYTES, LONG, 'o');
        assert_false(is_lent(&got));
        check_long(&got, LONG, 'o');
        neap_message_fini(&got);
    }
    neap_message_fini(&kept[1]);
    pass_long(NEAP_MESSAGE_BYTES, LONG, 'n');
    assert_true(is_lent(&got));
    check_long(&kept[0], LONG, 0);
    check_long(&got, LONG, 'n');
    check_long(&kept[2], LONG, 2);
    neap_message_fini(&got);
    neap_message_fini(&kept[0]);
    neap_message_fini(&kept[2]);
}

static void read_in_order(struct neap_unpacker *unpacker) {
    read_one(unpacker);
    check_long(&got, LONG, (char)frames);
    neap_message_fini(&got);
}

static void more_may_be_under_way_than_there_are_places(void **state) {
    (void)state;
    read_frame = read_in_order;
    for (int i = 0; i < 4 * NEAP_LARGE_PLACES; i++) send_long(NEAP_MESSAGE_BYTES, LONG, (char)i);
    neap_wire_pump(far);
    assert_int_equal(frames, 4 * NEAP_LARGE_PLACES);
}

static void a_string_outlives_the_wire_it_came_through(void **state) {
    struct neap_message longer;
    (void)state;
    pass_long(NEAP_MESSAGE_BYTES, LONGER, 'l');
    longer = got;
    pass_long(NEAP_MESSAGE_BYTES, LONG, 's');
    drop_wires();
    check_long(&got, LONG, 's');
    check_long(&longer, LONGER, 'l');
    neap_message_fini(&got);
    neap_message_fini(&longer);
    assert_int_equal(make_wires(), 0);
}

static void read_without_memory(struct neap_unpacker *unpacker) {
    neap_memory_fail_after((long)unpacker->fd_count + frames);
    neap_unpack_message(unpacker, &got);
    neap_memory_fail_after(-1);
    if (got.kind == NEAP_MESSAGE_EMPTY) assert_int_equal(unpacker->code, NEAP_NOMEM);
    neap_message_fini(&got);
}

static void without_memory_no_place_is_lost(void **state) {
    (void)state;
    read_frame = read_without_memory;
    for (int i = 0; i < 6; i++) {
        send_long(NEAP_MESSAGE_BYTES, LONG, 'm');
        neap_wire_pump(far);
    }
    assert_int_equal(frames, 6);
    pass_long(NEAP_MESSAGE_BYTES, LONG, 'f');
    assert_true(is_lent(&got));
    neap_message_fini(&got);
}

static void an_object_that_cannot_travel_is_named(void **state) {
    struct neap_packer packer;
    (void)state;
    struct neap_message message = {.kind = NEAP_MESSAGE_OBJECT};
    message.object = new_thing(&rooted_class, 0);
    neap_packer_init(&packer, near);
    neap_pack_message(&packer, &message);
    assert_int_equal(neap_packer_send(&packer, 1), UV_ENOTSUP);
    assert_ptr_equal(packer.obstacle, message.object);
    neap_packer_fini(&packer);
    neap_message_fini(&message);
}

static void read_nonsense(struct neap_unpacker *unpacker) {
    for (int i = 0; i < 20 && unpacker->code == 0; i++) {
        struct neap_message message = {.kind = NEAP_MESSAGE_EMPTY};
        neap_unpack_message(unpacker, &message);
        neap_message_fini(&message);
    }
}

/* Right messages with some bytes changed, cut short. */
static void nonsense_is_a_message_or_an_error(void **state) {
    (void)state;
    for (int round = 0; round < repeated(3000); round++) {
        struct neap_packer packer;
        make_messages();
        neap_packer_init(&packer, near);
        for (int i = 0; i < 11; i++)
            if (i != 6) neap_pack_message(&packer, &sent[i]);
        for (uint32_t i = 0, count = 1 + chance(4); i < count; i++)
            packer.bytes[chance((uint32_t)packer.used)] = (char)chance(256);
        if (chance(3) == 0) packer.used = chance((uint32_t)packer.used);
        deliver(&packer, read_nonsense);
        drop_messages();
    }
}

static void read_if_there_is_memory(struct neap_unpacker *unpacker) {
    static long after;
    neap_memory_fail_after(after++ % 12);
    read_nonsense(unpacker);
    neap_memory_fail_after(-1);
    assert_true(unpacker->code == 0 || unpacker->code == NEAP_NOMEM || unpacker->code == UV_EPROTO);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    make_messages();
    for (long after = 0; after < 12; after++) {
        struct neap_packer packer;
        neap_packer_init(&packer, near);
        neap_memory_fail_after(after);
        for (int i = 0; i < 11; i++) neap_pack_message(&packer, &sent[i]);
        neap_memory_fail_after(-1);
        if (packer.code == 0) {
            deliver(&packer, read_if_there_is_memory);
            continue;
        }
        assert_int_equal(packer.code, NEAP_NOMEM);
        neap_packer_fini(&packer);
    }
    drop_messages();
}

#define PACK(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest packing[] = {
        PACK(numbers_texts_and_descriptors_arrive),
        PACK(reading_past_the_end_is_an_error),
        PACK(messages_of_every_kind_arrive),
        PACK(an_object_that_cannot_travel_is_named),
        PACK(nonsense_is_a_message_or_an_error),
        PACK(every_allocation_may_fail),
        PACK(a_long_string_is_read_where_it_lies),
        PACK(what_is_looked_into_is_copied),
        PACK(strings_that_are_kept_leave_places_for_others),
        PACK(more_may_be_under_way_than_there_are_places),
        PACK(a_string_outlives_the_wire_it_came_through),
        PACK(without_memory_no_place_is_lost),
    };
    return run_once(packing);
}
