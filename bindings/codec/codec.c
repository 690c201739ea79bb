#include "bindings/codec/codec.h"

#include <lauxlib.h>
#include <stddef.h>

#include "bindings/codec/class.h"
#include "bindings/codec/encoder.h"
#include "bindings/codec/function.h"
#include "bindings/codec/permanent.h"
#include "core/memory.h"
#include "core/object.h"

static int null_tostring(lua_State *L) {
    lua_pushliteral(L, "null");
    return 1;
}

static void make_null(lua_State *L, struct neap_encoder *encoder) {
    encoder->null = lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, null_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "null");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    encoder->null_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

int neap_codec_open(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_encoder *encoder = neap_alloc_zeroed(sizeof *encoder);
    if (encoder == NULL) return luaL_error(L, "not enough memory");
    vm->encoder = encoder;
    encoder->scratch = &encoder->first;
    make_null(L, encoder);
    neap_function_open(L, encoder);
    neap_class_open(L, encoder);
    neap_permanent_open(L, encoder);
    return 0;
}

void neap_codec_push_null(lua_State *L) { lua_rawgeti(L, LUA_REGISTRYINDEX, neap_encoder_of(L)->null_ref); }

void neap_codec_touch_modules(lua_State *L) { neap_encoder_of(L)->modules_stale = true; }

void neap_codec_close(struct neap_vm *vm) {
    struct neap_encoder *encoder = vm->encoder;
    if (encoder == NULL) return;
    vm->encoder = NULL;
    struct neap_scratch *inner = encoder->first.inner;
    neap_scratch_fini(&encoder->first);
    while (inner != NULL) {
        struct neap_scratch *next = inner->inner;
        neap_scratch_fini(inner);
        neap_free(inner);
        inner = next;
    }
    while (encoder->kept_count > 0) neap_object_unref(encoder->kept[--encoder->kept_count].object);
    neap_free(encoder->kept);
    neap_free(encoder);
}
