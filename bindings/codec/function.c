/* function: code is dumped once, and loaded as seldom as can be.
 *
 * MODEL      The bytecode of a function is a neap_code: constant, counted, shared between threads. A state refers to it
 *            through a box, a userdata with one reference. Three ways lead to a box, all weak, so that it lives as long
 *            as a function of that code does:
 *                codes   function -> box          sending it again costs a look-up, also after it was received
 *                boxes   address of code -> box   receiving it again
 *                boxes   hash of the bytes -> box functions made by one piece of source share their code
 *            An address names a code as long as its box lives, for the box holds a reference.
 *
 * PLAIN      A function without upvalues but its globals cannot tell itself from another of its code. The box keeps one
 *            (in its user value), which is handed out each time: no load at all. A script may set its _ENV to something
 *            else: then it is not handed out again.
 *
 * REJECTED   Stripped code (errors would lose their lines); a table of code for the whole process (a lock on every
 *            send). */
#include "bindings/codec/function.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#include "bindings/codec/encoder.h"
#include "bindings/state/registry.h"
#include "core/memory.h"
#include "core/object.h"
#include "host/packer.h"

enum { FIRST_ROOM = 1024 /* bytes of a dump */ };

struct neap_code {
    struct neap_object object; /* shared from its beginning */
    uint64_t hash;             /* of bytes. Constant, as is the rest */
    size_t size;               /* of bytes */
    uint32_t upvalues;         /* of the function */
    char bytes[];              /* what lua_dump wrote */
};

struct box {
    struct neap_kept kept; /* the code; none before it is filled and after it was collected */
    uint32_t upvalues;     /* the code's: others write beside its own, as they count it */
};

static const char box_key; /* registry key: the metatable of boxes */

/* --- objects of code --- */

static void destroy(struct neap_object *object) { neap_free(object); }

static void pack(struct neap_object *object, struct neap_packer *packer) {
    const struct neap_code *code = (struct neap_code *)object;
    neap_pack_u32(packer, code->upvalues);
    neap_pack_u64(packer, code->size);
    neap_pack(packer, code->bytes, code->size);
}

static struct neap_object *unpack(struct neap_unpacker *unpacker);

const struct neap_class neap_code_class = {.name = "function", .destroy = destroy, .pack = pack, .unpack = unpack};

struct neap_code *neap_function_test(struct neap_object *object) {
    return object->class == &neap_code_class ? (struct neap_code *)object : NULL;
}

uint32_t neap_function_upvalues(const struct neap_code *code) { return code->upvalues; }

static uint64_t hash_of(const char *bytes, size_t size) {
    uint64_t hash = size;
    for (size_t at = 0; at < size; at += sizeof hash) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, size - at < sizeof word ? size - at : sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
    }
    return hash;
}

/* The bytes are complete. */
static void seal_code(struct neap_code *code, uint32_t upvalues) {
    neap_object_init(&code->object, &neap_code_class);
    neap_object_share(&code->object);
    code->hash = hash_of(code->bytes, code->size);
    code->upvalues = upvalues;
}

static struct neap_object *unpack(struct neap_unpacker *unpacker) {
    uint32_t upvalues = neap_unpack_u32(unpacker);
    uint64_t size = neap_unpack_u64(unpacker);
    const char *bytes = neap_unpack(unpacker, size);
    if (bytes == NULL) return NULL;
    struct neap_code *code = neap_alloc(sizeof *code + size);
    if (code == NULL) {
        neap_unpack_nomem(unpacker);
        return NULL;
    }
    code->size = size;
    memcpy(code->bytes, bytes, size);
    seal_code(code, upvalues);
    return &code->object;
}

struct dump {
    struct neap_code *code; /* what was written so far; NULL at first */
    size_t room;            /* of code->bytes */
};

static int append(lua_State *L, const void *bytes, size_t size, void *data) {
    (void)L;
    struct dump *dump = data;
    size_t used = dump->code == NULL ? 0 : dump->code->size;
    if (dump->code == NULL || size > dump->room - used) {
        size_t room = dump->room == 0 ? FIRST_ROOM : dump->room * 2;
        while (room < used + size) room *= 2;
        struct neap_code *code = neap_realloc(dump->code, sizeof *code + room);
        if (code == NULL) return 1;
        dump->code = code;
        dump->room = room;
    }
    memcpy(dump->code->bytes + used, bytes, size);
    dump->code->size = used + size;
    return 0;
}

/* The code of the function at the top of the stack; NULL: no memory. Does not raise. */
static struct neap_code *dump_function(lua_State *L) {
    struct dump dump = {NULL, 0};
    uint32_t upvalues = 0;
    if (lua_dump(L, append, &dump, 0) != 0) {
        neap_free(dump.code);
        return NULL;
    }
    struct neap_code *code = neap_realloc(dump.code, sizeof *code + dump.code->size);
    if (code == NULL) code = dump.code;
    while (lua_upvalueid(L, -1, (int)upvalues + 1) != NULL) upvalues++;
    seal_code(code, upvalues);
    return code;
}

/* --- boxes --- */

static struct neap_code *code_of(const struct box *box) {
    return box == NULL ? NULL : (struct neap_code *)box->kept.object;
}

static int box_collected(lua_State *L) {
    struct box *box = lua_touserdata(L, 1);
    neap_encoder_drop(neap_encoder_of(L), &box->kept);
    return 0;
}

static int new_weak_table(lua_State *L, const char *mode) {
    neap_registry_new_weak(L, mode);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void neap_function_open(lua_State *L, struct neap_encoder *encoder) {
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, box_collected);
    lua_setfield(L, -2, "__gc");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
    lua_createtable(L, 0, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_setfield(L, -2, "__index");
    encoder->environment_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    encoder->codes_ref = new_weak_table(L, "k");
    encoder->boxes_ref = new_weak_table(L, "v");
}

static struct box *new_box(lua_State *L) {
    struct box *box = lua_newuserdatauv(L, sizeof *box, 1);
    box->kept.object = NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &box_key);
    lua_setmetatable(L, -2);
    return box;
}

/* Notes the box on top of the stack under the address and the bytes of its code. */
static void keep_box(lua_State *L, const struct neap_code *code) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->boxes_ref);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, code);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)code->hash);
    lua_pop(L, 1);
}

/* The box at `box` is that of the function at `function`. */
static void keep_function(lua_State *L, int function, int box) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->codes_ref);
    lua_pushvalue(L, function);
    lua_pushvalue(L, box);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* --- sending --- */

/* Pushes a box that has the same bytes as `code`, if there is one. */
static bool push_equal(lua_State *L, const struct neap_code *code) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->boxes_ref);
    lua_rawgeti(L, -1, (lua_Integer)code->hash);
    lua_remove(L, -2);
    const struct neap_code *found = code_of(lua_touserdata(L, -1));
    if (found != NULL && found->size == code->size && memcmp(found->bytes, code->bytes, code->size) == 0) return true;
    lua_pop(L, 1);
    return false;
}

/* (function) -> its code, as a light userdata */
static int make_code(lua_State *L) {
    struct box *box = new_box(L);
    lua_pushvalue(L, 1);
    struct neap_code *code = dump_function(L);
    lua_pop(L, 1);
    if (code == NULL) return luaL_error(L, "not enough memory");
    box->upvalues = code->upvalues;
    neap_encoder_keep(L, &box->kept, &code->object);
    if (push_equal(L, code)) {
        neap_encoder_drop(neap_encoder_of(L), &box->kept);
        code = code_of(lua_touserdata(L, -1));
    } else {
        keep_box(L, code);
    }
    keep_function(L, 1, lua_gettop(L));
    lua_pushlightuserdata(L, code);
    return 1;
}

bool neap_function_is_environment(lua_State *L, const char *name) {
    if (name == NULL || strcmp(name, "_ENV") != 0) return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    return same;
}

static bool is_plain(lua_State *L, uint32_t upvalues) {
    if (upvalues == 0) return true;
    if (upvalues > 1) return false;
    bool plain = neap_function_is_environment(L, lua_getupvalue(L, -1, 1));
    lua_pop(L, 1);
    return plain;
}

struct neap_code *neap_function_code(lua_State *L, struct neap_scratch *scratch, bool *plain) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->codes_ref);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    struct neap_code *code = code_of(lua_touserdata(L, -1));
    lua_pop(L, 2);
    if (code == NULL) {
        lua_pushvalue(L, -1);
        neap_scratch_apart(L, scratch, make_code, 1, 1);
        code = lua_touserdata(L, -1);
        lua_pop(L, 1);
    }
    *plain = is_plain(L, code->upvalues);
    return code;
}

/* --- receiving --- */

/* Pushes the state's box of `code`. */
static void push_box(lua_State *L, struct neap_code *code) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->boxes_ref);
    lua_rawgetp(L, -1, code);
    lua_remove(L, -2);
    if (code_of(lua_touserdata(L, -1)) != NULL) return;
    lua_pop(L, 1);
    struct box *box = new_box(L);
    box->upvalues = code->upvalues;
    neap_encoder_keep(L, &box->kept, neap_object_ref(&code->object));
    keep_box(L, code);
}

struct source {
    const struct neap_code *code;
    bool given; /* in one piece */
};

static const char *give(lua_State *L, void *data, size_t *size) {
    (void)L;
    struct source *source = data;
    *size = source->given ? 0 : source->code->size;
    source->given = true;
    return source->code->bytes;
}

/* Pushes the plain function that the box on top of the stack keeps, if it is fit for use. */
static bool push_kept(lua_State *L, uint32_t upvalues) {
    if (lua_getiuservalue(L, -1, 1) == LUA_TFUNCTION && is_plain(L, upvalues)) return true;
    lua_pop(L, 1);
    return false;
}

bool neap_function_push_known(lua_State *L, const struct neap_object *object) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->boxes_ref);
    lua_rawgetp(L, -1, object);
    lua_remove(L, -2);
    const struct box *box = lua_touserdata(L, -1);
    if (code_of(box) == NULL || !push_kept(L, box->upvalues)) {
        lua_pop(L, 1);
        return false;
    }
    lua_remove(L, -2);
    return true;
}

void neap_function_push(lua_State *L, struct neap_code *code, bool plain) {
    push_box(L, code);
    if (plain && push_kept(L, code->upvalues)) {
        lua_remove(L, -2);
        return;
    }
    struct source source = {code, false};
    if (lua_load(L, give, &source, "=neap", "b") != LUA_OK) lua_error(L);
    keep_function(L, lua_gettop(L), lua_gettop(L) - 1);
    if (plain) {
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, -3, 1);
    }
    lua_remove(L, -2);
}
