#include "core/histogram.h"

#include <string.h>

void neap_histogram_init(struct neap_histogram *histogram) { memset(histogram, 0, sizeof *histogram); }

/* Durations below 8 ns have a bucket each; from there on the three bits below the highest one tell the step. */
static unsigned bucket_of(uint64_t duration) {
    if (duration < NEAP_HISTOGRAM_STEPS) return (unsigned)duration;
    unsigned shift = 60 - (unsigned)__builtin_clzll(duration);
    return (shift + 1) * NEAP_HISTOGRAM_STEPS + (unsigned)(duration >> shift) - NEAP_HISTOGRAM_STEPS;
}

/* The greatest duration of a bucket. */
static int64_t end_of(unsigned bucket) {
    if (bucket < NEAP_HISTOGRAM_STEPS) return bucket;
    unsigned shift = bucket / NEAP_HISTOGRAM_STEPS - 1;
    uint64_t step = bucket % NEAP_HISTOGRAM_STEPS + NEAP_HISTOGRAM_STEPS;
    return (int64_t)(((step + 1) << shift) - 1);
}

void neap_histogram_record(struct neap_histogram *histogram, int64_t duration_ns) {
    if (duration_ns < 0) duration_ns = 0;
    histogram->count++;
    if (duration_ns > histogram->most) histogram->most = duration_ns;
    histogram->buckets[bucket_of((uint64_t)duration_ns)]++;
}

int64_t neap_histogram_percentile(const struct neap_histogram *histogram, double share) {
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < NEAP_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) return end_of(i) < histogram->most ? end_of(i) : histogram->most;
    }
    return histogram->most;
}
