#include "core/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *map(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void *map_file(int fd, size_t size, bool writable) {
    void *memory = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

#ifdef NEAP_CHECK

static _Thread_local long countdown = -1; /* allocations of this thread until one fails; negative: never */
static atomic_long live;                  /* relaxed: a statistic */

void neap_memory_fail_after(long after) { countdown = after; }

long neap_memory_live(void) { return atomic_load_explicit(&live, memory_order_relaxed); }

static int must_fail(void) {
    if (countdown < 0) return 0;
    return countdown-- == 0;
}

void *neap_alloc(size_t size) {
    void *block = must_fail() ? NULL : malloc(size);
    if (block != NULL) {
        memset(block, 0xA5, size);
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    }
    return block;
}

void *neap_realloc(void *block, size_t size) {
    if (block == NULL) return neap_alloc(size);
    return must_fail() ? NULL : realloc(block, size);
}

void neap_free(void *block) {
    if (block != NULL) atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    free(block);
}

void *neap_map(size_t size) {
    void *memory = must_fail() ? NULL : map(size);
    if (memory != NULL) atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return memory;
}

void *neap_map_file(int fd, size_t size, bool writable) {
    void *memory = must_fail() ? NULL : map_file(fd, size, writable);
    if (memory != NULL) atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return memory;
}

void neap_unmap(void *memory, size_t size) {
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    munmap(memory, size);
}

#else

void *neap_alloc(size_t size) { return malloc(size); }

void *neap_realloc(void *block, size_t size) { return realloc(block, size); }

void neap_free(void *block) { free(block); }

void *neap_map(size_t size) { return map(size); }

void *neap_map_file(int fd, size_t size, bool writable) { return map_file(fd, size, writable); }

void neap_unmap(void *memory, size_t size) { munmap(memory, size); }

#endif

void *neap_alloc_zeroed(size_t size) {
    void *block = neap_alloc(size);
    if (block != NULL) memset(block, 0, size);
    return block;
}
