/* channel_internal: what the files of the channel share, and nobody else: channel.c (the exchange), channel_loan.c,
 * channel_credit.c, channel_remote.c. Guard held and the lanes entered, as in an attempt or a change, unless told
 * otherwise. */
#ifndef NEAP_SYNC_CHANNEL_INTERNAL_H
#define NEAP_SYNC_CHANNEL_INTERNAL_H

#include "core/error.h"
#include "sync/channel.h"
#include "sync/channel_credit.h"
#include "sync/lanes.h"

/* neap_class.remote of a channel. */
extern const struct neap_remote neap_channel_remote;

/* Any thread, a guess without the guard. */
static inline bool neap_channel_has_closed(const struct neap_channel *channel) {
    return atomic_load_explicit(&channel->closed, memory_order_relaxed);
}

/* The same. What is lent; NULL: nothing. */
static inline struct neap_loan *neap_channel_loan(const struct neap_channel *channel) {
    return atomic_load_explicit(&channel->loan, memory_order_relaxed);
}

/* The same. Some places are reserved, or were. */
static inline bool neap_channel_is_credited(const struct neap_channel *channel) {
    return atomic_load_explicit(&channel->is_credited, memory_order_relaxed);
}

/* Messages that can be received. */
static inline size_t neap_channel_count(const struct neap_channel *channel) {
    return channel->buffer.count + neap_returned_count(&channel->returned);
}

/* Places that are not free. */
static inline size_t neap_channel_occupied(const struct neap_channel *channel) {
    return neap_channel_count(channel) + channel->reserved;
}

/* After every change of what can be received. */
static inline void neap_channel_publish(struct neap_channel *channel) {
    atomic_store_explicit(&channel->held, neap_channel_count(channel), memory_order_relaxed);
}

/* Lets in whoever waits to send, as far as there is room. */
void neap_channel_admit_senders(struct neap_channel *channel, struct neap_batch *batch);

/* A message for which there is a place, moved: to the first receiver, or it stays. */
void neap_channel_deliver(struct neap_channel *channel, struct neap_message *message, double priority,
                          struct neap_batch *batch);

/* There is room now, for who waits, or has credit. */
static inline void neap_channel_use_room(struct neap_channel *channel, struct neap_batch *batch) {
    neap_channel_admit_senders(channel, batch);
    if (!neap_list_is_empty(&channel->credits)) neap_channel_share_room(channel);
}

/* Is it closed, and nothing comes any more? Then nobody need wait for it. */
static inline void neap_channel_end_if_over(struct neap_channel *channel, struct neap_batch *batch) {
    if (!neap_channel_has_closed(channel) || channel->reserved > 0) return;
    neap_waiters_claim_all(&channel->receivers, NEAP_CLOSED, batch);
    neap_waiters_claim_all(&channel->pollers, NEAP_CLOSED, batch);
}

static inline void neap_channel_enter_lanes(struct neap_channel *channel) {
    if (channel->lanes != NULL) neap_lanes_enter(channel->lanes, &channel->buffer);
}

/* The quick way is open while nobody waits, nothing is lent, reserved or has come back, and there is something to send
 * to. */
static inline void neap_channel_leave_lanes(struct neap_channel *channel, bool done) {
    bool quiet = neap_list_is_empty(&channel->receivers) && neap_list_is_empty(&channel->senders) &&
                 neap_list_is_empty(&channel->pollers) && neap_channel_loan(channel) == NULL &&
                 channel->reserved == 0 && neap_returned_count(&channel->returned) == 0;
    if (channel->lanes != NULL)
        neap_lanes_leave(channel->lanes, &channel->buffer, done && quiet && !neap_channel_has_closed(channel));
}

/* Begins a change under the guard that is no attempt, and ends it. */
static inline void neap_channel_begin_change(struct neap_channel *channel) {
    neap_object_lock(&channel->object);
    neap_channel_enter_lanes(channel);
}

static inline void neap_channel_end_change(struct neap_channel *channel, struct neap_batch *batch) {
    neap_channel_leave_lanes(channel, true);
    neap_object_unlock(&channel->object);
    neap_batch_flush(batch);
}

#endif
