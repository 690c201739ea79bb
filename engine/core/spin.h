/* spin: looking for what a wait waits for, for a while, before it parks. The essay is in spin.c. */
#ifndef NEAP_CORE_SPIN_H
#define NEAP_CORE_SPIN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/loop.h"
#include "core/object.h"
#include "core/wait.h"

/* A shared object's own way past its guard, where it has one. */
static inline enum neap_quick neap_link_try_quick(struct neap_link *link) {
    struct neap_object *object = link->object;
    if (object->class->look != NULL) object->class->look(object, link);
    return object->class->quick != NULL ? object->class->quick(object, link) : NEAP_QUICK_ASK;
}

static inline bool neap_spin_is_worth_it(const struct neap_loop *loop, const struct neap_link *link) {
    return link->object->class->hint != NULL && !neap_loop_has_ready(loop);
}

/* Attempt is asked next, unless they return NEAP_QUICK_DONE. No guard held.
 * LOOK    where it is worth it; `quick`: what came of the first try
 * WATCH   looks all the time; the first try said NEAP_QUICK_SOON */
enum neap_quick neap_spin_look(struct neap_loop *loop, struct neap_link *link, enum neap_quick quick);
enum neap_quick neap_spin_watch(struct neap_loop *loop, struct neap_link *link);

#endif
