#include "io/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

/* --- addresses --- */

int neap_address_numeric(struct neap_address *address, const char *host, int port) {
    memset(address, 0, sizeof *address);
    struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;
    if (uv_ip4_addr(host, port, in) == 0) {
        address->size = sizeof *in;
        return 0;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->storage;
    if (uv_ip6_addr(host, port, in6) != 0) return UV_EINVAL;
    address->size = sizeof *in6;
    return 0;
}

int neap_address_local(struct neap_address *address, const char *path) {
    size_t length = strlen(path);
    memset(address, 0, sizeof *address);
    if (length >= sizeof address->local.sun_path) return UV_ENAMETOOLONG;
    address->local.sun_family = AF_UNIX;
    memcpy(address->local.sun_path, path, length);
    address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 0;
}

int neap_address_text(const struct neap_address *address, char host[NEAP_HOST_MAX]) {
    host[0] = '\0';
    switch (address->any.sa_family) {
        case AF_INET: {
            const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
            uv_ip4_name(in, host, NEAP_HOST_MAX);
            return ntohs(in->sin_port);
        }
        case AF_INET6: {
            const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
            uv_ip6_name(in6, host, NEAP_HOST_MAX);
            return ntohs(in6->sin6_port);
        }
        case AF_UNIX: { /* one that was never bound has no name */
            size_t head = offsetof(struct sockaddr_un, sun_path);
            size_t length = address->size > head ? address->size - head : 0;
            memcpy(host, address->local.sun_path, length);
            host[length] = '\0';
            return 0;
        }
        default: return 0;
    }
}

/* --- making --- */

/* The system's code, after closing `fd`. */
static int fail(int fd) {
    int code = -errno;
    close(fd);
    return code;
}

static int open_socket(const struct neap_address *address, int type) {
    int fd = socket(address->any.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd >= 0 ? fd : -errno;
}

static int set_option(int fd, int level, int name) {
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof on);
}

/* A socket in the file system stays when its server is killed: one that nobody answers at is in nobody's use. Files and
 * the sockets of servers that are merely busy (EAGAIN) are left alone. */
static void remove_left_over(const struct neap_address *address) {
    struct stat info;
    if (lstat(address->local.sun_path, &info) != 0 || !S_ISSOCK(info.st_mode)) return;
    int fd = open_socket(address, SOCK_STREAM);
    if (fd < 0) return;
    bool refused = connect(fd, &address->any, address->size) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (refused) unlink(address->local.sun_path);
}

static int bind_socket(const struct neap_address *address, int type, unsigned flags, int *result) {
    int fd = open_socket(address, type);
    if (fd < 0) return fd;
    bool local = address->any.sa_family == AF_UNIX;
    if (!local && type == SOCK_STREAM && set_option(fd, SOL_SOCKET, SO_REUSEADDR) != 0) return fail(fd);
    if (flags & NEAP_LISTEN_REUSEPORT && set_option(fd, SOL_SOCKET, SO_REUSEPORT) != 0) return fail(fd);
    if (local && type == SOCK_STREAM) remove_left_over(address);
    if (bind(fd, &address->any, address->size) != 0) return fail(fd);
    *result = fd;
    return 0;
}

int neap_socket_listen(const struct neap_address *address, int backlog, unsigned flags, int *result) {
    int fd = -1, code = bind_socket(address, SOCK_STREAM, flags, &fd);
    if (code != 0) return code;
    if (listen(fd, backlog) != 0) return fail(fd);
    *result = fd;
    return 0;
}

int neap_socket_datagram(const struct neap_address *address, unsigned flags, int *result) {
    return bind_socket(address, SOCK_DGRAM, flags, result);
}

int neap_socket_connect(const struct neap_address *address, int *result) {
    int fd = open_socket(address, SOCK_STREAM), code;
    if (fd < 0) return fd;
    code = connect(fd, &address->any, address->size);
    if (code != 0 && errno != EINPROGRESS && errno != EINTR) {
        code = fail(fd);
        return code == UV_EAGAIN ? UV_ECONNREFUSED : code; /* a local server whose backlog is full */
    }
    *result = fd;
    return code == 0 ? 0 : UV_EAGAIN;
}

int neap_socket_connected(int fd) {
    int code = 0;
    socklen_t size = sizeof code;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0 ? -errno : -code;
}

int neap_socket_accept(int fd, int *connection, struct neap_address *peer) {
    for (;;) {
        if (peer != NULL) peer->size = sizeof peer->storage;
        int next = accept4(fd, peer != NULL ? &peer->any : NULL, peer != NULL ? &peer->size : NULL,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (next >= 0) {
            *connection = next;
            return 0;
        }
        if (errno != EINTR && errno != ECONNABORTED) return -errno;
    }
}

/* --- asking --- */

bool neap_socket_listens(int fd) {
    int listens = 0;
    socklen_t size = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

int neap_socket_name(int fd, struct neap_address *address) {
    address->size = sizeof address->storage;
    return getsockname(fd, &address->any, &address->size) == 0 ? 0 : -errno;
}

int neap_socket_peer(int fd, struct neap_address *address) {
    address->size = sizeof address->storage;
    return getpeername(fd, &address->any, &address->size) == 0 ? 0 : -errno;
}

void neap_socket_set_nodelay(int fd, bool on) {
    int value = on;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value);
}
