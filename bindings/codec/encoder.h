/* encoder: what the files of the codec share, and nobody else.
 *
 * encoder.c  the scratch that a message is written in: bytes, frames, what was seen, objects
 * encode.c   the walk over values (the essay is there), decode.c  the way back
 * function.c Lua functions, permanent.c  values that travel by name, class.c  registered classes */
#ifndef NEAP_BINDINGS_CODEC_ENCODER_H
#define NEAP_BINDINGS_CODEC_ENCODER_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bindings/codec/format.h"
#include "bindings/state/vm.h"
#include "core/message.h"

struct neap_object;
struct neap_class_box;

enum neap_frame_kind { NEAP_FRAME_LIST, NEAP_FRAME_TABLE, NEAP_FRAME_FUNCTION };

/* Where a table's walk stands. */
enum neap_frame_phase {
    NEAP_PHASE_ARRAY,    /* its keys have been 1, 2, 3 ... so far */
    NEAP_PHASE_PAIRS,    /* its keys are written too */
    NEAP_PHASE_KEY,      /* a key that is a container is under way */
    NEAP_PHASE_METATABLE /* its parts are done, its metatable is under way */
};

/* A container that is being written. Its value lies at `slot` of the Lua stack; a table's key above it. */
struct neap_frame {
    int slot;         /* list: one below its copy of the current value */
    uint32_t at;      /* offset of its tag; list: stack index of its first value */
    uint32_t ordinal; /* of a function */
    uint32_t array;   /* parts written without a key; function, list: the number of the current one */
    uint32_t pairs;   /* parts written with a key; function, list: how many parts there are */
    uint8_t kind;     /* enum neap_frame_kind */
    uint8_t phase;    /* enum neap_frame_phase */
    bool meta;        /* its metatable follows */
};

/* Something that the message mentions and may mention again. */
struct neap_seen {
    const void *key;  /* address of a table, function, upvalue, object or class box: all alive, so all differ */
    uint32_t number;  /* table, function: ordinal. Upvalue: ordinal of its function. Object, class: index */
    uint32_t at;      /* table, function, upvalue: offset of the tag to mark as shared. Code: 1 once sent as plain */
    uint32_t upvalue; /* upvalue: its number */
};

/* One message being written. Belongs to the state's thread. */
struct neap_scratch {
    struct neap_parcel *parcel; /* takes the bytes; NULL before the first use */
    size_t size, room;          /* of parcel->bytes: written, allocated */
    struct neap_frame *frames;  /* those under way, outermost first */
    uint32_t depth, frame_room; /* of frames */
    uint32_t depth_max;         /* the greatest depth of this message */
    uint32_t stack_depth;       /* the depth up to which the Lua stack has room */
    struct neap_seen *seen;     /* in the order of mention */
    uint32_t seen_count, seen_room;
    uint32_t *slots;                    /* a hash index of seen: its positions plus 1; used beyond a few */
    uint32_t slot_count, slot_room;     /* in use, a power of two or 0 (scan seen instead); allocated */
    struct neap_object **objects;       /* of the message: one reference each */
    uint32_t object_count, object_room; /* of objects */
    struct neap_class_box **classes;    /* of the message, by index; the registry keeps them alive */
    uint32_t class_count, class_room;   /* of classes */
    uint32_t ordinal;                   /* of the table or function written last */
    uint32_t shared;                    /* marked as shared so far */
    bool body;                          /* the body of a class is being written */
    bool list;                          /* a list of values is being written */
    bool call;                          /* and the first of them is a function, the others its arguments */
    bool leaves;                        /* the message goes to another process */
    const char *what;                   /* the value's name in errors */
    struct neap_scratch *inner;         /* for messages that are written while this one is under way; NULL */
};

/* A reference that a userdata holds. Lua calls no finaliser for a userdata that is made while its state closes (a
 * finaliser may send a function), so the encoder has a list of them, and drops what is left. */
struct neap_kept {
    struct neap_object *object; /* NULL: none */
    uint32_t place;             /* in encoder->kept */
};

enum { NEAP_FILTER_WORDS = 16 };

/* The codec of one state. */
struct neap_encoder {
    struct neap_scratch first;          /* the outermost */
    struct neap_scratch *scratch;       /* for the next message; see neap_scratch_apart */
    const void *null;                   /* address of neap.null */
    uint64_t filter[NEAP_FILTER_WORDS]; /* has the bits of all tables and Lua functions that travel by name */
    struct neap_keeping *kept;          /* all references that userdata hold */
    uint32_t kept_count, kept_room;     /* of kept */
    int null_ref;                       /* registry references, constant: neap.null */
    int names_ref;                      /* permanent (weak) -> name */
    int codes_ref;                      /* function (weak) -> box of its code */
    int boxes_ref;                      /* address, or hash of the bytes, of code -> its box (weak) */
    int classes_ref;                    /* name of a class -> its box */
    int metatables_ref;                 /* metatable (weak) -> box of its class */
    int require_ref;                    /* the state's require, or nil */
    int environment_ref;                /* metatable of received environments: falls back on the globals */
    int loaded_ref;                     /* package.loaded */
    bool modules_stale;                 /* a module may have been loaded since modules were named */
    bool modules_watched;               /* modules_stale is set when one is; else it is to be assumed */
};

struct neap_keeping {
    struct neap_object *object; /* one reference */
    struct neap_kept *kept;     /* whose it is; told when it is moved */
};

static inline struct neap_encoder *neap_encoder_of(lua_State *L) { return neap_vm_of(L)->encoder; }

/* --- scratch (encoder.c). Whatever raises here drops the message first. --- */

void neap_scratch_fini(struct neap_scratch *scratch);
/* Empties the scratch and drops what a message that was broken off has left. */
void neap_scratch_begin(lua_State *L, struct neap_scratch *scratch, const char *what);
/* Gives the bytes and objects to a new parcel. */
struct neap_parcel *neap_scratch_finish(lua_State *L, struct neap_scratch *scratch,
                                        const struct neap_format_header *header);
/* Drops the objects. */
void neap_scratch_drop(struct neap_scratch *scratch);

/* Raises "cannot send <path>: <reason>", with the name of its type if the value on top of the stack is a userdata. */
int neap_scratch_fail(lua_State *L, struct neap_scratch *scratch, const char *reason);
int neap_scratch_nomem(lua_State *L, struct neap_scratch *scratch);

/* Calls `function` with the `arguments` values on top of the stack, for `results`. Everything that may raise by itself,
 * collect garbage (and so run finalisers) or write another message is done through this, while a message is under way:
 * the others get a scratch of their own, and an error drops ours and goes on. */
void neap_scratch_apart(lua_State *L, struct neap_scratch *scratch, lua_CFunction function, int arguments, int results);

void neap_scratch_grow(lua_State *L, struct neap_scratch *scratch, size_t size);
struct neap_frame *neap_scratch_open(lua_State *L, struct neap_scratch *scratch, enum neap_frame_kind kind);

struct neap_seen *neap_scratch_find(struct neap_scratch *scratch, const void *key);
struct neap_seen *neap_scratch_note(lua_State *L, struct neap_scratch *scratch, const void *key, uint32_t number,
                                    uint32_t at);
/* The index of `object` among the message's: takes over one reference. */
uint32_t neap_scratch_object(lua_State *L, struct neap_scratch *scratch, struct neap_object *object);
/* The index of the class among the message's. */
uint32_t neap_scratch_class(lua_State *L, struct neap_scratch *scratch, struct neap_class_box *box);

/* Room for `size` more bytes, which the caller writes. */
static inline char *neap_scratch_put(lua_State *L, struct neap_scratch *scratch, size_t size) {
    if (size > scratch->room - scratch->size) neap_scratch_grow(L, scratch, size);
    char *at = scratch->parcel->bytes + scratch->size;
    scratch->size += size;
    return at;
}

static inline void neap_scratch_put_tag(lua_State *L, struct neap_scratch *scratch, int tag) {
    *neap_scratch_put(L, scratch, 1) = (char)tag;
}

static inline void neap_scratch_put_u32(lua_State *L, struct neap_scratch *scratch, int tag, uint32_t number) {
    char *at = neap_scratch_put(L, scratch, 1 + sizeof number);
    at[0] = (char)tag;
    memcpy(at + 1, &number, sizeof number);
}

static inline void neap_scratch_put_bytes(lua_State *L, struct neap_scratch *scratch, const void *bytes, size_t size) {
    memcpy(neap_scratch_put(L, scratch, size), bytes, size);
}

/* --- references of userdata (encoder.c) --- */

/* `kept` takes over a reference to `object`; drops it and raises when out of memory. */
void neap_encoder_keep(lua_State *L, struct neap_kept *kept, struct neap_object *object);
/* Drops the reference, if any. */
void neap_encoder_drop(struct neap_encoder *encoder, struct neap_kept *kept);

/* --- the filter: a quick "certainly not" for values that are neither permanents nor classes --- */

static inline uint32_t neap_filter_bit(const void *address) {
    return (uint32_t)(((uintptr_t)address >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 54);
}

static inline void neap_filter_add(struct neap_encoder *encoder, const void *address) {
    uint32_t bit = neap_filter_bit(address);
    encoder->filter[bit / 64] |= UINT64_C(1) << bit % 64;
}

static inline bool neap_filter_has(const struct neap_encoder *encoder, const void *address) {
    uint32_t bit = neap_filter_bit(address);
    return (encoder->filter[bit / 64] >> bit % 64 & 1) != 0;
}

/* --- encode.c, decode.c --- */

/* As neap_encode, for the metatable of a class: that table itself goes by value, and tables keep metatables that nobody
 * registered. */
void neap_encode_body(lua_State *L, int index, struct neap_message *message, const char *what);
/* Fills the empty table at `root` from what neap_encode_body wrote. Classes that are not known here are looked up by
 * name in the table at `fresh`. */
void neap_decode_body(lua_State *L, const struct neap_message *message, int root, int fresh);
/* The class names of a parcel: how many, and where the first stands. False: malformed. */
bool neap_format_classes(const struct neap_parcel *parcel, uint32_t *count, const char **at);
/* Takes the next string from `at` of the parcel. False: malformed. */
bool neap_format_next_name(const struct neap_parcel *parcel, const char **at, const char **name, uint32_t *length);

#endif
