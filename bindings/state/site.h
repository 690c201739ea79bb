/* site: where tasks, threads and processes were spawned, for tracebacks that go on past their beginning.
 * Used by the state's thread only. */
#ifndef NEAP_BINDINGS_STATE_SITE_H
#define NEAP_BINDINGS_STATE_SITE_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#include "bindings/state/vm.h"

/* The number of the place where the code that called the running C function stands, as part of a chain back to the
 * program's start; kept for as long as the state. 0: out of memory, or there are too many of them. */
uint16_t neap_site_here(lua_State *L);
/* Pushes the chain as lines of a traceback; "" for 0. */
void neap_site_push(lua_State *L, uint16_t number);
/* The same as text for other states; `text` is cut at `size`. */
void neap_site_write(const struct neap_vm *vm, uint16_t number, char *text, size_t size);
/* Frees all sites of the state. */
void neap_site_close(struct neap_vm *vm);

#endif
