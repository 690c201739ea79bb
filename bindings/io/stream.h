/* stream: what else makes streams. */
#ifndef NEAP_BINDINGS_IO_STREAM_H
#define NEAP_BINDINGS_IO_STREAM_H

#include <lua.h>

#include "io/byte_stream.h"

/* Pushes a stream over `fd`, which it owns from now on. `peer`: who is at the other side; NULL: ask the system. Raises,
 * and has closed it, when out of memory. A code, nothing pushed and `fd` closed, when the system cannot wait for it. */
int neap_stream_push(lua_State *L, int fd, const struct neap_address *peer);

/* From now on TLS travels over the stream on top of the stack; `context` and `name` as in neap_byte_stream_secure,
 * whose code is returned. Raises when out of memory. */
int neap_stream_secure(lua_State *L, struct neap_object *context, const char *name);

/* nil, message, code: why an operation of the stream has failed. */
int neap_stream_push_failure(lua_State *L, const struct neap_byte_stream *stream, int code);

#endif
