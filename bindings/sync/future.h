/* future: the handle of work that a pool was given. */
#ifndef NEAP_BINDINGS_SYNC_FUTURE_H
#define NEAP_BINDINGS_SYNC_FUTURE_H

#include <lua.h>

#include "core/object.h"

/* Pushes an empty handle: made first, so that nothing can go wrong once there is work. */
void neap_future_push_empty(lua_State *L);
/* Fills the handle at `index`: takes over one reference. */
void neap_future_fill(lua_State *L, int index, struct neap_object *work);

/* For the Lua half: (future): it is not to begin, nor to go on where it can stop by itself. */
int neap_future_drop(lua_State *L);

#endif
