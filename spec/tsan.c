/* For the thread sanitizer's build. The link goes through here where it would be misled.
 *
 * JUMPS      It follows longjmp, but not the __longjmp_chk that Debian's Lua is compiled to call: each yield
 *            out of a C function left frames on the sanitizer's own stack, until that overflowed.
 * SIGNALS    It keeps what a handler is to be told until the thread calls something that it knows, which a futex is
 *            not: a thread that sleeps there would never hear of it. */
#include <setjmp.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/futex.h"

_Noreturn void __wrap___longjmp_chk(jmp_buf target, int value);

_Noreturn void __wrap___longjmp_chk(jmp_buf target, int value) { longjmp(target, value); }

enum { SLICE = NEAP_SECOND / 20 };

void __real_neap_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline);
void __wrap_neap_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline);

void __wrap_neap_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline) {
    int64_t now;
    while (atomic_load_explicit(word, memory_order_relaxed) == value && (now = neap_clock_now()) < deadline) {
        __real_neap_futex_wait(word, value, deadline - now < SLICE ? deadline : now + SLICE);
        usleep(0);
    }
}
