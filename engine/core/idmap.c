/* idmap: open addressing; a slot that becomes empty is filled by moving back those behind it, so that nothing is ever
 * marked as deleted. At most half of the slots are used. */
#include "core/idmap.h"

#include "core/error.h"
#include "core/memory.h"

enum { FIRST_ROOM = 16 };

void neap_idmap_init(struct neap_idmap *table) {
    table->slots = NULL;
    table->count = table->room = 0;
}

void neap_idmap_fini(struct neap_idmap *table) { neap_free(table->slots); }

static size_t home_of(const struct neap_idmap *table, uint64_t key) {
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (table->room - 1);
}

/* Where `key` is, or would be. There is an empty slot. */
static size_t find(const struct neap_idmap *table, uint64_t key) {
    size_t at = home_of(table, key);
    while (table->slots[at].value != NULL && table->slots[at].key != key) at = (at + 1) & (table->room - 1);
    return at;
}

void *neap_idmap_get(const struct neap_idmap *table, uint64_t key) {
    return table->count == 0 ? NULL : table->slots[find(table, key)].value;
}

static int grow(struct neap_idmap *table) {
    struct neap_idmap larger = {.count = table->count, .room = table->room == 0 ? FIRST_ROOM : table->room * 2};
    larger.slots = neap_alloc_zeroed(larger.room * sizeof *larger.slots);
    if (larger.slots == NULL) return NEAP_NOMEM;
    for (size_t i = 0; i < table->room; i++)
        if (table->slots[i].value != NULL) larger.slots[find(&larger, table->slots[i].key)] = table->slots[i];
    neap_free(table->slots);
    *table = larger;
    return 0;
}

int neap_idmap_put(struct neap_idmap *table, uint64_t key, void *value) {
    if (table->count * 2 >= table->room && grow(table) != 0) return NEAP_NOMEM;
    struct neap_idmap_slot *slot = &table->slots[find(table, key)];
    if (slot->value == NULL) table->count++;
    slot->key = key;
    slot->value = value;
    return 0;
}

void *neap_idmap_remove(struct neap_idmap *table, uint64_t key) {
    if (table->count == 0) return NULL;
    size_t mask = table->room - 1, hole = find(table, key);
    void *value = table->slots[hole].value;
    if (value == NULL) return NULL;
    for (size_t at = (hole + 1) & mask; table->slots[at].value != NULL; at = (at + 1) & mask) {
        size_t home = home_of(table, table->slots[at].key);
        if (((at - home) & mask) < ((at - hole) & mask)) continue; /* would then stand before its home */
        table->slots[hole] = table->slots[at];
        hole = at;
    }
    table->slots[hole].value = NULL;
    table->count--;
    return value;
}

void *neap_idmap_next(const struct neap_idmap *table, size_t *at) {
    while (*at < table->room)
        if (table->slots[(*at)++].value != NULL) return table->slots[*at - 1].value;
    return NULL;
}
