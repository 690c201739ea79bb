/* bytes: what scripts call a buffer: memory that threads and processes read and write
 * without a copy, until it is sealed.
 *
 * A view is a part of another one's bytes, and keeps that alive. Any thread, any process. Nothing keeps
 * two from writing to the same place at the same moment, which leaves a mix; who shares bytes that
 * change says by other means when. */
#ifndef NEAP_SYNC_BYTES_H
#define NEAP_SYNC_BYTES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/mapped.h"

struct neap_bytes {
    /* Its cell begins with a head; its shape: length, place of the first byte behind the head */
    struct neap_mapped mapped;
    struct neap_bytes *root; /* the one that this is a view of, by mapped.original; or itself. Constant */
    atomic_uint writers;     /* of a root that shares its segment: threads of this process that are writing */
};

/* `length` zeros; one reference. NEAP_NOMEM, or what the system said, as UV_EMFILE. */
int neap_bytes_new(struct neap_cells *cells, size_t length, struct neap_bytes **bytes);
/* A view of `length` bytes from `start` on, which lie inside; NULL: no memory. */
struct neap_bytes *neap_bytes_view(struct neap_bytes *bytes, size_t start, size_t length);

static inline size_t neap_bytes_length(const struct neap_bytes *bytes) { return (size_t)bytes->mapped.shape[0]; }

/* The first of its bytes. To be written to only between begin and end. */
char *neap_bytes_at(const struct neap_bytes *bytes);

/* False: it is sealed. True: it is not, until neap_bytes_end_writing, which must follow in no time. */
bool neap_bytes_begin_writing(struct neap_bytes *bytes);
void neap_bytes_end_writing(struct neap_bytes *bytes);

/* From now on nobody writes to any part of what this is a part of. A write that another process has begun may still
 * come to its end. Waits for those of this process. Idempotent. */
void neap_bytes_seal(struct neap_bytes *bytes);
bool neap_bytes_is_sealed(const struct neap_bytes *bytes);

extern const struct neap_class neap_bytes_class;

#endif
