/* owner: in whose name locks and permits are held. A task is one, and so is a host's thread.
 *
 * A hold is a record inside the lock (or in the guard of a permit) that stands in its owner's list from the moment the
 * owner's thread learns that it holds, until it releases. When an owner ends, whatever is still in the list is abandoned. The list
 * is touched by the owner's own thread only, so it needs no lock. */
#ifndef NEAP_SYNC_OWNER_H
#define NEAP_SYNC_OWNER_H

#include "core/list.h"
#include "core/object.h"

struct neap_hold {
    struct neap_list node;      /* in owner->held */
    struct neap_object *object; /* what is held */
    /* The owner ended: let the object go on without it. The hold is out of the list already. */
    void (*abandon)(struct neap_hold *hold);
    bool counted; /* a reference to the object while linked; else it lives on by itself. Before it is linked */
};

struct neap_owner {
    struct neap_list held; /* of neap_hold; own thread */
};

static inline void neap_owner_init(struct neap_owner *owner) { neap_list_init(&owner->held); }

static inline void neap_owner_enter(struct neap_owner *owner, struct neap_hold *hold) {
    neap_list_push_back(&owner->held, &hold->node);
    hold->counted = true;
    neap_object_ref(hold->object);
}

static inline void neap_owner_leave(struct neap_hold *hold) {
    neap_list_remove(&hold->node);
    neap_object_unref(hold->object);
}

/* By the owner's thread: as at the owner's end, before it. False: it was not held. For holds whose abandoning is giving back. */
static inline bool neap_hold_give_back(struct neap_hold *hold) {
    if (!neap_list_is_linked(&hold->node)) return false;
    struct neap_object *object = hold->object;
    neap_list_remove(&hold->node);
    hold->abandon(hold);
    neap_object_unref(object);
    return true;
}

/* The owner ends: abandons everything that it still holds, the last taken first. */
void neap_owner_abandon(struct neap_owner *owner);
static inline void neap_owner_end(struct neap_owner *owner) {
    if (!neap_list_is_empty(&owner->held)) neap_owner_abandon(owner);
}

#endif
