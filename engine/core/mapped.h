/* mapped: objects whose state lies in shared memory, so that each process works on it directly instead
 * of asking the one that made it.
 *
 * MODEL      Such an object is a record in private memory that knows where the state is: a cell, and two numbers that
 *            its class understands. Where one is sent to another process, {segment, offset, shape} travels, and there
 *            `adopt` makes a record of the same class for the same bytes.
 * LIFETIME   The bytes are given out by one process, which must not use them for something else while another one has
 *            them. So each record but the first has an `original`: an object whose being referred to keeps the bytes in
 *            place. In the process that made them that is the first record (of which this is a part, as a slice of a
 *            buffer); in another one the proxy of it, whose end tells the other side. When that process has died the
 *            bytes stay, and nobody gives them out again.
 * SENDING    What is sent of an object is its mapping and a reference to its original, or to itself if it has none. */
#ifndef NEAP_CORE_MAPPED_H
#define NEAP_CORE_MAPPED_H

#include "core/cell.h"
#include "core/object.h"

struct neap_mapped {
    struct neap_object object;    /* its class has an `adopt` */
    struct neap_cell cell;        /* constant */
    uint64_t shape[2];            /* constants of the class's own: a type, a length */
    struct neap_object *original; /* see LIFETIME: one reference, or NULL. Constant */
};

/* What another process is told; `segment` is not counted. */
struct neap_mapping {
    struct neap_segment *segment;
    uint64_t offset;
    uint64_t shape[2];
};

static inline void neap_mapped_tell(const struct neap_mapped *mapped, struct neap_mapping *mapping) {
    mapping->segment = mapped->cell.segment;
    mapping->offset = neap_cell_offset(&mapped->cell);
    mapping->shape[0] = mapped->shape[0];
    mapping->shape[1] = mapped->shape[1];
}

/* Whom a reference is sent to together with the mapping. */
static inline struct neap_object *neap_mapped_original(struct neap_mapped *mapped) {
    return mapped->original != NULL ? mapped->original : &mapped->object;
}

/* For `adopt`: is it just what `original` maps? Then that one is meant. */
bool neap_mapped_is(const struct neap_object *original, const struct neap_class *class,
                    const struct neap_mapping *mapping);
/* Do both stand for the same bytes, though they may have come on different ways? */
bool neap_mapped_are_same(const struct neap_mapped *one, const struct neap_mapped *other);

/* For `destroy`: lets go of cell and original. */
void neap_mapped_fini(struct neap_mapped *mapped);

#endif
