/* Bytes a second when 1 MiB is allocated, copied and freed twice: once for a message, once for the
 * string that the other Lua state makes of it. One after the other, so that malloc has the memory at
 * hand and the kernel is not asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timing.h"

enum { SIZE = 1 << 20, COUNT = 10000 };

/* Keeps the compiler from leaving a copy out. */
static void use(void *memory) { __asm__ volatile("" : : "r"(memory) : "memory"); }

static void copy(const void *source) {
    void *memory = malloc(SIZE);
    if (memory == NULL) abort();
    memcpy(memory, source, SIZE);
    use(memory);
    free(memory);
}

int main(void) {
    char *source = malloc(SIZE);
    if (source == NULL) return 1;
    memset(source, 'x', SIZE);
    double start = real_time();
    for (int i = 0; i < COUNT; i++) {
        copy(source);
        copy(source);
    }
    printf("%.9g\n", (double)COUNT * SIZE / (real_time() - start));
    free(source);
    return 0;
}
