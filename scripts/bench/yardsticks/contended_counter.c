/* Seconds for lock, add, unlock when two threads do it on one counter. */
#include <pthread.h>
#include <stdio.h>

#include "timing.h"

enum { COUNT = 10000000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t ready;
static volatile long counter; /* under mutex */

static void *count(void *unused) {
    pthread_barrier_wait(&ready);
    for (int i = 0; i < COUNT; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return unused;
}

int main(void) {
    pthread_t threads[2];
    pthread_barrier_init(&ready, NULL, 3);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, count, NULL) != 0) return 1;
    pthread_barrier_wait(&ready);
    double start = real_time();
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    printf("%.9g\n", (real_time() - start) / (double)counter);
    return 0;
}
