/* mailbox: many senders, one receiver.
 *
 * MODEL      A stack that senders push on with compare-and-swap and the loop takes whole with one exchange; reversing it
 *            gives the order of arrival. Nobody pops one node, so the stack has no ABA problem.
 * SLEEPING   The loop publishes NEAP_ASLEEP, passes a full fence, looks at `head` again, and sleeps only if it is
 *            empty. A sender pushes, passes a full fence, and looks at `sleep`. One of the two sees the other's store
 *            (Dekker), so no wake-up is lost; the exchange that moves NEAP_ASLEEP back elects one sender per park to
 *            pay for the system call.
 * COUNTING   `*busy` counts the loops that something may still happen to by themselves. A loop that parks without a
 *            deadline and without I/O moves ASLEEP to IDLE and then leaves the count; whoever moves IDLE to AWAKE enters it
 *            again, while being counted itself. The two changes of the count may come in either order, so it is at
 *            times too high but never too low: it reaches 0 only when every loop waits for another.
 * CLOSING    A closed mark in `head` refuses senders. `guard` keeps a sender's uv_async_send apart from the closing of
 *            the handle. */
#include "core/mailbox.h"

#include "core/error.h"
#include "core/futex.h"
#include "core/memory.h"

static struct neap_runnable closed; /* its address is the mark; never run, never written */

struct neap_mailbox *neap_mailbox_new(atomic_int *busy) {
    struct neap_mailbox *mailbox = neap_alloc(sizeof *mailbox);
    if (mailbox == NULL) return NULL;
    atomic_init(&mailbox->refs, 1);
    atomic_init(&mailbox->head, NULL);
    atomic_init(&mailbox->sleep, NEAP_AWAKE);
    mailbox->busy = busy;
    neap_guard_init(&mailbox->guard);
    mailbox->alarm = NULL;
    return mailbox;
}

struct neap_mailbox *neap_mailbox_ref(struct neap_mailbox *mailbox) {
    atomic_fetch_add_explicit(&mailbox->refs, 1, memory_order_relaxed);
    return mailbox;
}

void neap_mailbox_unref(struct neap_mailbox *mailbox) {
    if (atomic_fetch_sub_explicit(&mailbox->refs, 1, memory_order_acq_rel) == 1) neap_free(mailbox);
}

void neap_mailbox_notify(struct neap_mailbox *mailbox) {
    atomic_thread_fence(memory_order_seq_cst); /* partner: the fence in the loop's park */
    if (atomic_load_explicit(&mailbox->sleep, memory_order_relaxed) == NEAP_AWAKE) return;
    uint32_t was = atomic_exchange_explicit(&mailbox->sleep, NEAP_AWAKE, memory_order_acq_rel);
    if (was == NEAP_AWAKE) return;
    if (was == NEAP_IDLE) atomic_fetch_add_explicit(mailbox->busy, 1, memory_order_acq_rel);
    neap_futex_wake(&mailbox->sleep);
    if (mailbox->alarm == NULL) return; /* constant while the loop is asleep: only the loop itself changes it */
    neap_guard_lock(&mailbox->guard);
    if (mailbox->alarm != NULL) uv_async_send(mailbox->alarm);
    neap_guard_unlock(&mailbox->guard);
}

int neap_mailbox_post(struct neap_mailbox *mailbox, struct neap_runnable *runnable) {
    struct neap_runnable *head = atomic_load_explicit(&mailbox->head, memory_order_relaxed);
    do {
        if (head == &closed) return NEAP_GONE;
        runnable->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->head, &head, runnable, memory_order_release,
                                                    memory_order_relaxed));
    neap_mailbox_notify(mailbox);
    return 0;
}

static struct neap_runnable *reversed(struct neap_runnable *stack) {
    struct neap_runnable *queue = NULL;
    while (stack != NULL && stack != &closed) {
        struct neap_runnable *next = stack->next;
        stack->next = queue;
        queue = stack;
        stack = next;
    }
    return queue;
}

bool neap_mailbox_is_empty(const struct neap_mailbox *mailbox) {
    return atomic_load_explicit(&mailbox->head, memory_order_relaxed) == NULL;
}

struct neap_runnable *neap_mailbox_collect(struct neap_mailbox *mailbox) {
    if (neap_mailbox_is_empty(mailbox)) return NULL;
    return reversed(atomic_exchange_explicit(&mailbox->head, NULL, memory_order_acquire));
}

struct neap_runnable *neap_mailbox_close(struct neap_mailbox *mailbox) {
    return reversed(atomic_exchange_explicit(&mailbox->head, &closed, memory_order_acq_rel));
}
