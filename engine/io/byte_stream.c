/* byte_stream: what has come is kept in one buffer, which is there only while it holds something: ten thousand idle
 * connections cost none. Reading tries the system call when bytes may be there, and not again right after a read that
 * took all of them. How much room a read makes is learnt from the last ones: little for a conversation, since small
 * blocks are cheap, much where much comes.
 *
 * Writes take turns: one that could not be finished at once is not to be cut in two by another task's.
 *
 * TLS        has buffers of its own (io/tls.h): what it wants to send goes out after each of its calls, whoever has
 *            made it; what it wants to see is read when it asks. So a read may have to wait until it can write, and the
 *            other way round: `blocked` tells. */
#include "io/byte_stream.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/error.h"
#include "core/memory.h"

enum { APPETITE_MIN = NEAP_INBOX_ROOM_MIN, APPETITE_MAX = 64 * 1024 }; /* bytes */

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
    stream->appetite = APPETITE_MIN;
    *result = stream;
    return 0;
}

void neap_byte_stream_know_peer(struct neap_byte_stream *stream, const struct neap_address *peer) {
    int family = peer->any.sa_family;
    if (family == AF_INET || family == AF_INET6) memcpy(&stream->peer, &peer->storage, sizeof stream->peer);
}

int neap_byte_stream_peer(const struct neap_byte_stream *stream, struct neap_address *peer) {
    if (stream->peer.any.sa_family == AF_UNSPEC) return neap_socket_peer(stream->poll.fd, peer);
    memcpy(&peer->storage, &stream->peer, sizeof stream->peer);
    peer->size = sizeof stream->peer;
    return 0;
}

static void serve_turns(struct neap_byte_stream *stream, int result) {
    struct neap_batch batch = {NULL, NULL};
    neap_waiters_claim_all(&stream->turns, result, &batch);
    neap_batch_flush(&batch);
}

/* --- reading --- */

static int failed_read(struct neap_byte_stream *stream, int code) {
    if (code == UV_EAGAIN) {
        neap_poll_clear(&stream->poll, NEAP_POLL_READ);
        return UV_EAGAIN;
    }
    if (code == UV_EIO && !stream->socket) code = UV_EOF; /* a pseudo terminal whose other side has gone */
    return code;
}

static void learn(struct neap_byte_stream *stream, size_t count, size_t room) {
    if (count == room && stream->appetite < APPETITE_MAX)
        stream->appetite *= 4;
    else if (count < stream->appetite / 4 && stream->appetite > APPETITE_MIN)
        stream->appetite /= 2;
}

/* Reads once into `inbox`. */
static int read_into(struct neap_byte_stream *stream, struct neap_inbox *inbox, size_t wanted) {
    stream->blocked = NEAP_POLL_READ;
    if (stream->drained) {
        stream->drained = false;
        if (!(stream->poll.ready & 1u << NEAP_POLL_READ)) return UV_EAGAIN;
    }
    size_t room;
    char *bytes = neap_inbox_room(inbox, wanted > stream->appetite ? wanted : stream->appetite, &room);
    if (bytes == NULL) return NEAP_NOMEM;
    ssize_t count;
    do count = stream->socket ? recv(stream->poll.fd, bytes, room, 0) : read(stream->poll.fd, bytes, room);
    while (count < 0 && errno == EINTR);
    neap_inbox_put(inbox, count > 0 ? (size_t)count : 0);
    if (count <= 0) return failed_read(stream, count == 0 ? UV_EOF : -errno);
    stream->drained = (size_t)count < room;
    learn(stream, (size_t)count, room);
    neap_poll_clear(&stream->poll, NEAP_POLL_READ);
    return 0;
}

static int fill_plain(struct neap_byte_stream *stream, size_t wanted) {
    int code = read_into(stream, &stream->inbox, wanted);
    if (code == UV_EOF) stream->ended = true;
    return code;
}

/* --- writing --- */

/* As write(2), but without SIGPIPE for this process, whatever it does with that signal:
 * one that we cause is taken back. */
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

static int write_from(struct neap_byte_stream *stream, const char **bytes, size_t *size) {
    stream->blocked = NEAP_POLL_WRITE;
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

/* --- TLS --- */

enum { RECORD = 16 * 1024 /* bytes that TLS encrypts at once, at most */ };

/* Sends what TLS has to send. */
static int flush(struct neap_byte_stream *stream) {
    struct neap_inbox *out = &stream->tls->out;
    const char *bytes = out->bytes != NULL ? neap_inbox_peek(out) : NULL;
    size_t held = neap_inbox_size(out), left = held;
    if (held == 0) return 0;
    int code = write_from(stream, &bytes, &left);
    neap_inbox_take(out, held - left);
    return code;
}

/* More for TLS to see. */
static int receive(struct neap_byte_stream *stream) {
    int code = read_into(stream, &stream->tls->in, 0);
    return code == UV_EOF ? neap_tls_cut_off(stream->tls) : code;
}

static int shake_hands(struct neap_byte_stream *stream) {
    while (!stream->tls->established) {
        int code = neap_tls_handshake(stream->tls), sent = flush(stream);
        if (code != 0 && code != UV_EAGAIN) return code;
        if (sent != 0) return sent;
        if (code == UV_EAGAIN) code = receive(stream);
        if (code != 0) return code;
    }
    return 0;
}

/* What a writer has left behind that was broken off goes out when somebody waits for an answer to it. */
static int wait_to_read(struct neap_byte_stream *stream) {
    if (!stream->writing && flush(stream) == UV_EAGAIN) return UV_EAGAIN;
    stream->blocked = NEAP_POLL_READ;
    return UV_EAGAIN;
}

static int fill_decrypted(struct neap_byte_stream *stream, size_t wanted) {
    int code = shake_hands(stream);
    while (code == 0) {
        size_t room, count;
        char *bytes = neap_inbox_room(&stream->inbox, wanted > RECORD ? wanted : RECORD, &room);
        if (bytes == NULL) return NEAP_NOMEM;
        code = neap_tls_read(stream->tls, bytes, room, &count);
        neap_inbox_put(&stream->inbox, count);
        if (code == 0) return 0;
        if (code == UV_EAGAIN) code = receive(stream);
    }
    if (code == UV_EAGAIN && stream->tls->established) return wait_to_read(stream);
    if (code == UV_EOF) stream->ended = true;
    if (code != UV_EAGAIN) flush(stream); /* an alert */
    return code;
}

static int write_encrypted(struct neap_byte_stream *stream, const char **bytes, size_t *size) {
    int code = shake_hands(stream);
    for (;;) {
        size_t count;
        if (code == 0) code = flush(stream);
        if (code != 0 || *size == 0) return code;
        code = neap_tls_write(stream->tls, *bytes, *size < RECORD ? *size : RECORD, &count);
        *bytes += count;
        *size -= count;
        if (code == UV_EAGAIN) code = receive(stream);
    }
}

int neap_byte_stream_secure(struct neap_byte_stream *stream, struct neap_tls_context *context, const char *name) {
    if (neap_inbox_size(&stream->inbox) > 0 || stream->tls != NULL) return UV_EPROTO;
    return neap_tls_new(context, name, &stream->tls);
}

int neap_byte_stream_handshake(struct neap_byte_stream *stream) {
    if (stream->tls == NULL) return 0;
    int code = shake_hands(stream);
    return code == 0 ? flush(stream) : code;
}

/* --- what scripts see --- */

int neap_byte_stream_fill(struct neap_byte_stream *stream, size_t wanted) {
    if (stream->ended) return UV_EOF;
    return stream->tls != NULL ? fill_decrypted(stream, wanted) : fill_plain(stream, wanted);
}

int neap_byte_stream_write(struct neap_byte_stream *stream, const char **bytes, size_t *size) {
    return stream->tls != NULL ? write_encrypted(stream, bytes, size) : write_from(stream, bytes, size);
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
    if (stream->tls != NULL) {
        neap_tls_end(stream->tls);
        int code = flush(stream);
        if (code != 0) return code;
    }
    if (!stream->socket) return 0;
    return shutdown(stream->poll.fd, SHUT_WR) == 0 ? 0 : -errno;
}

/* The other side of TLS is told, if that can be done at once. */
void neap_byte_stream_close(struct neap_byte_stream *stream) {
    if (stream->tls != NULL) {
        neap_tls_end(stream->tls);
        if (!neap_poll_is_closed(&stream->poll)) flush(stream);
        neap_tls_free(stream->tls);
        stream->tls = NULL;
    }
    neap_poll_close(&stream->poll);
    serve_turns(stream, NEAP_CLOSED);
    neap_inbox_fini(&stream->inbox);
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
