#include "core/futex.h"

#include "core/clock.h"

#ifdef __linux__

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void neap_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline) {
    struct timespec at = {.tv_sec = deadline / NEAP_SECOND, .tv_nsec = deadline % NEAP_SECOND};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline == NEAP_FOREVER ? NULL : &at, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

void neap_futex_wake(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }

#else

#include <time.h>

void neap_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline) {
    const struct timespec nap = {.tv_sec = 0, .tv_nsec = 200000};
    if (atomic_load_explicit(word, memory_order_relaxed) == value && neap_clock_now() < deadline) nanosleep(&nap, NULL);
}

void neap_futex_wake(_Atomic uint32_t *word) { (void)word; }

#endif
