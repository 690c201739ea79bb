/* Round trips a second of two processes that hand one small value to and fro through two pipes. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "timing.h"

enum { COUNT = 20000, WARM_UP = 1000 };

static int there[2], back[2];

static void put(int pipe, int value) {
    if (write(pipe, &value, sizeof value) != sizeof value) _exit(1);
}

/* False at the end. */
static int take(int pipe, int *value) { return read(pipe, value, sizeof *value) == sizeof *value; }

static void travel(int count) {
    for (int i = 0; i < count; i++) {
        int value;
        put(there[1], i);
        if (!take(back[0], &value)) _exit(1);
    }
}

static void echo(void) {
    int value;
    close(there[1]);
    while (take(there[0], &value)) put(back[1], value);
    _exit(0);
}

int main(void) {
    if (pipe(there) != 0 || pipe(back) != 0) return 1;
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) echo();
    travel(WARM_UP);
    double start = real_time();
    travel(COUNT);
    printf("%.9g\n", COUNT / (real_time() - start));
    close(there[1]);
    waitpid(child, NULL, 0);
    return 0;
}
