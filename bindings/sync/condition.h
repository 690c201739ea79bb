/* condition: its lock, for the methods that it lends. */
#ifndef NEAP_BINDINGS_SYNC_CONDITION_H
#define NEAP_BINDINGS_SYNC_CONDITION_H

#include "core/object.h"

/* Of the condition `object`, here or elsewhere. */
struct neap_object *neap_condition_lock(struct neap_object *object);

#endif
