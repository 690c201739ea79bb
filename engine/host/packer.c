/* packer: how messages cross.
 *
 * OBJECTS     A message refers to objects by index; each class says itself what is written for one of its own, and
 *             makes another of it on the other side (pack and unpack in core/object.h). Classes go by their numbers in
 *             the table that the wire's engine was given: both ends have the same, being of one version. */
#include "host/packer.h"

#include <unistd.h>
#include <uv.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/object.h"
#include "host/exports.h"
#include "host/reference.h"
#include "host/session.h"

enum {
    OBJECTS_MAX = 1 << 24,
    DEPTH_MAX = 8 /* of objects whose messages have objects; each costs C stack */
};

/* --- writing --- */

void neap_packer_init(struct neap_packer *packer, struct neap_wire *wire) {
    packer->wire = wire;
    packer->bytes = packer->inlined;
    packer->used = 0;
    packer->room = sizeof packer->inlined;
    packer->bulk = NULL;
    packer->bulk_size = packer->bulk_at = 0;
    packer->fd_count = 0;
    packer->code = 0;
    packer->obstacle = NULL;
    packer->is_late = false;
    packer->note_count = 0;
}

void neap_packer_fini(struct neap_packer *packer) {
    while (packer->fd_count > 0) close(packer->fds[--packer->fd_count]);
    if (packer->bytes != packer->inlined) neap_free(packer->bytes);
}

int neap_packer_send(struct neap_packer *packer, uint8_t type) {
    bool in_between = packer->bulk != NULL;
    size_t first = in_between ? packer->bulk_at : packer->used;
    const struct iovec pieces[] = {
        {packer->bytes, first},
        {(void *)(uintptr_t)packer->bulk, packer->bulk_size},
        {packer->bytes + first, packer->used - first},
    };
    if (packer->code != 0) return packer->code;
    int code = in_between ? neap_wire_send_bulk(packer->wire, type, pieces, packer->fds, packer->fd_count)
                          : neap_wire_send(packer->wire, type, pieces, 1, packer->fds, packer->fd_count);
    if (code == 0 && packer->note_count > 0)
        neap_exports_sent(packer->wire->session, packer->notes, packer->note_count);
    return code;
}

int neap_packer_tell(struct neap_packer *packer, uint8_t type) {
    const struct iovec piece = {packer->bytes, packer->used};
    bool small = packer->used <= NEAP_WIRE_TOLD && packer->bulk == NULL && packer->fd_count == 0;
    if (packer->code != 0 || !small || packer->note_count > 0) return neap_packer_send(packer, type);
    neap_wire_tell(packer->wire, type, &piece);
    return 0;
}

static bool widen(struct neap_packer *packer, size_t size) {
    size_t room = packer->room * 2;
    while (room < packer->used + size) room *= 2;
    char *bytes = neap_realloc(packer->bytes == packer->inlined ? NULL : packer->bytes, room);
    if (bytes == NULL) {
        packer->code = NEAP_NOMEM;
        return false;
    }
    if (packer->bytes == packer->inlined) memcpy(bytes, packer->inlined, packer->used);
    packer->bytes = bytes;
    packer->room = room;
    return true;
}

void neap_pack(struct neap_packer *packer, const void *bytes, size_t size) {
    if (packer->code != 0 || size == 0) return;
    if (size > packer->room - packer->used && !widen(packer, size)) return;
    memcpy(packer->bytes + packer->used, bytes, size);
    packer->used += size;
}

void neap_pack_text(struct neap_packer *packer, const char *text) {
    if (text == NULL) text = "";
    neap_pack(packer, text, strlen(text) + 1);
}

void neap_pack_fd(struct neap_packer *packer, int fd) {
    if (packer->code == 0 && packer->fd_count == NEAP_WIRE_FDS_MAX - 1) packer->code = UV_EMSGSIZE;
    if (packer->code == 0)
        packer->fds[packer->fd_count++] = fd;
    else
        close(fd);
}

static int number_of(const struct neap_wire *wire, const struct neap_class *class) {
    for (int i = 0; wire->classes != NULL && wire->classes[i] != NULL; i++)
        if (wire->classes[i] == class) return i;
    return -1;
}

void neap_pack_class(struct neap_packer *packer, const struct neap_class *class) {
    int number = number_of(packer->wire, class);
    if (number < 0 && packer->code == 0) packer->code = UV_ENOTSUP;
    neap_pack_u8(packer, (uint8_t)number);
}

void neap_pack_whole(struct neap_packer *packer, struct neap_object *object) {
    if (packer->code != 0) return;
    if (number_of(packer->wire, object->class) < 0 || object->class->pack == NULL) {
        packer->code = UV_ENOTSUP;
        packer->obstacle = object;
        return;
    }
    neap_pack_class(packer, object->class);
    object->class->pack(object, packer);
}

static void pack_object(struct neap_packer *packer, struct neap_object *object) {
    if (packer->code != 0) return;
    if (packer->wire->session != NULL)
        neap_reference_pack(packer, object);
    else
        neap_pack_whole(packer, object);
}

static void pack_parcel(struct neap_packer *packer, const struct neap_parcel *parcel) {
    neap_pack_u32(packer, parcel->object_count);
    for (uint32_t i = 0; i < parcel->object_count; i++) pack_object(packer, parcel->objects[i]);
    neap_pack_u64(packer, parcel->size);
    const char *bytes = neap_parcel_string(parcel);
    if (parcel->size < NEAP_PACKER_BULK || packer->bulk != NULL) {
        neap_pack(packer, bytes, parcel->size);
    } else {
        packer->bulk = bytes;
        packer->bulk_size = parcel->size;
        packer->bulk_at = packer->used;
    }
}

static void pack_list(struct neap_packer *packer, const struct neap_message *list) {
    size_t count;
    const struct neap_message *items = neap_message_items(list, &count);
    neap_pack_u64(packer, count);
    for (size_t i = 0; i < count; i++) neap_pack_message(packer, &items[i]);
}

void neap_pack_message(struct neap_packer *packer, const struct neap_message *message) {
    neap_pack_u8(packer, message->kind);
    switch (message->kind) {
        case NEAP_MESSAGE_INTEGER:
        case NEAP_MESSAGE_NUMBER: neap_pack(packer, &message->integer, sizeof message->integer); break;
        case NEAP_MESSAGE_TEXT:
            neap_pack_u8(packer, message->length);
            neap_pack(packer, message->text, message->length);
            break;
        case NEAP_MESSAGE_BYTES:
        case NEAP_MESSAGE_PARCEL: pack_parcel(packer, message->parcel); break;
        case NEAP_MESSAGE_LIST: pack_list(packer, message); break;
        case NEAP_MESSAGE_OBJECT:
        case NEAP_MESSAGE_CODE: pack_object(packer, message->object); break;
        default: break;
    }
}

/* --- reading --- */

void neap_unpacker_init(struct neap_unpacker *unpacker, struct neap_wire *wire, const struct neap_wire_frame *frame) {
    unpacker->wire = wire;
    unpacker->at = frame->bytes;
    unpacker->end = frame->bytes + frame->size;
    unpacker->bulk = frame->bulk;
    unpacker->bulk_at = frame->bulk != NULL ? frame->bytes + frame->bulk->at : NULL;
    unpacker->fds = frame->fds;
    unpacker->fd_count = frame->fd_count;
    unpacker->depth = 0;
    unpacker->code = 0;
}

void neap_unpack_fail(struct neap_unpacker *unpacker, int code) {
    if (unpacker->code == 0) unpacker->code = code;
}

void neap_unpack_nomem(struct neap_unpacker *unpacker) { neap_unpack_fail(unpacker, NEAP_NOMEM); }

const char *neap_unpack(struct neap_unpacker *unpacker, size_t size) {
    const char *at = unpacker->at;
    if (size > (size_t)(unpacker->end - at)) neap_unpack_fail(unpacker, UV_EPROTO);
    if (unpacker->code != 0) return NULL;
    unpacker->at += size;
    return at;
}

static void take(struct neap_unpacker *unpacker, void *value, size_t size) {
    const char *bytes = neap_unpack(unpacker, size);
    if (bytes != NULL) memcpy(value, bytes, size);
}

uint8_t neap_unpack_u8(struct neap_unpacker *unpacker) {
    uint8_t value = 0;
    take(unpacker, &value, sizeof value);
    return value;
}

uint32_t neap_unpack_u32(struct neap_unpacker *unpacker) {
    uint32_t value = 0;
    take(unpacker, &value, sizeof value);
    return value;
}

uint64_t neap_unpack_u64(struct neap_unpacker *unpacker) {
    uint64_t value = 0;
    take(unpacker, &value, sizeof value);
    return value;
}

const char *neap_unpack_text(struct neap_unpacker *unpacker) {
    size_t left = (size_t)(unpacker->end - unpacker->at);
    const char *zero = left > 0 ? memchr(unpacker->at, '\0', left) : NULL;
    if (zero == NULL) neap_unpack_fail(unpacker, UV_EPROTO);
    const char *text = unpacker->code == 0 ? neap_unpack(unpacker, (size_t)(zero - unpacker->at) + 1) : NULL;
    return text != NULL ? text : "";
}

int neap_unpack_fd_or_none(struct neap_unpacker *unpacker) {
    if (unpacker->fd_count == 0) neap_unpack_fail(unpacker, UV_EPROTO);
    if (unpacker->code != 0) return -1;
    int fd = *unpacker->fds;
    *unpacker->fds++ = -1;
    unpacker->fd_count--;
    return fd;
}

int neap_unpack_fd(struct neap_unpacker *unpacker) {
    int fd = neap_unpack_fd_or_none(unpacker);
    if (fd < 0) neap_unpack_fail(unpacker, UV_EMFILE);
    return fd;
}

const struct neap_class *neap_unpack_class(struct neap_unpacker *unpacker) {
    unsigned number = neap_unpack_u8(unpacker), count = 0;
    const struct neap_class *const *classes = unpacker->wire->classes;
    while (classes != NULL && classes[count] != NULL) count++;
    if (number < count) return classes[number];
    neap_unpack_fail(unpacker, UV_EPROTO);
    return NULL;
}

struct neap_object *neap_unpack_whole(struct neap_unpacker *unpacker) {
    const struct neap_class *class = neap_unpack_class(unpacker);
    if (unpacker->depth == DEPTH_MAX || (class != NULL && class->unpack == NULL)) neap_unpack_fail(unpacker, UV_EPROTO);
    if (class == NULL || unpacker->code != 0) return NULL;
    unpacker->depth++;
    struct neap_object *object = class->unpack(unpacker);
    unpacker->depth--;
    if (object == NULL) neap_unpack_fail(unpacker, UV_EPROTO);
    if (unpacker->code == 0) return object;
    if (object != NULL) neap_object_unref(object);
    return NULL;
}

struct neap_object *neap_unpack_object(struct neap_unpacker *unpacker) {
    if (unpacker->wire->session == NULL) return neap_unpack_whole(unpacker);
    struct neap_object *object = unpacker->code == 0 ? neap_reference_unpack(unpacker) : NULL;
    if (object == NULL) neap_unpack_fail(unpacker, UV_EPROTO);
    return object;
}

/* Objects come before the bytes: each takes a byte at least, so no number of them makes us ask for
 * more than the frame's size. */
static struct neap_object **unpack_objects(struct neap_unpacker *unpacker, uint32_t count) {
    uint32_t done = 0;
    if (count > OBJECTS_MAX || count > (size_t)(unpacker->end - unpacker->at)) neap_unpack_fail(unpacker, UV_EPROTO);
    if (unpacker->code != 0 || count == 0) return NULL;
    struct neap_object **objects = neap_alloc(count * sizeof(struct neap_object *));
    if (objects == NULL) {
        neap_unpack_nomem(unpacker);
        return NULL;
    }
    for (; done < count; done++) {
        objects[done] = neap_unpack_object(unpacker);
        if (objects[done] == NULL) break;
    }
    if (done == count) return objects;
    while (done > 0) neap_object_unref(objects[--done]);
    neap_free(objects);
    return NULL;
}

/* A parcel of the next `size` bytes. Those of a plain string may stay where they are. NULL: an error. */
static struct neap_parcel *unpack_bytes(struct neap_unpacker *unpacker, size_t size, bool is_plain) {
    struct neap_large_incoming *bulk = unpacker->at == unpacker->bulk_at ? unpacker->bulk : NULL;
    bool is_bulk = unpacker->code == 0 && bulk != NULL && bulk->size == size;
    const char *bytes = is_bulk ? bulk->bytes : neap_unpack(unpacker, size);
    if (bytes == NULL) return NULL;
    struct neap_store *store = is_bulk && is_plain ? neap_large_lend(bulk) : NULL;
    struct neap_parcel *parcel = store != NULL ? neap_parcel_new_stored(size, store) : neap_parcel_new(size, 0);
    if (is_bulk) unpacker->bulk = NULL;
    if (parcel != NULL && store == NULL) memcpy(parcel->bytes, bytes, size);
    if (parcel == NULL && store != NULL) store->release(store);
    if (parcel == NULL) neap_unpack_nomem(unpacker);
    return parcel;
}

static struct neap_parcel *unpack_parcel(struct neap_unpacker *unpacker, bool is_plain) {
    uint32_t count = neap_unpack_u32(unpacker);
    struct neap_object **objects = unpack_objects(unpacker, count);
    size_t size = neap_unpack_u64(unpacker);
    struct neap_parcel *parcel = unpack_bytes(unpacker, size, is_plain);
    if (parcel == NULL) {
        for (uint32_t i = 0; objects != NULL && i < count; i++) neap_object_unref(objects[i]);
        neap_free(objects);
        return NULL;
    }
    parcel->objects = objects;
    parcel->object_count = count;
    return parcel;
}

/* What stands in the message itself. */
static void unpack_inline(struct neap_unpacker *unpacker, struct neap_message *message) {
    if (message->kind == NEAP_MESSAGE_TEXT) {
        message->length = neap_unpack_u8(unpacker);
        if (message->length > NEAP_MESSAGE_TEXT_MAX) neap_unpack_fail(unpacker, UV_EPROTO);
        if (unpacker->code == 0) take(unpacker, message->text, message->length);
    } else if (message->kind == NEAP_MESSAGE_INTEGER || message->kind == NEAP_MESSAGE_NUMBER) {
        take(unpacker, &message->integer, sizeof message->integer);
    } else if (message->kind > NEAP_MESSAGE_TRUE) {
        neap_unpack_fail(unpacker, UV_EPROTO);
    }
}

/* Each of its messages takes a byte at least. */
static void unpack_list(struct neap_unpacker *unpacker, struct neap_message *list) {
    uint64_t count = neap_unpack_u64(unpacker), done = 0;
    if (count > (uint64_t)(unpacker->end - unpacker->at)) neap_unpack_fail(unpacker, UV_EPROTO);
    struct neap_message *items = unpacker->code == 0 ? neap_alloc((count + 1) * sizeof *items) : NULL;
    if (items == NULL) {
        neap_unpack_nomem(unpacker);
        return;
    }
    for (; done < count && unpacker->code == 0; done++) {
        if (unpacker->at < unpacker->end && *unpacker->at == NEAP_MESSAGE_LIST) neap_unpack_fail(unpacker, UV_EPROTO);
        neap_unpack_message(unpacker, &items[done]);
    }
    if (unpacker->code == 0 && neap_message_pack(items, count, list) != 0) neap_unpack_nomem(unpacker);
    if (unpacker->code != 0)
        while (done > 0) neap_message_fini(&items[--done]);
    neap_free(items);
}

void neap_unpack_message(struct neap_unpacker *unpacker, struct neap_message *message) {
    message->kind = neap_unpack_u8(unpacker);
    switch (message->kind) {
        case NEAP_MESSAGE_BYTES: message->parcel = unpack_parcel(unpacker, true); break;
        case NEAP_MESSAGE_PARCEL: message->parcel = unpack_parcel(unpacker, false); break;
        case NEAP_MESSAGE_LIST: unpack_list(unpacker, message); break;
        case NEAP_MESSAGE_OBJECT:
        case NEAP_MESSAGE_CODE: message->object = neap_unpack_object(unpacker); break;
        default: unpack_inline(unpacker, message);
    }
    if (unpacker->code != 0) neap_message_clear(message);
}
