/* channel: where values change hands.
 *
 * INVARIANTS (under the guard)
 *   1. Receivers wait only while the buffer is empty, senders only while it is full (a rendezvous is both at once).
 *   2. Hence never both lists hold an open wait, but for a rendezvous select that waits on both sides of one channel.
 *   3. A closed channel has no waiters.
 *   4. held == buffer.count; with lanes they say how many there are.
 * SEND       hands over to the first receiver; else buffers; else waits. So does a receiver with the sides exchanged: it
 *            takes the oldest message and admits the first waiting sender into the place that became free.
 * LANES      A buffered channel that is shared has a quick way past the guard: see lanes.c. Behind the guard, between
 *            enter and leave, `buffer` is what it always was.
 * MEMORY     The place in the buffer is reserved before anything else changes, so running out of memory leaves the channel as
 *            it was; the sender gets NEAP_NOMEM. */
#include "sync/channel.h"

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "sync/lanes.h"

enum { LANES_CAPACITY_MAX = 1 << 16 }; /* lanes have all of their places from the start */

static void publish(struct neap_channel *channel) {
    atomic_store_explicit(&channel->held, channel->buffer.count, memory_order_relaxed);
}

static bool is_closed(const struct neap_channel *channel) {
    return atomic_load_explicit(&channel->closed, memory_order_relaxed);
}

/* A sender waits and there is room now: its message moves into the buffer. */
static void admit_sender(struct neap_channel *channel, struct neap_batch *batch) {
    if (neap_list_is_empty(&channel->senders) || neap_buffer_reserve(&channel->buffer) != 0) return;
    struct neap_link *sender = neap_waiters_claim(&channel->senders);
    if (sender == NULL) return;
    neap_buffer_put(&channel->buffer, &sender->message, sender->priority);
    channel->sent++;
    neap_batch_add(batch, sender->wait);
}

static bool receive(struct neap_channel *channel, struct neap_link *link, struct neap_batch *batch) {
    if (channel->buffer.count > 0) {
        if (!neap_link_commit(link)) return false;
        neap_buffer_take(&channel->buffer, &link->message, &link->priority);
        admit_sender(channel, batch);
        publish(channel);
        return true;
    }
    struct neap_link *sender = neap_waiters_exchange(&channel->senders, link);
    if (sender != NULL) {
        neap_message_move(&link->message, &sender->message);
        link->priority = sender->priority;
        channel->sent++;
        neap_batch_add(batch, sender->wait);
        return true;
    }
    if (!is_closed(channel) || !neap_link_commit(link)) return false;
    link->result = NEAP_CLOSED;
    return true;
}

static bool send(struct neap_channel *channel, struct neap_link *link, struct neap_batch *batch) {
    if (is_closed(channel)) {
        if (!neap_link_commit(link)) return false;
        link->result = NEAP_CLOSED;
        return true;
    }
    struct neap_link *receiver = neap_waiters_exchange(&channel->receivers, link);
    if (receiver != NULL) {
        NEAP_ASSERT(channel->buffer.count == 0, "channel 1: receivers wait only while the buffer is empty");
        neap_message_move(&receiver->message, &link->message);
        receiver->priority = link->priority;
        channel->sent++;
        neap_batch_add(batch, receiver->wait);
        return true;
    }
    if (channel->buffer.count >= channel->capacity || !neap_link_commit(link)) return false;
    if (neap_buffer_reserve(&channel->buffer) != 0) {
        link->result = NEAP_NOMEM;
        return true;
    }
    neap_buffer_put(&channel->buffer, &link->message, link->priority);
    channel->sent++;
    publish(channel);
    return true;
}

/* The quick way is open while nobody waits, and there is something to send to. */
static void leave_lanes(struct neap_channel *channel, bool done) {
    bool quiet = neap_list_is_empty(&channel->receivers) && neap_list_is_empty(&channel->senders);
    neap_lanes_leave(channel->lanes, &channel->buffer, done && quiet && !is_closed(channel));
}

bool neap_channel_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_channel *channel = (struct neap_channel *)object;
    if (channel->lanes != NULL) neap_lanes_enter(channel->lanes, &channel->buffer);
    bool done = link->op == NEAP_CHANNEL_RECV ? receive(channel, link, batch) : send(channel, link, batch);
    if (channel->lanes != NULL) leave_lanes(channel, done); /* if not done, `link` may be enlisted now: see lanes 3 */
    return done;
}

static enum neap_quick quick(struct neap_object *object, struct neap_link *link) {
    struct neap_lanes *lanes = ((struct neap_channel *)object)->lanes;
    if (lanes == NULL) return NEAP_QUICK_ASK;
    bool done =
        link->op == NEAP_CHANNEL_RECV ? neap_lanes_take(lanes, &link->message) : neap_lanes_put(lanes, &link->message);
    return done ? NEAP_QUICK_DONE : NEAP_QUICK_ASK;
}

static void on_share(struct neap_object *object) {
    struct neap_channel *channel = (struct neap_channel *)object;
    if (channel->capacity == 0 || channel->capacity > LANES_CAPACITY_MAX || is_closed(channel)) return;
    channel->lanes =
        neap_lanes_new(&channel->buffer, channel->capacity); /* without memory there is just no quick way */
}

void neap_channel_enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_channel *channel = (struct neap_channel *)object;
    neap_list_push_back(link->op == NEAP_CHANNEL_RECV ? &channel->receivers : &channel->senders, &link->node);
}

bool neap_channel_hint(const struct neap_object *object, const struct neap_link *link) {
    const struct neap_channel *channel = (const struct neap_channel *)object;
    if (channel->capacity == 0) return true; /* nothing to see in a rendezvous: no use to look */
    size_t held = neap_channel_length(channel);
    return is_closed(channel) || (link->op == NEAP_CHANNEL_RECV ? held > 0 : held < channel->capacity);
}

void neap_channel_init(struct neap_channel *channel, const struct neap_class *class, size_t capacity,
                       enum neap_order order) {
    neap_object_init(&channel->object, class);
    neap_buffer_init(&channel->buffer, order);
    channel->capacity = capacity;
    neap_list_init(&channel->receivers);
    neap_list_init(&channel->senders);
    atomic_init(&channel->closed, false);
    atomic_init(&channel->held, 0);
    channel->lanes = NULL;
    channel->sent = 0;
    neap_message_clear(&channel->reason);
}

void neap_channel_fini(struct neap_channel *channel) {
    NEAP_ASSERT(neap_list_is_empty(&channel->receivers) && neap_list_is_empty(&channel->senders),
                "wait 2: who waits keeps the object alive");
    if (channel->lanes != NULL) {
        neap_lanes_enter(channel->lanes, &channel->buffer);
        neap_lanes_free(channel->lanes);
    }
    neap_buffer_fini(&channel->buffer);
    neap_message_fini(&channel->reason);
}

static void destroy(struct neap_object *object) {
    neap_channel_fini((struct neap_channel *)object);
    neap_free(object);
}

struct neap_channel *neap_channel_new(size_t capacity) {
    struct neap_channel *channel = neap_alloc(sizeof *channel);
    if (channel != NULL) neap_channel_init(channel, &neap_channel_class, capacity, NEAP_FIFO);
    return channel;
}

bool neap_channel_close(struct neap_channel *channel, struct neap_message *reason) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&channel->object);
    bool first = !is_closed(channel);
    if (first) {
        if (channel->lanes != NULL) neap_lanes_enter(channel->lanes, &channel->buffer);
        neap_message_move(&channel->reason, reason);
        atomic_store_explicit(&channel->closed, true, memory_order_release);
        neap_waiters_claim_all(&channel->receivers, NEAP_CLOSED, &batch);
        neap_waiters_claim_all(&channel->senders, NEAP_CLOSED, &batch);
        if (channel->lanes != NULL) leave_lanes(channel, true);
    }
    neap_object_unlock(&channel->object);
    neap_batch_flush(&batch);
    return first;
}

size_t neap_channel_length(const struct neap_channel *channel) {
    if (channel->lanes != NULL) return neap_lanes_length(channel->lanes);
    return atomic_load_explicit(&channel->held, memory_order_relaxed);
}

bool neap_channel_is_closed(const struct neap_channel *channel) {
    return atomic_load_explicit(&channel->closed, memory_order_acquire);
}

/* --- from other processes --- */

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

static const struct neap_remote remote = {
    .kind = NEAP_KIND_CHANNEL,
    .ops = NEAP_CHANNEL_SEND + 1,
    .constants = neap_channel_constants,
    .serve = neap_channel_serve,
    .reason = neap_channel_reason,
};

static const char *const verbs[] = {"recv", "send"};

const struct neap_class neap_channel_class = {
    .name = "channel",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = neap_channel_attempt,
    .enlist = neap_channel_enlist,
    .hint = neap_channel_hint,
    .on_share = on_share,
    .quick = quick,
    .remote = &remote,
};
