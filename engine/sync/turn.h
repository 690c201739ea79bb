/* turn: who may change something. Of a dict's key, or of a list, one owner at a time has the
 * turn; first come, first served.
 *
 * The turn is had while somebody computes what the new value is to be, which takes a function in Lua, and may take for
 * ever. Reading goes on meanwhile, changing waits. An owner that ends without giving it back has changed nothing.
 *
 * This is the part that the classes have in common, all of it under the guard of the object. */
#ifndef NEAP_SYNC_TURN_H
#define NEAP_SYNC_TURN_H

#include <stdbool.h>

#include "core/list.h"
#include "core/owner.h"
#include "core/wait.h"

struct neap_turns {
    struct neap_owner *holder; /* whose turn it is; NULL: nobody's, and then nobody waits */
    struct neap_list waiters;  /* links of those who want it */
};

/* One owner's turn. Its memory is the owner's; `link->hold` while it waits. */
struct neap_turn {
    struct neap_hold hold;    /* `object` is the dict or list */
    struct neap_turns *turns; /* of what it is; set when it is taken */
};

static inline void neap_turns_init(struct neap_turns *turns) {
    turns->holder = NULL;
    neap_list_init(&turns->waiters);
}

/* Is it the turn of somebody else than `owner`? */
static inline bool neap_turns_are_taken(const struct neap_turns *turns, const struct neap_owner *owner) {
    return turns->holder != NULL && turns->holder != owner;
}

static inline void neap_turn_init(struct neap_turn *turn, struct neap_object *object,
                                  void (*abandon)(struct neap_hold *hold)) {
    neap_hold_init(&turn->hold);
    turn->hold.object = object;
    turn->hold.abandon = abandon;
    turn->turns = NULL;
}

/* For attempt, which it commits: true: it is the turn of `link`'s owner now, or link->result is
 * NEAP_HELD: it has been already. */
bool neap_turns_take(struct neap_turns *turns, struct neap_link *link);
/* Its holder gives it back, which is in no list any more: the link that has been claimed and whose turn it is, its
 * results to be filled in; NULL: nobody's. */
struct neap_link *neap_turns_pass(struct neap_turns *turns);

/* For resumed. Owner's thread, no guard. */
void neap_turn_enter(struct neap_link *link);
/* Owner's thread, no guard: gives back a turn that was had; else does nothing. */
void neap_turn_return(struct neap_turn *turn);

#endif
