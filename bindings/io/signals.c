#include "bindings/io/signals.h"

#include <lauxlib.h>
#include <signal.h>
#include <string.h>

#include "bindings/state/argument.h"

int neap_check_signal(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TNUMBER) {
        lua_Integer number = neap_argument_integer(L, index);
        neap_argument_check(L, number > 0 && number < NSIG, index, "no signal has this number");
        return (int)number;
    }
    const char *given = neap_argument_string(L, index, NULL), *name = strncmp(given, "SIG", 3) == 0 ? given + 3 : given;
    for (int number = 1; number < NSIG; number++) {
        const char *known = sigabbrev_np(number);
        if (known != NULL && strcmp(known, name) == 0) return number;
    }
    return neap_argument_error(L, index, lua_pushfstring(L, "no signal is named '%s'", given));
}
