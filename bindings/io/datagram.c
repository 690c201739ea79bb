#include "io/datagram.h"

#include <lauxlib.h>
#include <stdio.h>
#include <unistd.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/io/net.h"
#include "bindings/task/await.h"
#include "core/error.h"

enum { SELF = 1, DEADLINE, BYTES, ADDRESS }; /* the stack of a send; of a receive: the first two */

static struct neap_poll *check(lua_State *L) {
    struct neap_poll *datagram = (struct neap_poll *)neap_box_check(L, SELF, NEAP_HANDLE_DATAGRAM);
    if (neap_poll_is_closed(datagram)) luaL_error(L, "the socket is closed");
    return datagram;
}

/* internal.net.datagram(host, port, reuseport); a host "unix:/path" has no port */
int neap_net_datagram(lua_State *L) {
    struct neap_address address;
    struct neap_poll *datagram = NULL;
    int fd = -1, code = neap_net_own_address(L, 1, &address);
    unsigned flags = lua_toboolean(L, 3) ? NEAP_LISTEN_REUSEPORT : 0;
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_DATAGRAM, sizeof *box, 0);
    if (code == 0) code = neap_socket_datagram(&address, flags, &fd);
    if (code == 0) code = neap_poll_new(&neap_datagram_class, &neap_vm_of(L)->loop, fd, &datagram);
    if (code != 0) {
        if (fd >= 0) close(fd);
        return neap_push_code(L, code);
    }
    box->object = &datagram->object;
    return 1;
}

static int await(lua_State *L, struct neap_poll *datagram, enum neap_poll_op op, neap_finish finish) {
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &datagram->object;
    task->link.op = (uint8_t)op;
    return neap_await(L, &task->link, 1, (int64_t)lua_tointeger(L, DEADLINE), finish);
}

/* --- receiving --- */

static int go_on_receiving(lua_State *L);

static int finish_receive(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    return code != 0 ? neap_push_code(L, code) : go_on_receiving(L);
}

static int go_on_receiving(lua_State *L) {
    struct neap_poll *datagram = check(L);
    struct neap_address from;
    char bytes[NEAP_DATAGRAM_MAX];
    size_t size = 0;
    int code = neap_datagram_receive(datagram, bytes, &size, &from);
    if (code == UV_EAGAIN) return await(L, datagram, NEAP_POLL_READ, finish_receive);
    if (code != 0) return neap_push_code(L, code);
    lua_pushlstring(L, bytes, size);
    return neap_await_served(L, 1 + neap_net_push_address(L, &from));
}

/* datagram:recv([timeout]) */
static int datagram_recv(lua_State *L) {
    check(L);
    int64_t deadline = neap_check_timeout(L, DEADLINE);
    lua_settop(L, SELF);
    lua_pushinteger(L, deadline);
    neap_await_begin(L);
    return go_on_receiving(L);
}

/* --- sending --- */

static int go_on_sending(lua_State *L);

static int finish_send(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    return code != 0 ? neap_push_code(L, code) : go_on_sending(L);
}

static int go_on_sending(lua_State *L) {
    struct neap_poll *datagram = check(L);
    size_t size;
    const char *bytes = lua_tolstring(L, BYTES, &size);
    int code = neap_datagram_send(datagram, bytes, size, lua_touserdata(L, ADDRESS));
    if (code == UV_EAGAIN) return await(L, datagram, NEAP_POLL_WRITE, finish_send);
    if (code != 0) return neap_push_code(L, code);
    lua_pushboolean(L, 1);
    return neap_await_served(L, 1);
}

/* nil, message, code: why there is no such address. */
static int push_refusal(lua_State *L, int code) {
    if (code != UV_EINVAL) return neap_push_code(L, code);
    lua_pushnil(L);
    lua_pushfstring(L, "cannot send to %s: the host is not numeric", lua_tostring(L, 3));
    lua_pushstring(L, neap_code_name(code));
    return 3;
}

static void check_address(lua_State *L) {
    size_t size;
    const char *host = neap_argument_string(L, 3, &size);
    neap_argument_check(L, strlen(host) == size, 3, "a host has no zero bytes");
    if (strncmp(host, "unix:", 5) == 0) return;
    lua_Integer port = neap_argument_integer(L, 4);
    neap_argument_check(L, port >= 0 && port <= 65535, 4, "a port is between 0 and 65535");
}

/* datagram:send(bytes, host, port[, timeout]) */
static int datagram_send(lua_State *L) {
    check(L);
    neap_argument_type(L, 2, LUA_TSTRING);
    check_address(L);
    int64_t deadline = neap_check_timeout(L, 5);
    lua_settop(L, 4);
    struct neap_address *address = lua_newuserdatauv(L, sizeof *address, 0);
    int code = neap_net_address(L, 3, address);
    if (code != 0) return push_refusal(L, code);
    lua_replace(L, ADDRESS);
    lua_pushvalue(L, 2);
    lua_replace(L, BYTES);
    lua_pushinteger(L, deadline);
    lua_replace(L, DEADLINE);
    neap_await_begin(L);
    return go_on_sending(L);
}

/* --- the rest --- */

/* datagram:close(); also __close */
static int datagram_close(lua_State *L) {
    neap_poll_close((struct neap_poll *)neap_box_check(L, SELF, NEAP_HANDLE_DATAGRAM));
    return 0;
}

static int datagram_is_closed(lua_State *L) {
    lua_pushboolean(L, neap_poll_is_closed((struct neap_poll *)neap_box_check(L, SELF, NEAP_HANDLE_DATAGRAM)));
    return 1;
}

/* datagram:address() */
static int datagram_address(lua_State *L) {
    struct neap_address address;
    int code = neap_socket_name(check(L)->fd, &address);
    return code != 0 ? neap_push_code(L, code) : neap_net_push_address(L, &address);
}

static void describe(struct neap_object *object, char *text, size_t size) {
    snprintf(text, size, "%s", neap_poll_is_closed((struct neap_poll *)object) ? "closed" : "open");
}

static const luaL_Reg methods[] = {{"recv", datagram_recv},       {"send", datagram_send},
                                   {"close", datagram_close},     {"is_closed", datagram_is_closed},
                                   {"address", datagram_address}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__close", datagram_close}, {NULL, NULL}};

const struct neap_binding neap_datagram_binding = {
    .name = "datagram",
    .class = &neap_datagram_class,
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
    .stays = true,
};
