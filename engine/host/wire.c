/* wire: two rings and a socket.
 *
 * PURPOSE     Small frames cross without a system call while both sides are at work; nothing is lost or torn when one
 *             of them is killed at any instant; the death of one is seen by the other at once.
 *
 * MODEL       A segment holds a ring for each direction (wire_lane.h). A socket beside them (bell.c) carries bells,
 *             descriptors and the end. What is sent is wire_send.c's, each frame that comes wire_receive.c's; here are
 *             the connection, and who reads it when.
 *
 * BELLS       The reader says that it is asleep once it has found its ring empty: see ASLEEP in wire_lane.h. Whoever
 *             pumps in between leaves that as it is: at worst the bell rings for nothing. Who looks into the ring all
 *             the time anyway attends to it: then the reader does not say that it sleeps, and who attended looks once
 *             more when it stops.
 *
 * LARGE       What is large travels beside the ring, in memory that both sides have mapped (large.c): a whole frame,
 *             from NEAP_WIRE_INLINE_MAX bytes on, which is copied as the others are; or of such a frame one piece of
 *             plain bytes, which the user may take as it lies.
 *
 * THE END     The socket ends when the other process has died or has closed it. What it has published by then lies in
 *             the ring, and is read; then the user is told.
 *
 * TRUST       None. The other side may write anything at any time: what does not add up ends the wire.
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
#include <unistd.h>
#include <uv.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/wire_internal.h"

enum {
    FLAG_AT = 2048,  /* first lie the ends of both rings; then a flag, and the slots of both sides */
    FLAGS_AT = 3072, /* those of large.h */
    SLOTS_AT = 4096,
    SLOTS_SIZE = NEAP_WIRE_SLOTS * NEAP_WIRE_SLOT,
    RINGS_AT = SLOTS_AT + 2 * SLOTS_SIZE, /* whole pages */
    SEGMENT_SIZE = RINGS_AT + 2 * NEAP_WIRE_RING_SIZE
};

/* --- making --- */

static struct neap_wire_lane lane_at(struct neap_segment *segment, int number) {
    struct neap_wire_lane lane = {.at = 0};
    lane.ring = (struct neap_wire_ring *)(void *)(segment->base + (size_t)number * sizeof(struct neap_wire_ring));
    lane.bytes = segment->base + RINGS_AT + (size_t)number * NEAP_WIRE_RING_SIZE;
    return lane;
}

/* Takes over the socket and the reference to the segment, on success only. */
static struct neap_wire *make(int socket, struct neap_segment *segment, int in) {
    struct neap_wire *wire = neap_alloc_zeroed(sizeof *wire);
    if (wire == NULL) return NULL;
    if (neap_backlog_init(&wire->backlog) != 0) {
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

void neap_wire_unref(struct neap_wire *wire) {
    if (atomic_fetch_sub_explicit(&wire->refs, 1, memory_order_acq_rel) != 1) return;
    neap_backlog_fini(&wire->backlog);
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

/* --- receiving --- */

static void end(struct neap_wire *wire, int code) {
    neap_guard_lock(&wire->writing);
    atomic_store_explicit(&wire->has_ended, true, memory_order_relaxed);
    neap_backlog_clear(&wire->backlog);
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
        int code = neap_wire_read_all(wire);
        if (code != 0) return code;
        if (atomic_load_explicit(&wire->attended, memory_order_relaxed) > 0) return 0;
        if (atomic_load_explicit(&ring->asleep, memory_order_relaxed) == 0) atomic_store(&ring->asleep, 1);
        code = neap_wire_look(wire, &published);
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
    if (goes_on && neap_backlog_has_some(&wire->backlog)) {
        neap_guard_lock(&wire->writing);
        neap_wire_send_kept(wire);
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
