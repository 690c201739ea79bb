/* Round trips a second of two threads that hand one small value to and fro. Each direction is a slot of its own with a
 * mutex and a condition variable. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "timing.h"

enum { COUNT = 20000, WARM_UP = 1000 };

struct slot {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool full; /* whether value waits to be taken; under mutex */
    int value; /* under mutex */
};

static struct slot there = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static struct slot back = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void put(struct slot *slot, int value) {
    pthread_mutex_lock(&slot->mutex);
    while (slot->full) pthread_cond_wait(&slot->changed, &slot->mutex);
    slot->value = value;
    slot->full = true;
    pthread_cond_signal(&slot->changed);
    pthread_mutex_unlock(&slot->mutex);
}

static int take(struct slot *slot) {
    pthread_mutex_lock(&slot->mutex);
    while (!slot->full) pthread_cond_wait(&slot->changed, &slot->mutex);
    int value = slot->value;
    slot->full = false;
    pthread_cond_signal(&slot->changed);
    pthread_mutex_unlock(&slot->mutex);
    return value;
}

static void *echo(void *unused) {
    (void)unused;
    for (int i = 0; i < WARM_UP + COUNT; i++) put(&back, take(&there));
    return NULL;
}

static void travel(int count) {
    for (int i = 0; i < count; i++) {
        put(&there, i);
        take(&back);
    }
}

int main(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, echo, NULL) != 0) return 1;
    travel(WARM_UP);
    double start = real_time();
    travel(COUNT);
    printf("%.9g\n", COUNT / (real_time() - start));
    pthread_join(thread, NULL);
    return 0;
}
