#include "core/message.h"

#include "core/memory.h"
#include "core/object.h"

_Static_assert(sizeof(struct neap_message) == 32, "four messages to two cache lines");

struct neap_parcel *neap_parcel_new(size_t size, uint32_t object_count) {
    struct neap_parcel *parcel = neap_alloc(sizeof *parcel + size);
    if (parcel == NULL) return NULL;
    parcel->size = size;
    parcel->object_count = object_count;
    parcel->objects = NULL;
    if (object_count == 0) return parcel;
    parcel->objects = neap_alloc(object_count * sizeof(struct neap_object *));
    if (parcel->objects != NULL) return parcel;
    neap_free(parcel);
    return NULL;
}

void neap_parcel_free(struct neap_parcel *parcel) {
    for (uint32_t i = 0; i < parcel->object_count; i++) neap_object_unref(parcel->objects[i]);
    neap_free(parcel->objects);
    neap_free(parcel);
}

void neap_message_release(struct neap_message *message) {
    if (message->kind == NEAP_MESSAGE_OBJECT)
        neap_object_unref(message->object);
    else
        neap_parcel_free(message->parcel);
}
