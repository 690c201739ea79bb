/* listener: a socket behind several threads, and several processes.
 *
 * MODEL       Each thread that accepts polls a duplicate of the descriptor on its own loop, so that no two loops touch
 *             one record. Who waits there waits for CLOSED as well: that is how closing reaches all threads.
 * PROCESSES   Another process gets a duplicate (core/passage.h) and makes a listener of it. Each of the two is closed
 *             by itself; the socket ends with the last descriptor, wherever that is.
 * CLOSING     A socket that has never left this process is shut down: connections are refused from that moment on,
 *             whoever still has a duplicate. One that may be abroad must not be: that would close it for all. For
 *             the same reason its path stays.
 * GUARD       It is held for one system call that does not wait, so that no number is used that
 *             belongs to something else by then. */
#include "io/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>
#include <uv.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/passage.h"

/* NULL: no memory. */
static struct neap_listener *make(int fd) {
    struct neap_listener *listener = neap_alloc_zeroed(sizeof *listener);
    if (listener == NULL) return NULL;
    neap_object_init(&listener->object, &neap_listener_class);
    neap_list_init(&listener->waiters);
    listener->fd = fd;
    if (fd < 0 || neap_socket_name(fd, &listener->address) != 0) listener->address.size = 0;
    atomic_init(&listener->closed, false);
    return listener;
}

struct neap_listener *neap_listener_new(int fd, struct neap_object *tls) {
    struct neap_listener *listener = make(fd);
    if (listener != NULL && tls != NULL) listener->tls = neap_object_ref(tls);
    return listener;
}

/* --- use --- */

int neap_listener_accept(struct neap_listener *listener, int *connection, struct neap_address *peer) {
    if (listener->lost != 0) return listener->lost;
    neap_object_lock(&listener->object);
    int code = listener->fd >= 0 ? neap_socket_accept(listener->fd, connection, peer) : NEAP_CLOSED;
    neap_object_unlock(&listener->object);
    return code;
}

/* The guard is held. */
static int duplicate(const struct neap_listener *listener, int *fd) {
    if (listener->fd < 0) return NEAP_CLOSED;
    int made = fcntl(listener->fd, F_DUPFD_CLOEXEC, 0);
    if (made < 0) return -errno;
    *fd = made;
    return 0;
}

int neap_listener_duplicate(struct neap_listener *listener, int *fd) {
    neap_object_lock(&listener->object);
    int code = duplicate(listener, fd);
    neap_object_unlock(&listener->object);
    return code;
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)batch;
    if (!neap_listener_is_closed((struct neap_listener *)object)) return false;
    link->result = NEAP_CLOSED;
    return true;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_listener *)object)->waiters, &link->node);
}

/* --- closing --- */

/* A socket in the file system goes with its server. */
static void remove_path(const struct neap_address *address) {
    char path[NEAP_HOST_MAX];
    if (address->size == 0 || address->any.sa_family != AF_UNIX) return;
    neap_address_text(address, path);
    if (path[0] != '\0') unlink(path);
}

/* What was the listener's, and is nobody's now; -1: nothing. */
static void let_go(const struct neap_listener *listener, int fd, bool alone) {
    if (fd < 0) return;
    if (alone) {
        remove_path(&listener->address);
        shutdown(fd, SHUT_RDWR);
    }
    close(fd);
}

bool neap_listener_close(struct neap_listener *listener) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&listener->object);
    bool first = !atomic_exchange_explicit(&listener->closed, true, memory_order_acq_rel), alone = !listener->abroad;
    int fd = listener->fd;
    listener->fd = -1;
    neap_waiters_claim_all(&listener->waiters, NEAP_CLOSED, &batch);
    neap_object_unlock(&listener->object);
    let_go(listener, fd, alone);
    neap_batch_flush(&batch);
    return first;
}

/* The guard is gone with the last reference, and nobody else has the object. */
static void destroy(struct neap_object *object) {
    struct neap_listener *listener = (struct neap_listener *)object;
    NEAP_ASSERT(neap_list_is_empty(&listener->waiters), "wait 2: who waits keeps the object alive");
    let_go(listener, listener->fd, !listener->abroad);
    if (listener->tls != NULL) neap_object_unref(listener->tls);
    neap_free(listener);
}

/* --- to another process --- */

static int depart(struct neap_object *object, struct neap_passage *passage) {
    struct neap_listener *listener = (struct neap_listener *)object;
    if (listener->tls != NULL) return UV_ENOTSUP;
    passage->code = listener->lost;
    if (passage->code != 0) return 0;
    neap_object_lock(object);
    int code = duplicate(listener, &passage->fd);
    if (code == 0) listener->abroad = true;
    neap_object_unlock(object);
    if (code != NEAP_CLOSED) return code;
    passage->code = code;
    return 0;
}

static int arrive(const struct neap_passage *passage, struct neap_object **object) {
    if (passage->fd >= 0 && !neap_socket_listens(passage->fd)) return NEAP_RANGE;
    struct neap_listener *listener = make(passage->fd);
    if (listener == NULL) return NEAP_NOMEM;
    listener->abroad = true;
    if (passage->code == NEAP_CLOSED)
        atomic_store_explicit(&listener->closed, true, memory_order_relaxed); /* nobody else has it yet */
    else
        listener->lost = passage->code;
    *object = &listener->object;
    return 0;
}

static const char *const verbs[] = {"accept"}; /* whoever waits for CLOSED waits for a connection */

const struct neap_class neap_listener_class = {
    .name = "listener",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .depart = depart,
    .arrive = arrive,
};
