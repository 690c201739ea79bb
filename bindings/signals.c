#include "bindings/signals.h"

#include <lauxlib.h>
#include <signal.h>
#include <string.h>

int neap_check_signal(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TNUMBER) {
        lua_Integer number = luaL_checkinteger(L, index);
        luaL_argcheck(L, number > 0 && number < NSIG, index, "no signal has this number");
        return (int)number;
    }
    const char *given = luaL_checkstring(L, index), *name = strncmp(given, "SIG", 3) == 0 ? given + 3 : given;
    for (int number = 1; number < NSIG; number++) {
        const char *known = sigabbrev_np(number);
        if (known != NULL && strcmp(known, name) == 0) return number;
    }
    return luaL_argerror(L, index, lua_pushfstring(L, "no signal is named '%s'", given));
}
