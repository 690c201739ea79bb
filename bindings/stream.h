/* stream: what else makes streams. */
#ifndef NEAP_BINDINGS_STREAM_H
#define NEAP_BINDINGS_STREAM_H

#include <lua.h>

#include "io/byte_stream.h"

/* Pushes a stream over `fd`, which it owns from now on; raises, and has closed it, when out of memory. A code, nothing pushed and
 * `fd` closed, when the system cannot wait for it. */
int neap_stream_push(lua_State *L, int fd);

#endif
