/* The decoder under a fuzzer: arbitrary bytes as a parcel. Bytecode never comes from bytes, only from the objects of a
 * parcel, so the objects are sound: a channel, the code of functions, the blueprint of a class.
 *
 * Built with clang -fsanitize=fuzzer,address,undefined, from this file, the engine and the bindings without the runner.
 * With DECODE_FUZZ_SEEDS=folder in the environment it writes a first corpus into that folder. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/state/vm.h"
#include "core/memory.h"
#include "core/object.h"
#include "sync/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { OBJECTS = 4, COLLECT_EVERY = 64 };

static lua_State *state;
static struct neap_vm vm; /* of `state`; zero but for what the codec uses */
static struct neap_object *objects[OBJECTS];
static unsigned inputs;

static const char seeds[] = "local shared, n = {1}, 0\n"
                            "local function count() n = n + 1 return n end\n"
                            "return {1, -1, 2^40, 1.5, 'x', ('y'):rep(100), true, false, 1 << 40},\n"
                            "  {id = 1, name = 'x', tags = {1, 2, 3}}, {shared, shared, {shared}},\n"
                            "  {[{1}] = {2}, [1.5] = 3, [true] = 4}, {print, string, _G},\n"
                            "  {count, function() return n end, count}, {function() return print end},\n"
                            "  setmetatable({x = 1, p = setmetatable({}, Class)}, Class), {Class}";

/* Takes the objects of the message's parcel as ours. */
static void take_object(struct neap_message *message, int index) {
    if (message->kind == NEAP_MESSAGE_PARCEL && message->parcel->object_count > 0)
        objects[index] = neap_object_ref(message->parcel->objects[0]);
    neap_message_fini(message);
}

static void make_objects(lua_State *L) {
    struct neap_message message;
    struct neap_channel *channel = neap_channel_new(1);
    neap_object_share(&channel->object);
    objects[0] = &channel->object;
    neap_message_clear(&message);
    if (luaL_dostring(L, "local a, b return function() a, b = b, a end") != LUA_OK) abort();
    neap_encode(L, -1, &message, "value");
    take_object(&message, 1);
    if (luaL_dostring(L, "return function() return print end") != LUA_OK) abort();
    neap_encode(L, -1, &message, "value");
    take_object(&message, 2);
    if (luaL_dostring(L, "return setmetatable({}, Class)") != LUA_OK) abort();
    neap_encode(L, -1, &message, "value");
    take_object(&message, 3);
    lua_settop(L, 0);
}

/* Modules are not searched for: the file system is no part of the input. */
static int open_state(lua_State *L) {
    luaL_openlibs(L);
    if (luaL_dostring(L, "package.searchers = {}") != LUA_OK) return lua_error(L);
    neap_codec_open(L);
    lua_pushcfunction(L, neap_codec_register);
    lua_pushliteral(L, "Class");
    lua_newtable(L);
    lua_call(L, 2, 1);
    lua_setglobal(L, "Class");
    make_objects(L);
    return 0;
}

static void write_seeds(lua_State *L, const char *folder) {
    if (luaL_dostring(L, seeds) != LUA_OK) abort();
    for (int i = 1; i <= lua_gettop(L); i++) {
        struct neap_message message;
        char path[4096];
        neap_message_clear(&message);
        neap_encode(L, i, &message, "value");
        snprintf(path, sizeof path, "%s/seed%d", folder, i);
        FILE *file = fopen(path, "wb");
        if (file == NULL) abort();
        if (fwrite(message.parcel->bytes, 1, message.parcel->size, file) != message.parcel->size) abort();
        fclose(file);
        neap_message_fini(&message);
    }
    lua_settop(L, 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    lua_State *L = state = luaL_newstate();
    *(struct neap_vm **)lua_getextraspace(L) = &vm;
    lua_pushcfunction(L, open_state);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) abort();
    const char *folder = getenv("DECODE_FUZZ_SEEDS");
    if (folder != NULL) write_seeds(L, folder);
    return 0;
}

static int decode(lua_State *L) {
    const struct neap_message *message = lua_touserdata(L, 1);
    neap_decode(L, message);
    return 0;
}

static int decode_all(lua_State *L) { return neap_decode_all(L, lua_touserdata(L, 1)); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct neap_message message;
    struct neap_parcel *parcel = neap_parcel_new(size, OBJECTS);
    if (parcel == NULL) return 0;
    if (size > 0) memcpy(parcel->bytes, data, size);
    for (int i = 0; i < OBJECTS; i++) parcel->objects[i] = neap_object_ref(objects[i]);
    message.kind = NEAP_MESSAGE_PARCEL;
    message.parcel = parcel;
    lua_State *L = state;
    for (int list = 0; list < 2; list++) {
        lua_pushcfunction(L, list ? decode_all : decode);
        lua_pushlightuserdata(L, &message);
        (void)lua_pcall(L, 1, 0, 0);
        lua_settop(L, 0);
    }
    neap_message_fini(&message);
    if (++inputs % COLLECT_EVERY == 0) lua_gc(L, LUA_GCCOLLECT);
    return 0;
}
