/* channel: values from senders to receivers; a rendezvous, or with a buffer. The wait protocol of queues and pipes
 * too. */
#ifndef NEAP_SYNC_CHANNEL_H
#define NEAP_SYNC_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/object.h"
#include "core/remote.h"
#include "core/wait.h"
#include "sync/buffer.h"
#include "sync/returned.h"

/* Operations of a link.
 * RECV  takes nothing; message (and priority) on success; NEAP_CLOSED once closed and drained.
 * SEND  takes message (and priority), which is gone on success and untouched otherwise; NEAP_CLOSED. */
enum neap_channel_op { NEAP_CHANNEL_RECV, NEAP_CHANNEL_SEND };

/* Calls of other processes. CLOSE: message is the reason; number: whether it was open. LENGTH, IS_CLOSED: number. */
enum neap_channel_call { NEAP_CHANNEL_CLOSE, NEAP_CHANNEL_LENGTH, NEAP_CHANNEL_IS_CLOSED, NEAP_CHANNEL_CALLS };

struct neap_credit;
struct neap_lanes;
struct neap_loan;

struct neap_channel {
    struct neap_object object;
    struct neap_buffer buffer;  /* guard */
    size_t capacity;            /* constant; 0: rendezvous; NEAP_UNBOUNDED */
    struct neap_list receivers; /* links with RECV; only while the buffer is empty. guard */
    struct neap_list senders;   /* links with SEND; only while the buffer is full. guard */
    struct neap_list pollers;   /* links that wait until there is something, and take nothing: see pipe.c. guard */
    _Atomic bool closed;        /* written under the guard; read relaxed elsewhere */
    _Atomic size_t held;        /* in buffer and returned, published for hint and length; written under the guard */
    struct neap_returned_list returned; /* they leave before the buffer. guard */
    uint64_t turns;           /* messages that have been handed over, or taken from the buffer under the guard. guard */
    struct neap_lanes *lanes; /* the quick way, once shared; NULL: none. Owned; written before the object is shared */
    bool last_first;          /* of the receivers that wait the one which came last is served first. Constant */
    bool has_tries;           /* somebody may wait only for what is on its way: see channel_credit.c. guard */
    _Atomic(struct neap_loan *)
        loan;                 /* what is lent of the buffer's front; NULL: nothing. Written under the guard; relaxed */
    struct neap_list credits; /* neap_credit: of processes that send without asking. guard */
    size_t reserved;          /* places for what comes by them. guard */
    _Atomic bool is_credited; /* there are some. Written under the guard; relaxed */
    uint32_t idle;            /* sends by others since something came by one of them. guard */
    uint64_t credit_serial;   /* of the last credit. guard */
    /* Of a queue: nothing comes any more by one of the credits. Guard held. Constant; NULL: nobody asks */
    void (*credit_ended)(struct neap_channel *channel, struct neap_batch *batch);
    uint64_t sent;              /* messages that ever came in, buffered or handed over. guard */
    struct neap_message reason; /* why it was closed; written once, under the guard, before `closed` */
};

#define NEAP_UNBOUNDED SIZE_MAX

/* In place, for what embeds a channel (queue). */
void neap_channel_init(struct neap_channel *channel, const struct neap_class *class, size_t capacity,
                       enum neap_order order);
void neap_channel_fini(struct neap_channel *channel);

/* One reference; NULL: no memory. */
struct neap_channel *neap_channel_new(size_t capacity);

/* Any thread. Idempotent: the first one to close gives the reason (moved; untouched otherwise, then false). Waiting
 * receivers and senders get NEAP_CLOSED; what is buffered can still be received. */
bool neap_channel_close(struct neap_channel *channel, struct neap_message *reason);

/* Any thread, a snapshot. What has been sent by credit counts, though it may be on its way yet. */
size_t neap_channel_length(struct neap_channel *channel);
static inline bool neap_channel_is_closed(const struct neap_channel *channel) {
    return atomic_load_explicit(&channel->closed, memory_order_acquire);
}

extern const struct neap_class neap_channel_class;

/* Guard held: there is something to receive. OVER: there is nothing, nor will there be. */
bool neap_channel_has_some(const struct neap_channel *channel);
bool neap_channel_is_over(const struct neap_channel *channel);

/* For classes that embed a channel: neap_class functions over `channel`. */
bool neap_channel_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch);
bool neap_channel_awaits(struct neap_object *object, const struct neap_link *link);
void neap_channel_enlist(struct neap_object *object, struct neap_link *link);
bool neap_channel_hint(struct neap_object *object, const struct neap_link *link);
void neap_channel_look_for(struct neap_object *object, const struct neap_link *link);

/* The same for neap_remote. When the message of `link` stays with restore, so does link->room. */
void neap_channel_constants(struct neap_object *object, struct neap_constants *constants);
void neap_channel_serve(struct neap_object *object, struct neap_call *call);
const struct neap_message *neap_channel_reason(struct neap_object *object);
void neap_channel_restore(struct neap_object *object, struct neap_link *link);

#endif
