/* channel: where values change hands.
 *
 * INVARIANTS (under the guard)
 *   1. Receivers wait only while there is nothing to receive, senders only while the buffer is full (a rendezvous is
 *      both at once).
 *   2. Hence never both lists hold an open wait, but for a rendezvous select that waits on both sides of one channel.
 *   3. A closed channel has no waiters; but receivers, while something is on its way (CREDITS).
 *   4. held == buffer.count + returned.count; with lanes they say how many there are in the buffer.
 * SEND       hands over to the first receiver; else buffers; else waits. So does a receiver with the sides exchanged:
 *            it takes the oldest message and admits the first waiting sender into the place that became free.
 * LANES      A buffered channel that is shared has a quick way past the guard: see lanes.c. Behind the guard, between
 *            enter and leave, `buffer` is what it always was.
 * LOANS      The oldest messages may be lent to a process that receives: see channel_loan.c. They stay in the buffer.
 *            Who wants to receive has them recalled first.
 * CREDITS    Places may be reserved for processes that send: see channel_credit.c. They are not free, but who finds the
 *            channel full has those recalled that are not used.
 * RETURNS    A message that was taken out may come back, when a process dies: see channel_remote.c. It leaves again
 *            before all that is in the buffer, and may be one too many.
 * MEMORY     The place in the buffer is reserved before anything else changes, so running out of memory leaves the
 *            channel as it was; the sender gets NEAP_NOMEM. */
#include "sync/channel.h"

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "sync/channel_internal.h"
#include "sync/channel_loan.h"

enum {
    LANES_CAPACITY_MAX = 1 << 16, /* lanes have all of their places from the start */
    IDLE_SENDS = 64               /* by others: whoever has credit does not use it */
};

/* There is room now: if a sender waits, its message moves into the buffer. */
static bool admit_sender(struct neap_channel *channel, struct neap_batch *batch) {
    if (neap_list_is_empty(&channel->senders) || neap_buffer_reserve(&channel->buffer, channel->reserved + 1) != 0)
        return false;
    struct neap_link *sender = neap_waiters_claim(&channel->senders);
    if (sender == NULL) return false;
    neap_buffer_put(&channel->buffer, &sender->message, sender->priority);
    channel->sent++;
    neap_batch_add(batch, sender->wait);
    return true;
}

void neap_channel_admit_senders(struct neap_channel *channel, struct neap_batch *batch) {
    while (neap_channel_occupied(channel) < channel->capacity && admit_sender(channel, batch)) {}
}

/* Is there room? Full, what others have credit for is recalled, and the borrower is to tell when there is. */
static bool has_room(struct neap_channel *channel, struct neap_batch *batch) {
    struct neap_loan *loan = neap_channel_loan(channel);
    if (neap_channel_occupied(channel) < channel->capacity) return true;
    neap_channel_recall_credits(channel);
    if (neap_channel_occupied(channel) < channel->capacity) return true;
    if (loan == NULL || loan->lent == 0) return false;
    do {
        neap_channel_settle(channel, batch);
        neap_channel_recall_credits(channel); /* settling may have granted it again */
    } while (neap_channel_occupied(channel) >= channel->capacity && loan->lent > 0 && !neap_loan_ask(loan, 1));
    return neap_channel_occupied(channel) < channel->capacity;
}

/* Does one of those that came back leave next? Equals in the buffer have come later. */
static bool is_returned_next(const struct neap_channel *channel) {
    const struct neap_returned *first = neap_returned_first(&channel->returned);
    if (first == NULL) return false;
    bool by_priority = channel->buffer.order == NEAP_PRIORITY && channel->buffer.count > 0;
    return !(by_priority && channel->buffer.heap[0].priority < first->priority);
}

bool neap_channel_has_some(const struct neap_channel *channel) { return neap_channel_count(channel) > 0; }

bool neap_channel_is_over(const struct neap_channel *channel) {
    return neap_channel_has_closed(channel) && neap_channel_count(channel) == 0 && channel->reserved == 0;
}

/* --- receiving, sending --- */

static void take_buffered(struct neap_channel *channel, struct neap_link *link) {
    neap_buffer_take(&channel->buffer, &link->message, &link->priority);
    link->turn = channel->turns++;
}

static bool receive(struct neap_channel *channel, struct neap_link *link, struct neap_batch *batch) {
    if (neap_channel_loan(channel) != NULL) neap_channel_recall_loan_for(channel, link, batch);
    if (neap_channel_count(channel) > 0) {
        if (!neap_link_commit(link)) return false;
        if (is_returned_next(channel))
            neap_returned_take(&channel->returned, link);
        else
            take_buffered(channel, link);
        neap_channel_use_room(channel, batch);
        neap_channel_publish(channel);
        return true;
    }
    struct neap_link *sender = neap_waiters_exchange(&channel->senders, link);
    if (sender != NULL) {
        neap_message_move(&link->message, &sender->message);
        link->priority = sender->priority;
        link->turn = channel->turns++;
        channel->sent++;
        neap_batch_add(batch, sender->wait);
        return true;
    }
    if (!neap_channel_is_over(channel) || !neap_link_commit(link)) return false;
    link->result = NEAP_CLOSED;
    return true;
}

/* Nobody waits for it: it stays. There is a place for it. */
static void put(struct neap_channel *channel, struct neap_message *message, double priority, struct neap_batch *batch) {
    neap_buffer_put(&channel->buffer, message, priority);
    if (neap_channel_loan(channel) != NULL) neap_channel_lend_more(channel, batch);
    if (!neap_list_is_empty(&channel->pollers)) neap_waiters_claim_all(&channel->pollers, 0, batch);
    neap_channel_publish(channel);
}

static void hand_over(struct neap_channel *channel, struct neap_link *receiver, struct neap_message *message,
                      double priority, struct neap_batch *batch) {
    NEAP_ASSERT(neap_channel_count(channel) == 0, "channel 1: receivers wait only while there is nothing to receive");
    neap_message_move(&receiver->message, message);
    receiver->priority = priority;
    receiver->turn = channel->turns++;
    neap_batch_add(batch, receiver->wait);
}

static bool send(struct neap_channel *channel, struct neap_link *link, struct neap_batch *batch) {
    if (neap_channel_has_closed(channel)) {
        if (!neap_link_commit(link)) return false;
        link->result = NEAP_CLOSED;
        return true;
    }
    struct neap_link *receiver = neap_waiters_exchange(&channel->receivers, link);
    if (receiver != NULL) {
        hand_over(channel, receiver, &link->message, link->priority, batch);
        channel->sent++;
        return true;
    }
    if (channel->reserved > 0 && link->mode != NEAP_LINK_FOREIGN && ++channel->idle >= IDLE_SENDS)
        neap_channel_recall_credits(channel);
    if (!has_room(channel, batch) || !neap_link_commit(link)) return false;
    if (neap_buffer_reserve(&channel->buffer, channel->reserved + 1) != 0) {
        link->result = NEAP_NOMEM;
        return true;
    }
    put(channel, &link->message, link->priority, batch);
    channel->sent++;
    return true;
}

void neap_channel_deliver(struct neap_channel *channel, struct neap_message *message, double priority,
                          struct neap_batch *batch) {
    struct neap_link *receiver = neap_waiters_claim(&channel->receivers);
    if (receiver == NULL)
        put(channel, message, priority, batch);
    else
        hand_over(channel, receiver, message, priority, batch);
    channel->sent++;
}

bool neap_channel_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_channel *channel = (struct neap_channel *)object;
    neap_channel_enter_lanes(channel);
    bool done = link->op == NEAP_CHANNEL_RECV ? receive(channel, link, batch) : send(channel, link, batch);
    neap_channel_leave_lanes(channel, done); /* if not done, `link` may be enlisted now: see lanes 3 */
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
    if (channel->capacity == 0 || channel->capacity > LANES_CAPACITY_MAX || neap_channel_has_closed(channel)) return;
    channel->lanes =
        neap_lanes_new(&channel->buffer, channel->capacity); /* without memory there is just no quick way */
}

bool neap_channel_awaits(struct neap_object *object, const struct neap_link *link) {
    return link->op == NEAP_CHANNEL_RECV && neap_channel_await((struct neap_channel *)object);
}

void neap_channel_enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_channel *channel = (struct neap_channel *)object;
    if (link->op == NEAP_CHANNEL_SEND)
        neap_list_push_back(&channel->senders, &link->node);
    else if (channel->last_first)
        neap_list_push_front(&channel->receivers, &link->node);
    else
        neap_list_push_back(&channel->receivers, &link->node);
}

void neap_channel_init(struct neap_channel *channel, const struct neap_class *class, size_t capacity,
                       enum neap_order order) {
    neap_object_init(&channel->object, class);
    neap_buffer_init(&channel->buffer, order);
    channel->capacity = capacity;
    neap_list_init(&channel->receivers);
    neap_list_init(&channel->senders);
    neap_list_init(&channel->pollers);
    neap_returned_init(&channel->returned);
    neap_list_init(&channel->credits);
    channel->turns = 0;
    atomic_init(&channel->closed, false);
    atomic_init(&channel->held, 0);
    channel->lanes = NULL;
    atomic_init(&channel->loan, NULL);
    channel->last_first = false;
    channel->has_tries = false;
    channel->reserved = 0;
    atomic_init(&channel->is_credited, false);
    channel->idle = 0;
    channel->credit_serial = 0;
    channel->credit_ended = NULL;
    channel->sent = 0;
    neap_message_clear(&channel->reason);
}

void neap_channel_fini(struct neap_channel *channel) {
    NEAP_ASSERT(neap_list_is_empty(&channel->receivers) && neap_list_is_empty(&channel->senders),
                "wait 2: who waits keeps the object alive");
    NEAP_ASSERT(neap_channel_loan(channel) == NULL, "who borrows keeps the channel alive");
    NEAP_ASSERT(neap_list_is_empty(&channel->credits), "who has credit keeps the channel alive");
    if (channel->lanes != NULL) {
        neap_lanes_enter(channel->lanes, &channel->buffer);
        neap_lanes_free(channel->lanes);
    }
    neap_buffer_fini(&channel->buffer);
    neap_returned_fini(&channel->returned);
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
    bool first = !neap_channel_has_closed(channel);
    if (first) {
        neap_channel_enter_lanes(channel);
        neap_message_move(&channel->reason, reason);
        atomic_store_explicit(&channel->closed, true, memory_order_release);
        neap_channel_recall_credits(channel);
        neap_waiters_claim_all(&channel->senders, NEAP_CLOSED, &batch);
        neap_channel_end_if_over(channel, &batch);
        neap_channel_leave_lanes(channel, true);
    }
    neap_object_unlock(&channel->object);
    neap_batch_flush(&batch);
    return first;
}

static size_t exact_length(struct neap_channel *channel) {
    struct neap_batch batch = {NULL, NULL};
    neap_channel_begin_change(channel);
    neap_channel_settle(channel, &batch);
    size_t length = neap_channel_count(channel) + neap_channel_on_its_way(channel);
    neap_channel_end_change(channel, &batch);
    return length;
}

/* Of what has come. Asked again and again by who spins, so without the guard where that is possible. */
static size_t length_here(struct neap_channel *channel) {
    if (neap_channel_loan(channel) != NULL || neap_returned_count(&channel->returned) > 0) return exact_length(channel);
    if (channel->lanes != NULL) return neap_lanes_length(channel->lanes);
    return atomic_load_explicit(&channel->held, memory_order_relaxed);
}

size_t neap_channel_length(struct neap_channel *channel) {
    bool is_credited = neap_channel_is_credited(channel);
    return is_credited ? exact_length(channel) : length_here(channel);
}

bool neap_channel_hint(struct neap_object *object, const struct neap_link *link) {
    struct neap_channel *channel = (struct neap_channel *)object;
    if (channel->capacity == 0) return true; /* nothing to see in a rendezvous: no use to look */
    size_t held = length_here(channel);
    if (link->op != NEAP_CHANNEL_RECV) return neap_channel_has_closed(channel) || held < channel->capacity;
    return neap_channel_has_closed(channel) || held > 0 || neap_channel_is_coming(channel);
}

/* Who wants to receive, and finds something, need not look. */
void neap_channel_look_for(struct neap_object *object, const struct neap_link *link) {
    struct neap_channel *channel = (struct neap_channel *)object;
    if (!neap_channel_is_credited(channel)) return;
    if (link->op != NEAP_CHANNEL_RECV || neap_channel_loan(channel) != NULL || length_here(channel) == 0)
        neap_channel_look(channel);
}

static const char *const verbs[] = {"recv", "send"};

const struct neap_class neap_channel_class = {
    .name = "channel",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = neap_channel_attempt,
    .awaits = neap_channel_awaits,
    .enlist = neap_channel_enlist,
    .hint = neap_channel_hint,
    .look = neap_channel_look_for,
    .on_share = on_share,
    .quick = quick,
    .remote = &neap_channel_remote,
};
