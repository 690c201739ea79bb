#include "support.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "core/cell.h"

static struct neap_cells *fresh(void) {
    struct neap_cells *cells = neap_cells_new();
    assert_non_null(cells);
    return cells;
}

static struct neap_cell alloc(struct neap_cells *cells, size_t size) {
    struct neap_cell cell;
    assert_int_equal(neap_cell_alloc(cells, size, &cell), 0);
    return cell;
}

static void a_cell_is_zeroed_and_aligned_to_its_size(void **state) {
    (void)state;
    struct neap_cells *cells = fresh();
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (size_t size = 1; size <= 200000; size = size * 2 + 1) {
        for (int again = 0; again < 2; again++) { /* the second time it is one that was used */
            struct neap_cell cell = alloc(cells, size);
            uintptr_t alignment = 16;
            while (alignment < size && alignment < page) alignment *= 2;
            assert_int_equal((uintptr_t)cell.at % alignment, 0);
            for (size_t i = 0; i < size; i++) assert_int_equal(((char *)cell.at)[i], 0);
            memset(cell.at, 1, size);
            neap_cell_free(&cell);
        }
    }
    neap_cells_close(cells);
}

static void no_two_overlap(void **state) {
    (void)state;
    enum { CELLS = 3000 };
    static struct neap_cell cell[CELLS];
    static size_t size[CELLS];
    struct neap_cells *cells = fresh();
    for (int i = 0; i < CELLS; i++) {
        size[i] = sizeof i + chance(i % 100 == 0 ? 100000 : 300);
        cell[i] = alloc(cells, size[i]);
        memset(cell[i].at, i & 0xff, size[i]);
    }
    for (int i = 0; i < CELLS; i++) {
        for (size_t at = 0; at < size[i]; at++) assert_int_equal(((unsigned char *)cell[i].at)[at], i & 0xff);
        neap_cell_free(&cell[i]);
    }
    neap_cells_close(cells);
}

static void small_ones_share_a_segment(void **state) {
    (void)state;
    struct neap_cells *cells = fresh();
    struct neap_cell one = alloc(cells, 8), other = alloc(cells, 16);
    assert_ptr_equal(one.segment, other.segment);
    assert_true(neap_cell_offset(&one) != neap_cell_offset(&other));
    neap_cell_free(&one);
    neap_cell_free(&other);
    neap_cells_close(cells);
}

static void a_freed_one_is_used_again(void **state) {
    (void)state;
    struct neap_cells *cells = fresh();
    struct neap_cell kept = alloc(cells, 64), cell = alloc(cells, 64);
    void *at = cell.at;
    neap_cell_free(&cell);
    cell = alloc(cells, 64);
    assert_ptr_equal(cell.at, at);
    neap_cell_free(&cell);
    neap_cell_free(&kept);
    neap_cells_close(cells);
}

/* Coming and going at random, far beyond one chunk: tear_down counts what is mapped. */
static void nothing_is_left_when_all_have_gone(void **state) {
    (void)state;
    enum { CELLS = 500 };
    static struct neap_cell cell[CELLS];
    static bool is_out[CELLS];
    struct neap_cells *cells = fresh();
    for (int i = 0; i < 20000; i++) {
        uint32_t at = chance(CELLS);
        if (is_out[at])
            neap_cell_free(&cell[at]);
        else
            cell[at] = alloc(cells, 1 + chance(2000));
        is_out[at] = !is_out[at];
    }
    long before = neap_memory_live();
    for (int i = 0; i < CELLS; i++)
        if (is_out[i]) neap_cell_free(&cell[i]);
    assert_true(neap_memory_live() < before);
    neap_cells_close(cells);
}

static void cells_outlive_their_allocator(void **state) {
    (void)state;
    struct neap_cells *cells = fresh();
    struct neap_cell small = alloc(cells, 8), big = alloc(cells, 100000), other = alloc(cells, 64);
    neap_cell_free(&other); /* its empty chunk goes with the allocator */
    neap_cells_close(cells);
    memset(small.at, 1, 8);
    memset(big.at, 1, 100000);
    neap_cell_free(&small);
    neap_cell_free(&big);
}

static void a_cell_is_found_by_segment_and_offset(void **state) {
    (void)state;
    struct neap_cells *cells = fresh();
    struct neap_cell cell = alloc(cells, 64), found;
    struct neap_segment *segment;
    assert_int_equal(neap_segment_from_fd(dup(cell.segment->fd), cell.segment->id, &segment), 0);
    assert_int_equal(neap_cell_find(segment, neap_cell_offset(&cell), 64, 64, &found), 0);
    *(char *)found.at = 5;
    assert_int_equal(*(char *)cell.at, 5);
    neap_segment_unref(segment);
    neap_cell_free(&found); /* the last of that mapping */
    neap_cell_free(&cell);
    neap_cells_close(cells);
}

static void a_cell_outside_is_not_found(void **state) {
    (void)state;
    struct neap_cells *cells = fresh();
    struct neap_cell cell = alloc(cells, 64), found;
    assert_int_equal(neap_cell_find(cell.segment, cell.segment->size - 32, 64, 8, &found), NEAP_RANGE);
    assert_int_equal(neap_cell_find(cell.segment, UINT64_MAX - 7, 64, 8, &found), NEAP_RANGE);
    assert_int_equal(neap_cell_find(cell.segment, 12, 8, 8, &found), NEAP_RANGE);
    neap_cell_free(&cell);
    neap_cells_close(cells);
}

static void every_failing_allocation_leaves_it_usable(void **state) {
    (void)state;
    const size_t sizes[] = {8, 100000};
    for (int i = 0; i < 2; i++) {
        struct neap_cells *cells = fresh();
        struct neap_cell cell;
        int code = NEAP_NOMEM, tries = 0;
        while (code < 0) {
            assert_int_equal(code, NEAP_NOMEM);
            neap_memory_fail_after(tries++);
            code = neap_cell_alloc(cells, sizes[i], &cell);
            neap_memory_fail_after(-1);
        }
        assert_int_equal(tries, 4);
        neap_cell_free(&cell);
        neap_cells_close(cells);
    }
    neap_memory_fail_after(0);
    assert_null(neap_cells_new());
    neap_memory_fail_after(-1);
}

static void without_descriptors_those_that_are_there_are_given_out(void **state) {
    (void)state;
    enum { MOST = 100000 };
    static struct neap_cell cell[MOST];
    struct neap_cells *cells = fresh();
    struct rlimit usual, none;
    int count = 1, code;
    cell[0] = alloc(cells, 64);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = usual;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    while ((code = neap_cell_alloc(cells, 64, &cell[count])) == 0) count++;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_int_equal(code, UV_EMFILE);
    assert_int_equal(count, cell[0].segment->size / 64);
    neap_cell_free(&cell[--count]);
    cell[count++] = alloc(cells, 64); /* the one that came back */
    while (count > 0) neap_cell_free(&cell[--count]);
    neap_cells_close(cells);
}

/* --- many threads --- */

enum { THREADS = 4, EACH = 64 };

struct crowd {
    struct neap_cells *cells;
    int rounds;
};

/* Marks its cells as its own: nobody else's mark may ever show. */
static void come_and_go(void *argument) {
    const struct crowd *crowd = argument;
    struct neap_cell cell[EACH];
    bool is_out[EACH] = {false};
    for (int i = 0; i < crowd->rounds; i++) {
        uint32_t at = chance(EACH);
        if (is_out[at]) {
            CHECK(*(void **)cell[at].at == &cell[at]);
            neap_cell_free(&cell[at]);
        } else {
            CHECK(neap_cell_alloc(crowd->cells, sizeof(void *) + chance(9) * 5000, &cell[at]) == 0);
            CHECK(*(void **)cell[at].at == NULL);
            *(void **)cell[at].at = &cell[at];
        }
        is_out[at] = !is_out[at];
    }
    for (int i = 0; i < EACH; i++)
        if (is_out[i]) neap_cell_free(&cell[i]);
}

static void many_threads_never_get_the_same(void **state) {
    (void)state;
    struct crowd crowd = {fresh(), repeated(2000)};
    struct helper helpers[THREADS];
    for (int i = 0; i < THREADS; i++) helper_start(&helpers[i], come_and_go, &crowd);
    for (int i = 0; i < THREADS; i++) helper_join(&helpers[i]);
    neap_cells_close(crowd.cells);
}

int main(void) {
    const struct CMUnitTest cell_tests[] = {
        TEST(a_cell_is_zeroed_and_aligned_to_its_size),
        TEST(no_two_overlap),
        TEST(small_ones_share_a_segment),
        TEST(a_freed_one_is_used_again),
        TEST(nothing_is_left_when_all_have_gone),
        TEST(cells_outlive_their_allocator),
        TEST(a_cell_is_found_by_segment_and_offset),
        TEST(a_cell_outside_is_not_found),
        TEST(every_failing_allocation_leaves_it_usable),
        TEST(without_descriptors_those_that_are_there_are_given_out),
        TEST(many_threads_never_get_the_same),
    };
    return run_once(cell_tests);
}
