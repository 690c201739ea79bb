/* mailbox: how other threads reach a loop. Counted apart from the loop, so that posting to one that has ended is
 * answered, not a crash. */
#ifndef NEAP_CORE_MAILBOX_H
#define NEAP_CORE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/guard.h"
#include "core/wait.h"

enum {
    NEAP_AWAKE,
    NEAP_ASLEEP, /* parked, or about to; something may wake it by itself (a deadline, I/O) */
    NEAP_IDLE    /* parked, and not counted in *busy: only another loop can wake it */
};

struct neap_mailbox {
    atomic_uint refs;                     /* increments relaxed, decrements acquire-release */
    _Atomic(struct neap_runnable *) head; /* newest first; the closed mark once the loop has ended */
    _Atomic uint32_t sleep;               /* see SLEEPING and COUNTING in mailbox.c */
    atomic_int *busy;                     /* loops of the engine that are not idle; NULL: nobody counts. Constant */
    struct neap_guard guard;              /* of alarm */
    uv_async_t *alarm;                    /* wakes a loop that parks in libuv; NULL when it does not */
};

struct neap_mailbox *neap_mailbox_new(atomic_int *busy);
struct neap_mailbox *neap_mailbox_ref(struct neap_mailbox *mailbox);
void neap_mailbox_unref(struct neap_mailbox *mailbox);

/* Any thread: the loop will run `runnable` once. NEAP_GONE when the loop has ended; then it never will. */
int neap_mailbox_post(struct neap_mailbox *mailbox, struct neap_runnable *runnable);
/* Any thread, and signal handlers (where the loop does not park in libuv): makes the loop look around. */
void neap_mailbox_notify(struct neap_mailbox *mailbox);

/* --- for the loop --- */

/* Everything posted so far, oldest first; NULL when nothing was. */
struct neap_runnable *neap_mailbox_collect(struct neap_mailbox *mailbox);
bool neap_mailbox_is_empty(const struct neap_mailbox *mailbox);
/* Refuses what comes from now on, and returns what had come. */
struct neap_runnable *neap_mailbox_close(struct neap_mailbox *mailbox);

#endif
