/* trap: signals of the system that somebody in this process waits for. The essay is in trap.c. */
#ifndef NEAP_CORE_TRAP_H
#define NEAP_CORE_TRAP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { NEAP_TRAP_SIGNALS = 64 /* numbers 1 to 64 */ };

struct neap_trap {
    _Atomic(struct neap_trap *) next;      /* in the list of the process; see LIST */
    int fd;                                /* can be read when something has come: an eventfd. Owned, constant */
    _Atomic uint64_t wanted;               /* bit n - 1: signal n; written under the guard of trap.c */
    _Atomic uint64_t came;                 /* the same; added to by the handler, taken by neap_trap_take */
    uint32_t users[NEAP_TRAP_SIGNALS + 1]; /* how often each signal is wanted; under the guard of trap.c */
};

/* Wants nothing yet. 0, or what the system said; if it fails you owe nothing. FINI: whoever
 * wanted something has unwanted it. */
int neap_trap_init(struct neap_trap *trap);
void neap_trap_fini(struct neap_trap *trap);

/* Can a signal of this number be waited for? Not one that cannot be caught, nor one that tells
 * of a fault of the code itself. */
bool neap_trap_can(int signal);
/* Any thread: from now on the signal does nothing but come to `trap` and others that want it; what the process did with
 * it before is back once nobody does. 0, or what the system said. */
int neap_trap_want(struct neap_trap *trap, int signal);
void neap_trap_unwant(struct neap_trap *trap, int signal);

/* In the handler of a signal: calls the one that was there `before`, if there was one. */
void neap_trap_pass_on(const struct sigaction *before, int signal, siginfo_t *info, void *context);

/* One thread at a time: which signals have come since it was last asked, as bits n - 1. */
uint64_t neap_trap_take(struct neap_trap *trap);

#endif
