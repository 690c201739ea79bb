/* guard: the lock of one engine object, held for a handful of instructions and never while Lua runs.
 *
 * MODEL   One word: 0 free, 1 held, 2 held and somebody may sleep on it. Taking and giving back a free guard is one
 *         atomic each. A contender spins for about as long as a critical section lasts, then sleeps on a futex (yields
 *         the processor where there is none).
 * ORDER   The compare-and-swap that takes it acquires what the exchange that gave it back released. */
#ifndef NEAP_CORE_GUARD_H
#define NEAP_CORE_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct neap_guard {
    _Atomic uint32_t word; /* see MODEL */
};

void neap_guard_contend(struct neap_guard *guard);
void neap_guard_rouse(struct neap_guard *guard);

/* A hint to the processor inside a spin. */
static inline void neap_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline void neap_guard_init(struct neap_guard *guard) { atomic_init(&guard->word, 0); }

static inline void neap_guard_lock(struct neap_guard *guard) {
    uint32_t expected = 0;
    if (!atomic_compare_exchange_strong_explicit(&guard->word, &expected, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        neap_guard_contend(guard);
}

static inline bool neap_guard_try_lock(struct neap_guard *guard) {
    uint32_t expected = 0;
    return atomic_compare_exchange_strong_explicit(&guard->word, &expected, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void neap_guard_unlock(struct neap_guard *guard) {
    if (atomic_exchange_explicit(&guard->word, 0, memory_order_release) == 2) neap_guard_rouse(guard);
}

#endif
