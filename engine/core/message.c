#include "core/message.h"

#include <string.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/object.h"

_Static_assert(sizeof(struct neap_message) == 32, "four messages to two cache lines");

struct neap_parcel *neap_parcel_new(size_t size, uint32_t object_count) {
    struct neap_parcel *parcel = neap_alloc(sizeof *parcel + size);
    if (parcel == NULL) return NULL;
    parcel->size = size;
    parcel->object_count = object_count;
    parcel->objects = NULL;
    parcel->store = NULL;
    atomic_init(&parcel->refs, 1);
    if (object_count == 0) return parcel;
    parcel->objects = neap_alloc(object_count * sizeof(struct neap_object *));
    if (parcel->objects != NULL) return parcel;
    neap_free(parcel);
    return NULL;
}

struct neap_parcel *neap_parcel_new_stored(size_t size, struct neap_store *store) {
    struct neap_parcel *parcel = neap_parcel_new(0, 0);
    if (parcel == NULL) return NULL;
    parcel->size = size;
    parcel->store = store;
    return parcel;
}

void neap_parcel_free(struct neap_parcel *parcel) {
    if (parcel->store != NULL) parcel->store->release(parcel->store);
    for (uint32_t i = 0; i < parcel->object_count; i++) neap_object_unref(parcel->objects[i]);
    neap_free(parcel->objects);
    neap_free(parcel);
}

void neap_message_set_text(struct neap_message *message, const char *text) {
    size_t size = strlen(text);
    struct neap_parcel *parcel = size > NEAP_MESSAGE_TEXT_MAX ? neap_parcel_new(size, 0) : NULL;
    if (parcel != NULL) {
        memcpy(parcel->bytes, text, size);
        message->parcel = parcel;
        message->kind = NEAP_MESSAGE_BYTES;
        return;
    }
    message->kind = NEAP_MESSAGE_TEXT;
    message->length = (uint8_t)(size > NEAP_MESSAGE_TEXT_MAX ? NEAP_MESSAGE_TEXT_MAX : size);
    memcpy(message->text, text, message->length);
}

static void unref_parcel(struct neap_parcel *parcel) {
    /* the last one sees what all others did before they let go; who is alone need not write */
    if (atomic_load_explicit(&parcel->refs, memory_order_acquire) == 1 ||
        atomic_fetch_sub_explicit(&parcel->refs, 1, memory_order_acq_rel) == 1)
        neap_parcel_free(parcel);
}

/* A list goes with its last message: then what is in it does too. */
static void unref_list(struct neap_parcel *parcel) {
    if (atomic_fetch_sub_explicit(&parcel->refs, 1, memory_order_acq_rel) != 1) return;
    struct neap_message *items = (void *)parcel->bytes;
    for (size_t i = 0; i < parcel->size / sizeof *items; i++) neap_message_fini(&items[i]);
    neap_parcel_free(parcel);
}

void neap_message_release(struct neap_message *message) {
    switch (message->kind) {
        case NEAP_MESSAGE_OBJECT:
        case NEAP_MESSAGE_CODE: neap_object_unref(message->object); return;
        case NEAP_MESSAGE_LIST: unref_list(message->parcel); return;
        default: unref_parcel(message->parcel); return;
    }
}

void neap_message_copy(struct neap_message *to, const struct neap_message *from) {
    *to = *from;
    if (from->kind < NEAP_MESSAGE_BYTES) return;
    if (from->kind == NEAP_MESSAGE_OBJECT || from->kind == NEAP_MESSAGE_CODE)
        neap_object_ref(from->object);
    else
        atomic_fetch_add_explicit(&from->parcel->refs, 1, memory_order_relaxed);
}

int neap_message_unshare(struct neap_message *message) {
    if (message->kind != NEAP_MESSAGE_PARCEL) return 0;
    struct neap_parcel *shared = message->parcel;
    if (atomic_load_explicit(&shared->refs, memory_order_acquire) == 1)
        return 0; /* acquire: those that had one are done with it */
    struct neap_parcel *own = neap_parcel_new(shared->size, shared->object_count);
    if (own == NULL) return NEAP_NOMEM;
    memcpy(own->bytes, shared->bytes, shared->size);
    for (uint32_t i = 0; i < shared->object_count; i++) own->objects[i] = neap_object_ref(shared->objects[i]);
    message->parcel = own;
    unref_parcel(shared);
    return 0;
}

_Static_assert(offsetof(struct neap_parcel, bytes) % _Alignof(struct neap_message) == 0,
               "messages may lie in a parcel");

struct neap_message *neap_message_new_list(struct neap_message *list, size_t count) {
    if (count > PTRDIFF_MAX / sizeof *list) return NULL;
    struct neap_parcel *parcel = neap_parcel_new(count * sizeof *list, 0);
    if (parcel == NULL) return NULL;
    struct neap_message *items = (void *)parcel->bytes;
    for (size_t i = 0; i < count; i++) neap_message_clear(&items[i]);
    list->kind = NEAP_MESSAGE_LIST;
    list->parcel = parcel;
    return items;
}

int neap_message_pack(struct neap_message *messages, size_t count, struct neap_message *list) {
    struct neap_message *items = neap_message_new_list(list, count);
    if (items == NULL) return NEAP_NOMEM;
    for (size_t i = 0; i < count; i++) {
        NEAP_ASSERT(messages[i].kind != NEAP_MESSAGE_LIST, "no list is in a list");
        neap_message_move(&items[i], &messages[i]);
    }
    return 0;
}

const struct neap_message *neap_message_items(const struct neap_message *list, size_t *count) {
    NEAP_ASSERT(list->kind == NEAP_MESSAGE_LIST, "only a list has items");
    *count = list->parcel->size / sizeof *list;
    return (const void *)list->parcel->bytes;
}
