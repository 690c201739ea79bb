#include "bindings/io/blocking.h"

#include "bindings/handle/box.h"
#include "bindings/neap.h"
#include "bindings/report/failure.h"
#include "bindings/state/restrict.h"
#include "host/engine.h"
#include "sync/channel.h"

static int helpers(lua_State *L) {
    neap_restrict_check(L, NEAP_DENY_THREADS, "neap.blocking");
    struct neap_channel *channel = neap_engine_helpers(neap_vm_of(L)->engine);
    if (channel == NULL) return luaL_error(L, "not enough memory");
    neap_box_push(L, &channel->object);
    return 1;
}

static int raise_remote(lua_State *L) {
    lua_settop(L, 2);
    if (lua_type(L, 2) == LUA_TSTRING) neap_failure_note_cause(L, 1, 2);
    lua_settop(L, 1);
    return lua_error(L);
}

const luaL_Reg neap_blocking_functions[] = {{"helpers", helpers}, {"raise", raise_remote}, {NULL, NULL}};
