/* wire_lane: one way of a wire: a ring of frames in memory that both processes have, seen from one of them.
 *
 * RING    Whoever has something to say copies a frame in, and then publishes it by moving `tail`; the reader copies it
 *         out and gives the room back by moving `head`. A frame that was being written was not published: it never was.
 *
 * ASLEEP  A bell costs a system call, and the reader a wake-up. So the reader says that it is `asleep` once it has
 *         found the ring empty, and who publishes a frame and finds that said takes it back and rings. Both sides store
 *         and then load what the other has stored, all sequentially consistent: the writer tail, then asleep; the
 *         reader asleep, then tail. One of the two sees the other.
 *
 * STARVED The writer says so when it finds no room, and looks at `head` once more; the reader that has moved head and
 *         finds that said takes it back and rings. Again one of the two sees the other.
 *
 * TRUST   None. Our own end of the ring is kept apart from what the memory says, what is read is copied before it is
 *         looked at, and what the other side says of its end may be nonsense. */
#ifndef NEAP_HOST_WIRE_LANE_H
#define NEAP_HOST_WIRE_LANE_H

#include <string.h>
#include <uv.h>

#include "core/check.h"
#include "host/wire.h"

enum {
    NEAP_WIRE_RING_SIZE = 256 * 1024, /* bytes; a power of two */
    NEAP_WIRE_ALIGNMENT = 8           /* of frames in the ring */
};

/* In the segment. Each end is written by one side only, and has its cache line. */
struct neap_wire_ring {
    _Alignas(64) _Atomic uint64_t tail;   /* bytes published, ever; the writer's */
    _Alignas(64) _Atomic uint64_t head;   /* bytes read, ever; the reader's */
    _Alignas(64) _Atomic uint32_t asleep; /* the reader wants to hear a bell; see ASLEEP */
    _Atomic uint32_t starved;             /* the writer does; see STARVED */
};

/* Before each frame in the ring. */
struct neap_wire_header {
    uint32_t size; /* bytes that follow; without what is added to align the next */
    uint8_t type;
    uint8_t fds; /* descriptors */
    uint8_t way; /* enum neap_wire_way */
    uint8_t zero;
};

/* Where the bytes of a frame are. See LARGE in wire.c. */
enum neap_wire_way {
    NEAP_WIRE_INLINE, /* in the ring */
    NEAP_WIRE_BESIDE, /* beside it; in the ring stands a note (large.h) */
    NEAP_WIRE_SPLIT   /* a part is beside it; in the ring stand a note, and the rest */
};

/* Bytes that a frame takes up in the ring. */
static inline size_t neap_wire_lane_size(const struct neap_wire_header *header) {
    return sizeof *header + ((header->size + (size_t)NEAP_WIRE_ALIGNMENT - 1) & ~(size_t)(NEAP_WIRE_ALIGNMENT - 1));
}

/* --- the writer; its guard held --- */

/* Is there room for `size` bytes, when `most` may be used? The other side's word for it may be nonsense: then there is
 * none. */
static inline bool neap_wire_lane_has_room(const struct neap_wire_lane *lane, size_t size, uint64_t most) {
    uint64_t used = lane->at - atomic_load(&lane->ring->head);
    return used <= most && size <= most - used;
}

/* Something was published that the reader is to learn of. */
static inline void neap_wire_lane_wake(const struct neap_wire_lane *lane, const struct neap_bell *bell) {
    struct neap_wire_ring *ring = lane->ring;
    if (atomic_load(&ring->asleep) != 0 && atomic_exchange(&ring->asleep, 0) != 0) neap_bell_ring(bell);
}

/* The reader is to ring once it has read on. */
static inline void neap_wire_lane_starve(const struct neap_wire_lane *lane) { atomic_store(&lane->ring->starved, 1); }

/* Is there room? When there is none the reader, who may sleep over what was only offered, will ring the bell once it
 * has made some. */
static inline bool neap_wire_lane_claim(const struct neap_wire_lane *lane, const struct neap_bell *bell, size_t size,
                                        uint64_t most) {
    if (neap_wire_lane_has_room(lane, size, most)) return true;
    neap_wire_lane_starve(lane);
    neap_wire_lane_wake(lane, bell);
    if (!neap_wire_lane_has_room(lane, size, most)) return false;
    atomic_store_explicit(&lane->ring->starved, 0, memory_order_relaxed); /* at worst a bell rings for nothing */
    return true;
}

static inline void neap_wire_lane_copy_in(const struct neap_wire_lane *lane, uint64_t at, const void *bytes,
                                          size_t size) {
    size_t offset = at & (NEAP_WIRE_RING_SIZE - 1), first = NEAP_WIRE_RING_SIZE - offset;
    if (first > size) first = size;
    memcpy(lane->bytes + offset, bytes, first);
    if (first < size) memcpy(lane->bytes, (const char *)bytes + first, size - first);
}

/* There is room. */
static inline void neap_wire_lane_publish(struct neap_wire_lane *lane, const struct neap_wire_header *header,
                                          const struct iovec *pieces, unsigned count) {
    uint64_t at = lane->at;
    neap_wire_lane_copy_in(lane, at, header, sizeof *header);
    at += sizeof *header;
    for (unsigned i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0) neap_wire_lane_copy_in(lane, at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    lane->at += neap_wire_lane_size(header);
    NEAP_SENT(lane);
    atomic_store(&lane->ring->tail, lane->at);
}

/* --- the reader; its guard held --- */

/* How much has the other side published that has not been read? UV_EPROTO: it says what cannot be. */
static inline int neap_wire_lane_look(const struct neap_wire_lane *lane, size_t *size) {
    uint64_t published = atomic_load(&lane->ring->tail) - lane->at;
    if (published > NEAP_WIRE_RING_SIZE) return UV_EPROTO;
    *size = (size_t)published;
    return 0;
}

/* Bytes of what has been published, from `from` of them on. */
static inline void neap_wire_lane_copy_out(const struct neap_wire_lane *lane, size_t from, void *bytes, size_t size) {
    size_t offset = (lane->at + from) & (NEAP_WIRE_RING_SIZE - 1), first = NEAP_WIRE_RING_SIZE - offset;
    if (first > size) first = size;
    memcpy(bytes, lane->bytes + offset, first);
    if (first < size) memcpy((char *)bytes + first, lane->bytes, size - first);
}

/* Gives the room of what was read back to the writer, and feeds it if it is starved: it may be for want of room in the
 * socket, where something was read just now. */
static inline void neap_wire_lane_give_back(const struct neap_wire_lane *lane, const struct neap_bell *bell) {
    struct neap_wire_ring *ring = lane->ring;
    atomic_store(&ring->head, lane->at);
    if (atomic_load(&ring->starved) != 0 && atomic_exchange(&ring->starved, 0) != 0) neap_bell_ring(bell);
}

#endif
