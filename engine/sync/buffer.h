/* buffer: the messages that a channel or queue holds, in the order in which they leave. Not thread-safe: under its
 * owner's guard. */
#ifndef NEAP_SYNC_BUFFER_H
#define NEAP_SYNC_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "core/message.h"

enum neap_order { NEAP_FIFO, NEAP_LIFO, NEAP_PRIORITY };

struct neap_entry {
    struct neap_message message;
    double priority;
    uint64_t arrival; /* breaks ties: equals leave in order of arrival */
};

struct neap_buffer {
    enum neap_order order; /* constant */
    size_t count;          /* messages held */
    size_t room;           /* allocated places: a power of two, or 0 */
    union {
        struct {
            struct neap_message *ring; /* fifo, lifo: places first .. first + count - 1, modulo room */
            size_t first;
        };
        struct {
            struct neap_entry *heap; /* priority: a binary heap, the least first */
            uint64_t arrivals;
        };
    };
};

void neap_buffer_init(struct neap_buffer *buffer, enum neap_order order);
/* Drops what is left. */
void neap_buffer_fini(struct neap_buffer *buffer);
/* Makes sure that so many more fit: 0 or NEAP_NOMEM. */
int neap_buffer_reserve(struct neap_buffer *buffer, size_t count);
/* Doubles the room: 0 or NEAP_NOMEM. */
int neap_buffer_grow(struct neap_buffer *buffer);
/* Moves `message` in; there must be room (neap_buffer_reserve). */
void neap_buffer_put(struct neap_buffer *buffer, struct neap_message *message, double priority);
/* The message that is the `index`-th to leave (from 0) of a fifo buffer; borrowed. */
static inline const struct neap_message *neap_buffer_at(const struct neap_buffer *buffer, size_t index) {
    return &buffer->ring[(buffer->first + index) & (buffer->room - 1)];
}
/* Moves the next message out; count > 0. */
void neap_buffer_take(struct neap_buffer *buffer, struct neap_message *message, double *priority);

#endif
