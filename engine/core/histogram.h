/* histogram: how durations are distributed, in constant space. Not thread-safe: under its owner's guard.
 *
 * MODEL   Each power of two of nanoseconds has eight steps, so that a percentile is told to within an eighth. */
#ifndef NEAP_CORE_HISTOGRAM_H
#define NEAP_CORE_HISTOGRAM_H

#include <stdint.h>

enum { NEAP_HISTOGRAM_STEPS = 8, NEAP_HISTOGRAM_BUCKETS = 62 * NEAP_HISTOGRAM_STEPS };

struct neap_histogram {
    uint64_t count;                           /* of all that was recorded */
    int64_t most;                             /* the longest, in nanoseconds; 0: none */
    uint64_t buckets[NEAP_HISTOGRAM_BUCKETS]; /* how many fell into each */
};

void neap_histogram_init(struct neap_histogram *histogram);
/* A negative duration counts as 0. */
void neap_histogram_record(struct neap_histogram *histogram, int64_t duration_ns);
/* The duration, in nanoseconds, that `share` (0 to 1) of all did not exceed; never more than the
 * longest. 0 when nothing was recorded. */
int64_t neap_histogram_percentile(const struct neap_histogram *histogram, double share);

#endif
