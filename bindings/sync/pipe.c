#include <lauxlib.h>
#include <stdio.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/remote.h"
#include "bindings/sync/channel.h"
#include "bindings/sync/pipe.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "sync/pipe.h"

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_PIPE); }

/* neap.pipe([duplex]) */
int neap_pipe_open(lua_State *L) {
    bool duplex = lua_isnoneornil(L, 1) || lua_toboolean(L, 1);
    if (!lua_isnoneornil(L, 1)) neap_argument_type(L, 1, LUA_TBOOLEAN);
    struct neap_pipe *first, *second;
    struct neap_box *a = neap_box_new(L, NEAP_HANDLE_PIPE, sizeof *a, 0);
    struct neap_box *b = neap_box_new(L, NEAP_HANDLE_PIPE, sizeof *b, 0);
    if (neap_pipe_new(duplex, &first, &second) != 0) return luaL_error(L, "not enough memory");
    a->object = &first->object;
    b->object = &second->object;
    return 2;
}

/* That an end was closed by another process is only seen when it is used: then its streams say so. */
const char *neap_pipe_find_stream(struct neap_object *object, bool sends, struct neap_object **stream) {
    static const char *const wrong[] = {"the writer of a pipe cannot receive", "the reader of a pipe cannot send"};
    struct neap_proxy *proxy = neap_remote_test(object);
    if (proxy != NULL) {
        *stream = proxy->constants.parts[sends];
        if (atomic_load_explicit(&proxy->closed, memory_order_relaxed)) return "this end of the pipe is closed";
        return *stream == NULL ? wrong[sends] : NULL;
    }
    const struct neap_pipe *pipe = (struct neap_pipe *)object;
    struct neap_stream *own = sends ? pipe->out : pipe->in;
    if (neap_pipe_is_closed(pipe)) return "this end of the pipe is closed";
    if (own == NULL) return wrong[sends];
    *stream = &own->channel.object;
    return NULL;
}

/* A direction of this end, which must be there and open. */
static struct neap_object *check_stream(lua_State *L, bool sends) {
    struct neap_object *stream = NULL;
    const char *wrong = neap_pipe_find_stream(check(L), sends, &stream);
    if (wrong != NULL) luaL_error(L, "%s", wrong);
    return stream;
}

static int pipe_send(lua_State *L) {
    struct neap_object *out = check_stream(L, true);
    neap_channel_check_value(L, 2);
    int64_t deadline = neap_check_timeout(L, 3);
    struct neap_task *task = neap_await_begin(L);
    neap_encode_sent(L, 2, neap_remote_test(out) != NULL, &task->link.message, "value");
    task->link.object = out;
    task->link.op = NEAP_STREAM_SEND;
    return neap_await(L, &task->link, 1, deadline, neap_finish_sent);
}

static int pipe_recv(lua_State *L) {
    return neap_await_object(L, check_stream(L, false), NEAP_STREAM_RECV, 2, neap_finish_received);
}

/* At the end too: recv would not wait. */
static int finish_poll(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    lua_pushboolean(L, code != NEAP_TIMEOUT);
    return 1;
}

static int pipe_poll(lua_State *L) {
    struct neap_object *in = check_stream(L, false);
    int64_t deadline = lua_isnoneornil(L, 2) ? 0 : neap_check_timeout(L, 2);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = in;
    task->link.op = NEAP_STREAM_POLL;
    return neap_await(L, &task->link, 1, deadline, finish_poll);
}

static int pipe_close(lua_State *L) {
    struct neap_proxy *proxy = neap_remote_test(check(L));
    if (proxy != NULL) {
        atomic_store_explicit(&proxy->closed, true, memory_order_relaxed);
        return neap_remote_none(L, proxy, NEAP_PIPE_CLOSE);
    }
    neap_pipe_close((struct neap_pipe *)check(L));
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
    .proxy = &neap_proxy_classes[NEAP_KIND_PIPE],
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
};
