/* plain: `require "neap"` in a plain lua5.4, or in any state that a host made itself. The state gets an engine of its own, which
 * ends when the state is closed. The main chunk is no task there: a wait turns the loop until it is done. */
#include <lauxlib.h>

#include "bindings/module.h"
#include "bindings/vm.h"
#include "core/clock.h"
#include "core/memory.h"
#include "host/engine.h"

enum { GRACE_SECONDS = 5 };

struct plain {
    struct neap_engine engine;
    struct neap_vm *vm; /* NULL once closed */
};

static int plain_collected(lua_State *L) {
    struct plain *plain = lua_touserdata(L, 1);
    struct neap_vm *vm = plain->vm;
    if (vm == NULL) return 0;
    plain->vm = NULL;
    neap_engine_stop(&plain->engine);
    neap_engine_join(&plain->engine, neap_clock_after(GRACE_SECONDS));
    neap_vm_close(vm);
    neap_vm_free(vm);
    neap_engine_fini(&plain->engine);
    return 0;
}

static struct plain *push_plain(lua_State *L) {
    struct plain *plain = lua_newuserdatauv(L, sizeof *plain, 0);
    plain->vm = NULL;
    neap_engine_init(&plain->engine);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, plain_collected);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return plain;
}

int luaopen_neap(lua_State *L) {
    if (*(struct neap_vm **)lua_getextraspace(L) != NULL) return neap_module_open(L);
    struct plain *plain = push_plain(L);
    struct neap_engine *engine = &plain->engine;
    engine->main = neap_mailbox_new(&engine->busy);
    if (engine->main == NULL) return luaL_error(L, "not enough memory");
    atomic_store(&engine->busy, 1);
    plain->vm = neap_vm_new(engine, engine->main);
    if (plain->vm == NULL) return luaL_error(L, "not enough memory");
    engine->context = plain->vm;
    neap_vm_open(plain->vm, L);
    neap_loop_here = &plain->vm->loop;
    luaL_ref(L, LUA_REGISTRYINDEX);
    return neap_module_open(L);
}
