#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

#include "sync/array.h"

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

#define ARRAY_TEST(function) cmocka_unit_test_setup_teardown(function, open_cells, close_cells)

static struct neap_array *fresh(enum neap_type type, size_t length) {
    struct neap_array *array;
    assert_int_equal(neap_array_new(cells, &neap_array_class, type, length, &array), 0);
    return made(array);
}

static void drop(struct neap_array *array) { neap_object_unref(&array->mapped.object); }

static void set(struct neap_array *array, size_t index, int64_t value) {
    neap_scalar_store(neap_array_type(array), neap_array_at(array, index), (union neap_scalar){.integer = value});
}

static int64_t get(const struct neap_array *array, size_t index) {
    return neap_scalar_load(neap_array_type(array), neap_array_at(array, index)).integer;
}

static void a_new_one_is_zeros(void **state) {
    (void)state;
    const size_t lengths[] = {0, 1, 7, 1000, 100000};
    for (int i = 0; i < 5; i++) {
        struct neap_array *array = fresh(NEAP_I16, lengths[i]);
        assert_int_equal(neap_array_length(array), lengths[i]);
        assert_int_equal(neap_array_type(array), NEAP_I16);
        for (size_t at = 0; at < lengths[i]; at++) assert_int_equal(get(array, at), 0);
        drop(array);
    }
}

static void elements_lie_side_by_side(void **state) {
    (void)state;
    struct neap_array *array = fresh(NEAP_U16, 1000);
    for (size_t i = 0; i < 1000; i++) set(array, i, (int64_t)i);
    for (size_t i = 0; i < 1000; i++) assert_int_equal(get(array, i), i);
    assert_ptr_equal(neap_array_at(array, 1), (char *)neap_array_at(array, 0) + 2);
    drop(array);
}

static void every_failing_allocation_leaves_nothing(void **state) {
    (void)state;
    struct neap_array *array;
    int code = NEAP_NOMEM;
    for (int tries = 0; code < 0; tries++) {
        assert_int_equal(code, NEAP_NOMEM);
        neap_memory_fail_after(tries);
        code = neap_array_new(cells, &neap_value_class, NEAP_I64, 1, &array);
        neap_memory_fail_after(-1);
    }
    drop(array);
}

/* --- adopted --- */

/* As another process gets to know of `array`, whose mapping it keeps. */
static struct neap_mapping told(const struct neap_array *array) {
    struct neap_mapping mapping;
    neap_mapped_tell(&array->mapped, &mapping);
    assert_int_equal(neap_segment_from_fd(dup(mapping.segment->fd), mapping.segment->id, &mapping.segment), 0);
    return mapping;
}

/* Stands for the proxy that another process would have. */
static struct neap_array *stand_in(void) { return fresh(NEAP_BOOL, 1); }

static void one_adopted_is_the_same_bytes(void **state) {
    (void)state;
    struct neap_array *array = fresh(NEAP_I32, 10), *proxy = stand_in();
    struct neap_mapping mapping = told(array);
    struct neap_object *object;
    assert_int_equal(neap_array_class.adopt(&neap_array_class, &mapping, &proxy->mapped.object, &object), 0);
    struct neap_array *adopted = (struct neap_array *)object;
    assert_int_equal(neap_array_length(adopted), 10);
    set(adopted, 9, -5);
    assert_int_equal(get(array, 9), -5);
    assert_true(neap_mapped_are_same(&array->mapped, &adopted->mapped));
    assert_false(neap_mapped_are_same(&array->mapped, &proxy->mapped));
    assert_ptr_equal(neap_mapped_original(&adopted->mapped), proxy);
    assert_ptr_equal(neap_mapped_original(&array->mapped), array);
    neap_segment_unref(mapping.segment);
    drop(array); /* the bytes stay */
    assert_int_equal(get(adopted, 9), -5);
    drop(adopted);
    drop(proxy);
}

static void one_that_comes_home_is_itself(void **state) {
    (void)state;
    struct neap_array *array = fresh(NEAP_I32, 10);
    struct neap_mapping mapping;
    struct neap_object *object;
    neap_mapped_tell(&array->mapped, &mapping);
    assert_int_equal(neap_array_class.adopt(&neap_array_class, &mapping, &array->mapped.object, &object), 0);
    assert_ptr_equal(object, array);
    neap_object_unref(object);
    drop(array);
}

static void a_mapping_of_what_is_not_there_is_refused(void **state) {
    (void)state;
    struct neap_array *array = fresh(NEAP_I32, 10), *proxy = stand_in();
    const struct neap_mapping good = told(array);
    struct neap_object *object;
    struct neap_mapping bad[6] = {good, good, good, good, good, good};
    bad[0].shape[0] = NEAP_TYPE_COUNT;
    bad[1].shape[0] = UINT64_MAX;
    bad[2].shape[1] = good.segment->size;
    bad[3].shape[1] = UINT64_MAX / 4 + 2; /* its size in bytes would wrap */
    bad[4].offset = good.segment->size;
    bad[5].offset += 2; /* not aligned */
    for (int i = 0; i < 6; i++)
        assert_int_equal(neap_array_class.adopt(&neap_array_class, &bad[i], &proxy->mapped.object, &object),
                         NEAP_RANGE);
    neap_memory_fail_after(0);
    assert_int_equal(neap_array_class.adopt(&neap_array_class, &good, &proxy->mapped.object, &object), NEAP_NOMEM);
    neap_memory_fail_after(-1);
    neap_segment_unref(good.segment);
    drop(array);
    drop(proxy);
}

static void two_processes_add_up(void **state) {
    (void)state;
    enum { EACH = 100000 };
    struct neap_array *array = fresh(NEAP_I64, 1);
    union neap_scalar one = {.integer = 1}, sum;
    pid_t child = fork();
    for (int i = 0; i < EACH; i++) neap_scalar_add(NEAP_I64, neap_array_at(array, 0), one, &sum);
    if (child == 0) _exit(0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(get(array, 0), 2 * EACH);
    drop(array);
}

int main(void) {
    const struct CMUnitTest array_tests[] = {
        ARRAY_TEST(a_new_one_is_zeros),
        ARRAY_TEST(elements_lie_side_by_side),
        ARRAY_TEST(every_failing_allocation_leaves_nothing),
        ARRAY_TEST(one_adopted_is_the_same_bytes),
        ARRAY_TEST(one_that_comes_home_is_itself),
        ARRAY_TEST(a_mapping_of_what_is_not_there_is_refused),
        ARRAY_TEST(two_processes_add_up),
    };
    return run_local_and_shared(array_tests);
}
