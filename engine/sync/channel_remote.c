/* channel_remote: what other processes ask of a channel, and what comes back from them.
 *
 * RETURNS    A process that is given a message may die before it has received it (RECEIPT in core/ticket.c). It comes
 *            back then: to whoever waits, else before all that is in the buffer, in the order in which they had left
 *            (returned.h). Also to a rendezvous, and to a channel that is full or closed: its sender has been told long
 *            ago. So there may be more than the capacity, and then nobody is admitted. While there are any, nothing is
 *            lent or granted, and the quick way is closed. */
#include "core/error.h"
#include "sync/channel_internal.h"
#include "sync/channel_loan.h"

/* What is lent is newer. */
void neap_channel_restore(struct neap_object *object, struct neap_link *link) {
    struct neap_channel *channel = (struct neap_channel *)object;
    struct neap_batch batch = {NULL, NULL};
    neap_channel_begin_change(channel);
    if (neap_channel_loan(channel) != NULL) neap_channel_recall_loan(channel, &batch);
    struct neap_link *receiver = neap_waiters_claim(&channel->receivers);
    if (receiver != NULL) {
        neap_message_move(&receiver->message, &link->message);
        receiver->priority = link->priority;
        receiver->turn = link->turn;
        neap_batch_add(&batch, receiver->wait);
    } else {
        neap_returned_put(&channel->returned, link, channel->buffer.order);
        neap_waiters_claim_all(&channel->pollers, 0, &batch);
    }
    neap_channel_publish(channel);
    neap_channel_end_change(channel, &batch);
}

void neap_channel_constants(struct neap_object *object, struct neap_constants *constants) {
    const struct neap_channel *channel = (struct neap_channel *)object;
    constants->numbers[0] = (int64_t)channel->capacity;
    constants->numbers[1] = channel->buffer.order;
}

void neap_channel_serve(struct neap_object *object, struct neap_call *call) {
    struct neap_channel *channel = (struct neap_channel *)object;
    switch (call->method) {
        case NEAP_CHANNEL_CLOSE: call->number = neap_channel_close(channel, &call->message); return;
        case NEAP_CHANNEL_LENGTH: call->number = (int64_t)neap_channel_length(channel); return;
        case NEAP_CHANNEL_IS_CLOSED: call->number = neap_channel_is_closed(channel); return;
        default: call->result = NEAP_RANGE;
    }
}

const struct neap_message *neap_channel_reason(struct neap_object *object) {
    return &((struct neap_channel *)object)->reason;
}

const struct neap_remote neap_channel_remote = {
    .kind = NEAP_KIND_CHANNEL,
    .ops = NEAP_CHANNEL_SEND + 1,
    .constants = neap_channel_constants,
    .serve = neap_channel_serve,
    .reason = neap_channel_reason,
    .lending = NEAP_CHANNEL_RECV + 1,
    .sending = NEAP_CHANNEL_SEND + 1,
    .taking = 1 << NEAP_CHANNEL_RECV,
    .restore = neap_channel_restore,
};
