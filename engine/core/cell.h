/* cell: small pieces of shared memory: values, state words, claim words. Cells of a size lie together in one segment,
 * so that thousands of them cost one descriptor; a big one has a segment to itself.
 *
 * OWNERS     A process gives out cells of its own segments only, and alone knows which of them are free; another
 *            process is told {segment, offset} and finds the cell there (neap_cell_find). It is not asked when the
 *            owner frees the cell: who sends a cell away keeps it until the other side has let go.
 * ALIGNMENT  A cell is aligned to its size, rounded up to a power of two, up to a page. One of 64
 *            bytes has a cache line to itself.
 * THREADS    Any, for everything. */
#ifndef NEAP_CORE_CELL_H
#define NEAP_CORE_CELL_H

#include <stddef.h>
#include <stdint.h>

#include "core/segment.h"

struct neap_cells;
struct neap_chunk;

struct neap_cell {
    void *at;                     /* its bytes; constant */
    struct neap_segment *segment; /* where they lie; one reference. Constant */
    struct neap_chunk *chunk;     /* to be given back to; NULL: the cell is another process's. Constant */
};

/* Where cells come from; NULL: no memory. */
struct neap_cells *neap_cells_new(void);
/* The caller's end: none is asked for any more. Cells that are out stay good, and are freed as ever. */
void neap_cells_close(struct neap_cells *cells);

/* A cell of at least `size` bytes (at least 1), zeroed. NEAP_NOMEM or what the system said, as UV_EMFILE. */
int neap_cell_alloc(struct neap_cells *cells, size_t size, struct neap_cell *cell);
/* The `size` bytes at `offset` of a segment, whoever made them, at a multiple of
 * `alignment`; NEAP_RANGE: there are none. */
int neap_cell_find(struct neap_segment *segment, uint64_t offset, size_t size, size_t alignment,
                   struct neap_cell *cell);
/* Gives it up, however it was come by. */
void neap_cell_free(struct neap_cell *cell);

/* Has it a segment to itself, whoever has made it? One that just happens to be as large as
 * those that are shared is told no. */
bool neap_cell_is_alone(const struct neap_cell *cell);

static inline uint64_t neap_cell_offset(const struct neap_cell *cell) {
    return (uint64_t)((char *)cell->at - cell->segment->base);
}

#endif
