#include "core/mapped.h"

static bool has_mapping(const struct neap_mapped *mapped, const struct neap_class *class,
                        const struct neap_mapping *mapping) {
    return mapped->object.class == class && mapped->cell.segment->id == mapping->segment->id &&
           neap_cell_offset(&mapped->cell) == mapping->offset && mapped->shape[0] == mapping->shape[0] &&
           mapped->shape[1] == mapping->shape[1];
}

bool neap_mapped_is(const struct neap_object *original, const struct neap_class *class,
                    const struct neap_mapping *mapping) {
    return original->class == class && has_mapping((const struct neap_mapped *)original, class, mapping);
}

bool neap_mapped_are_same(const struct neap_mapped *one, const struct neap_mapped *other) {
    struct neap_mapping mapping;
    neap_mapped_tell(one, &mapping);
    return has_mapping(other, one->object.class, &mapping);
}

void neap_mapped_fini(struct neap_mapped *mapped) {
    neap_cell_free(&mapped->cell);
    if (mapped->original != NULL) neap_object_unref(mapped->original);
}
