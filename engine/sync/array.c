#include "sync/array.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"

enum { CACHE_LINE = 64 }; /* values that are used at once by several processors do not share one */

/* A record, its cell and original to be filled in. */
static struct neap_array *make(const struct neap_class *class, uint64_t type, uint64_t length) {
    struct neap_array *array = neap_alloc(sizeof *array);
    if (array == NULL) return NULL;
    neap_object_init(&array->mapped.object, class);
    array->mapped.shape[0] = type;
    array->mapped.shape[1] = length;
    array->mapped.original = NULL;
    return array;
}

int neap_array_new(struct neap_cells *cells, const struct neap_class *class, enum neap_type type, size_t length,
                   struct neap_array **array) {
    NEAP_ASSERT(length <= PTRDIFF_MAX / neap_types[type].size, "an array fits into memory");
    struct neap_array *made = make(class, type, length);
    if (made == NULL) return NEAP_NOMEM;
    size_t size = length * neap_types[type].size;
    int code = neap_cell_alloc(cells, size < CACHE_LINE ? CACHE_LINE : size, &made->mapped.cell);
    if (code < 0)
        neap_free(made);
    else
        *array = made;
    return code;
}

/* Of a mapping that another process told us of. */
static int adopt(const struct neap_class *class, const struct neap_mapping *mapping, struct neap_object *original,
                 struct neap_object **object) {
    uint64_t type = mapping->shape[0], length = mapping->shape[1];
    if (neap_mapped_is(original, class, mapping)) {
        *object = neap_object_ref(original);
        return 0;
    }
    if (type >= NEAP_TYPE_COUNT || length > mapping->segment->size) return NEAP_RANGE;
    size_t size = neap_types[type].size;
    struct neap_array *array = make(class, type, length);
    if (array == NULL) return NEAP_NOMEM;
    int code = neap_cell_find(mapping->segment, mapping->offset, length * size, size, &array->mapped.cell);
    if (code < 0) {
        neap_free(array);
        return code;
    }
    array->mapped.original = neap_object_ref(original);
    *object = &array->mapped.object;
    return 0;
}

static void destroy(struct neap_object *object) {
    struct neap_array *array = (struct neap_array *)object;
    neap_mapped_fini(&array->mapped);
    neap_free(array);
}

const struct neap_class neap_array_class = {.name = "array", .destroy = destroy, .adopt = adopt};

const struct neap_class neap_value_class = {.name = "value", .destroy = destroy, .adopt = adopt};
