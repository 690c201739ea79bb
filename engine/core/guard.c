#include "core/guard.h"

#include "core/clock.h"
#include "core/futex.h"

enum { SPINS = 128 };

void neap_guard_contend(struct neap_guard *guard) {
    for (int i = 0; i < SPINS; i++) {
        uint32_t expected = 0;
        if (atomic_load_explicit(&guard->word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&guard->word, &expected, 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return;
        neap_relax();
    }
    /* From here on the word says 2, also when we take it: somebody else may be asleep,
     * and only a spare wake-up is lost. */
    while (atomic_exchange_explicit(&guard->word, 2, memory_order_acquire) != 0)
        neap_futex_wait(&guard->word, 2, NEAP_FOREVER);
}

void neap_guard_rouse(struct neap_guard *guard) { neap_futex_wake(&guard->word); }
