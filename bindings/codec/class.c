/* class: what neap.register knows, and how a class gets to a state that does not know it.
 *
 * MODEL      A state knows a class by a box: its name, its metatable (user value) and, once something of the class was
 *            sent, its blueprint: an object, constant and shared by all messages, that holds the encoded metatable. A
 *            message names its classes and carries their blueprints; the receiver takes its own class of that name, or
 *            reads the blueprint.
 *
 * BODY       The encoded metatable is a parcel of its own, written once. It names other classes (parents, what
 *            methods make) and does not refer to their blueprints: classes refer to one another, and references in a
 *            ring would never be dropped. Instead each message carries the blueprints of all classes that its classes
 *            name. A body may hold tables with metatables that nobody registered, such as {__index = Animal}.
 *
 * MODULES    A class that is a loaded module, or stands in one, is best made known by loading that module, so that the
 *            module and the values that arrive have the same class: `origin`. A receiver that does not find the module
 *            reads the body.
 *
 * LEARNING   All unknown classes of a message get an empty table first, then are read, then are known: rings need no
 *            order, and an error leaves nothing half known. A class that was learned gives way when a script registers
 *            its own of that name; what arrived before keeps the old one.
 *
 * LIMITS     The body is what the metatable was when the first value of the class was sent. */
#include "bindings/codec/class.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/codec/encoder.h"
#include "bindings/codec/permanent.h"
#include "bindings/state/registry.h"
#include "bindings/task/cancel.h"
#include "core/memory.h"
#include "core/object.h"
#include "host/packer.h"

struct blueprint {
    struct neap_object object; /* shared from its beginning */
    struct neap_message body;  /* what neap_encode_body wrote; empty if it cannot be sent, but its module be loaded */
    uint32_t name_length;      /* bytes of text: the name */
    uint32_t origin_length;    /* then the module; 0: none */
    char text[];               /* constant, as is all else */
};

struct neap_class_box {
    struct neap_kept kept; /* the blueprint; none before something of the class is sent, and after collection */
    bool learned;          /* from a message */
    uint32_t length;       /* of name */
    char name[];           /* constant */
};

static const char box_key; /* registry key: the metatable of boxes */

/* --- blueprints --- */

static void destroy(struct neap_object *object) {
    struct blueprint *blueprint = (struct blueprint *)object;
    neap_message_fini(&blueprint->body);
    neap_free(blueprint);
}

static void pack(struct neap_object *object, struct neap_packer *packer) {
    const struct blueprint *blueprint = (struct blueprint *)object;
    neap_pack_u32(packer, blueprint->name_length);
    neap_pack_u32(packer, blueprint->origin_length);
    neap_pack(packer, blueprint->text, (size_t)blueprint->name_length + blueprint->origin_length);
    neap_pack_message(packer, &blueprint->body);
}

static struct neap_object *unpack(struct neap_unpacker *unpacker);

const struct neap_class neap_blueprint_class = {.name = "class", .destroy = destroy, .pack = pack, .unpack = unpack};

static struct blueprint *blueprint_of(struct neap_object *object) {
    return object->class == &neap_blueprint_class ? (struct blueprint *)object : NULL;
}

/* Takes over `body`; NULL: no memory, and `body` is as it was. */
static struct blueprint *new_blueprint(const char *name, uint32_t name_length, const char *origin,
                                       uint32_t origin_length, struct neap_message *body) {
    struct blueprint *blueprint = neap_alloc(sizeof *blueprint + name_length + origin_length);
    if (blueprint == NULL) return NULL;
    neap_object_init(&blueprint->object, &neap_blueprint_class);
    neap_object_share(&blueprint->object);
    neap_message_move(&blueprint->body, body);
    blueprint->name_length = name_length;
    blueprint->origin_length = origin_length;
    memcpy(blueprint->text, name, name_length);
    if (origin_length > 0) memcpy(blueprint->text + name_length, origin, origin_length);
    return blueprint;
}

static struct neap_object *unpack(struct neap_unpacker *unpacker) {
    struct neap_message body = {.kind = NEAP_MESSAGE_EMPTY};
    uint32_t name_length = neap_unpack_u32(unpacker), origin_length = neap_unpack_u32(unpacker);
    const char *name = neap_unpack(unpacker, name_length), *origin = neap_unpack(unpacker, origin_length);
    neap_unpack_message(unpacker, &body);
    if (unpacker->code != 0) return NULL;
    struct blueprint *blueprint = new_blueprint(name, name_length, origin, origin_length, &body);
    if (blueprint != NULL) return &blueprint->object;
    neap_message_fini(&body);
    neap_unpack_nomem(unpacker);
    return NULL;
}

/* --- the tables of a state --- */

static int box_collected(lua_State *L) {
    struct neap_class_box *box = lua_touserdata(L, 1);
    neap_encoder_drop(neap_encoder_of(L), &box->kept);
    return 0;
}

void neap_class_open(lua_State *L, struct neap_encoder *encoder) {
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, box_collected);
    lua_setfield(L, -2, "__gc");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
    lua_newtable(L);
    encoder->classes_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    neap_registry_new_weak(L, "k");
    encoder->metatables_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Replaces the key on top of the stack by what the table in the registry holds for it: a box. */
static struct neap_class_box *look_up(lua_State *L, int reference) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
    lua_insert(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    return lua_touserdata(L, -1);
}

bool neap_class_push(lua_State *L) {
    if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), NEAP_CANCELLED_CLASS) == 0) {
        lua_pop(L, 1);
        neap_cancel_push_metatable(L); /* every state has its own */
        return true;
    }
    struct neap_class_box *box = look_up(L, neap_encoder_of(L)->classes_ref);
    if (box == NULL) return false;
    lua_getiuservalue(L, -1, 1);
    lua_remove(L, -2);
    return true;
}

const char *neap_class_name(const struct neap_class_box *box, uint32_t *length) {
    *length = box->length;
    return box->name;
}

/* Registers the metatable at `metatable` under the string at `name`. */
static struct neap_class_box *add(lua_State *L, int name, int metatable, bool learned) {
    struct neap_encoder *encoder = neap_encoder_of(L);
    size_t length;
    const char *text = lua_tolstring(L, name, &length);
    struct neap_class_box *box = lua_newuserdatauv(L, sizeof *box + length, 1);
    box->kept.object = NULL;
    box->learned = learned;
    box->length = (uint32_t)length;
    memcpy(box->name, text, length);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &box_key);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, metatable);
    lua_setiuservalue(L, -2, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, encoder->metatables_ref);
    lua_pushvalue(L, metatable);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_rawgeti(L, LUA_REGISTRYINDEX, encoder->classes_ref);
    lua_pushvalue(L, name);
    lua_pushvalue(L, -4);
    lua_rawset(L, -3);
    lua_pop(L, 3);
    neap_filter_add(encoder, lua_topointer(L, metatable));
    return box;
}

int neap_codec_register(lua_State *L) {
    neap_argument_type(L, 1, LUA_TSTRING);
    neap_argument_type(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    neap_argument_check(L, lua_rawlen(L, 1) > 0 && lua_rawlen(L, 1) <= UINT16_MAX, 1,
                        "name of 1 to 65535 bytes expected");
    const char *name = lua_tostring(L, 1);
    lua_pushvalue(L, 2);
    const struct neap_class_box *box = look_up(L, neap_encoder_of(L)->metatables_ref);
    if (box != NULL && !box->learned && (box->length != lua_rawlen(L, 1) || memcmp(box->name, name, box->length) != 0))
        return luaL_error(L, "bad argument #2 to 'register' (metatable is registered as '%s')",
                          lua_pushlstring(L, box->name, box->length));
    lua_pushvalue(L, 1);
    box = look_up(L, neap_encoder_of(L)->classes_ref);
    if (box != NULL && !box->learned) {
        lua_getiuservalue(L, -1, 1);
        if (!lua_rawequal(L, -1, 2))
            return luaL_error(L, "bad argument #1 to 'register' ('%s' is registered with another metatable)", name);
    } else {
        add(L, 1, 2, false);
    }
    lua_settop(L, 2);
    return 1;
}

/* --- sending --- */

/* The table on top of the stack has a field with the value at `value`. */
static bool contains(lua_State *L, int value) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        if (lua_rawequal(L, -1, value)) {
            lua_pop(L, 2);
            return true;
        }
    return false;
}

/* Pushes the name of the module that is the metatable at `metatable` or contains it; else nil. The globals are none. */
static void push_origin(lua_State *L, int metatable) {
    neap_permanent_push_loaded(L);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1) || strcmp(lua_tostring(L, -2), "_G") == 0) continue;
        if (!lua_rawequal(L, -1, metatable) && !contains(L, metatable)) continue;
        lua_pop(L, 1);
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    lua_pushnil(L);
}

/* (metatable, message, name in errors) */
static int encode_body(lua_State *L) {
    neap_encode_body(L, 1, lua_touserdata(L, 2), lua_tostring(L, 3));
    return 0;
}

/* (box): makes its blueprint. */
static int draw(lua_State *L) {
    enum { BOX = 1, METATABLE, ORIGIN, WHAT };
    struct neap_class_box *box = lua_touserdata(L, BOX);
    struct neap_message body;
    neap_message_clear(&body);
    lua_getiuservalue(L, BOX, 1);
    if (box->length == sizeof NEAP_CANCELLED_CLASS - 1 && memcmp(box->name, NEAP_CANCELLED_CLASS, box->length) == 0)
        lua_pushliteral(L, "neap");
    else
        push_origin(L, METATABLE);
    lua_pushlstring(L, box->name, box->length);
    lua_pushfstring(L, "class %s", lua_tostring(L, -1));
    lua_remove(L, -2);
    lua_pushcfunction(L, encode_body);
    lua_pushvalue(L, METATABLE);
    lua_pushlightuserdata(L, &body);
    lua_pushvalue(L, WHAT);
    if (lua_pcall(L, 3, 0, 0) != LUA_OK && lua_isnil(L, ORIGIN)) return lua_error(L);
    size_t length = 0;
    const char *origin = lua_tolstring(L, ORIGIN, &length);
    struct blueprint *blueprint = new_blueprint(box->name, box->length, origin, (uint32_t)length, &body);
    neap_message_fini(&body);
    if (blueprint == NULL) return luaL_error(L, "not enough memory");
    if (box->kept.object == NULL)
        neap_encoder_keep(L, &box->kept, &blueprint->object);
    else /* made by a finaliser meanwhile */
        neap_object_unref(&blueprint->object);
    return 0;
}

struct neap_class_box *neap_class_find(lua_State *L, struct neap_scratch *scratch) {
    lua_pushvalue(L, -1);
    struct neap_class_box *box = look_up(L, neap_encoder_of(L)->metatables_ref);
    if (box != NULL && box->kept.object == NULL && !scratch->body) {
        lua_pushvalue(L, -1);
        neap_scratch_apart(L, scratch, draw, 1, 0);
    }
    lua_pop(L, 1);
    return box;
}

/* The class names in the body of `blueprint`. */
static uint32_t named_by(const struct blueprint *blueprint, const char **at) {
    uint32_t count = 0;
    if (blueprint->body.kind == NEAP_MESSAGE_PARCEL) neap_format_classes(blueprint->body.parcel, &count, at);
    return count;
}

/* (scratch, blueprint): adds the classes that the body of the blueprint names to those of the message. */
static int add_named(lua_State *L) {
    struct neap_scratch *scratch = lua_touserdata(L, 1);
    const struct blueprint *blueprint = lua_touserdata(L, 2);
    const char *at, *name;
    uint32_t length, count = named_by(blueprint, &at);
    for (uint32_t i = 0; i < count && neap_format_next_name(blueprint->body.parcel, &at, &name, &length); i++) {
        lua_pushlstring(L, name, length);
        struct neap_class_box *box = look_up(L, neap_encoder_of(L)->classes_ref);
        if (box == NULL) continue;
        lua_pushcfunction(L, draw);
        lua_pushvalue(L, -2);
        if (box->kept.object == NULL) lua_call(L, 1, 0);
        neap_scratch_class(L, scratch, box);
        lua_settop(L, 2);
    }
    return 0;
}

void neap_class_put_blueprints(lua_State *L, struct neap_scratch *scratch) {
    const char *names;
    for (uint32_t i = 0; i < scratch->class_count; i++) { /* which grows */
        struct blueprint *blueprint = (struct blueprint *)scratch->classes[i]->kept.object;
        neap_scratch_object(L, scratch, neap_object_ref(&blueprint->object));
        if (named_by(blueprint, &names) == 0) continue;
        lua_pushlightuserdata(L, scratch);
        lua_pushlightuserdata(L, blueprint);
        neap_scratch_apart(L, scratch, add_named, 2, 0);
    }
}

/* --- receiving --- */

static void push_class_name(lua_State *L, const struct blueprint *blueprint) {
    lua_pushlstring(L, blueprint->text, blueprint->name_length);
}

static bool is_known(lua_State *L, const struct blueprint *blueprint) {
    push_class_name(L, blueprint);
    bool known = neap_class_push(L);
    lua_pop(L, 1);
    return known;
}

/* (name of a module, name of a class). A class that is called by a field of its module is asked for there: a module may
 * load its parts when they are first used. */
static int load_module(lua_State *L) {
    size_t length;
    const char *module = lua_tolstring(L, 1, &length), *name = lua_tostring(L, 2);
    bool is_field = strncmp(name, module, length) == 0 && name[length] == '.';
    lua_pushvalue(L, 1);
    neap_permanent_require(L);
    if (is_field && lua_istable(L, -1)) lua_getfield(L, -1, name + length + 1);
    return 0;
}

/* Loads the module of a class. That there is none is no error: the class is read from its body. */
static void load_origin(lua_State *L, const struct blueprint *blueprint) {
    lua_pushlstring(L, blueprint->text + blueprint->name_length, blueprint->origin_length);
    lua_pushcfunction(L, load_module);
    lua_pushvalue(L, -2);
    push_class_name(L, blueprint);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
        const char *missing = lua_pushfstring(L, "module '%s' not found:", lua_tostring(L, -2));
        const char *message = lua_tostring(L, -2);
        if (message == NULL || strncmp(message, missing, strlen(missing)) != 0) {
            lua_pop(L, 1);
            lua_error(L);
        }
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

/* Pushes what the table at `fresh` holds for the class: the metatable that is being made, or nil. */
static bool push_fresh(lua_State *L, int fresh, const struct blueprint *blueprint) {
    push_class_name(L, blueprint);
    return lua_rawget(L, fresh) == LUA_TTABLE;
}

/* Puts an empty table for the class into the table at `fresh`. */
static void prepare(lua_State *L, int fresh, const struct blueprint *blueprint) {
    push_class_name(L, blueprint);
    if (blueprint->body.kind == NEAP_MESSAGE_EMPTY)
        luaL_error(L, "cannot receive a value of class '%s', which is not known here", lua_tostring(L, -1));
    lua_newtable(L);
    lua_rawset(L, fresh);
}

/* From now on the class is known; unless somebody has registered one of its name while it was read. */
static void learn(lua_State *L, int fresh, struct blueprint *blueprint) {
    if (is_known(L, blueprint) || !push_fresh(L, fresh, blueprint)) return;
    push_class_name(L, blueprint);
    struct neap_class_box *box = add(L, lua_gettop(L), lua_gettop(L) - 1, true);
    neap_encoder_keep(L, &box->kept, neap_object_ref(&blueprint->object));
    lua_pop(L, 2);
}

void neap_class_learn(lua_State *L, const struct neap_parcel *parcel) {
    int top = lua_gettop(L), fresh = top + 1;
    luaL_checkstack(L, LUA_MINSTACK, "classes");
    for (uint32_t i = 0; i < parcel->object_count; i++) {
        const struct blueprint *blueprint = blueprint_of(parcel->objects[i]);
        if (blueprint != NULL && blueprint->origin_length > 0 && !is_known(L, blueprint)) load_origin(L, blueprint);
    }
    lua_newtable(L);
    for (uint32_t i = 0; i < parcel->object_count; i++) {
        const struct blueprint *blueprint = blueprint_of(parcel->objects[i]);
        if (blueprint != NULL && !is_known(L, blueprint)) prepare(L, fresh, blueprint);
    }
    for (uint32_t i = 0; i < parcel->object_count; i++) {
        const struct blueprint *blueprint = blueprint_of(parcel->objects[i]);
        if (blueprint != NULL && push_fresh(L, fresh, blueprint))
            neap_decode_body(L, &blueprint->body, fresh + 1, fresh);
        lua_settop(L, fresh);
    }
    for (uint32_t i = 0; i < parcel->object_count; i++) {
        struct blueprint *blueprint = blueprint_of(parcel->objects[i]);
        if (blueprint != NULL) learn(L, fresh, blueprint);
        lua_settop(L, fresh);
    }
    lua_settop(L, top);
}
