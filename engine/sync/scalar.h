/* scalar: the types of shared values and of the elements of shared arrays, and what can be done to one in memory.
 *
 * VALUES     An integer or a boolean (0 or 1) is an int64_t, whatever its type; the others are doubles. u64 holds what
 *            an int64_t can say, 0 to 2^63 - 1, so that no value has two readings.
 * ATOMIC     Each operation on memory is one, in an order that all threads and processes agree on. It works on the
 *            bits: an operation that computes is repeated until nothing has changed in between.
 * MEMORY     `at` is aligned to the type's size, and used by these functions alone. */
#ifndef NEAP_SYNC_SCALAR_H
#define NEAP_SYNC_SCALAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum neap_type {
    NEAP_I8,
    NEAP_I16,
    NEAP_I32,
    NEAP_I64,
    NEAP_U8,
    NEAP_U16,
    NEAP_U32,
    NEAP_U64,
    NEAP_BOOL,
    NEAP_F32,
    NEAP_F64,
    NEAP_TYPE_COUNT
};

/* Constants of each type. */
struct neap_type_facts {
    const char *name; /* what scripts call it */
    size_t size;      /* bytes, and their alignment */
    int64_t min, max; /* of those that are integers */
};
extern const struct neap_type_facts neap_types[NEAP_TYPE_COUNT];

union neap_scalar {
    int64_t integer;
    double number;
};

static inline bool neap_type_is_float(enum neap_type type) { return type >= NEAP_F32; }

/* Makes the value one of the type: rounds to f32. NEAP_RANGE: it is too large or too small. */
int neap_scalar_fit(enum neap_type type, union neap_scalar *value);

/* Values given to these fit their type. */
union neap_scalar neap_scalar_load(enum neap_type type, const void *at);
void neap_scalar_store(enum neap_type type, void *at, union neap_scalar value);
/* Is it `old` (as numbers: 0.0 is -0.0, NaN is NaN)? Then it becomes `new`. */
bool neap_scalar_swap(enum neap_type type, void *at, union neap_scalar old, union neap_scalar new);
/* Adds `by`, which need not fit; not for booleans. NEAP_RANGE, and nothing has changed: the sum does not fit;
 * of finite numbers it is finite. */
int neap_scalar_add(enum neap_type type, void *at, union neap_scalar by, union neap_scalar *sum);

/* --- the widest integers, which are their bits --- */

static inline bool neap_type_is_wide(enum neap_type type) { return type == NEAP_I64 || type == NEAP_U64; }

/* As neap_scalar_add; false: the sum does not fit. */
static inline bool neap_scalar_add_wide(enum neap_type type, void *at, int64_t by, int64_t *sum) {
    _Atomic int64_t *cell = at;
    int64_t before = atomic_load(cell);
    do {
        if (__builtin_add_overflow(before, by, sum) || (type == NEAP_U64 && *sum < 0)) return false;
    } while (!atomic_compare_exchange_weak(cell, &before, *sum));
    return true;
}

/* What is `at` is going to be changed in a moment: by then it may have come from the processor that changed it last. To
 * read it first and then to change it would have it come twice. */
static inline void neap_scalar_expect(const void *at) {
#if defined(__x86_64__)
    __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)at)); /* __builtin_prefetch would only read */
#else
    __builtin_prefetch(at, 1);
#endif
}

#endif
