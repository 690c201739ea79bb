#include "sync/pipe.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "sync/channel_loan.h"

/* --- streams --- */

static bool poll(struct neap_stream *stream, struct neap_link *link, struct neap_batch *batch) {
    neap_channel_settle(&stream->channel, batch);
    if (neap_channel_has_some(&stream->channel)) return neap_link_commit(link);
    if (!neap_channel_is_over(&stream->channel) || !neap_link_commit(link)) return false;
    link->result = NEAP_CLOSED;
    return true;
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_stream *stream = (struct neap_stream *)object;
    return link->op == NEAP_STREAM_POLL ? poll(stream, link, batch) : neap_channel_attempt(object, link, batch);
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    if (link->op == NEAP_STREAM_POLL)
        neap_list_push_back(&((struct neap_stream *)object)->channel.pollers, &link->node);
    else
        neap_channel_enlist(object, link);
}

/* Who polls hopes for the same as who receives. */
static const struct neap_link receiver = {.op = NEAP_STREAM_RECV};

static bool hint(struct neap_object *object, const struct neap_link *link) {
    return neap_channel_hint(object, link->op == NEAP_STREAM_POLL ? &receiver : link);
}

static void look(struct neap_object *object, const struct neap_link *link) {
    neap_channel_look_for(object, link->op == NEAP_STREAM_POLL ? &receiver : link);
}

static bool awaits(struct neap_object *object, const struct neap_link *link) {
    return neap_channel_awaits(object, link->op == NEAP_STREAM_POLL ? &receiver : link);
}

static void close_stream(struct neap_stream *stream) {
    struct neap_message none;
    neap_message_clear(&none);
    neap_channel_close(&stream->channel, &none);
}

static struct neap_stream *stream_new(void) {
    struct neap_stream *stream = neap_alloc(sizeof *stream);
    if (stream == NULL) return NULL;
    neap_channel_init(&stream->channel, &neap_stream_class, NEAP_PIPE_CAPACITY, NEAP_FIFO);
    return stream;
}

static void destroy_stream(struct neap_object *object) {
    struct neap_stream *stream = (struct neap_stream *)object;
    neap_channel_fini(&stream->channel);
    neap_free(stream);
}

static const struct neap_remote stream_remote = {
    .kind = NEAP_KIND_STREAM,
    .ops = NEAP_STREAM_POLL + 1,
    .reason = neap_channel_reason,
    .lending = NEAP_STREAM_RECV + 1,
    .sending = NEAP_STREAM_SEND + 1,
    .taking = 1 << NEAP_STREAM_RECV,
    .restore = neap_channel_restore,
};

static const char *const verbs[] = {"recv", "send", "poll"};

const struct neap_class neap_stream_class = {
    .name = "pipe",
    .verbs = verbs,
    .destroy = destroy_stream,
    .attempt = attempt,
    .awaits = awaits,
    .enlist = enlist,
    .hint = hint,
    .look = look,
    .remote = &stream_remote,
};

/* --- ends --- */

static void unref(struct neap_stream *stream) {
    if (stream != NULL) neap_object_unref(&stream->channel.object);
}

/* Takes the references over. */
static struct neap_pipe *end_new(struct neap_stream *in, struct neap_stream *out) {
    struct neap_pipe *pipe = neap_alloc(sizeof *pipe);
    if (pipe == NULL) return NULL;
    neap_object_init(&pipe->object, &neap_pipe_class);
    pipe->in = in;
    pipe->out = out;
    atomic_init(&pipe->closed, false);
    return pipe;
}

int neap_pipe_new(bool duplex, struct neap_pipe **first, struct neap_pipe **second) {
    struct neap_stream *there = stream_new(), *back = duplex ? stream_new() : NULL;
    if (there == NULL || (duplex && back == NULL)) goto fail_streams;
    struct neap_pipe *a = end_new(there, back), *b = end_new(back, there);
    if (a == NULL || b == NULL) goto fail_ends;
    neap_object_ref(&there->channel.object);
    if (back != NULL) neap_object_ref(&back->channel.object);
    *first = a;
    *second = b;
    return 0;
fail_ends:
    neap_free(a);
    neap_free(b);
fail_streams:
    unref(there);
    unref(back);
    return NEAP_NOMEM;
}

bool neap_pipe_close(struct neap_pipe *pipe) {
    bool first = !atomic_exchange_explicit(&pipe->closed, true, memory_order_relaxed);
    if (first && pipe->in != NULL) close_stream(pipe->in);
    if (first && pipe->out != NULL) close_stream(pipe->out);
    return first;
}

bool neap_pipe_is_closed(const struct neap_pipe *pipe) {
    return atomic_load_explicit(&pipe->closed, memory_order_relaxed);
}

static void on_share(struct neap_object *object) {
    struct neap_pipe *pipe = (struct neap_pipe *)object;
    if (pipe->in != NULL) neap_object_share(&pipe->in->channel.object);
    if (pipe->out != NULL) neap_object_share(&pipe->out->channel.object);
}

static void destroy(struct neap_object *object) {
    struct neap_pipe *pipe = (struct neap_pipe *)object;
    neap_pipe_close(pipe);
    unref(pipe->in);
    unref(pipe->out);
    neap_free(pipe);
}

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    const struct neap_pipe *pipe = (struct neap_pipe *)object;
    constants_->parts[0] = pipe->in != NULL ? &pipe->in->channel.object : NULL;
    constants_->parts[1] = pipe->out != NULL ? &pipe->out->channel.object : NULL;
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_pipe *pipe = (struct neap_pipe *)object;
    if (call->method == NEAP_PIPE_CLOSE)
        call->number = neap_pipe_close(pipe);
    else
        call->result = NEAP_RANGE;
}

static const struct neap_remote pipe_remote = {.kind = NEAP_KIND_PIPE, .constants = constants, .serve = serve};

/* Nothing waits on an end itself. */
const struct neap_class neap_pipe_class = {
    .name = "pipe",
    .on_share = on_share,
    .destroy = destroy,
    .remote = &pipe_remote,
};
