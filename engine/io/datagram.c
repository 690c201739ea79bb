#include "io/datagram.h"

#include <errno.h>
#include <sys/socket.h>

static int outcome(struct neap_poll *datagram, enum neap_poll_op op, ssize_t count) {
    if (count >= 0) return 0;
    if (errno == EAGAIN) neap_poll_clear(datagram, op);
    return -errno;
}

int neap_datagram_receive(struct neap_poll *datagram, char bytes[NEAP_DATAGRAM_MAX], size_t *size,
                          struct neap_address *from) {
    ssize_t count;
    from->size = sizeof from->storage;
    do count = recvfrom(datagram->fd, bytes, NEAP_DATAGRAM_MAX, 0, &from->any, &from->size);
    while (count < 0 && errno == EINTR);
    if (count >= 0) *size = (size_t)count;
    return outcome(datagram, NEAP_POLL_READ, count);
}

int neap_datagram_send(struct neap_poll *datagram, const char *bytes, size_t size, const struct neap_address *to) {
    ssize_t count;
    do count = sendto(datagram->fd, bytes, size, MSG_NOSIGNAL, &to->any, to->size);
    while (count < 0 && errno == EINTR);
    return outcome(datagram, NEAP_POLL_WRITE, count);
}

const struct neap_class neap_datagram_class = {
    .name = "datagram",
    .verbs = neap_poll_verbs,
    .destroy = neap_poll_destroy,
    .attempt = neap_poll_attempt,
    .enlist = neap_poll_enlist,
};
