/* iterator: what handle:iter() returns. It has its handle for an upvalue, so it can be called by itself too: who takes
 * an iterator among other arguments, as pool:imap does, gets nothing but the function. */
#ifndef NEAP_BINDINGS_HANDLE_ITERATOR_H
#define NEAP_BINDINGS_HANDLE_ITERATOR_H

#include <lua.h>

/* Pushes an iterator over the handle at index 1, of which each call is one of `step`. Returns 1, for `return`. */
static inline int neap_iterator_push(lua_State *L, lua_CFunction step) {
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, step, 1);
    return 1;
}

/* To be called first by a `step`: then nothing but the handle is on the stack. */
static inline void neap_iterator_begin(lua_State *L) {
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
}

#endif
