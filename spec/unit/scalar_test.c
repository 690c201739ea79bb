#include "support.h"

#include <float.h>
#include <math.h>

#include "sync/scalar.h"

static union neap_scalar whole(int64_t integer) { return (union neap_scalar){.integer = integer}; }

static union neap_scalar real(double number) { return (union neap_scalar){.number = number}; }

/* A place that holds `value`, with neighbours that must stay as they are. */
static struct {
    unsigned char before[8];
    unsigned char at[8];
    unsigned char after[8];
} memory;

static void *place(enum neap_type type, union neap_scalar value) {
    for (int i = 0; i < 8; i++) memory.before[i] = memory.at[i] = memory.after[i] = 0x5a;
    neap_scalar_store(type, memory.at, value);
    return memory.at;
}

static void check_neighbours(enum neap_type type) {
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(memory.before[i], 0x5a);
        assert_int_equal(memory.after[i], 0x5a);
        if (i >= neap_types[type].size) assert_int_equal(memory.at[i], 0x5a);
    }
}

#define each_integer(type) (enum neap_type type = NEAP_I8; type < NEAP_F32; type = (enum neap_type)(type + 1))

static void a_stored_value_is_loaded_again(void **state) {
    (void)state;
    for
        each_integer(type) {
            const int64_t values[] = {neap_types[type].min, neap_types[type].max, 0, 1};
            for (int i = 0; i < 4; i++) {
                assert_int_equal(neap_scalar_load(type, place(type, whole(values[i]))).integer, values[i]);
                check_neighbours(type);
            }
        }
    const double numbers[] = {0, -1.5, FLT_MAX, -FLT_MAX, INFINITY, -INFINITY, FLT_TRUE_MIN};
    for (int i = 0; i < 7; i++) {
        assert_true(neap_scalar_load(NEAP_F32, place(NEAP_F32, real(numbers[i]))).number == numbers[i]);
        check_neighbours(NEAP_F32);
        assert_true(neap_scalar_load(NEAP_F64, place(NEAP_F64, real(numbers[i]))).number == numbers[i]);
    }
    assert_true(isnan(neap_scalar_load(NEAP_F32, place(NEAP_F32, real(NAN))).number));
    assert_true(signbit(neap_scalar_load(NEAP_F64, place(NEAP_F64, real(-0.0))).number));
}

static void what_is_beyond_a_type_does_not_fit(void **state) {
    (void)state;
    for
        each_integer(type) {
            union neap_scalar least = whole(neap_types[type].min), most = whole(neap_types[type].max);
            assert_int_equal(neap_scalar_fit(type, &least), 0);
            assert_int_equal(neap_scalar_fit(type, &most), 0);
            if (neap_types[type].min != INT64_MIN) {
                least.integer--;
                assert_int_equal(neap_scalar_fit(type, &least), NEAP_RANGE);
            }
            if (neap_types[type].max != INT64_MAX) {
                most.integer++;
                assert_int_equal(neap_scalar_fit(type, &most), NEAP_RANGE);
            }
        }
}

static void a_number_is_rounded_to_f32(void **state) {
    (void)state;
    union neap_scalar value = real(0.1);
    assert_int_equal(neap_scalar_fit(NEAP_F32, &value), 0);
    assert_true(value.number == (double)0.1f);
    value = real((double)FLT_MAX + 0x1p102); /* nearer to FLT_MAX than to the next power */
    assert_int_equal(neap_scalar_fit(NEAP_F32, &value), 0);
    assert_true(value.number == (double)FLT_MAX);
    value = real((double)FLT_MAX + 0x1p103);
    assert_int_equal(neap_scalar_fit(NEAP_F32, &value), NEAP_RANGE);
    value = real(-DBL_MAX);
    assert_int_equal(neap_scalar_fit(NEAP_F32, &value), NEAP_RANGE);
    value = real(INFINITY);
    assert_int_equal(neap_scalar_fit(NEAP_F32, &value), 0);
    value = real(DBL_MAX);
    assert_int_equal(neap_scalar_fit(NEAP_F64, &value), 0);
}

static void a_swap_succeeds_only_from_the_old_value(void **state) {
    (void)state;
    for
        each_integer(type) {
            void *at = place(type, whole(neap_types[type].max));
            assert_false(neap_scalar_swap(type, at, whole(0), whole(1)));
            assert_int_equal(neap_scalar_load(type, at).integer, neap_types[type].max);
            assert_true(neap_scalar_swap(type, at, whole(neap_types[type].max), whole(neap_types[type].min)));
            assert_int_equal(neap_scalar_load(type, at).integer, neap_types[type].min);
            check_neighbours(type);
        }
}

static void numbers_are_swapped_as_they_are_equal(void **state) {
    (void)state;
    for (enum neap_type type = NEAP_F32; type <= NEAP_F64; type = (enum neap_type)(type + 1)) {
        void *at = place(type, real(-0.0));
        assert_true(neap_scalar_swap(type, at, real(0), real(NAN)));
        assert_false(neap_scalar_swap(type, at, real(0), real(1)));
        assert_true(neap_scalar_swap(type, at, real(-NAN), real(1)));
        assert_true(neap_scalar_load(type, at).number == 1);
    }
}

static void a_sum_that_does_not_fit_changes_nothing(void **state) {
    (void)state;
    union neap_scalar sum;
    for
        each_integer(type) {
            if (type == NEAP_BOOL) continue;
            void *at = place(type, whole(neap_types[type].max - 1));
            assert_int_equal(neap_scalar_add(type, at, whole(1), &sum), 0);
            assert_int_equal(sum.integer, neap_types[type].max);
            assert_int_equal(neap_scalar_add(type, at, whole(1), &sum), NEAP_RANGE);
            assert_int_equal(neap_scalar_add(type, at, whole(INT64_MAX), &sum), NEAP_RANGE);
            assert_int_equal(neap_scalar_load(type, at).integer, neap_types[type].max);
            at = place(type, whole(neap_types[type].min));
            assert_int_equal(neap_scalar_add(type, at, whole(-1), &sum), NEAP_RANGE);
            assert_int_equal(neap_scalar_add(type, at, whole(INT64_MIN), &sum), NEAP_RANGE);
            assert_int_equal(neap_scalar_load(type, at).integer, neap_types[type].min);
            check_neighbours(type);
        }
    void *at = place(NEAP_F64, real(DBL_MAX));
    assert_int_equal(neap_scalar_add(NEAP_F64, at, real(DBL_MAX), &sum), NEAP_RANGE);
    assert_int_equal(neap_scalar_add(NEAP_F64, at, real(INFINITY), &sum), 0);
    assert_true(isinf(sum.number));
    at = place(NEAP_F32, real(FLT_MAX));
    assert_int_equal(neap_scalar_add(NEAP_F32, at, real(FLT_MAX), &sum), NEAP_RANGE);
    assert_true(neap_scalar_load(NEAP_F32, at).number == (double)FLT_MAX);
}

static void a_step_need_not_fit_the_type(void **state) {
    (void)state;
    union neap_scalar sum;
    assert_int_equal(neap_scalar_add(NEAP_I8, place(NEAP_I8, whole(-100)), whole(200), &sum), 0);
    assert_int_equal(sum.integer, 100);
    assert_int_equal(neap_scalar_add(NEAP_U8, place(NEAP_U8, whole(5)), whole(-5), &sum), 0);
    assert_int_equal(sum.integer, 0);
}

/* --- many threads --- */

enum { THREADS = 4 };

struct crowd {
    enum neap_type type;
    int rounds;
};

static _Alignas(8) unsigned char common[8];

static void add_and_take_back(void *argument) {
    const struct crowd *crowd = argument;
    bool is_float = neap_type_is_float(crowd->type);
    union neap_scalar one = is_float ? real(1) : whole(1), sum;
    for (int i = 0; i < crowd->rounds; i++) CHECK(neap_scalar_add(crowd->type, common, one, &sum) == 0);
    for (int i = 0; i < crowd->rounds / 2; i++) {
        union neap_scalar old, new;
        do {
            old = new = neap_scalar_load(crowd->type, common);
            if (is_float)
                new.number--;
            else
                new.integer--;
        } while (!neap_scalar_swap(crowd->type, common, old, new));
    }
}

static void many_threads_lose_nothing(void **state) {
    (void)state;
    for (int type = 0; type < NEAP_TYPE_COUNT; type++) {
        if (type == NEAP_BOOL) continue;
        struct crowd crowd = {(enum neap_type)type, type == NEAP_I8 || type == NEAP_U8 ? 20 : repeated(1000)};
        struct helper helpers[THREADS];
        bool is_float = neap_type_is_float(crowd.type);
        if (!is_float && crowd.rounds * THREADS > neap_types[type].max) crowd.rounds = (int)neap_types[type].max / 8;
        neap_scalar_store(crowd.type, common, is_float ? real(0) : whole(0));
        for (int i = 0; i < THREADS; i++) helper_start(&helpers[i], add_and_take_back, &crowd);
        for (int i = 0; i < THREADS; i++) helper_join(&helpers[i]);
        union neap_scalar end = neap_scalar_load(crowd.type, common);
        assert_int_equal(is_float ? (int64_t)end.number : end.integer, THREADS * (crowd.rounds - crowd.rounds / 2));
    }
}

int main(void) {
    const struct CMUnitTest scalar_tests[] = {
        TEST(a_stored_value_is_loaded_again),
        TEST(what_is_beyond_a_type_does_not_fit),
        TEST(a_number_is_rounded_to_f32),
        TEST(a_swap_succeeds_only_from_the_old_value),
        TEST(numbers_are_swapped_as_they_are_equal),
        TEST(a_sum_that_does_not_fit_changes_nothing),
        TEST(a_step_need_not_fit_the_type),
        TEST(many_threads_lose_nothing),
    };
    return run_once(scalar_tests);
}
