/* lanes: the quick way through a channel that threads share: senders and receivers do not
 * meet. The essay is in lanes.c. */
#ifndef NEAP_SYNC_LANES_H
#define NEAP_SYNC_LANES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/guard.h"
#include "core/message.h"
#include "sync/buffer.h"

enum { NEAP_LINE = 64 }; /* bytes of a cache line: what each side writes lies in a line of its own */

/* One side's place in the ring. */
struct neap_lane {
    struct neap_guard guard; /* of this side */
    _Atomic size_t next;     /* messages that this side has put in, or taken out. Written under its guard, release */
    size_t limit;            /* `next` may go up to here before the other side must be asked. Under the guard */
    char line[NEAP_LINE - 3 * sizeof(size_t)];
};

/* Begins where a cache line does: wherever it lay else, two of its parts might share one. */
struct neap_lanes {
    _Atomic bool open;         /* the quick way may be taken; written with both guards held */
    struct neap_message *ring; /* the buffer's; constant */
    size_t mask;               /* of places: the ring's room - 1. Constant */
    size_t capacity;           /* constant */
    void *block;               /* of memory, in which this lies. Owned */
    char line[NEAP_LINE - 5 * sizeof(size_t)];
    struct neap_lane in, out; /* of senders, of receivers */
};

/* Lanes over a fifo buffer with room for `capacity` messages; NULL: no memory. They
 * are closed until the first leave. */
struct neap_lanes *neap_lanes_new(struct neap_buffer *buffer, size_t capacity);
void neap_lanes_free(struct neap_lanes *lanes);

/* Any thread, no guard held: moves `message` in, or the oldest one out. False: not now, or not this way. */
bool neap_lanes_put(struct neap_lanes *lanes, struct neap_message *message);
bool neap_lanes_take(struct neap_lanes *lanes, struct neap_message *message);

/* The channel's guard held: makes `buffer` what the lanes hold, and keeps everybody else out until leave. */
void neap_lanes_enter(struct neap_lanes *lanes, struct neap_buffer *buffer);
/* Makes the lanes hold what `buffer` does; `open` allows the quick way again. */
void neap_lanes_leave(struct neap_lanes *lanes, const struct neap_buffer *buffer, bool open);

/* Any thread, a snapshot. */
size_t neap_lanes_length(const struct neap_lanes *lanes);

#endif
