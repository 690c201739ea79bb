/* sequence: values one after the other, counted from 1: what scripts call a shared list. Any thread;
 * each operation is atomic.
 *
 * An element can be updated: from taking the turn at the list until giving it back its elements are the
 * owner's alone to change, who may wait meanwhile. What else would change the list is NEAP_BUSY, and can take
 * the turn in order to wait. */
#ifndef NEAP_SYNC_SEQUENCE_H
#define NEAP_SYNC_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

#include "core/object.h"
#include "core/wait.h"
#include "sync/turn.h"

/* Operations of a link, for neap_wait_owner(link->wait).
 * UPDATE  `message`: in, an index, or empty: none is wanted; out, a copy of that element. `hold`: of a neap_turn that
 *         was prepared by neap_sequence_prepare. It is the owner's turn from now on; NEAP_HELD: it has been already;
 *         NEAP_RANGE: there is no such element, and it is not.
 * POP     what neap_sequence_take does, for other processes: one that dies before it has received the element gives it
 *         back. `number`: in, the index. `message`: out. Waits for nothing. */
enum neap_sequence_op { NEAP_SEQUENCE_UPDATE, NEAP_SEQUENCE_POP };

/* Calls of other processes (core/remote.h): number is the index, message the value, both as operand and result; result
 * as that of the function of that name. EXTEND wants a list, SNAPSHOT gives one, COUNT gives a number. */
enum neap_sequence_call {
    NEAP_SEQUENCE_GET,
    NEAP_SEQUENCE_SWAP,
    NEAP_SEQUENCE_INSERT,
    NEAP_SEQUENCE_EXTEND,
    NEAP_SEQUENCE_CLEAR,
    NEAP_SEQUENCE_SNAPSHOT,
    NEAP_SEQUENCE_COUNT
};

struct neap_sequence {
    struct neap_object object;
    struct neap_message *items; /* owned. Guard, as all that follows */
    _Atomic size_t count;       /* of items; written under the guard */
    size_t room;                /* of items: allocated; at least count + owed */
    size_t owed;                /* elements that were popped and may come back */
    uint64_t clearings;         /* how often it was cleared; link->turn of POP is when */
    struct neap_turns turns;
};

/* One reference; NULL: no memory. */
struct neap_sequence *neap_sequence_new(void);

/* `value` is overwritten by a copy of the element; empty if there is none. */
void neap_sequence_get(struct neap_sequence *sequence, int64_t index, struct neap_message *value);

/* These change it: 0; or NEAP_BUSY: it is the turn of somebody else than `owner`; NEAP_RANGE: there is no such place;
 * NEAP_NOMEM. Then nothing has changed.
 * SWAP    moves `value` in and what was there out; the place behind the last one gets a new element, and then `value`
 *         is empty. An empty one takes the last element out, whose index it must be.
 * INSERT  moves `value` in front of element `index`; 0: behind the last.
 * TAKE    moves element `index` out, 0: the last one; `value` is overwritten on success.
 * EXTEND  copies of the messages in `list`, which stays, come behind the last. */
int neap_sequence_swap(struct neap_sequence *sequence, const struct neap_owner *owner, int64_t index,
                       struct neap_message *value);
int neap_sequence_insert(struct neap_sequence *sequence, const struct neap_owner *owner, int64_t index,
                         struct neap_message *value);
int neap_sequence_take(struct neap_sequence *sequence, const struct neap_owner *owner, int64_t index,
                       struct neap_message *value);
int neap_sequence_extend(struct neap_sequence *sequence, const struct neap_owner *owner,
                         const struct neap_message *list);
int neap_sequence_clear(struct neap_sequence *sequence, const struct neap_owner *owner);

/* Everything as it is in one moment: 0 or NEAP_NOMEM. */
int neap_sequence_snapshot(struct neap_sequence *sequence, struct neap_message *list);

/* How many elements there are: a snapshot. */
static inline size_t neap_sequence_count(const struct neap_sequence *sequence) {
    return atomic_load_explicit(&sequence->count, memory_order_relaxed);
}

/* A turn for UPDATE, to be given back by neap_turn_return. */
void neap_sequence_prepare(struct neap_sequence *sequence, struct neap_turn *turn);

extern const struct neap_class neap_sequence_class;

#endif
