#include "support.h"

#include "core/histogram.h"

static struct neap_histogram histogram;

static void tells_0_of_nothing(void **state) {
    (void)state;
    neap_histogram_init(&histogram);
    assert_int_equal(neap_histogram_percentile(&histogram, 0.5), 0);
    assert_int_equal(histogram.most, 0);
}

static void tells_one_duration_exactly(void **state) {
    (void)state;
    neap_histogram_init(&histogram);
    neap_histogram_record(&histogram, 123456789);
    for (int i = 0; i <= 10; i++) assert_int_equal(neap_histogram_percentile(&histogram, i / 10.0), 123456789);
}

static void tells_percentiles_to_within_an_eighth(void **state) {
    (void)state;
    neap_histogram_init(&histogram);
    for (int64_t i = 1; i <= 10000; i++) neap_histogram_record(&histogram, i * 1000);
    for (int percent = 1; percent <= 100; percent++) {
        int64_t exact = percent * INT64_C(100000), told = neap_histogram_percentile(&histogram, percent / 100.0);
        assert_true(told >= exact);
        assert_true(told <= exact + exact / 8);
    }
    assert_int_equal(histogram.count, 10000);
}

static void tells_small_durations_apart(void **state) {
    (void)state;
    for (int64_t i = 0; i < 16; i++) {
        neap_histogram_init(&histogram);
        neap_histogram_record(&histogram, i);
        neap_histogram_record(&histogram, 1000);
        assert_int_equal(neap_histogram_percentile(&histogram, 0.5), i);
    }
}

static void takes_any_duration(void **state) {
    (void)state;
    neap_histogram_init(&histogram);
    neap_histogram_record(&histogram, -5);
    neap_histogram_record(&histogram, INT64_MAX);
    assert_int_equal(neap_histogram_percentile(&histogram, 0.5), 0);
    assert_int_equal(neap_histogram_percentile(&histogram, 1), INT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_0_of_nothing),
        cmocka_unit_test(tells_one_duration_exactly),
        cmocka_unit_test(tells_percentiles_to_within_an_eighth),
        cmocka_unit_test(tells_small_durations_apart),
        cmocka_unit_test(takes_any_duration),
    };
    return run_once(tests);
}
