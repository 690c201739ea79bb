/* meeting: the short way through a channel for two tasks of one thread.
 *
 * PURPOSE    A value that goes from a task to another one of the same thread needs no guard, no claim that others
 *            might win, and no list of whom to wake. This is what neap_wait_attempt comes to then, in a few
 *            instructions at the place of the call.
 * WHEN       The channel is local, and who waits at its other side waits on nothing else and has not been claimed.
 *            Whatever is not so is asked of neap_wait_attempt, which does the same and everything else; so the two may
 *            take turns on one channel, and nothing is remembered here.
 * WHY IT IS THE SAME
 *            1. While a receiver waits nothing is in the buffer, and a closed channel has no waiters
 *               (channel 1 and 3); a local channel has neither lanes nor loans. So the first one in the
 *               list is to be served, and by nobody but us.
 *            2. Its wait is claimed by a plain store: CLAIMING in wait.c. It is queued on its loop as by
 *               neap_batch_flush; a loop that is not the one which runs here (a host's visit) is left to that. */
#ifndef NEAP_SYNC_MEETING_H
#define NEAP_SYNC_MEETING_H

#include <stdatomic.h>

#include "core/check.h"
#include "core/list.h"
#include "core/loop.h"
#include "core/message.h"
#include "core/object.h"
#include "core/wait.h"
#include "sync/channel.h"

/* The first of `waiters`, claimed, taken out of the list and queued: its link, to be served at once. NULL: see WHEN. */
static inline struct neap_link *neap_meeting_claim(struct neap_list *waiters) {
    struct neap_link *link = NEAP_CONTAINER_OF(waiters->next, struct neap_link, node);
    struct neap_wait *wait = link->wait;
    if (wait->link_count != 1 || wait->loop != neap_loop_here ||
        atomic_load_explicit(&wait->state, memory_order_relaxed) != NEAP_WAIT_OPEN)
        return 0;
    NEAP_ASSERT(wait->ticket == 0 && link->result == 0, "meeting 1: a single link on a local channel");
    atomic_store_explicit(&wait->state, NEAP_WAIT_WOKEN, memory_order_relaxed);
    neap_list_remove(&link->node);
    neap_loop_push(wait->loop, &wait->runnable);
    return link;
}

/* Owner's thread. DONE: `message` has been handed over and is gone. LATER: attempt would refuse. ASK: ask it. */
static inline enum neap_quick neap_meeting_send(struct neap_channel *channel, struct neap_message *message) {
    if (channel->object.shared) return NEAP_QUICK_ASK;
    neap_object_check_home(&channel->object);
    if (neap_list_is_empty(&channel->receivers)) {
        bool refuses = channel->capacity == 0 && !neap_channel_is_closed(channel);
        return refuses ? NEAP_QUICK_LATER : NEAP_QUICK_ASK;
    }
    struct neap_link *receiver = neap_meeting_claim(&channel->receivers);
    if (receiver == 0) return NEAP_QUICK_ASK;
    NEAP_ASSERT(channel->buffer.count == 0, "channel 1: receivers wait only while the buffer is empty");
    neap_message_move(&receiver->message, message);
    channel->sent++;
    return NEAP_QUICK_DONE;
}

/* The same the other way round: DONE: `message`, which was empty, is what was received. */
static inline enum neap_quick neap_meeting_receive(struct neap_channel *channel, struct neap_message *message) {
    if (channel->object.shared || channel->buffer.count > 0) return NEAP_QUICK_ASK;
    neap_object_check_home(&channel->object);
    if (neap_list_is_empty(&channel->senders))
        return neap_channel_is_closed(channel) ? NEAP_QUICK_ASK : NEAP_QUICK_LATER;
    struct neap_link *sender = neap_meeting_claim(&channel->senders);
    if (sender == 0) return NEAP_QUICK_ASK;
    neap_message_move(message, &sender->message);
    channel->sent++;
    return NEAP_QUICK_DONE;
}

#endif
