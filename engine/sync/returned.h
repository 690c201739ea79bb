/* returned: messages that had been taken out, and came back; in the order in which they leave again. Not thread-safe,
 * but for the count: under its owner's guard. */
#ifndef NEAP_SYNC_RETURNED_H
#define NEAP_SYNC_RETURNED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/list.h"
#include "core/message.h"
#include "core/wait.h"
#include "sync/buffer.h"

/* Room for one of them, made when the message was asked for: coming back needs no memory. On the heap. */
struct neap_returned {
    struct neap_list node;       /* in the list's nodes */
    struct neap_message message; /* owned while it is there */
    double priority;             /* of the message */
    uint64_t turn;               /* when it was taken out */
};

struct neap_returned_list {
    struct neap_list nodes; /* neap_returned, the next to leave first. Owned */
    _Atomic size_t count;   /* of them. Written under the guard, relaxed */
};

void neap_returned_init(struct neap_returned_list *list);
/* Drops what is left. */
void neap_returned_fini(struct neap_returned_list *list);

/* Any thread, a guess without the guard. */
static inline size_t neap_returned_count(const struct neap_returned_list *list) {
    return atomic_load_explicit(&list->count, memory_order_relaxed);
}

/* Moves the message of `link` in, into link->room, which is the list's from now on. Of a buffer of priorities the least
 * leaves first; else, and among equals, what was taken out first (link->turn). */
void neap_returned_put(struct neap_returned_list *list, struct neap_link *link, enum neap_order order);
/* The one that leaves next; borrowed. NULL: there is none. */
static inline const struct neap_returned *neap_returned_first(const struct neap_returned_list *list) {
    return neap_list_is_empty(&list->nodes) ? NULL : NEAP_CONTAINER_OF(list->nodes.next, struct neap_returned, node);
}
/* Moves it out, into `link` with its priority and its turn; count > 0. */
void neap_returned_take(struct neap_returned_list *list, struct neap_link *link);

#endif
