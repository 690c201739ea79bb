/* cell: a slab allocator whose books are kept apart from the memory.
 *
 * MODEL       A chunk is a segment cut into cells of one size class (a power of two), and a bitmap in private memory
 *             of which are out: other processes can write to the segment, so nothing in it is believed. Chunks with a
 *             free cell stand in the list of their class; a full one in none. A cell beyond the largest class is a
 *             chunk of its own, which is full.
 * INVARIANTS  (under the guard)
 *   1. A chunk stands in its class's list exactly while it has a free cell, and `out` counts its bits.
 *   2. Of the empty chunks of a class at most one is kept, so that one cell coming and going does not map and unmap;
 *      none once the allocator is closed.
 *   3. `users` counts the chunks and the one who made the allocator; the last one frees it.
 * LOCKS       The guard covers the books, not the making and ending of segments: two threads that find a
 *             class empty make a chunk each. */
#include "core/cell.h"

#include <string.h>

#include "core/check.h"
#include "core/error.h"
#include "core/guard.h"
#include "core/list.h"
#include "core/memory.h"

enum {
    LEAST = 4, /* log2 of the least size */
    MOST = 15, /* log2 of the largest size that shares a segment */
    WORD_BITS = 64,
#ifdef NEAP_CHECK
    CHUNK_SIZE = 1 << (MOST + 1)
#else
    CHUNK_SIZE = 1 << 20 /* address space: only what is used takes memory */
#endif
};

struct neap_cells {
    struct neap_guard guard;                 /* of the fields here and in the chunks */
    struct neap_list open[MOST - LEAST + 1]; /* neap_chunk.node, by class: see 1 */
    uint32_t users;                          /* see 3 */
    bool is_closed;                          /* see 2 */
};

struct neap_chunk {
    struct neap_list node;        /* in its class's list, or none */
    struct neap_cells *cells;     /* constant */
    struct neap_segment *segment; /* one reference; constant */
    size_t cell_size;             /* constant */
    uint32_t count;               /* of its cells; constant */
    uint32_t out;                 /* of them, given out */
    uint32_t hint;                /* no word of `used` below this one has a free bit */
    uint64_t used[];              /* a bit for each cell; those beyond `count` are set */
};

struct neap_cells *neap_cells_new(void) {
    struct neap_cells *cells = neap_alloc(sizeof *cells);
    if (cells == NULL) return NULL;
    neap_guard_init(&cells->guard);
    for (int i = 0; i <= MOST - LEAST; i++) neap_list_init(&cells->open[i]);
    cells->users = 1;
    cells->is_closed = false;
    return cells;
}

/* --- chunks --- */

static int class_of(size_t size) {
    int class = 0;
    while (class <= MOST - LEAST && size > (size_t)1 << (class + LEAST)) class ++;
    return class;
}

/* A chunk that is in no list yet, and has no user's count. */
static int make_chunk(struct neap_cells *cells, size_t cell_size, uint32_t count, struct neap_chunk **chunk) {
    size_t words = (count + WORD_BITS - 1) / WORD_BITS;
    struct neap_chunk *made = neap_alloc(sizeof *made + words * sizeof made->used[0]);
    if (made == NULL) return NEAP_NOMEM;
    int code = neap_segment_new(cell_size * count, &made->segment);
    if (code < 0) {
        neap_free(made);
        return code;
    }
    neap_list_init(&made->node);
    made->cells = cells;
    made->cell_size = cell_size;
    made->count = count;
    made->out = 0;
    made->hint = 0;
    memset(made->used, 0, words * sizeof made->used[0]);
    if (count % WORD_BITS != 0) made->used[words - 1] = ~(uint64_t)0 << count % WORD_BITS;
    *chunk = made;
    return 0;
}

static void free_chunk(struct neap_chunk *chunk) {
    neap_segment_unref(chunk->segment);
    neap_free(chunk);
}

/* Guard held. The index of a cell that is out from now on. */
static uint32_t take_bit(struct neap_chunk *chunk) {
    uint32_t word = chunk->hint;
    while (chunk->used[word] == ~(uint64_t)0) word++;
    int bit = __builtin_ctzll(~chunk->used[word]);
    chunk->used[word] |= (uint64_t)1 << bit;
    chunk->hint = word;
    if (++chunk->out == chunk->count) neap_list_remove(&chunk->node);
    return word * WORD_BITS + (uint32_t)bit;
}

/* Guard held. */
static void give_bit(struct neap_chunk *chunk, uint32_t index) {
    uint32_t word = index / WORD_BITS;
    NEAP_ASSERT(chunk->used[word] >> index % WORD_BITS & 1, "a cell is freed once");
    chunk->used[word] &= ~((uint64_t)1 << index % WORD_BITS);
    if (word < chunk->hint) chunk->hint = word;
    chunk->out--;
}

/* --- cells --- */

/* Guard held. */
static uint32_t take(struct neap_chunk *chunk, struct neap_cell *cell) {
    uint32_t index = take_bit(chunk);
    cell->chunk = chunk;
    cell->segment = neap_segment_ref(chunk->segment);
    cell->at = chunk->segment->base + index * chunk->cell_size;
    return index;
}

static int alloc_big(struct neap_cells *cells, size_t size, struct neap_cell *cell) {
    struct neap_chunk *chunk;
    int code = make_chunk(cells, size, 1, &chunk);
    if (code < 0) return code;
    neap_guard_lock(&cells->guard);
    cells->users++;
    take(chunk, cell);
    neap_guard_unlock(&cells->guard);
    return 0;
}

int neap_cell_alloc(struct neap_cells *cells, size_t size, struct neap_cell *cell) {
    NEAP_ASSERT(size > 0, "a cell has at least one byte");
    int class = class_of(size);
    if (class > MOST - LEAST) return alloc_big(cells, size, cell);
    size_t cell_size = (size_t)1 << (class + LEAST);
    neap_guard_lock(&cells->guard);
    if (neap_list_is_empty(&cells->open[class])) {
        neap_guard_unlock(&cells->guard);
        struct neap_chunk *made;
        int code = make_chunk(cells, cell_size, (uint32_t)(CHUNK_SIZE / cell_size), &made);
        if (code < 0) return code;
        neap_guard_lock(&cells->guard);
        cells->users++;
        neap_list_push_back(&cells->open[class], &made->node);
    }
    take(NEAP_CONTAINER_OF(cells->open[class].next, struct neap_chunk, node), cell);
    neap_guard_unlock(&cells->guard);
    memset(cell->at, 0, cell_size);
    return 0;
}

int neap_cell_find(struct neap_segment *segment, uint64_t offset, size_t size, size_t alignment,
                   struct neap_cell *cell) {
    void *at = neap_segment_at(segment, offset, size, alignment);
    if (at == NULL) return NEAP_RANGE;
    cell->at = at;
    cell->segment = neap_segment_ref(segment);
    cell->chunk = NULL;
    return 0;
}

bool neap_cell_is_alone(const struct neap_cell *cell) {
    return neap_cell_offset(cell) == 0 && cell->segment->size != CHUNK_SIZE;
}

/* Guard held, `chunk` has just got a cell back: puts it where 1 and 2 want it. True: it is to be freed. */
static bool settle(struct neap_cells *cells, struct neap_chunk *chunk) {
    int class = class_of(chunk->cell_size);
    if (class > MOST - LEAST) return true;
    struct neap_list *open = &cells->open[class];
    neap_list_remove(&chunk->node);
    if (chunk->out == 0 && (cells->is_closed || !neap_list_is_empty(open))) return true;
    neap_list_push_back(open, &chunk->node);
    return false;
}

/* Guard held: `count` users fewer. Unlocks, and frees the allocator with the last one. */
static void leave(struct neap_cells *cells, uint32_t count) {
    cells->users -= count;
    bool is_last = cells->users == 0;
    neap_guard_unlock(&cells->guard);
    if (is_last) neap_free(cells);
}

void neap_cell_free(struct neap_cell *cell) {
    struct neap_chunk *chunk = cell->chunk;
    uint64_t offset = neap_cell_offset(cell);
    neap_segment_unref(cell->segment);
    if (chunk == NULL) return;
    struct neap_cells *cells = chunk->cells;
    neap_guard_lock(&cells->guard);
    give_bit(chunk, (uint32_t)(offset / chunk->cell_size));
    bool is_spare = settle(cells, chunk);
    leave(cells, is_spare);
    if (is_spare) free_chunk(chunk);
}

void neap_cells_close(struct neap_cells *cells) {
    struct neap_list spare;
    uint32_t count = 1;
    neap_list_init(&spare);
    neap_guard_lock(&cells->guard);
    cells->is_closed = true;
    for (int i = 0; i <= MOST - LEAST; i++) {
        for (struct neap_list *node = cells->open[i].next, *next; node != &cells->open[i]; node = next) {
            next = node->next;
            if (NEAP_CONTAINER_OF(node, struct neap_chunk, node)->out > 0) continue;
            neap_list_remove(node);
            neap_list_push_back(&spare, node);
            count++;
        }
    }
    leave(cells, count);
    for (struct neap_list *node; (node = neap_list_pop_front(&spare)) != NULL;)
        free_chunk(NEAP_CONTAINER_OF(node, struct neap_chunk, node));
}
