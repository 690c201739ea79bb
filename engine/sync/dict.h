/* dict: values by keys, in the order in which the keys came. Any thread; each operation is atomic.
 *
 * A key can be updated: from taking the turn at it until giving it back its value is the owner's alone to change, who
 * may wait meanwhile. What else would change the value is NEAP_BUSY, and can take the turn in order to wait. */
#ifndef NEAP_SYNC_DICT_H
#define NEAP_SYNC_DICT_H

#include <stddef.h>
#include <stdint.h>

#include "core/object.h"
#include "core/wait.h"
#include "sync/key.h"
#include "sync/turn.h"

struct neap_dict_entry;

/* Operations of a link, for neap_wait_owner(link->wait).
 * UPDATE  `message`: in, the key; out, a copy of its value (empty: it has none). `hold`: of a neap_turn that was
 *         prepared by neap_dict_prepare. It is the owner's turn from now on; NEAP_HELD: it has been already;
 *         NEAP_NOMEM; NEAP_RANGE: no key.
 * IDLE    no key is being updated at this moment.
 * REMOVE  what neap_dict_swap with nothing does, for other processes: one that dies before it has received
 *         the value gives it back, unless there is another by then, or the dict has been cleared. `message`:
 *         in, the key; out, a list of key and value (empty: there was none). NEAP_BUSY; NEAP_NOMEM;
 *         NEAP_RANGE: no key. Waits for nothing. */
enum neap_dict_op { NEAP_DICT_UPDATE, NEAP_DICT_IDLE, NEAP_DICT_REMOVE };

/* Calls of other processes (core/remote.h).
 * GET, HAS  message: in, the key; out (GET), a copy of its value. number: whether there is one.
 * SWAP      message: in, a list of key and value; out, what was there. result as that of neap_dict_swap.
 * CLEAR     result as that of neap_dict_clear.
 * SNAPSHOT  message: out, as that of neap_dict_snapshot.
 * COUNT     number. */
enum neap_dict_call {
    NEAP_DICT_GET,
    NEAP_DICT_HAS,
    NEAP_DICT_SWAP,
    NEAP_DICT_CLEAR,
    NEAP_DICT_SNAPSHOT,
    NEAP_DICT_COUNT
};

struct neap_dict {
    struct neap_object object;
    struct neap_dict_entry **buckets; /* chains of entries by hash; owned. Guard, as all that follows */
    size_t room;                      /* of buckets: a power of two, or 0 */
    size_t entry_count;               /* in the buckets, also those that are there for their turns only */
    _Atomic size_t count;             /* of values; written under the guard */
    size_t busy;                      /* keys that are being updated */
    uint64_t clearings;               /* how often it was cleared; link->turn of REMOVE is when */
    struct neap_list order;           /* neap_dict_entry.node */
    struct neap_list idle;            /* links with IDLE; empty while no key is being updated */
};

/* One reference; NULL: no memory. */
struct neap_dict *neap_dict_new(void);

/* `value` is overwritten by a copy of what is there: empty if there is nothing. */
void neap_dict_get(struct neap_dict *dict, const struct neap_key *key, struct neap_message *value);
/* Moves `value` in (empty: the key goes) and what was there out. NEAP_BUSY: somebody else than `owner` updates it; or
 * NEAP_NOMEM. Then nothing has changed. */
int neap_dict_swap(struct neap_dict *dict, const struct neap_owner *owner, const struct neap_key *key,
                   struct neap_message *value);
/* Drops everything. NEAP_BUSY: a key is being updated; NEAP_HELD: by `owner`. */
int neap_dict_clear(struct neap_dict *dict, const struct neap_owner *owner);
/* Everything as it is in one moment: key, value, key, value... 0 or NEAP_NOMEM. */
int neap_dict_snapshot(struct neap_dict *dict, struct neap_message *list);

/* How many values there are: a snapshot. */
static inline size_t neap_dict_count(const struct neap_dict *dict) {
    return atomic_load_explicit(&dict->count, memory_order_relaxed);
}

/* A turn for UPDATE, to be given back by neap_turn_return. */
void neap_dict_prepare(struct neap_dict *dict, struct neap_turn *turn);

extern const struct neap_class neap_dict_class;

#endif
