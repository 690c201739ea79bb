/* byte_stream: bytes to and from a socket, a pipe or a terminal, on the loop of one thread. */
#ifndef NEAP_IO_BYTE_STREAM_H
#define NEAP_IO_BYTE_STREAM_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/inbox.h"
#include "io/poll.h"
#include "io/socket.h"
#include "io/tls.h"

/* Operations of a link, beside those of a poll. TURN: until no other write is under way; then it is one's own. */
enum { NEAP_BYTE_STREAM_TURN = NEAP_POLL_OPS };

struct neap_byte_stream {
    struct neap_poll poll;     /* first */
    struct neap_list turns;    /* links with TURN */
    struct neap_inbox inbox;   /* what has come and was not taken */
    struct neap_tls *tls;      /* between these bytes and those of the descriptor; NULL: nothing. Owned */
    enum neap_poll_op blocked; /* what the last call that has answered UV_EAGAIN waits for */
    uint32_t appetite;         /* bytes that a read makes room for at least */
    /* The other side of a connection by TCP, kept since the system forgets it with the connection; AF_UNSPEC:
     * not known. */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer;
    bool socket;  /* it is one: what is written to it raises no signal */
    bool writing; /* somebody's write is under way */
    bool drained; /* the last read took all there was: to try again at once is in vain */
    bool ended;   /* the other side sends no more */
    bool shut;    /* we send no more */
};

extern const struct neap_class neap_byte_stream_class;

/* One reference to a stream over `fd`, which it owns on success. 0, or as neap_poll_init. By
 * the loop's thread, as all below. */
int neap_byte_stream_new(struct neap_loop *loop, int fd, struct neap_byte_stream **result);
/* Says who is at the other side. */
void neap_byte_stream_know_peer(struct neap_byte_stream *stream, const struct neap_address *peer);
/* The address of the other side: 0, or what the system says. */
int neap_byte_stream_peer(const struct neap_byte_stream *stream, struct neap_address *peer);
/* Closes the descriptor and forgets what has come. Who waits is answered NEAP_CLOSED. */
void neap_byte_stream_close(struct neap_byte_stream *stream);

/* All of these: 0; UV_EAGAIN: wait for the operation `blocked`; UV_EOF: nothing more comes; NEAP_TLS,
 * NEAP_UNTRUSTED, see tls->problem; else what the system says. The first of them that is called makes
 * TLS's handshake, if there is TLS. */

/* Reads once into the inbox, at least a byte; makes room for about `wanted` bytes if that helps. */
int neap_byte_stream_fill(struct neap_byte_stream *stream, size_t wanted);
/* Writes what can be written at once from *bytes on, and moves *bytes and *size on; 0: all. Only in one's turn. */
int neap_byte_stream_write(struct neap_byte_stream *stream, const char **bytes, size_t *size);
/* Makes the handshake. Without TLS there is nothing to do. */
int neap_byte_stream_handshake(struct neap_byte_stream *stream);
/* The other side reads an end once it has read what was written. Only in one's turn. */
int neap_byte_stream_shutdown(struct neap_byte_stream *stream);

/* Begins a write if none is under way; else wait for TURN. */
bool neap_byte_stream_begin_write(struct neap_byte_stream *stream);
/* The turn is the next one's. */
void neap_byte_stream_end_write(struct neap_byte_stream *stream);
/* From now on it is TLS that travels. `name` as in neap_tls_new. What came before must have been
 * read: UV_EPROTO. 0, NEAP_NOMEM. */
int neap_byte_stream_secure(struct neap_byte_stream *stream, struct neap_tls_context *context, const char *name);

#endif
