/* Seconds for pthread_create and pthread_join of a thread that does nothing. */
#include <pthread.h>
#include <stdio.h>

#include "timing.h"

enum { COUNT = 10000 };

static void *nothing(void *unused) { return unused; }

int main(void) {
    double start = real_time();
    for (int i = 0; i < COUNT; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL) != 0) return 1;
        pthread_join(thread, NULL);
    }
    printf("%.9g\n", (real_time() - start) / COUNT);
    return 0;
}
