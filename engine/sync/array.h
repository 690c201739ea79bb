/* array: numbers of one type in shared memory, each operation on one of them atomic. A value is an array of one.
 *
 * Any thread, any process: there is no guard, see sync/scalar.h. Indexes count from 0 and are below the length. */
#ifndef NEAP_SYNC_ARRAY_H
#define NEAP_SYNC_ARRAY_H

#include "core/mapped.h"
#include "sync/scalar.h"

struct neap_array {
    struct neap_mapped mapped; /* its shape: the type, the length */
};

/* `length` zeros, at most PTRDIFF_MAX bytes; one reference. NEAP_NOMEM, or what the system said, as UV_EMFILE. */
int neap_array_new(struct neap_cells *cells, const struct neap_class *class, enum neap_type type, size_t length,
                   struct neap_array **array);

static inline enum neap_type neap_array_type(const struct neap_array *array) {
    return (enum neap_type)array->mapped.shape[0];
}

static inline size_t neap_array_length(const struct neap_array *array) { return (size_t)array->mapped.shape[1]; }

/* The element's place in memory. */
static inline void *neap_array_at(const struct neap_array *array, size_t index) {
    return (char *)array->mapped.cell.at + index * neap_types[neap_array_type(array)].size;
}

extern const struct neap_class neap_array_class;
extern const struct neap_class neap_value_class;

#endif
