/* clock: monotonic time in nanoseconds. A deadline is an absolute time of this clock. */
#ifndef NEAP_CORE_CLOCK_H
#define NEAP_CORE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NEAP_SECOND INT64_C(1000000000)
#define NEAP_MILLISECOND INT64_C(1000000)
#define NEAP_FOREVER INT64_MAX /* the deadline that never comes */

static inline int64_t neap_clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NEAP_SECOND + now.tv_nsec;
}

/* The deadline `seconds` from now; NEAP_FOREVER for what lies beyond the clock. `seconds` is not negative, not NaN. */
static inline int64_t neap_clock_after(double seconds) {
    if (seconds >= 9.0e9) return NEAP_FOREVER; /* 285 years: no sum below can overflow */
    return neap_clock_now() + (int64_t)(seconds * (double)NEAP_SECOND);
}

#endif
