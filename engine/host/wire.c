/* wire: two rings and a socket.
 *
 * PURPOSE     Small frames cross without a system call while both sides are at work; nothing is lost or torn when one
 *             of them is killed at any instant; the death of one is seen by the other at once.
 *
 * MODEL       A segment holds a ring for each direction. Whoever has something to say copies a frame into the ring and
 *             then publishes it by moving `tail`; the reader copies it out and gives the room back by moving `head`. A
 *             socket beside them (bell.c) carries bells, descriptors and the end.
 *
 * BELLS       cost a system call, and the reader a wake-up. So the reader says that it is `asleep` once it has found
 *             its ring empty, and who publishes a frame and finds that said takes it back and rings. Whoever pumps in
 *             between leaves it as it is: at worst the bell rings for nothing. Who looks into the ring all the time
 *             anyway attends to it: then the reader does not say that it sleeps, and who attended looks once more when
 *             it stops. Both sides store and then load what the other has stored, all sequentially consistent: the
 *             writer tail, then asleep; the reader asleep, then tail. One of the two sees the other.
 *
 *             What is only offered (neap_wire_offer) rings no bell: the other side looks into the ring before it misses
 *             it. It takes half of the ring at most, and the next frame that is sent properly wakes the reader for all
 *             of it.
 *
 * FULL        A frame that finds no room is kept in a list, and so are all that follow it. Its sender says that it is
 *             `starved`, and looks at `head` once more; the reader that has moved head and finds that said rings, and
 *             the pump of the other side sends on. Again one of the two sees the other. How much is kept is bounded by
 *             who sends (credits).
 *
 *             What must not be lost, or somebody would wait for ever, is told: where there is no memory to keep it in
 *             it takes one of a few places that were made with the wire; when all of those are full the wire ends,
 *             which everybody learns of.
 *
 * LARGE       What is large travels beside the ring, in memory that both sides have mapped (large.c): a whole frame,
 *             from NEAP_WIRE_INLINE_MAX bytes on, which is copied as the others are; or of such a frame one piece of
 *             plain bytes, which the user may take as it lies.
 *
 * THE END     The socket ends when the other process has died or has closed it. What it has published by then lies in
 *             the ring, and is read; then the user is told. A frame that was being written was not published: it never
 *             was.
 *
 * TRUST       None. The other side may write anything at any time: a frame is copied before it is looked at, our own
 *             end of each ring is kept apart from what the segment says, and what does not add up ends the wire.
 *
 * INVARIANTS  1. A frame's descriptors are sent before the frame is published: who reads it finds them in the socket.
 *             2. Nothing is published while something is kept.
 *             3. has_ended is written under both guards, and nothing is kept after that.
 *
 * LOCKS       `reading`, then those of the user, then `writing`.
 *
 * REJECTED    Frames in the socket (two system calls and two copies each, and 25 us of wake-up where a spin would have
 *             seen them); a robust mutex around a shared queue (a killed holder leaves it half-written); a map of the
 *             ring twice in a row, so that frames need no copy (the other side could change them while they are
 *             parsed). */
#include "host/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"

enum {
    RING_SIZE = 256 * 1024, /* bytes; a power of two */
    FLAG_AT = 2048,         /* first lie the ends of both rings; then a flag, and the slots of both sides */
    SLOTS_AT = 4096,
    SLOTS_SIZE = NEAP_WIRE_SLOTS * NEAP_WIRE_SLOT,
    RINGS_AT = SLOTS_AT + 2 * SLOTS_SIZE, /* whole pages */
    SEGMENT_SIZE = RINGS_AT + 2 * RING_SIZE,
    SPARES = 8,                 /* frames that are told without memory, at a time */
    ALIGNMENT = 8,              /* of frames in the ring */
    GIVE_BACK = RING_SIZE / 8,  /* the reader moves head at least once in so many bytes */
    KEPT_FRAME = 256 * 1024,    /* bytes: a larger frame leaves its room behind for as long as others like it come */
    SMALL_FRAMES = 256,         /* in a row: none like it comes any more */
    ROOM_MAX = 4 * 1024 * 1024, /* bytes: no larger frame leaves its room behind */
    FLAGS_AT = 3072,            /* those of large.h, in the segment */
    REST_MAX = NEAP_WIRE_INLINE_MAX / 2 /* bytes of a split frame that are not beside the ring */
};

#ifdef NEAP_CHECK
enum { USED_SIZE = RING_SIZE / 2 }; /* the tests fill it more often */
#else
enum { USED_SIZE = RING_SIZE };
#endif

/* In the segment. Each end is written by one side only, and has its cache line. */
struct neap_wire_ring {
    _Alignas(64) _Atomic uint64_t tail;   /* bytes published, ever; the writer's */
    _Alignas(64) _Atomic uint64_t head;   /* bytes read, ever; the reader's */
    _Alignas(64) _Atomic uint32_t asleep; /* the reader wants to hear a bell; see BELLS */
    _Atomic uint32_t starved;             /* the writer does; see FULL */
};

/* Before each frame in the ring. */
struct header {
    uint32_t size; /* bytes that follow; without what is added to align the next */
    uint8_t type;
    uint8_t fds; /* descriptors */
    uint8_t way; /* enum way */
    uint8_t zero;
};

/* Where the bytes of a frame are. See LARGE. */
enum way {
    INLINE, /* in the ring */
    BESIDE, /* beside it; in the ring stands a note (large.h) */
    SPLIT   /* a part is beside it; in the ring stand a note, and the rest */
};

/* A frame that waits for room. */
struct neap_wire_queued {
    struct neap_wire_queued *next;
    struct header header;
    bool spare;                 /* it goes back to wire->spares; with room for NEAP_WIRE_TOLD bytes. Constant */
    int fds[NEAP_WIRE_FDS_MAX]; /* owned */
    char bytes[];
};

/* --- making --- */

static struct neap_wire_lane lane_at(struct neap_segment *segment, int number) {
    struct neap_wire_lane lane = {.at = 0};
    lane.ring = (struct neap_wire_ring *)(void *)(segment->base + (size_t)number * sizeof(struct neap_wire_ring));
    lane.bytes = segment->base + RINGS_AT + (size_t)number * RING_SIZE;
    return lane;
}

static void free_spares(struct neap_wire *wire) {
    while (wire->spares != NULL) {
        struct neap_wire_queued *next = wire->spares->next;
        neap_free(wire->spares);
        wire->spares = next;
    }
}

static int add_spares(struct neap_wire *wire) {
    for (int i = 0; i < SPARES; i++) {
        struct neap_wire_queued *queued = neap_alloc(sizeof *queued + NEAP_WIRE_TOLD);
        if (queued == NULL) {
            free_spares(wire);
            return NEAP_NOMEM;
        }
        queued->spare = true;
        queued->next = wire->spares;
        wire->spares = queued;
    }
    return 0;
}

/* Takes over the socket and the reference to the segment, on success only. */
static struct neap_wire *make(int socket, struct neap_segment *segment, int in) {
    struct neap_wire *wire = neap_alloc_zeroed(sizeof *wire);
    if (wire == NULL) return NULL;
    if (add_spares(wire) != 0) {
        neap_free(wire);
        return NULL;
    }
    atomic_init(&wire->refs, 1);
    neap_bell_init(&wire->bell, socket);
    wire->segment = segment;
    neap_guard_init(&wire->reading);
    neap_guard_init(&wire->writing);
    wire->in = lane_at(segment, in);
    wire->out = lane_at(segment, 1 - in);
    neap_large_flags *flags = (void *)(segment->base + FLAGS_AT);
    neap_large_init(&wire->large, segment, &flags[1 - in], &flags[in]);
    atomic_init(&wire->is_read, false);
    atomic_init(&wire->attended, 0);
    atomic_init(&wire->is_queued, false);
    atomic_init(&wire->is_closed, false);
    atomic_init(&wire->has_ended, false);
    return wire;
}

int neap_wire_new(struct neap_wire **wire, int *socket) {
    struct neap_segment *segment;
    int ends[2], code = neap_segment_new(SEGMENT_SIZE, &segment);
    if (code != 0) return code;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        code = -errno;
        neap_segment_unref(segment);
        return code;
    }
    struct neap_wire *made = make(ends[0], segment, 0);
    if (made == NULL) {
        close(ends[0]);
        close(ends[1]);
        neap_segment_unref(segment);
        return NEAP_NOMEM;
    }
    /* both readers sleep until they have pumped for the first time */
    atomic_store_explicit(&made->in.ring->asleep, 1, memory_order_relaxed);
    atomic_store_explicit(&made->out.ring->asleep, 1, memory_order_relaxed);
    *wire = made;
    *socket = ends[1];
    return 0;
}

int neap_wire_open(int socket, int fd, struct neap_wire **wire) {
    struct neap_segment *segment;
    int code = neap_segment_from_fd(fd, 0, &segment);
    if (code != 0) return code;
    struct neap_wire *made = segment->size == SEGMENT_SIZE ? make(socket, segment, 1) : NULL;
    if (made == NULL) {
        code = segment->size == SEGMENT_SIZE ? NEAP_NOMEM : UV_EPROTO;
        segment->fd = -1; /* stays the caller's */
        neap_segment_unref(segment);
        return code;
    }
    *wire = made;
    return 0;
}

struct neap_wire *neap_wire_ref(struct neap_wire *wire) {
    atomic_fetch_add_explicit(&wire->refs, 1, memory_order_relaxed);
    return wire;
}

/* Writing held, or nobody else has the wire. */
static void free_queued(struct neap_wire *wire, struct neap_wire_queued *queued) {
    for (int i = 0; i < queued->header.fds; i++) close(queued->fds[i]);
    if (!queued->spare) {
        neap_free(queued);
        return;
    }
    queued->next = wire->spares;
    wire->spares = queued;
}

static void drop_queue(struct neap_wire *wire) {
    while (wire->first != NULL) {
        struct neap_wire_queued *next = wire->first->next;
        free_queued(wire, wire->first);
        wire->first = next;
    }
    wire->last = NULL;
    atomic_store_explicit(&wire->is_queued, false, memory_order_relaxed);
}

void neap_wire_unref(struct neap_wire *wire) {
    if (atomic_fetch_sub_explicit(&wire->refs, 1, memory_order_acq_rel) != 1) return;
    drop_queue(wire);
    free_spares(wire);
    neap_large_fini(&wire->large);
    neap_bell_fini(&wire->bell);
    neap_segment_unref(wire->segment);
    neap_free(wire->frame);
    neap_free(wire);
}

void neap_wire_start(struct neap_wire *wire, const struct neap_wire_user *user, void *context,
                     const struct neap_class *const *classes) {
    wire->user = user;
    wire->context = context;
    wire->classes = classes;
}

_Atomic bool *neap_wire_flag(const struct neap_wire *wire) {
    return (_Atomic bool *)(void *)(wire->segment->base + FLAG_AT);
}

void *neap_wire_slot(const struct neap_wire *wire, bool ours, uint32_t number) {
    bool first = ours == (wire->in.ring < wire->out.ring); /* whose ring to read is the first one has the first slots */
    NEAP_ASSERT(number < NEAP_WIRE_SLOTS, "there are so many slots");
    return wire->segment->base + SLOTS_AT + (first ? 0 : SLOTS_SIZE) + (size_t)number * NEAP_WIRE_SLOT;
}

void neap_wire_close(struct neap_wire *wire) {
    atomic_store_explicit(&wire->is_closed, true, memory_order_relaxed);
    neap_bell_end(&wire->bell);
}

/* --- sending --- */

static size_t padded(size_t size) { return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1); }

static void copy_in(const struct neap_wire_lane *lane, uint64_t at, const void *bytes, size_t size) {
    size_t offset = at & (RING_SIZE - 1), first = RING_SIZE - offset;
    if (first > size) first = size;
    memcpy(lane->bytes + offset, bytes, first);
    if (first < size) memcpy(lane->bytes, (const char *)bytes + first, size - first);
}

/* Is there room for `size` bytes, when `most` may be used? The other side's word for it may be nonsense: then there is
 * none. */
static bool has_room(const struct neap_wire_lane *lane, size_t size, uint64_t most) {
    uint64_t used = lane->at - atomic_load(&lane->ring->head);
    return used <= most && size <= most - used;
}

static void wake_reader(const struct neap_wire *wire) {
    struct neap_wire_ring *ring = wire->out.ring;
    if (atomic_load(&ring->asleep) != 0 && atomic_exchange(&ring->asleep, 0) != 0) neap_bell_ring(&wire->bell);
}

/* Is there room? When there is none the reader, who may sleep over what was only offered, will ring the bell once it
 * has made some. See FULL. */
static bool claim_room(const struct neap_wire *wire, size_t size) {
    const struct neap_wire_lane *lane = &wire->out;
    if (has_room(lane, size, USED_SIZE)) return true;
    atomic_store(&lane->ring->starved, 1);
    wake_reader(wire);
    if (!has_room(lane, size, USED_SIZE)) return false;
    atomic_store_explicit(&lane->ring->starved, 0, memory_order_relaxed); /* at worst a bell rings for nothing */
    return true;
}

/* Writing held; there is room. */
static void publish(struct neap_wire *wire, const struct header *header, const struct iovec *pieces, unsigned count) {
    struct neap_wire_lane *lane = &wire->out;
    uint64_t at = lane->at;
    copy_in(lane, at, header, sizeof *header);
    at += sizeof *header;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0) copy_in(lane, at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    lane->at += sizeof *header + padded(header->size);
    NEAP_SENT(lane);
    atomic_store(&lane->ring->tail, lane->at);
}

/* Writing held. UV_EAGAIN: no room in the ring or the socket; then nothing has happened. Else, as neap_wire_send. */
static int put(struct neap_wire *wire, const struct header *header, const struct iovec *pieces, unsigned count,
               const int *fds) {
    if (!claim_room(wire, sizeof *header + padded(header->size))) return UV_EAGAIN;
    if (header->fds > 0) {
        int code = neap_bell_send(&wire->bell, fds, header->fds);
        /* full: the other side has to read it first, and rings when it has read on in the ring */
        if (code == UV_EAGAIN || code == UV_EMFILE) atomic_store(&wire->out.ring->starved, 1);
        if (code != 0) return code == -EPIPE || code == -ECONNRESET ? NEAP_BROKEN : code;
    }
    publish(wire, header, pieces, count);
    wake_reader(wire);
    return 0;
}

static void enqueue(struct neap_wire *wire, struct neap_wire_queued *queued) {
    queued->next = NULL;
    if (wire->first == NULL)
        wire->first = queued;
    else
        wire->last->next = queued;
    wire->last = queued;
    atomic_store_explicit(&wire->is_queued, true, memory_order_relaxed);
}

static int keep(struct neap_wire *wire, const struct header *header, const struct iovec *pieces, unsigned count,
                const int *fds) {
    struct neap_wire_queued *queued = neap_alloc(sizeof *queued + header->size);
    if (queued == NULL) return NEAP_NOMEM;
    queued->spare = false;
    queued->header = *header;
    queued->header.fds = 0;
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0) memcpy(queued->bytes + at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    for (; queued->header.fds < header->fds; queued->header.fds++) {
        int fd = fcntl(fds[queued->header.fds], F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            int code = -errno;
            free_queued(wire, queued);
            return code;
        }
        queued->fds[queued->header.fds] = fd;
    }
    enqueue(wire, queued);
    return 0;
}

/* Without memory. False: too many are under way so. */
static bool keep_spare(struct neap_wire *wire, const struct header *header, const struct iovec *piece) {
    struct neap_wire_queued *queued = wire->spares;
    if (queued == NULL) return false;
    wire->spares = queued->next;
    queued->header = *header;
    memcpy(queued->bytes, piece->iov_base, piece->iov_len);
    enqueue(wire, queued);
    return true;
}

/* Writing held. Sends what is kept, as far as there is room. */
static void send_kept(struct neap_wire *wire) {
    while (wire->first != NULL) {
        struct neap_wire_queued *queued = wire->first;
        const struct iovec piece = {.iov_base = queued->bytes, .iov_len = queued->header.size};
        int code = put(wire, &queued->header, &piece, 1, queued->fds);
        if (code == UV_EAGAIN || code == UV_EMFILE) return; /* what is under way arrives first */
        if (code != 0) {                                    /* a frame is lost: so is all that follows */
            drop_queue(wire);
            neap_bell_end(&wire->bell);
            return;
        }
        wire->first = queued->next;
        if (wire->first == NULL) wire->last = NULL;
        free_queued(wire, queued);
    }
    atomic_store_explicit(&wire->is_queued, false, memory_order_relaxed);
}

static int send_frame(struct neap_wire *wire, const struct header *header, const struct iovec *pieces, unsigned count,
                      const int *fds) {
    int code = NEAP_BROKEN;
    neap_guard_lock(&wire->writing);
    if (!atomic_load_explicit(&wire->has_ended, memory_order_relaxed)) {
        if (wire->first != NULL) send_kept(wire);
        code = wire->first != NULL ? UV_EAGAIN : put(wire, header, pieces, count, fds);
        if (code == UV_EAGAIN) code = keep(wire, header, pieces, count, fds);
    }
    neap_guard_unlock(&wire->writing);
    return code;
}

void neap_wire_tell(struct neap_wire *wire, uint8_t type, const struct iovec *piece) {
    const struct header header = {.size = (uint32_t)piece->iov_len, .type = type};
    NEAP_ASSERT(piece->iov_len <= NEAP_WIRE_TOLD, "what is told is small");
    if (neap_wire_send(wire, type, piece, 1, NULL, 0) != NEAP_NOMEM) return;
    neap_guard_lock(&wire->writing);
    bool kept = atomic_load_explicit(&wire->has_ended, memory_order_relaxed) || keep_spare(wire, &header, piece);
    if (kept) send_kept(wire);
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

static int send_split(struct neap_wire *wire, uint8_t type, enum way way, const struct split *split, const int *fds,
                      unsigned fd_count) {
    struct neap_large_outgoing outgoing;
    int code = neap_large_write(&wire->large, split->large, split->large_count, split->large_size, &outgoing);
    if (code != 0) return code;
    outgoing.note.at = split->at;
    const struct iovec pieces[] = {{&outgoing.note, sizeof outgoing.note}, split->rest[0], split->rest[1]};
    size_t size = sizeof outgoing.note + split->rest[0].iov_len + split->rest[1].iov_len;
    unsigned passes = outgoing.note.passes;
    const struct header header = {
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
        return send_split(wire, type, BESIDE, &split, fds, fd_count);
    }
    const struct header header = {.size = (uint32_t)size, .type = type, .fds = (uint8_t)fd_count, .way = INLINE};
    return send_frame(wire, &header, pieces, piece_count, fds);
}

int neap_wire_send_bulk(struct neap_wire *wire, uint8_t type, const struct iovec pieces[3], const int *fds,
                        unsigned fd_count) {
    size_t rest = pieces[0].iov_len + pieces[2].iov_len, size = rest + pieces[1].iov_len;
    if (size < NEAP_WIRE_INLINE_MAX || size > NEAP_LARGE_MAX || rest >= REST_MAX || pieces[1].iov_len == 0)
        return neap_wire_send(wire, type, pieces, 3, fds, fd_count);
    const struct split split = {&pieces[1], 1, pieces[1].iov_len, pieces[0].iov_len, {pieces[0], pieces[2]}};
    return send_split(wire, type, SPLIT, &split, fds, fd_count);
}

/* Writing held: is there plenty of room for it? 0, UV_EAGAIN or NEAP_BROKEN. */
static int look_for_room(const struct neap_wire *wire, const struct header *header) {
    NEAP_ASSERT(header->size < NEAP_WIRE_INLINE_MAX, "what need not be sent is small");
    if (atomic_load_explicit(&wire->has_ended, memory_order_relaxed)) return NEAP_BROKEN;
    bool fits = has_room(&wire->out, sizeof *header + padded(header->size), USED_SIZE / 2);
    return wire->first == NULL && fits ? 0 : UV_EAGAIN;
}

int neap_wire_offer(struct neap_wire *wire, uint8_t type, const struct iovec *piece) {
    const struct header header = {.size = (uint32_t)piece->iov_len, .type = type, .fds = 0, .way = INLINE};
    neap_guard_lock(&wire->writing);
    int code = look_for_room(wire, &header);
    if (code == 0) publish(wire, &header, piece, 1);
    neap_guard_unlock(&wire->writing);
    return code;
}

int neap_wire_send_if(struct neap_wire *wire, uint8_t type, const struct iovec *piece, bool (*claim)(void *argument),
                      void *argument) {
    const struct header header = {.size = (uint32_t)piece->iov_len, .type = type, .fds = 0, .way = INLINE};
    neap_guard_lock(&wire->writing);
    int code = look_for_room(wire, &header);
    if (code == 0 && !claim(argument)) code = UV_EAGAIN;
    if (code == 0) {
        publish(wire, &header, piece, 1);
        wake_reader(wire);
    }
    neap_guard_unlock(&wire->writing);
    return code;
}

/* --- receiving: all with `reading` held --- */

static void copy_out(const struct neap_wire_lane *lane, uint64_t at, void *bytes, size_t size) {
    size_t offset = at & (RING_SIZE - 1), first = RING_SIZE - offset;
    if (first > size) first = size;
    memcpy(bytes, lane->bytes + offset, first);
    if (first < size) memcpy((char *)bytes + first, lane->bytes, size - first);
}

static int make_frame_room(struct neap_wire *wire, size_t size) {
    if (size <= wire->frame_room) return 0;
    char *wider = neap_realloc(wire->frame, size);
    if (wider == NULL) return NEAP_NOMEM;
    wire->frame = wider;
    wire->frame_room = size;
    return 0;
}

/* A frame of `size` bytes has been dealt with. */
static void trim_frame_room(struct neap_wire *wire, size_t size) {
    if (wire->frame_room <= KEPT_FRAME) return;
    wire->small_frames = size > KEPT_FRAME ? 0 : wire->small_frames + 1;
    if (size <= ROOM_MAX && wire->small_frames < SMALL_FRAMES) return;
    neap_free(wire->frame);
    wire->frame = NULL;
    wire->frame_room = 0;
}

/* Has the other side published something? UV_EPROTO: it says what cannot be. */
static int look(const struct neap_wire *wire, size_t *size) {
    uint64_t published = atomic_load(&wire->in.ring->tail) - wire->in.at;
    NEAP_ANSWERED(&wire->out);
    if (published > RING_SIZE) return UV_EPROTO;
    *size = (size_t)published;
    return 0;
}

/* Copies the bytes of a frame that stand in the ring, from `from` of them on. */
static int read_ring(struct neap_wire *wire, const struct header *header, size_t from) {
    size_t size = header->size - from;
    int code = make_frame_room(wire, size > 0 ? size : 1);
    if (code == 0) copy_out(&wire->in, wire->in.at + sizeof *header + from, wire->frame, size);
    return code;
}

/* The frame's bytes are in wire->frame. The first descriptor may have served another purpose. */
static int hand_over(struct neap_wire *wire, const struct header *header, size_t size, bool passed,
                     struct neap_large_incoming *bulk) {
    const struct neap_wire_frame frame = {.bytes = wire->frame,
                                          .size = size,
                                          .bulk = bulk,
                                          .fds = passed ? wire->bell.arrived + 1 : wire->bell.arrived,
                                          .fd_count = (uint8_t)(header->fds - passed),
                                          .type = header->type};
    return wire->user->receive(wire, &frame) ? 0 : UV_EPROTO;
}

static int deliver_whole(struct neap_wire *wire, const struct header *header) {
    int code = read_ring(wire, header, 0);
    return code == 0 ? hand_over(wire, header, header->size, false, NULL) : code;
}

/* All of it lies beside the ring, and is copied. */
static int deliver_beside(struct neap_wire *wire, const struct header *header, bool passed,
                          struct neap_large_incoming *incoming) {
    size_t size = incoming->size;
    int code = header->size == sizeof(struct neap_large_note) ? make_frame_room(wire, size) : UV_EPROTO;
    if (code == 0) memcpy(wire->frame, incoming->bytes, size);
    neap_large_close(incoming);
    if (code == 0) code = hand_over(wire, header, size, passed, NULL);
    trim_frame_room(wire, size);
    return code;
}

static int deliver_split(struct neap_wire *wire, const struct header *header, bool passed,
                         struct neap_large_incoming *incoming) {
    size_t rest = header->size - sizeof(struct neap_large_note);
    int code = incoming->at <= rest ? read_ring(wire, header, sizeof(struct neap_large_note)) : UV_EPROTO;
    if (code == 0) code = hand_over(wire, header, rest, passed, incoming);
    neap_large_close(incoming);
    return code;
}

static int deliver_large(struct neap_wire *wire, const struct header *header) {
    struct neap_large_note note;
    struct neap_large_incoming incoming;
    if (header->size < sizeof note) return UV_EPROTO;
    copy_out(&wire->in, wire->in.at + sizeof *header, &note, sizeof note);
    int code = neap_large_open(&wire->large, &note, wire->bell.arrived, header->fds, &incoming);
    if (code != 0) return code;
    bool passed = note.passes != 0;
    return header->way == BESIDE ? deliver_beside(wire, header, passed, &incoming)
                                 : deliver_split(wire, header, passed, &incoming);
}

static int deliver(struct neap_wire *wire, const struct header *header) {
    int code = neap_bell_await(&wire->bell, header->fds);
    if (code != 0) return code;
    code = header->way == INLINE ? deliver_whole(wire, header) : deliver_large(wire, header);
    neap_bell_forget(&wire->bell, header->fds);
    return code;
}

/* The next frame; `published` bytes are in the ring. */
static int read_frame(struct neap_wire *wire, size_t published) {
    struct header header;
    if (published < sizeof header) return UV_EPROTO;
    copy_out(&wire->in, wire->in.at, &header, sizeof header);
    size_t whole = sizeof header + padded(header.size);
    if (whole > published || header.size >= NEAP_WIRE_INLINE_MAX || header.way > SPLIT || header.zero != 0 ||
        header.fds > NEAP_WIRE_FDS_MAX)
        return UV_EPROTO;
    int code = deliver(wire, &header);
    wire->in.at += whole;
    return code;
}

/* Gives the room of what was read back to the writer, and feeds it if it is starved: it may be for want of room in the
 * socket, where something was read just now. */
static void give_back(struct neap_wire *wire) {
    struct neap_wire_ring *ring = wire->in.ring;
    atomic_store(&ring->head, wire->in.at);
    if (atomic_load(&ring->starved) != 0 && atomic_exchange(&ring->starved, 0) != 0) neap_bell_ring(&wire->bell);
}

/* Reads all that is in the ring. */
static int read_all(struct neap_wire *wire) {
    size_t published = 0;
    uint64_t given_back = wire->in.at;
    int code;
    while ((code = look(wire, &published)) == 0 && published > 0) {
        while (code == 0 && published > 0) {
            uint64_t before = wire->in.at;
            code = read_frame(wire, published);
            published -= (size_t)(wire->in.at - before);
            if (wire->in.at - given_back < GIVE_BACK) continue;
            given_back = wire->in.at;
            give_back(wire);
        }
        if (code != 0) break;
    }
    give_back(wire);
    return code;
}

static void end(struct neap_wire *wire, int code) {
    neap_guard_lock(&wire->writing);
    atomic_store_explicit(&wire->has_ended, true, memory_order_relaxed);
    drop_queue(wire);
    neap_guard_unlock(&wire->writing);
    if (code == NEAP_BROKEN && atomic_load_explicit(&wire->is_closed, memory_order_relaxed)) code = NEAP_CLOSED;
    neap_bell_end(&wire->bell);
    wire->user->ended(wire, code);
}

/* Reads until nothing is left, and has then said that we sleep. See BELLS. */
static int read_and_retire(struct neap_wire *wire) {
    struct neap_wire_ring *ring = wire->in.ring;
    size_t published;
    for (;;) {
        int code = read_all(wire);
        if (code != 0) return code;
        if (atomic_load_explicit(&wire->attended, memory_order_relaxed) > 0) return 0;
        if (atomic_load_explicit(&ring->asleep, memory_order_relaxed) == 0) atomic_store(&ring->asleep, 1);
        code = look(wire, &published);
        if (code != 0 || published == 0) return code;
    }
}

/* So many wires this thread receives from. */
static _Thread_local unsigned receives_from;

/* Between these somebody receives; `reading` held. */
static void begin_pass(struct neap_wire *wire) {
    receives_from++;
    atomic_store_explicit(&wire->is_read, true, memory_order_relaxed);
}

/* Receives what is in the ring. The user is there as long as the wire has not ended. */
static int pass(struct neap_wire *wire) {
    int code = read_and_retire(wire);
    atomic_store_explicit(&wire->is_read, false, memory_order_relaxed);
    if (wire->user->passed != NULL) wire->user->passed(wire);
    return code;
}

static void end_pass(struct neap_wire *wire) {
    atomic_store_explicit(&wire->is_read, false, memory_order_relaxed);
    receives_from--;
}

bool neap_wire_pump(struct neap_wire *wire) {
    neap_guard_lock(&wire->reading);
    begin_pass(wire);
    if (!atomic_load_explicit(&wire->has_ended, memory_order_relaxed)) {
        int code = neap_bell_hear(&wire->bell);
        if (code == UV_EAGAIN || code == NEAP_BROKEN) code = 0;
        if (code == 0) code = pass(wire);
        if (code != 0 || wire->bell.hung_up) end(wire, code != 0 ? code : NEAP_BROKEN);
    }
    end_pass(wire);
    bool goes_on = !atomic_load_explicit(&wire->has_ended, memory_order_relaxed);
    neap_guard_unlock(&wire->reading);
    if (goes_on && atomic_load_explicit(&wire->is_queued, memory_order_relaxed)) {
        neap_guard_lock(&wire->writing);
        send_kept(wire);
        neap_guard_unlock(&wire->writing);
    }
    return goes_on;
}

void neap_wire_attend(struct neap_wire *wire) {
    atomic_fetch_add_explicit(&wire->attended, 1, memory_order_relaxed);
    atomic_store_explicit(&wire->in.ring->asleep, 0, memory_order_relaxed);
}

void neap_wire_leave(struct neap_wire *wire) {
    if (atomic_fetch_sub_explicit(&wire->attended, 1, memory_order_acq_rel) != 1) return;
    atomic_store(&wire->in.ring->asleep, 1);
    if (atomic_load(&wire->in.ring->tail) != atomic_load_explicit(&wire->in.ring->head, memory_order_relaxed))
        neap_wire_pump(wire);
}

bool neap_wire_has_frames(const struct neap_wire *wire) {
    return atomic_load_explicit(&wire->in.ring->tail, memory_order_relaxed) !=
           atomic_load_explicit(&wire->in.ring->head, memory_order_relaxed);
}

/* `reading` held, and let go of. */
static bool receive_ring(struct neap_wire *wire) {
    uint64_t before = wire->in.at;
    begin_pass(wire);
    if (!atomic_load_explicit(&wire->has_ended, memory_order_relaxed)) {
        int code = pass(wire);
        if (code != 0) end(wire, code);
    }
    end_pass(wire);
    bool found = wire->in.at != before;
    neap_guard_unlock(&wire->reading);
    return found;
}

bool neap_wire_glance(struct neap_wire *wire) {
    return neap_wire_has_frames(wire) && neap_guard_try_lock(&wire->reading) && receive_ring(wire);
}

/* Whoever receives already may wait for a guard that we have, if we receive too. */
void neap_wire_take_in(struct neap_wire *wire) {
    if (receives_from > 0) {
        neap_wire_glance(wire);
    } else if (neap_wire_has_frames(wire)) {
        neap_guard_lock(&wire->reading);
        receive_ring(wire);
    }
}
