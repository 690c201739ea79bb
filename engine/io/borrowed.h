/* borrowed: waiting for descriptors that somebody else owns, and that stay as they are. */
#ifndef NEAP_IO_BORROWED_H
#define NEAP_IO_BORROWED_H

#include <stddef.h>
#include <stdint.h>

#include "io/poll.h"

/* A descriptor, and what it is to be ready for: bits 1 << NEAP_POLL_READ, 1 << NEAP_POLL_WRITE. */
struct neap_interest {
    int fd;
    uint8_t ops;
};

/* One reference to a poll whose READ is ready while one of the descriptors is ready for what it is watched for, or has
 * an error. They are neither made non-blocking nor closed; one that is closed is no longer watched. Each fd stands
 * there once. 0, NEAP_NOMEM, or what the system says: UV_EPERM for one that cannot be waited for, since it is always
 * ready (a file), UV_EBADF. By the loop's thread. */
int neap_borrowed_poll(struct neap_loop *loop, const struct neap_interest *interests, size_t count,
                       struct neap_poll **result);

/* The descriptor that such a poll is made of, for whoever waits in another way: it can be read when one of them is
 * ready. The caller's to close; or what the system says. Any thread. */
int neap_borrowed_watch(const struct neap_interest *interests, size_t count);

/* Is the descriptor ready for `op` right now? What cannot be waited for is. Any thread. */
bool neap_borrowed_is_ready(int fd, enum neap_poll_op op);

#endif
