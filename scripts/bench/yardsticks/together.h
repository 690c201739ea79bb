/* What several threads take that work at the same time. */
#ifndef BENCH_TOGETHER_H
#define BENCH_TOGETHER_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "timing.h"

enum { TOGETHER_MOST = 16 };

static pthread_barrier_t together_ready;

/* A thread, and when it was at work. */
struct together {
    void (*work)(void);
    double from, to; /* real time */
    pthread_t thread;
};

static void *together_run(void *argument) {
    struct together *one = argument;
    pthread_barrier_wait(&together_ready);
    one->from = real_time();
    one->work();
    one->to = real_time();
    return NULL;
}

/* Calls `count` functions, each in a thread of its own. Seconds from the moment when the first began to the one when
 * the last had ended. A thread that only waits for the others would look at the clock late on a busy machine, so each
 * notes its own times. */
static inline double seconds_together(void (*const works[])(void), int count) {
    struct together all[TOGETHER_MOST];
    pthread_barrier_init(&together_ready, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        all[i].work = works[i];
        if (pthread_create(&all[i].thread, NULL, together_run, &all[i]) != 0) exit(1);
    }
    for (int i = 0; i < count; i++) pthread_join(all[i].thread, NULL);
    double from = all[0].from, to = all[0].to;
    for (int i = 1; i < count; i++) {
        if (all[i].from < from) from = all[i].from;
        if (all[i].to > to) to = all[i].to;
    }
    return to - from;
}

#endif
