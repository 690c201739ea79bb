/* mailbox: how other threads reach a loop. Counted apart from the loop, so that posting to one that has ended is
 * answered, not a crash. */
#ifndef NEAP_CORE_MAILBOX_H
#define NEAP_CORE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/guard.h"
#include "core/pulse.h"
#include "core/wait.h"

struct neap_mailbox {
    atomic_uint refs;                     /* increments relaxed, decrements acquire-release */
    _Atomic(struct neap_runnable *) head; /* newest first; or one of the marks of mailbox.c */
    _Atomic uint32_t sleep;               /* a futex: 1 from before the loop says that it sleeps until it is to wake */
    atomic_int *busy;                     /* loops of the engine that are not idle; NULL: nobody counts. Constant */
    struct neap_guard guard;              /* keeps the use of alarm apart from its closing */
    _Atomic(uv_async_t *) alarm; /* wakes a loop that parks in libuv; NULL when it does not. Written under guard */
    struct neap_pulse pulse;     /* of the loop's thread: interrupts what does not look in here */
};

struct neap_mailbox *neap_mailbox_new(atomic_int *busy);
struct neap_mailbox *neap_mailbox_ref(struct neap_mailbox *mailbox);
void neap_mailbox_unref(struct neap_mailbox *mailbox);

/* Any thread: the loop will run `runnable` once. NEAP_GONE when the loop has ended; then it never will. */
int neap_mailbox_post(struct neap_mailbox *mailbox, struct neap_runnable *runnable);
/* Any thread, and signal handlers (where the loop does not park in libuv): makes the loop look around, once more at
 * least from now on. The caller keeps the mailbox alive. */
void neap_mailbox_notify(struct neap_mailbox *mailbox);

/* --- for the loop --- */

/* Everything posted so far, oldest first; NULL when nothing was. */
struct neap_runnable *neap_mailbox_collect(struct neap_mailbox *mailbox);
/* False also when the loop was notified. */
bool neap_mailbox_is_empty(const struct neap_mailbox *mailbox);
/* Does it stand as neap_mailbox_retire has left it? */
bool neap_mailbox_is_retired(const struct neap_mailbox *mailbox);
/* Refuses what comes from now on, and returns what had come. */
struct neap_runnable *neap_mailbox_close(struct neap_mailbox *mailbox);

/* The loop is about to sleep, and must be woken by whoever posts from now on: false when something has come, and then
 * it must not. Otherwise neap_mailbox_rise must follow, after neap_mailbox_sleep or a sleep in libuv. */
bool neap_mailbox_retire(struct neap_mailbox *mailbox);
/* Retired, and only another loop can wake it: leaves the count. True when it was the last that was counted. */
bool neap_mailbox_leave(struct neap_mailbox *mailbox);
/* Sleeps until somebody posts or notifies, or `deadline`. May return early. */
void neap_mailbox_sleep(struct neap_mailbox *mailbox, int64_t deadline);
/* Awake again, and counted. */
void neap_mailbox_rise(struct neap_mailbox *mailbox);

/* How to wake a loop that sleeps in libuv; NULL: it does not. */
void neap_mailbox_set_alarm(struct neap_mailbox *mailbox, uv_async_t *alarm);

#endif
