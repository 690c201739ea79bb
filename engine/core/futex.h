/* futex: sleep until a word changes. Where the system has none, sleeping is yielding the processor. */
#ifndef NEAP_CORE_FUTEX_H
#define NEAP_CORE_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while `*word` is `value`, until woken, a signal, or `deadline` (NEAP_FOREVER: none). May return early. */
void neap_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline);
/* Wakes one sleeper. Async-signal-safe. */
void neap_futex_wake(_Atomic uint32_t *word);

#endif
