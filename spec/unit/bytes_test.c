#include "support.h"

#include <string.h>
#include <unistd.h>

#include "sync/bytes.h"
#include "sync/event.h"

static struct neap_cells *cells;

static int open_cells(void **state) {
    set_up(state);
    cells = neap_cells_new();
    return cells == NULL;
}

static int close_cells(void **state) {
    neap_cells_close(cells);
    return tear_down(state);
}

#define BYTES_TEST(function) cmocka_unit_test_setup_teardown(function, open_cells, close_cells)

static const size_t sizes[] = {0, 1, 100, 40000, 1 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

static struct neap_bytes *fresh(size_t length) {
    struct neap_bytes *bytes;
    assert_int_equal(neap_bytes_new(cells, length, &bytes), 0);
    return made(bytes);
}

static void drop(struct neap_bytes *bytes) { neap_object_unref(&bytes->mapped.object); }

static void put(struct neap_bytes *bytes, size_t at, const char *text) {
    assert_true(neap_bytes_begin_writing(bytes));
    memcpy(neap_bytes_at(bytes) + at, text, strlen(text));
    neap_bytes_end_writing(bytes);
}

static void a_new_one_is_zeros(void **state) {
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        struct neap_bytes *bytes = fresh(sizes[i]);
        assert_int_equal(neap_bytes_length(bytes), sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++) assert_int_equal(neap_bytes_at(bytes)[at], 0);
        assert_false(neap_bytes_is_sealed(bytes));
        drop(bytes);
    }
}

static void a_view_is_a_part_of_the_same_bytes_and_keeps_them(void **state) {
    (void)state;
    struct neap_bytes *bytes = fresh(100), *view = neap_bytes_view(bytes, 10, 20), *part = neap_bytes_view(view, 5, 2);
    put(bytes, 15, "ab");
    put(part, 0, "c");
    assert_memory_equal(neap_bytes_at(view) + 5, "cb", 2);
    assert_int_equal(neap_bytes_length(part), 2);
    drop(bytes);
    drop(view);
    assert_memory_equal(neap_bytes_at(part), "cb", 2);
    drop(part);
}

static void what_is_sealed_is_so_through_every_view(void **state) {
    (void)state;
    for (int i = 1; i < SIZES; i++) {
        struct neap_bytes *bytes = fresh(sizes[i]), *view = neap_bytes_view(bytes, 0, 1);
        put(bytes, 0, "x");
        neap_bytes_seal(view);
        neap_bytes_seal(bytes);
        assert_true(neap_bytes_is_sealed(bytes));
        assert_true(neap_bytes_is_sealed(view));
        assert_false(neap_bytes_begin_writing(bytes));
        assert_false(neap_bytes_begin_writing(view));
        assert_int_equal(neap_bytes_at(bytes)[0], 'x');
        /* the system keeps what is large, of which there is one in a segment */
        assert_int_equal(neap_segment_is_sealed(bytes->mapped.cell.segment), sizes[i] > 32768);
        drop(view);
        drop(bytes);
    }
}

static void every_failing_allocation_leaves_nothing(void **state) {
    (void)state;
    struct neap_bytes *bytes = NULL;
    int code = NEAP_NOMEM;
    for (int tries = 0; code < 0; tries++) {
        assert_int_equal(code, NEAP_NOMEM);
        neap_memory_fail_after(tries);
        code = neap_bytes_new(cells, 100, &bytes);
        neap_memory_fail_after(-1);
    }
    neap_memory_fail_after(0);
    assert_null(neap_bytes_view(bytes, 1, 2));
    neap_memory_fail_after(-1);
    drop(bytes);
    assert_int_equal(neap_bytes_new(cells, SIZE_MAX, &bytes), NEAP_NOMEM);
    assert_int_equal(neap_bytes_new(cells, (size_t)1 << 50, &bytes), NEAP_NOMEM);
}

/* --- adopted --- */

static struct neap_mapping told(const struct neap_bytes *bytes) {
    struct neap_mapping mapping;
    neap_mapped_tell(&bytes->mapped, &mapping);
    assert_int_equal(neap_segment_from_fd(dup(mapping.segment->fd), mapping.segment->id, &mapping.segment), 0);
    return mapping;
}

static int adopt(const struct neap_mapping *mapping, struct neap_object *original, struct neap_bytes **bytes) {
    struct neap_object *object;
    int code = neap_bytes_class.adopt(&neap_bytes_class, mapping, original, &object);
    if (code == 0) *bytes = (struct neap_bytes *)object;
    return code;
}

static void one_adopted_is_the_same_bytes_and_the_same_seal(void **state) {
    (void)state;
    struct neap_event *proxy = made(neap_event_new());
    for (int i = 1; i < SIZES; i++) {
        struct neap_bytes *bytes = fresh(sizes[i]), *adopted, *late;
        struct neap_mapping mapping = told(bytes);
        assert_int_equal(adopt(&mapping, &proxy->object, &adopted), 0);
        put(adopted, 0, "y");
        assert_int_equal(neap_bytes_at(bytes)[0], 'y');
        neap_bytes_seal(bytes);
        assert_false(neap_bytes_begin_writing(adopted));
        assert_int_equal(adopt(&mapping, &proxy->object, &late), 0);
        assert_false(neap_bytes_begin_writing(late));
        assert_int_equal(neap_bytes_at(late)[0], 'y');
        neap_segment_unref(mapping.segment);
        drop(late);
        drop(bytes);
        drop(adopted);
    }
    neap_object_unref(&proxy->object);
}

static void a_view_is_adopted_with_what_it_is_a_view_of(void **state) {
    (void)state;
    struct neap_event *proxy = made(neap_event_new());
    struct neap_bytes *bytes = fresh(100), *view = neap_bytes_view(bytes, 10, 20), *root, *part;
    struct neap_mapping whole = told(bytes), mapping = whole;
    put(view, 0, "z");
    mapping.shape[0] = view->mapped.shape[0];
    mapping.shape[1] = view->mapped.shape[1];
    assert_int_equal(adopt(&whole, &proxy->object, &root), 0);
    assert_int_equal(adopt(&mapping, &root->mapped.object, &part), 0);
    assert_ptr_equal(part->root, root);
    assert_int_equal(neap_bytes_at(part)[0], 'z');
    drop(root);
    neap_segment_unref(whole.segment);
    drop(part);
    drop(view);
    drop(bytes);
    neap_object_unref(&proxy->object);
}

static void a_mapping_of_what_is_not_there_is_refused(void **state) {
    (void)state;
    struct neap_event *proxy = made(neap_event_new());
    struct neap_bytes *bytes = fresh(100), *adopted;
    const struct neap_mapping good = told(bytes);
    struct neap_mapping bad[5] = {good, good, good, good, good};
    bad[0].shape[0] = good.segment->size + 1;
    bad[1].shape[1] = UINT64_MAX - 50;
    bad[2].shape[0] = UINT64_MAX;
    bad[3].offset = good.segment->size - 64;
    bad[4].offset += 8;
    for (int i = 0; i < 5; i++) assert_int_equal(adopt(&bad[i], &proxy->object, &adopted), NEAP_RANGE);
    neap_segment_unref(good.segment);
    drop(bytes);
    neap_object_unref(&proxy->object);
}

/* --- many threads --- */

/* Writes until it is sealed: what has been written last is then there. */
static void write_until_sealed(void *argument) {
    struct neap_bytes *view = argument;
    for (unsigned char i = 1; neap_bytes_begin_writing(view); i++) {
        memset(neap_bytes_at(view), i, neap_bytes_length(view));
        neap_bytes_end_writing(view);
    }
    const char *at = neap_bytes_at(view);
    for (size_t i = 1; i < neap_bytes_length(view); i++) CHECK(at[i] == at[0]);
}

static void sealing_waits_for_those_who_write(void **state) {
    (void)state;
    enum { THREADS = 3 };
    struct helper helpers[THREADS];
    for (int round = 0; round < repeated(30); round++) {
        struct neap_bytes *bytes = fresh(sizes[1 + chance(3)] * THREADS), *view[THREADS];
        size_t each = neap_bytes_length(bytes) / THREADS;
        neap_object_share(&bytes->mapped.object);
        for (int i = 0; i < THREADS; i++) {
            view[i] = neap_bytes_view(bytes, each * (size_t)i, each);
            neap_object_share(&view[i]->mapped.object);
            helper_start(&helpers[i], write_until_sealed, view[i]);
        }
        dawdle(2000);
        neap_bytes_seal(bytes);
        for (int i = 0; i < THREADS; i++) {
            helper_join(&helpers[i]);
            drop(view[i]);
        }
        drop(bytes);
    }
}

int main(void) {
    const struct CMUnitTest bytes_tests[] = {
        BYTES_TEST(a_new_one_is_zeros),
        BYTES_TEST(a_view_is_a_part_of_the_same_bytes_and_keeps_them),
        BYTES_TEST(what_is_sealed_is_so_through_every_view),
        BYTES_TEST(every_failing_allocation_leaves_nothing),
        BYTES_TEST(one_adopted_is_the_same_bytes_and_the_same_seal),
        BYTES_TEST(a_view_is_adopted_with_what_it_is_a_view_of),
        BYTES_TEST(a_mapping_of_what_is_not_there_is_refused),
        BYTES_TEST(sealing_waits_for_those_who_write),
    };
    return run_local_and_shared(bytes_tests);
}
