/* stream: reading and writing bytes.
 *
 * READING    Each kind of read looks whether what has come will do, else reads more, else waits until there is more: so
 *            one that times out or is cancelled has taken nothing, and what had come is there for the next.
 * WRITING    In turns (io/byte_stream.h). A write that is broken off gives its turn
 *            back; what it has written is gone. */
#include "bindings/io/stream.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/io/net.h"
#include "bindings/io/reading.h"
#include "bindings/task/await.h"
#include "core/error.h"

enum { SELF = 1, BYTES, DEADLINE, DONE }; /* the stack of a write; DONE: how many bytes are written */

static struct neap_byte_stream *check(lua_State *L) {
    struct neap_byte_stream *stream = (struct neap_byte_stream *)neap_box_check(L, SELF, NEAP_HANDLE_STREAM);
    if (neap_poll_is_closed(&stream->poll)) luaL_error(L, "the stream is closed");
    return stream;
}

static int discard(int fd, int code) {
    close(fd);
    return code;
}

/* Protected: makes the box, so that what was opened can be closed if there is no memory. */
static int make_box(lua_State *L) {
    neap_box_new(L, NEAP_HANDLE_STREAM, sizeof(struct neap_box), 0);
    return 1;
}

int neap_stream_push(lua_State *L, int fd, const struct neap_address *peer) {
    struct neap_byte_stream *stream;
    lua_pushcfunction(L, make_box);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
        close(fd);
        lua_error(L);
    }
    int code = neap_byte_stream_new(&neap_vm_of(L)->loop, fd, &stream);
    if (code == NEAP_NOMEM) {
        close(fd);
        luaL_error(L, "not enough memory");
    }
    if (code != 0) {
        lua_pop(L, 1);
        return discard(fd, code);
    }
    if (peer != NULL) neap_byte_stream_know_peer(stream, peer);
    ((struct neap_box *)lua_touserdata(L, -1))->object = &stream->poll.object;
    return 0;
}

int neap_stream_secure(lua_State *L, struct neap_object *context, const char *name) {
    struct neap_byte_stream *stream = (struct neap_byte_stream *)neap_box_check(L, -1, NEAP_HANDLE_STREAM);
    int code = neap_byte_stream_secure(stream, (struct neap_tls_context *)context, name);
    if (code == NEAP_NOMEM) luaL_error(L, "not enough memory");
    return code;
}

int neap_stream_push_failure(lua_State *L, const struct neap_byte_stream *stream, int code) {
    if (stream->tls == NULL || stream->tls->failed != code) return neap_push_code(L, code);
    lua_pushnil(L);
    lua_pushstring(L, stream->tls->problem);
    lua_pushstring(L, neap_code_name(code));
    return 3;
}

/* --- reading --- */

static int finish_read(lua_State *L, struct neap_task *task, int code);

static int go_on_reading(lua_State *L, struct neap_byte_stream *stream) {
    struct neap_inbox *inbox = &stream->inbox;
    lua_Integer what = neap_reading_what(L);
    int count, code = 0;
    while ((count = neap_reading_take(L, what, inbox)) == 0 &&
           (code = neap_byte_stream_fill(stream, neap_reading_wanted(what, inbox))) == 0) {}
    if (count > 0) return neap_await_served(L, count);
    if (code == UV_EOF) return neap_reading_take_rest(L, what, inbox);
    if (code != UV_EAGAIN) return neap_stream_push_failure(L, stream, code);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &stream->poll.object;
    task->link.op = (uint8_t)stream->blocked;
    return neap_await(L, &task->link, 1, (int64_t)lua_tointeger(L, NEAP_READING_DEADLINE), finish_read);
}

static int finish_read(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code != 0) return neap_push_code(L, code);
    return go_on_reading(L, (struct neap_byte_stream *)task->link.object);
}

/* stream:read([what[, timeout]]) */
static int stream_read(lua_State *L) {
    struct neap_byte_stream *stream = check(L);
    neap_reading_begin(L);
    neap_await_begin(L);
    return go_on_reading(L, stream);
}

/* stream:lines([timeout]) */
static int stream_lines(lua_State *L) {
    check(L);
    return neap_reading_lines(L, stream_read);
}

/* --- writing --- */

static int end_write(lua_State *L, struct neap_byte_stream *stream, int code) {
    neap_byte_stream_end_write(stream);
    if (code == 0) {
        lua_pushboolean(L, 1);
        return neap_await_served(L, 1);
    }
    int count = neap_stream_push_failure(L, stream, code);
    lua_pushvalue(L, DONE);
    return count + 1;
}

static int finish_write(lua_State *L, struct neap_task *task, int code);

static int wait_to_write(lua_State *L, struct neap_task *task, struct neap_byte_stream *stream) {
    int64_t deadline = (int64_t)lua_tointeger(L, DEADLINE);
    task->link.object = &stream->poll.object;
    task->link.op = (uint8_t)stream->blocked;
    int code = neap_wait_begin(&task->wait, &task->link, 1, neap_await_limit(task, deadline));
    return code == NEAP_PARKED ? neap_await_parked(L, finish_write) : finish_write(L, task, code);
}

/* In one's turn. */
static int go_on_writing(lua_State *L, struct neap_task *task, struct neap_byte_stream *stream) {
    size_t size, done = (size_t)lua_tointeger(L, DONE);
    const char *bytes = lua_tolstring(L, BYTES, &size) + done;
    size_t left = size - done;
    int code = neap_byte_stream_write(stream, &bytes, &left);
    lua_pushinteger(L, (lua_Integer)(size - left));
    lua_replace(L, DONE);
    return code == UV_EAGAIN ? wait_to_write(L, task, stream) : end_write(L, stream, code);
}

/* Told of a cancellation too. The turn is ours. */
static int finish_write(lua_State *L, struct neap_task *task, int code) {
    struct neap_byte_stream *stream = (struct neap_byte_stream *)task->link.object;
    if (code >= 0) code = task->link.result;
    if (code == NEAP_CANCELLED) {
        neap_byte_stream_end_write(stream);
        neap_cancel_check(L, task);
    }
    return code == 0 ? go_on_writing(L, task, stream) : end_write(L, stream, code);
}

static int finish_turn(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code == 0) return go_on_writing(L, task, (struct neap_byte_stream *)task->link.object);
    int count = neap_push_code(L, code);
    lua_pushvalue(L, DONE);
    return count + 1;
}

/* Makes the stack of a write, of which so many bytes are written. */
static void stack_write(lua_State *L, int64_t deadline, size_t done) {
    lua_settop(L, BYTES);
    lua_pushinteger(L, deadline);
    lua_pushinteger(L, (lua_Integer)done);
}

/* In one's turn: mostly there is room for all of it. */
static int begin_writing(lua_State *L, struct neap_task *task, struct neap_byte_stream *stream, int64_t deadline) {
    size_t size, left;
    const char *bytes = lua_tolstring(L, BYTES, &size);
    left = size;
    int code = neap_byte_stream_write(stream, &bytes, &left);
    if (code != 0) stack_write(L, deadline, size - left);
    return code == UV_EAGAIN ? wait_to_write(L, task, stream) : end_write(L, stream, code);
}

/* stream:write(bytes[, timeout]) */
static int stream_write(lua_State *L) {
    struct neap_byte_stream *stream = check(L);
    neap_argument_type(L, BYTES, LUA_TSTRING);
    int64_t deadline = neap_check_timeout(L, DEADLINE);
    if (stream->shut) return luaL_error(L, "the stream was shut down for writing");
    neap_await_check(L);
    struct neap_task *task = neap_await_begin(L);
    if (neap_byte_stream_begin_write(stream)) return begin_writing(L, task, stream, deadline);
    stack_write(L, deadline, 0);
    task->link.object = &stream->poll.object;
    task->link.op = NEAP_BYTE_STREAM_TURN;
    return neap_await(L, &task->link, 1, deadline, finish_turn);
}

/* --- what TLS may have to wait for --- */

enum { STEP_DEADLINE = 2 }; /* the stack of a step: the stream, this */

/* Takes `step` again and again, as long as it has to wait. */
static int go_on_with(lua_State *L, struct neap_byte_stream *stream, int (*step)(struct neap_byte_stream *stream),
                      neap_finish finish) {
    int code = step(stream);
    if (code == 0) {
        lua_pushboolean(L, 1);
        return neap_await_served(L, 1);
    }
    if (code != UV_EAGAIN) return neap_stream_push_failure(L, stream, code);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &stream->poll.object;
    task->link.op = (uint8_t)stream->blocked;
    return neap_await(L, &task->link, 1, (int64_t)lua_tointeger(L, STEP_DEADLINE), finish);
}

static struct neap_byte_stream *begin_step(lua_State *L) {
    struct neap_byte_stream *stream = check(L);
    int64_t deadline = neap_check_timeout(L, STEP_DEADLINE);
    lua_settop(L, SELF);
    lua_pushinteger(L, deadline);
    neap_await_begin(L);
    return stream;
}

static int finish_handshake(lua_State *L, struct neap_task *task, int code) {
    struct neap_byte_stream *stream = (struct neap_byte_stream *)task->link.object;
    if (code >= 0) code = task->link.result;
    if (code != 0) return neap_push_code(L, code);
    return go_on_with(L, stream, neap_byte_stream_handshake, finish_handshake);
}

/* stream:handshake([timeout]) */
static int stream_handshake(lua_State *L) {
    return go_on_with(L, begin_step(L), neap_byte_stream_handshake, finish_handshake);
}

static int finish_shutdown(lua_State *L, struct neap_task *task, int code) {
    struct neap_byte_stream *stream = (struct neap_byte_stream *)task->link.object;
    if (code >= 0) code = task->link.result;
    if (code != 0) return neap_push_code(L, code);
    return go_on_with(L, stream, neap_byte_stream_shutdown, finish_shutdown);
}

/* stream:shutdown([timeout]) */
static int stream_shutdown(lua_State *L) {
    struct neap_byte_stream *stream = begin_step(L);
    if (stream->writing) return luaL_error(L, "a write is under way");
    return go_on_with(L, stream, neap_byte_stream_shutdown, finish_shutdown);
}

static void set_text(lua_State *L, const char *field, const char *text, size_t size) {
    if (size == 0) return;
    lua_pushlstring(L, text, size);
    lua_setfield(L, -2, field);
}

/* stream:security() */
static int stream_security(lua_State *L) {
    const struct neap_byte_stream *stream = check(L);
    struct neap_tls_facts facts;
    if (stream->tls == NULL || !stream->tls->established) return 0;
    neap_tls_facts(stream->tls, &facts);
    lua_createtable(L, 0, 5);
    set_text(L, "version", facts.version, strlen(facts.version));
    set_text(L, "cipher", facts.cipher, strlen(facts.cipher));
    set_text(L, "alpn", facts.alpn, facts.alpn_size);
    set_text(L, "subject", facts.subject, strlen(facts.subject));
    set_text(L, "server_name", facts.server_name, facts.server_name != NULL ? strlen(facts.server_name) : 0);
    return 1;
}

/* --- the rest --- */

/* stream:close(); also __close */
static int stream_close(lua_State *L) {
    neap_byte_stream_close((struct neap_byte_stream *)neap_box_check(L, SELF, NEAP_HANDLE_STREAM));
    return 0;
}

static int stream_is_closed(lua_State *L) {
    const struct neap_byte_stream *stream = (struct neap_byte_stream *)neap_box_check(L, SELF, NEAP_HANDLE_STREAM);
    lua_pushboolean(L, neap_poll_is_closed(&stream->poll));
    return 1;
}

/* stream:address() */
static int stream_address(lua_State *L) {
    struct neap_address address;
    int code = neap_socket_name(check(L)->poll.fd, &address);
    return code != 0 ? neap_push_code(L, code) : neap_net_push_address(L, &address);
}

/* stream:peer() */
static int stream_peer(lua_State *L) {
    struct neap_address address;
    int code = neap_byte_stream_peer(check(L), &address);
    return code != 0 ? neap_push_code(L, code) : neap_net_push_address(L, &address);
}

/* stream:nodelay(on) */
static int stream_nodelay(lua_State *L) {
    neap_socket_set_nodelay(check(L)->poll.fd, lua_toboolean(L, 2));
    return 0;
}

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_byte_stream *stream = (struct neap_byte_stream *)object;
    const char *state = neap_poll_is_closed(&stream->poll) ? "closed" : stream->ended ? "ended" : "open";
    snprintf(text, size, "%s", state);
}

static const luaL_Reg methods[] = {
    {"read", stream_read},           {"lines", stream_lines},       {"write", stream_write},
    {"shutdown", stream_shutdown},   {"close", stream_close},       {"is_closed", stream_is_closed},
    {"address", stream_address},     {"peer", stream_peer},         {"nodelay", stream_nodelay},
    {"handshake", stream_handshake}, {"security", stream_security}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__close", stream_close}, {NULL, NULL}};

const struct neap_binding neap_stream_binding = {
    .name = "stream",
    .class = &neap_byte_stream_class,
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
    .stays = true,
};
