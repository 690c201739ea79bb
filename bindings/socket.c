/* socket: how one process reaches the prompt of another one of the same user.
 *
 *   listen() -> socket           of this process; nil, message
 *   connect(pid) -> socket       to that one; nil, message
 *   socket:accept() -> socket    nil: nobody is there now, or it was another user
 *   socket:receive() -> bytes    nil: nothing is there now; false: the other side has gone
 *   socket:send(bytes) -> count  of bytes that were taken, maybe 0; false: the other side has gone
 *   socket:descriptor()
 *   socket:close()               a to-be-closed value; a listening socket is taken out of its folder
 *
 * WHERE       A socket called PID in a folder that only the user can look into: neap in $XDG_RUNTIME_DIR or in the folder that the
 *             system has for the user's run-time files; neap-UID in the one for temporary files, where neither is there. Whoever
 *             attaches looks into all of them: it may have been started with another environment.
 * WHO         The folder must be a real one, the user's own, and closed to all others; and the system is asked who the other side is
 *             (SO_PEERCRED), on both sides.
 * NO WAITING  Neither side waits here for the other; that is done by console.poll. */
#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bindings/console.h"

enum { FOLDERS = 3, BACKLOG = 8, CHUNK = 65536 };

#define SOCKET_TYPE "neap.console.socket"

/* --- where --- */

/* True when the path is a folder that nobody but the user can look into; made first, if `make` says so. */
static bool is_private_folder(const char *path, bool make) {
    struct stat status;
    if (make && mkdir(path, S_IRWXU) != 0 && errno != EEXIST) return false;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/* The `index`-th folder that may be; empty: there is none. */
static void name_folder(int index, char *path, size_t size) {
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    unsigned user = (unsigned)geteuid();
    int length = 0;
    if (index == 0 && runtime != NULL && runtime[0] == '/') length = snprintf(path, size, "%s/neap", runtime);
    if (index == 1) length = snprintf(path, size, "/run/user/%u/neap", user);
    if (index == 2) length = snprintf(path, size, P_tmpdir "/neap-%u", user);
    if (length <= 0 || (size_t)length >= size) path[0] = '\0';
}

/* The address of a process's socket in the `index`-th folder, which is fit for it. */
static bool find_address(struct sockaddr_un *address, int index, long pid, bool make) {
    char folder[sizeof address->sun_path];
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    name_folder(index, folder, sizeof folder);
    if (folder[0] == '\0' || !is_private_folder(folder, make)) return false;
    int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/%ld", folder, pid);
    return length > 0 && (size_t)length < sizeof address->sun_path;
}

/* --- sockets --- */

struct socket {
    int descriptor;             /* -1: closed */
    struct sockaddr_un address; /* of a listening one; an empty path else */
};

static int socket_close(lua_State *L) {
    struct socket *socket = luaL_checkudata(L, 1, SOCKET_TYPE);
    if (socket->descriptor < 0) return 0;
    if (socket->address.sun_path[0] != '\0') unlink(socket->address.sun_path);
    close(socket->descriptor);
    socket->descriptor = -1;
    return 0;
}

static struct socket *check(lua_State *L) {
    struct socket *socket = luaL_checkudata(L, 1, SOCKET_TYPE);
    if (socket->descriptor < 0) luaL_error(L, "the socket is closed");
    return socket;
}

static struct socket *push_socket(lua_State *L);

static bool is_same_user(int descriptor) {
    struct ucred other;
    socklen_t size = sizeof other;
    return getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &other, &size) == 0 && other.uid == geteuid();
}

static int socket_accept(lua_State *L) {
    const struct socket *listening = check(L);
    struct socket *socket = push_socket(L);
    socket->descriptor = accept4(listening->descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket->descriptor < 0) return 0;
    if (is_same_user(socket->descriptor)) return 1;
    close(socket->descriptor);
    socket->descriptor = -1;
    return 0;
}

static bool would_wait(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

static int socket_receive(lua_State *L) {
    const struct socket *socket = check(L);
    luaL_Buffer bytes;
    char *room = luaL_buffinitsize(L, &bytes, CHUNK);
    ssize_t got = recv(socket->descriptor, room, CHUNK, MSG_DONTWAIT);
    if (got < 0 && would_wait()) return 0;
    luaL_pushresultsize(&bytes, got > 0 ? (size_t)got : 0);
    if (got <= 0) lua_pushboolean(L, 0);
    return 1;
}

static int socket_send(lua_State *L) {
    const struct socket *socket = check(L);
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    ssize_t sent = send(socket->descriptor, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && !would_wait())
        lua_pushboolean(L, 0);
    else
        lua_pushinteger(L, sent < 0 ? 0 : sent);
    return 1;
}

static int socket_descriptor(lua_State *L) {
    lua_pushinteger(L, check(L)->descriptor);
    return 1;
}

static const luaL_Reg methods[] = {{"accept", socket_accept}, {"receive", socket_receive},
                                   {"send", socket_send},     {"descriptor", socket_descriptor},
                                   {"close", socket_close},   {NULL, NULL}};

/* Pushes a closed one. */
static struct socket *push_socket(lua_State *L) {
    struct socket *socket = lua_newuserdatauv(L, sizeof *socket, 0);
    memset(socket, 0, sizeof *socket);
    socket->descriptor = -1;
    if (luaL_newmetatable(L, SOCKET_TYPE)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, socket_close);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "__gc");
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
    return socket;
}

static int fail(lua_State *L, const char *what) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, strerror(errno));
    return 2;
}

static int open_listening(lua_State *L) {
    struct socket *listening = push_socket(L);
    struct sockaddr_un address;
    int index = 0;
    while (index < FOLDERS && !find_address(&address, index, (long)getpid(), true)) index++;
    if (index == FOLDERS) {
        lua_pushnil(L);
        lua_pushliteral(L, "there is no folder that only the user can look into");
        return 2;
    }
    listening->descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listening->descriptor < 0) return fail(L, "socket");
    unlink(address.sun_path); /* of an earlier process of this number that was killed */
    if (bind(listening->descriptor, (struct sockaddr *)&address, sizeof address) != 0) return fail(L, address.sun_path);
    listening->address = address;
    if (listen(listening->descriptor, BACKLOG) != 0) return fail(L, address.sun_path);
    return 1;
}

static int open_connection(lua_State *L) {
    long pid = (long)luaL_checkinteger(L, 1);
    struct socket *connection = push_socket(L);
    struct sockaddr_un address;
    for (int index = 0; index < FOLDERS; index++) {
        if (!find_address(&address, index, pid, false)) continue;
        int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (descriptor < 0) return fail(L, "socket");
        connection->descriptor = descriptor;
        if (connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0 && is_same_user(descriptor)) return 1;
        close(descriptor);
        connection->descriptor = -1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "there is no such program, or it was not started with --attachable");
    return 2;
}

static const luaL_Reg functions[] = {{"listen", open_listening}, {"connect", open_connection}, {NULL, NULL}};

void neap_socket_register(lua_State *L) { luaL_setfuncs(L, functions, 0); }
