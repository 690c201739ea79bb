/* channel_credit: places that processes fill without asking.
 *
 * A process that sends to the channel again and again has places reserved, which it fills without asking (credit.c).
 *
 * INVARIANTS (under the guard)
 *   1. Of a buffered channel count + reserved <= capacity, but for what comes back; and reserved is the sum of what is
 *      reserved for each credit. Up to a half of the capacity is.
 *   2. Who finds the channel full has what is not used recalled first; so nothing is refused for the sake of what
 *      nobody sends.
 *   3. What is on its way was sent: a channel that is closed has it received yet, and until it has come its receivers
 *      wait. Who wants to receive looks for it before he finds nothing (neap_channel_look). Another process that tries
 *      to is not answered before it has come: whoever reads its link can read no other one. But nobody waits for what
 *      is sent later.
 *   4. More is granted once what has come is in, and as receivers make room; but not while the link is being read: else
 *      who reads it would never come to an end. Who waits to send comes first.
 *   5. While any place is reserved the quick way is closed; so what nobody uses is recalled after some sends of
 *      others. */
#include "sync/channel_credit.h"

#include "core/error.h"
#include "sync/channel_internal.h"

enum {
    FIRST = 8, /* places */
    LEAST = 16 /* fewer are not worth a grant, if more are asked for */
};

static struct neap_credit *credit_of(struct neap_list *node) {
    return NEAP_CONTAINER_OF(node, struct neap_credit, node);
}

void neap_channel_recall_credits(struct neap_channel *channel) {
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
    size_t used = neap_channel_occupied(channel), half = reserved_most(channel);
    if (reserved > credit->quota / 2 || used >= channel->capacity || channel->reserved >= half) return 0;
    size_t wanted = credit->quota - reserved, share = wanted;
    if (share > channel->capacity - used) share = channel->capacity - used;
    if (share > half - channel->reserved) share = half - channel->reserved;
    return share < LEAST && share < (wanted + 1) / 2 ? 0 : (uint32_t)share;
}

static void share(struct neap_channel *channel, struct neap_credit *credit) {
    bool has_returned = neap_returned_count(&channel->returned) > 0;
    if (neap_channel_has_closed(channel) || has_returned || !neap_list_is_empty(&channel->senders)) return;
    uint32_t count = share_of(channel, credit);
    if (count == 0 || neap_buffer_reserve(&channel->buffer, channel->reserved + count) != 0) return;
    channel->reserved += count;
    neap_credit_grant(credit, count);
    if (credit->quota < quota_most(channel)) credit->quota *= 2;
    if (credit->quota > quota_most(channel)) credit->quota = quota_most(channel);
}

void neap_channel_share_room(struct neap_channel *channel) {
    for (struct neap_list *node = channel->credits.next; node != &channel->credits; node = node->next)
        if (!credit_of(node)->class->is_being_read(credit_of(node))) share(channel, credit_of(node));
}

size_t neap_channel_on_its_way(const struct neap_channel *channel) {
    size_t count = 0;
    for (struct neap_list *node = channel->credits.next; node != &channel->credits; node = node->next)
        count += neap_credit_on_its_way(credit_of(node));
    return count;
}

/* For all of them: so that no count that is compared is an old one. */
bool neap_channel_await(struct neap_channel *channel) {
    bool awaited = false;
    for (struct neap_list *node = channel->credits.next; node != &channel->credits; node = node->next)
        if (neap_credit_await(credit_of(node))) awaited = true;
    if (awaited) channel->has_tries = true;
    return awaited;
}

/* Something has come, or will not. Those that wait for it, and for nothing else, have it or are dismissed. */
static void dismiss_tries(struct neap_channel *channel, struct neap_batch *batch) {
    if (!channel->has_tries) return;
    for (struct neap_list *node = channel->credits.next; node != &channel->credits; node = node->next)
        if (neap_credit_is_awaited(credit_of(node))) return;
    channel->has_tries = false;
    neap_waiters_dismiss(&channel->receivers, batch);
    neap_waiters_dismiss(&channel->pollers, batch);
}

void neap_channel_credit(struct neap_channel *channel, struct neap_credit *credit) {
    struct neap_batch batch = {NULL, NULL};
    if (quota_most(channel) == 0) return;
    neap_channel_begin_change(channel);
    if (!credit->ended && !neap_channel_has_closed(channel)) {
        bool unused = neap_credit_is_left(credit->slot) && credit->came == credit->came_before;
        if (!neap_list_is_linked(&credit->node)) {
            credit->serial = ++channel->credit_serial;
            neap_list_push_back(&channel->credits, &credit->node);
        }
        atomic_store_explicit(&channel->is_credited, true, memory_order_relaxed);
        if (credit->quota == 0) credit->quota = FIRST < quota_most(channel) ? FIRST : quota_most(channel);
        share(channel, credit);
        if (unused || !credit->told) credit->class->tell(credit);
        credit->told = true;
        credit->came_before = credit->came;
    }
    neap_channel_end_change(channel, &batch);
}

int neap_channel_accept(struct neap_channel *channel, struct neap_credit *credit, struct neap_message *message,
                        double priority, bool *due) {
    struct neap_batch batch = {NULL, NULL};
    int code = NEAP_RANGE;
    neap_channel_begin_change(channel);
    if (neap_credit_reserved(credit) > 0) {
        credit->came++;
        channel->reserved--;
        channel->idle = 0;
        neap_channel_deliver(channel, message, priority, &batch);
        neap_channel_admit_senders(channel, &batch);
        neap_channel_end_if_over(channel, &batch);
        dismiss_tries(channel, &batch);
        *due = neap_credit_reserved(credit) <= credit->quota / 2;
        code = 0;
    }
    neap_channel_end_change(channel, &batch);
    return code;
}

void neap_channel_share(struct neap_channel *channel, struct neap_credit *credit) {
    struct neap_batch batch = {NULL, NULL};
    neap_channel_begin_change(channel);
    if (!credit->ended) share(channel, credit);
    neap_channel_end_change(channel, &batch);
}

void neap_channel_end_credit(struct neap_channel *channel, struct neap_credit *credit) {
    struct neap_batch batch = {NULL, NULL};
    neap_channel_begin_change(channel);
    credit->ended = true;
    if (neap_list_is_linked(&credit->node)) {
        channel->reserved -= neap_credit_recall(credit);
        channel->reserved -= neap_credit_reserved(credit); /* they were not sent, though they were counted */
        credit->limit = credit->came;
        neap_list_remove(&credit->node);
        atomic_store_explicit(&channel->is_credited, !neap_list_is_empty(&channel->credits), memory_order_relaxed);
        neap_channel_use_room(channel, &batch);
        neap_channel_publish(channel);
        neap_channel_end_if_over(channel, &batch);
        dismiss_tries(channel, &batch);
        if (channel->credit_ended != NULL) channel->credit_ended(channel, &batch);
    }
    neap_channel_end_change(channel, &batch);
}

bool neap_channel_is_coming(struct neap_channel *channel) {
    bool coming = false;
    if (!neap_channel_is_credited(channel)) return false;
    neap_object_lock(&channel->object);
    for (struct neap_list *node = channel->credits.next; node != &channel->credits && !coming; node = node->next)
        coming = credit_of(node)->class->is_coming(credit_of(node));
    neap_object_unlock(&channel->object);
    return coming;
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
    if (!neap_channel_is_credited(channel)) return;
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
