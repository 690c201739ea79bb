/* lanes: two guards instead of one.
 *
 * PURPOSE     Under one guard a sender and a receiver in two threads take turns, and each turn moves the cache lines of
 *             the channel from one processor to the other. Here each side has a guard and a counter in a line of its
 *             own; they meet only in the ring's places, and where the ring is full or empty.
 * MODEL       A ring of messages; `in.next` counts those put in, `out.next` those taken out. Each side remembers how
 *             far it may go (limit) and reads the other's counter only when it has come there.
 * INVARIANTS  1. out.next <= in.next <= out.next + capacity <= out.next + room: a place is written by a sender only
 *                after the receiver that emptied it published `out.next` (release, read acquire), and read only after
 *                `in.next` was published likewise.
 *             2. The quick way does not know of waiters. While anybody waits, or the
 *                channel is closed, `open` is false.
 *             3. `open` changes only with both guards held (enter .. leave), and is read under one of them.
 *                So once leave has made it false no quick put or take is under way, and none begins:
 *                whoever then enlists misses nothing.
 *             4. Who takes the slow way holds the channel's guard, then both lanes', in this order; the
 *                quick way holds one lane's only.
 * REJECTED    A lock-free ring with a sequence number per place: as fast for one sender and one receiver, and then a
 *             sender must look for parked receivers behind a full fence at each message. */
#include "sync/lanes.h"

#include <stdint.h>

#include "core/check.h"
#include "core/memory.h"

static void init_lane(struct neap_lane *lane) {
    neap_guard_init(&lane->guard);
    atomic_init(&lane->next, 0);
    lane->limit = 0;
}

struct neap_lanes *neap_lanes_new(struct neap_buffer *buffer, size_t capacity) {
    while (buffer->room < capacity)
        if (neap_buffer_grow(buffer) != 0) return NULL;
    char *block = neap_alloc(sizeof(struct neap_lanes) + NEAP_LINE - 1);
    if (block == NULL) return NULL;
    struct neap_lanes *lanes = (struct neap_lanes *)(block + (NEAP_LINE - (uintptr_t)block % NEAP_LINE) % NEAP_LINE);
    lanes->block = block;
    atomic_init(&lanes->open, false);
    lanes->ring = buffer->ring;
    lanes->mask = buffer->room - 1;
    lanes->capacity = capacity;
    init_lane(&lanes->in);
    init_lane(&lanes->out);
    atomic_store_explicit(&lanes->out.next, buffer->first, memory_order_relaxed);
    atomic_store_explicit(&lanes->in.next, buffer->first + buffer->count, memory_order_relaxed);
    return lanes;
}

void neap_lanes_free(struct neap_lanes *lanes) { neap_free(lanes->block); }

static bool is_open(const struct neap_lanes *lanes) { return atomic_load_explicit(&lanes->open, memory_order_relaxed); }

static size_t own(const struct neap_lane *lane) { return atomic_load_explicit(&lane->next, memory_order_relaxed); }

static size_t other(const struct neap_lane *lane) { return atomic_load_explicit(&lane->next, memory_order_acquire); }

bool neap_lanes_put(struct neap_lanes *lanes, struct neap_message *message) {
    struct neap_lane *lane = &lanes->in;
    neap_guard_lock(&lane->guard);
    size_t next = own(lane);
    if (next == lane->limit) lane->limit = other(&lanes->out) + lanes->capacity;
    bool done = is_open(lanes) && next != lane->limit;
    if (done) {
        neap_message_move(&lanes->ring[next & lanes->mask], message);
        atomic_store_explicit(&lane->next, next + 1, memory_order_release);
    }
    neap_guard_unlock(&lane->guard);
    return done;
}

bool neap_lanes_take(struct neap_lanes *lanes, struct neap_message *message) {
    struct neap_lane *lane = &lanes->out;
    neap_guard_lock(&lane->guard);
    size_t next = own(lane);
    if (next == lane->limit) lane->limit = other(&lanes->in);
    bool done = is_open(lanes) && next != lane->limit;
    if (done) {
        neap_message_put(message, &lanes->ring[next & lanes->mask]);
        atomic_store_explicit(&lane->next, next + 1, memory_order_release);
    }
    neap_guard_unlock(&lane->guard);
    return done;
}

void neap_lanes_enter(struct neap_lanes *lanes, struct neap_buffer *buffer) {
    neap_guard_lock(&lanes->in.guard);
    neap_guard_lock(&lanes->out.guard);
    size_t first = own(&lanes->out);
    buffer->first = first & lanes->mask;
    buffer->count = own(&lanes->in) - first;
    NEAP_ASSERT(buffer->count <= lanes->capacity, "lanes 1: never more than the capacity");
}

void neap_lanes_leave(struct neap_lanes *lanes, const struct neap_buffer *buffer, bool open) {
    NEAP_ASSERT(lanes->ring == buffer->ring, "the ring stays where it is once there are lanes");
    atomic_store_explicit(&lanes->out.next, buffer->first, memory_order_relaxed);
    atomic_store_explicit(&lanes->in.next, buffer->first + buffer->count, memory_order_relaxed);
    lanes->in.limit = buffer->first + lanes->capacity;
    lanes->out.limit = buffer->first + buffer->count;
    atomic_store_explicit(&lanes->open, open, memory_order_relaxed);
    neap_guard_unlock(&lanes->out.guard);
    neap_guard_unlock(&lanes->in.guard);
}

size_t neap_lanes_length(const struct neap_lanes *lanes) {
    size_t out = atomic_load_explicit(&lanes->out.next, memory_order_relaxed);
    size_t length = atomic_load_explicit(&lanes->in.next, memory_order_relaxed) - out;
    return length <= lanes->capacity ? length : 0; /* the two were read at different moments */
}
