#include "bindings/codec/encoder.h"

#include <lauxlib.h>
#include <stddef.h>
#include <stdio.h>

#include "core/memory.h"
#include "core/object.h"

enum {
    FIRST_ROOM = 512,      /* bytes */
    FIRST_ENTRIES = 16,    /* of the arrays */
    SCANNED = 12,          /* so many are found by looking at each */
    KEPT_ROOM = 64 * 1024, /* bytes: what grew beyond is not kept for the next message */
    KEPT_ENTRIES = 2048,
    STACK_STEP = 8,      /* containers that the Lua stack has room for at a time */
    STACK_PER_FRAME = 3, /* table, key, value */
    STACK_SPARE = 10,    /* for what encoding one value pushes */
    PATH_MAX_SIZE = 400, /* bytes */
    PATH_STEPS = 6,      /* first and last steps of a path that are shown */
    PATH_TEXT = 40       /* bytes of a key that are shown */
};

/* --- memory --- */

void neap_scratch_drop(struct neap_scratch *scratch) {
    while (scratch->object_count > 0) neap_object_unref(scratch->objects[--scratch->object_count]);
}

static void *trim(void *block, uint32_t *room) {
    if (*room <= KEPT_ENTRIES) return block;
    neap_free(block);
    *room = 0;
    return NULL;
}

/* A large message does not leave its scratch behind. */
static void trim_all(struct neap_scratch *scratch) {
    scratch->frames = trim(scratch->frames, &scratch->frame_room);
    scratch->seen = trim(scratch->seen, &scratch->seen_room);
    scratch->slots = trim(scratch->slots, &scratch->slot_room);
    scratch->objects = trim(scratch->objects, &scratch->object_room);
    scratch->classes = trim(scratch->classes, &scratch->class_room);
    if (scratch->room <= KEPT_ROOM) return;
    neap_free(scratch->parcel);
    scratch->parcel = NULL;
    scratch->room = 0;
}

void neap_scratch_fini(struct neap_scratch *scratch) {
    neap_scratch_drop(scratch);
    neap_free(scratch->parcel);
    neap_free(scratch->frames);
    neap_free(scratch->seen);
    neap_free(scratch->slots);
    neap_free(scratch->objects);
    neap_free(scratch->classes);
}

/* Gives up on the message that is being written. */
static void abandon(struct neap_scratch *scratch) {
    neap_scratch_drop(scratch);
    scratch->depth = 0;
    trim_all(scratch);
}

int neap_scratch_nomem(lua_State *L, struct neap_scratch *scratch) {
    abandon(scratch);
    return luaL_error(L, "not enough memory");
}

/* Makes room for one more entry of an array. */
static void *widen(lua_State *L, struct neap_scratch *scratch, void *block, uint32_t *room, size_t size) {
    uint32_t wanted = *room == 0 ? FIRST_ENTRIES : *room * 2;
    block = neap_realloc(block, wanted * size);
    if (block == NULL) neap_scratch_nomem(L, scratch);
    *room = wanted;
    return block;
}

void neap_scratch_grow(lua_State *L, struct neap_scratch *scratch, size_t size) {
    size_t wanted = scratch->size + size, room = scratch->room < FIRST_ROOM ? FIRST_ROOM : scratch->room * 2;
    if (wanted > NEAP_FORMAT_SIZE_MAX) neap_scratch_fail(L, scratch, "more than 1 GiB");
    while (room < wanted) room *= 2;
    struct neap_parcel *parcel = neap_realloc(scratch->parcel, sizeof *parcel + room);
    if (parcel == NULL) neap_scratch_nomem(L, scratch);
    scratch->parcel = parcel;
    scratch->room = room;
}

/* --- a message's begin and end --- */

void neap_scratch_begin(lua_State *L, struct neap_scratch *scratch, const char *what) {
    neap_scratch_drop(scratch);
    scratch->size = 0;
    scratch->depth = 0;
    scratch->depth_max = 0;
    scratch->stack_depth = 0;
    scratch->seen_count = 0;
    scratch->slot_count = 0;
    scratch->class_count = 0;
    scratch->ordinal = 0;
    scratch->shared = 0;
    scratch->body = false;
    scratch->list = scratch->call = scratch->leaves = false;
    scratch->what = what;
    neap_scratch_put(L, scratch, sizeof(struct neap_format_header));
}

/* A large parcel is the scratch's own, which costs no copy. */
static struct neap_parcel *hand_over(struct neap_scratch *scratch) {
    struct neap_parcel *parcel = scratch->parcel, *shrunk = neap_realloc(parcel, sizeof *parcel + scratch->size);
    scratch->parcel = NULL;
    scratch->room = 0;
    parcel = shrunk != NULL ? shrunk : parcel;
    parcel->size = scratch->size;
    parcel->objects = NULL;
    parcel->object_count = 0;
    parcel->store = NULL;
    atomic_init(&parcel->refs, 1);
    return parcel;
}

static struct neap_parcel *copy(const struct neap_scratch *scratch) {
    struct neap_parcel *parcel = neap_parcel_new(scratch->size, 0);
    if (parcel != NULL) memcpy(parcel->bytes, scratch->parcel->bytes, scratch->size);
    return parcel;
}

static bool give_objects(struct neap_scratch *scratch, struct neap_parcel *parcel) {
    size_t size = scratch->object_count * sizeof *scratch->objects;
    if (size == 0) return true;
    parcel->objects = neap_alloc(size);
    if (parcel->objects == NULL) return false;
    memcpy(parcel->objects, scratch->objects, size);
    parcel->object_count = scratch->object_count;
    scratch->object_count = 0;
    return true;
}

struct neap_parcel *neap_scratch_finish(lua_State *L, struct neap_scratch *scratch,
                                        const struct neap_format_header *header) {
    memcpy(scratch->parcel->bytes, header, sizeof *header);
    struct neap_parcel *parcel = scratch->room > KEPT_ROOM ? hand_over(scratch) : copy(scratch);
    if (parcel == NULL) neap_scratch_nomem(L, scratch);
    if (!give_objects(scratch, parcel)) {
        neap_parcel_free(parcel);
        neap_scratch_nomem(L, scratch);
    }
    trim_all(scratch);
    return parcel;
}

/* --- references of userdata --- */

void neap_encoder_keep(lua_State *L, struct neap_kept *kept, struct neap_object *object) {
    struct neap_encoder *encoder = neap_encoder_of(L);
    if (encoder->kept_count == encoder->kept_room) {
        uint32_t room = encoder->kept_room == 0 ? FIRST_ENTRIES : encoder->kept_room * 2;
        struct neap_keeping *all = neap_realloc(encoder->kept, room * sizeof *all);
        if (all == NULL) {
            neap_object_unref(object);
            luaL_error(L, "not enough memory");
        }
        encoder->kept = all;
        encoder->kept_room = room;
    }
    kept->object = object;
    kept->place = encoder->kept_count++;
    encoder->kept[kept->place] = (struct neap_keeping){object, kept};
}

void neap_encoder_drop(struct neap_encoder *encoder, struct neap_kept *kept) {
    struct neap_object *object = kept->object;
    if (object == NULL) return;
    kept->object = NULL;
    encoder->kept[kept->place] = encoder->kept[--encoder->kept_count];
    encoder->kept[kept->place].kept->place = kept->place;
    neap_object_unref(object);
}

/* --- errors: the path to the value under way --- */

struct path {
    size_t size; /* of text, without the zero that ends it */
    char text[PATH_MAX_SIZE];
};

static void add(struct path *path, const char *text, size_t size) {
    size_t left = sizeof path->text - 1 - path->size;
    if (size > left) size = left;
    memcpy(path->text + path->size, text, size);
    path->size += size;
    path->text[path->size] = '\0';
}

static void add_text(struct path *path, const char *text) { add(path, text, strlen(text)); }

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

static bool is_name(const char *text, size_t size) {
    if (size == 0 || size > PATH_TEXT || !is_letter(text[0])) return false;
    for (size_t i = 1; i < size; i++)
        if (!is_letter(text[i]) && (text[i] < '0' || text[i] > '9')) return false;
    return true;
}

/* A string key that is no name: quoted, cut, control characters as \ddd. */
static void add_quoted(struct path *path, const char *text, size_t size) {
    add_text(path, "[\"");
    for (size_t i = 0; i < size && i < PATH_TEXT; i++) {
        char code[8] = {text[i], '\0'};
        unsigned char c = (unsigned char)text[i];
        if (c < ' ' || c == 127) snprintf(code, sizeof code, "\\%03d", c);
        if (c == '"' || c == '\\') snprintf(code, sizeof code, "\\%c", c);
        add_text(path, code);
    }
    add_text(path, size > PATH_TEXT ? "...\"]" : "\"]");
}

static void add_key(lua_State *L, struct path *path, int key) {
    char text[PATH_TEXT];
    size_t size;
    const char *string;
    switch (lua_type(L, key)) {
        case LUA_TSTRING:
            string = lua_tolstring(L, key, &size);
            if (!is_name(string, size)) {
                add_quoted(path, string, size);
                return;
            }
            add(path, ".", 1);
            add(path, string, size);
            return;
        case LUA_TNUMBER:
            if (lua_isinteger(L, key))
                snprintf(text, sizeof text, "[" LUA_INTEGER_FMT "]", lua_tointeger(L, key));
            else
                snprintf(text, sizeof text, "[" LUA_NUMBER_FMT "]", lua_tonumber(L, key));
            add_text(path, text);
            return;
        case LUA_TBOOLEAN: add_text(path, lua_toboolean(L, key) ? "[true]" : "[false]"); return;
        default:
            add(path, "[", 1);
            add_text(path, luaL_typename(L, key));
            add(path, "]", 1);
    }
}

static void add_step(lua_State *L, struct path *path, const struct neap_scratch *scratch,
                     const struct neap_frame *frame) {
    char text[PATH_TEXT];
    if (frame->kind == NEAP_FRAME_LIST) {
        bool function = scratch->call && frame->array == 1;
        add_text(path, function ? "function" : scratch->what);
        snprintf(text, sizeof text, "[%u]", frame->array - scratch->call);
        if (scratch->list && !function) add_text(path, text);
    } else if (frame->kind == NEAP_FRAME_FUNCTION) {
        const char *name = lua_getupvalue(L, frame->slot, (int)frame->array);
        add_text(path, ":upvalue(");
        add_text(path, name != NULL ? name : "?");
        add_text(path, ")");
        if (name != NULL) lua_pop(L, 1);
    } else if (frame->phase == NEAP_PHASE_METATABLE) {
        add_text(path, ":metatable");
    } else if (frame->phase == NEAP_PHASE_KEY) {
        add_text(path, "[key]");
    } else {
        add_key(L, path, frame->slot + 1);
    }
}

int neap_scratch_fail(lua_State *L, struct neap_scratch *scratch, const char *reason) {
    struct path path = {0, ""};
    uint32_t depth = scratch->depth;
    if (depth == 0) add_text(&path, scratch->what);
    for (uint32_t i = 0; i < depth; i++) {
        if (i == PATH_STEPS && depth > 2 * PATH_STEPS) {
            add_text(&path, " ... ");
            i = depth - PATH_STEPS;
        }
        add_step(L, &path, scratch, &scratch->frames[i]);
    }
    abandon(scratch);
    if (lua_type(L, -1) == LUA_TUSERDATA && luaL_getmetafield(L, -1, "__name") == LUA_TSTRING)
        return luaL_error(L, "cannot send %s: %s (%s)", path.text, reason, lua_tostring(L, -1));
    return luaL_error(L, "cannot send %s: %s", path.text, reason);
}

/* --- doing something else meanwhile --- */

void neap_scratch_apart(lua_State *L, struct neap_scratch *scratch, lua_CFunction function, int arguments,
                        int results) {
    struct neap_encoder *encoder = neap_encoder_of(L);
    if (scratch->inner == NULL) {
        scratch->inner = neap_alloc_zeroed(sizeof *scratch->inner);
        if (scratch->inner == NULL) neap_scratch_nomem(L, scratch);
    }
    lua_pushcfunction(L, function);
    lua_insert(L, -arguments - 1);
    encoder->scratch = scratch->inner;
    int status = lua_pcall(L, arguments, results, 0);
    encoder->scratch = scratch;
    if (status == LUA_OK) return;
    abandon(scratch);
    lua_error(L);
}

/* --- frames --- */

struct neap_frame *neap_scratch_open(lua_State *L, struct neap_scratch *scratch, enum neap_frame_kind kind) {
    if (scratch->depth > NEAP_FORMAT_DEPTH_MAX) neap_scratch_fail(L, scratch, "too deep");
    if (scratch->depth == scratch->stack_depth) {
        if (!lua_checkstack(L, STACK_STEP * STACK_PER_FRAME + STACK_SPARE)) neap_scratch_nomem(L, scratch);
        scratch->stack_depth += STACK_STEP;
    }
    if (scratch->depth == scratch->frame_room)
        scratch->frames = widen(L, scratch, scratch->frames, &scratch->frame_room, sizeof *scratch->frames);
    struct neap_frame *frame = &scratch->frames[scratch->depth++];
    if (scratch->depth > scratch->depth_max) scratch->depth_max = scratch->depth;
    frame->slot = lua_gettop(L);
    frame->at = 0;
    frame->ordinal = 0;
    frame->array = 0;
    frame->pairs = 0;
    frame->kind = (uint8_t)kind;
    frame->phase = NEAP_PHASE_ARRAY;
    frame->meta = false;
    return frame;
}

/* --- what was seen --- */

static uint32_t hash(const void *key) { return (uint32_t)(((uintptr_t)key >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 32); }

static void fill_slot(struct neap_scratch *scratch, uint32_t position) {
    uint32_t mask = scratch->slot_count - 1, at = hash(scratch->seen[position].key) & mask;
    while (scratch->slots[at] != 0) at = (at + 1) & mask;
    scratch->slots[at] = position + 1;
}

/* Lays the index out for twice as many. */
static void index_seen(lua_State *L, struct neap_scratch *scratch) {
    uint32_t count = scratch->slot_count == 0 ? 4 * FIRST_ENTRIES : 2 * scratch->slot_count;
    if (count > scratch->slot_room) {
        uint32_t *slots = neap_realloc(scratch->slots, count * sizeof *slots);
        if (slots == NULL) neap_scratch_nomem(L, scratch);
        scratch->slots = slots;
        scratch->slot_room = count;
    }
    scratch->slot_count = count;
    memset(scratch->slots, 0, count * sizeof *scratch->slots);
    for (uint32_t i = 0; i < scratch->seen_count; i++) fill_slot(scratch, i);
}

struct neap_seen *neap_scratch_find(struct neap_scratch *scratch, const void *key) {
    if (scratch->slot_count == 0) {
        for (uint32_t i = 0; i < scratch->seen_count; i++)
            if (scratch->seen[i].key == key) return &scratch->seen[i];
        return NULL;
    }
    uint32_t mask = scratch->slot_count - 1, at = hash(key) & mask;
    for (; scratch->slots[at] != 0; at = (at + 1) & mask)
        if (scratch->seen[scratch->slots[at] - 1].key == key) return &scratch->seen[scratch->slots[at] - 1];
    return NULL;
}

struct neap_seen *neap_scratch_note(lua_State *L, struct neap_scratch *scratch, const void *key, uint32_t number,
                                    uint32_t at) {
    if (scratch->seen_count == scratch->seen_room)
        scratch->seen = widen(L, scratch, scratch->seen, &scratch->seen_room, sizeof *scratch->seen);
    uint32_t position = scratch->seen_count++;
    struct neap_seen *seen = &scratch->seen[position];
    seen->key = key;
    seen->number = number;
    seen->at = at;
    seen->upvalue = 0;
    if (scratch->slot_count == 0 ? scratch->seen_count > SCANNED : scratch->seen_count > scratch->slot_count / 2)
        index_seen(L, scratch);
    else if (scratch->slot_count != 0)
        fill_slot(scratch, position);
    return seen;
}

uint32_t neap_scratch_object(lua_State *L, struct neap_scratch *scratch, struct neap_object *object) {
    struct neap_seen *seen = neap_scratch_find(scratch, object);
    if (seen != NULL) {
        neap_object_unref(object);
        return seen->number;
    }
    if (scratch->object_count == scratch->object_room) {
        uint32_t room = scratch->object_room == 0 ? FIRST_ENTRIES : scratch->object_room * 2;
        struct neap_object **objects = neap_realloc(scratch->objects, room * sizeof(struct neap_object *));
        if (objects == NULL) {
            neap_object_unref(object);
            neap_scratch_nomem(L, scratch);
        }
        scratch->objects = objects;
        scratch->object_room = room;
    }
    scratch->objects[scratch->object_count++] = object;
    return neap_scratch_note(L, scratch, object, scratch->object_count - 1, 0)->number;
}

uint32_t neap_scratch_class(lua_State *L, struct neap_scratch *scratch, struct neap_class_box *box) {
    struct neap_seen *seen = neap_scratch_find(scratch, box);
    if (seen != NULL) return seen->number;
    if (scratch->class_count == scratch->class_room)
        scratch->classes = widen(L, scratch, scratch->classes, &scratch->class_room, sizeof(struct neap_class_box *));
    scratch->classes[scratch->class_count++] = box;
    return neap_scratch_note(L, scratch, box, scratch->class_count - 1, 0)->number;
}
