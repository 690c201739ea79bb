/* codec: Lua values to messages and back. The essay is in encode.c; the format is in format.h. */
#ifndef NEAP_BINDINGS_CODEC_CODEC_H
#define NEAP_BINDINGS_CODEC_CODEC_H

#include <lua.h>
#include <stdbool.h>

#include "bindings/state/vm.h"
#include "core/message.h"

/* Writes the value at `index` to `message` (which must be empty). `what` names it in errors: "value" gives "cannot send
 * value.conn: userdata". Raises if the value cannot be sent, and then `message` is still empty and nothing has changed.
 * Objects whose handles it contains are shared from here on. May run no Lua code of the script. */
static inline void neap_encode(lua_State *L, int index, struct neap_message *message, const char *what);

/* The same for `count` values from `first` on (arguments, results): one message, with the references between them kept.
 * `what` is a list: "args" gives "cannot send args[2].conn: userdata". */
void neap_encode_all(lua_State *L, int first, int count, struct neap_message *message, const char *what);

/* The same for a function and its `arguments` arguments from `function` on, which errors call "function" and
 * "args[1]". `leaves`: as below. */
void neap_encode_call(lua_State *L, int function, int arguments, bool leaves, struct neap_message *message);

/* As neap_encode and neap_encode_all, for a message that goes to another process, if it `leaves`: what has to stay in
 * this one raises as well. What is handed on later, as out of a channel, is refused by the engine (UV_ENOTSUP). */
static inline void neap_encode_leaving(lua_State *L, int index, bool leaves, struct neap_message *message,
                                       const char *what);
void neap_encode_all_leaving(lua_State *L, int first, int count, bool leaves, struct neap_message *message,
                             const char *what);

/* As neap_encode_leaving, for an argument of a function that waits until the message has been taken: the bytes of a
 * long string that leaves are not copied, but lent by Lua for as long as that waits. */
static inline void neap_encode_sent(lua_State *L, int argument, bool leaves, struct neap_message *message,
                                    const char *what);

/* Pushes the value of `message`, which stays as it is and may be decoded again. Raises when out of memory, when a
 * module that the value names cannot be loaded, and when the bytes are not what encode wrote. */
void neap_decode(lua_State *L, const struct neap_message *message);

/* The same, and drops the message, also when it raises. Decoding may run code that sends and receives (finalisers, and
 * modules that it loads): `message` is empty before any of that runs, so it may lie where such code puts its own. */
static inline void neap_decode_take(lua_State *L, struct neap_message *message);

/* As neap_decode, for what neap_encode_all wrote: pushes all values, returns how many. An empty message is none. */
int neap_decode_all(lua_State *L, const struct neap_message *message);

/* neap.register(name, metatable), neap.null; opens what the codec keeps in the registry. Called once a state. */
int neap_codec_open(lua_State *L);
int neap_codec_register(lua_State *L);
void neap_codec_push_null(lua_State *L);
/* Something was added to neap's own module: it has a name from now on. */
void neap_codec_touch_modules(lua_State *L);
/* Frees the scratch. Called after lua_close. */
void neap_codec_close(struct neap_vm *vm);

/* --- integers at the place of the call: nothing is sent as often, or costs as little --- */

void neap_encode_other(lua_State *L, int index, bool leaves, struct neap_message *message, const char *what);
void neap_encode_lent(lua_State *L, int argument, struct neap_message *message, const char *what);
void neap_decode_take_other(lua_State *L, struct neap_message *message);

static inline void neap_encode_leaving(lua_State *L, int index, bool leaves, struct neap_message *message,
                                       const char *what) {
    if (!lua_isinteger(L, index)) {
        neap_encode_other(L, index, leaves, message, what);
        return;
    }
    neap_message_set_kind(message, NEAP_MESSAGE_INTEGER);
    message->integer = lua_tointeger(L, index);
}

static inline void neap_encode_sent(lua_State *L, int argument, bool leaves, struct neap_message *message,
                                    const char *what) {
    if (leaves && lua_type(L, argument) == LUA_TSTRING)
        neap_encode_lent(L, argument, message, what);
    else
        neap_encode_leaving(L, argument, leaves, message, what);
}

static inline void neap_encode(lua_State *L, int index, struct neap_message *message, const char *what) {
    neap_encode_leaving(L, index, false, message, what);
}

static inline void neap_decode_take(lua_State *L, struct neap_message *message) {
    if (message->kind != NEAP_MESSAGE_INTEGER) {
        neap_decode_take_other(L, message);
        return;
    }
    message->kind = NEAP_MESSAGE_EMPTY;
    lua_pushinteger(L, message->integer);
}

#endif
