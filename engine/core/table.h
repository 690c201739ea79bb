/* table: from numbers to pointers. Not thread-safe: under its owner's guard. */
#ifndef NEAP_CORE_TABLE_H
#define NEAP_CORE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct neap_table_slot {
    uint64_t key;
    void *value; /* NULL: the slot is empty */
};

struct neap_table {
    struct neap_table_slot *slots; /* owned; NULL while there is no room */
    size_t count, room;            /* of slots: used, allocated: a power of two or 0 */
};

void neap_table_init(struct neap_table *table);
void neap_table_fini(struct neap_table *table);

/* NULL: there is none. */
void *neap_table_get(const struct neap_table *table, uint64_t key);
/* `value` is not NULL; replaces the one that is there. 0, or NEAP_NOMEM and nothing has changed. */
int neap_table_put(struct neap_table *table, uint64_t key, void *value);
/* What was there; NULL: nothing. */
void *neap_table_remove(struct neap_table *table, uint64_t key);
/* Any one, to be removed next; NULL: it is empty. `*at` begins as 0 and goes on from call to call. */
void *neap_table_next(const struct neap_table *table, size_t *at);

#endif
