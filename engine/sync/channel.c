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
 * LOANS      A process that receives from the channel again and again has the oldest messages lent: it gets copies
 *            ahead (loan.c). They stay in the buffer, and count, until they have been taken over there. Whoever else
 *            wants to receive has them recalled first; so nothing is lent while a receiver waits, and all of the above
 *            holds. There is one borrower at a time. It begins with nothing, and is lent twice as many each time, until
 *            somebody else comes.
 * CREDITS    A process that sends to the channel again and again has places reserved, which it fills without asking
 *            (credit.c). So of a buffered channel count + reserved <= capacity, but for returns; up to a half of it is
 *            reserved. Who finds it full has what is not used recalled first; so nothing is refused for the sake of
 *            what nobody sends. What is on its way was sent: a channel that is closed has it received yet, and until it
 *            has come its receivers wait. Who wants to receive looks for it before he finds nothing
 *            (neap_channel_look). More is granted once what has come is in, and as receivers make room; but not while
 *            the link is being read: else who reads it would never come to an end. While any place is reserved the
 *            quick way is closed; so what nobody uses is recalled after some sends of others.
 * RETURNS    A process that is given a message may die before it has received it (RECEIPT in core/ticket.c). It comes
 *            back then: to whoever waits, else before all that is in the buffer, in the order in which they had left
 *            (`turn`). Also to a rendezvous, and to a channel that is full or closed: its sender has been told long
 *            ago. So there may be more than the capacity, and then nobody is admitted. Such a message has room that was
 *            allocated when it was asked for. While there are any, nothing is lent and the quick way is closed.
 * MEMORY     The place in the buffer is reserved before anything else changes, so running out of memory leaves the
 *            channel as it was; the sender gets NEAP_NOMEM. */
#include "sync/channel.h"

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "sync/credit.h"
#include "sync/lanes.h"
#include "sync/loan.h"

enum {
    LANES_CAPACITY_MAX = 1 << 16, /* lanes have all of their places from the start */
    QUOTA_LEAST = 8,              /* fewer are not worth a loan */
    CREDIT_FIRST = 8,             /* places */
    CREDIT_LEAST = 16,            /* fewer are not worth a grant, if more are asked for */
    IDLE_SENDS = 64               /* by others: whoever has credit does not use it */
};

static size_t count(const struct neap_channel *channel) {
    return channel->buffer.count + neap_returned_count(&channel->returned);
}

/* Places that are not free. */
static size_t occupied(const struct neap_channel *channel) { return count(channel) + channel->reserved; }

static void publish(struct neap_channel *channel) {
    atomic_store_explicit(&channel->held, count(channel), memory_order_relaxed);
}

static bool is_closed(const struct neap_channel *channel) {
    return atomic_load_explicit(&channel->closed, memory_order_relaxed);
}

static struct neap_loan *loan_of(const struct neap_channel *channel) {
    return atomic_load_explicit(&channel->loan, memory_order_relaxed);
}

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

static void admit_senders(struct neap_channel *channel, struct neap_batch *batch) {
    while (occupied(channel) < channel->capacity && admit_sender(channel, batch)) {}
}

/* --- credits --- */

static struct neap_credit *credit_of(struct neap_list *node) {
    return NEAP_CONTAINER_OF(node, struct neap_credit, node);
}

static void recall_credits(struct neap_channel *channel) {
    if (channel->reserved == 0) return;
    for (struct neap_list *node = channel->credits.next; node != &channel->credits; node = node->next) {
        uint32_t left = neap_credit_recall(credit_of(node));
        if (left > 0) credit_of(node)->quota = 0;
        channel->reserved -= left;
    }
}

/* Places that may be reserved: a half. */
static size_t reserved_most(const struct neap_channel *channel) { return channel->capacity - channel->capacity / 2; }

static uint32_t quota_most(const struct neap_channel *channel) {
    size_t most = reserved_most(channel);
    return most < NEAP_CREDIT_MAX ? (uint32_t)most : NEAP_CREDIT_MAX;
}

/* How many places `credit` may have more. */
static uint32_t share_of(const struct neap_channel *channel, const struct neap_credit *credit) {
    uint32_t reserved = neap_credit_reserved(credit);
    size_t used = occupied(channel), half = reserved_most(channel);
    if (reserved > credit->quota / 2 || used >= channel->capacity || channel->reserved >= half) return 0;
    size_t wanted = credit->quota - reserved, share = wanted;
    if (share > channel->capacity - used) share = channel->capacity - used;
    if (share > half - channel->reserved) share = half - channel->reserved;
    return share < CREDIT_LEAST && share < (wanted + 1) / 2 ? 0 : (uint32_t)share;
}

/* Who waits comes first. */
static void share(struct neap_channel *channel, struct neap_credit *credit) {
    if (is_closed(channel) || neap_returned_count(&channel->returned) > 0 || !neap_list_is_empty(&channel->senders))
        return;
    uint32_t count = share_of(channel, credit);
    if (count == 0 || neap_buffer_reserve(&channel->buffer, channel->reserved + count) != 0) return;
    channel->reserved += count;
    neap_credit_grant(credit, count);
    if (credit->quota < quota_most(channel)) credit->quota *= 2;
    if (credit->quota > quota_most(channel)) credit->quota = quota_most(channel);
}

/* There is room now, for who waits, or has credit. */
static void use_room(struct neap_channel *channel, struct neap_batch *batch) {
    admit_senders(channel, batch);
    for (struct neap_list *node = channel->credits.next; node != &channel->credits; node = node->next)
        if (!credit_of(node)->class->is_being_read(credit_of(node))) share(channel, credit_of(node));
}

/* Is it closed, and nothing comes any more? Then nobody need wait for it. */
static void end_if_over(struct neap_channel *channel, struct neap_batch *batch) {
    if (!is_closed(channel) || channel->reserved > 0) return;
    neap_waiters_claim_all(&channel->receivers, NEAP_CLOSED, batch);
    neap_waiters_claim_all(&channel->pollers, NEAP_CLOSED, batch);
}

/* --- loans --- */

/* So many of the oldest have been taken elsewhere. What is lent refers to no objects: dropping it runs nothing. */
static void drop_taken(struct neap_channel *channel, uint32_t taken, struct neap_batch *batch) {
    struct neap_message message;
    double priority;
    if (taken == 0) return;
    for (; taken > 0; taken--) {
        neap_buffer_take(&channel->buffer, &message, &priority);
        neap_message_fini(&message);
    }
    use_room(channel, batch);
    publish(channel);
}

void neap_channel_settle(struct neap_channel *channel, struct neap_batch *batch) {
    struct neap_loan *loan = loan_of(channel);
    if (loan != NULL) drop_taken(channel, neap_loan_taken(loan), batch);
}

/* Somebody wants to receive: everything is ours again. The loan goes on if it is the borrower itself. */
static void recall(struct neap_channel *channel, const struct neap_link *link, struct neap_batch *batch) {
    struct neap_loan *loan = loan_of(channel);
    drop_taken(channel, neap_loan_recall(loan), batch);
    if (link->mode == NEAP_LINK_FOREIGN && link->loan == loan) return;
    loan->quota = 0;
    atomic_store_explicit(&channel->loan, NULL, memory_order_relaxed);
}

/* Lends as much as may be. If there is more to do once some have been taken (a sender waits, or more is to be lent) the
 * borrower is to tell. */
static void lend(struct neap_channel *channel, struct neap_loan *loan, struct neap_batch *batch) {
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

/* Is there room? Full, what others have credit for is recalled, and the borrower is to tell when there is. */
static bool has_room(struct neap_channel *channel, struct neap_batch *batch) {
    struct neap_loan *loan = loan_of(channel);
    if (occupied(channel) < channel->capacity) return true;
    recall_credits(channel);
    if (occupied(channel) < channel->capacity) return true;
    if (loan == NULL || loan->lent == 0) return false;
    do {
        neap_channel_settle(channel, batch);
        recall_credits(channel); /* settling may have granted it again */
    } while (occupied(channel) >= channel->capacity && loan->lent > 0 && !neap_loan_ask(loan, 1));
    return occupied(channel) < channel->capacity;
}

/* --- returns --- */

/* Does one of them leave next? Equals in the buffer have come later. */
static bool is_returned_next(const struct neap_channel *channel) {
    const struct neap_returned *first = neap_returned_first(&channel->returned);
    if (first == NULL) return false;
    bool by_priority = channel->buffer.order == NEAP_PRIORITY && channel->buffer.count > 0;
    return !(by_priority && channel->buffer.heap[0].priority < first->priority);
}

bool neap_channel_has_some(const struct neap_channel *channel) { return count(channel) > 0; }

size_t neap_channel_on_its_way(const struct neap_channel *channel) {
    size_t count = 0;
    for (struct neap_list *node = channel->credits.next; node != &channel->credits; node = node->next)
        count += neap_credit_on_its_way(credit_of(node));
    return count;
}

bool neap_channel_is_over(const struct neap_channel *channel) {
    return is_closed(channel) && count(channel) == 0 && channel->reserved == 0;
}

/* --- receiving, sending --- */

static void take_buffered(struct neap_channel *channel, struct neap_link *link) {
    neap_buffer_take(&channel->buffer, &link->message, &link->priority);
    link->turn = channel->turns++;
}

static bool receive(struct neap_channel *channel, struct neap_link *link, struct neap_batch *batch) {
    if (loan_of(channel) != NULL) recall(channel, link, batch);
    if (count(channel) > 0) {
        if (!neap_link_commit(link)) return false;
        if (is_returned_next(channel))
            neap_returned_take(&channel->returned, link);
        else
            take_buffered(channel, link);
        use_room(channel, batch);
        publish(channel);
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
    if (loan_of(channel) != NULL) lend(channel, loan_of(channel), batch);
    if (!neap_list_is_empty(&channel->pollers)) neap_waiters_claim_all(&channel->pollers, 0, batch);
    publish(channel);
}

static void hand_over(struct neap_channel *channel, struct neap_link *receiver, struct neap_message *message,
                      double priority, struct neap_batch *batch) {
    NEAP_ASSERT(count(channel) == 0, "channel 1: receivers wait only while there is nothing to receive");
    neap_message_move(&receiver->message, message);
    receiver->priority = priority;
    receiver->turn = channel->turns++;
    neap_batch_add(batch, receiver->wait);
}

static bool send(struct neap_channel *channel, struct neap_link *link, struct neap_batch *batch) {
    if (is_closed(channel)) {
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
        recall_credits(channel);
    if (!has_room(channel, batch) || !neap_link_commit(link)) return false;
    if (neap_buffer_reserve(&channel->buffer, channel->reserved + 1) != 0) {
        link->result = NEAP_NOMEM;
        return true;
    }
    put(channel, &link->message, link->priority, batch);
    channel->sent++;
    return true;
}

static void enter_lanes(struct neap_channel *channel) {
    if (channel->lanes != NULL) neap_lanes_enter(channel->lanes, &channel->buffer);
}

/* The quick way is open while nobody waits, nothing is lent, reserved or has come back, and there is something to send
 * to. */
static void leave_lanes(struct neap_channel *channel, bool done) {
    bool quiet = neap_list_is_empty(&channel->receivers) && neap_list_is_empty(&channel->senders) &&
                 neap_list_is_empty(&channel->pollers) && loan_of(channel) == NULL && channel->reserved == 0 &&
                 neap_returned_count(&channel->returned) == 0;
    if (channel->lanes != NULL)
        neap_lanes_leave(channel->lanes, &channel->buffer, done && quiet && !is_closed(channel));
}

bool neap_channel_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_channel *channel = (struct neap_channel *)object;
    enter_lanes(channel);
    bool done = link->op == NEAP_CHANNEL_RECV ? receive(channel, link, batch) : send(channel, link, batch);
    leave_lanes(channel, done); /* if not done, `link` may be enlisted now: see lanes 3 */
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
    NEAP_ASSERT(loan_of(channel) == NULL, "who borrows keeps the channel alive");
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
    bool first = !is_closed(channel);
    if (first) {
        enter_lanes(channel);
        neap_message_move(&channel->reason, reason);
        atomic_store_explicit(&channel->closed, true, memory_order_release);
        recall_credits(channel);
        neap_waiters_claim_all(&channel->senders, NEAP_CLOSED, &batch);
        end_if_over(channel, &batch);
        leave_lanes(channel, true);
    }
    neap_object_unlock(&channel->object);
    neap_batch_flush(&batch);
    return first;
}

/* Begins a change under the guard that is no attempt, and ends it. */
static void begin_change(struct neap_channel *channel) {
    neap_object_lock(&channel->object);
    enter_lanes(channel);
}

static void end_change(struct neap_channel *channel, struct neap_batch *batch) {
    leave_lanes(channel, true);
    neap_object_unlock(&channel->object);
    neap_batch_flush(batch);
}

static size_t exact_length(struct neap_channel *channel) {
    struct neap_batch batch = {NULL, NULL};
    begin_change(channel);
    neap_channel_settle(channel, &batch);
    size_t length = count(channel) + neap_channel_on_its_way(channel);
    end_change(channel, &batch);
    return length;
}

/* Of what has come. Asked again and again by who spins, so without the guard where that is possible. */
static size_t length_here(struct neap_channel *channel) {
    if (loan_of(channel) != NULL || neap_returned_count(&channel->returned) > 0) return exact_length(channel);
    if (channel->lanes != NULL) return neap_lanes_length(channel->lanes);
    return atomic_load_explicit(&channel->held, memory_order_relaxed);
}

size_t neap_channel_length(struct neap_channel *channel) {
    bool is_credited = atomic_load_explicit(&channel->is_credited, memory_order_relaxed);
    return is_credited ? exact_length(channel) : length_here(channel);
}

/* Has something been sent by credit that has not come yet? A guess. */
static bool is_coming(struct neap_channel *channel) {
    bool coming = false;
    if (!atomic_load_explicit(&channel->is_credited, memory_order_relaxed)) return false;
    neap_object_lock(&channel->object);
    for (struct neap_list *node = channel->credits.next; node != &channel->credits && !coming; node = node->next)
        coming = credit_of(node)->class->is_coming(credit_of(node));
    neap_object_unlock(&channel->object);
    return coming;
}

bool neap_channel_hint(struct neap_object *object, const struct neap_link *link) {
    struct neap_channel *channel = (struct neap_channel *)object;
    if (channel->capacity == 0) return true; /* nothing to see in a rendezvous: no use to look */
    size_t held = length_here(channel);
    if (link->op != NEAP_CHANNEL_RECV) return is_closed(channel) || held < channel->capacity;
    return is_closed(channel) || held > 0 || is_coming(channel);
}

/* --- from other processes --- */

void neap_channel_lend(struct neap_channel *channel, struct neap_loan *loan) {
    struct neap_batch batch = {NULL, NULL};
    if (channel->capacity == 0 || channel->buffer.order != NEAP_FIFO) return;
    begin_change(channel);
    grow_quota(loan);
    bool free = loan_of(channel) == NULL && neap_list_is_empty(&channel->receivers);
    if (free && loan->quota >= QUOTA_LEAST && !loan->ended)
        atomic_store_explicit(&channel->loan, loan, memory_order_relaxed);
    if (loan_of(channel) == loan && neap_list_is_empty(&channel->receivers)) lend(channel, loan, &batch);
    end_change(channel, &batch);
}

void neap_channel_repaid(struct neap_channel *channel, struct neap_loan *loan) {
    struct neap_batch batch = {NULL, NULL};
    begin_change(channel);
    if (loan_of(channel) == loan) {
        grow_quota(loan);
        neap_channel_settle(channel, &batch);
        lend(channel, loan, &batch);
        publish(channel);
    }
    end_change(channel, &batch);
}

void neap_channel_end_loan(struct neap_channel *channel, struct neap_loan *loan) {
    struct neap_batch batch = {NULL, NULL};
    begin_change(channel);
    loan->ended = true;
    if (loan_of(channel) == loan) {
        drop_taken(channel, neap_loan_recall(loan), &batch);
        atomic_store_explicit(&channel->loan, NULL, memory_order_relaxed);
    }
    end_change(channel, &batch);
}

void neap_channel_credit(struct neap_channel *channel, struct neap_credit *credit) {
    struct neap_batch batch = {NULL, NULL};
    if (quota_most(channel) == 0) return;
    begin_change(channel);
    if (!credit->ended && !is_closed(channel)) {
        bool unused = neap_credit_is_left(credit->slot) && credit->came == credit->came_before;
        if (!neap_list_is_linked(&credit->node)) {
            credit->serial = ++channel->credit_serial;
            neap_list_push_back(&channel->credits, &credit->node);
        }
        atomic_store_explicit(&channel->is_credited, true, memory_order_relaxed);
        if (credit->quota == 0) credit->quota = CREDIT_FIRST < quota_most(channel) ? CREDIT_FIRST : quota_most(channel);
        share(channel, credit);
        if (unused || !credit->told) credit->class->tell(credit);
        credit->told = true;
        credit->came_before = credit->came;
    }
    end_change(channel, &batch);
}

/* As a send for which there is room. */
int neap_channel_accept(struct neap_channel *channel, struct neap_credit *credit, struct neap_message *message,
                        double priority, bool *due) {
    struct neap_batch batch = {NULL, NULL};
    int code = NEAP_RANGE;
    begin_change(channel);
    if (neap_credit_reserved(credit) > 0) {
        struct neap_link *receiver = neap_waiters_claim(&channel->receivers);
        credit->came++;
        channel->reserved--;
        channel->idle = 0;
        channel->sent++;
        if (receiver == NULL)
            put(channel, message, priority, &batch);
        else
            hand_over(channel, receiver, message, priority, &batch);
        admit_senders(channel, &batch);
        end_if_over(channel, &batch);
        *due = neap_credit_reserved(credit) <= credit->quota / 2;
        code = 0;
    }
    end_change(channel, &batch);
    return code;
}

void neap_channel_share(struct neap_channel *channel, struct neap_credit *credit) {
    struct neap_batch batch = {NULL, NULL};
    begin_change(channel);
    if (!credit->ended) share(channel, credit);
    end_change(channel, &batch);
}

void neap_channel_end_credit(struct neap_channel *channel, struct neap_credit *credit) {
    struct neap_batch batch = {NULL, NULL};
    begin_change(channel);
    credit->ended = true;
    if (neap_list_is_linked(&credit->node)) {
        channel->reserved -= neap_credit_recall(credit);
        channel->reserved -= neap_credit_reserved(credit); /* they were not sent, though they were counted */
        credit->limit = credit->came;
        neap_list_remove(&credit->node);
        atomic_store_explicit(&channel->is_credited, !neap_list_is_empty(&channel->credits), memory_order_relaxed);
        use_room(channel, &batch);
        publish(channel);
        end_if_over(channel, &batch);
        if (channel->credit_ended != NULL) channel->credit_ended(channel, &batch);
    }
    end_change(channel, &batch);
}

/* The guard is held: the first that has something on its way, of those whose serials are above `after` and not above
 * `last`; NULL: there is none. */
static struct neap_credit *coming_credit(struct neap_channel *channel, uint64_t after, uint64_t last) {
    for (struct neap_list *node = channel->credits.next; node != &channel->credits; node = node->next) {
        struct neap_credit *credit = credit_of(node);
        if (credit->serial > last) return NULL;
        if (credit->serial > after && credit->class->is_coming(credit)) return credit;
    }
    return NULL;
}

/* Each is looked at once, though they come and go meanwhile. */
void neap_channel_look(struct neap_channel *channel) {
    struct neap_credit *credit;
    if (!atomic_load_explicit(&channel->is_credited, memory_order_relaxed)) return;
    neap_object_lock(&channel->object);
    uint64_t last = channel->credit_serial, after = 0;
    while ((credit = coming_credit(channel, after, last)) != NULL) {
        after = credit->serial;
        credit->class->ref(credit);
        neap_object_unlock(&channel->object);
        credit->class->take_in(credit);
        credit->class->unref(credit);
        neap_object_lock(&channel->object);
    }
    neap_object_unlock(&channel->object);
}

/* Who wants to receive, and finds something, need not look. */
void neap_channel_look_for(struct neap_object *object, const struct neap_link *link) {
    struct neap_channel *channel = (struct neap_channel *)object;
    if (!atomic_load_explicit(&channel->is_credited, memory_order_relaxed)) return;
    if (link->op != NEAP_CHANNEL_RECV || loan_of(channel) != NULL || length_here(channel) == 0)
        neap_channel_look(channel);
}

/* What is lent is newer. */
void neap_channel_restore(struct neap_object *object, struct neap_link *link) {
    struct neap_channel *channel = (struct neap_channel *)object;
    struct neap_batch batch = {NULL, NULL};
    begin_change(channel);
    if (loan_of(channel) != NULL) drop_taken(channel, neap_loan_recall(loan_of(channel)), &batch);
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
    publish(channel);
    end_change(channel, &batch);
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

static const struct neap_remote remote = {
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

static const char *const verbs[] = {"recv", "send"};

const struct neap_class neap_channel_class = {
    .name = "channel",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = neap_channel_attempt,
    .enlist = neap_channel_enlist,
    .hint = neap_channel_hint,
    .look = neap_channel_look_for,
    .on_share = on_share,
    .quick = quick,
    .remote = &remote,
};
