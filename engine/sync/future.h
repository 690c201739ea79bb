/* future: something that ends once, with an outcome that many may wait for. Tasks,
 * threads and processes are futures. */
#ifndef NEAP_SYNC_FUTURE_H
#define NEAP_SYNC_FUTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/object.h"
#include "core/wait.h"

enum neap_future_state {
    NEAP_FUTURE_NEW,
    NEAP_FUTURE_RUNNING,
    NEAP_FUTURE_DONE, /* from here on it has ended */
    NEAP_FUTURE_FAILED,
    NEAP_FUTURE_CANCELLED
};

/* Operations of a link. END waits until it has ended. */
enum neap_future_op { NEAP_FUTURE_END };

/* What other states can read of an ended future; constant once published. */
struct neap_outcome {
    struct neap_message value; /* done: the results, as the codec packs several; failed, cancelled: the error value */
    struct neap_message traceback; /* of a failure: text; empty otherwise */
};

/* `object` has more of it: state, an enum neap_future_state, of which those that say ended are written under the guard,
 * release; observed: somebody has taken note of how it ended, joined or asked for the error, relaxed; loops: the
 * outcome refers to the future itself, see future.c, written as the outcome is; in_place: the outcome lies in what the
 * future is embedded in, and is only emptied, constant. */
struct neap_future {
    struct neap_object object; /* first; embedded by what it is the future of */
    union {
        struct neap_list waiters; /* until it has ended: links with END. guard */
        struct neap_outcome *end; /* from then on; owned. Written before `state` says so: see neap_future_outcome */
    };
};

void neap_future_init(struct neap_future *future, const struct neap_class *class);
void neap_future_fini(struct neap_future *future);

static inline enum neap_future_state neap_future_state(const struct neap_future *future) {
    return (enum neap_future_state)atomic_load_explicit(&future->object.state, memory_order_acquire);
}

static inline bool neap_future_has_ended(const struct neap_future *future) {
    return neap_future_state(future) >= NEAP_FUTURE_DONE;
}

/* NULL: it has not ended, or without one. Borrowed, and constant from then on. */
static inline struct neap_outcome *neap_future_outcome(const struct neap_future *future) {
    return neap_future_has_ended(future) ? future->end : NULL;
}

/* Ends it and wakes who waits. `outcome` is taken over and may be NULL while the object is local. True when somebody
 * waited for it. By the thread that runs what it is the future of, once. */
bool neap_future_end(struct neap_future *future, enum neap_future_state state, struct neap_outcome *outcome);

/* Is somebody waiting for it just now? */
bool neap_future_is_awaited(struct neap_future *future);

struct neap_outcome *neap_outcome_new(void); /* both messages empty; NULL: no memory */
void neap_outcome_free(struct neap_outcome *outcome);
/* One that lies somewhere: its messages empty; and what they hold dropped. */
void neap_outcome_init(struct neap_outcome *outcome);
void neap_outcome_fini(struct neap_outcome *outcome);

/* neap_class functions */
bool neap_future_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch);
void neap_future_enlist(struct neap_object *object, struct neap_link *link);
extern const char *const neap_future_verbs[];

#endif
