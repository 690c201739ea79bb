/* memory: blocks of malloc, each with a record in front that says in whose quota it counts, so that
 * it can be given back anywhere. */
#include "core/memory.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/loop.h"

#ifndef MAP_POPULATE
#define MAP_POPULATE 0
#endif

/* Whoever asks is about to use all of it: a fault for each page would cost more than clearing it. */
static void *map(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void *remap(void *memory, size_t old_size, size_t new_size) {
#ifdef MREMAP_MAYMOVE
    void *moved = mremap(memory, old_size, new_size, MREMAP_MAYMOVE);
    return moved == MAP_FAILED ? NULL : moved;
#else
    void *moved = map(new_size);
    if (moved == NULL) return NULL;
    memcpy(moved, memory, old_size < new_size ? old_size : new_size);
    munmap(memory, old_size);
    return moved;
#endif
}

static void *map_file(int fd, size_t size, bool writable) {
    void *memory = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

#ifdef NEAP_CHECK

static _Thread_local long countdown = -1; /* allocations of this thread until one fails; negative: never */
static atomic_long live;                  /* relaxed: a statistic */

long neap_memory_fail_after(long after) {
    long left = countdown;
    countdown = after;
    return left;
}

long neap_memory_live(void) { return atomic_load_explicit(&live, memory_order_relaxed); }

static int must_fail(void) {
    if (countdown < 0) return 0;
    return countdown-- == 0;
}

static void count(long blocks) { atomic_fetch_add_explicit(&live, blocks, memory_order_relaxed); }

void *neap_map(size_t size) {
    void *memory = must_fail() ? NULL : map(size);
    if (memory != NULL) count(1);
    return memory;
}

void *neap_remap(void *memory, size_t old_size, size_t new_size) {
    return must_fail() ? NULL : remap(memory, old_size, new_size);
}

void *neap_map_file(int fd, size_t size, bool writable) {
    void *memory = must_fail() ? NULL : map_file(fd, size, writable);
    if (memory != NULL) count(1);
    return memory;
}

void neap_unmap(void *memory, size_t size) {
    count(-1);
    munmap(memory, size);
}

#else

static int must_fail(void) { return 0; }

static void count(long blocks) { (void)blocks; }

void *neap_map(size_t size) { return map(size); }

void *neap_remap(void *memory, size_t old_size, size_t new_size) { return remap(memory, old_size, new_size); }

void *neap_map_file(int fd, size_t size, bool writable) { return map_file(fd, size, writable); }

void neap_unmap(void *memory, size_t size) { munmap(memory, size); }

#endif

/* --- quotas --- */

struct neap_quota {
    _Atomic size_t used; /* bytes, and one for the owner: whoever makes it 0 frees the record. Acquire-release */
    size_t limit;        /* of used. Constant */
    _Atomic bool lifted; /* it does not hold for the moment. Relaxed */
};

struct neap_quota *neap_quota_new(size_t limit) {
    struct neap_quota *quota = must_fail() ? NULL : malloc(sizeof *quota);
    if (quota == NULL) return NULL;
    count(1);
    atomic_init(&quota->used, 1);
    quota->limit = limit < SIZE_MAX ? limit + 1 : limit;
    atomic_init(&quota->lifted, false);
    return quota;
}

void neap_quota_lift(struct neap_quota *quota, bool lifted) {
    if (quota != NULL) atomic_store_explicit(&quota->lifted, lifted, memory_order_relaxed);
}

bool neap_quota_take(struct neap_quota *quota, size_t size) {
    size_t used = atomic_load_explicit(&quota->used, memory_order_relaxed);
    size_t limit = atomic_load_explicit(&quota->lifted, memory_order_relaxed) ? SIZE_MAX : quota->limit;
    do {
        if (size > limit || used > limit - size) return false;
    } while (!atomic_compare_exchange_weak_explicit(&quota->used, &used, used + size, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void neap_quota_give(struct neap_quota *quota, size_t size) {
    if (atomic_fetch_sub_explicit(&quota->used, size, memory_order_acq_rel) != size) return;
    count(-1);
    free(quota);
}

void neap_quota_end(struct neap_quota *quota) {
    if (quota != NULL) neap_quota_give(quota, 1);
}

/* --- blocks --- */

/* In front of each. */
struct header {
    struct neap_quota *quota; /* that it counts in; NULL: in none */
    size_t size;              /* bytes, with this record */
};

_Static_assert(sizeof(struct header) % _Alignof(max_align_t) == 0, "what follows is aligned");

static struct header *header_of(void *block) { return (struct header *)block - 1; }

void *neap_alloc_from(struct neap_quota *quota, size_t size) {
    if (size > SIZE_MAX - sizeof(struct header) || must_fail()) return NULL;
    size += sizeof(struct header);
    if (quota != NULL && !neap_quota_take(quota, size)) return NULL;
    struct header *header = malloc(size);
    if (header == NULL) {
        if (quota != NULL) neap_quota_give(quota, size);
        return NULL;
    }
#ifdef NEAP_CHECK
    memset(header, 0xA5, size);
#endif
    count(1);
    header->quota = quota;
    header->size = size;
    return header + 1;
}

void *neap_alloc(size_t size) {
    const struct neap_loop *loop = neap_loop_here;
    return neap_alloc_from(loop == NULL ? NULL : loop->quota, size);
}

void *neap_realloc(void *block, size_t size) {
    if (block == NULL) return neap_alloc(size);
    if (size > SIZE_MAX - sizeof(struct header) || must_fail()) return NULL;
    struct header *header = header_of(block);
    struct neap_quota *quota = header->quota;
    size_t old_size = header->size, new_size = size + sizeof *header;
    bool grows = new_size > old_size;
    if (quota != NULL && grows && !neap_quota_take(quota, new_size - old_size)) return NULL;
    struct header *moved = realloc(header, new_size);
    if (moved != NULL) moved->size = new_size;
    if (quota != NULL && (moved != NULL) != grows) /* it has shrunk, or could not grow */
        neap_quota_give(quota, grows ? new_size - old_size : old_size - new_size);
    return moved == NULL ? NULL : moved + 1;
}

void neap_free(void *block) {
    if (block == NULL) return;
    struct header *header = header_of(block);
    struct neap_quota *quota = header->quota;
    size_t size = header->size;
    count(-1);
    free(header);
    if (quota != NULL) neap_quota_give(quota, size);
}

void *neap_alloc_zeroed(size_t size) {
    void *block = neap_alloc(size);
    if (block != NULL) memset(block, 0, size);
    return block;
}
