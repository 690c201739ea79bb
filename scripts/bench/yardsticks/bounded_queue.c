/* Small integers a second through a ring of 1024 with one mutex and two condition variables; the argument says how many
 * threads put and how many take. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "timing.h"

enum { CAPACITY = 1024, COUNT = 10000000, MOST = 8 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    pthread_cond_t not_full;
    int64_t items[CAPACITY]; /* under mutex */
    size_t first;            /* index of the oldest item; under mutex */
    size_t used;             /* how many items there are; under mutex */
} queue = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .not_empty = PTHREAD_COND_INITIALIZER,
    .not_full = PTHREAD_COND_INITIALIZER,
};

static pthread_barrier_t ready;

static void put(int64_t item) {
    pthread_mutex_lock(&queue.mutex);
    while (queue.used == CAPACITY) pthread_cond_wait(&queue.not_full, &queue.mutex);
    queue.items[(queue.first + queue.used) % CAPACITY] = item;
    queue.used++;
    pthread_cond_signal(&queue.not_empty);
    pthread_mutex_unlock(&queue.mutex);
}

static int64_t take(void) {
    pthread_mutex_lock(&queue.mutex);
    while (queue.used == 0) pthread_cond_wait(&queue.not_empty, &queue.mutex);
    int64_t item = queue.items[queue.first];
    queue.first = (queue.first + 1) % CAPACITY;
    queue.used--;
    pthread_cond_signal(&queue.not_full);
    pthread_mutex_unlock(&queue.mutex);
    return item;
}

struct worker {
    int64_t share; /* items to put or take */
    struct span span;
};

static void *put_all(void *argument) {
    struct worker *worker = argument;
    pthread_barrier_wait(&ready);
    worker->span.from = real_time();
    for (int64_t i = 0; i < worker->share; i++) put(i);
    worker->span.to = real_time();
    return NULL;
}

static void *take_all(void *argument) {
    struct worker *worker = argument;
    pthread_barrier_wait(&ready);
    worker->span.from = real_time();
    for (int64_t i = 0; i < worker->share; i++) take();
    worker->span.to = real_time();
    return NULL;
}

int main(int argc, char **argv) {
    int sides = argc > 1 ? atoi(argv[1]) : 1, count = 2 * sides;
    if (sides < 1 || sides > MOST) return 2;
    pthread_t threads[2 * MOST];
    struct worker workers[2 * MOST];
    struct span spans[2 * MOST] = {{0}};
    pthread_barrier_init(&ready, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        workers[i].share = COUNT / sides;
        if (pthread_create(&threads[i], NULL, i < sides ? put_all : take_all, &workers[i]) != 0) return 1;
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        spans[i] = workers[i].span;
    }
    printf("%.9g\n", (double)(COUNT / sides * sides) / seconds_of_all(spans, count));
    return 0;
}
