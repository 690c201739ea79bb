/* loan: the oldest messages of a channel, copied to another process before anybody there has asked for
 * them. The channel keeps its own copies, and what has not been taken over there it can have back at any
 * moment. The essay is in loan.c. */
#ifndef NEAP_SYNC_LOAN_H
#define NEAP_SYNC_LOAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct neap_buffer;

enum { NEAP_LOAN_MAX = 1024 }; /* messages that are lent at a time */

/* What both processes see. */
struct neap_loan_slot {
    _Atomic uint64_t word;    /* see WORD in loan.c */
    _Atomic uint32_t tell_at; /* see TELLING there */
};

/* The lender's books. All of it under the guard of the channel. */
struct neap_loan {
    struct neap_loan_slot *slot; /* constant */
    uint32_t round;              /* of the word */
    uint32_t first;              /* the number of the oldest message that is lent, or would be */
    uint32_t lent;               /* messages: first .. first + lent - 1 */
    uint32_t quota;              /* no more than so many; grows while they are taken */
    bool ended;                  /* nothing is lent any more, for good */
    /* Sends copies of the messages from place `from` of the buffer on, at most `count`, of which the first has the
     * number loan->first + from; returns how many. The guard is held: nothing waits, and nothing else is called. */
    uint32_t (*send)(struct neap_loan *loan, const struct neap_buffer *buffer, uint32_t from, uint32_t count);
};

/* Nothing is lent. Whatever the slot was used for before is over. */
void neap_loan_init(struct neap_loan *loan, struct neap_loan_slot *slot,
                    uint32_t (*send)(struct neap_loan *loan, const struct neap_buffer *buffer, uint32_t from,
                                     uint32_t count));

/* How many of the lent have been taken since this was last asked; they are lent no more. */
uint32_t neap_loan_taken(struct neap_loan *loan);
/* The same; and the rest is ours again. */
uint32_t neap_loan_recall(struct neap_loan *loan);
/* The other side is to tell when `count` of the lent have been taken. False: they have. */
bool neap_loan_ask(struct neap_loan *loan, uint32_t count);

/* --- the borrower --- */

/* Takes message `number`, the next one, which was lent in `round`. False: it is not ours any more, nor are those behind
 * it. `*tell`: the lender wants to be told. */
bool neap_loan_take(struct neap_loan_slot *slot, uint32_t round, uint32_t number, bool *tell);

#endif
