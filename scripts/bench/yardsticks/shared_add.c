/* Seconds for an atomic addition when two threads do it to one counter. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "timing.h"

enum { COUNT = 50000000 };

static pthread_barrier_t ready;
static atomic_long counter;

static void *count(void *argument) {
    struct span *span = argument;
    pthread_barrier_wait(&ready);
    span->from = real_time();
    for (int i = 0; i < COUNT; i++) atomic_fetch_add(&counter, 1);
    span->to = real_time();
    return NULL;
}

int main(void) {
    pthread_t threads[2];
    struct span spans[2];
    pthread_barrier_init(&ready, NULL, 2);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, count, &spans[i]) != 0) return 1;
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    printf("%.9g\n", seconds_of_all(spans, 2) / (double)counter);
    return 0;
}
