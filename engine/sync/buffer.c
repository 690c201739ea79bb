#include "sync/buffer.h"

#include <string.h>

#include "core/error.h"
#include "core/memory.h"

enum { FIRST_ROOM = 8 };

void neap_buffer_init(struct neap_buffer *buffer, enum neap_order order) {
    memset(buffer, 0, sizeof *buffer);
    buffer->order = order;
}

void neap_buffer_fini(struct neap_buffer *buffer) {
    struct neap_message message;
    double priority;
    while (buffer->count > 0) {
        neap_buffer_take(buffer, &message, &priority);
        neap_message_fini(&message);
    }
    neap_free(buffer->order == NEAP_PRIORITY ? (void *)buffer->heap : (void *)buffer->ring);
}

static int grow_heap(struct neap_buffer *buffer, size_t room) {
    struct neap_entry *heap = neap_realloc(buffer->heap, room * sizeof *heap);
    if (heap == NULL) return NEAP_NOMEM;
    buffer->heap = heap;
    return 0;
}

/* The ring is laid out anew, so that it starts at 0. */
static int grow_ring(struct neap_buffer *buffer, size_t room) {
    struct neap_message *ring = neap_alloc(room * sizeof *ring);
    if (ring == NULL) return NEAP_NOMEM;
    size_t tail = buffer->room - buffer->first; /* places up to the end of the old ring */
    if (tail > buffer->count) tail = buffer->count;
    if (buffer->count > 0) {
        memcpy(ring, buffer->ring + buffer->first, tail * sizeof *ring);
        memcpy(ring + tail, buffer->ring, (buffer->count - tail) * sizeof *ring);
    }
    neap_free(buffer->ring);
    buffer->ring = ring;
    buffer->first = 0;
    return 0;
}

int neap_buffer_grow(struct neap_buffer *buffer) {
    size_t room = buffer->room == 0 ? FIRST_ROOM : buffer->room * 2;
    int code = buffer->order == NEAP_PRIORITY ? grow_heap(buffer, room) : grow_ring(buffer, room);
    if (code == 0) buffer->room = room;
    return code;
}

int neap_buffer_reserve(struct neap_buffer *buffer, size_t count) {
    int code = 0;
    while (code == 0 && buffer->room - buffer->count < count) code = neap_buffer_grow(buffer);
    return code;
}

static int leaves_before(const struct neap_entry *a, const struct neap_entry *b) {
    return a->priority < b->priority || (a->priority <= b->priority && a->arrival < b->arrival);
}

static void heap_put(struct neap_buffer *buffer, const struct neap_entry *entry) {
    size_t at = buffer->count;
    while (at > 0 && leaves_before(entry, &buffer->heap[(at - 1) / 2])) {
        buffer->heap[at] = buffer->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    buffer->heap[at] = *entry;
}

/* Fills the hole at the root with the last entry; count is already one less. */
static void heap_settle(struct neap_buffer *buffer) {
    const struct neap_entry last = buffer->heap[buffer->count];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= buffer->count) break;
        if (child + 1 < buffer->count && leaves_before(&buffer->heap[child + 1], &buffer->heap[child])) child++;
        if (!leaves_before(&buffer->heap[child], &last)) break;
        buffer->heap[at] = buffer->heap[child];
        at = child;
    }
    buffer->heap[at] = last;
}

void neap_buffer_put(struct neap_buffer *buffer, struct neap_message *message, double priority) {
    if (buffer->order == NEAP_PRIORITY) {
        struct neap_entry entry = {*message, priority, buffer->arrivals++};
        heap_put(buffer, &entry);
        neap_message_clear(message);
    } else {
        neap_message_move(&buffer->ring[(buffer->first + buffer->count) & (buffer->room - 1)], message);
    }
    buffer->count++;
}

void neap_buffer_take(struct neap_buffer *buffer, struct neap_message *message, double *priority) {
    buffer->count--;
    *priority = 0;
    if (buffer->order == NEAP_FIFO) {
        neap_message_put(message, &buffer->ring[buffer->first]);
        buffer->first = (buffer->first + 1) & (buffer->room - 1);
    } else if (buffer->order == NEAP_LIFO) {
        neap_message_put(message, &buffer->ring[(buffer->first + buffer->count) & (buffer->room - 1)]);
    } else {
        *message = buffer->heap[0].message;
        *priority = buffer->heap[0].priority;
        if (buffer->count > 0) heap_settle(buffer);
    }
}
