/* inbox: bytes that have been read and not been used. */
#ifndef NEAP_IO_INBOX_H
#define NEAP_IO_INBOX_H

#include <stddef.h>

enum {
    NEAP_INBOX_ROOM_MIN = 1000
}; /* bytes that a read has room for, at least: a block that is had and given back for little */

struct neap_inbox {
    char *bytes;             /* those from start to end are there. NULL while there is none. Owned */
    size_t start, end, room; /* in bytes */
};

static inline size_t neap_inbox_size(const struct neap_inbox *inbox) { return inbox->end - inbox->start; }
static inline const char *neap_inbox_peek(const struct neap_inbox *inbox) { return inbox->bytes + inbox->start; }

/* Room for a read of about `wanted` bytes, neither tiny nor huge, behind what is there;
 * *size is how much. NULL: no memory. */
char *neap_inbox_room(struct neap_inbox *inbox, size_t wanted, size_t *size);
/* So many have been put there; 0: none. */
void neap_inbox_put(struct neap_inbox *inbox, size_t size);
/* The first `size` bytes have been used. Memory is given back when none is left. */
void neap_inbox_take(struct neap_inbox *inbox, size_t size);
void neap_inbox_fini(struct neap_inbox *inbox);

#endif
