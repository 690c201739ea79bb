/* pipe: two ends, joined by one or two buffered channels. An end has no waits of its own:
 * bindings wait on its channels. */
#ifndef NEAP_SYNC_PIPE_H
#define NEAP_SYNC_PIPE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/object.h"
#include "core/wait.h"
#include "sync/channel.h"

enum { NEAP_PIPE_CAPACITY = 1024 };

/* Operations of a link to a stream. RECV and SEND are a channel's. POLL: 0 when RECV would be served with a value;
 * NEAP_CLOSED once closed and drained. It takes nothing: who receives may find that somebody else was faster. */
enum neap_stream_op { NEAP_STREAM_RECV = NEAP_CHANNEL_RECV, NEAP_STREAM_SEND = NEAP_CHANNEL_SEND, NEAP_STREAM_POLL };

/* One direction. */
struct neap_stream {
    struct neap_channel channel; /* first; links with POLL are in its list of pollers */
};

/* Calls of other processes to an end. CLOSE: number: whether it was open. */
enum neap_pipe_call { NEAP_PIPE_CLOSE };

struct neap_pipe {
    struct neap_object object;
    struct neap_stream *in;  /* constant; what this end receives from: one reference; NULL: nothing */
    struct neap_stream *out; /* constant; what this end sends to: one reference; NULL: nothing */
    _Atomic bool closed;     /* neap_pipe_close was called on this end. Relaxed */
};

/* Both ends, one reference each. With `duplex` each can send and receive; otherwise `first` receives and
 * `second` sends. 0 or NEAP_NOMEM. */
int neap_pipe_new(bool duplex, struct neap_pipe **first, struct neap_pipe **second);

/* Any thread, idempotent: closes both directions. What is buffered can still be received. The last reference to an end
 * closes it too. False when this end was closed already. */
bool neap_pipe_close(struct neap_pipe *pipe);

/* Any thread: has this end been closed (be the other as it may)? */
bool neap_pipe_is_closed(const struct neap_pipe *pipe);

extern const struct neap_class neap_pipe_class;
extern const struct neap_class neap_stream_class;

#endif
