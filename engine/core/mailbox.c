/* mailbox: many senders, one receiver.
 *
 * MODEL      A stack that senders push on with compare-and-swap and the loop takes whole with one exchange; reversing
 *            it gives the order of arrival. Nobody pops one node, so the stack has no ABA problem.
 * MARKS      In the place of an empty stack `head` may say more: `nudged` (somebody wants the loop to look
 *            around), `asleep` and `idle` (the loop sleeps), `closed` (it has ended). One word holds both what
 *            has come and whether the loop sleeps, so no wake-up can be lost between the two: a loop retires by
 *            changing NULL to `asleep`, which fails when something has come, and whoever replaces the mark by
 *            something pays for the system call, once per sleep.
 * LIFETIME   A sender whose push has succeeded may touch the mailbox no more: its message may be run, and
 *            the loop end, before the next instruction. One that is going to wake the loop therefore
 *            takes a reference before it pushes.
 * COUNTING   `*busy` counts the loops that something may still happen to by themselves. A loop that parks without a
 *            deadline and without I/O changes `asleep` to `idle` and then leaves the count; whoever replaces `idle`
 *            enters it again, and does so before, while being counted itself. So the count is at times too high but
 *            never too low: it reaches 0 only when every loop waits for another.
 * ORDER      A push releases, the exchange of the loop acquires. A notification writes `head` too, be it the value that
 *            is there: what the notifier did before is seen by the loop after its next exchange. */
#include "core/mailbox.h"

#include "core/check.h"
#include "core/error.h"
#include "core/futex.h"
#include "core/memory.h"

/* Their addresses are the marks; never run, never written. */
static struct neap_runnable nudged, asleep, idle, closed;

static bool is_sleeping(const struct neap_runnable *head) { return head == &asleep || head == &idle; }

static bool is_mark(const struct neap_runnable *head) {
    return is_sleeping(head) || head == &nudged || head == &closed;
}

static struct neap_runnable *head_of(const struct neap_mailbox *mailbox) {
    return atomic_load_explicit(&mailbox->head, memory_order_relaxed);
}

/* Changes `head` from *expected to `next`; a failure tells the head in *expected. */
static bool change(struct neap_mailbox *mailbox, struct neap_runnable **expected, struct neap_runnable *next) {
    return atomic_compare_exchange_strong_explicit(&mailbox->head, expected, next, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

struct neap_mailbox *neap_mailbox_new(atomic_int *busy) {
    struct neap_mailbox *mailbox = neap_alloc(sizeof *mailbox);
    if (mailbox == NULL) return NULL;
    atomic_init(&mailbox->refs, 1);
    atomic_init(&mailbox->head, NULL);
    atomic_init(&mailbox->sleep, 0);
    mailbox->busy = busy;
    neap_guard_init(&mailbox->guard);
    atomic_init(&mailbox->alarm, NULL);
    neap_pulse_init(&mailbox->pulse);
    return mailbox;
}

struct neap_mailbox *neap_mailbox_ref(struct neap_mailbox *mailbox) {
    atomic_fetch_add_explicit(&mailbox->refs, 1, memory_order_relaxed);
    return mailbox;
}

void neap_mailbox_unref(struct neap_mailbox *mailbox) {
    if (atomic_fetch_sub_explicit(&mailbox->refs, 1, memory_order_acq_rel) == 1) neap_free(mailbox);
}

/* --- senders --- */

static void rouse(struct neap_mailbox *mailbox) {
    atomic_store_explicit(&mailbox->sleep, 0, memory_order_relaxed);
    neap_futex_wake(&mailbox->sleep);
    if (atomic_load_explicit(&mailbox->alarm, memory_order_relaxed) == NULL) return;
    neap_guard_lock(&mailbox->guard);
    uv_async_t *alarm = atomic_load_explicit(&mailbox->alarm, memory_order_relaxed);
    if (alarm != NULL) uv_async_send(alarm);
    neap_guard_unlock(&mailbox->guard);
}

/* Replaces the mark of a sleeping loop by `next` and wakes it. False when *mark was not there any more. */
static bool replace_and_wake(struct neap_mailbox *mailbox, struct neap_runnable **mark, struct neap_runnable *next) {
    bool counts = *mark == &idle;
    neap_mailbox_ref(mailbox);
    if (counts) atomic_fetch_add_explicit(mailbox->busy, 1, memory_order_acq_rel);
    bool changed = change(mailbox, mark, next);
    if (changed)
        rouse(mailbox);
    else if (counts)
        atomic_fetch_sub_explicit(mailbox->busy, 1, memory_order_acq_rel);
    neap_mailbox_unref(mailbox);
    return changed;
}

int neap_mailbox_post(struct neap_mailbox *mailbox, struct neap_runnable *runnable) {
    struct neap_runnable *head = head_of(mailbox);
    for (;;) {
        if (head == &closed) return NEAP_GONE;
        runnable->next = is_mark(head) ? NULL : head;
        if (is_sleeping(head) ? replace_and_wake(mailbox, &head, runnable) : change(mailbox, &head, runnable)) return 0;
    }
}

void neap_mailbox_notify(struct neap_mailbox *mailbox) {
    struct neap_runnable *head = head_of(mailbox);
    for (;;) {
        if (head == &closed) return;
        if (is_sleeping(head) ? replace_and_wake(mailbox, &head, &nudged)
                              : change(mailbox, &head, head == NULL ? &nudged : head))
            return;
    }
}

/* --- the loop --- */

static struct neap_runnable *reversed(struct neap_runnable *stack) {
    struct neap_runnable *queue = NULL;
    while (stack != NULL && !is_mark(stack)) {
        struct neap_runnable *next = stack->next;
        stack->next = queue;
        queue = stack;
        stack = next;
    }
    return queue;
}

bool neap_mailbox_is_empty(const struct neap_mailbox *mailbox) { return head_of(mailbox) == NULL; }

bool neap_mailbox_is_retired(const struct neap_mailbox *mailbox) { return is_sleeping(head_of(mailbox)); }

struct neap_runnable *neap_mailbox_collect(struct neap_mailbox *mailbox) {
    if (neap_mailbox_is_empty(mailbox)) return NULL;
    return reversed(atomic_exchange_explicit(&mailbox->head, NULL, memory_order_acq_rel));
}

struct neap_runnable *neap_mailbox_close(struct neap_mailbox *mailbox) {
    return reversed(atomic_exchange_explicit(&mailbox->head, &closed, memory_order_acq_rel));
}

bool neap_mailbox_retire(struct neap_mailbox *mailbox) {
    struct neap_runnable *expected = NULL;
    atomic_store_explicit(&mailbox->sleep, 1, memory_order_relaxed);
    return change(mailbox, &expected, &asleep);
}

bool neap_mailbox_leave(struct neap_mailbox *mailbox) {
    struct neap_runnable *expected = &asleep;
    if (!change(mailbox, &expected, &idle)) return false; /* somebody has just woken us */
    return atomic_fetch_sub_explicit(mailbox->busy, 1, memory_order_acq_rel) == 1;
}

/* A sender that was late to wake us from an earlier sleep makes this one return early. */
void neap_mailbox_sleep(struct neap_mailbox *mailbox, int64_t deadline) {
    neap_futex_wait(&mailbox->sleep, 1, deadline);
}

void neap_mailbox_rise(struct neap_mailbox *mailbox) {
    struct neap_runnable *mark = head_of(mailbox);
    bool counts = mark == &idle;
    if (!is_sleeping(mark)) return; /* who replaced the mark has entered us */
    if (counts) atomic_fetch_add_explicit(mailbox->busy, 1, memory_order_acq_rel);
    if (!change(mailbox, &mark, NULL) && counts) atomic_fetch_sub_explicit(mailbox->busy, 1, memory_order_acq_rel);
}

void neap_mailbox_set_alarm(struct neap_mailbox *mailbox, uv_async_t *alarm) {
    neap_guard_lock(&mailbox->guard);
    atomic_store_explicit(&mailbox->alarm, alarm, memory_order_relaxed);
    neap_guard_unlock(&mailbox->guard);
}
