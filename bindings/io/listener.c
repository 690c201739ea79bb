#include <lauxlib.h>
#include <stdio.h>
#include <unistd.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/iterator.h"
#include "bindings/io/net.h"
#include "bindings/io/stream.h"
#include "bindings/task/await.h"
#include "core/clock.h"
#include "core/error.h"
#include "io/listener.h"
#include "io/socket.h"

enum { SELF = 1, DEADLINE, LINKS, POLL }; /* the stack of accept */

enum { RETRY_MS = 20 /* when there are no descriptors left: somebody may close one */ };

static struct neap_listener *check(lua_State *L) {
    return (struct neap_listener *)neap_box_check(L, SELF, NEAP_HANDLE_LISTENER);
}

/* internal.net.listen(host, port, backlog, reuseport, context); a host "unix:/path" has no port, and
 * without a context there is no TLS. */
int neap_net_listen(lua_State *L) {
    struct neap_address address;
    int fd = -1, code = neap_net_own_address(L, 1, &address);
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

/* A wait for a connection, or the end. The links lie in a userdata on the stack: they must stay where they are. */
enum { CLOSED, READY, LINK_COUNT };

static struct neap_link *push_links(lua_State *L) {
    lua_settop(L, LINKS);
    struct neap_link *links = lua_touserdata(L, LINKS);
    if (links == NULL) {
        lua_settop(L, DEADLINE);
        links = lua_newuserdatauv(L, LINK_COUNT * sizeof *links, 0);
    }
    for (int i = 0; i < LINK_COUNT; i++) links[i] = (struct neap_link){.wait = NULL};
    return links;
}

/* Puts the poll of this state at POLL, made when it is first needed. */
static struct neap_poll *push_poll(lua_State *L, struct neap_listener *listener, int *code) {
    if (lua_getiuservalue(L, SELF, 1) != LUA_TNIL) return (struct neap_poll *)neap_box_test(L, POLL, NEAP_HANDLE_POLL);
    lua_settop(L, LINKS);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_POLL, sizeof *box, 0);
    struct neap_poll *poll = NULL;
    int fd = -1;
    *code = neap_listener_duplicate(listener, &fd);
    if (*code == 0) *code = neap_poll_new(&neap_poll_class, &neap_vm_of(L)->loop, fd, &poll);
    if (*code != 0) {
        if (fd >= 0) close(fd);
        return NULL;
    }
    box->object = &poll->object;
    lua_pushvalue(L, POLL);
    lua_setiuservalue(L, SELF, 1);
    return poll;
}

/* The listener is closed: neither does this state keep the socket. */
static void drop_poll(lua_State *L) {
    lua_getiuservalue(L, SELF, 1);
    struct neap_poll *poll = (struct neap_poll *)neap_box_test(L, -1, NEAP_HANDLE_POLL);
    if (poll != NULL) neap_poll_close(poll);
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_setiuservalue(L, SELF, 1);
}

static int finish_closed(lua_State *L) {
    drop_poll(L);
    return neap_push_code(L, NEAP_CLOSED);
}

static int go_on(lua_State *L);

static int finish_wait(lua_State *L, struct neap_task *task, int code) {
    (void)task;
    if (code < 0) return neap_push_code(L, code);
    const struct neap_link *links = lua_touserdata(L, LINKS);
    return links[code].result == 0 ? go_on(L) : finish_closed(L);
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

static int wait_for_more(lua_State *L, struct neap_listener *listener) {
    int code = 0;
    struct neap_link *links = push_links(L);
    struct neap_poll *poll = push_poll(L, listener, &code);
    if (is_shortage(code)) return pause_accepting(L, code);
    if (poll == NULL) return code == NEAP_CLOSED ? finish_closed(L) : neap_push_code(L, code);
    neap_await_begin(L);
    links[CLOSED].object = &listener->object;
    links[CLOSED].op = NEAP_LISTENER_CLOSED;
    links[READY].object = &poll->object;
    links[READY].op = NEAP_POLL_READ;
    return neap_await(L, links, LINK_COUNT, (int64_t)lua_tointeger(L, DEADLINE), finish_wait);
}

static int go_on(lua_State *L) {
    struct neap_listener *listener = check(L);
    if (neap_listener_is_closed(listener)) return finish_closed(L);
    struct neap_address peer;
    int connection = -1, code = neap_listener_accept(listener, &connection, &peer);
    if (code == UV_EAGAIN) return wait_for_more(L, listener);
    if (code == 0) code = neap_stream_push(L, connection, &peer);
    if (code == 0 && listener->tls != NULL) code = neap_stream_secure(L, listener->tls, NULL);
    if (code == 0) return neap_await_served(L, 1);
    if (listener->lost == 0 && is_shortage(code)) return pause_accepting(L, code);
    return neap_listener_is_closed(listener) ? finish_closed(L) : neap_push_code(L, code);
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
    neap_iterator_begin(L);
    lua_pushinteger(L, NEAP_FOREVER);
    neap_await_begin(L);
    return go_on(L);
}

/* listener:iter() */
static int listener_iter(lua_State *L) {
    check(L);
    return neap_iterator_push(L, accept_next);
}

/* listener:close(); also __close */
static int listener_close(lua_State *L) {
    bool first = neap_listener_close(check(L));
    drop_poll(L);
    lua_pushboolean(L, first);
    return 1;
}

static int listener_is_closed(lua_State *L) {
    lua_pushboolean(L, neap_listener_is_closed(check(L)));
    return 1;
}

/* listener:address() */
static int listener_address(lua_State *L) {
    const struct neap_listener *listener = check(L);
    if (listener->address.size == 0)
        return neap_push_code(L, NEAP_CLOSED); /* it was when it came from another process */
    return neap_net_push_address(L, &listener->address);
}

static void describe(struct neap_object *object, char *text, size_t size) {
    const struct neap_listener *listener = (struct neap_listener *)object;
    char host[NEAP_HOST_MAX] = "";
    int port = neap_address_text(&listener->address, host);
    if (neap_listener_is_closed(listener))
        snprintf(text, size, "closed");
    else if (port != 0)
        snprintf(text, size, "%.40s port %d", host, port);
    else
        snprintf(text, size, "%.60s", host);
}

/* One that came without its socket: whoever receives it is to know. */
static void arrived(lua_State *L, struct neap_object *object) {
    int lost = ((struct neap_listener *)object)->lost;
    if (lost != 0) luaL_error(L, "cannot receive a listener: %s (%s)", neap_code_text(lost), neap_code_name(lost));
}

static const char *obstacle(const struct neap_object *object) {
    const struct neap_listener *listener = (const struct neap_listener *)object;
    if (neap_listener_is_closed(listener)) return "userdata that is closed";
    return listener->tls != NULL ? "userdata whose TLS cannot go to another process" : NULL;
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
    .arrived = arrived,
    .obstacle = obstacle,
    .uservalues = 1,
};

static const luaL_Reg none[] = {{NULL, NULL}};

const struct neap_binding neap_poll_binding = {
    .name = "descriptor",
    .class = &neap_poll_class,
    .methods = none,
    .stays = true,
};
