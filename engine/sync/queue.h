/* queue: a channel with an order of its own, which counts what has been put and not yet been worked off. */
#ifndef NEAP_SYNC_QUEUE_H
#define NEAP_SYNC_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "core/object.h"
#include "core/wait.h"
#include "sync/channel.h"

/* Operations of a link. GET and PUT are a channel's RECV and SEND (sync/channel.h); link->priority is operand of PUT
 * and result of GET. JOIN waits until everything that was put has been told done. */
enum neap_queue_op { NEAP_QUEUE_GET = NEAP_CHANNEL_RECV, NEAP_QUEUE_PUT = NEAP_CHANNEL_SEND, NEAP_QUEUE_JOIN };

/* Calls of other processes: a channel's, and TASK_DONE: result. */
enum neap_queue_call { NEAP_QUEUE_TASK_DONE = NEAP_CHANNEL_CALLS };

struct neap_queue {
    struct neap_channel channel; /* first. Closed, and asked for its length, by the functions of a channel */
    struct neap_list joiners;    /* links with JOIN; only while something is unfinished. guard */
    uint64_t done;               /* calls of neap_queue_task_done; never more than channel.sent. guard */
};

/* `maxsize` 0: unbounded. One reference; NULL: no memory. */
struct neap_queue *neap_queue_new(size_t maxsize, enum neap_order order);

/* Any thread: something that was got has been worked off; the last one wakes who joins. NEAP_RANGE when everything that
 * was put has been told done already. */
int neap_queue_task_done(struct neap_queue *queue);

extern const struct neap_class neap_queue_class;

#endif
