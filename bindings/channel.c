#include "bindings/channel.h"

#include <lauxlib.h>
#include <stdio.h>

#include "bindings/await.h"
#include "bindings/box.h"
#include "bindings/classes.h"
#include "bindings/codec.h"
#include "core/error.h"

static struct neap_channel *check(lua_State *L) {
    return (struct neap_channel *)neap_box_check(L, 1, NEAP_HANDLE_CHANNEL);
}

/* neap.channel([capacity]) */
int neap_channel_open(lua_State *L) {
    lua_Integer capacity = luaL_optinteger(L, 1, 0);
    luaL_argcheck(L, capacity >= 0, 1, "capacity must not be negative");
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_CHANNEL, sizeof *box, 0);
    struct neap_channel *channel = neap_channel_new((size_t)capacity);
    if (channel == NULL) return luaL_error(L, "not enough memory");
    box->object = &channel->object;
    neap_box_set_constant(L, NEAP_HANDLE_CHANNEL, "capacity", capacity);
    return 1;
}

/* --- how sends and receives end --- */

int neap_channel_push_code(lua_State *L, const struct neap_channel *channel, int code) {
    int count = neap_push_code(L, code);
    if (code != NEAP_CLOSED || channel->reason.kind == NEAP_MESSAGE_EMPTY) return count;
    neap_decode(L, &channel->reason);
    return count + 1;
}

static int push_failure(lua_State *L, const struct neap_task *task, int code) {
    return neap_channel_push_code(L, (struct neap_channel *)task->link.object, code);
}

int neap_finish_sent(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    neap_message_fini(&task->link.message);
    return push_failure(L, task, code);
}

int neap_finish_received(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code != 0) return push_failure(L, task, code);
    neap_decode_take(L, &task->link.message);
    return 1;
}

void neap_channel_check_value(lua_State *L, int index) {
    luaL_argcheck(L, !lua_isnoneornil(L, index), index, "nil cannot be sent (send neap.null, or a table)");
}

int neap_channel_close_with(lua_State *L, struct neap_channel *channel) {
    struct neap_message reason;
    lua_settop(L, 2);
    neap_message_clear(&reason);
    neap_encode(L, 2, &reason, "reason");
    bool first = neap_channel_close(channel, &reason);
    if (!first) neap_message_fini(&reason);
    lua_pushboolean(L, first);
    return 1;
}

/* --- methods --- */

static int channel_send(lua_State *L) {
    struct neap_channel *channel = check(L);
    int64_t deadline = neap_check_timeout(L, 3);
    struct neap_task *task = neap_await_begin(L);
    neap_encode(L, 2, &task->link.message, "value");
    if (task->link.message.kind == NEAP_MESSAGE_EMPTY) neap_channel_check_value(L, 2); /* which raises */
    task->link.object = &channel->object;
    task->link.op = NEAP_CHANNEL_SEND;
    return neap_await(L, &task->link, 1, deadline, neap_finish_sent);
}

static int receive(lua_State *L, int64_t deadline) {
    struct neap_channel *channel = check(L);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &channel->object;
    task->link.op = NEAP_CHANNEL_RECV;
    return neap_await(L, &task->link, 1, deadline, neap_finish_received);
}

static int channel_recv(lua_State *L) { return receive(L, neap_check_timeout(L, 2)); }

static int channel_close(lua_State *L) { return neap_channel_close_with(L, check(L)); }

static int iterate(lua_State *L) { return receive(L, NEAP_FOREVER); }

static int channel_iter(lua_State *L) {
    check(L);
    lua_pushcfunction(L, iterate);
    lua_pushvalue(L, 1);
    return 2;
}

static int channel_is_closed(lua_State *L) {
    lua_pushboolean(L, neap_channel_is_closed(check(L)));
    return 1;
}

static int channel_length(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)neap_channel_length(check(L)));
    return 1;
}

static void set_capacity(lua_State *L, struct neap_object *object) {
    neap_box_set_constant(L, NEAP_HANDLE_CHANNEL, "capacity", (lua_Integer)((struct neap_channel *)object)->capacity);
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
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
    .arrived = set_capacity,
};
