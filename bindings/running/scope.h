/* scope: neap.scope(function). */
#ifndef NEAP_BINDINGS_RUNNING_SCOPE_H
#define NEAP_BINDINGS_RUNNING_SCOPE_H

#include <lua.h>

int neap_scope_call(lua_State *L);

#endif
