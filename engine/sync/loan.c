/* loan: who has a message that two processes have.
 *
 * PURPOSE     Receiving from another process's channel costs a round trip if each message is asked for. So the process
 *             whose channel it is sends ahead; and yet a message is received exactly once, by whoever comes first, also
 *             when a process is killed: the copies over there count for nothing until they are taken.
 * WORD        of shared memory: a round, and how many messages have ever been taken. The borrower takes the next
 *             message by counting on; the lender has all that is left back by beginning another round. Both by
 *             compare-and-swap, so each message is on one side of it. What was sent in an earlier round cannot be taken
 *             any more, whenever it arrives.
 * NUMBERS     count what is taken: the oldest that is lent has the number of those that were taken before. So one that
 *             was recalled may be lent again under another. They wrap, and only differences count.
 * TELLING     Taking tells nobody. If the lender waits for it (its channel is full, or it has more to lend than the
 *             quota) it writes down at which count it wants to hear, and looks at the word once more. The borrower
 *             counts, and then looks there. All of that is sequentially consistent, so one of the two sees the other.
 *             Counts go up one by one: none is passed over.
 * TRUST       None: a borrower that says that it has taken more than there was has taken all there was. */
#include "sync/loan.h"

enum { ROUND_SHIFT = 32 };

static uint64_t word_of(uint32_t round, uint32_t taken) { return (uint64_t)round << ROUND_SHIFT | taken; }

/* The word says that `taken` were. */
static uint32_t account(struct neap_loan *loan, uint32_t taken) {
    uint32_t count = taken - loan->first;
    if (count > loan->lent) count = loan->lent;
    loan->first += count;
    loan->lent -= count;
    return count;
}

uint32_t neap_loan_taken(struct neap_loan *loan) {
    if (loan->lent == 0) return 0;
    return account(loan, (uint32_t)atomic_load(&loan->slot->word));
}

uint32_t neap_loan_recall(struct neap_loan *loan) {
    if (loan->lent == 0) return 0;
    uint64_t word = atomic_load(&loan->slot->word);
    while (!atomic_compare_exchange_weak(&loan->slot->word, &word, word_of(loan->round + 1, (uint32_t)word))) {}
    uint32_t count = account(loan, (uint32_t)word);
    loan->round++;
    loan->lent = 0;
    return count;
}

bool neap_loan_ask(struct neap_loan *loan, uint32_t count) {
    atomic_store(&loan->slot->tell_at, loan->first + count);
    return (uint32_t)atomic_load(&loan->slot->word) - loan->first < count;
}

void neap_loan_init(struct neap_loan *loan, struct neap_loan_slot *slot,
                    uint32_t (*send)(struct neap_loan *loan, const struct neap_buffer *buffer, uint32_t from,
                                     uint32_t count)) {
    uint64_t word = atomic_load(&slot->word);
    loan->slot = slot;
    loan->round = (uint32_t)(word >> ROUND_SHIFT) + 1;
    loan->first = (uint32_t)word;
    loan->lent = 0;
    loan->quota = 0;
    loan->ended = false;
    loan->send = send;
    atomic_store(&slot->word, word_of(loan->round, loan->first));
}

bool neap_loan_take(struct neap_loan_slot *slot, uint32_t round, uint32_t number, bool *tell) {
    uint64_t word = word_of(round, number);
    if (!atomic_compare_exchange_strong(&slot->word, &word, word_of(round, number + 1))) return false;
    *tell = atomic_load(&slot->tell_at) == number + 1;
    return true;
}
