/* listener: a socket that takes connections, for as many threads as like. */
#ifndef NEAP_IO_LISTENER_H
#define NEAP_IO_LISTENER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/object.h"

struct neap_listener {
    struct neap_object object; /* first; may be shared */
    int fd;                    /* constant; closed with the object */
    struct neap_object *tls;   /* constant; the context of those who are accepted, one reference. NULL: no TLS */
    atomic_bool closed;        /* nobody accepts any more. Release, acquire */
};

extern const struct neap_class neap_listener_class;

/* One reference; owns `fd` on success. `tls` is a context, or NULL. NULL: no memory. */
struct neap_listener *neap_listener_new(int fd, struct neap_object *tls);
/* Any thread: no connection is taken from now on; whoever polls the socket finds it ready. False: it was closed before. */
bool neap_listener_close(struct neap_listener *listener);

static inline bool neap_listener_is_closed(const struct neap_listener *listener) {
    return atomic_load_explicit(&listener->closed, memory_order_acquire);
}

#endif
