#include "bindings/running/start.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/report/failure.h"
#include "bindings/state/registry.h"
#include "bindings/state/site.h"
#include "bindings/task/context.h"
#include "bindings/task/slice.h"
#include "core/memory.h"
#include "host/packer.h"

enum { ORIGIN_MAX = 2048 };

static const char *const path_fields[] = {"path", "cpath"}; /* of package */

/* --- records --- */

struct neap_start *neap_start_new(void) {
    return neap_alloc_zeroed(sizeof(struct neap_start));
}

void neap_start_free(struct neap_start *start) {
    neap_message_fini(&start->function);
    neap_message_fini(&start->arguments);
    neap_message_fini(&start->paths);
    neap_message_fini(&start->context);
    neap_message_fini(&start->commons);
    if (start->mailbox != NULL) neap_mailbox_unref(start->mailbox);
    neap_free(start->origin);
    neap_free(start);
}

static const char start_key; /* registry: the metatable of what keeps a record */

static int start_collected(lua_State *L) {
    struct neap_start **keeper = lua_touserdata(L, 1);
    if (*keeper != NULL) neap_start_free(*keeper);
    *keeper = NULL;
    return 0;
}

struct neap_start **neap_start_push(lua_State *L) {
    struct neap_start **keeper = lua_newuserdatauv(L, sizeof(struct neap_start *), 0);
    *keeper = NULL;
    neap_registry_set_end(L, &start_key, start_collected);
    *keeper = neap_start_new();
    if (*keeper == NULL) luaL_error(L, "not enough memory");
    return keeper;
}

/* --- in the spawner --- */

/* Where the new one was spawned, as text. */
static char *copy_origin(lua_State *L) {
    char text[ORIGIN_MAX];
    struct neap_vm *vm = neap_vm_of(L);
    neap_site_write(neap_vm_of(L), neap_site_here(L), text, sizeof text);
    size_t own = strlen(text), before = vm->origin != NULL ? strlen(vm->origin) : 0;
    if (own + before >= ORIGIN_MAX) before = 0;
    char *origin = neap_alloc(own + before + 1);
    if (origin == NULL) return NULL;
    memcpy(origin, text, own);
    if (before > 0) memcpy(origin + own, vm->origin, before);
    origin[own + before] = '\0';
    return origin;
}

/* A script that has no such strings leaves the new one its own. */
static void encode_paths(lua_State *L, struct neap_start *start) {
    int top = lua_gettop(L), count = 0;
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE)
        for (int i = 0; i < 2; i++) count += lua_getfield(L, top + 2, path_fields[i]) == LUA_TSTRING;
    if (count == 2) neap_encode_all(L, top + 3, 2, &start->paths, "package.path");
    lua_settop(L, top);
}

void neap_start_fill(lua_State *L, struct neap_start *start, int function, int arguments, bool leaves,
                     const struct neap_task_options *options) {
    struct neap_vm *vm = neap_vm_of(L);
    neap_encode_leaving(L, function, leaves, &start->function, "function");
    neap_encode_all_leaving(L, function + 1, arguments, leaves, &start->arguments, "args");
    encode_paths(L, start);
    neap_context_encode(L, &start->context);
    start->flags = options->flags & (NEAP_TASK_QUIET | NEAP_TASK_DAEMON | NEAP_TASK_CANCELLED);
    start->slice_signal = vm->slice.signal;
    start->slice = vm->slice.seconds;
    start->origin = copy_origin(L);
    if (start->origin == NULL) luaL_error(L, "not enough memory");
}

/* --- in the new thread or process --- */

void neap_start_prepare(struct neap_start *start, struct neap_vm *vm, int signal) {
    /* where the spawner has no slices its seconds mean nothing */
    neap_slice_inherit(vm, signal, start->slice_signal != 0 ? start->slice : vm->slice.seconds);
    vm->origin = start->origin;
    start->origin = NULL;
}

static int body_returned(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return lua_gettop(L);
}

/* Looks for modules where the spawner does. */
static void set_paths(lua_State *L, const struct neap_start *start) {
    int count = neap_decode_all(L, &start->paths), top = lua_gettop(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (count == 2 && lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE) {
        for (int i = 0; i < 2; i++) {
            lua_pushvalue(L, top - 1 + i);
            lua_setfield(L, -2, path_fields[i]);
        }
    }
    lua_settop(L, top - count);
}

int neap_start_body(lua_State *L) {
    struct neap_start *start = lua_touserdata(L, 1);
    lua_settop(L, 0);
    set_paths(L, start);
    neap_context_decode(L, &start->context);
    neap_decode(L, &start->function);
    int count = neap_decode_all(L, &start->arguments);
    lua_callk(L, count, LUA_MULTRET, 0, body_returned);
    return lua_gettop(L);
}

/* --- between processes --- */

void neap_start_pack(struct neap_packer *packer, const struct neap_start *start) {
    neap_pack_u32(packer, start->flags);
    neap_pack_u32(packer, (uint32_t)start->slice_signal);
    neap_pack(packer, &start->slice, sizeof start->slice);
    neap_pack_text(packer, start->origin);
    neap_pack_message(packer, &start->function);
    neap_pack_message(packer, &start->arguments);
    neap_pack_message(packer, &start->paths);
    neap_pack_message(packer, &start->context);
    neap_pack_message(packer, &start->commons);
}

struct neap_start *neap_start_unpack(struct neap_unpacker *unpacker) {
    struct neap_start *start = neap_start_new();
    if (start == NULL) {
        neap_unpack_nomem(unpacker);
        return NULL;
    }
    start->flags = (uint16_t)neap_unpack_u32(unpacker);
    start->slice_signal = (int)neap_unpack_u32(unpacker);
    const char *slice = neap_unpack(unpacker, sizeof start->slice);
    if (slice != NULL) memcpy(&start->slice, slice, sizeof start->slice);
    const char *origin = neap_unpack_text(unpacker);
    start->origin = neap_alloc(strlen(origin) + 1);
    if (start->origin == NULL)
        neap_unpack_nomem(unpacker);
    else
        memcpy(start->origin, origin, strlen(origin) + 1);
    neap_unpack_message(unpacker, &start->function);
    neap_unpack_message(unpacker, &start->arguments);
    neap_unpack_message(unpacker, &start->paths);
    neap_unpack_message(unpacker, &start->context);
    neap_unpack_message(unpacker, &start->commons);
    if (unpacker->code == 0) return start;
    neap_start_free(start);
    return NULL;
}
