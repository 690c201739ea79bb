/* spare: Lua states for threads, the next one made ahead. */
#ifndef NEAP_BINDINGS_STATE_SPARE_H
#define NEAP_BINDINGS_STATE_SPARE_H

#include <lua.h>

#include "core/loop.h"
#include "host/engine.h"

/* A state with an allocator of its own (core/arena.h) and the libraries (neap_libraries_open), for the
 * calling thread. NULL: no memory. */
lua_State *neap_spare_take(struct neap_engine *engine);
/* Closes such a state, and frees its allocator. */
void neap_spare_close(lua_State *L);

/* neap_loop.idle of the loops of an engine: makes one if the last one may have been taken. */
bool neap_spare_make_ahead(struct neap_loop *loop);

#endif
