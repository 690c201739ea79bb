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

/* When a thread was at work. */
struct span {
    double from, to; /* real time */
};

/* Seconds from the moment when the first of `count` threads began to the one when the last had ended. A thread that
 * only waits for the others would look at the clock late on a busy machine, so each notes its own times. */
static inline double seconds_of_all(const struct span *spans, int count) {
    double from = spans[0].from, to = spans[0].to;
    for (int i = 1; i < count; i++) {
        if (spans[i].from < from) from = spans[i].from;
        if (spans[i].to > to) to = spans[i].to;
    }
    return to - from;
}

/* Processor time of the whole process, for what one thread does. */
static inline double processor_time(void) { return seconds_of(CLOCK_PROCESS_CPUTIME_ID); }

#endif
