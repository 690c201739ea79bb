/* wire_send: frames on their way out; `writing` is held while one goes into the ring or the backlog.
 *
 * FULL       A frame that finds no room is kept (backlog.h), and so are all that follow it. Its sender says that it is
 *            starved (wire_lane.h): the reader rings once it has read on, and the pump of this side sends on. How much
 *            is kept is bounded by who sends (credits).
 *
 * TOLD       What must not be lost, or somebody would wait for ever, is told: where there is no memory to keep it in it
 *            takes one of a few places that were made with the wire; when all of those are full the wire ends, which
 *            everybody learns of.
 *
 * OFFERED    What is only offered (neap_wire_offer) rings no bell: the other side looks into the ring before it misses
 *            it. It takes half of the ring at most, and the next frame that is sent properly wakes the reader for all
 *            of it. */
#include "core/check.h"
#include "core/error.h"
#include "host/wire_internal.h"

enum {
    REST_MAX = NEAP_WIRE_INLINE_MAX / 2 /* bytes of a split frame that are not beside the ring */
};

#ifdef NEAP_CHECK
enum { USED_SIZE = NEAP_WIRE_RING_SIZE / 2 }; /* the tests fill it more often */
#else
enum { USED_SIZE = NEAP_WIRE_RING_SIZE };
#endif

/* Writing held. UV_EAGAIN: no room in the ring or the socket; then nothing has happened. Else, as neap_wire_send. */
static int put(struct neap_wire *wire, const struct neap_wire_header *header, const struct iovec *pieces,
               unsigned count, const int *fds) {
    if (!neap_wire_lane_claim(&wire->out, &wire->bell, neap_wire_lane_size(header), USED_SIZE)) return UV_EAGAIN;
    if (header->fds > 0) {
        int code = neap_bell_send(&wire->bell, fds, header->fds);
        /* full: the other side has to read it first, and rings when it has read on in the ring */
        if (code == UV_EAGAIN || code == UV_EMFILE) neap_wire_lane_starve(&wire->out);
        if (code != 0) return code == -EPIPE || code == -ECONNRESET ? NEAP_BROKEN : code;
    }
    neap_wire_lane_publish(&wire->out, header, pieces, count);
    neap_wire_lane_wake(&wire->out, &wire->bell);
    return 0;
}

void neap_wire_send_kept(struct neap_wire *wire) {
    while (!neap_backlog_is_empty(&wire->backlog)) {
        struct iovec piece;
        const int *fds;
        const struct neap_wire_header *header = neap_backlog_first(&wire->backlog, &piece, &fds);
        int code = put(wire, header, &piece, 1, fds);
        if (code == UV_EAGAIN || code == UV_EMFILE) return; /* what is under way arrives first */
        if (code != 0) {                                    /* a frame is lost: so is all that follows */
            neap_backlog_clear(&wire->backlog);
            neap_bell_end(&wire->bell);
            return;
        }
        neap_backlog_remove(&wire->backlog);
    }
}

static int send_frame(struct neap_wire *wire, const struct neap_wire_header *header, const struct iovec *pieces,
                      unsigned count, const int *fds) {
    int code = NEAP_BROKEN;
    neap_guard_lock(&wire->writing);
    if (!atomic_load_explicit(&wire->has_ended, memory_order_relaxed)) {
        if (!neap_backlog_is_empty(&wire->backlog)) neap_wire_send_kept(wire);
        code = neap_backlog_is_empty(&wire->backlog) ? put(wire, header, pieces, count, fds) : UV_EAGAIN;
        if (code == UV_EAGAIN) code = neap_backlog_add(&wire->backlog, header, pieces, count, fds);
    }
    neap_guard_unlock(&wire->writing);
    return code;
}

void neap_wire_tell(struct neap_wire *wire, uint8_t type, const struct iovec *piece) {
    const struct neap_wire_header header = {.size = (uint32_t)piece->iov_len, .type = type};
    NEAP_ASSERT(piece->iov_len <= NEAP_WIRE_TOLD, "what is told is small");
    if (neap_wire_send(wire, type, piece, 1, NULL, 0) != NEAP_NOMEM) return;
    neap_guard_lock(&wire->writing);
    bool kept = atomic_load_explicit(&wire->has_ended, memory_order_relaxed) ||
                neap_backlog_add_told(&wire->backlog, &header, piece);
    if (kept) neap_wire_send_kept(wire);
    neap_guard_unlock(&wire->writing);
    if (!kept) neap_wire_close(wire);
}

/* What of a frame lies beside the ring, and what does not. */
struct split {
    const struct iovec *large; /* pieces */
    unsigned large_count;
    size_t large_size, at; /* at: its place in the frame */
    struct iovec rest[2];  /* in front of it, behind it */
};

static int send_split(struct neap_wire *wire, uint8_t type, enum neap_wire_way way, const struct split *split,
                      const int *fds, unsigned fd_count) {
    struct neap_large_outgoing outgoing;
    int code = neap_large_write(&wire->large, split->large, split->large_count, split->large_size, &outgoing);
    if (code != 0) return code;
    outgoing.note.at = split->at;
    const struct iovec pieces[] = {{&outgoing.note, sizeof outgoing.note}, split->rest[0], split->rest[1]};
    size_t size = sizeof outgoing.note + split->rest[0].iov_len + split->rest[1].iov_len;
    unsigned passes = outgoing.note.passes;
    const struct neap_wire_header header = {
        .size = (uint32_t)size, .type = type, .fds = (uint8_t)(fd_count + passes), .way = (uint8_t)way};
    int all[NEAP_WIRE_FDS_MAX] = {outgoing.segment->fd};
    if (fd_count > 0) memcpy(all + passes, fds, fd_count * sizeof *fds);
    code = send_frame(wire, &header, pieces, 3, all);
    neap_large_settle(&wire->large, &outgoing, code == 0);
    return code;
}

static size_t size_of(const struct iovec *pieces, unsigned count) {
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) size += pieces[i].iov_len;
    return size;
}

int neap_wire_send(struct neap_wire *wire, uint8_t type, const struct iovec *pieces, unsigned piece_count,
                   const int *fds, unsigned fd_count) {
    size_t size = size_of(pieces, piece_count);
    bool is_large = size >= NEAP_WIRE_INLINE_MAX;
    NEAP_ASSERT(fd_count + is_large <= NEAP_WIRE_FDS_MAX, "a frame has few descriptors");
    if (size > NEAP_LARGE_MAX) return NEAP_RANGE;
    if (is_large) {
        const struct split split = {.large = pieces, .large_count = piece_count, .large_size = size};
        return send_split(wire, type, NEAP_WIRE_BESIDE, &split, fds, fd_count);
    }
    const struct neap_wire_header header = {
        .size = (uint32_t)size, .type = type, .fds = (uint8_t)fd_count, .way = NEAP_WIRE_INLINE};
    return send_frame(wire, &header, pieces, piece_count, fds);
}

int neap_wire_send_bulk(struct neap_wire *wire, uint8_t type, const struct iovec pieces[3], const int *fds,
                        unsigned fd_count) {
    size_t rest = pieces[0].iov_len + pieces[2].iov_len, size = rest + pieces[1].iov_len;
    if (size < NEAP_WIRE_INLINE_MAX || size > NEAP_LARGE_MAX || rest >= REST_MAX || pieces[1].iov_len == 0)
        return neap_wire_send(wire, type, pieces, 3, fds, fd_count);
    const struct split split = {&pieces[1], 1, pieces[1].iov_len, pieces[0].iov_len, {pieces[0], pieces[2]}};
    return send_split(wire, type, NEAP_WIRE_SPLIT, &split, fds, fd_count);
}

/* Writing held: is there plenty of room for it? 0, UV_EAGAIN or NEAP_BROKEN. */
static int look_for_room(const struct neap_wire *wire, const struct neap_wire_header *header) {
    NEAP_ASSERT(header->size < NEAP_WIRE_INLINE_MAX, "what need not be sent is small");
    if (atomic_load_explicit(&wire->has_ended, memory_order_relaxed)) return NEAP_BROKEN;
    bool fits = neap_wire_lane_has_room(&wire->out, neap_wire_lane_size(header), USED_SIZE / 2);
    return neap_backlog_is_empty(&wire->backlog) && fits ? 0 : UV_EAGAIN;
}

int neap_wire_offer(struct neap_wire *wire, uint8_t type, const struct iovec *piece) {
    const struct neap_wire_header header = {
        .size = (uint32_t)piece->iov_len, .type = type, .fds = 0, .way = NEAP_WIRE_INLINE};
    neap_guard_lock(&wire->writing);
    int code = look_for_room(wire, &header);
    if (code == 0) neap_wire_lane_publish(&wire->out, &header, piece, 1);
    neap_guard_unlock(&wire->writing);
    return code;
}

int neap_wire_send_if(struct neap_wire *wire, uint8_t type, const struct iovec *piece, bool (*claim)(void *argument),
                      void *argument) {
    const struct neap_wire_header header = {
        .size = (uint32_t)piece->iov_len, .type = type, .fds = 0, .way = NEAP_WIRE_INLINE};
    neap_guard_lock(&wire->writing);
    int code = look_for_room(wire, &header);
    if (code == 0 && !claim(argument)) code = UV_EAGAIN;
    if (code == 0) {
        neap_wire_lane_publish(&wire->out, &header, piece, 1);
        neap_wire_lane_wake(&wire->out, &wire->bell);
    }
    neap_guard_unlock(&wire->writing);
    return code;
}
