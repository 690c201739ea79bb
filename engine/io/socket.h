/* socket: the system's socket calls, none of which waits. Codes are libuv's (UV_ECONNREFUSED),
 * which are the system's, negated. */
#ifndef NEAP_IO_SOCKET_H
#define NEAP_IO_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct neap_address {
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
        struct sockaddr_un local;
    };
    socklen_t size; /* of what is set */
};

enum { NEAP_HOST_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) + 1 /* bytes of a host or path, with its end */ };

/* A numeric host ("127.0.0.1", "::1"): 0, or UV_EINVAL when it is none. */
int neap_address_numeric(struct neap_address *address, const char *host, int port);
/* A socket in the file system: 0, or UV_ENAMETOOLONG. */
int neap_address_local(struct neap_address *address, const char *path);
/* Writes the host and returns the port; for a local address the path, and 0. */
int neap_address_text(const struct neap_address *address, char host[NEAP_HOST_MAX]);

enum neap_listen_flags {
    NEAP_LISTEN_REUSEPORT = 1 /* several sockets may listen at this address, and share what comes */
};

/* All descriptors are made non-blocking and are closed in programs that are started. */

/* A stream socket that listens. A local address: what is left of a server that has died is removed. */
int neap_socket_listen(const struct neap_address *address, int backlog, unsigned flags, int *result);
/* A datagram socket, bound to `address`. */
int neap_socket_datagram(const struct neap_address *address, unsigned flags, int *result);
/* Begins to connect: 0 done, UV_EAGAIN: wait until *result can be written, then ask neap_socket_connected. */
int neap_socket_connect(const struct neap_address *address, int *result);
/* 0, or why the connection could not be made. */
int neap_socket_connected(int fd);
/* The next connection and, unless `peer` is NULL, the address of its other side; or UV_EAGAIN. */
int neap_socket_accept(int fd, int *connection, struct neap_address *peer);
/* Is it one that takes connections? */
bool neap_socket_listens(int fd);
/* One's own address, or the other side's. */
int neap_socket_name(int fd, struct neap_address *address);
int neap_socket_peer(int fd, struct neap_address *address);
/* Small writes go out at once instead of waiting to be joined. Does nothing for what is no TCP connection. */
void neap_socket_set_nodelay(int fd, bool on);

#endif
