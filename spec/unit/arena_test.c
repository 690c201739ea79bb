/* The memory of one Lua state: counting, limiting, and shrinking that never fails; memory that is used again. */
#include "core/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/memory.h"

/* Sizes on both sides of the borders between classes, and between small and large blocks. */
static const size_t sizes[] = {1,    15,   16,   17,   32,   64,   208,  720,  1023,
                               1024, 1025, 1440, 2047, 2048, 2049, 3000, 5000, 40000};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void fill(void *block, size_t size, unsigned seed) {
    unsigned char *bytes = block;
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(seed + i * 7);
}

static bool is_filled(const void *block, size_t size, unsigned seed) {
    const unsigned char *bytes = block;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(seed + i * 7)) return false;
    return true;
}

static void *obtain(struct neap_arena *arena, size_t size) { return neap_arena_alloc(arena, NULL, 0, size); }

static void give_back(struct neap_arena *arena, void *block, size_t size) {
    assert_null(neap_arena_alloc(arena, block, size, 0));
}

/* --- one arena a test; what it took is back afterwards --- */

struct fixture {
    struct neap_arena *arena;
    long live; /* blocks of the process before */
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture.live = neap_memory_live();
    fixture.arena = neap_arena_new();
    *state = &fixture;
    return fixture.arena == NULL;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    neap_memory_fail_after(-1);
    neap_arena_free(fixture->arena);
    return neap_memory_live() != fixture->live;
}

static struct neap_arena *arena_of(void **state) { return ((struct fixture *)*state)->arena; }

/* --- the contract of a lua_Alloc --- */

static void a_new_block_may_come_with_any_old_size(void **state) {
    struct neap_arena *arena = arena_of(state);
    void *block = neap_arena_alloc(arena, NULL, 5, 100);
    assert_non_null(block);
    assert_int_equal(neap_arena_used(arena), 100);
    give_back(arena, block, 100);
    assert_null(neap_arena_alloc(arena, NULL, 5, 0));
    assert_int_equal(neap_arena_used(arena), 0);
}

static void blocks_are_aligned_and_apart(void **state) {
    struct neap_arena *arena = arena_of(state);
    void *blocks[SIZES * 20];
    for (unsigned i = 0; i < SIZES * 20; i++) {
        blocks[i] = obtain(arena, sizes[i % SIZES]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        fill(blocks[i], sizes[i % SIZES], i);
    }
    for (unsigned i = 0; i < SIZES * 20; i++) assert_true(is_filled(blocks[i], sizes[i % SIZES], i));
}

static void a_block_keeps_its_content_when_it_is_resized(void **state) {
    struct neap_arena *arena = arena_of(state);
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t j = 0; j < SIZES; j++) {
            void *block = obtain(arena, sizes[i]);
            fill(block, sizes[i], 3);
            block = neap_arena_alloc(arena, block, sizes[i], sizes[j]);
            assert_non_null(block);
            assert_int_equal(neap_arena_used(arena), sizes[j]);
            assert_true(is_filled(block, sizes[i] < sizes[j] ? sizes[i] : sizes[j], 3));
            fill(block, sizes[j], 4);
            give_back(arena, block, sizes[j]);
        }
    }
    assert_int_equal(neap_arena_used(arena), 0);
}

static void used_counts_what_was_asked_for(void **state) {
    struct neap_arena *arena = arena_of(state);
    void *small = obtain(arena, 17), *large = obtain(arena, 9000);
    assert_int_equal(neap_arena_used(arena), 9017);
    large = neap_arena_alloc(arena, large, 9000, 3);
    assert_int_equal(neap_arena_used(arena), 20);
    small = neap_arena_alloc(arena, small, 17, 18);
    assert_int_equal(neap_arena_used(arena), 21);
    assert_true(neap_arena_held(arena) >= 21);
    give_back(arena, large, 3);
    give_back(arena, small, 18);
    assert_int_equal(neap_arena_used(arena), 0);
}

static void a_size_that_cannot_be_is_refused(void **state) {
    struct neap_arena *arena = arena_of(state);
    void *block = obtain(arena, 5000);
    assert_null(obtain(arena, SIZE_MAX));
    assert_null(neap_arena_alloc(arena, block, 5000, SIZE_MAX));
    assert_null(neap_arena_alloc(arena, block, 5000, SIZE_MAX - 8));
    assert_int_equal(neap_arena_used(arena), 5000);
    give_back(arena, block, 5000);
}

/* --- the limit --- */

static void growing_beyond_the_limit_fails_and_changes_nothing(void **state) {
    struct neap_arena *arena = arena_of(state);
    neap_arena_limit(arena, 1000);
    void *block = obtain(arena, 600);
    fill(block, 600, 1);
    assert_null(obtain(arena, 401));
    assert_null(neap_arena_alloc(arena, block, 600, 1001));
    assert_null(neap_arena_alloc(arena, block, 600, 50000));
    assert_int_equal(neap_arena_used(arena), 600);
    assert_true(is_filled(block, 600, 1));
    block = neap_arena_alloc(arena, block, 600, 1000);
    assert_non_null(block);
    assert_true(is_filled(block, 600, 1));
}

static void the_limit_counts_growing_within_a_class(void **state) {
    struct neap_arena *arena = arena_of(state);
    neap_arena_limit(arena, 20);
    void *block = obtain(arena, 20);
    assert_null(neap_arena_alloc(arena, block, 20, 21));
    assert_int_equal(neap_arena_used(arena), 20);
}

static void a_limit_below_what_is_used_lets_blocks_shrink(void **state) {
    struct neap_arena *arena = arena_of(state);
    void *block = obtain(arena, 6000);
    neap_arena_limit(arena, 100);
    assert_null(obtain(arena, 1));
    block = neap_arena_alloc(arena, block, 6000, 3000);
    assert_non_null(block);
    assert_null(obtain(arena, 1));
    block = neap_arena_alloc(arena, block, 3000, 99);
    assert_non_null(block);
    assert_non_null(obtain(arena, 1));
    assert_null(obtain(arena, 1));
}

static void limit_zero_is_no_limit(void **state) {
    struct neap_arena *arena = arena_of(state);
    neap_arena_limit(arena, 10);
    assert_null(obtain(arena, 11));
    neap_arena_limit(arena, 0);
    assert_non_null(obtain(arena, 100000));
}

/* --- no memory --- */

static void an_arena_that_cannot_be_made_is_null(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_arena_new());
}

/* Takes blocks of a size until the arena would have to ask for memory, which fails. Returns the last one. */
static void *exhaust(struct neap_arena *arena, size_t size) {
    void *last = NULL;
    for (;;) {
        neap_memory_fail_after(0);
        void *block = obtain(arena, size);
        if (block == NULL) return last;
        last = block;
    }
}

static void growing_without_memory_fails_and_changes_nothing(void **state) {
    struct neap_arena *arena = arena_of(state);
    void *small = obtain(arena, 64), *large = obtain(arena, 5000);
    fill(small, 64, 1);
    fill(large, 5000, 2);
    exhaust(arena, 2000);
    exhaust(arena, 128);
    size_t used = neap_arena_used(arena);
    neap_memory_fail_after(0);
    assert_null(neap_arena_alloc(arena, small, 64, 2000));
    neap_memory_fail_after(0);
    assert_null(neap_arena_alloc(arena, small, 64, 9000));
    neap_memory_fail_after(0);
    assert_null(neap_arena_alloc(arena, large, 5000, 9000));
    assert_int_equal(neap_arena_used(arena), used);
    assert_true(is_filled(small, 64, 1));
    assert_true(is_filled(large, 5000, 2));
    neap_memory_fail_after(-1);
    assert_non_null(large = neap_arena_alloc(arena, large, 5000, 9000));
    assert_non_null(small = neap_arena_alloc(arena, small, 64, 2000));
    assert_true(is_filled(small, 64, 1));
    assert_true(is_filled(large, 5000, 2));
}

static void shrinking_succeeds_without_memory(void **state) {
    struct neap_arena *arena = arena_of(state);
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t j = 0; j < i; j++) {
            neap_memory_fail_after(-1);
            void *block = obtain(arena, sizes[i]);
            fill(block, sizes[i], 5);
            for (size_t k = 0; k <= j; k++) exhaust(arena, sizes[j - k]);
            size_t used = neap_arena_used(arena);
            neap_memory_fail_after(0);
            block = neap_arena_alloc(arena, block, sizes[i], sizes[j]);
            assert_non_null(block);
            assert_true(is_filled(block, sizes[j], 5));
            assert_int_equal(neap_arena_used(arena), used - (sizes[i] - sizes[j]));
            fill(block, sizes[j], 6);
            give_back(arena, block, sizes[j]);
        }
    }
}

/* Far past the size from which on a block that grows is mapped, in the test build. */
static const size_t growing[] = {20000,  33001,  33002,  70007, 140014, 139999,
                                 300000, 299990, 600000, 50000, 49999,  2049};
enum { GROWING = sizeof growing / sizeof growing[0] };

static void a_block_that_grows_on_and_on_keeps_its_content(void **state) {
    struct neap_arena *arena = arena_of(state);
    for (int round = 0; round < 3; round++) {
        size_t size = growing[0];
        void *block = obtain(arena, size);
        fill(block, size, 7);
        for (size_t i = 1; i < GROWING; i++) {
            block = neap_arena_alloc(arena, block, size, growing[i]);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % 16, 0);
            assert_true(is_filled(block, size < growing[i] ? size : growing[i], 7));
            size = growing[i];
            fill(block, size, 7);
            assert_int_equal(neap_arena_used(arena), size);
        }
        give_back(arena, block, size);
    }
}

static void growing_on_without_memory_fails_and_changes_nothing(void **state) {
    struct neap_arena *arena = arena_of(state);
    size_t size = growing[0];
    void *block = obtain(arena, size);
    fill(block, size, 8);
    for (size_t i = 1; i < GROWING; i++) {
        if (growing[i] > size) {
            neap_memory_fail_after(0);
            assert_null(neap_arena_alloc(arena, block, size, growing[i]));
            neap_memory_fail_after(-1);
            assert_int_equal(neap_arena_used(arena), size);
            assert_true(is_filled(block, size, 8));
        }
        block = neap_arena_alloc(arena, block, size, growing[i]);
        size = growing[i];
        fill(block, size, 8);
    }
}

static void what_has_grown_shrinks_without_memory(void **state) {
    struct neap_arena *arena = arena_of(state);
    for (size_t i = 0; i < SIZES; i++) {
        void *block = obtain(arena, 20000);
        fill(block, 20000, 9);
        for (size_t size = 20000; size < 200000; size += 60001)
            block = neap_arena_alloc(arena, block, size, size + 60001);
        for (size_t size = 2048; size > 0; size /= 2) exhaust(arena, size);
        size_t used = neap_arena_used(arena), smaller = sizes[i] < 20000 ? sizes[i] : 20000;
        neap_memory_fail_after(0);
        block = neap_arena_alloc(arena, block, 200003, sizes[i]);
        assert_non_null(block);
        assert_true(is_filled(block, smaller, 9));
        assert_int_equal(neap_arena_used(arena), used - (200003 - sizes[i]));
        neap_memory_fail_after(-1);
        block = neap_arena_alloc(arena, block, sizes[i], 100000);
        assert_true(is_filled(block, smaller, 9));
        give_back(arena, block, 100000);
    }
}

static void what_shrinking_left_over_is_used_again(void **state) {
    struct neap_arena *arena = arena_of(state);
    void *block = obtain(arena, 60000);
    for (size_t size = 2000; size > 0; size /= 2) exhaust(arena, size);
    size_t used = neap_arena_used(arena);
    neap_memory_fail_after(0);
    block = neap_arena_alloc(arena, block, 60000, 100);
    assert_non_null(block);
    size_t held = neap_arena_held(arena);
    neap_memory_fail_after(-1);
    while (neap_arena_used(arena) < used - 5000) assert_non_null(obtain(arena, 500));
    assert_true(neap_arena_held(arena) <= held + 60000);
}

static void a_block_that_shrank_without_memory_goes_back_in_the_end(void **state) {
    enum { COUNT = 40 };
    struct neap_arena *arena = arena_of(state);
    void *blocks[COUNT], *block = obtain(arena, 100001);
    for (int i = 0; i < COUNT; i++) assert_non_null(blocks[i] = obtain(arena, 2000));
    for (size_t size = 2000; size > 0; size /= 2) exhaust(arena, size);
    neap_memory_fail_after(0);
    block = neap_arena_alloc(arena, block, 100001, 101);
    assert_non_null(block);
    neap_memory_fail_after(-1);
    for (int i = 0; i < COUNT; i++) give_back(arena, blocks[i], 2000);
    give_back(arena, block, 101);
    neap_arena_trim(arena);
    assert_true(neap_arena_held(arena) < 150 * 1000); /* it was 200 KB */
}

/* --- using memory again --- */

static void blocks_given_back_serve_the_next_ones(void **state) {
    struct neap_arena *arena = arena_of(state);
    void *blocks[200];
    size_t held = 0;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 200; i++) assert_non_null(blocks[i] = obtain(arena, sizes[i % SIZES]));
        if (round == 0) held = neap_arena_held(arena);
        assert_true(neap_arena_held(arena) <= held);
        for (int i = 0; i < 200; i++) give_back(arena, blocks[(i * 7) % 200], sizes[(i * 7) % 200 % SIZES]);
    }
    assert_int_equal(neap_arena_used(arena), 0);
}

/* The peak of each phase is the same; their sum would be twelve times as much. */
static void memory_of_one_size_serves_another_size_later(void **state) {
    enum { PEAK = 1200 * 1000 };
    struct neap_arena *arena = arena_of(state);
    void **blocks = malloc(PEAK / 16 * sizeof *blocks);
    assert_non_null(blocks);
    for (size_t phase = 0; phase < 12; phase++) {
        size_t size = 24 + phase * 96, count = PEAK / size;
        for (size_t i = 0; i < count; i++) {
            assert_non_null(blocks[i] = obtain(arena, size));
            memset(blocks[i], (int)phase, size);
        }
        assert_true(neap_arena_held(arena) <= 3 * (size_t)PEAK);
        for (size_t i = 0; i < count; i++) give_back(arena, blocks[i], size);
    }
    free(blocks);
}

static void survivors_stay_whole_while_memory_changes_hands(void **state) {
    enum { COUNT = 3000 };
    struct neap_arena *arena = arena_of(state);
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) fill(blocks[i] = obtain(arena, 100), 100, i);
    for (unsigned i = 0; i < COUNT; i++)
        if (i % 10 != 0) give_back(arena, blocks[i], 100);
    size_t held = neap_arena_held(arena);
    for (unsigned i = 0; i < 200; i++) fill(obtain(arena, 880), 880, i);
    assert_true(neap_arena_held(arena) <= held + 100 * 880 || neap_arena_held(arena) == neap_arena_used(arena));
    for (unsigned i = 0; i < COUNT; i += 10) assert_true(is_filled(blocks[i], 100, i));
}

static void trimming_gives_back_what_is_not_used(void **state) {
    enum { COUNT = 20000 };
    struct neap_arena *arena = arena_of(state);
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) fill(blocks[i] = obtain(arena, 300), 300, i);
    for (unsigned i = 20; i < COUNT; i++) give_back(arena, blocks[i], 300);
    neap_arena_trim(arena);
    assert_true(neap_arena_held(arena) < COUNT * 300 / 10);
    for (unsigned i = 0; i < 20; i++) assert_true(is_filled(blocks[i], 300, i));
    for (unsigned i = 20; i < COUNT; i++) fill(blocks[i] = obtain(arena, 300), 300, i);
    for (unsigned i = 0; i < COUNT; i++) assert_true(is_filled(blocks[i], 300, i));
}

static void trimming_in_vain_does_not_prevent_it_later(void **state) {
    enum { COUNT = 20000 };
    struct neap_arena *arena = arena_of(state);
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) fill(blocks[i] = obtain(arena, 300), 300, i);
    for (unsigned i = 0; i < COUNT; i++)
        if (i % 3 != 0) give_back(arena, blocks[i], 300);
    neap_arena_trim(arena);
    neap_arena_trim(arena);
    for (unsigned i = 0; i < COUNT; i += 3) {
        assert_true(is_filled(blocks[i], 300, i));
        if (i > 0) give_back(arena, blocks[i], 300);
    }
    neap_arena_trim(arena);
    assert_true(neap_arena_held(arena) < COUNT * 300 / 10);
    assert_true(is_filled(blocks[0], 300, 0));
}

static void trimming_without_memory_changes_nothing(void **state) {
    enum { COUNT = 20000 };
    struct neap_arena *arena = arena_of(state);
    static void *blocks[COUNT];
    for (unsigned i = 0; i < COUNT; i++) fill(blocks[i] = obtain(arena, 300), 300, i);
    for (unsigned i = 20; i < COUNT; i++) give_back(arena, blocks[i], 300);
    size_t held = neap_arena_held(arena);
    neap_memory_fail_after(0);
    neap_arena_trim(arena);
    neap_memory_fail_after(-1);
    assert_int_equal(neap_arena_held(arena), held);
    for (unsigned i = 20; i < COUNT; i++) fill(blocks[i] = obtain(arena, 300), 300, i);
    for (unsigned i = 0; i < COUNT; i++) assert_true(is_filled(blocks[i], 300, i));
}

static void freeing_an_arena_frees_what_was_not_given_back(void **state) {
    (void)state; /* tear_down compares the live blocks */
    struct neap_arena *arena = arena_of(state);
    for (int i = 0; i < 1000; i++) assert_non_null(obtain(arena, sizes[i % SIZES]));
    void *block = obtain(arena, 30000);
    for (size_t size = 2000; size > 0; size /= 2) exhaust(arena, size);
    neap_memory_fail_after(0);
    assert_non_null(neap_arena_alloc(arena, block, 30000, 30));
}

/* --- anything, at random, against a record of what every block must hold --- */

struct record {
    void *block;
    size_t size;
    unsigned seed;
};

static uint32_t random_state;

static uint32_t random_below(uint32_t bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % bound;
}

static size_t random_size(void) {
    switch (random_below(8)) {
        case 0: return 1 + random_below(random_below(4) == 0 ? 80000 : 20000);
        case 1: return 1 + random_below(3000);
        default: return 1 + random_below(300);
    }
}

/* One step with one record; some allocations fail. */
static void step(struct neap_arena *arena, struct record *record) {
    assert_true(is_filled(record->block, record->size, record->seed));
    size_t size = random_below(3) == 0 ? 0 : random_size();
    if (size == 0 && record->block == NULL) return;
    neap_memory_fail_after(random_below(4) == 0 ? (long)random_below(2) : -1);
    void *block = neap_arena_alloc(arena, record->block, record->size, size);
    if (block == NULL && size > 0) {
        assert_true(size > record->size);
        assert_true(is_filled(record->block, record->size, record->seed));
        return;
    }
    assert_true(is_filled(block, size < record->size ? size : record->size, record->seed));
    record->block = block;
    record->size = size;
    record->seed = random_state;
    fill(block, size, record->seed);
}

static void any_order_of_calls_keeps_every_block_whole(void **state) {
    enum { RECORDS = 600, STEPS = 60000 };
    static struct record records[RECORDS];
    struct neap_arena *arena = arena_of(state);
    const char *given = getenv("NEAP_SEED");
    random_state = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : 20240229u;
    if (random_state == 0) random_state = 1;
    print_message("seed: NEAP_SEED=%u\n", (unsigned)random_state);
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t wave = i / 5000 % 2 == 0 ? RECORDS : RECORDS / 8; /* how many take part goes up and down */
        step(arena, &records[random_below(wave)]);
        if (random_below(2000) == 0) neap_arena_trim(arena);
    }
    size_t used = 0;
    for (size_t i = 0; i < RECORDS; i++) used += records[i].size;
    assert_int_equal(neap_arena_used(arena), used);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_true(is_filled(records[i].block, records[i].size, records[i].seed));
        if (records[i].block != NULL) give_back(arena, records[i].block, records[i].size);
    }
    assert_int_equal(neap_arena_used(arena), 0);
    neap_memory_fail_after(-1);
    neap_arena_trim(arena);
    assert_true(neap_arena_held(arena) < 64 * 1024); /* of some 800 KB */
}

#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_ARENA(a_new_block_may_come_with_any_old_size),
        WITH_ARENA(blocks_are_aligned_and_apart),
        WITH_ARENA(a_block_keeps_its_content_when_it_is_resized),
        WITH_ARENA(used_counts_what_was_asked_for),
        WITH_ARENA(a_size_that_cannot_be_is_refused),
        WITH_ARENA(growing_beyond_the_limit_fails_and_changes_nothing),
        WITH_ARENA(the_limit_counts_growing_within_a_class),
        WITH_ARENA(a_limit_below_what_is_used_lets_blocks_shrink),
        WITH_ARENA(limit_zero_is_no_limit),
        WITH_ARENA(an_arena_that_cannot_be_made_is_null),
        WITH_ARENA(growing_without_memory_fails_and_changes_nothing),
        WITH_ARENA(shrinking_succeeds_without_memory),
        WITH_ARENA(a_block_that_grows_on_and_on_keeps_its_content),
        WITH_ARENA(growing_on_without_memory_fails_and_changes_nothing),
        WITH_ARENA(what_has_grown_shrinks_without_memory),
        WITH_ARENA(what_shrinking_left_over_is_used_again),
        WITH_ARENA(a_block_that_shrank_without_memory_goes_back_in_the_end),
        WITH_ARENA(blocks_given_back_serve_the_next_ones),
        WITH_ARENA(memory_of_one_size_serves_another_size_later),
        WITH_ARENA(survivors_stay_whole_while_memory_changes_hands),
        WITH_ARENA(trimming_gives_back_what_is_not_used),
        WITH_ARENA(trimming_in_vain_does_not_prevent_it_later),
        WITH_ARENA(trimming_without_memory_changes_nothing),
        WITH_ARENA(freeing_an_arena_frees_what_was_not_given_back),
        WITH_ARENA(any_order_of_calls_keeps_every_block_whole),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
