/* Seconds of processor time for 100,000 timers of libuv that run out after 1 to 1000 ms. */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "timing.h"

enum { COUNT = 100000 };

static int left = COUNT;

static void ran_out(uv_timer_t *timer) {
    left--;
    uv_close((uv_handle_t *)timer, NULL);
}

int main(void) {
    uv_loop_t loop;
    uv_timer_t *timers = malloc(COUNT * sizeof *timers);
    if (timers == NULL || uv_loop_init(&loop) != 0) return 1;
    double start = processor_time();
    for (int i = 0; i < COUNT; i++) {
        uv_timer_init(&loop, &timers[i]);
        uv_timer_start(&timers[i], ran_out, (uint64_t)(i * 7919 % 1000 + 1), 0);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    double spent = processor_time() - start;
    if (left != 0 || uv_loop_close(&loop) != 0) return 1;
    printf("%.9g\n", spent);
    free(timers);
    return 0;
}
