/* poll: a descriptor of the system that tasks of one thread wait for, until it can be read or
 * written. The essay is in poll.c. */
#ifndef NEAP_IO_POLL_H
#define NEAP_IO_POLL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/list.h"
#include "core/loop.h"
#include "core/object.h"

/* Operations of a link: its result is 0 when the descriptor may be ready, NEAP_CLOSED when the poll was closed. */
enum neap_poll_op { NEAP_POLL_READ, NEAP_POLL_WRITE, NEAP_POLL_OPS };

struct neap_poll {
    struct neap_object object;               /* first; local for good: used by the loop's thread only */
    struct neap_list waiting[NEAP_POLL_OPS]; /* links, by operation */
    uv_poll_t *watch;                        /* of the loop; freed by its close callback. NULL once closed */
    int fd;                                  /* owned; -1 once closed */
    uint8_t watched;                         /* bits 1 << op that libuv looks for */
    uint8_t ready;                           /* bits 1 << op that came while nobody waited, and were not cleared */
};

extern const struct neap_class neap_poll_class;

/* Takes over `fd`, which becomes non-blocking, on success. For a class of its own (neap_poll_attempt and so on
 * serve it), or neap_poll_class. 0, NEAP_NOMEM, or what the system says: UV_EPERM for a file that cannot be
 * waited for. By the loop's thread. */
int neap_poll_init(struct neap_poll *poll, const struct neap_class *class, struct neap_loop *loop, int fd);
/* Closes the descriptor; who waits is answered NEAP_CLOSED. Once more does nothing. */
void neap_poll_close(struct neap_poll *poll);
/* Closes, and returns the descriptor instead of closing it: -1 when it had been closed. */
int neap_poll_detach(struct neap_poll *poll);

/* One reference to a poll of `fd`. As neap_poll_init. */
int neap_poll_new(const struct neap_class *class, struct neap_loop *loop, int fd, struct neap_poll **result);

static inline bool neap_poll_is_closed(const struct neap_poll *poll) { return poll->watch == 0; }

/* Somebody has found that the descriptor is not ready after all. */
static inline void neap_poll_clear(struct neap_poll *poll, enum neap_poll_op op) {
    poll->ready &= (uint8_t) ~(1u << op);
}

/* neap_class functions; destroy is for what is no more than a poll */
void neap_poll_destroy(struct neap_object *object);
bool neap_poll_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch);
void neap_poll_enlist(struct neap_object *object, struct neap_link *link);
extern const char *const neap_poll_verbs[];

#endif
