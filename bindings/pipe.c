#include <lauxlib.h>
#include <stdio.h>

#include "bindings/await.h"
#include "bindings/box.h"
#include "bindings/channel.h"
#include "bindings/classes.h"
#include "bindings/codec.h"
#include "core/error.h"
#include "sync/pipe.h"

static struct neap_pipe *check(lua_State *L) { return (struct neap_pipe *)neap_box_check(L, 1, NEAP_HANDLE_PIPE); }

/* neap.pipe([duplex]) */
int neap_pipe_open(lua_State *L) {
    bool duplex = lua_isnoneornil(L, 1) || lua_toboolean(L, 1);
    if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TBOOLEAN);
    struct neap_pipe *first, *second;
    struct neap_box *a = neap_box_new(L, NEAP_HANDLE_PIPE, sizeof *a, 0);
    struct neap_box *b = neap_box_new(L, NEAP_HANDLE_PIPE, sizeof *b, 0);
    if (neap_pipe_new(duplex, &first, &second) != 0) return luaL_error(L, "not enough memory");
    a->object = &first->object;
    b->object = &second->object;
    return 2;
}

/* A direction of this end, which must be there and open. */
static struct neap_stream *check_stream(lua_State *L, struct neap_stream *stream, const struct neap_pipe *pipe,
                                        const char *wrong) {
    if (neap_pipe_is_closed(pipe)) luaL_error(L, "this end of the pipe is closed");
    if (stream == NULL) luaL_error(L, "%s", wrong);
    return stream;
}

static int pipe_send(lua_State *L) {
    const struct neap_pipe *pipe = check(L);
    struct neap_stream *out = check_stream(L, pipe->out, pipe, "the reader of a pipe cannot send");
    neap_channel_check_value(L, 2);
    int64_t deadline = neap_check_timeout(L, 3);
    struct neap_task *task = neap_await_begin(L);
    neap_encode(L, 2, &task->link.message, "value");
    task->link.object = &out->channel.object;
    task->link.op = NEAP_STREAM_SEND;
    return neap_await(L, &task->link, 1, deadline, neap_finish_sent);
}

static struct neap_stream *check_in(lua_State *L) {
    const struct neap_pipe *pipe = check(L);
    return check_stream(L, pipe->in, pipe, "the writer of a pipe cannot receive");
}

static int pipe_recv(lua_State *L) {
    return neap_await_object(L, &check_in(L)->channel.object, NEAP_STREAM_RECV, 2, neap_finish_received);
}

/* At the end too: recv would not wait. */
static int finish_poll(lua_State *L, struct neap_task *task, int code) {
    (void)task;
    lua_pushboolean(L, code != NEAP_TIMEOUT);
    return 1;
}

static int pipe_poll(lua_State *L) {
    struct neap_stream *in = check_in(L);
    int64_t deadline = lua_isnoneornil(L, 2) ? 0 : neap_check_timeout(L, 2);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &in->channel.object;
    task->link.op = NEAP_STREAM_POLL;
    return neap_await(L, &task->link, 1, deadline, finish_poll);
}

static int pipe_close(lua_State *L) {
    neap_pipe_close(check(L));
    return 0;
}

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_pipe *pipe = (struct neap_pipe *)object;
    if (neap_pipe_is_closed(pipe))
        snprintf(text, size, "closed");
    else
        snprintf(text, size, pipe->in == NULL ? "writer" : pipe->out == NULL ? "reader" : "duplex");
}

static const luaL_Reg methods[] = {
    {"send", pipe_send}, {"recv", pipe_recv}, {"poll", pipe_poll}, {"close", pipe_close}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__close", pipe_close}, {NULL, NULL}};

const struct neap_binding neap_pipe_binding = {
    .name = "pipe",
    .class = &neap_pipe_class,
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
};
