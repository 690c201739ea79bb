#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>

#include "bindings/await.h"
#include "bindings/box.h"
#include "bindings/classes.h"
#include "bindings/net.h"
#include "bindings/stream.h"
#include "core/clock.h"
#include "core/error.h"
#include "io/listener.h"
#include "io/socket.h"

enum { SELF = 1, DEADLINE, POLL }; /* the stack of accept */

enum { RETRY_MS = 20 /* when there are no descriptors left: somebody may close one */ };

static struct neap_listener *check(lua_State *L) {
    return (struct neap_listener *)neap_box_check(L, SELF, NEAP_HANDLE_LISTENER);
}

/* internal.net.listen(host, port, backlog, reuseport, context); a host "unix:/path" has no port, and without a context there is no TLS. */
int neap_net_listen(lua_State *L) {
    struct neap_address address;
    int fd = -1, code = neap_net_address(L, 1, &address);
    struct neap_object *tls = lua_isnoneornil(L, 5) ? NULL : neap_box_check(L, 5, NEAP_HANDLE_TLS);
    unsigned flags = lua_toboolean(L, 4) ? NEAP_LISTEN_REUSEPORT : 0;
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_LISTENER, sizeof *box, 1);
    if (code == 0) code = neap_socket_listen(&address, (int)neap_argument_integer(L, 3), flags, &fd);
    if (code != 0) return neap_push_code(L, code);
    struct neap_listener *listener = neap_listener_new(fd, tls);
    if (listener == NULL) {
        close(fd);
        return luaL_error(L, "not enough memory");
    }
    box->object = &listener->object;
    return 1;
}

/* Puts the poll of this state at POLL, made when it is first needed. */
static struct neap_poll *push_poll(lua_State *L, const struct neap_listener *listener, int *code) {
    lua_settop(L, DEADLINE);
    if (lua_getiuservalue(L, SELF, 1) != LUA_TNIL) return (struct neap_poll *)neap_box_test(L, POLL, NEAP_HANDLE_POLL);
    lua_settop(L, DEADLINE);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_POLL, sizeof *box, 0);
    struct neap_poll *poll = NULL;
    int fd = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
    *code = fd < 0 ? -errno : neap_poll_new(&neap_vm_of(L)->loop, fd, &poll);
    if (*code != 0) {
        if (fd >= 0) close(fd);
        return NULL;
    }
    box->object = &poll->object;
    lua_pushvalue(L, POLL);
    lua_setiuservalue(L, SELF, 1);
    return poll;
}

static int go_on(lua_State *L);

static int finish_wait(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    return code != 0 ? neap_push_code(L, code) : go_on(L);
}

static int finish_pause(lua_State *L, struct neap_task *task, int code) {
    (void)task;
    (void)code;
    return go_on(L);
}

/* No descriptors, or no memory in the system: goes on when there may be again, within the time that is given. */
static int pause_accepting(lua_State *L, int code) {
    int64_t deadline = (int64_t)lua_tointeger(L, DEADLINE), next = neap_clock_now() + RETRY_MS * NEAP_MILLISECOND;
    if (deadline < next) return neap_push_code(L, code);
    neap_await_begin(L);
    return neap_await(L, NULL, 0, next, finish_pause);
}

static bool is_shortage(int code) {
    return code == UV_EMFILE || code == UV_ENFILE || code == UV_ENOBUFS || code == UV_ENOMEM;
}

static int go_on(lua_State *L) {
    struct neap_listener *listener = check(L);
    if (neap_listener_is_closed(listener)) return neap_push_code(L, NEAP_CLOSED);
    int connection = -1, code = neap_socket_accept(listener->fd, &connection);
    if (code == 0) code = neap_stream_push(L, connection);
    if (code == 0 && listener->tls != NULL) code = neap_stream_secure(L, listener->tls, NULL);
    if (code == 0) return neap_await_served(L, 1);
    struct neap_poll *poll = code == UV_EAGAIN ? push_poll(L, listener, &code) : NULL;
    if (is_shortage(code)) return pause_accepting(L, code);
    if (poll == NULL) return neap_push_code(L, neap_listener_is_closed(listener) ? NEAP_CLOSED : code);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &poll->object;
    task->link.op = NEAP_POLL_READ;
    return neap_await(L, &task->link, 1, (int64_t)lua_tointeger(L, DEADLINE), finish_wait);
}

/* listener:accept([timeout]) */
static int listener_accept(lua_State *L) {
    check(L);
    int64_t deadline = neap_check_timeout(L, DEADLINE);
    lua_settop(L, SELF);
    lua_pushinteger(L, deadline);
    neap_await_begin(L);
    return go_on(L);
}

static int accept_next(lua_State *L) {
    lua_settop(L, SELF);
    lua_pushinteger(L, NEAP_FOREVER);
    neap_await_begin(L);
    return go_on(L);
}

/* listener:iter() */
static int listener_iter(lua_State *L) {
    check(L);
    lua_pushcfunction(L, accept_next);
    lua_pushvalue(L, SELF);
    return 2;
}

/* listener:close(); also __close */
static int listener_close(lua_State *L) {
    lua_pushboolean(L, neap_listener_close(check(L)));
    return 1;
}

static int listener_is_closed(lua_State *L) {
    lua_pushboolean(L, neap_listener_is_closed(check(L)));
    return 1;
}

/* listener:address() */
static int listener_address(lua_State *L) {
    struct neap_address address;
    int code = neap_socket_name(check(L)->fd, &address);
    return code != 0 ? neap_push_code(L, code) : neap_net_push_address(L, &address);
}

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_listener *listener = (struct neap_listener *)object;
    char host[NEAP_HOST_MAX] = "";
    struct neap_address address;
    int port = neap_socket_name(listener->fd, &address) == 0 ? neap_address_text(&address, host) : 0;
    if (neap_listener_is_closed(listener))
        snprintf(text, size, "closed");
    else if (port != 0)
        snprintf(text, size, "%.40s port %d", host, port);
    else
        snprintf(text, size, "%.60s", host);
}

static const luaL_Reg methods[] = {{"accept", listener_accept},   {"iter", listener_iter},
                                   {"close", listener_close},     {"is_closed", listener_is_closed},
                                   {"address", listener_address}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__close", listener_close}, {NULL, NULL}};

const struct neap_binding neap_listener_binding = {
    .name = "listener",
    .class = &neap_listener_class,
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
    .uservalues = 1,
};

static const luaL_Reg none[] = {{NULL, NULL}};

const struct neap_binding neap_poll_binding = {
    .name = "descriptor",
    .class = &neap_poll_class,
    .methods = none,
    .stays = true,
};
