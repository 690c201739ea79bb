/* owner: in whose name locks and permits are held. A task is one, and so is a host's thread.
 *
 * A hold is a record inside the lock (or in the guard of a permit) that stands in its owner's list from the moment the
 * owner's thread learns that it holds, until it releases. When an owner ends, whatever is still in the list is
 * abandoned. The list is touched by the owner's own thread only, so it needs no lock. */
#ifndef NEAP_CORE_OWNER_H
#define NEAP_CORE_OWNER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/object.h"

struct neap_hold {
    struct neap_hold *next;     /* in owner->held */
    struct neap_hold **place;   /* what points to it there; NULL: it is in no list */
    struct neap_object *object; /* what is held */
    /* The owner ended: let the object go on without it. The hold is out of the list already. */
    void (*abandon)(struct neap_hold *hold);
    bool counted; /* a reference to the object while linked; else it lives on by itself. Before it is linked */
};

struct neap_owner {
    struct neap_hold *held; /* the last taken first, NULL after the last; own thread */
};

static inline void neap_owner_init(struct neap_owner *owner) { owner->held = NULL; }

static inline void neap_hold_init(struct neap_hold *hold) { hold->place = NULL; }
static inline bool neap_hold_is_linked(const struct neap_hold *hold) { return hold->place != NULL; }

static inline void neap_hold_link(struct neap_owner *owner, struct neap_hold *hold) {
    hold->next = owner->held;
    hold->place = &owner->held;
    if (hold->next != NULL) hold->next->place = &hold->next;
    owner->held = hold;
}

/* Harmless for one that is in no list. */
static inline void neap_hold_unlink(struct neap_hold *hold) {
    if (hold->place == NULL) return;
    *hold->place = hold->next;
    if (hold->next != NULL) hold->next->place = hold->place;
    hold->place = NULL;
}

static inline void neap_owner_enter(struct neap_owner *owner, struct neap_hold *hold) {
    neap_hold_link(owner, hold);
    hold->counted = true;
    neap_object_ref(hold->object);
}

static inline void neap_owner_leave(struct neap_hold *hold) {
    neap_hold_unlink(hold);
    neap_object_unref(hold->object);
}

/* By the owner's thread: as at the owner's end, before it. False: it was not held. For holds
 * whose abandoning is giving back. */
static inline bool neap_hold_give_back(struct neap_hold *hold) {
    if (!neap_hold_is_linked(hold)) return false;
    struct neap_object *object = hold->object;
    neap_hold_unlink(hold);
    hold->abandon(hold);
    neap_object_unref(object);
    return true;
}

/* The owner ends: abandons everything that it still holds, the last taken first. */
void neap_owner_abandon(struct neap_owner *owner);
static inline void neap_owner_end(struct neap_owner *owner) {
    if (owner->held != NULL) neap_owner_abandon(owner);
}

#endif
