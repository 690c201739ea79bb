#include "sync/owner.h"

void neap_owner_abandon(struct neap_owner *owner) {
    while (!neap_list_is_empty(&owner->held)) {
        struct neap_hold *hold = NEAP_CONTAINER_OF(owner->held.prev, struct neap_hold, node);
        struct neap_object *object = hold->object;
        bool counted = hold->counted;
        neap_list_remove(&hold->node);
        hold->abandon(hold);
        if (counted) neap_object_unref(object);
    }
}
