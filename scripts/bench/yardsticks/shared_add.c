/* Seconds for an atomic addition when two threads do it to one counter. */
#include <stdatomic.h>
#include <stdio.h>

#include "together.h"

enum { COUNT = 50000000 };

static atomic_long counter;

static void count(void) {
    for (int i = 0; i < COUNT; i++) atomic_fetch_add(&counter, 1);
}

int main(void) {
    double seconds = seconds_together((void (*const[])(void)){count, count}, 2);
    printf("%.9g\n", seconds / (double)counter);
    return 0;
}
