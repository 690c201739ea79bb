/* listener: nothing here waits. Each thread that accepts polls a duplicate of the descriptor on its own loop, so that no two loops
 * touch one record; what closing must reach is the socket behind all of them, and shutdown does. */
#include "io/listener.h"

#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/memory.h"
#include "io/socket.h"

struct neap_listener *neap_listener_new(int fd, struct neap_object *tls) {
    struct neap_listener *listener = neap_alloc(sizeof *listener);
    if (listener == NULL) return NULL;
    neap_object_init(&listener->object, &neap_listener_class);
    listener->fd = fd;
    listener->tls = tls != NULL ? neap_object_ref(tls) : NULL;
    atomic_init(&listener->closed, false);
    return listener;
}

/* A socket in the file system goes with its server. */
static void remove_path(int fd) {
    struct neap_address address;
    char path[NEAP_HOST_MAX];
    if (neap_socket_name(fd, &address) != 0 || address.any.sa_family != AF_UNIX) return;
    neap_address_text(&address, path);
    if (path[0] != '\0') unlink(path);
}

bool neap_listener_close(struct neap_listener *listener) {
    if (atomic_exchange_explicit(&listener->closed, true, memory_order_acq_rel)) return false;
    remove_path(listener->fd);
    shutdown(listener->fd, SHUT_RDWR);
    return true;
}

static void destroy(struct neap_object *object) {
    struct neap_listener *listener = (struct neap_listener *)object;
    neap_listener_close(listener);
    close(listener->fd);
    if (listener->tls != NULL) neap_object_unref(listener->tls);
    neap_free(listener);
}

const struct neap_class neap_listener_class = {.name = "listener", .destroy = destroy};
