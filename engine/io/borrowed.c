/* borrowed: libuv makes what it watches non-blocking, which everybody notices who shares the open file: other programs
 * on the terminal, a library that blocks. It also watches a descriptor once only. So it is given an epoll instance, of
 * our own, that watches the others: it can be read when one of them is ready. */
#include "io/borrowed.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/error.h"

static const uint32_t events_of[NEAP_POLL_OPS] = {EPOLLIN | EPOLLRDHUP, EPOLLOUT};
static const short polled_of[NEAP_POLL_OPS] = {POLLIN, POLLOUT};

static int watch(int epoll, const struct neap_interest *interest) {
    struct epoll_event event = {.events = 0};
    for (int op = 0; op < NEAP_POLL_OPS; op++)
        if (interest->ops & 1u << op) event.events |= events_of[op];
    return epoll_ctl(epoll, EPOLL_CTL_ADD, interest->fd, &event) == 0 ? 0 : -errno;
}

int neap_borrowed_watch(const struct neap_interest *interests, size_t count) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int code = epoll < 0 ? -errno : 0;
    for (size_t i = 0; i < count && code == 0; i++) code = watch(epoll, &interests[i]);
    if (code == 0) return epoll;
    if (epoll >= 0) close(epoll);
    return code;
}

int neap_borrowed_poll(struct neap_loop *loop, const struct neap_interest *interests, size_t count,
                       struct neap_poll **result) {
    int epoll = neap_borrowed_watch(interests, count);
    if (epoll < 0) return epoll;
    int code = neap_poll_new(&neap_poll_class, loop, epoll, result);
    if (code != 0) close(epoll);
    return code;
}

bool neap_borrowed_is_ready(int fd, enum neap_poll_op op) {
    struct pollfd entry = {.fd = fd, .events = polled_of[op]};
    return poll(&entry, 1, 0) != 0;
}
