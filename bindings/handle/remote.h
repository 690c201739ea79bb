/* remote: handles of objects that live in another process. They look like any others: of the same kind, with the same
 * methods. What waits works by itself; what is done at once is asked over there (neap_remote_call). */
#ifndef NEAP_BINDINGS_HANDLE_REMOTE_H
#define NEAP_BINDINGS_HANDLE_REMOTE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/object.h"
#include "host/proxy.h"

/* What `object` is here if it lives elsewhere; NULL: it lives here. */
static inline struct neap_proxy *neap_remote_test(struct neap_object *object) {
    return object->class->board != NULL ? (struct neap_proxy *)object : NULL;
}

/* A call that is being made in the name of the running task. */
struct neap_call neap_remote_begin(lua_State *L);

/* Asks: the result, 0 or a code, is left in the call; its message is the caller's to drop. Blocks the
 * thread for the time of a round trip, and is no wait: it works where Lua cannot yield, and is not
 * cancelled. Raises when out of memory. */
void neap_remote_call(lua_State *L, struct neap_proxy *proxy, uint8_t method, struct neap_call *call);

/* The same for methods without operands. NUMBER, BOOLEAN: pushes it; NONE: pushes nothing; all of them nil, "broken",
 * "broken" when the other process has gone. Returns how many values. */
int neap_remote_number(lua_State *L, struct neap_proxy *proxy, uint8_t method);
int neap_remote_boolean(lua_State *L, struct neap_proxy *proxy, uint8_t method);
int neap_remote_none(lua_State *L, struct neap_proxy *proxy, uint8_t method);

/* Raises: a message has more listeners than go to another process at once (UV_EMSGSIZE). `what`: as in neap_encode. */
int neap_remote_refuse_size(lua_State *L, const char *what);

/* For describe: how it stands over there. */
void neap_remote_describe(struct neap_proxy *proxy, char *text, size_t size);

extern const struct neap_makers neap_remote_makers;

#endif
