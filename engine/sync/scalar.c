#include "sync/scalar.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "core/error.h"

const struct neap_type_facts neap_types[NEAP_TYPE_COUNT] = {
    [NEAP_I8] = {"i8", 1, INT8_MIN, INT8_MAX},
    [NEAP_I16] = {"i16", 2, INT16_MIN, INT16_MAX},
    [NEAP_I32] = {"i32", 4, INT32_MIN, INT32_MAX},
    [NEAP_I64] = {"i64", 8, INT64_MIN, INT64_MAX},
    [NEAP_U8] = {"u8", 1, 0, UINT8_MAX},
    [NEAP_U16] = {"u16", 2, 0, UINT16_MAX},
    [NEAP_U32] = {"u32", 4, 0, UINT32_MAX},
    [NEAP_U64] = {"u64", 8, 0, INT64_MAX},
    [NEAP_BOOL] = {"bool", 1, 0, 1},
    [NEAP_F32] = {"f32", 4, 0, 0},
    [NEAP_F64] = {"f64", 8, 0, 0},
};

/* --- bits --- */

typedef _Atomic uint8_t cell8;
typedef _Atomic uint16_t cell16;
typedef _Atomic uint32_t cell32;
typedef _Atomic uint64_t cell64;

_Static_assert(sizeof(cell8) == 1 && sizeof(cell16) == 2 && sizeof(cell32) == 4 && sizeof(cell64) == 8,
               "an atomic is its bits, without a lock beside them that another process would not see");

static uint64_t load_bits(size_t size, const void *at) {
    switch (size) {
        case 1: return atomic_load((const cell8 *)at);
        case 2: return atomic_load((const cell16 *)at);
        case 4: return atomic_load((const cell32 *)at);
        default: return atomic_load((const cell64 *)at);
    }
}

static void store_bits(size_t size, void *at, uint64_t bits) {
    switch (size) {
        case 1: atomic_store((cell8 *)at, (uint8_t)bits); break;
        case 2: atomic_store((cell16 *)at, (uint16_t)bits); break;
        case 4: atomic_store((cell32 *)at, (uint32_t)bits); break;
        default: atomic_store((cell64 *)at, bits); break;
    }
}

/* False: `*expected` is what was there instead. */
static bool swap_bits(size_t size, void *at, uint64_t *expected, uint64_t bits) {
    uint8_t e8 = (uint8_t)*expected;
    uint16_t e16 = (uint16_t)*expected;
    uint32_t e32 = (uint32_t)*expected;
    bool swapped;
    switch (size) {
        case 1:
            swapped = atomic_compare_exchange_strong((cell8 *)at, &e8, (uint8_t)bits);
            *expected = e8;
            return swapped;
        case 2:
            swapped = atomic_compare_exchange_strong((cell16 *)at, &e16, (uint16_t)bits);
            *expected = e16;
            return swapped;
        case 4:
            swapped = atomic_compare_exchange_strong((cell32 *)at, &e32, (uint32_t)bits);
            *expected = e32;
            return swapped;
        default: return atomic_compare_exchange_strong((cell64 *)at, expected, bits);
    }
}

static uint64_t to_bits(enum neap_type type, union neap_scalar value) {
    if (type == NEAP_F32) {
        float narrow = (float)value.number;
        uint32_t bits;
        memcpy(&bits, &narrow, sizeof bits);
        return bits;
    }
    return (uint64_t)value.integer; /* a double's bits are its bits; of a short integer the low ones are stored */
}

static union neap_scalar from_bits(enum neap_type type, uint64_t bits) {
    union neap_scalar value;
    if (type == NEAP_F32) {
        uint32_t low = (uint32_t)bits;
        float narrow;
        memcpy(&narrow, &low, sizeof narrow);
        value.number = narrow;
    } else if (neap_types[type].min < 0) { /* its sign is to be that of an int64_t */
        int unused = 64 - 8 * (int)neap_types[type].size;
        value.integer = (int64_t)(bits << unused) >> unused;
    } else {
        value.integer = (int64_t)bits;
    }
    return value;
}

/* --- values --- */

int neap_scalar_fit(enum neap_type type, union neap_scalar *value) {
    if (type == NEAP_F64) return 0;
    if (type != NEAP_F32)
        return value->integer < neap_types[type].min || value->integer > neap_types[type].max ? NEAP_RANGE : 0;
    /* what is nearer to 2^128 than to FLT_MAX would become infinite */
    if (isfinite(value->number) && fabs(value->number) >= (double)FLT_MAX + 0x1p103) return NEAP_RANGE;
    value->number = (double)(float)value->number;
    return 0;
}

union neap_scalar neap_scalar_load(enum neap_type type, const void *at) {
    return from_bits(type, load_bits(neap_types[type].size, at));
}

void neap_scalar_store(enum neap_type type, void *at, union neap_scalar value) {
    store_bits(neap_types[type].size, at, to_bits(type, value));
}

static bool are_equal(enum neap_type type, union neap_scalar one, union neap_scalar other) {
    if (!neap_type_is_float(type)) return one.integer == other.integer;
    return one.number == other.number || (isnan(one.number) && isnan(other.number));
}

bool neap_scalar_swap(enum neap_type type, void *at, union neap_scalar old, union neap_scalar new) {
    size_t size = neap_types[type].size;
    uint64_t bits = load_bits(size, at);
    while (are_equal(type, from_bits(type, bits), old))
        if (swap_bits(size, at, &bits, to_bits(type, new))) return true;
    return false;
}

/* The sum of two values, if the type has it. */
static int add(enum neap_type type, union neap_scalar one, union neap_scalar other, union neap_scalar *sum) {
    if (!neap_type_is_float(type))
        return __builtin_add_overflow(one.integer, other.integer, &sum->integer) ? NEAP_RANGE
                                                                                 : neap_scalar_fit(type, sum);
    sum->number = one.number + other.number;
    if (isinf(sum->number) && isfinite(one.number) && isfinite(other.number)) return NEAP_RANGE;
    return neap_scalar_fit(type, sum);
}

int neap_scalar_add(enum neap_type type, void *at, union neap_scalar by, union neap_scalar *sum) {
    int64_t wide;
    if (neap_type_is_wide(type)) {
        if (!neap_scalar_add_wide(type, at, by.integer, &wide)) return NEAP_RANGE;
        sum->integer = wide;
        return 0;
    }
    size_t size = neap_types[type].size;
    uint64_t bits = load_bits(size, at);
    for (;;) {
        union neap_scalar made;
        int code = add(type, from_bits(type, bits), by, &made);
        if (code < 0) return code;
        if (!swap_bits(size, at, &bits, to_bits(type, made))) continue;
        *sum = made;
        return 0;
    }
}
