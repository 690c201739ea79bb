#include "bindings/state/state.h"

#include <lauxlib.h>

#include "bindings/host/native.h"
#include "bindings/state/embedding.h"
#include "bindings/state/libraries.h"
#include "bindings/state/limits.h"
#include "bindings/state/restrict.h"
#include "bindings/state/spare.h"
#include "core/arena.h"
#include "core/loop.h"

/* A state whose memory is limited, or the host's. */
static lua_State *new_limited(struct neap_vm *vm) {
    void *argument = NULL;
    vm->loop.idle = NULL; /* nothing is made ahead */
    vm->arena = neap_arena_new();
    if (vm->arena == NULL || neap_limits_init(vm) != 0) return NULL;
    lua_Alloc allocate = neap_limits_allocator(vm, &argument);
    return lua_newstate(allocate, argument);
}

lua_State *neap_state_new(struct neap_vm *vm) {
    neap_loop_here = &vm->loop;
    vm->limited = neap_limits_apply(vm->engine->embedding);
    lua_State *L = vm->limited ? new_limited(vm) : neap_spare_take(vm->engine);
    if (L != NULL) *(struct neap_vm **)lua_getextraspace(L) = vm; /* for what is finalised, however far it comes */
    return L;
}

void neap_state_open(struct neap_vm *vm, lua_State *L) {
    if (vm->limited) neap_libraries_open(L);
    neap_vm_open(vm, L);
    neap_libraries_replace(L);
    struct neap_embedding *embedding = vm->engine->embedding;
    if (embedding == NULL) return;
    neap_restrict_open(L);
    neap_native_open(L, embedding);
    if (vm->limits.cpu_ns > 0) neap_limits_rest(vm, L);
    if (embedding->config.on_open != NULL) embedding->config.on_open(embedding->config.context, vm->engine, L);
}

void neap_state_close(struct neap_vm *vm, lua_State *L) {
    struct neap_embedding *embedding = vm->engine->embedding;
    if (embedding != NULL && embedding->config.on_close != NULL)
        embedding->config.on_close(embedding->config.context, vm->engine, L);
    if (vm->limited)
        lua_close(L);
    else
        neap_spare_close(L);
    neap_libraries_flush(vm);
}

void neap_state_free(struct neap_vm *vm) {
    struct neap_arena *arena = vm->arena;
    neap_limits_fini(vm);
    neap_vm_free(vm);
    if (arena != NULL) neap_arena_free(arena);
}
