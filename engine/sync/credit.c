/* credit: sending to another process's channel without asking.
 *
 * PURPOSE     Sending costs a round trip if each message is asked for: whether there is room only the channel's process
 *             knows. So it reserves places for a process that sends again and again, and says so; and the other one
 *             sends, and goes on. Nothing is promised that does not hold: what was sent has a place, arrives though its
 *             process is killed, and counts as sent before whatever is asked for later over the same link.
 * WORD        of shared memory: up to which count may be sent, and how many have ever been sent. Who sends counts on,
 *             while it is below; the creditor grants more by raising the limit, and takes back what is left by lowering
 *             it to the count. All by compare-and-swap; so each place is on one side of it, and what was counted before
 *             a recall is on its way.
 * COUNTS      wrap, and only differences count. The creditor counts what comes. So of the places that it has reserved
 *             (limit - came) those up to the count of the word are of messages that are on their way, and the others
 *             have not been used.
 * ON ITS WAY  is what has been counted and not read yet. The frame is written first, and published right after it was
 *             counted (neap_wire_send_if): who is killed in between has sent nothing, and the end of the link gives the
 *             place back.
 * TRUST       None: what comes without a place ends the link, and a count that cannot be is cut to what was granted. */
#include "sync/credit.h"

enum { LIMIT_SHIFT = 32 };

static uint64_t word_of(uint32_t limit, uint32_t sent) { return (uint64_t)limit << LIMIT_SHIFT | sent; }

static uint32_t sent_in(uint64_t word) { return (uint32_t)word; }

static uint32_t limit_in(uint64_t word) { return (uint32_t)(word >> LIMIT_SHIFT); }

static bool is_below(uint64_t word) { return (int32_t)(limit_in(word) - sent_in(word)) > 0; }

void neap_credit_init(struct neap_credit *credit, const struct neap_credit_class *class,
                      struct neap_credit_slot *slot) {
    uint32_t sent = sent_in(atomic_load(&slot->word));
    credit->class = class;
    credit->slot = slot;
    neap_list_init(&credit->node);
    credit->came = credit->limit = credit->awaited = sent;
    credit->came_before = sent;
    credit->serial = 0;
    credit->quota = 0;
    credit->told = false;
    credit->ended = false;
    atomic_store(&slot->word, word_of(sent, sent));
}

uint32_t neap_credit_on_its_way(const struct neap_credit *credit) {
    uint32_t coming = sent_in(atomic_load(&credit->slot->word)) - credit->came, reserved = neap_credit_reserved(credit);
    return coming < reserved ? coming : reserved;
}

bool neap_credit_await(struct neap_credit *credit) {
    credit->awaited = credit->came + neap_credit_on_its_way(credit);
    return neap_credit_is_awaited(credit);
}

void neap_credit_grant(struct neap_credit *credit, uint32_t count) {
    uint64_t word = atomic_load(&credit->slot->word);
    credit->limit += count;
    while (!atomic_compare_exchange_weak(&credit->slot->word, &word, word_of(credit->limit, sent_in(word)))) {}
}

uint32_t neap_credit_recall(struct neap_credit *credit) {
    uint64_t word = atomic_load(&credit->slot->word);
    uint32_t reserved = neap_credit_reserved(credit);
    if (reserved == 0) return 0;
    while (!atomic_compare_exchange_weak(&credit->slot->word, &word, word_of(sent_in(word), sent_in(word)))) {}
    uint32_t coming = sent_in(word) - credit->came;
    if (coming > reserved) coming = reserved;
    credit->limit = credit->came + coming;
    return reserved - coming;
}

bool neap_credit_is_left(struct neap_credit_slot *slot) {
    return is_below(atomic_load_explicit(&slot->word, memory_order_relaxed));
}

bool neap_credit_use(struct neap_credit_slot *slot) {
    uint64_t word = atomic_load(&slot->word);
    while (is_below(word))
        if (atomic_compare_exchange_weak(&slot->word, &word, word_of(limit_in(word), sent_in(word) + 1))) return true;
    return false;
}
