/* net: addresses, names, and connections that are being made. */
#include "bindings/io/net.h"

#include <netdb.h>
#include <string.h>
#include <unistd.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/io/offload.h"
#include "bindings/io/stream.h"
#include "bindings/neap.h"
#include "bindings/state/restrict.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "io/inherited.h"

static const char local_prefix[] = "unix:";

int neap_net_address(lua_State *L, int index, struct neap_address *address) {
    const char *host = neap_argument_string(L, index, NULL);
    if (strncmp(host, local_prefix, sizeof local_prefix - 1) == 0)
        return neap_address_local(address, host + sizeof local_prefix - 1);
    return neap_address_numeric(address, host, (int)neap_argument_integer(L, index + 1));
}

int neap_net_own_address(lua_State *L, int index, struct neap_address *address) {
    int code = neap_net_address(L, index, address);
    if (code == 0 && address->any.sa_family == AF_UNIX) neap_restrict_check(L, NEAP_DENY_WRITING, "making a file");
    return code;
}

int neap_net_push_address(lua_State *L, const struct neap_address *address) {
    char host[NEAP_HOST_MAX];
    int port = neap_address_text(address, host);
    lua_pushstring(L, host);
    if (address->any.sa_family == AF_UNIX) return 1;
    lua_pushinteger(L, port);
    return 2;
}

/* --- connecting --- */

/* The stream is on top of the stack. */
static int finish_dial(lua_State *L, struct neap_task *task, int code) {
    struct neap_byte_stream *stream = (struct neap_byte_stream *)task->link.object;
    if (code >= 0) code = task->link.result;
    if (code == 0) code = neap_socket_connected(stream->poll.fd);
    if (code == 0) return 1;
    neap_byte_stream_close(stream);
    return neap_push_code(L, code);
}

/* internal.net.dial(host, port, timeout): a stream */
static int net_dial(lua_State *L) {
    struct neap_address address;
    int64_t deadline = neap_check_timeout(L, 3);
    int fd = -1, code = neap_net_address(L, 1, &address);
    lua_settop(L, 3);
    neap_await_check(L);
    struct neap_task *task = neap_await_begin(L);
    if (code == 0) code = neap_socket_connect(&address, &fd);
    bool connected = code == 0;
    if (code == 0 || code == UV_EAGAIN) code = neap_stream_push(L, fd, &address);
    if (code != 0) return neap_push_code(L, code);
    if (connected) return neap_await_served(L, 1);
    const struct neap_box *box = lua_touserdata(L, -1);
    task->link.object = box->object;
    task->link.op = NEAP_POLL_WRITE;
    return neap_await(L, &task->link, 1, deadline, finish_dial);
}

/* internal.net.reopen(fd): a stream */
static int net_reopen(lua_State *L) {
    int fd = -1, code = neap_inherited_reopen((int)luaL_checkinteger(L, 1), &fd);
    if (code == 0) code = neap_stream_push(L, fd, NULL);
    return code != 0 ? neap_push_code(L, code) : 1;
}

/* --- names --- */

/* Tells the error as getaddrinfo says it. */
static int push_unknown(lua_State *L, int code) {
    lua_pushnil(L);
    lua_pushfstring(L, "cannot resolve %s: %s", lua_tostring(L, 1), neap_code_text(code));
    lua_pushstring(L, neap_code_name(code));
    return 3;
}

static int finish_resolve(lua_State *L, struct neap_task *task, int code) {
    struct neap_offload *offload = (struct neap_offload *)task->link.object;
    lua_Integer count = 0;
    if (code < 0) {
        neap_offload_cancel(offload);
        return neap_push_code(L, code);
    }
    if (offload->code != 0) return push_unknown(L, offload->code);
    lua_newtable(L);
    for (const struct addrinfo *found = offload->names.addrinfo; found != NULL; found = found->ai_next) {
        struct neap_address address = {.size = found->ai_addrlen};
        if (found->ai_addrlen > sizeof address.storage) continue;
        memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
        lua_pop(L, neap_net_push_address(L, &address) - 1);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

static int family_named(lua_State *L, int index) {
    static const char *const names[] = {"any", "ipv4", "ipv6", NULL};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
    return families[neap_argument_option(L, index, "any", names)];
}

/* internal.net.resolve(host, family, timeout): a list of numeric hosts */
static int net_resolve(lua_State *L) {
    const char *host = neap_argument_string(L, 1, NULL);
    int family = family_named(L, 2);
    int64_t deadline = neap_check_timeout(L, 3);
    neap_await_check(L);
    neap_await_begin(L);
    struct neap_offload *offload = neap_offload_push(L, sizeof *offload, NULL, NULL);
    neap_offload_resolve(offload, &neap_vm_of(L)->loop, host, family);
    return neap_offload_await(L, offload, deadline, finish_resolve);
}

const luaL_Reg neap_net_functions[] = {{"datagram", neap_net_datagram}, {"dial", net_dial},
                                       {"listen", neap_net_listen},     {"reopen", net_reopen},
                                       {"resolve", net_resolve},        {NULL, NULL}};
