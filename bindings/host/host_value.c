/* host_value: the values of a host, and how they travel.
 *
 * MODEL      A host's thread has no Lua state, so values become messages, and messages values, without one: the
 *            format is that of the codec (format.h), written and read here for what C can look into. A message with
 *            anything else in it stays packed, whole. On the engine's thread simple values go to the Lua stack and
 *            back directly, others as messages.
 * TRUST      As in decode.c: what is read is checked against the end, and depth is bounded.
 *            What does not parse stays packed. */
#include "bindings/host/host_value.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/codec/format.h"
#include "bindings/handle/box.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/object.h"

/* What NEAP_PACKED refers to. */
struct packed {
    atomic_uint refs; /* increments relaxed, decrements acquire-release */
    struct neap_message message;
};

/* --- owning --- */

void neap_value_clear(struct neap_value *value) {
    if (value == NULL) return;
    if (value->owned && value->kind == NEAP_STRING) {
        char *text = (char *)(uintptr_t)value->as.string; /* ours, though it is shown as constant */
        neap_free(text);
    } else if (value->owned && value->kind == NEAP_TABLE) {
        neap_table_free(value->as.table);
    } else if (value->owned && value->kind == NEAP_OBJECT) {
        neap_object_unref(value->as.object);
    } else if (value->owned && value->kind == NEAP_PACKED) {
        struct packed *packed = value->as.packed;
        if (atomic_fetch_sub_explicit(&packed->refs, 1, memory_order_acq_rel) == 1) {
            neap_message_fini(&packed->message);
            neap_free(packed);
        }
    }
    *value = neap_nil();
}

static int copy_string(struct neap_value *to, const char *text, size_t length) {
    char *bytes = neap_alloc(length + 1);
    if (bytes == NULL) return NEAP_NOMEM;
    if (length > 0) memcpy(bytes, text, length);
    bytes[length] = '\0';
    *to = neap_bytes(bytes, length);
    to->owned = true;
    return 0;
}

static bool is_whole(const struct neap_value *value) {
    switch (value->kind) {
        case NEAP_NIL:
        case NEAP_BOOLEAN:
        case NEAP_INTEGER:
        case NEAP_NUMBER:
        case NEAP_NULL: return true;
        case NEAP_STRING: return value->as.string != NULL || value->length == 0;
        case NEAP_TABLE: return value->as.table != NULL;
        case NEAP_OBJECT: return value->as.object != NULL;
        case NEAP_PACKED: return value->as.packed != NULL;
        default: return false;
    }
}

bool neap_values_are_whole(const struct neap_value *values, size_t count) {
    size_t i = 0;
    while (i < count && is_whole(&values[i])) i++;
    return i == count;
}

int neap_value_copy(struct neap_value *to, const struct neap_value *from) {
    NEAP_CONTRACT_POINTER(to);
    NEAP_CONTRACT_POINTER(from);
    NEAP_CONTRACT_VALUES(from, 1);
    if (from->kind == NEAP_STRING) return copy_string(to, from->as.string, from->length);
    struct neap_value copy = *from;
    copy.owned = true;
    if (from->kind == NEAP_TABLE)
        neap_table_ref(from->as.table);
    else if (from->kind == NEAP_OBJECT)
        neap_object_ref(from->as.object);
    else if (from->kind == NEAP_PACKED)
        atomic_fetch_add_explicit(&((struct packed *)from->as.packed)->refs, 1, memory_order_relaxed);
    else
        copy.owned = false;
    *to = copy;
    return 0;
}

/* --- writing parcels --- */

struct writer {
    char *bytes;                        /* owned */
    size_t size, room;                  /* of bytes: written, allocated */
    const struct neap_object **objects; /* owned; without references of their own */
    uint32_t object_count, object_room; /* of objects: used, allocated */
    uint32_t depth, depth_max;          /* of tables */
    int code;                           /* 0, or what went wrong first */
};

static char *put(struct writer *writer, size_t size) {
    if (size > writer->room - writer->size) {
        size_t room = writer->room == 0 ? 256 : writer->room;
        while (room - writer->size < size) room *= 2;
        char *bytes = room > NEAP_FORMAT_SIZE_MAX ? NULL : neap_realloc(writer->bytes, room);
        if (bytes == NULL) {
            writer->code = room > NEAP_FORMAT_SIZE_MAX ? NEAP_RANGE : NEAP_NOMEM;
            return NULL;
        }
        writer->bytes = bytes;
        writer->room = room;
    }
    char *at = writer->bytes + writer->size;
    writer->size += size;
    return at;
}

static void put_bytes(struct writer *writer, const void *bytes, size_t size) {
    char *at = put(writer, size);
    if (at != NULL && size > 0) memcpy(at, bytes, size);
}

static void put_tag(struct writer *writer, int tag) {
    char byte = (char)tag;
    put_bytes(writer, &byte, 1);
}

static void put_u32(struct writer *writer, uint32_t number) { put_bytes(writer, &number, sizeof number); }

static void put_string(struct writer *writer, const struct neap_value *value) {
    if (value->length > NEAP_FORMAT_SIZE_MAX) {
        writer->code = NEAP_RANGE;
        return;
    }
    if (value->length <= NEAP_FORMAT_SHORT_MAX) {
        put_tag(writer, NEAP_TAG_SHORT + (int)value->length);
    } else {
        put_tag(writer, NEAP_TAG_STRING);
        put_u32(writer, (uint32_t)value->length);
    }
    put_bytes(writer, value->as.string, value->length);
}

static void put_object(struct writer *writer, const struct neap_object *object) {
    uint32_t index = 0;
    while (index < writer->object_count && writer->objects[index] != object) index++;
    if (index == writer->object_room) {
        uint32_t room = writer->object_room == 0 ? 8 : writer->object_room * 2;
        const struct neap_object **objects = neap_realloc(writer->objects, room * sizeof *objects);
        if (objects == NULL) {
            writer->code = NEAP_NOMEM;
            return;
        }
        writer->objects = objects;
        writer->object_room = room;
    }
    if (index == writer->object_count) writer->objects[writer->object_count++] = object;
    put_tag(writer, NEAP_TAG_OBJECT);
    put_u32(writer, index);
}

static void put_value(struct writer *writer, const struct neap_value *value);

static void put_table(struct writer *writer, const struct neap_table *table) {
    size_t position = 0, items = neap_table_length(table), fields = 0;
    struct neap_value key;
    const struct neap_value *value;
    if (writer->depth == NEAP_VALUE_DEPTH) {
        writer->code = NEAP_RANGE;
        return;
    }
    if (++writer->depth > writer->depth_max) writer->depth_max = writer->depth;
    put_tag(writer, NEAP_TAG_TABLE);
    put_u32(writer, (uint32_t)items);
    size_t pairs_at = writer->size;
    put_u32(writer, 0);
    while (writer->code == 0 && neap_table_next(table, &position, &key, &value)) {
        if (position > items) {
            fields++;
            put_value(writer, &key);
        }
        put_value(writer, value);
    }
    uint32_t pairs = (uint32_t)fields;
    if (writer->code == 0) memcpy(writer->bytes + pairs_at, &pairs, sizeof pairs);
    writer->depth--;
}

static void put_value(struct writer *writer, const struct neap_value *value) {
    if (writer->code != 0) return;
    switch (value->kind) {
        case NEAP_NIL: put_tag(writer, NEAP_TAG_NIL); return;
        case NEAP_NULL: put_tag(writer, NEAP_TAG_NULL); return;
        case NEAP_BOOLEAN: put_tag(writer, value->as.boolean ? NEAP_TAG_TRUE : NEAP_TAG_FALSE); return;
        case NEAP_INTEGER:
            put_tag(writer, NEAP_TAG_INT64);
            put_bytes(writer, &value->as.integer, sizeof value->as.integer);
            return;
        case NEAP_NUMBER:
            put_tag(writer, NEAP_TAG_NUMBER);
            put_bytes(writer, &value->as.number, sizeof value->as.number);
            return;
        case NEAP_STRING: put_string(writer, value); return;
        case NEAP_TABLE: put_table(writer, value->as.table); return;
        case NEAP_OBJECT: put_object(writer, value->as.object); return;
        case NEAP_PACKED: /* only whole messages are */
        default: writer->code = NEAP_INVALID;
    }
}

static struct neap_parcel *finish(const struct writer *writer) {
    struct neap_parcel *parcel = neap_parcel_new(writer->size, writer->object_count);
    if (parcel == NULL) return NULL;
    memcpy(parcel->bytes, writer->bytes, writer->size);
    for (uint32_t i = 0; i < writer->object_count; i++)
        parcel->objects[i] = neap_object_ref((struct neap_object *)(uintptr_t)writer->objects[i]);
    return parcel;
}

static int pack_parcel(const struct neap_value *values, size_t count, uint8_t flags, struct neap_message *message) {
    struct writer writer = {.code = 0};
    struct neap_format_header header = {.version = NEAP_FORMAT_VERSION, .flags = flags, .count = (uint32_t)count};
    put_bytes(&writer, &header, sizeof header);
    for (size_t i = 0; i < count; i++) put_value(&writer, &values[i]);
    struct neap_parcel *parcel = NULL;
    if (writer.code == 0) {
        header.depth = writer.depth_max;
        memcpy(writer.bytes, &header, sizeof header);
        parcel = finish(&writer);
        if (parcel == NULL) writer.code = NEAP_NOMEM;
    }
    neap_free(writer.bytes);
    neap_free(writer.objects);
    if (writer.code != 0) return writer.code;
    message->parcel = parcel;
    message->kind = NEAP_MESSAGE_PARCEL;
    return 0;
}

/* --- messages --- */

static int pack_string(const char *text, size_t length, struct neap_message *message) {
    if (length <= NEAP_MESSAGE_TEXT_MAX) {
        message->kind = NEAP_MESSAGE_TEXT;
        message->length = (uint8_t)length;
        if (length > 0) memcpy(message->text, text, length);
        return 0;
    }
    if (length > NEAP_FORMAT_SIZE_MAX) return NEAP_RANGE;
    struct neap_parcel *parcel = neap_parcel_new(length, 0);
    if (parcel == NULL) return NEAP_NOMEM;
    memcpy(parcel->bytes, text, length);
    message->parcel = parcel;
    message->kind = NEAP_MESSAGE_BYTES;
    return 0;
}

int neap_value_pack(const struct neap_value *value, struct neap_message *message) {
    switch (value->kind) {
        case NEAP_NIL: message->kind = NEAP_MESSAGE_EMPTY; return 0;
        case NEAP_NULL: message->kind = NEAP_MESSAGE_NULL; return 0;
        case NEAP_BOOLEAN: message->kind = value->as.boolean ? NEAP_MESSAGE_TRUE : NEAP_MESSAGE_FALSE; return 0;
        case NEAP_INTEGER:
            message->kind = NEAP_MESSAGE_INTEGER;
            message->integer = value->as.integer;
            return 0;
        case NEAP_NUMBER:
            message->kind = NEAP_MESSAGE_NUMBER;
            message->number = value->as.number;
            return 0;
        case NEAP_STRING: return pack_string(value->as.string, value->length, message);
        case NEAP_TABLE: return pack_parcel(value, 1, 0, message);
        case NEAP_OBJECT:
            message->object = neap_object_ref(value->as.object);
            message->kind = NEAP_MESSAGE_OBJECT;
            return 0;
        case NEAP_PACKED: neap_message_copy(message, &((const struct packed *)value->as.packed)->message); return 0;
        default: return NEAP_INVALID;
    }
}

int neap_value_pack_all(const struct neap_value *values, size_t count, struct neap_message *message) {
    if (count == 0) {
        message->kind = NEAP_MESSAGE_EMPTY;
        return 0;
    }
    if (count == 1 && values[0].kind != NEAP_NIL && values[0].kind != NEAP_NULL && values[0].kind < NEAP_TABLE)
        return neap_value_pack(values, message); /* stands alone, as in neap_encode_all */
    return pack_parcel(values, count, NEAP_FORMAT_LIST, message);
}

/* --- reading parcels --- */

struct reader {
    const struct neap_parcel *parcel;
    const char *at, *end; /* what is to be read */
    uint32_t depth;       /* of tables */
    int code;             /* 0; NEAP_NOMEM; NEAP_RANGE: C cannot look into it */
};

static bool take(struct reader *reader, void *to, size_t size) {
    if (reader->code == 0 && (size_t)(reader->end - reader->at) < size) reader->code = NEAP_RANGE;
    if (reader->code != 0) return false;
    memcpy(to, reader->at, size);
    reader->at += size;
    return true;
}

static void take_string(struct reader *reader, size_t length, struct neap_value *value) {
    if ((size_t)(reader->end - reader->at) < length) {
        reader->code = NEAP_RANGE;
        return;
    }
    reader->code = copy_string(value, reader->at, length);
    reader->at += length;
}

static void take_object(struct reader *reader, struct neap_value *value) {
    uint32_t index;
    if (!take(reader, &index, sizeof index)) return;
    if (index >= reader->parcel->object_count) {
        reader->code = NEAP_RANGE;
        return;
    }
    *value = neap_object_value(neap_object_ref(reader->parcel->objects[index]));
    value->owned = true;
}

static void take_value(struct reader *reader, struct neap_value *value);

static void take_table(struct reader *reader, struct neap_value *value) {
    uint32_t items, pairs;
    struct neap_table *table;
    if (!take(reader, &items, sizeof items) || !take(reader, &pairs, sizeof pairs)) return;
    reader->code = reader->depth == NEAP_VALUE_DEPTH ? NEAP_RANGE : neap_table_new(&table);
    if (reader->code != 0) return;
    reader->depth++;
    for (uint64_t i = 0; i < (uint64_t)items + pairs && reader->code == 0; i++) {
        struct neap_value key = neap_integer((int64_t)i + 1), field = neap_nil();
        if (i >= items) take_value(reader, &key);
        take_value(reader, &field);
        if (reader->code == 0) reader->code = neap_table_set(table, &key, &field);
        if (reader->code == NEAP_INVALID) reader->code = NEAP_RANGE; /* a key that C cannot have */
        neap_value_clear(&key);
        neap_value_clear(&field);
    }
    reader->depth--;
    if (reader->code != 0) {
        neap_table_free(table);
        return;
    }
    *value = neap_table_value(table);
    value->owned = true;
}

static void take_number(struct reader *reader, int tag, struct neap_value *value) {
    int32_t small;
    if (tag == NEAP_TAG_INT32) {
        if (take(reader, &small, sizeof small)) *value = neap_integer(small);
    } else if (tag == NEAP_TAG_INT64) {
        value->kind = NEAP_INTEGER;
        take(reader, &value->as.integer, sizeof value->as.integer);
    } else {
        value->kind = NEAP_NUMBER;
        take(reader, &value->as.number, sizeof value->as.number);
    }
}

static void take_value(struct reader *reader, struct neap_value *value) {
    unsigned char tag;
    uint32_t length;
    *value = neap_nil();
    if (!take(reader, &tag, 1)) return;
    if (tag >= NEAP_TAG_SMALL) {
        *value = neap_integer(tag - NEAP_TAG_SMALL);
        return;
    }
    if (tag >= NEAP_TAG_SHORT) {
        take_string(reader, (size_t)tag - NEAP_TAG_SHORT, value);
        return;
    }
    switch (tag) {
        case NEAP_TAG_NIL: return;
        case NEAP_TAG_NULL: value->kind = NEAP_NULL; return;
        case NEAP_TAG_FALSE: *value = neap_boolean(false); return;
        case NEAP_TAG_TRUE: *value = neap_boolean(true); return;
        case NEAP_TAG_INT32:
        case NEAP_TAG_INT64:
        case NEAP_TAG_NUMBER: take_number(reader, tag, value); return;
        case NEAP_TAG_STRING:
            if (take(reader, &length, sizeof length)) take_string(reader, length, value);
            return;
        case NEAP_TAG_OBJECT: take_object(reader, value); return;
        case NEAP_TAG_TABLE: take_table(reader, value); return;
        default: reader->code = NEAP_RANGE;
    }
}

static int unpack_parcel(const struct neap_parcel *parcel, struct neap_value *value) {
    struct neap_format_header header;
    struct reader reader = {.parcel = parcel, .at = parcel->bytes, .end = parcel->bytes + parcel->size};
    struct neap_value read = neap_nil();
    if (!take(&reader, &header, sizeof header)) return reader.code;
    if (header.version != NEAP_FORMAT_VERSION || header.flags != 0 || header.count != 1) return NEAP_RANGE;
    take_value(&reader, &read);
    if (reader.code == 0)
        *value = read;
    else
        neap_value_clear(&read);
    return reader.code;
}

static int keep_packed(struct neap_message *message, struct neap_value *value) {
    struct packed *packed = neap_alloc(sizeof *packed);
    if (packed == NULL) return NEAP_NOMEM;
    atomic_init(&packed->refs, 1);
    neap_message_move(&packed->message, message);
    *value = neap_nil();
    value->kind = NEAP_PACKED;
    value->as.packed = packed;
    value->owned = true;
    return 0;
}

int neap_value_unpack(struct neap_message *message, struct neap_value *value) {
    int code = 0;
    switch (message->kind) {
        case NEAP_MESSAGE_EMPTY: *value = neap_nil(); break;
        case NEAP_MESSAGE_NULL:
            *value = neap_nil();
            value->kind = NEAP_NULL;
            break;
        case NEAP_MESSAGE_FALSE:
        case NEAP_MESSAGE_TRUE: *value = neap_boolean(message->kind == NEAP_MESSAGE_TRUE); break;
        case NEAP_MESSAGE_INTEGER: *value = neap_integer(message->integer); break;
        case NEAP_MESSAGE_NUMBER: *value = neap_number(message->number); break;
        case NEAP_MESSAGE_TEXT: code = copy_string(value, message->text, message->length); break;
        case NEAP_MESSAGE_BYTES:
            code = copy_string(value, neap_parcel_string(message->parcel), message->parcel->size);
            break;
        case NEAP_MESSAGE_OBJECT:
            *value = neap_object_value(message->object); /* the reference is the value's now */
            value->owned = true;
            message->kind = NEAP_MESSAGE_EMPTY;
            break;
        case NEAP_MESSAGE_LIST: return keep_packed(message, value);
        default:
            code = unpack_parcel(message->parcel, value);
            if (code == NEAP_RANGE) return keep_packed(message, value);
    }
    if (code == 0) neap_message_fini(message);
    return code;
}

/* --- Lua --- */

static void push_message(lua_State *L, const struct neap_value *value) {
    struct neap_message message;
    neap_message_clear(&message);
    int code = neap_value_pack(value, &message);
    if (code == NEAP_NOMEM) luaL_error(L, "not enough memory");
    if (code != 0) luaL_error(L, "a value of the host is none: %s", neap_code_name(code));
    neap_decode_take(L, &message);
}

void neap_value_push(lua_State *L, const struct neap_value *value) {
    switch (value->kind) {
        case NEAP_NIL: lua_pushnil(L); return;
        case NEAP_BOOLEAN: lua_pushboolean(L, value->as.boolean); return;
        case NEAP_INTEGER: lua_pushinteger(L, value->as.integer); return;
        case NEAP_NUMBER: lua_pushnumber(L, value->as.number); return;
        case NEAP_STRING: lua_pushlstring(L, value->as.string, value->length); return;
        case NEAP_NULL: neap_codec_push_null(L); return;
        case NEAP_OBJECT: neap_box_push(L, value->as.object); return;
        default: push_message(L, value);
    }
}

void neap_value_read(lua_State *L, int index, struct neap_value *value) {
    int type = lua_type(L, index), code = 0;
    size_t length;
    if (type == LUA_TNIL || type == LUA_TNONE) {
        *value = neap_nil();
    } else if (type == LUA_TBOOLEAN) {
        *value = neap_boolean(lua_toboolean(L, index));
    } else if (type == LUA_TNUMBER) {
        *value = lua_isinteger(L, index) ? neap_integer(lua_tointeger(L, index)) : neap_number(lua_tonumber(L, index));
    } else if (type == LUA_TSTRING) {
        const char *text = lua_tolstring(L, index, &length);
        code = copy_string(value, text, length);
    } else {
        struct neap_message message;
        neap_message_clear(&message);
        neap_encode(L, index, &message, "value");
        code = neap_value_unpack(&message, value);
        if (code != 0) neap_message_fini(&message);
    }
    if (code != 0) luaL_error(L, "not enough memory");
}
