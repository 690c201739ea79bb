/* backlog: frames of a wire that found no room, in the order in which they are to follow. Not thread-safe, but for
 * has_some: under the wire's writing guard. */
#ifndef NEAP_HOST_BACKLOG_H
#define NEAP_HOST_BACKLOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct neap_backlog_frame;
struct neap_wire_header;

struct neap_backlog {
    struct neap_backlog_frame *first, *last; /* owned */
    struct neap_backlog_frame *spares;       /* for frames that are told: see neap_wire_tell. Owned */
    _Atomic bool has_some;                   /* written under the guard; relaxed */
};

/* 0 or NEAP_NOMEM. */
int neap_backlog_init(struct neap_backlog *backlog);
void neap_backlog_fini(struct neap_backlog *backlog);

static inline bool neap_backlog_is_empty(const struct neap_backlog *backlog) { return backlog->first == NULL; }
/* Any thread, a guess. */
static inline bool neap_backlog_has_some(const struct neap_backlog *backlog) {
    return atomic_load_explicit(&backlog->has_some, memory_order_relaxed);
}

/* Adds a frame of `pieces`, with copies of `fds` (header->fds of them). 0, NEAP_NOMEM, or what the system said. */
int neap_backlog_add(struct neap_backlog *backlog, const struct neap_wire_header *header, const struct iovec *pieces,
                     unsigned count, const int *fds);
/* The same without memory, for at most NEAP_WIRE_TOLD bytes and no descriptors. False: too many are under way so. */
bool neap_backlog_add_told(struct neap_backlog *backlog, const struct neap_wire_header *header,
                           const struct iovec *piece);

/* The first one, borrowed: its header, bytes and descriptors. There is one. */
const struct neap_wire_header *neap_backlog_first(const struct neap_backlog *backlog, struct iovec *piece,
                                                  const int **fds);
/* It has been sent. */
void neap_backlog_remove(struct neap_backlog *backlog);
/* Drops all of them. */
void neap_backlog_clear(struct neap_backlog *backlog);

#endif
