#include "support.h"

#include <poll.h>

#include "core/alarm.h"

static struct neap_alarms alarms;

/* What rings, in this order. */
struct sound {
    struct neap_alarm alarm;
    int number, again; /* how often it sets itself again */
};

static int heard[8], heard_count;

static void hear_it(struct neap_alarm *alarm) {
    struct sound *sound = NEAP_CONTAINER_OF(alarm, struct sound, alarm);
    heard[heard_count++] = sound->number;
    if (sound->again-- > 0) assert_true(neap_alarms_set(&alarms, alarm, neap_clock_now()));
}

static struct sound sound_of(int number) { return (struct sound){.number = number}; }

static void set(struct sound *sound, int64_t at) {
    neap_alarm_init(&sound->alarm, hear_it);
    assert_true(neap_alarms_set(&alarms, &sound->alarm, at));
}

static int make(void **state) {
    heard_count = 0;
    neap_alarms_init(&alarms);
    return set_up(state);
}

static int drop(void **state) {
    neap_alarms_fini(&alarms);
    return tear_down(state);
}

static bool is_audible(int timeout_ms) {
    struct pollfd polled = {.fd = alarms.fd, .events = POLLIN};
    return poll(&polled, 1, timeout_ms) == 1;
}

static void hear(int count) {
    while (heard_count < count) {
        assert_true(is_audible(10000));
        neap_alarms_ring(&alarms);
    }
}

static void they_ring_in_the_order_of_time(void **state) {
    struct sound first = sound_of(1), second = sound_of(2), third = sound_of(3);
    (void)state;
    int64_t now = neap_clock_now();
    set(&third, now + 3 * NEAP_MILLISECOND);
    set(&first, now + NEAP_MILLISECOND);
    set(&second, now + 2 * NEAP_MILLISECOND);
    hear(3);
    assert_true(neap_clock_now() >= now + 3 * NEAP_MILLISECOND);
    for (int i = 0; i < 3; i++) assert_int_equal(heard[i], i + 1);
    assert_false(is_audible(0));
}

static void none_rings_early(void **state) {
    struct sound late = sound_of(1), soon_due = sound_of(2);
    (void)state;
    set(&late, neap_clock_now() + 1000 * NEAP_SECOND);
    set(&soon_due, neap_clock_now());
    hear(1);
    assert_int_equal(heard[0], 2);
    neap_alarms_ring(&alarms);
    assert_int_equal(heard_count, 1);
    assert_false(is_audible(0));
    neap_alarms_end(&alarms);
}

static void one_may_be_set_again_while_it_rings(void **state) {
    struct sound sound = sound_of(7);
    (void)state;
    sound.again = 2;
    set(&sound, neap_clock_now());
    hear(3);
}

static void those_that_wait_at_the_end_ring_then(void **state) {
    struct sound sound = sound_of(1);
    (void)state;
    set(&sound, neap_clock_now() + 1000 * NEAP_SECOND);
    neap_alarms_end(&alarms);
    assert_int_equal(heard_count, 1);
    assert_false(neap_alarms_set(&alarms, &sound.alarm, neap_clock_now()));
    neap_alarms_end(&alarms);
    assert_int_equal(heard_count, 1);
}

#define ALARM_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest alarm_tests[] = {
        ALARM_TEST(they_ring_in_the_order_of_time),
        ALARM_TEST(none_rings_early),
        ALARM_TEST(one_may_be_set_again_while_it_rings),
        ALARM_TEST(those_that_wait_at_the_end_ring_then),
    };
    return run_once(alarm_tests);
}
