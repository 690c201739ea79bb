/* poll: readiness, not completion. Who wants to read or write tries the system call first and waits here when
 * it would block; so a wait that is cancelled or times out has moved no byte, and TLS, datagrams, sockets,
 * pipes and terminals all wait alike.
 *
 * MODEL      libuv watches a descriptor level-triggered. What it looks for is changed as seldom as can be, since each
 *            change is a system call: an operation stays watched after it has been served, for the next read of a
 *            conversation usually comes in the same turn. When the descriptor is ready and nobody waits, that is noted
 *            for who comes next: mostly somebody who was woken a moment ago and has not had his turn. The second time
 *            in a row the watch is taken back.
 * INVARIANTS 1. An operation with waiting links is watched, until the poll is closed.
 *            2. A closed poll has no waiting links. */
#include "io/poll.h"

#include <stddef.h>
#include <unistd.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"

static const int events_of[NEAP_POLL_OPS] = {UV_READABLE, UV_WRITABLE};

const char *const neap_poll_verbs[] = {"read", "write"};

static void on_ready(uv_poll_t *handle, int status, int events);

/* Tells libuv what to look for. It cannot fail for a descriptor that it has accepted once. */
static void watch(struct neap_poll *poll, uint8_t wanted) {
    if (wanted == poll->watched) return;
    poll->watched = wanted;
    int events = 0;
    for (int op = 0; op < NEAP_POLL_OPS; op++)
        if (wanted & 1u << op) events |= events_of[op];
    if (events == 0)
        uv_poll_stop(poll->watch);
    else
        uv_poll_start(poll->watch, events, on_ready);
}

static void serve(struct neap_poll *poll, int op, int result) {
    struct neap_batch batch = {NULL, NULL};
    neap_waiters_claim_all(&poll->waiting[op], result, &batch);
    if (batch.first != NULL) neap_batch_flush(&batch);
}

/* An error makes both operations ready: the system call will tell which it is. libuv has stopped watching then. */
static void on_ready(uv_poll_t *handle, int status, int events) {
    struct neap_poll *poll = handle->data;
    uint8_t watched = poll->watched, idle = 0;
    if (status < 0) poll->watched = 0;
    for (int op = 0; op < NEAP_POLL_OPS; op++) {
        if (!(watched & 1u << op) || (status >= 0 && !(events & events_of[op]))) continue;
        if (!neap_list_is_empty(&poll->waiting[op]))
            serve(poll, op, 0);
        else if (poll->ready & 1u << op)
            idle |= (uint8_t)(1u << op);
        else
            poll->ready |= (uint8_t)(1u << op);
    }
    watch(poll, (uint8_t)(poll->watched & ~idle));
}

static void free_watch(uv_handle_t *handle) { neap_free(handle); }

int neap_poll_init(struct neap_poll *poll, const struct neap_class *class, struct neap_loop *loop, int fd) {
    int code = neap_loop_open_uv(loop);
    if (code != 0) return code;
    uv_poll_t *handle = neap_alloc(sizeof *handle);
    if (handle == NULL) return NEAP_NOMEM;
    code = uv_poll_init(loop->uv, handle, fd);
    if (code != 0) {
        neap_free(handle);
        return code;
    }
    handle->data = poll;
    neap_object_init(&poll->object, class);
    for (int op = 0; op < NEAP_POLL_OPS; op++) neap_list_init(&poll->waiting[op]);
    poll->watch = handle;
    poll->fd = fd;
    poll->watched = 0;
    poll->ready = 0;
    return 0;
}

int neap_poll_detach(struct neap_poll *poll) {
    int fd = poll->fd;
    if (neap_poll_is_closed(poll)) return -1;
    uv_close((uv_handle_t *)poll->watch, free_watch);
    poll->watch = NULL;
    poll->fd = -1;
    poll->watched = 0;
    for (int op = 0; op < NEAP_POLL_OPS; op++) serve(poll, op, NEAP_CLOSED);
    return fd;
}

void neap_poll_close(struct neap_poll *poll) {
    int fd = neap_poll_detach(poll);
    if (fd >= 0) close(fd);
}

int neap_poll_new(const struct neap_class *class, struct neap_loop *loop, int fd, struct neap_poll **result) {
    struct neap_poll *poll = neap_alloc(sizeof *poll);
    if (poll == NULL) return NEAP_NOMEM;
    int code = neap_poll_init(poll, class, loop, fd);
    if (code != 0)
        neap_free(poll);
    else
        *result = poll;
    return code;
}

bool neap_poll_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_poll *poll = (struct neap_poll *)object;
    (void)batch;
    if (neap_poll_is_closed(poll)) {
        link->result = NEAP_CLOSED;
        return true;
    }
    if (!(poll->ready & 1u << link->op)) return false;
    neap_poll_clear(poll, (enum neap_poll_op)link->op);
    return true;
}

void neap_poll_enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_poll *poll = (struct neap_poll *)object;
    NEAP_ASSERT(!neap_poll_is_closed(poll), "poll 2: a closed poll has no waiting links");
    neap_list_push_back(&poll->waiting[link->op], &link->node);
    watch(poll, (uint8_t)(poll->watched | 1u << link->op));
}

void neap_poll_destroy(struct neap_object *object) {
    struct neap_poll *poll = (struct neap_poll *)object;
    neap_poll_close(poll);
    neap_free(poll);
}

const struct neap_class neap_poll_class = {
    .name = "descriptor",
    .verbs = neap_poll_verbs,
    .destroy = neap_poll_destroy,
    .attempt = neap_poll_attempt,
    .enlist = neap_poll_enlist,
};
