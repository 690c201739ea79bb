/* bytes: a cell with a head, which tells every process whether the rest is sealed.
 *
 * SEALING     The head's flag is what everybody obeys. Who writes counts itself, then looks at the flag; who seals
 *             sets the flag, then waits until nobody is counted. Both are sequentially consistent, so one of them
 *             sees the other. (A writer of another process is not counted: it may be killed.) What has a segment to
 *             itself is then made read-only by the system too, which keeps out whoever maps it later, and other
 *             libraries of this process. Its writers are counted in the segment, by whatever record they have come:
 *             one that got away would fault. */
#include "sync/bytes.h"

#include <sched.h>

#include "core/error.h"
#include "core/guard.h"
#include "core/memory.h"

enum { HEAD_SIZE = 64, SPINS = 1000 };

struct head {
    _Atomic bool is_sealed; /* never unset */
};

_Static_assert(sizeof(struct head) <= HEAD_SIZE, "the bytes begin at a cache line");

static struct head *head_of(const struct neap_bytes *bytes) { return bytes->mapped.cell.at; }

char *neap_bytes_at(const struct neap_bytes *bytes) {
    return (char *)bytes->mapped.cell.at + HEAD_SIZE + bytes->mapped.shape[1];
}

/* --- life --- */

/* A record, its cell to be filled in. `original`: NULL, or what keeps the bytes. */
static struct neap_bytes *make(uint64_t length, uint64_t start, struct neap_object *original) {
    struct neap_bytes *bytes = neap_alloc(sizeof *bytes);
    if (bytes == NULL) return NULL;
    neap_object_init(&bytes->mapped.object, &neap_bytes_class);
    bytes->mapped.shape[0] = length;
    bytes->mapped.shape[1] = start;
    bytes->mapped.original = original != NULL ? neap_object_ref(original) : NULL;
    bool is_view = original != NULL && original->class == &neap_bytes_class;
    bytes->root = is_view ? ((struct neap_bytes *)original)->root : bytes;
    atomic_init(&bytes->writers, 0);
    return bytes;
}

static void unmake(struct neap_bytes *bytes) {
    if (bytes->mapped.original != NULL) neap_object_unref(bytes->mapped.original);
    neap_free(bytes);
}

int neap_bytes_new(struct neap_cells *cells, size_t length, struct neap_bytes **bytes) {
    if (length > SIZE_MAX - HEAD_SIZE) return NEAP_NOMEM;
    struct neap_bytes *made = make(length, 0, NULL);
    if (made == NULL) return NEAP_NOMEM;
    int code = neap_cell_alloc(cells, HEAD_SIZE + length, &made->mapped.cell);
    if (code < 0) {
        unmake(made);
        return code;
    }
    atomic_init(&head_of(made)->is_sealed, false);
    *bytes = made;
    return 0;
}

struct neap_bytes *neap_bytes_view(struct neap_bytes *bytes, size_t start, size_t length) {
    struct neap_object *root = &bytes->root->mapped.object;
    neap_object_share(root); /* it may be with the view alone, in another thread */
    struct neap_bytes *view = make(length, bytes->mapped.shape[1] + start, root);
    if (view == NULL) return NULL;
    const struct neap_cell *cell = &bytes->mapped.cell;
    if (neap_cell_find(cell->segment, neap_cell_offset(cell), HEAD_SIZE, HEAD_SIZE, &view->mapped.cell) == 0)
        return view;
    unmake(view);
    return NULL;
}

static int adopt(const struct neap_class *class, const struct neap_mapping *mapping, struct neap_object *original,
                 struct neap_object **object) {
    uint64_t length = mapping->shape[0], start = mapping->shape[1], size = mapping->segment->size;
    if (neap_mapped_is(original, class, mapping)) {
        *object = neap_object_ref(original);
        return 0;
    }
    if (length > size || start > size - length) return NEAP_RANGE;
    struct neap_bytes *bytes = make(length, start, original);
    if (bytes == NULL) return NEAP_NOMEM;
    int code =
        neap_cell_find(mapping->segment, mapping->offset, HEAD_SIZE + start + length, HEAD_SIZE, &bytes->mapped.cell);
    if (code < 0)
        unmake(bytes);
    else
        *object = &bytes->mapped.object;
    return code;
}

static void destroy(struct neap_object *object) {
    struct neap_bytes *bytes = (struct neap_bytes *)object;
    neap_mapped_fini(&bytes->mapped);
    neap_free(bytes);
}

/* --- writing and sealing --- */

static atomic_uint *writers_of(const struct neap_bytes *bytes) {
    return neap_cell_is_alone(&bytes->mapped.cell) ? &bytes->mapped.cell.segment->writers : &bytes->root->writers;
}

bool neap_bytes_begin_writing(struct neap_bytes *bytes) {
    atomic_fetch_add(writers_of(bytes), 1); /* see SEALING */
    if (!atomic_load(&head_of(bytes)->is_sealed)) return true;
    neap_bytes_end_writing(bytes);
    return false;
}

void neap_bytes_end_writing(struct neap_bytes *bytes) {
    /* who seals sees what was written */
    atomic_fetch_sub_explicit(writers_of(bytes), 1, memory_order_release);
}

void neap_bytes_seal(struct neap_bytes *bytes) {
    const atomic_uint *writers = writers_of(bytes);
    if (neap_bytes_is_sealed(bytes)) return;
    atomic_store(&head_of(bytes)->is_sealed, true); /* see SEALING */
    for (int i = 0; atomic_load(writers) != 0; i++) {
        if (i < SPINS)
            neap_relax();
        else
            sched_yield();
    }
    if (neap_cell_is_alone(&bytes->mapped.cell))
        (void)neap_segment_seal(bytes->mapped.cell.segment); /* if it cannot be, the flag remains */
}

bool neap_bytes_is_sealed(const struct neap_bytes *bytes) {
    return atomic_load_explicit(&head_of(bytes)->is_sealed, memory_order_acquire);
}

const struct neap_class neap_bytes_class = {.name = "buffer", .destroy = destroy, .adopt = adopt};
