/* The two clocks of the yardsticks, in seconds. */
#ifndef BENCH_TIMING_H
#define BENCH_TIMING_H

#include <time.h>

static inline double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Real time, for what threads do to each other. */
static inline double real_time(void) { return seconds_of(CLOCK_MONOTONIC); }

/* Processor time of the whole process, for what one thread does. */
static inline double processor_time(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

#endif
