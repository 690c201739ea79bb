#include "bindings/sync/channel.h"

#include <lauxlib.h>
#include <stdio.h>
#include <uv.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/iterator.h"
#include "bindings/handle/remote.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "sync/meeting.h"

static struct neap_object *check(lua_State *L) { return neap_box_check(L, 1, NEAP_HANDLE_CHANNEL); }

/* neap.channel([capacity]) */
int neap_channel_open(lua_State *L) {
    lua_Integer capacity = neap_argument_integer_or(L, 1, 0);
    neap_argument_check(L, capacity >= 0, 1, "capacity must not be negative");
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_CHANNEL, sizeof *box, 0);
    struct neap_channel *channel = neap_channel_new((size_t)capacity);
    if (channel == NULL) return luaL_error(L, "not enough memory");
    box->object = &channel->object;
    neap_box_set_constant(L, NEAP_HANDLE_CHANNEL, "capacity", capacity);
    return 1;
}

/* --- how sends and receives end --- */

/* From another process the reason comes in the place of a value. */
static void push_reason(lua_State *L, const struct neap_link *link) {
    neap_decode(L, neap_remote_test(link->object) != NULL ? &link->message
                                                          : &((const struct neap_channel *)link->object)->reason);
}

__attribute__((noinline)) int neap_channel_push_code(lua_State *L, const struct neap_link *link, int code) {
    int count = neap_push_code(L, code);
    if (code != NEAP_CLOSED) return count;
    push_reason(L, link);
    if (!lua_isnil(L, -1)) return count + 1;
    lua_pop(L, 1);
    return count;
}

static __attribute__((noinline)) int finish_unsent(lua_State *L, struct neap_task *task, int code) {
    if (code == UV_EMSGSIZE) {
        neap_message_fini(&task->link.message);
        return neap_remote_refuse_size(L, "value");
    }
    int count = neap_channel_push_code(L, &task->link, code);
    neap_message_fini(&task->link.message);
    return count;
}

int neap_finish_sent(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return finish_unsent(L, task, code);
}

int neap_finish_received(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code != 0) return neap_channel_push_code(L, &task->link, code);
    neap_decode_take(L, &task->link.message);
    return 1;
}

void neap_channel_check_value(lua_State *L, int index) {
    neap_argument_check(L, !lua_isnoneornil(L, index), index, "nil cannot be sent (send neap.null, or a table)");
}

/* The reason has been encoded; -1: nil, message, code have been pushed. */
static int close_there(lua_State *L, struct neap_proxy *proxy, struct neap_message *reason) {
    struct neap_call call = neap_remote_begin(L);
    neap_message_move(&call.message, reason);
    neap_remote_call(L, proxy, NEAP_CHANNEL_CLOSE, &call);
    neap_message_fini(&call.message);
    if (call.result == 0) return call.number != 0;
    neap_push_code(L, call.result);
    return -1;
}

int neap_channel_close_with(lua_State *L, struct neap_object *object) {
    struct neap_proxy *proxy = neap_remote_test(object);
    struct neap_message reason;
    lua_settop(L, 2);
    neap_message_clear(&reason);
    neap_encode(L, 2, &reason, "reason");
    int first =
        proxy != NULL ? close_there(L, proxy, &reason) : neap_channel_close((struct neap_channel *)object, &reason);
    if (first < 0) return 3;
    if (!first) neap_message_fini(&reason);
    lua_pushboolean(L, first);
    return 1;
}

int neap_channel_push_length(lua_State *L, struct neap_object *object) {
    struct neap_proxy *proxy = neap_remote_test(object);
    if (proxy != NULL) return neap_remote_number(L, proxy, NEAP_CHANNEL_LENGTH);
    lua_pushinteger(L, (lua_Integer)neap_channel_length((struct neap_channel *)object));
    return 1;
}

int neap_channel_push_closed(lua_State *L, struct neap_object *object) {
    struct neap_proxy *proxy = neap_remote_test(object);
    if (proxy != NULL) return neap_remote_boolean(L, proxy, NEAP_CHANNEL_IS_CLOSED);
    lua_pushboolean(L, neap_channel_is_closed((struct neap_channel *)object));
    return 1;
}

/* --- methods --- */

static int channel_send(lua_State *L) {
    struct neap_object *channel = check(L);
    int64_t deadline = neap_check_timeout(L, 3);
    struct neap_task *task = neap_await_begin(L);
    neap_encode_sent(L, 2, neap_remote_test(channel) != NULL, &task->link.message, "value");
    if (task->link.message.kind == NEAP_MESSAGE_EMPTY) neap_channel_check_value(L, 2); /* which raises */
    enum neap_quick met = neap_meeting_send((struct neap_channel *)channel, &task->link.message);
    if (met == NEAP_QUICK_DONE) {
        lua_pushboolean(L, 1);
        return neap_await_served(L, 1);
    }
    task->link.object = channel;
    task->link.op = NEAP_CHANNEL_SEND;
    if (met == NEAP_QUICK_LATER) return neap_await_refused(L, &task->link, deadline, neap_finish_sent);
    return neap_await(L, &task->link, 1, deadline, neap_finish_sent);
}

static int receive(lua_State *L, int64_t deadline) {
    struct neap_object *channel = check(L);
    struct neap_task *task = neap_await_begin(L);
    enum neap_quick met = neap_meeting_receive((struct neap_channel *)channel, &task->link.message);
    if (met == NEAP_QUICK_DONE) {
        neap_decode_take(L, &task->link.message);
        return neap_await_served(L, 1);
    }
    task->link.object = channel;
    task->link.op = NEAP_CHANNEL_RECV;
    if (met == NEAP_QUICK_LATER) return neap_await_refused(L, &task->link, deadline, neap_finish_received);
    return neap_await(L, &task->link, 1, deadline, neap_finish_received);
}

static int channel_recv(lua_State *L) { return receive(L, neap_check_timeout(L, 2)); }

static int channel_close(lua_State *L) { return neap_channel_close_with(L, check(L)); }

static int iterate(lua_State *L) {
    neap_iterator_begin(L);
    return receive(L, NEAP_FOREVER);
}

static int channel_iter(lua_State *L) {
    check(L);
    return neap_iterator_push(L, iterate);
}

static int channel_is_closed(lua_State *L) { return neap_channel_push_closed(L, check(L)); }

static int channel_length(lua_State *L) { return neap_channel_push_length(L, check(L)); }

static void set_capacity(lua_State *L, struct neap_object *object) {
    const struct neap_proxy *proxy = neap_remote_test(object);
    lua_Integer capacity =
        proxy != NULL ? proxy->constants.numbers[0] : (lua_Integer)((struct neap_channel *)object)->capacity;
    neap_box_set_constant(L, NEAP_HANDLE_CHANNEL, "capacity", capacity);
}

static void describe(struct neap_object *object, char *text, size_t size) {
    struct neap_channel *channel = (struct neap_channel *)object;
    snprintf(text, size, "%zu/%zu%s", neap_channel_length(channel), channel->capacity,
             neap_channel_is_closed(channel) ? ", closed" : "");
}

static const luaL_Reg methods[] = {{"send", channel_send}, {"recv", channel_recv},           {"close", channel_close},
                                   {"iter", channel_iter}, {"is_closed", channel_is_closed}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__len", channel_length}, {NULL, NULL}};

const struct neap_binding neap_channel_binding = {
    .name = "channel",
    .class = &neap_channel_class,
    .proxy = &neap_proxy_classes[NEAP_KIND_CHANNEL],
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
    .arrived = set_capacity,
};
