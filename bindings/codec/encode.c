/* encode: the codec, sender's half. Lua values become messages.
 *
 * PURPOSE     What a script sends is copied, whole and once: the receiver shares nothing with the sender but handles.
 *             What cannot be copied raises here, with its path, before anything is sent.
 *
 * MODEL       Small values stand in the message itself (neap_encode decides in a few comparisons; nothing is set up),
 *             and so does the call of a function without upvalues and arguments: its code. All else is a parcel,
 *             written by walking the value: depth first, each container once, with a frame for each container that is
 *             open. The frames are ours and the values lie on the Lua stack, so that depth costs no C stack. A
 *             container that was met before is written as a reference to it, which keeps cycles and sharing.
 *
 * WHAT TRAVELS HOW
 *             table       its parts, raw: no metamethod is called. A metatable of a registered class is named
 *                         (class.c); another raises, for a table that silently lost its behaviour would fail much
 *                         later.
 *             function    its code, an object that is made once (function.c), and its upvalues. Functions that share an
 *                         upvalue share it afterwards. An _ENV that is the sender's globals becomes the receiver's,
 *                         whatever its upvalue is called; another travels as a table. An _ENV that has a metatable (a
 *                         sandbox, a test runner's) stands in for the globals: its own fields travel, and over there it
 *                         falls back on the receiver's globals.
 *             permanents  loaded modules, their C functions, everything of neap: by name (permanent.c).
 *             handles     by reference; their objects are shared from here on (box.c).
 *             the rest    coroutines, files, foreign userdata, light userdata: raise.
 *
 * ARRAYS      lua_next visits the keys 1, 2, 3 ... first where they stand in a table's array part. As long as they come
 *             in that order only values are written. (The length operator would not do: to go on with lua_next after
 *             key n is right only if n stands in the array part, and the API does not tell.)
 *
 * INVARIANTS  1. A parcel's objects are owned by the scratch until it is finished; the message is written last. So an
 *                error at any point leaves the message empty and, at the latest when the scratch is used again, nothing
 *                behind.
 *             2. While a message is under way nothing is called that raises by itself, collects garbage or runs Lua,
 *                but through neap_scratch_apart: whatever that runs (finalisers send messages) has another scratch.
 *             3. Each address in `seen` belongs to something alive: what the value contains, or what the registry
 *                holds.
 *
 * REJECTED    Recursion (a list of 10^5 links is legal); a protected call around each message (it costs more than a
 *             small message does); sizes counted first and filled in one exact pass (two walks); metatables sent with
 *             every table. */
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

#include "bindings/codec/class.h"
#include "bindings/codec/codec.h"
#include "bindings/codec/encoder.h"
#include "bindings/codec/function.h"
#include "bindings/codec/permanent.h"
#include "bindings/handle/box.h"
#include "core/memory.h"
#include "core/object.h"
#include "host/packer.h"

/* --- values without parts --- */

static void put_integer(lua_State *L, struct neap_scratch *scratch, lua_Integer value) {
    if (value >= 0 && value <= NEAP_FORMAT_SMALL_MAX) {
        neap_scratch_put_tag(L, scratch, NEAP_TAG_SMALL + (int)value);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        neap_scratch_put_u32(L, scratch, NEAP_TAG_INT32, (uint32_t)(int32_t)value);
    } else {
        char *at = neap_scratch_put(L, scratch, 1 + sizeof value);
        at[0] = NEAP_TAG_INT64;
        memcpy(at + 1, &value, sizeof value);
    }
}

static void put_number(lua_State *L, struct neap_scratch *scratch, lua_Number value) {
    char *at = neap_scratch_put(L, scratch, 1 + sizeof value);
    at[0] = NEAP_TAG_NUMBER;
    memcpy(at + 1, &value, sizeof value);
}

static void put_string(lua_State *L, struct neap_scratch *scratch, const char *text, size_t size) {
    if (size <= NEAP_FORMAT_SHORT_MAX) {
        char *at = neap_scratch_put(L, scratch, 1 + size);
        at[0] = (char)(NEAP_TAG_SHORT + size);
        memcpy(at + 1, text, size);
        return;
    }
    if (size > NEAP_FORMAT_SIZE_MAX) neap_scratch_fail(L, scratch, "more than 1 GiB");
    neap_scratch_put_u32(L, scratch, NEAP_TAG_STRING, (uint32_t)size);
    neap_scratch_put_bytes(L, scratch, text, size);
}

/* Writes the value at `index` if it has no parts; else false. */
static inline bool put_simple(lua_State *L, struct neap_scratch *scratch, int index) {
    size_t size;
    const char *text;
    switch (lua_type(L, index)) {
        case LUA_TNUMBER:
            if (lua_isinteger(L, index))
                put_integer(L, scratch, lua_tointeger(L, index));
            else
                put_number(L, scratch, lua_tonumber(L, index));
            return true;
        case LUA_TSTRING:
            text = lua_tolstring(L, index, &size);
            put_string(L, scratch, text, size);
            return true;
        case LUA_TBOOLEAN:
            neap_scratch_put_tag(L, scratch, lua_toboolean(L, index) ? NEAP_TAG_TRUE : NEAP_TAG_FALSE);
            return true;
        case LUA_TNIL: neap_scratch_put_tag(L, scratch, NEAP_TAG_NIL); return true;
        default: return false;
    }
}

/* --- values with parts: each takes the value on top of the stack and says whether it opened a frame for it --- */

static void mark_shared(struct neap_scratch *scratch, uint32_t at) {
    char *tag = &scratch->parcel->bytes[at];
    if ((*tag & NEAP_TAG_SHARED) != 0) return;
    *tag = (char)(*tag | NEAP_TAG_SHARED);
    scratch->shared++;
}

/* Something that the message contains already becomes a reference. */
static bool put_again(lua_State *L, struct neap_scratch *scratch, const void *address) {
    const struct neap_seen *seen = neap_scratch_find(scratch, address);
    if (seen == NULL) return false;
    mark_shared(scratch, seen->at);
    neap_scratch_put_u32(L, scratch, NEAP_TAG_REF, seen->number);
    return true;
}

/* The value under way is what a function has for its _ENV. */
static bool is_environment(lua_State *L, const struct neap_scratch *scratch) {
    const struct neap_frame *frame = &scratch->frames[scratch->depth - 1];
    if (frame->kind != NEAP_FRAME_FUNCTION) return false;
    const char *name = lua_getupvalue(L, frame->slot, (int)frame->array);
    lua_pop(L, 1);
    return strcmp(name, "_ENV") == 0;
}

/* The tag of a table whose metatable is on top of the stack (popped), and the index of its class. */
static int tag_of(lua_State *L, struct neap_scratch *scratch, uint32_t *class) {
    struct neap_class_box *box = neap_class_find(L, scratch);
    lua_pop(L, 1);
    if (box != NULL) {
        *class = neap_scratch_class(L, scratch, box);
        return NEAP_TAG_INSTANCE;
    }
    if (is_environment(L, scratch)) return NEAP_TAG_ENVIRONMENT;
    if (!scratch->body) neap_scratch_fail(L, scratch, "table whose metatable is not registered (see neap.register)");
    return NEAP_TAG_META;
}

/* By name, if it is a permanent or the metatable of a class. */
static bool put_name(lua_State *L, struct neap_scratch *scratch, const void *address) {
    struct neap_encoder *encoder = neap_encoder_of(L);
    if (encoder->modules_stale) neap_scratch_apart(L, scratch, neap_permanent_name_modules, 0, 0);
    if (!neap_filter_has(encoder, address)) return false;
    if (scratch->body && scratch->ordinal == 0) return false; /* the metatable whose body this is */
    if (neap_permanent_put(L, scratch)) return true;
    struct neap_class_box *box = neap_class_find(L, scratch);
    if (box == NULL) return false;
    neap_scratch_put_u32(L, scratch, NEAP_TAG_CLASS, neap_scratch_class(L, scratch, box));
    return true;
}

static bool begin_table(lua_State *L, struct neap_scratch *scratch) {
    const void *address = lua_topointer(L, -1);
    if (put_again(L, scratch, address) || put_name(L, scratch, address)) return false;
    uint32_t class = 0;
    int tag = lua_getmetatable(L, -1) ? tag_of(L, scratch, &class) : NEAP_TAG_TABLE;
    uint32_t at = (uint32_t)scratch->size;
    neap_scratch_note(L, scratch, address, ++scratch->ordinal, at);
    *neap_scratch_put(L, scratch, NEAP_FORMAT_TABLE_SIZE) = (char)tag;
    if (tag == NEAP_TAG_INSTANCE) neap_scratch_put_bytes(L, scratch, &class, sizeof class);
    struct neap_frame *frame = neap_scratch_open(L, scratch, NEAP_FRAME_TABLE);
    frame->at = at;
    frame->meta = tag == NEAP_TAG_META;
    lua_pushnil(L); /* the key before the first */
    return true;
}

static bool begin_function(lua_State *L, struct neap_scratch *scratch) {
    const void *address = lua_topointer(L, -1);
    if (put_again(L, scratch, address)) return false;
    if (lua_iscfunction(L, -1)) {
        if (!neap_permanent_put_function(L, scratch)) neap_scratch_fail(L, scratch, "C function without a name");
        return false;
    }
    if (put_name(L, scratch, address)) return false;
    bool plain;
    struct neap_code *code = neap_function_code(L, scratch, &plain);
    uint32_t upvalues = neap_function_upvalues(code);
    uint32_t index = neap_scratch_object(L, scratch, neap_object_ref((struct neap_object *)code));
    if (plain) {
        /* Two functions of the same code in one message stay two: only the first may be one that the receiver has. */
        struct neap_seen *seen = neap_scratch_find(scratch, code);
        plain = seen->at == 0;
        seen->at = 1;
    }
    uint32_t at = (uint32_t)scratch->size;
    neap_scratch_note(L, scratch, address, ++scratch->ordinal, at);
    neap_scratch_put_u32(L, scratch, plain ? NEAP_TAG_PLAIN : NEAP_TAG_FUNCTION, index);
    if (plain) return false;
    struct neap_frame *frame = neap_scratch_open(L, scratch, NEAP_FRAME_FUNCTION);
    frame->at = at;
    frame->ordinal = scratch->ordinal;
    frame->pairs = upvalues;
    return true;
}

static int share(lua_State *L) {
    lua_pushlightuserdata(L, neap_box_share(L, 1));
    return 1;
}

/* A reference to what travels for the handle on top of the stack. */
static struct neap_object *take_object(lua_State *L, struct neap_scratch *scratch) {
    enum neap_handle kind;
    struct neap_object *object = neap_box_test_any(L, -1, &kind);
    if (object->shared && neap_bindings[kind]->travel == NULL) return neap_object_ref(object);
    lua_pushvalue(L, -1);
    neap_scratch_apart(L, scratch, share, 1, 1);
    object = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return object;
}

/* Why the handle at `index` cannot go to another process, though it can be sent; NULL: it can. */
static const char *find_obstacle(lua_State *L, int index) {
    enum neap_handle kind;
    const struct neap_object *object = neap_box_test_any(L, index, &kind);
    if (object == NULL || neap_bindings[kind]->obstacle == NULL) return NULL;
    return neap_bindings[kind]->obstacle(object);
}

static void begin_userdata(lua_State *L, struct neap_scratch *scratch) {
    if (lua_touserdata(L, -1) == neap_encoder_of(L)->null) {
        neap_scratch_put_tag(L, scratch, NEAP_TAG_NULL);
        return;
    }
    if (!neap_box_is_sendable(L, -1)) {
        if (neap_permanent_put(L, scratch)) return;
        neap_scratch_fail(L, scratch, "userdata");
    }
    const char *obstacle = scratch->leaves ? find_obstacle(L, -1) : NULL;
    if (obstacle != NULL) neap_scratch_fail(L, scratch, obstacle);
    uint32_t index = neap_scratch_object(L, scratch, take_object(L, scratch));
    neap_scratch_put_u32(L, scratch, NEAP_TAG_OBJECT, index);
}

static bool begin(lua_State *L, struct neap_scratch *scratch) {
    switch (lua_type(L, -1)) {
        case LUA_TTABLE: return begin_table(L, scratch);
        case LUA_TFUNCTION: return begin_function(L, scratch);
        case LUA_TUSERDATA: begin_userdata(L, scratch); return false;
        case LUA_TTHREAD: neap_scratch_fail(L, scratch, "coroutine"); return false;
        default: neap_scratch_fail(L, scratch, "light userdata"); return false;
    }
}

static inline bool put_value(lua_State *L, struct neap_scratch *scratch) {
    return !put_simple(L, scratch, -1) && begin(L, scratch);
}

/* --- the walk: each goes on with the innermost frame until it opens another (true) or is done --- */

static bool end_table(lua_State *L, struct neap_scratch *scratch, struct neap_frame *frame) {
    char *at = scratch->parcel->bytes + frame->at + 1;
    memcpy(at, &frame->array, sizeof frame->array);
    memcpy(at + sizeof frame->array, &frame->pairs, sizeof frame->pairs);
    if (!frame->meta) return false;
    frame->phase = NEAP_PHASE_METATABLE;
    lua_getmetatable(L, frame->slot);
    return begin(L, scratch);
}

static inline bool is_integer(lua_State *L, int index, lua_Integer value) {
    return lua_isinteger(L, index) && lua_tointeger(L, index) == value;
}

static bool walk_table(lua_State *L, struct neap_scratch *scratch, struct neap_frame *frame) {
    int slot = frame->slot; /* the key is above it, the value above that */
    if (frame->phase == NEAP_PHASE_METATABLE) return false;
    if (frame->phase == NEAP_PHASE_KEY) {
        frame->phase = NEAP_PHASE_PAIRS;
        if (put_value(L, scratch)) return true;
        lua_settop(L, slot + 1);
    }
    while (lua_next(L, slot)) {
        if (frame->phase == NEAP_PHASE_ARRAY && is_integer(L, -2, frame->array + INT64_C(1))) {
            frame->array++;
        } else {
            frame->pairs++;
            frame->phase = NEAP_PHASE_PAIRS;
            if (!put_simple(L, scratch, -2)) {
                frame->phase = NEAP_PHASE_KEY;
                lua_pushvalue(L, -2);
                if (begin(L, scratch)) return true;
                frame->phase = NEAP_PHASE_PAIRS;
                lua_pop(L, 1);
            }
        }
        if (put_value(L, scratch)) return true;
        lua_pop(L, 1);
    }
    return end_table(L, scratch, frame);
}

static bool walk_function(lua_State *L, struct neap_scratch *scratch, struct neap_frame *frame) {
    while (frame->array < frame->pairs) {
        int number = (int)++frame->array;
        const void *cell = lua_upvalueid(L, frame->slot, number);
        const char *name = lua_getupvalue(L, frame->slot, number);
        if (neap_function_is_environment(L, name)) {
            neap_scratch_put_tag(L, scratch, NEAP_TAG_GLOBALS);
        } else {
            const struct neap_seen *seen = neap_scratch_find(scratch, cell);
            if (seen != NULL) {
                mark_shared(scratch, seen->at);
                neap_scratch_put_u32(L, scratch, NEAP_TAG_JOIN, seen->number);
                neap_scratch_put_tag(L, scratch, (int)seen->upvalue);
            } else {
                neap_scratch_note(L, scratch, cell, frame->ordinal, frame->at)->upvalue = frame->array;
                if (put_value(L, scratch)) return true;
            }
        }
        lua_pop(L, 1);
    }
    return false;
}

static bool walk_list(lua_State *L, struct neap_scratch *scratch, struct neap_frame *frame) {
    while (frame->array < frame->pairs) {
        lua_pushvalue(L, (int)(frame->at + frame->array++));
        if (put_value(L, scratch)) return true;
        lua_pop(L, 1);
    }
    return false;
}

static void walk(lua_State *L, struct neap_scratch *scratch) {
    while (scratch->depth > 0) {
        struct neap_frame *frame = &scratch->frames[scratch->depth - 1];
        bool opened, list = frame->kind == NEAP_FRAME_LIST;
        int slot = frame->slot;
        if (frame->kind == NEAP_FRAME_TABLE)
            opened = walk_table(L, scratch, frame);
        else
            opened = list ? walk_list(L, scratch, frame) : walk_function(L, scratch, frame);
        if (opened) continue;
        scratch->depth--;
        lua_settop(L, list ? slot : slot - 1);
    }
}

/* --- parcels --- */

/* The class names behind the values; their blueprints among the objects. Where they begin. */
static uint32_t put_classes(lua_State *L, struct neap_scratch *scratch) {
    uint32_t count = scratch->class_count, at = (uint32_t)scratch->size;
    if (count == 0) return 0;
    neap_scratch_put_bytes(L, scratch, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length;
        const char *name = neap_class_name(scratch->classes[i], &length);
        neap_scratch_put_bytes(L, scratch, &length, sizeof length);
        neap_scratch_put_bytes(L, scratch, name, length);
    }
    if (!scratch->body) neap_class_put_blueprints(L, scratch);
    return at;
}

static struct neap_parcel *write_parcel(lua_State *L, struct neap_scratch *scratch, int first, int count) {
    struct neap_encoder *encoder = neap_encoder_of(L);
    if (!encoder->modules_watched) encoder->modules_stale = true;
    struct neap_frame *frame = neap_scratch_open(L, scratch, NEAP_FRAME_LIST);
    frame->at = (uint32_t)first;
    frame->pairs = (uint32_t)count;
    walk(L, scratch);
    struct neap_format_header header = {.version = NEAP_FORMAT_VERSION,
                                        .flags = scratch->list ? NEAP_FORMAT_LIST : 0,
                                        .count = (uint32_t)count,
                                        .depth = scratch->depth_max - 1,
                                        .shared = scratch->shared,
                                        .classes_at = put_classes(L, scratch)};
    return neap_scratch_finish(L, scratch, &header);
}

static void encode_parcel(lua_State *L, int index, bool leaves, struct neap_message *message, const char *what) {
    struct neap_scratch *scratch = neap_encoder_of(L)->scratch;
    neap_scratch_begin(L, scratch, what);
    scratch->leaves = leaves;
    message->parcel = write_parcel(L, scratch, lua_absindex(L, index), 1);
    neap_message_set_kind(message, NEAP_MESSAGE_PARCEL);
}

void neap_encode_body(lua_State *L, int index, struct neap_message *message, const char *what) {
    struct neap_scratch *scratch = neap_encoder_of(L)->scratch;
    neap_scratch_begin(L, scratch, what);
    scratch->body = true;
    message->parcel = write_parcel(L, scratch, lua_absindex(L, index), 1);
    neap_message_set_kind(message, NEAP_MESSAGE_PARCEL);
}

/* --- messages --- */

static void encode_string(lua_State *L, int index, struct neap_message *message, const char *what) {
    size_t size;
    const char *text = lua_tolstring(L, index, &size);
    if (size <= NEAP_MESSAGE_TEXT_MAX) {
        message->kind = NEAP_MESSAGE_TEXT;
        message->length = (uint8_t)size;
        memcpy(message->text, text, size);
        return;
    }
    if (size > NEAP_FORMAT_SIZE_MAX) luaL_error(L, "cannot send %s: more than 1 GiB", what);
    struct neap_parcel *parcel = neap_parcel_new(size, 0);
    if (parcel == NULL) luaL_error(L, "not enough memory");
    memcpy(parcel->bytes, text, size);
    message->parcel = parcel;
    neap_message_set_kind(message, NEAP_MESSAGE_BYTES);
}

/* A string of Lua, anchored by whoever lends it. */
static void end_loan(struct neap_store *loan) { neap_free(loan); }

void neap_encode_lent(lua_State *L, int argument, struct neap_message *message, const char *what) {
    size_t size;
    const char *text = lua_tolstring(L, argument, &size);
    if (size < NEAP_PACKER_BULK || size > NEAP_FORMAT_SIZE_MAX) {
        encode_string(L, argument, message, what);
        return;
    }
    struct neap_store *loan = neap_alloc(sizeof *loan);
    struct neap_parcel *parcel = loan == NULL ? NULL : neap_parcel_new_stored(size, loan);
    if (parcel == NULL) {
        neap_free(loan);
        luaL_error(L, "not enough memory");
    }
    *loan = (struct neap_store){.bytes = text, .release = end_loan};
    message->parcel = parcel;
    neap_message_set_kind(message, NEAP_MESSAGE_BYTES);
}

static void encode_userdata(lua_State *L, int index, bool leaves, struct neap_message *message, const char *what) {
    if (lua_touserdata(L, index) == neap_encoder_of(L)->null) {
        neap_message_set_kind(message, NEAP_MESSAGE_NULL);
        return;
    }
    bool refused = leaves && find_obstacle(L, index) != NULL;
    struct neap_object *object = refused ? NULL : neap_box_share(L, index);
    if (object == NULL) {
        encode_parcel(L, index, leaves, message, what); /* raises, or the userdata has a name */
        return;
    }
    message->object = object;
    neap_message_set_kind(message, NEAP_MESSAGE_OBJECT);
}

void neap_encode_other(lua_State *L, int index, bool leaves, struct neap_message *message, const char *what) {
    switch (lua_type(L, index)) {
        case LUA_TNONE:
        case LUA_TNIL: neap_message_clear(message); return;
        case LUA_TBOOLEAN:
            neap_message_set_kind(message, lua_toboolean(L, index) ? NEAP_MESSAGE_TRUE : NEAP_MESSAGE_FALSE);
            return;
        case LUA_TNUMBER:
            neap_message_set_kind(message, NEAP_MESSAGE_NUMBER);
            message->number = lua_tonumber(L, index);
            return;
        case LUA_TSTRING: encode_string(L, index, message, what); return;
        case LUA_TUSERDATA: encode_userdata(L, lua_absindex(L, index), leaves, message, what); return;
        default: encode_parcel(L, index, leaves, message, what);
    }
}

/* Whether neap_encode writes the value at `index` into the message itself, and so that it is not taken for no value. */
static bool stands_alone(lua_State *L, int index) {
    int type = lua_type(L, index);
    return type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING;
}

static void encode_list(lua_State *L, int first, int count, bool call, bool leaves, struct neap_message *message,
                        const char *what) {
    struct neap_scratch *scratch = neap_encoder_of(L)->scratch;
    neap_scratch_begin(L, scratch, what);
    scratch->list = true;
    scratch->call = call;
    scratch->leaves = leaves;
    message->parcel = write_parcel(L, scratch, lua_absindex(L, first), count);
    neap_message_set_kind(message, NEAP_MESSAGE_PARCEL);
}

void neap_encode_all_leaving(lua_State *L, int first, int count, bool leaves, struct neap_message *message,
                             const char *what) {
    if (count <= 0)
        neap_message_clear(message);
    else if (count == 1 && stands_alone(L, first))
        neap_encode(L, first, message, what);
    else
        encode_list(L, first, count, false, leaves, message, what);
}

void neap_encode_all(lua_State *L, int first, int count, struct neap_message *message, const char *what) {
    neap_encode_all_leaving(L, first, count, false, message, what);
}

/* The code of the plain function at `index`, with a reference, where that says all;
 * NULL: it has a name, or more to it. */
static struct neap_object *take_plain(lua_State *L, int index) {
    struct neap_encoder *encoder = neap_encoder_of(L);
    if (encoder->modules_stale || !encoder->modules_watched) return NULL;
    if (lua_iscfunction(L, index) || neap_filter_has(encoder, lua_topointer(L, index))) return NULL;
    bool plain;
    lua_pushvalue(L, index);
    neap_scratch_begin(L, encoder->scratch, "function");
    struct neap_code *code = neap_function_code(L, encoder->scratch, &plain);
    lua_pop(L, 1);
    return plain ? neap_object_ref((struct neap_object *)code) : NULL;
}

void neap_encode_call(lua_State *L, int function, int arguments, bool leaves, struct neap_message *message) {
    struct neap_object *code = arguments == 0 ? take_plain(L, function) : NULL;
    if (code != NULL) {
        message->object = code;
        neap_message_set_kind(message, NEAP_MESSAGE_CODE);
        return;
    }
    encode_list(L, function, 1 + arguments, true, leaves, message, "args");
}
