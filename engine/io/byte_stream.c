/* byte_stream: what has come is kept in one buffer, which is there only while it holds something: ten thousand idle connections cost
 * none. Reading tries the system call when bytes may be there, and not again right after a read that took all of them.
 *
 * Writes take turns: one that could not be finished at once is not to be cut in two by another task's. */
#include "io/byte_stream.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"

static bool is_socket(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

int neap_byte_stream_new(struct neap_loop *loop, int fd, struct neap_byte_stream **result) {
    struct neap_byte_stream *stream = neap_alloc_zeroed(sizeof *stream);
    if (stream == NULL) return NEAP_NOMEM;
    int code = neap_poll_init(&stream->poll, &neap_byte_stream_class, loop, fd);
    if (code != 0) {
        neap_free(stream);
        return code;
    }
    neap_list_init(&stream->turns);
    stream->socket = is_socket(fd);
    *result = stream;
    return 0;
}

static void serve_turns(struct neap_byte_stream *stream, int result) {
    struct neap_batch batch = {NULL, NULL};
    neap_waiters_claim_all(&stream->turns, result, &batch);
    neap_batch_flush(&batch);
}

void neap_byte_stream_close(struct neap_byte_stream *stream) {
    neap_poll_close(&stream->poll);
    serve_turns(stream, NEAP_CLOSED);
    neap_inbox_fini(&stream->inbox);
}

/* --- reading --- */

static int failed_read(struct neap_byte_stream *stream, int code) {
    neap_inbox_put(&stream->inbox, 0);
    if (code == UV_EAGAIN) {
        neap_poll_clear(&stream->poll, NEAP_POLL_READ);
        return UV_EAGAIN;
    }
    if (code == UV_EIO && !stream->socket) code = UV_EOF; /* a pseudo terminal whose other side has gone */
    if (code == UV_EOF) stream->ended = true;
    return code;
}

int neap_byte_stream_fill(struct neap_byte_stream *stream, size_t wanted) {
    if (stream->ended) return UV_EOF;
    if (stream->drained) {
        stream->drained = false;
        if (!(stream->poll.ready & 1u << NEAP_POLL_READ)) return UV_EAGAIN;
    }
    size_t room;
    char *bytes = neap_inbox_room(&stream->inbox, wanted, &room);
    if (bytes == NULL) return NEAP_NOMEM;
    ssize_t count;
    do count = read(stream->poll.fd, bytes, room);
    while (count < 0 && errno == EINTR);
    if (count <= 0) return failed_read(stream, count == 0 ? UV_EOF : -errno);
    neap_inbox_put(&stream->inbox, (size_t)count);
    stream->drained = (size_t)count < room;
    neap_poll_clear(&stream->poll, NEAP_POLL_READ);
    return 0;
}

/* --- writing --- */

/* As write(2), but without SIGPIPE for this process, whatever it does with that signal: one that we cause is taken back. */
static ssize_t write_quietly(int fd, const char *bytes, size_t size) {
    static const struct timespec at_once = {0, 0};
    sigset_t broken, before, pending;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &broken, &before);
    ssize_t count = write(fd, bytes, size);
    int code = errno;
    if (count < 0 && code == EPIPE && !sigismember(&pending, SIGPIPE)) sigtimedwait(&broken, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = code;
    return count;
}

int neap_byte_stream_write(struct neap_byte_stream *stream, const char **bytes, size_t *size) {
    while (*size > 0) {
        int fd = stream->poll.fd;
        ssize_t count = stream->socket ? send(fd, *bytes, *size, MSG_NOSIGNAL) : write_quietly(fd, *bytes, *size);
        if (count >= 0) {
            *bytes += count;
            *size -= (size_t)count;
        } else if (errno == EAGAIN) {
            neap_poll_clear(&stream->poll, NEAP_POLL_WRITE);
            return UV_EAGAIN;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

bool neap_byte_stream_begin_write(struct neap_byte_stream *stream) {
    if (stream->writing) return false;
    stream->writing = true;
    return true;
}

void neap_byte_stream_end_write(struct neap_byte_stream *stream) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_link *next = neap_waiters_claim(&stream->turns);
    stream->writing = next != NULL;
    if (next == NULL) return;
    neap_batch_add(&batch, next->wait);
    neap_batch_flush(&batch);
}

int neap_byte_stream_shutdown(struct neap_byte_stream *stream) {
    stream->shut = true;
    if (!stream->socket) return 0;
    return shutdown(stream->poll.fd, SHUT_WR) == 0 ? 0 : -errno;
}

/* --- the class --- */

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_byte_stream *stream = (struct neap_byte_stream *)object;
    if (link->op != NEAP_BYTE_STREAM_TURN || neap_poll_is_closed(&stream->poll))
        return neap_poll_attempt(object, link, batch);
    return neap_byte_stream_begin_write(stream);
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    if (link->op == NEAP_BYTE_STREAM_TURN)
        neap_list_push_back(&((struct neap_byte_stream *)object)->turns, &link->node);
    else
        neap_poll_enlist(object, link);
}

static void destroy(struct neap_object *object) {
    struct neap_byte_stream *stream = (struct neap_byte_stream *)object;
    neap_byte_stream_close(stream);
    neap_free(stream);
}

static const char *const verbs[] = {"read", "write", "write"};

const struct neap_class neap_byte_stream_class = {
    .name = "stream",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
};
