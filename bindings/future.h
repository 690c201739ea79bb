/* future: the handle of work that a pool was given. */
#ifndef NEAP_BINDINGS_FUTURE_H
#define NEAP_BINDINGS_FUTURE_H

#include <lua.h>

#include "host/work.h"

/* Pushes an empty handle: made first, so that nothing can go wrong once there is work. */
void neap_future_push_empty(lua_State *L);
/* Fills the handle at `index`: takes over one reference. */
void neap_future_fill(lua_State *L, int index, struct neap_work *work);

/* For the Lua half.
 * DROP    (future): it is not to begin, nor to go on where it can stop by itself.
 * IGNORE  (future): its failure, if it has failed, is no concern of anybody. */
int neap_future_drop(lua_State *L);
int neap_future_ignore(lua_State *L);

#endif
