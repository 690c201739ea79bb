/* idmap: from numbers to pointers. Not thread-safe: under its owner's guard. */
#ifndef NEAP_CORE_IDMAP_H
#define NEAP_CORE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct neap_idmap_slot {
    uint64_t key;
    void *value; /* NULL: the slot is empty */
};

struct neap_idmap {
    struct neap_idmap_slot *slots; /* owned; NULL while there is no room */
    size_t count, room;            /* of slots: used, allocated: a power of two or 0 */
};

void neap_idmap_init(struct neap_idmap *table);
void neap_idmap_fini(struct neap_idmap *table);

/* NULL: there is none. */
void *neap_idmap_get(const struct neap_idmap *table, uint64_t key);
/* `value` is not NULL; replaces the one that is there. 0, or NEAP_NOMEM and nothing has changed. */
int neap_idmap_put(struct neap_idmap *table, uint64_t key, void *value);
/* What was there; NULL: nothing. */
void *neap_idmap_remove(struct neap_idmap *table, uint64_t key);
/* Any one, to be removed next; NULL: it is empty. `*at` begins as 0 and goes on from call to call. */
void *neap_idmap_next(const struct neap_idmap *table, size_t *at);

#endif
