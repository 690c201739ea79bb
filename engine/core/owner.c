#include "core/owner.h"

void neap_owner_abandon(struct neap_owner *owner) {
    struct neap_hold *hold;
    while ((hold = owner->held) != NULL) {
        struct neap_object *object = hold->object;
        bool counted = hold->counted;
        neap_hold_unlink(hold);
        hold->abandon(hold);
        if (counted) neap_object_unref(object);
    }
}
