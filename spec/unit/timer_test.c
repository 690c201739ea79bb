#include "support.h"

#include "core/timer.h"

enum { MANY = 500 };

static struct neap_timers timers;
static struct neap_wait waits[MANY];
static int64_t deadlines[MANY];

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    neap_timers_init(&timers);
    for (int i = 0; i < MANY; i++) neap_wait_init(&waits[i], &here, NULL, NULL);
    return 0;
}

static int drop(void **state) {
    neap_timers_fini(&timers);
    return tear_down(state);
}

static void add(int i, int64_t deadline) {
    deadlines[i] = deadline;
    assert_int_equal(neap_timers_add(&timers, &waits[i], deadline), 0);
}

/* Every wait that is in knows its place. */
static void assert_places(uint32_t count) {
    assert_int_equal(timers.count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(timers.heap[i].wait->timer, i);
        assert_int_equal(timers.heap[i].deadline, deadlines[timers.heap[i].wait - waits]);
    }
}

static void the_nearest_comes_first(void **state) {
    (void)state;
    assert_int_equal(neap_timers_next(&timers), NEAP_FOREVER);
    for (int i = 0; i < MANY; i++) add(i, chance(1000));
    assert_places(MANY);
    int64_t last = -1;
    for (int i = 0; i < MANY; i++) {
        int64_t next = neap_timers_next(&timers);
        assert_true(next >= last);
        struct neap_wait *wait = neap_timers_pop(&timers, 1000);
        assert_int_equal(deadlines[wait - waits], next);
        assert_int_equal(wait->timer, NEAP_NO_TIMER);
        last = next;
    }
    assert_null(neap_timers_pop(&timers, INT64_MAX - 1));
}

static void none_comes_before_its_time(void **state) {
    (void)state;
    add(0, 100);
    assert_null(neap_timers_pop(&timers, 99));
    assert_ptr_equal(neap_timers_pop(&timers, 100), &waits[0]);
}

static void any_can_be_taken_out(void **state) {
    (void)state;
    bool in[MANY] = {false};
    uint32_t count = 0;
    for (int step = 0; step < 20 * MANY; step++) {
        int i = (int)chance(MANY);
        if (in[i]) {
            neap_timers_remove(&timers, &waits[i]);
            assert_int_equal(waits[i].timer, NEAP_NO_TIMER);
        } else {
            add(i, chance(50));
        }
        in[i] = !in[i];
        count = in[i] ? count + 1 : count - 1;
        if (step % 100 == 0) assert_places(count);
    }
    for (int64_t last = 0; count > 0; count--) {
        struct neap_wait *wait = neap_timers_pop(&timers, 50);
        assert_true(deadlines[wait - waits] >= last);
        last = deadlines[wait - waits];
    }
}

static void out_of_memory_leaves_all_as_it_was(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_int_equal(neap_timers_add(&timers, &waits[0], 5), NEAP_NOMEM);
    assert_int_equal(waits[0].timer, NEAP_NO_TIMER);
    uint32_t count = 0;
    do add((int)count, count + 1);
    while (++count < timers.capacity);
    neap_memory_fail_after(0);
    assert_int_equal(neap_timers_add(&timers, &waits[count], 0), NEAP_NOMEM);
    assert_places(count);
    while (neap_timers_pop(&timers, MANY) != NULL) count--;
    assert_int_equal(count, 0);
}

#define TIMER_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest timer_tests[] = {
        TIMER_TEST(the_nearest_comes_first),
        TIMER_TEST(none_comes_before_its_time),
        TIMER_TEST(any_can_be_taken_out),
        TIMER_TEST(out_of_memory_leaves_all_as_it_was),
    };
    return run_once(timer_tests);
}
