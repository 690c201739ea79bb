/* coroutine: the standard library's pcall, xpcall and coroutine.*, made for tasks. */
#ifndef NEAP_BINDINGS_TASK_COROUTINE_H
#define NEAP_BINDINGS_TASK_COROUTINE_H

#include <lua.h>

/* Replaces them in the globals of the state. They behave as the originals, and let waits pass. */
int neap_coroutine_open(lua_State *L);
/* The same once more, where somebody has put the globals back. */
void neap_coroutine_replace(lua_State *L);

#endif
