/* credit: places of a channel that another process may fill without asking. The essay is in credit.c. */
#ifndef NEAP_SYNC_CREDIT_H
#define NEAP_SYNC_CREDIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/list.h"

struct neap_credit;

enum { NEAP_CREDIT_MAX = 512 /* places that are granted at a time */ };

/* What both processes see. */
struct neap_credit_slot {
    _Atomic uint64_t word; /* see WORD in credit.c */
};

/* What a channel asks of whoever a credit belongs to. Any thread. */
struct neap_credit_class {
    /* The channel's guard held: has something been sent by it that has not been received yet? A guess. */
    bool (*is_coming)(const struct neap_credit *credit);
    /* The same: is somebody receiving what is sent over its link? */
    bool (*is_being_read)(const struct neap_credit *credit);
    /* The same: takes a reference, and lets go of it without the guard. */
    void (*ref)(struct neap_credit *credit);
    void (*unref)(struct neap_credit *credit);
    /* The channel's guard held: tells the other process where its slot is. */
    void (*tell)(struct neap_credit *credit);
    /* No guard held: receives all that has been sent so far. */
    void (*take_in)(struct neap_credit *credit);
};

/* The creditor's books. All of it under the guard of the channel. */
struct neap_credit {
    const struct neap_credit_class *class; /* constant */
    struct neap_credit_slot *slot;         /* constant */
    struct neap_list node;                 /* in channel->credits */
    uint64_t serial;                       /* of the channel's credits; later ones have higher numbers */
    uint32_t came;                         /* messages that have come by it, ever */
    uint32_t limit;                        /* so many may come: limit - came places are reserved */
    uint32_t quota;                        /* no more than so many are; grows while they are used */
    uint32_t awaited;                      /* until so many have come: see neap_credit_await */
    uint32_t came_before;                  /* those that had when it was last told of the slot */
    bool told;                             /* of the slot */
    bool ended;                            /* nothing is granted any more, for good */
};

/* Nothing is granted. Whatever the slot was used for before is over. */
void neap_credit_init(struct neap_credit *credit, const struct neap_credit_class *class, struct neap_credit_slot *slot);

/* Places that are reserved for what comes by it: on its way, or not sent yet. */
static inline uint32_t neap_credit_reserved(const struct neap_credit *credit) { return credit->limit - credit->came; }
/* Those of them that have been sent: they come, unless the link ends. */
uint32_t neap_credit_on_its_way(const struct neap_credit *credit);
/* Whoever tries to receive waits until these have come. Are there any? */
bool neap_credit_await(struct neap_credit *credit);
static inline bool neap_credit_is_awaited(const struct neap_credit *credit) {
    return (int32_t)(credit->awaited - credit->came) > 0;
}
/* So many more, which the caller has reserved before. */
void neap_credit_grant(struct neap_credit *credit, uint32_t count);
/* Nothing more can be sent by it: returns how many places are not reserved any more. What is on its way comes. */
uint32_t neap_credit_recall(struct neap_credit *credit);

/* --- the debtor --- */

/* A guess. */
bool neap_credit_is_left(struct neap_credit_slot *slot);
/* What is sent next, and at once, has a place. False: nothing is granted now. */
bool neap_credit_use(struct neap_credit_slot *slot);

#endif
