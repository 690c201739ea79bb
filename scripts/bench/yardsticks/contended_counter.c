/* Seconds for lock, add, unlock when two threads do it on one counter. */
#include <pthread.h>
#include <stdio.h>

#include "together.h"

enum { COUNT = 10000000 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile long counter; /* under mutex */

static void count(void) {
    for (int i = 0; i < COUNT; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
}

int main(void) {
    double seconds = seconds_together((void (*const[])(void)){count, count}, 2);
    printf("%.9g\n", seconds / (double)counter);
    return 0;
}
