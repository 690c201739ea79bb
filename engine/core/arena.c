/* arena: an allocator for one Lua state.
 *
 * PURPOSE     Lua tells the size of what it gives back, and a state is used by one thread at a time. So blocks need no
 *             headers and lists no locks, and the memory of a state lies together.
 *
 * MODEL       A size is rounded up to grains of 16 bytes. A small block, up to SMALL_MAX, comes from the list
 *             of free cells of its rounded size (its class), else from the front of the current span. A span is
 *             free memory that every class fits into. Spans are cut out of chunks, which grow with the state. A
 *             larger block is malloc's, with a record in front that links it for neap_arena_free; one that
 *             grows past MAP_FROM is mapped.
 *
 * INVARIANTS  1. Every grain of a chunk belongs to one block in use, to one free cell, or to one span.
 *             2. A free cell is as large as its class says; a span that waits is larger than SMALL_MAX.
 *             3. Addresses and sizes of cells, spans and chunks are multiples of a grain.
 *             4. used counts the sizes that Lua asked for; large counts those of them that are above SMALL_MAX.
 *
 * SURVEYS     A cell given back stays in its class, so a state that changes its habits would end up with the peaks
 *             of all classes. Hence, before the arena grows and when half of its chunks' bytes are free, it is
 *             surveyed: all free memory is noted in a map of one byte per grain, neighbours are merged, long runs
 *             become spans, and empty chunks go back to the system as long as more than twice of what is used is
 *             held. A survey that gained little is not repeated before the arena has grown by a quarter or half of
 *             the blocks have gone, so surveys cost a share of what is allocated, and nothing where the habits stay.
 *             The price is a pause: 10 to 200 ns for each free cell. Where a survey is not worth it, the arena
 *             serves from larger cells before it grows.
 *
 * SHRINKING   must not fail, even where the smaller block cannot be had. A small block is then cut: its tail becomes
 *             a free cell. A large block becomes a chunk: its front remains the block, the rest is free. One that
 *             stays large keeps what it had.
 *
 * GROWING     A table doubles again and again, and malloc would keep the holes of the halves that it outgrew: nobody
 *             else asks for blocks of that size. What is mapped grows where it stands, or the kernel moves its pages.
 *             The price is that fresh pages are cleared, each time: buffers that grow, and go soon, are better off with
 *             malloc. So once one that was mapped goes, or shrinks, others are mapped only from twice its size on.
 *
 * REJECTED    See engine/decisions/0003-arena-per-state.md. */
#include "core/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/list.h"
#include "core/memory.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALL_LARGE
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(ALL_LARGE)
#define ALL_LARGE
#endif

enum {
    GRAIN = 16, /* bytes; the alignment of all blocks */
#ifdef ALL_LARGE
    SMALL_MAX = 0,
    MAP_FROM = INT32_MAX,
#else
    SMALL_MAX = 2048, /* bytes; no block of a new state with its libraries is larger */
#ifdef NEAP_CHECK
    MAP_FROM = 32 * 1024,
#else
    MAP_FROM = 256 * 1024, /* bytes of a block: see GROWING */
#endif
#endif
#ifdef NEAP_CHECK
    FIRST_SIZE = 4 * 1024, /* the test build has small chunks, so that they come, go and are surveyed often */
    CHUNK_MIN = 4 * 1024,
    CHUNK_MAX = 16 * 1024,
    SURVEY_FROM = 16 * 1024,
#else
    FIRST_SIZE = 32000,       /* the arena with its first chunk: a thread's state, its libraries, what it waits with */
    CHUNK_MIN = 16 * 1024,    /* chunks double with the arena from here */
    CHUNK_MAX = 256 * 1024,   /* to here; these are mapped, so that giving one back really gives it back */
    SURVEY_FROM = 128 * 1024, /* bytes in chunks; neither surveying nor giving back is worth it below */
#endif
    CLASSES = SMALL_MAX / GRAIN + 1,
    PIECE_MAX = UINT8_MAX /* grains that one byte of a survey's map can stand for */
};

/* Free memory of a class; lies in the memory itself, as the next two do. */
struct cell {
    struct cell *next; /* in the list of its class */
};

struct span {
    struct span *next; /* in the arena's spans */
    size_t size;       /* bytes, with this record */
};

/* In front of a chunk's memory, and of a large block. */
struct region {
    struct neap_list node; /* in the arena's chunks or larges */
    size_t size;           /* bytes behind this record */
    bool mapped;           /* it came from neap_map, not from neap_alloc: up to the next grain it is there */
};

/* Written by the thread that uses the state. */
struct neap_arena {
    char *bump;                          /* the current span: its first byte */
    char *end;                           /* and the one after its last */
    size_t used;                         /* bytes; invariant 4 */
    size_t limit;                        /* bytes that used may grow to; SIZE_MAX: no limit */
    size_t large;                        /* bytes; invariant 4 */
    size_t room;                         /* bytes in chunks, free or not */
    size_t map_from;                     /* bytes: smaller blocks are not mapped when they grow */
    size_t survey_from;                  /* the next survey waits until room has grown to this, */
    size_t survey_below;                 /* or what small blocks use has fallen to this; both in bytes */
    struct span *spans;                  /* those that wait */
    struct neap_list chunks;             /* regions */
    struct neap_list larges;             /* regions */
    struct cell *free[CLASSES];          /* lists by grains; free[0] stays empty */
    _Alignas(GRAIN) struct region first; /* the last field: the first chunk's memory follows */
};

_Static_assert(sizeof(struct region) % GRAIN == 0, "invariant 3");
_Static_assert(sizeof(struct span) <= GRAIN, "a span fits where a grain is free");
_Static_assert(CHUNK_MIN - sizeof(struct region) > SMALL_MAX, "every class fits into a new chunk");

static size_t rounded(size_t size) { return (size + GRAIN - 1) / GRAIN * GRAIN; }

static char *memory_of(struct region *region) { return (char *)(region + 1); }

static struct region *region_of(struct neap_list *node) { return NEAP_CONTAINER_OF(node, struct region, node); }

/* Of a region with `size` bytes, with its record: what was mapped for it. */
static size_t mapped_size(size_t size) { return sizeof(struct region) + rounded(size); }

static void free_region(struct region *region) {
    if (region->mapped)
        neap_unmap(region, mapped_size(region->size));
    else
        neap_free(region);
}

/* In the test build memory that changes hands loses what was in it. */
static void scribble(void *memory, int byte, size_t size) {
#ifdef NEAP_CHECK
    memset(memory, byte, size);
#else
    (void)memory, (void)byte, (void)size;
#endif
}

/* --- free memory --- */

static void give_cell(struct neap_arena *arena, void *memory, size_t size) {
    struct cell *cell = memory;
    cell->next = arena->free[size / GRAIN];
    arena->free[size / GRAIN] = cell;
}

/* Any multiple of a grain, 0 included. */
static void give(struct neap_arena *arena, void *memory, size_t size) {
    if (size > SMALL_MAX) {
        struct span *span = memory;
        span->next = arena->spans;
        span->size = size;
        arena->spans = span;
    } else if (size > 0) {
        give_cell(arena, memory, size);
    }
}

/* What the current span still had goes to the lists. */
static void set_span(struct neap_arena *arena, char *start, size_t size) {
    give(arena, arena->bump, (size_t)(arena->end - arena->bump));
    arena->bump = start;
    arena->end = start + size;
}

/* --- chunks --- */

static void add_chunk(struct neap_arena *arena, struct region *chunk) {
    neap_list_push_back(&arena->chunks, &chunk->node);
    arena->room += chunk->size;
}

static bool new_chunk(struct neap_arena *arena) {
    size_t size = CHUNK_MIN;
    while (size < CHUNK_MAX && size < arena->room) size *= 2;
    struct region *chunk = size == CHUNK_MAX ? neap_map(size) : neap_alloc_from(NULL, size);
    if (chunk == NULL) return false;
    chunk->size = size - sizeof *chunk;
    chunk->mapped = size == CHUNK_MAX;
    add_chunk(arena, chunk);
    set_span(arena, memory_of(chunk), chunk->size);
    return true;
}

/* --- surveys --- */

/* A chunk as a survey sees it. */
struct strip {
    struct region *chunk;
    uint8_t *map; /* by grain: how many grains of free memory start there; 0: in use, or further inside */
};

/* One block of memory holds the strips and their maps. */
struct survey {
    struct strip *strips; /* by address */
    size_t count;         /* of strips */
    struct strip *last;   /* the one that was needed last: free cells often come in runs from one chunk */
};

static int compare_strips(const void *left, const void *right) {
    uintptr_t a = (uintptr_t)((const struct strip *)left)->chunk, b = (uintptr_t)((const struct strip *)right)->chunk;
    return (a > b) - (a < b);
}

static bool survey_open(struct survey *survey, const struct neap_arena *arena) {
    const struct neap_list *head = &arena->chunks;
    survey->count = 0;
    for (struct neap_list *node = head->next; node != head; node = node->next) survey->count++;
    survey->strips = neap_alloc_zeroed(survey->count * sizeof *survey->strips + arena->room / GRAIN);
    if (survey->strips == NULL) return false;
    struct strip *strip = survey->strips;
    uint8_t *bytes = (uint8_t *)(survey->strips + survey->count);
    for (struct neap_list *node = head->next; node != head; node = node->next) {
        strip->chunk = region_of(node);
        strip->map = bytes;
        bytes += strip->chunk->size / GRAIN;
        strip++;
    }
    qsort(survey->strips, survey->count, sizeof *survey->strips, compare_strips);
    survey->last = survey->strips;
    return true;
}

static struct strip *strip_of(struct survey *survey, const char *memory) {
    struct region *last = survey->last->chunk;
    if (memory >= memory_of(last) && memory < memory_of(last) + last->size) return survey->last;
    size_t low = 0, high = survey->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (memory < (char *)survey->strips[middle].chunk)
            high = middle;
        else
            low = middle;
    }
    return survey->last = &survey->strips[low];
}

static void note(struct survey *survey, void *memory, size_t size) {
    struct strip *strip = strip_of(survey, memory);
    uint8_t *at = strip->map + (size_t)((char *)memory - memory_of(strip->chunk)) / GRAIN;
    for (size_t left = size / GRAIN; left > 0;) {
        size_t piece = left < PIECE_MAX ? left : PIECE_MAX;
        NEAP_ASSERT(*at == 0, "arena 1: memory is free once");
        *at = (uint8_t)piece;
        at += piece;
        left -= piece;
    }
}

/* Notes all free memory; the lists are empty afterwards. Returns the bytes that were in spans. */
static size_t note_all(struct survey *survey, struct neap_arena *arena) {
    size_t in_spans = 0;
    set_span(arena, NULL, 0);
    for (size_t grains = 1; grains < CLASSES; grains++) {
        for (struct cell *cell = arena->free[grains]; cell != NULL; cell = cell->next)
            note(survey, cell, grains * GRAIN);
        arena->free[grains] = NULL;
    }
    for (struct span *span = arena->spans; span != NULL; span = span->next) {
        note(survey, span, span->size);
        in_spans += span->size;
    }
    arena->spans = NULL;
    return in_spans;
}

static size_t small_used(const struct neap_arena *arena) { return arena->used - arena->large; }

static bool is_spare(const struct neap_arena *arena, const struct region *chunk) {
    size_t rest = arena->room - chunk->size;
    return chunk != &arena->first && rest >= SURVEY_FROM && rest >= 2 * small_used(arena);
}

/* Gives a chunk's free memory back to the arena, neighbours merged, or the whole chunk to the system. Returns the bytes
 * that were in runs of use to any class. */
static size_t merge(struct neap_arena *arena, const struct strip *strip) {
    struct region *chunk = strip->chunk;
    size_t grains = chunk->size / GRAIN, gained = 0, start = 0;
    while (start < grains) {
        size_t end = start;
        while (end < grains && strip->map[end] != 0) end += strip->map[end];
        size_t size = (end - start) * GRAIN;
        if (size > SMALL_MAX) gained += size;
        if (size == chunk->size && is_spare(arena, chunk)) {
            neap_list_remove(&chunk->node);
            arena->room -= chunk->size;
            free_region(chunk);
            return gained;
        }
        give(arena, memory_of(chunk) + start * GRAIN, size);
        start = end + 1;
    }
    return gained;
}

static void reclaim(struct neap_arena *arena) {
    struct survey survey;
    size_t before = arena->room, found = 0;
    if (!survey_open(&survey, arena)) return;
    size_t known = note_all(&survey, arena);
    for (size_t i = 0; i < survey.count; i++) found += merge(arena, &survey.strips[i]);
    neap_free(survey.strips);
    bool gained_little = found - known < before / 8;
    arena->survey_from = gained_little ? arena->room + arena->room / 4 : SURVEY_FROM;
    arena->survey_below = small_used(arena) / 2;
}

static bool is_worth_survey(const struct neap_arena *arena) {
    size_t used = small_used(arena);
    return arena->room >= SURVEY_FROM && used <= arena->room / 2 &&
           (arena->room >= arena->survey_from || used <= arena->survey_below);
}

/* --- small blocks --- */

/* Makes the next larger free cell the current span. */
static bool open_cell(struct neap_arena *arena, size_t size) {
    for (size_t grains = size / GRAIN + 1; grains < CLASSES; grains++) {
        struct cell *cell = arena->free[grains];
        if (cell == NULL) continue;
        arena->free[grains] = cell->next;
        set_span(arena, (char *)cell, grains * GRAIN);
        return true;
    }
    return false;
}

/* Sees to it that the class's list has a cell or the current span has room. False: no memory. */
static bool refill(struct neap_arena *arena, size_t size) {
    if (arena->spans == NULL && is_worth_survey(arena)) reclaim(arena);
    struct span *span = arena->spans;
    if (span == NULL) return arena->free[size / GRAIN] != NULL || open_cell(arena, size) || new_chunk(arena);
    arena->spans = span->next;
    set_span(arena, (char *)span, span->size);
    return true;
}

static inline void *take(struct neap_arena *arena, size_t size) {
    struct cell **list = &arena->free[size / GRAIN];
    if (*list == NULL && (size_t)(arena->end - arena->bump) < size && !refill(arena, size)) return NULL;
    void *block = *list;
    if (block != NULL) {
        *list = (*list)->next;
    } else {
        block = arena->bump;
        arena->bump += size;
    }
    scribble(block, 0xA5, size);
    return block;
}

/* --- large blocks --- */

static struct region *large_of(void *block) { return (struct region *)block - 1; }

static void add_large(struct neap_arena *arena, struct region *region, size_t size) {
    region->size = size;
    neap_list_push_back(&arena->larges, &region->node);
    arena->large += size;
}

/* `new_size` is what it will have, 0 if it goes. */
static void remove_large(struct neap_arena *arena, struct region *region, size_t size, size_t new_size) {
    NEAP_ASSERT(region->size == size, "arena: a block comes back with the size that it was asked for");
    if (region->mapped && new_size < size && arena->map_from / 2 < size) arena->map_from = 2 * size; /* see GROWING */
    neap_list_remove(&region->node);
    arena->large -= size;
}

static void *new_large(struct neap_arena *arena, size_t size) {
    if (size > SIZE_MAX - sizeof(struct region)) return NULL;
    struct region *region = neap_alloc_from(NULL, sizeof *region + size);
    if (region == NULL) return NULL;
    region->mapped = false;
    add_large(arena, region, size);
    return memory_of(region);
}

/* A mapped copy of a block that grows; NULL: no memory. */
static struct region *map_grown(struct region *region, size_t old_size, size_t new_size) {
    struct region *moved = neap_map(mapped_size(new_size));
    if (moved == NULL) return NULL;
    memcpy(memory_of(moved), memory_of(region), old_size);
    neap_free(region);
    moved->mapped = true;
    return moved;
}

/* To `new_size` bytes, somewhere; NULL: it is as it was. */
static struct region *resize_region(const struct neap_arena *arena, struct region *region, size_t old_size,
                                    size_t new_size) {
    if (region->mapped) return neap_remap(region, mapped_size(old_size), mapped_size(new_size));
    if (new_size > old_size && new_size >= arena->map_from) return map_grown(region, old_size, new_size);
    return neap_realloc(region, sizeof *region + new_size);
}

static void *resize_large(struct neap_arena *arena, void *block, size_t old_size, size_t new_size) {
    struct region *region = large_of(block);
    if (new_size > SIZE_MAX - sizeof *region - GRAIN) return NULL;
    remove_large(arena, region, old_size, new_size);
    struct region *moved = resize_region(arena, region, old_size, new_size);
    if (moved == NULL && new_size > old_size) {
        add_large(arena, region, old_size);
        return NULL;
    }
    if (moved == NULL) moved = region;
    add_large(arena, moved, new_size);
    return memory_of(moved);
}

/* --- blocks of any size but 0 --- */

static inline void *obtain(struct neap_arena *arena, size_t size) {
    return size <= SMALL_MAX ? take(arena, rounded(size)) : new_large(arena, size);
}

static inline void release(struct neap_arena *arena, void *block, size_t size) {
    if (size <= SMALL_MAX) {
        scribble(block, 0x5A, rounded(size));
        give_cell(arena, block, rounded(size));
    } else {
        remove_large(arena, large_of(block), size, 0);
        free_region(large_of(block));
    }
}

/* Makes a block a small one where it stands. See SHRINKING. */
static void *cut(struct neap_arena *arena, void *block, size_t old_size, size_t new_size) {
    size_t room = rounded(old_size);
    if (old_size > SMALL_MAX) {
        struct region *chunk = large_of(block);
        remove_large(arena, chunk, old_size, new_size);
        room = chunk->size = chunk->mapped ? rounded(old_size) : old_size / GRAIN * GRAIN;
        add_chunk(arena, chunk);
    }
    give(arena, (char *)block + rounded(new_size), room - rounded(new_size));
    return block;
}

static void *resize(struct neap_arena *arena, void *block, size_t old_size, size_t new_size) {
    if (old_size > SMALL_MAX && new_size > SMALL_MAX) return resize_large(arena, block, old_size, new_size);
    if (old_size <= SMALL_MAX && rounded(old_size) == rounded(new_size)) return block;
    void *moved = obtain(arena, new_size);
    if (moved == NULL) return new_size < old_size ? cut(arena, block, old_size, new_size) : NULL;
    memcpy(moved, block, old_size < new_size ? old_size : new_size);
    release(arena, block, old_size);
    return moved;
}

/* --- the face --- */

static bool is_beyond_limit(const struct neap_arena *arena, size_t growth) {
    return arena->used > arena->limit || growth > arena->limit - arena->used;
}

void *neap_arena_alloc(void *ud, void *block, size_t old_size, size_t new_size) {
    struct neap_arena *arena = ud;
    if (block == NULL) old_size = 0;
    NEAP_ASSERT(old_size <= arena->used, "arena 4: no more comes back than was asked for");
    if (new_size == 0) {
        if (old_size > 0) release(arena, block, old_size);
        arena->used -= old_size;
        return NULL;
    }
    if (new_size > old_size && is_beyond_limit(arena, new_size - old_size)) return NULL;
    void *result = old_size == 0 ? obtain(arena, new_size) : resize(arena, block, old_size, new_size);
    if (result != NULL) arena->used += new_size - old_size;
    return result;
}

struct neap_arena *neap_arena_new(void) {
    size_t size = SMALL_MAX > 0 ? FIRST_SIZE : sizeof(struct neap_arena);
    struct neap_arena *arena = neap_alloc_from(NULL, size);
    if (arena == NULL) return NULL;
    memset(arena, 0, sizeof *arena);
    arena->limit = SIZE_MAX;
    arena->map_from = MAP_FROM;
    arena->survey_from = SURVEY_FROM;
    neap_list_init(&arena->chunks);
    neap_list_init(&arena->larges);
    arena->first.size = (size - sizeof *arena) / GRAIN * GRAIN;
    add_chunk(arena, &arena->first);
    set_span(arena, memory_of(&arena->first), arena->first.size);
    return arena;
}

void neap_arena_free(struct neap_arena *arena) {
    struct neap_list *node;
    while ((node = neap_list_pop_front(&arena->larges)) != NULL) free_region(region_of(node));
    neap_list_remove(&arena->first.node);
    while ((node = neap_list_pop_front(&arena->chunks)) != NULL) free_region(region_of(node));
    neap_free(arena);
}

size_t neap_arena_used(const struct neap_arena *arena) { return arena->used; }

size_t neap_arena_held(const struct neap_arena *arena) { return arena->room + arena->large; }

void neap_arena_limit(struct neap_arena *arena, size_t bytes) { arena->limit = bytes == 0 ? SIZE_MAX : bytes; }

void neap_arena_trim(struct neap_arena *arena) {
    if (is_worth_survey(arena)) reclaim(arena);
}
