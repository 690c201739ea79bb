/* decode: the codec, receiver's half. The bytes are not trusted: whatever they are, the outcome is a value or an error.
 *
 * MODEL      Values are built where they end up, on the Lua stack; a container that is not complete has a frame. All
 *            that decoding needs besides is Lua's own (a userdata for deep values, a table for references), so that an
 *            error at any point leaves nothing behind.
 *
 * BOUNDS     Every read is checked against the end. A container announces its parts, and each part takes a byte at
 *            least: the parts that are announced and not read (`promised`) never exceed the bytes that are left, so no
 *            input makes us ask for more than a fixed multiple of its size. Depth is announced in the header and
 *            bounded.
 *
 * METATABLES are set when the table is complete, so that a finaliser sees all of it. Classes that are not known here
 *            are learned before the first value is built (class.c). */
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <string.h>

#include "bindings/codec/class.h"
#include "bindings/codec/codec.h"
#include "bindings/codec/encoder.h"
#include "bindings/codec/function.h"
#include "bindings/codec/permanent.h"
#include "bindings/handle/box.h"
#include "bindings/state/bounded.h"
#include "core/object.h"

enum {
    FRAMES = 20,          /* frames without an allocation */
    STACK_PER_FRAME = 2,  /* container, key */
    STACK_SPARE = 12,     /* for what decoding one value pushes */
    VALUES_MAX = 1000000, /* of a list: the Lua stack takes no more */
    KEYS_EARLY = 64       /* pairs for which a table is given room at once */
};

/* A container that is not complete. It lies at `slot` of the stack, and a key that awaits its value above it. */
struct frame {
    int slot;
    uint32_t next;  /* parts without a key so far */
    uint32_t array; /* parts without a key in all; function: upvalues */
    uint32_t pairs; /* pairs to come */
    uint32_t class; /* of an instance: index of the class names */
    uint8_t tag;    /* NEAP_TAG_TABLE, INSTANCE, META, ENVIRONMENT or FUNCTION */
    bool has_key;   /* the next part is a value */
};

struct reader {
    lua_State *L;
    const struct neap_parcel *parcel;
    const char *at, *end; /* what is to be read */
    size_t promised;      /* see BOUNDS */
    struct frame *frames;
    uint32_t depth, depth_max; /* of frames: in use, there */
    uint32_t ordinal;          /* of the last table or function */
    int references;            /* stack index of a table: ordinal -> shared value; 0: none */
    int classes;               /* stack index of the metatable of the first class; the others follow */
    uint32_t class_count;      /* of classes */
    int root;                  /* stack index of a table that the first table is read into; 0: none */
    bool body;                 /* of a class: metatables that nobody registered are let in */
};

static _Noreturn void malformed(lua_State *L) {
    for (;;) luaL_error(L, "malformed message");
}

/* --- reading --- */

static inline void need(const struct reader *reader, size_t size) {
    if ((size_t)(reader->end - reader->at) < size) malformed(reader->L);
}

static inline uint32_t take_u32(struct reader *reader) {
    uint32_t number;
    need(reader, sizeof number);
    memcpy(&number, reader->at, sizeof number);
    reader->at += sizeof number;
    return number;
}

static inline const char *take_bytes(struct reader *reader, size_t size) {
    need(reader, size);
    const char *at = reader->at;
    reader->at += size;
    return at;
}

static void take_number(struct reader *reader) {
    lua_Number number;
    memcpy(&number, take_bytes(reader, sizeof number), sizeof number);
    lua_pushnumber(reader->L, number);
}

static void take_integer(struct reader *reader) {
    lua_Integer number;
    memcpy(&number, take_bytes(reader, sizeof number), sizeof number);
    lua_pushinteger(reader->L, number);
}

static void take_string(struct reader *reader) {
    uint32_t size = take_u32(reader);
    const char *text = take_bytes(reader, size);
    lua_pushlstring(reader->L, text, size);
}

static struct neap_object *take_object(struct reader *reader) {
    uint32_t index = take_u32(reader);
    if (index >= reader->parcel->object_count) malformed(reader->L);
    return reader->parcel->objects[index];
}

static void take_handle(struct reader *reader) {
    struct neap_object *object = take_object(reader);
    if (!neap_box_is_kind(object)) malformed(reader->L);
    neap_box_push(reader->L, object);
}

static void take_name(struct reader *reader) {
    uint32_t size = take_u32(reader);
    neap_permanent_push(reader->L, take_bytes(reader, size), size);
}

/* Pushes a value that was met before: a table or a function. */
static void take_reference(struct reader *reader) {
    uint32_t ordinal = take_u32(reader);
    if (reader->references == 0 || ordinal == 0 || ordinal > reader->ordinal) malformed(reader->L);
    if (lua_rawgeti(reader->L, reader->references, ordinal) == LUA_TNIL) malformed(reader->L);
}

static void push_class(struct reader *reader, uint32_t index) {
    if (index >= reader->class_count) malformed(reader->L);
    lua_pushvalue(reader->L, reader->classes + (int)index);
}

/* --- containers --- */

static void keep_shared(struct reader *reader, int tag) {
    reader->ordinal++;
    if ((tag & NEAP_TAG_SHARED) == 0) return;
    if (reader->references == 0) malformed(reader->L);
    lua_pushvalue(reader->L, -1);
    lua_rawseti(reader->L, reader->references, reader->ordinal);
}

static struct frame *open_frame(struct reader *reader, int tag, uint32_t array, uint32_t pairs) {
    if (reader->depth == reader->depth_max) malformed(reader->L);
    struct frame *frame = &reader->frames[reader->depth++];
    frame->slot = lua_gettop(reader->L);
    frame->next = 0;
    frame->array = array;
    frame->pairs = pairs;
    frame->class = 0;
    frame->tag = (uint8_t)(tag & ~NEAP_TAG_SHARED);
    frame->has_key = false;
    return frame;
}

static void promise(struct reader *reader, size_t parts) {
    reader->promised += parts;
    if (reader->promised > (size_t)(reader->end - reader->at)) malformed(reader->L);
}

static void push_table(struct reader *reader, uint32_t array, uint32_t pairs) {
    if (reader->root == 0) {
        lua_createtable(reader->L, (int)array, (int)pairs);
        return;
    }
    lua_pushvalue(reader->L, reader->root);
    reader->root = 0;
}

static void take_table(struct reader *reader, int tag) {
    uint32_t array = take_u32(reader), pairs = take_u32(reader);
    int kind = tag & ~NEAP_TAG_SHARED;
    uint32_t class = kind == NEAP_TAG_INSTANCE ? take_u32(reader) : 0;
    if (kind == NEAP_TAG_META && !reader->body) malformed(reader->L);
    promise(reader, (size_t)array + 2 * (size_t)pairs + (kind == NEAP_TAG_META));
    push_table(reader, array, pairs);
    keep_shared(reader, tag);
    open_frame(reader, tag, array, pairs)->class = class;
}

static struct neap_code *take_code(struct reader *reader) {
    struct neap_code *code = neap_function_test(take_object(reader));
    if (code != NULL) return code;
    malformed(reader->L);
}

/* True: complete. */
static bool take_function(struct reader *reader, int tag) {
    bool plain = (tag & ~NEAP_TAG_SHARED) == NEAP_TAG_PLAIN;
    struct neap_code *code = take_code(reader);
    uint32_t upvalues = neap_function_upvalues(code);
    if (plain && upvalues > 1) malformed(reader->L);
    if (!plain) promise(reader, upvalues);
    neap_function_push(reader->L, code, plain);
    keep_shared(reader, tag);
    if (plain) return true;
    open_frame(reader, tag, upvalues, 0);
    return false;
}

/* The next upvalue of the function under way is one of another function. */
static void take_join(struct reader *reader) {
    lua_State *L = reader->L;
    struct frame *frame = reader->depth == 0 ? NULL : &reader->frames[reader->depth - 1];
    if (frame == NULL || frame->tag != NEAP_TAG_FUNCTION || frame->next == frame->array) malformed(L);
    take_reference(reader);
    int number = (unsigned char)*take_bytes(reader, 1);
    if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1) || lua_upvalueid(L, -1, number) == NULL) malformed(L);
    lua_upvaluejoin(L, frame->slot, (int)++frame->next, -1, number);
    lua_pop(L, 1);
}

/* --- values --- */

enum outcome { COMPLETE, OPENED, JOINED };

static enum outcome take_container(struct reader *reader, int tag) {
    switch (tag & ~NEAP_TAG_SHARED) {
        case NEAP_TAG_TABLE:
        case NEAP_TAG_INSTANCE:
        case NEAP_TAG_ENVIRONMENT:
        case NEAP_TAG_META: take_table(reader, tag); return OPENED;
        case NEAP_TAG_FUNCTION:
        case NEAP_TAG_PLAIN: return take_function(reader, tag) ? COMPLETE : OPENED;
        default: malformed(reader->L);
    }
}

/* Pushes the next value. */
static inline enum outcome take_value(struct reader *reader) {
    lua_State *L = reader->L;
    need(reader, 1);
    reader->promised--;
    int tag = (unsigned char)*reader->at++;
    if (tag >= NEAP_TAG_SMALL) {
        lua_pushinteger(L, tag - NEAP_TAG_SMALL);
        return COMPLETE;
    }
    if (tag >= NEAP_TAG_SHORT) {
        size_t size = (size_t)(tag - NEAP_TAG_SHORT);
        lua_pushlstring(L, take_bytes(reader, size), size);
        return COMPLETE;
    }
    switch (tag) {
        case NEAP_TAG_NIL: lua_pushnil(L); break;
        case NEAP_TAG_FALSE: lua_pushboolean(L, 0); break;
        case NEAP_TAG_TRUE: lua_pushboolean(L, 1); break;
        case NEAP_TAG_NULL: neap_codec_push_null(L); break;
        case NEAP_TAG_GLOBALS: lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); break;
        case NEAP_TAG_INT32: lua_pushinteger(L, (int32_t)take_u32(reader)); break;
        case NEAP_TAG_INT64: take_integer(reader); break;
        case NEAP_TAG_NUMBER: take_number(reader); break;
        case NEAP_TAG_STRING: take_string(reader); break;
        case NEAP_TAG_REF: take_reference(reader); break;
        case NEAP_TAG_JOIN: take_join(reader); return JOINED;
        case NEAP_TAG_OBJECT: take_handle(reader); break;
        case NEAP_TAG_NAME: take_name(reader); break;
        case NEAP_TAG_CLASS: push_class(reader, take_u32(reader)); break;
        default: return take_container(reader, tag);
    }
    return COMPLETE;
}

/* --- putting parts into their containers --- */

static void check_key(lua_State *L) {
    int type = lua_type(L, -1);
    if (type == LUA_TSTRING) return;
    if (type == LUA_TNIL) malformed(L);
    if (type != LUA_TNUMBER || lua_isinteger(L, -1)) return;
    lua_Number number = lua_tonumber(L, -1);
    if (number != number) malformed(L);
}

static void set_metatable(lua_State *L, const struct frame *frame) {
    if (!lua_istable(L, -1)) malformed(L);
    neap_bounded_check_metatable(L);
    lua_setmetatable(L, frame->slot);
}

/* The value on top of the stack goes into the innermost container. */
static inline void attach(lua_State *L, struct frame *frame) {
    if (frame->tag == NEAP_TAG_FUNCTION) {
        if (lua_setupvalue(L, frame->slot, (int)++frame->next) == NULL) malformed(L);
    } else if (frame->next < frame->array) {
        lua_rawseti(L, frame->slot, ++frame->next);
    } else if (frame->pairs == 0) {
        set_metatable(L, frame);
        frame->tag = NEAP_TAG_TABLE;
    } else if (!frame->has_key) {
        check_key(L);
        frame->has_key = true;
    } else {
        lua_rawset(L, frame->slot);
        frame->has_key = false;
        frame->pairs--;
    }
}

/* Closes the innermost container if nothing is missing; it is then the value on top of the stack. */
static inline bool close_frame(struct reader *reader, const struct frame *frame) {
    if (frame->next < frame->array || frame->pairs > 0 || frame->tag == NEAP_TAG_META) return false;
    if (frame->tag == NEAP_TAG_INSTANCE) {
        push_class(reader, frame->class);
        neap_bounded_check_metatable(reader->L);
        lua_setmetatable(reader->L, frame->slot);
    } else if (frame->tag == NEAP_TAG_ENVIRONMENT) {
        lua_rawgeti(reader->L, LUA_REGISTRYINDEX, neap_encoder_of(reader->L)->environment_ref);
        neap_bounded_check_metatable(reader->L);
        lua_setmetatable(reader->L, frame->slot);
    }
    reader->depth--;
    return true;
}

/* Pushes one whole value. */
static void read_value(struct reader *reader) {
    do {
        enum outcome outcome = take_value(reader);
        bool complete = outcome == COMPLETE;
        while (reader->depth > 0) {
            struct frame *frame = &reader->frames[reader->depth - 1];
            if (complete) attach(reader->L, frame);
            complete = close_frame(reader, frame);
            if (!complete) break;
        }
    } while (reader->depth > 0);
}

/* --- class names --- */

bool neap_format_next_name(const struct neap_parcel *parcel, const char **at, const char **name, uint32_t *length) {
    size_t left = (size_t)(parcel->bytes + parcel->size - *at);
    if (left < sizeof *length) return false;
    memcpy(length, *at, sizeof *length);
    if (left - sizeof *length < *length) return false;
    *name = *at + sizeof *length;
    *at = *name + *length;
    return true;
}

bool neap_format_classes(const struct neap_parcel *parcel, uint32_t *count, const char **at) {
    struct neap_format_header header;
    *count = 0;
    if (parcel->size < sizeof header) return false;
    memcpy(&header, parcel->bytes, sizeof header);
    if (header.classes_at == 0) return true;
    if (header.classes_at < sizeof header || header.classes_at > parcel->size) return false;
    size_t left = parcel->size - header.classes_at;
    if (left < sizeof *count) return false;
    memcpy(count, parcel->bytes + header.classes_at, sizeof *count);
    *at = parcel->bytes + header.classes_at + sizeof *count;
    return *count <= (left - sizeof *count) / sizeof(uint32_t);
}

/* Pushes the metatable of the class whose name is on top of the stack (popped), or nil. */
static bool push_metatable(lua_State *L, int fresh) {
    if (fresh == 0) return neap_class_push(L);
    lua_pushvalue(L, -1);
    if (neap_class_push(L)) {
        lua_remove(L, -2);
        return true;
    }
    lua_pop(L, 1);
    return lua_rawget(L, fresh) == LUA_TTABLE;
}

/* Pushes the metatables of the parcel's classes. `fresh`: a table of those that are being learned, or 0. */
static void find_classes(struct reader *reader, int fresh) {
    lua_State *L = reader->L;
    bool learned = fresh != 0;
    uint32_t count, length;
    const char *at, *name;
    if (!neap_format_classes(reader->parcel, &count, &at) || count > VALUES_MAX) malformed(L);
    luaL_checkstack(L, (int)count + STACK_SPARE, "message has too many classes");
    reader->classes = lua_gettop(L) + 1;
    reader->class_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (!neap_format_next_name(reader->parcel, &at, &name, &length)) malformed(L);
        lua_pushlstring(L, name, length);
        lua_pushvalue(L, -1);
        bool known = push_metatable(L, fresh);
        if (!known && !learned) {
            learned = true;
            lua_pop(L, 1);
            neap_class_learn(L, reader->parcel);
            lua_pushvalue(L, -1);
            known = push_metatable(L, fresh);
        }
        if (!known) luaL_error(L, "cannot receive a value of class '%s', which is not known here", lua_tostring(L, -2));
        lua_remove(L, -2);
    }
}

/* --- parcels --- */

static void read_header(const struct reader *reader, struct neap_format_header *header) {
    const struct neap_parcel *parcel = reader->parcel;
    if (parcel->size < sizeof *header) malformed(reader->L);
    memcpy(header, parcel->bytes, sizeof *header);
    size_t size = parcel->size - sizeof *header;
    if (header->version != NEAP_FORMAT_VERSION || header->count > size || header->count > VALUES_MAX ||
        header->depth > size || header->depth > NEAP_FORMAT_DEPTH_MAX || header->shared > size ||
        (header->classes_at != 0 && (header->classes_at < sizeof *header || header->classes_at > parcel->size)))
        malformed(reader->L);
}

/* What decoding needs besides the values, below them on the stack: frames, references, classes. */
static void push_helpers(struct reader *reader, const struct neap_format_header *header, int fresh) {
    lua_State *L = reader->L;
    if (header->depth > FRAMES) reader->frames = lua_newuserdatauv(L, header->depth * sizeof(struct frame), 0);
    if (header->shared > 0) {
        lua_createtable(L, 0, header->shared < KEYS_EARLY ? (int)header->shared : KEYS_EARLY);
        reader->references = lua_gettop(L);
    }
    if (header->classes_at != 0) find_classes(reader, fresh);
}

/* Pushes the values of a parcel; how many. `root` and `fresh` are not 0 for the body of a class. */
static int read_parcel(lua_State *L, const struct neap_parcel *parcel, bool list, int root, int fresh) {
    struct neap_format_header header;
    struct frame frames[FRAMES];
    struct reader reader = {.L = L, .parcel = parcel, .frames = frames, .root = root, .body = root != 0};
    int top = lua_gettop(L);
    read_header(&reader, &header);
    if (((header.flags & NEAP_FORMAT_LIST) != 0) != list || (!list && header.count != 1)) malformed(L);
    int room = (int)(header.count + STACK_PER_FRAME * header.depth + STACK_SPARE);
    luaL_checkstack(L, room, "message is too deep");
    reader.at = parcel->bytes + sizeof header;
    reader.end = parcel->bytes + (header.classes_at != 0 ? header.classes_at : parcel->size);
    reader.depth_max = header.depth;
    push_helpers(&reader, &header, fresh);
    bool helped = lua_gettop(L) > top;
    if (helped) luaL_checkstack(L, room, "message is too deep");
    promise(&reader, header.count);
    for (uint32_t i = 0; i < header.count; i++) read_value(&reader);
    if (reader.at != reader.end) malformed(L);
    if (helped) {
        lua_rotate(L, top + 1, (int)header.count);
        lua_settop(L, top + (int)header.count);
    }
    return (int)header.count;
}

void neap_decode_body(lua_State *L, const struct neap_message *message, int root, int fresh) {
    read_parcel(L, message->parcel, false, root, fresh);
    if (!lua_rawequal(L, -1, root)) malformed(L);
    lua_pop(L, 1);
}

/* --- messages --- */

void neap_decode(lua_State *L, const struct neap_message *message) {
    switch (message->kind) {
        case NEAP_MESSAGE_EMPTY: lua_pushnil(L); return;
        case NEAP_MESSAGE_NULL: neap_codec_push_null(L); return;
        case NEAP_MESSAGE_FALSE: lua_pushboolean(L, 0); return;
        case NEAP_MESSAGE_TRUE: lua_pushboolean(L, 1); return;
        case NEAP_MESSAGE_INTEGER: lua_pushinteger(L, message->integer); return;
        case NEAP_MESSAGE_NUMBER: lua_pushnumber(L, message->number); return;
        case NEAP_MESSAGE_TEXT: lua_pushlstring(L, message->text, message->length); return;
        case NEAP_MESSAGE_BYTES: lua_pushlstring(L, neap_parcel_string(message->parcel), message->parcel->size); return;
        case NEAP_MESSAGE_OBJECT: neap_box_push(L, message->object); return;
        case NEAP_MESSAGE_PARCEL: read_parcel(L, message->parcel, false, 0, 0); return;
        default: malformed(L);
    }
}

static int decode_one(lua_State *L) {
    neap_decode(L, lua_touserdata(L, 1));
    return 1;
}

void neap_decode_take_other(lua_State *L, struct neap_message *message) {
    struct neap_message taken;
    neap_message_move(&taken, message);
    if (taken.kind < NEAP_MESSAGE_BYTES) {
        neap_decode(L, &taken);
        return;
    }
    lua_pushcfunction(L, decode_one);
    lua_pushlightuserdata(L, &taken);
    int status = lua_pcall(L, 1, 1, 0);
    neap_message_fini(&taken);
    if (status != LUA_OK) lua_error(L);
}

/* See neap_encode_call. What this state knows already came from itself, or has been looked at. */
static void push_code(lua_State *L, struct neap_object *object) {
    luaL_checkstack(L, STACK_SPARE, "functions");
    if (neap_function_push_known(L, object)) return;
    struct neap_code *code = neap_function_test(object);
    if (code == NULL || neap_function_upvalues(code) > 1) malformed(L);
    neap_function_push(L, code, true);
}

int neap_decode_all(lua_State *L, const struct neap_message *message) {
    if (message->kind == NEAP_MESSAGE_EMPTY) return 0;
    if (message->kind == NEAP_MESSAGE_CODE) {
        push_code(L, message->object);
        return 1;
    }
    if (message->kind != NEAP_MESSAGE_PARCEL) {
        neap_decode(L, message);
        return 1;
    }
    return read_parcel(L, message->parcel, true, 0, 0);
}
