/* Small integers a second through a ring of 1024 with one mutex and two condition variables; the argument says how many
 * threads put and how many take. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "together.h"

enum { CAPACITY = 1024, COUNT = 10000000 };

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

static int64_t share; /* items that each puts or takes; constant */

static void put_all(void) {
    for (int64_t i = 0; i < share; i++) put(i);
}

static void take_all(void) {
    for (int64_t i = 0; i < share; i++) take();
}

int main(int argc, char **argv) {
    int sides = argc > 1 ? atoi(argv[1]) : 1;
    if (sides < 1 || sides > TOGETHER_MOST / 2) return 2;
    void (*works[TOGETHER_MOST])(void);
    share = COUNT / sides;
    for (int i = 0; i < 2 * sides; i++) works[i] = i < sides ? put_all : take_all;
    printf("%.9g\n", (double)(share * sides) / seconds_together(works, 2 * sides));
    return 0;
}
