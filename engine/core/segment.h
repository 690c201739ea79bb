/* segment: a piece of memory that processes share.
 *
 * MODEL      A file without a name (memfd), mapped whole. The descriptor is kept, so that it can be handed to
 *            another process, which makes a segment of its own from it: same bytes, another address. So nothing
 *            that lies in a segment may point.
 * LIFETIME   A segment is counted within its process. The bytes belong to the system: they live until the last process
 *            that has them mapped or holds their descriptor lets go or dies, in whatever order.
 * SIZE       Never changes: the file is sealed against it, or is not accepted. So who stays within `size` cannot fault,
 *            whatever the other side does.
 * NAMES      `id` is the same in every process that shares it, and random, so that no two are alike.
 * THREADS    Any, for everything. What lies in it is the business of who put it there. */
#ifndef NEAP_CORE_SEGMENT_H
#define NEAP_CORE_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct neap_segment {
    char *base;  /* page-aligned; constant */
    size_t size; /* bytes from base; constant */
    uint64_t id; /* see NAMES; constant */
    int fd;      /* closed on exec; to be sent, not to be closed. Constant; -1 once detached */
    atomic_uint refs;
    atomic_uint writers;    /* threads of this process that write where sealing would stop them; see sync/bytes.c */
    _Atomic bool is_sealed; /* this process cannot write to it any more; release, acquire. Never unset */
};

/* `size` bytes (at least 1), zeroed; one reference. Also as much memory as the machine does not have is NEAP_NOMEM;
 * else what the system said, as UV_EMFILE. */
int neap_segment_new(size_t size, struct neap_segment **segment);

/* What another process made and called `id`: `fd` is the segment's from then on, on success only. UV_EINVAL: it is no
 * such file, or could shrink under us. */
int neap_segment_from_fd(int fd, uint64_t id, struct neap_segment **segment);

/* Gives the descriptor up, which nobody is going to send or seal any more; the memory stays. */
void neap_segment_detach(struct neap_segment *segment);

struct neap_segment *neap_segment_ref(struct neap_segment *segment);
void neap_segment_unref(struct neap_segment *segment);

/* From now on this process faults on writing to it, and nobody who maps it later can write. Who had it mapped before
 * still can. The caller sees to it that no thread of this process is writing. Idempotent; fails with what the system
 * said, and has then changed nothing. */
int neap_segment_seal(struct neap_segment *segment);

static inline bool neap_segment_is_sealed(const struct neap_segment *segment) {
    return atomic_load_explicit(&segment->is_sealed, memory_order_acquire);
}

/* The address of `size` bytes at `offset`, for numbers that came from elsewhere; NULL if they do not lie inside, or
 * not at a multiple of `alignment`. */
static inline void *neap_segment_at(const struct neap_segment *segment, uint64_t offset, uint64_t size,
                                    uint64_t alignment) {
    if (offset > segment->size || size > segment->size - offset || offset % alignment != 0) return NULL;
    return segment->base + offset;
}

#endif
