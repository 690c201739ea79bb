/* offload: work of libuv's thread pool that a task waits for. */
#ifndef NEAP_BINDINGS_IO_OFFLOAD_H
#define NEAP_BINDINGS_IO_OFFLOAD_H

#include <lua.h>
#include <stddef.h>

#include "bindings/task/await.h"
#include "io/offload.h"

/* Pushes the box of a new piece of work, the first of `size` bytes, which are zero otherwise. As
 * neap_offload_init; raises when out of memory. */
void *neap_offload_push(lua_State *L, size_t size, int (*run)(struct neap_offload *offload),
                        void (*fini)(struct neap_offload *offload));

/* Waits for its end; it is the link's object in `finish`. Being cancelled forgets it:
 * it goes on, and nobody is told. */
int neap_offload_await(lua_State *L, struct neap_offload *offload, int64_t deadline, neap_finish finish);

#endif
