/* listener: a socket that takes connections, for as many threads as like, and for other processes, which have listeners
 * of their own over it. The essay is in listener.c. */
#ifndef NEAP_IO_LISTENER_H
#define NEAP_IO_LISTENER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/object.h"
#include "core/wait.h"
#include "io/socket.h"

/* Operations of a link. CLOSED waits until the listener is closed: its result is NEAP_CLOSED. */
enum neap_listener_op { NEAP_LISTENER_CLOSED };

struct neap_listener {
    struct neap_object object;   /* first; may be shared */
    struct neap_list waiters;    /* links with CLOSED; empty once it is closed. guard */
    int fd;                      /* owned; -1 once closed, or lost. guard */
    int lost;                    /* why there was none from the beginning: UV_EMFILE; 0. Constant */
    bool abroad;                 /* other processes have the socket, or may have. guard */
    struct neap_object *tls;     /* constant; the context of those who are accepted, one reference. NULL: no TLS */
    atomic_bool closed;          /* nobody accepts any more. Written under the guard; release, acquire */
    struct neap_address address; /* one's own. Constant */
};

extern const struct neap_class neap_listener_class;

/* One reference; owns `fd` on success. `tls` is a context, or NULL. NULL: no memory. */
struct neap_listener *neap_listener_new(int fd, struct neap_object *tls);

/* Any thread: no connection is taken from now on, and who waits for CLOSED is answered. False: it was closed before. */
bool neap_listener_close(struct neap_listener *listener);

/* Any thread. The next connection, and its other side's address unless `peer` is NULL: 0; UV_EAGAIN: there is none;
 * NEAP_CLOSED; why the socket did not arrive; what the system said. */
int neap_listener_accept(struct neap_listener *listener, int *connection, struct neap_address *peer);
/* Any thread: a descriptor of its own, to be polled. 0, NEAP_CLOSED, or what the system said. */
int neap_listener_duplicate(struct neap_listener *listener, int *fd);

static inline bool neap_listener_is_closed(const struct neap_listener *listener) {
    return atomic_load_explicit(&listener->closed, memory_order_acquire);
}

#endif
