/* bounded: functions of the standard library that could run for ever in C, with bounds, for states
 * whose processor time is limited. */
#ifndef NEAP_BINDINGS_STATE_BOUNDED_H
#define NEAP_BINDINGS_STATE_BOUNDED_H

#include <lua.h>

/* Replaces them. The string, table libraries are open. Raises. */
void neap_bounded_open(lua_State *L);
/* Raises if the table on top of the stack, which is to become a metatable, has a
 * finaliser, and the state must have none. */
void neap_bounded_check_metatable(lua_State *L);

#endif
