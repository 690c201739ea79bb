/* patience: whether the OS threads of an engine, when something has come for them, take the processor from whom they
 * find there, or wait until that one sleeps. It is learned from how often they park; the essay is in patience.c. */
#ifndef NEAP_CORE_PATIENCE_H
#define NEAP_CORE_PATIENCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/guard.h"

/* What the loops of an engine have in common. */
struct neap_patience {
    struct neap_guard guard; /* taken with any other held, and none under it */
    _Atomic bool wanted;     /* they are to wait. Written under the guard; relaxed */
    bool trial;              /* that has not proved to be worth it yet. This and the rest: guard */
    bool asked, refused;     /* see FILTERS */
    uint64_t parks, runs;    /* for descriptors; of runnables: since `since` */
    int64_t since;           /* a time */
    int64_t retry_at;        /* a time: it is not tried before that */
    int64_t pause_ns;        /* so long after the next trial that fails */
    double cost;             /* nanoseconds from one runnable to the next, before it was tried */
};

/* A loop's own. */
struct neap_patient {
    struct neap_patience *patience; /* NULL: its OS thread is not ours, or somebody has chosen a policy for it */
    bool waits;                     /* that is its policy now */
    uint32_t parks, runs;           /* that are not in `patience` yet */
};

void neap_patience_init(struct neap_patience *patience);
/* On the OS thread of the loop, which is about to wait for descriptors at `now`. It looks more closely now and then. */
void neap_patience_note_park(struct neap_patient *patient, int64_t now);
/* Likewise, when it has come back after `slept_ns`: if that is long, it does not wait until it parks again. */
void neap_patience_note_wake(struct neap_patient *patient, int64_t slept_ns);
/* Likewise: it does not wait until it parks again. */
void neap_patience_lose(struct neap_patient *patient);
/* Likewise, for good. */
void neap_patience_leave(struct neap_patient *patient);

#endif
