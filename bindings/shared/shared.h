/* shared: what the handles of shared data have in common. */
#ifndef NEAP_BINDINGS_SHARED_SHARED_H
#define NEAP_BINDINGS_SHARED_SHARED_H

#include <lua.h>

#include "bindings/handle/remote.h"
#include "bindings/state/vm.h"
#include "core/message.h"
#include "sync/array.h"
#include "sync/turn.h"

/* Raises what an engine's function could not do: out of memory, descriptors. */
int neap_shared_fail(lua_State *L, int code);

/* Pushes a box with a new array or value of zeros; raises if there is no room for it. */
struct neap_array *neap_shared_array(lua_State *L, enum neap_handle kind, enum neap_type type, lua_Unsigned length);

/* Raises unless `code` is 0: "not enough memory", or that the task is updating it already, or that it is out of range,
 * or that the process where it is has gone. */
void neap_shared_check(lua_State *L, int code);

/* A turn (sync/turn.h) in a userdata, which gives it back when it is closed or collected. */
struct neap_shared_turn {
    struct neap_turn turn;
    lua_CFunction then; /* what is done with the turn */
};
/* Pushes one of `object`, which `prepare` prepares unless it lives in another process. */
struct neap_shared_turn *neap_shared_turn(lua_State *L, struct neap_object *object,
                                          void (*prepare)(struct neap_object *object, struct neap_turn *turn),
                                          lua_CFunction then);
/* Waits for the turn on top of the stack, with `op` of `object` and what the task's link has for a message. Then calls
 * `then` with the same stack, and gives the turn back when that returns; it must leave what is on the stack where it
 * is. Raises what is wrong. Returns what the C function must return. */
int neap_shared_await(lua_State *L, struct neap_object *object, uint8_t op, struct neap_shared_turn *turn);

/* For `then`: calls the function at 3 with what was there, which came with the turn, and then `updated`, which has the
 * result on top of the stack. */
int neap_shared_update(lua_State *L, lua_KFunction updated);

/* Pushes a userdata that keeps the messages of `list`, a list, which is empty afterwards; raises
 * when out of memory, and drops it. */
void neap_shared_keep(lua_State *L, struct neap_message *list);
/* The messages that the userdata at `index` keeps. */
const struct neap_message *neap_shared_kept(lua_State *L, int index, size_t *count);

/* #handle of what lives in another process, which `method` tells. */
int neap_shared_count(lua_State *L, struct neap_proxy *proxy, uint8_t method);

/* The metamethod: two handles are equal if they stand for the same bytes. */
int neap_shared_eq(lua_State *L);

#endif
