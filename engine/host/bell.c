#include "host/bell.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"

enum {
    FDS_ROOM = 16,    /* of descriptors that came: allocated first */
    FDS_LIMIT = 4096, /* more than so many without their frames make no sense */
    BELLS = 64        /* bytes that are read from the socket at a time */
};

void neap_bell_init(struct neap_bell *bell, int socket) {
    bell->socket = socket;
    bell->arrived = NULL;
    bell->arrived_count = bell->arrived_room = 0;
    bell->hung_up = false;
}

void neap_bell_fini(struct neap_bell *bell) {
    for (uint32_t i = 0; i < bell->arrived_count; i++)
        if (bell->arrived[i] >= 0) close(bell->arrived[i]);
    neap_free(bell->arrived);
    close(bell->socket);
}

/* A byte, and with it so many descriptors. */
int neap_bell_send(const struct neap_bell *bell, const int *fds, unsigned count) {
    char byte = (char)count;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * NEAP_BELL_FDS_MAX)];
    } control;
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    NEAP_ASSERT(count <= NEAP_BELL_FDS_MAX, "so many are sent at a time");
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * count);
    }
    for (;;) {
        if (sendmsg(bell->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) return 0;
        if (errno == ETOOMANYREFS) return UV_EMFILE;
        if (errno != EINTR) return -errno;
    }
}

void neap_bell_ring(const struct neap_bell *bell) { (void)neap_bell_send(bell, NULL, 0); }

void neap_bell_end(const struct neap_bell *bell) { shutdown(bell->socket, SHUT_RDWR); }

/* --- hearing --- */

static int keep_fd(struct neap_bell *bell, int fd) {
    if (bell->arrived_count == bell->arrived_room) {
        uint32_t room = bell->arrived_room == 0 ? FDS_ROOM : bell->arrived_room * 2;
        int *wider = room > FDS_LIMIT ? NULL : neap_realloc(bell->arrived, room * sizeof *wider);
        if (wider == NULL) {
            if (fd >= 0) close(fd);
            return room > FDS_LIMIT ? UV_EPROTO : NEAP_NOMEM;
        }
        bell->arrived = wider;
        bell->arrived_room = room;
    }
    bell->arrived[bell->arrived_count++] = fd;
    return 0;
}

/* `wanted` descriptors were sent. Those that are not there any more were lost for want of room in our table. */
static int keep_fds(struct neap_bell *bell, struct msghdr *message, unsigned wanted) {
    unsigned found = 0;
    int code = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++, found++) {
            int fd, kept;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            kept = keep_fd(bell, fd);
            if (code == 0) code = kept;
        }
    }
    for (; code == 0 && found < wanted; found++) code = keep_fd(bell, -1);
    return code == 0 && found > wanted ? UV_EPROTO : code;
}

/* The last byte belongs to the descriptors that came with it: what follows those is not read together with them. */
static int hear(struct neap_bell *bell) {
    char bells[BELLS];
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * NEAP_BELL_FDS_MAX)];
    } control;
    struct iovec data = {.iov_base = bells, .iov_len = sizeof bells};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t size;
    do {
        size = recvmsg(bell->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return UV_EAGAIN;
    if (size <= 0) return NEAP_BROKEN;
    unsigned count = (unsigned char)bells[size - 1];
    if (count > NEAP_BELL_FDS_MAX) return UV_EPROTO;
    return keep_fds(bell, &message, count);
}

int neap_bell_hear(struct neap_bell *bell) {
    int code = bell->hung_up ? NEAP_BROKEN : hear(bell);
    if (code == NEAP_BROKEN) bell->hung_up = true;
    return code;
}

int neap_bell_await(struct neap_bell *bell, unsigned count) {
    while (bell->arrived_count < count) {
        int code = neap_bell_hear(bell);
        if (code != 0) return code == NEAP_NOMEM ? code : UV_EPROTO;
    }
    return 0;
}

void neap_bell_forget(struct neap_bell *bell, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (bell->arrived[i] >= 0) close(bell->arrived[i]);
    bell->arrived_count -= count;
    if (count > 0) memmove(bell->arrived, bell->arrived + count, bell->arrived_count * sizeof *bell->arrived);
}
