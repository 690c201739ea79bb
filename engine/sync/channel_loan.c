/* channel_loan: messages that a process has before it asks for them.
 *
 * A process that receives from the channel again and again has the oldest messages lent: it gets copies ahead (loan.c).
 * They stay in the buffer, and count, until they have been taken over there.
 *
 * INVARIANTS (under the guard)
 *   1. What is lent are the oldest in the buffer: loan.lent <= buffer.count.
 *   2. Whoever else wants to receive has them recalled first; so nothing is lent while a receiver waits, and all that
 *      channel.c says holds.
 *   3. There is one borrower at a time. It begins with nothing, and is lent twice as many each time, until somebody
 *      else comes.
 *   4. While any have come back nothing is lent: they are older. */
#include "sync/channel_loan.h"

#include "sync/channel_internal.h"

enum { QUOTA_LEAST = 8 /* fewer are not worth a loan */ };

/* So many of the oldest have been taken elsewhere. What is lent refers to no objects: dropping it runs nothing. */
static void drop_taken(struct neap_channel *channel, uint32_t taken, struct neap_batch *batch) {
    struct neap_message message;
    double priority;
    if (taken == 0) return;
    for (; taken > 0; taken--) {
        neap_buffer_take(&channel->buffer, &message, &priority);
        neap_message_fini(&message);
    }
    neap_channel_use_room(channel, batch);
    neap_channel_publish(channel);
}

static void forget_loan(struct neap_channel *channel) {
    atomic_store_explicit(&channel->loan, NULL, memory_order_relaxed);
}

void neap_channel_settle(struct neap_channel *channel, struct neap_batch *batch) {
    struct neap_loan *loan = neap_channel_loan(channel);
    if (loan != NULL) drop_taken(channel, neap_loan_taken(loan), batch);
}

void neap_channel_recall_loan(struct neap_channel *channel, struct neap_batch *batch) {
    drop_taken(channel, neap_loan_recall(neap_channel_loan(channel)), batch);
}

void neap_channel_recall_loan_for(struct neap_channel *channel, const struct neap_link *link,
                                  struct neap_batch *batch) {
    struct neap_loan *loan = neap_channel_loan(channel);
    neap_channel_recall_loan(channel, batch);
    if (link->mode == NEAP_LINK_FOREIGN && link->loan == loan) return;
    loan->quota = 0;
    forget_loan(channel);
}

void neap_channel_lend_more(struct neap_channel *channel, struct neap_batch *batch) {
    struct neap_loan *loan = neap_channel_loan(channel);
    if (neap_returned_count(&channel->returned) > 0) return;
    if (loan->lent >= loan->quota) neap_channel_settle(channel, batch);
    for (;;) {
        size_t left = channel->buffer.count - loan->lent;
        uint32_t most = loan->quota > loan->lent ? loan->quota - loan->lent : 0;
        uint32_t next = left < most ? (uint32_t)left : most;
        if (next > 0) loan->lent += loan->send(loan, &channel->buffer, loan->lent, next);
        bool waits = !neap_list_is_empty(&channel->senders), more = channel->buffer.count > loan->lent;
        if (loan->lent == 0 || (!waits && !more)) return;
        if (neap_loan_ask(loan, waits ? 1 : (loan->lent + 1) / 2)) return;
        neap_channel_settle(channel, batch);
    }
}

static void grow_quota(struct neap_loan *loan) {
    loan->quota = loan->quota == 0 ? 1 : loan->quota * 2;
    if (loan->quota > NEAP_LOAN_MAX) loan->quota = NEAP_LOAN_MAX;
}

void neap_channel_lend(struct neap_channel *channel, struct neap_loan *loan) {
    struct neap_batch batch = {NULL, NULL};
    if (channel->capacity == 0 || channel->buffer.order != NEAP_FIFO) return;
    neap_channel_begin_change(channel);
    grow_quota(loan);
    bool free = neap_channel_loan(channel) == NULL && neap_list_is_empty(&channel->receivers);
    if (free && loan->quota >= QUOTA_LEAST && !loan->ended)
        atomic_store_explicit(&channel->loan, loan, memory_order_relaxed);
    if (neap_channel_loan(channel) == loan && neap_list_is_empty(&channel->receivers))
        neap_channel_lend_more(channel, &batch);
    neap_channel_end_change(channel, &batch);
}

void neap_channel_repaid(struct neap_channel *channel, struct neap_loan *loan) {
    struct neap_batch batch = {NULL, NULL};
    neap_channel_begin_change(channel);
    if (neap_channel_loan(channel) == loan) {
        grow_quota(loan);
        neap_channel_settle(channel, &batch);
        neap_channel_lend_more(channel, &batch);
        neap_channel_publish(channel);
    }
    neap_channel_end_change(channel, &batch);
}

void neap_channel_end_loan(struct neap_channel *channel, struct neap_loan *loan) {
    struct neap_batch batch = {NULL, NULL};
    neap_channel_begin_change(channel);
    loan->ended = true;
    if (neap_channel_loan(channel) == loan) {
        neap_channel_recall_loan(channel, &batch);
        forget_loan(channel);
    }
    neap_channel_end_change(channel, &batch);
}
