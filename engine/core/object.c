#include "core/object.h"

#include <stddef.h>

#include "core/check.h"

#ifdef NEAP_CHECK
static _Thread_local char here; /* its address names the thread */

void neap_object_check_home(const struct neap_object *object) {
    NEAP_ASSERT(object->shared || object->home == &here, "a local object is used by its own thread only");
}
#endif

void neap_object_init(struct neap_object *object, const struct neap_class *class) {
    object->class = class;
    atomic_init(&object->refs, 1);
    neap_guard_init(&object->guard);
    object->shared = false;
    atomic_init(&object->far, false);
#ifdef NEAP_CHECK
    object->home = &here;
#endif
}

void neap_object_share(struct neap_object *object) {
    if (object->shared) return;
    neap_object_check_home(object);
    if (object->class->on_share != NULL) object->class->on_share(object);
    object->shared = true;
}

struct neap_object *neap_object_ref(struct neap_object *object) {
    if (object->shared) {
        atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
    } else {
        neap_object_check_home(object);
        atomic_store_explicit(&object->refs, atomic_load_explicit(&object->refs, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    }
    return object;
}

/* Ends `object`. Ending one may end others that only it refers to (a channel's messages hold handles), in chains as
 * long as a script likes: they queue here, so that the C stack does not grow with them. */
static void bury(struct neap_object *object) {
    static _Thread_local struct neap_object *waiting;
    static _Thread_local bool burying;
    object->next_dead = waiting;
    waiting = object;
    if (burying) return;
    burying = true;
    while (waiting != NULL) {
        struct neap_object *next = waiting;
        waiting = next->next_dead;
        next->class->destroy(next);
    }
    burying = false;
}

void neap_object_unref(struct neap_object *object) {
    if (object->shared) {
        if (atomic_fetch_sub_explicit(&object->refs, 1, memory_order_release) != 1) return;
        /* pairs with the release of every other holder: what they did to the object happened before its end */
        (void)atomic_load_explicit(&object->refs, memory_order_acquire);
    } else {
        neap_object_check_home(object);
        unsigned left = atomic_load_explicit(&object->refs, memory_order_relaxed) - 1;
        atomic_store_explicit(&object->refs, left, memory_order_relaxed);
        if (left != 0) return;
    }
    if (object->class->revived != NULL && object->class->revived(object)) return;
    bury(object);
}
