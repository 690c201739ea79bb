#include "sync/turn.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"

static void give(struct neap_turns *turns, const struct neap_link *link) {
    turns->holder = neap_wait_owner(link->wait);
    NEAP_CONTAINER_OF(link->hold, struct neap_turn, hold)->turns = turns;
}

bool neap_turns_take(struct neap_turns *turns, struct neap_link *link) {
    bool is_held = turns->holder == neap_wait_owner(link->wait);
    if ((turns->holder != NULL && !is_held) || !neap_link_commit(link)) return false;
    if (is_held) {
        link->result = NEAP_HELD;
        return true;
    }
    NEAP_ASSERT(neap_list_is_empty(&turns->waiters), "while it is nobody's turn nobody waits");
    give(turns, link);
    neap_turn_enter(link);
    return true;
}

struct neap_link *neap_turns_pass(struct neap_turns *turns) {
    struct neap_link *next = neap_waiters_claim(&turns->waiters);
    if (next != NULL)
        give(turns, next);
    else
        turns->holder = NULL;
    return next;
}

void neap_turn_enter(struct neap_link *link) { neap_owner_enter(neap_wait_owner(link->wait), link->hold); }

void neap_turn_return(struct neap_turn *turn) { (void)neap_hold_give_back(&turn->hold); }
