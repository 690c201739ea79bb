/* host_table: the tables of neap.h.
 *
 * MODEL      `items` are the fields 1 .. item_count; all others are pairs, in the order of their coming, with an index
 *            by hash once there are more than a few. A key is in one of the two, never in both.
 * SHARING    A table is counted. With more than one reference it is constant, so it may be read by several threads; it
 *            changes only while its one owner holds it. So no table can come to contain itself. */
#include <stdatomic.h>
#include <string.h>

#include "bindings/host/host_value.h"
#include "core/error.h"
#include "core/memory.h"

enum {
    SCANNED = 8, /* so many pairs are found by looking at each */
    FIRST_ROOM = 4
};

struct pair {
    struct neap_value key, value; /* both owned where they can be */
};

struct neap_table {
    atomic_uint refs;             /* increments relaxed, decrements acquire-release */
    struct neap_value *items;     /* owned */
    size_t item_count, item_room; /* of items: used, allocated */
    struct pair *pairs;           /* owned */
    size_t pair_count, pair_room; /* of pairs: used, allocated */
    uint32_t *index;              /* open hash: positions in pairs plus 1; NULL: scan. Owned */
    size_t index_size;            /* of index, a power of two */
};

int neap_table_new(struct neap_table **table) {
    NEAP_CONTRACT_POINTER(table);
    struct neap_table *made = neap_alloc_zeroed(sizeof *made);
    if (made == NULL) return NEAP_NOMEM;
    atomic_init(&made->refs, 1);
    *table = made;
    return 0;
}

struct neap_table *neap_table_ref(struct neap_table *table) {
    atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

static void destroy(struct neap_table *table) {
    for (size_t i = 0; i < table->item_count; i++) neap_value_clear(&table->items[i]);
    for (size_t i = 0; i < table->pair_count; i++) {
        neap_value_clear(&table->pairs[i].key);
        neap_value_clear(&table->pairs[i].value);
    }
    neap_free(table->items);
    neap_free(table->pairs);
    neap_free(table->index);
    neap_free(table);
}

void neap_table_free(struct neap_table *table) {
    if (table == NULL || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) != 1) return;
    destroy(table);
}

/* --- finding --- */

/* A key that is fit to be one: a number without a fraction is an integer, as in Lua. False: it is none. */
static bool normalize(const struct neap_value *key, struct neap_value *normal) {
    *normal = *key;
    normal->owned = false;
    switch (key->kind) {
        case NEAP_BOOLEAN:
        case NEAP_INTEGER: return true;
        case NEAP_STRING: return key->as.string != NULL || key->length == 0;
        case NEAP_NUMBER: {
            double number = key->as.number;
            if (number != number) return false;
            if (number >= -9223372036854775808.0 && number < 9223372036854775808.0 && (double)(int64_t)number == number)
                *normal = neap_integer((int64_t)number);
            return true;
        }
        default: return false;
    }
}

static bool equal(const struct neap_value *a, const struct neap_value *b) {
    if (a->kind != b->kind) return false;
    switch (a->kind) {
        case NEAP_BOOLEAN: return a->as.boolean == b->as.boolean;
        case NEAP_INTEGER: return a->as.integer == b->as.integer;
        case NEAP_NUMBER: return a->as.number == b->as.number;
        case NEAP_STRING: return a->length == b->length && memcmp(a->as.string, b->as.string, a->length) == 0;
        default: return false;
    }
}

static size_t hash(const struct neap_value *key) {
    uint64_t hash = (uint64_t)key->kind;
    if (key->kind == NEAP_STRING)
        for (size_t i = 0; i < key->length; i++) hash = (hash ^ (unsigned char)key->as.string[i]) * 0x100000001B3u;
    else if (key->kind == NEAP_BOOLEAN)
        hash += key->as.boolean;
    else
        hash ^= (uint64_t)key->as.integer; /* the bits of a number too */
    return (size_t)(hash * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

static struct pair *find_pair(const struct neap_table *table, const struct neap_value *key) {
    if (table->index == NULL) {
        for (size_t i = 0; i < table->pair_count; i++)
            if (equal(&table->pairs[i].key, key)) return &table->pairs[i];
        return NULL;
    }
    size_t mask = table->index_size - 1;
    for (size_t at = hash(key) & mask; table->index[at] != 0; at = (at + 1) & mask) {
        struct pair *pair = &table->pairs[table->index[at] - 1];
        if (equal(&pair->key, key)) return pair;
    }
    return NULL;
}

const struct neap_value *neap_table_get(const struct neap_table *table, const struct neap_value *key) {
    struct neap_value normal;
    if (table == NULL || key == NULL || !normalize(key, &normal)) return NULL;
    if (normal.kind == NEAP_INTEGER && normal.as.integer >= 1 && (uint64_t)normal.as.integer <= table->item_count)
        return &table->items[normal.as.integer - 1];
    const struct pair *pair = find_pair(table, &normal);
    return pair == NULL ? NULL : &pair->value;
}

const struct neap_value *neap_table_field(const struct neap_table *table, const char *name) {
    struct neap_value key = neap_string(name);
    return neap_table_get(table, &key);
}

const struct neap_value *neap_table_item(const struct neap_table *table, int64_t number) {
    struct neap_value key = neap_integer(number);
    return neap_table_get(table, &key);
}

size_t neap_table_length(const struct neap_table *table) { return table == NULL ? 0 : table->item_count; }

bool neap_table_contains(const struct neap_table *table, const struct neap_table *other) {
    if (table == other) return true;
    for (size_t i = 0; i < table->item_count; i++)
        if (table->items[i].kind == NEAP_TABLE && neap_table_contains(table->items[i].as.table, other)) return true;
    for (size_t i = 0; i < table->pair_count; i++)
        if (table->pairs[i].value.kind == NEAP_TABLE && neap_table_contains(table->pairs[i].value.as.table, other))
            return true;
    return false;
}

/* --- changing --- */

static void fill_index(struct neap_table *table, size_t position) {
    size_t mask = table->index_size - 1, at = hash(&table->pairs[position].key) & mask;
    while (table->index[at] != 0) at = (at + 1) & mask;
    table->index[at] = (uint32_t)position + 1;
}

static void rebuild_index(struct neap_table *table) {
    if (table->index == NULL) return;
    memset(table->index, 0, table->index_size * sizeof *table->index);
    for (size_t i = 0; i < table->pair_count; i++) fill_index(table, i);
}

static bool has_room_for_item(struct neap_table *table) {
    if (table->item_count < table->item_room) return true;
    size_t room = table->item_room == 0 ? FIRST_ROOM : table->item_room * 2;
    struct neap_value *items = neap_realloc(table->items, room * sizeof *items);
    if (items == NULL) return false;
    table->items = items;
    table->item_room = room;
    return true;
}

static bool has_room_for_pair(struct neap_table *table) {
    if (table->pair_count < table->pair_room) return true;
    size_t room = table->pair_room == 0 ? FIRST_ROOM : table->pair_room * 2;
    struct pair *pairs = neap_realloc(table->pairs, room * sizeof *pairs);
    if (pairs == NULL) return false;
    table->pairs = pairs;
    table->pair_room = room;
    return true;
}

/* The index has room for one more pair, half of it empty. */
static bool widen_index(struct neap_table *table) {
    size_t wanted = table->pair_count + 1, size = table->index_size == 0 ? 4 * (size_t)SCANNED : table->index_size;
    if (wanted <= SCANNED || (table->index != NULL && wanted <= table->index_size / 2)) return true;
    while (wanted > size / 2) size *= 2;
    uint32_t *index = neap_alloc(size * sizeof *index);
    if (index == NULL) return false;
    neap_free(table->index);
    table->index = index;
    table->index_size = size;
    rebuild_index(table);
    return true;
}

/* Takes over key and value. False: no memory, and nothing has changed. */
static bool add_pair(struct neap_table *table, const struct neap_value *key, const struct neap_value *value) {
    if (table->pair_count >= UINT32_MAX / 4) return false;
    if (!has_room_for_pair(table) || !widen_index(table)) return false;
    table->pairs[table->pair_count] = (struct pair){*key, *value};
    if (table->index != NULL) fill_index(table, table->pair_count);
    table->pair_count++;
    return true;
}

static void remove_pair(struct neap_table *table, struct pair *pair) {
    neap_value_clear(&pair->key);
    neap_value_clear(&pair->value);
    *pair = table->pairs[--table->pair_count];
    rebuild_index(table);
}

/* Pairs that have become the next items. */
static void draw_in(struct neap_table *table) {
    for (;;) {
        struct neap_value next = neap_integer((int64_t)table->item_count + 1);
        struct pair *pair = find_pair(table, &next);
        if (pair == NULL) return;
        if (!has_room_for_item(table)) return;
        table->items[table->item_count++] = pair->value;
        pair->value = neap_nil();
        remove_pair(table, pair);
    }
}

/* Takes item `at` out; those behind it become pairs. False: no memory, and nothing has changed. */
static bool remove_item(struct neap_table *table, size_t at) {
    size_t before = table->pair_count;
    for (size_t i = at + 1; i < table->item_count; i++) {
        struct neap_value key = neap_integer((int64_t)i + 1);
        if (add_pair(table, &key, &table->items[i])) continue;
        table->pair_count = before; /* the items are still where they were */
        rebuild_index(table);
        return false;
    }
    neap_value_clear(&table->items[at]);
    table->item_count = at;
    return true;
}

static int set_item(struct neap_table *table, size_t at, struct neap_value *value) {
    if (value->kind == NEAP_NIL) {
        if (at == table->item_count) return 0;
        return remove_item(table, at) ? 0 : NEAP_NOMEM;
    }
    if (at == table->item_count) {
        if (!has_room_for_item(table)) return NEAP_NOMEM;
        table->items[table->item_count++] = *value;
        draw_in(table);
        return 0;
    }
    neap_value_clear(&table->items[at]);
    table->items[at] = *value;
    return 0;
}

static int set_pair(struct neap_table *table, const struct neap_value *key, struct neap_value *value) {
    struct pair *pair = find_pair(table, key);
    if (value->kind == NEAP_NIL) {
        if (pair != NULL) remove_pair(table, pair);
        return 0;
    }
    if (pair != NULL) {
        neap_value_clear(&pair->value);
        pair->value = *value;
        return 0;
    }
    struct neap_value own;
    int code = neap_value_copy(&own, key);
    if (code != 0) return code;
    if (add_pair(table, &own, value)) return 0;
    neap_value_clear(&own);
    return NEAP_NOMEM;
}

int neap_table_set(struct neap_table *table, const struct neap_value *key, struct neap_value *value) {
    struct neap_value normal, own;
    NEAP_CONTRACT_POINTER(table);
    NEAP_CONTRACT_POINTER(key);
    NEAP_CONTRACT_POINTER(value);
    NEAP_CONTRACT_VALUES(value, 1);
    if (!normalize(key, &normal)) return NEAP_INVALID;
    if (atomic_load_explicit(&table->refs, memory_order_acquire) > 1) return NEAP_INVALID;
    if (value->kind == NEAP_TABLE && neap_table_contains(value->as.table, table)) return NEAP_INVALID;
    int code = value->owned ? 0 : neap_value_copy(&own, value);
    if (code != 0) return code;
    if (value->owned) own = *value;
    bool is_item =
        normal.kind == NEAP_INTEGER && normal.as.integer >= 1 && (uint64_t)normal.as.integer <= table->item_count + 1 &&
        ((uint64_t)normal.as.integer <= table->item_count || own.kind != NEAP_NIL || find_pair(table, &normal) == NULL);
    if (is_item)
        code = set_item(table, (size_t)normal.as.integer - 1, &own);
    else
        code = set_pair(table, &normal, &own);
    if (code == 0 && value->owned)
        *value = neap_nil();
    else if (code != 0 && !value->owned)
        neap_value_clear(&own);
    return code;
}

int neap_table_append(struct neap_table *table, struct neap_value *value) {
    NEAP_CONTRACT_POINTER(table);
    NEAP_CONTRACT_POINTER(value);
    struct neap_value key = neap_integer((int64_t)table->item_count + 1);
    return neap_table_set(table, &key, value);
}

bool neap_table_next(const struct neap_table *table, size_t *position, struct neap_value *key,
                     const struct neap_value **value) {
    if (table == NULL || position == NULL || *position >= table->item_count + table->pair_count) return false;
    size_t at = (*position)++;
    bool is_item = at < table->item_count;
    const struct pair *pair = is_item ? NULL : &table->pairs[at - table->item_count];
    if (key != NULL) *key = is_item ? neap_integer((int64_t)at + 1) : pair->key;
    if (key != NULL) key->owned = false;
    if (value != NULL) *value = is_item ? &table->items[at] : &pair->value;
    return true;
}
