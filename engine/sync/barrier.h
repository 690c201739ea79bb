/* barrier: a fixed number of parties wait for each other, again and again. It breaks when one of them gives up; then
 * all are told, until it is reset. */
#ifndef NEAP_SYNC_BARRIER_H
#define NEAP_SYNC_BARRIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/message.h"
#include "core/object.h"
#include "core/wait.h"

/* Operations of a link. Both: 0, with the order of arrival, 1 .. parties, in link->number; NEAP_BROKEN.
 * WAIT  a wait that times out or is interrupted breaks the barrier.
 * TRY   does not wait: NEAP_TIMEOUT unless it is the last to arrive, and then it has broken the barrier.
 * Where the barrier acts, who is told number == parties runs the action before anyone else is let go, and then calls
 * neap_barrier_release, or neap_barrier_fail when the action failed. Until then it holds the run, as it would a lock:
 * its end breaks the barrier. NEAP_NOMEM to who was to run it: there is none for that, and the barrier has broken. */
enum neap_barrier_op { NEAP_BARRIER_WAIT, NEAP_BARRIER_TRY };

/* Calls of other processes. IS_BROKEN, WAITING: number. RELEASE, FAIL, in the name of who was told to run the
 * action: result. ACTION: message. */
enum neap_barrier_call {
    NEAP_BARRIER_RESET,
    NEAP_BARRIER_ABORT,
    NEAP_BARRIER_IS_BROKEN,
    NEAP_BARRIER_WAITING,
    NEAP_BARRIER_RELEASE,
    NEAP_BARRIER_ACTION,
    NEAP_BARRIER_FAIL
};

struct neap_barrier {
    struct neap_object object;
    uint32_t parties;           /* constant; at least 1 */
    bool acts;                  /* constant */
    struct neap_list arriving;  /* links with WAIT, in order of arrival. guard */
    struct neap_list complete;  /* links with WAIT of the round whose action runs. guard */
    struct neap_hold *run;      /* of who runs the action, and has it; NULL: nobody does. guard */
    uint32_t arrived;           /* links in arriving. guard */
    _Atomic uint32_t waiting;   /* links in both lists. Written under the guard */
    _Atomic bool broken;        /* written under the guard */
    struct neap_message action; /* for the bindings: what is to be run. Written before the object is shared */
    bool departing;             /* likewise: the action is being encoded, and may mention the barrier */
};

/* One reference; NULL: no memory. */
struct neap_barrier *neap_barrier_new(uint32_t parties, bool acts);

/* The action has run: lets its round go. NEAP_BROKEN when the barrier broke or was reset meanwhile, or breaks now since
 * somebody of the round gave up. By who was told to run it. */
int neap_barrier_release(struct neap_barrier *barrier, struct neap_owner *owner);
/* The action has failed: breaks the barrier, unless it broke or was reset meanwhile. Likewise. */
void neap_barrier_fail(struct neap_barrier *barrier, struct neap_owner *owner);
/* Any thread: breaks it; everyone who waits gets NEAP_BROKEN. */
void neap_barrier_abort(struct neap_barrier *barrier);
/* Any thread: whole again, and empty; everyone who waits gets NEAP_BROKEN. */
void neap_barrier_reset(struct neap_barrier *barrier);

/* Any thread, snapshots. */
bool neap_barrier_is_broken(const struct neap_barrier *barrier);
uint32_t neap_barrier_waiting(const struct neap_barrier *barrier);

extern const struct neap_class neap_barrier_class;

#endif
