/* restrict: what the host of a state does not allow its scripts. The essay is in restrict.c. */
#ifndef NEAP_BINDINGS_STATE_RESTRICT_H
#define NEAP_BINDINGS_STATE_RESTRICT_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* Is anything denied, or limited, in this state? */
bool neap_restrict_is_on(lua_State *L);
/* Raises "denied: <what>: ..." if one of these NEAP_DENY_* is denied. */
void neap_restrict_check(lua_State *L, uint32_t needed, const char *what);
/* Is any of that denied? */
bool neap_restrict_denies(lua_State *L, uint32_t needed);

/* Raises where anything is denied or limited: see PROCESSES. */
void neap_restrict_check_process(lua_State *L);

/* Takes away what is denied of Lua's own libraries, which are open; no script has run. Raises. */
void neap_restrict_open(lua_State *L);
/* The same of neap's own module, the table at `index`, whenever something was added to it. */
void neap_restrict_module(lua_State *L, int index);

#endif
