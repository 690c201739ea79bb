#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/await.h"
#include "bindings/box.h"
#include "bindings/classes.h"
#include "bindings/codec.h"
#include "core/error.h"
#include "sync/channel.h"

static struct neap_channel *check(lua_State *L) { return (struct neap_channel *)neap_box_check(L, 1, NEAP_HANDLE_CHANNEL); }

/* neap.channel([capacity]) */
int neap_channel_open(lua_State *L) {
    lua_Integer capacity = luaL_optinteger(L, 1, 0);
    luaL_argcheck(L, capacity >= 0, 1, "capacity must not be negative");
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_CHANNEL, sizeof *box, 0);
    struct neap_channel *channel = neap_channel_new((size_t)capacity);
    if (channel == NULL) return luaL_error(L, "not enough memory");
    box->object = &channel->object;
    return 1;
}

static int channel_send(lua_State *L) {
    struct neap_channel *channel = check(L);
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "nil cannot be sent (send neap.null, or a table)");
    int64_t deadline = neap_check_timeout(L, 3);
    struct neap_task *task = neap_await_begin(L);
    neap_encode(L, 2, &task->link.message, "value");
    task->link.object = &channel->object;
    task->link.op = NEAP_CHANNEL_SEND;
    return neap_await(L, &task->link, 1, deadline, neap_finish_true);
}

static int channel_recv(lua_State *L) {
    return neap_await_object(L, &check(L)->object, NEAP_CHANNEL_RECV, 2, neap_finish_value);
}

static int channel_close(lua_State *L) {
    struct neap_channel *channel = check(L);
    struct neap_message reason;
    lua_settop(L, 2);
    neap_message_clear(&reason);
    neap_encode(L, 2, &reason, "reason");
    if (!neap_channel_close(channel, &reason)) neap_message_fini(&reason);
    return 0;
}

static int iterate(lua_State *L) {
    lua_settop(L, 1);
    return channel_recv(L);
}

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

static int channel_index(lua_State *L) {
    struct neap_channel *channel = check(L);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "capacity") == 0)
        lua_pushinteger(L, (lua_Integer)channel->capacity);
    else
        lua_pushnil(L);
    return 1;
}

static void describe(struct neap_object *object, char *text, size_t size) {
    struct neap_channel *channel = (struct neap_channel *)object;
    snprintf(text, size, "%zu/%zu%s", neap_channel_length(channel), channel->capacity,
             neap_channel_is_closed(channel) ? ", closed" : "");
}

static const luaL_Reg methods[] = {{"send", channel_send},           {"recv", channel_recv}, {"close", channel_close},
                                   {"iter", channel_iter},           {"is_closed", channel_is_closed}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__len", channel_length}, {NULL, NULL}};

const struct neap_binding neap_channel_binding = {
    .name = "channel",
    .class = &neap_channel_class,
    .methods = methods,
    .metamethods = metamethods,
    .index = channel_index,
    .describe = describe,
};
