/* memory: where the engine's own objects come from. Out of memory is an ordinary error: NULL, and the caller unwinds.
 * The test build can make the n-th allocation of the process fail, so that every such path is walked. */
#ifndef NEAP_CORE_MEMORY_H
#define NEAP_CORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void *neap_alloc(size_t size);
void *neap_alloc_zeroed(size_t size);
/* As realloc: NULL leaves `block` as it was. */
void *neap_realloc(void *block, size_t size);
void neap_free(void *block);

/* Whole pages, zeroed, that really go back to the system when they are given back: for large memory that comes and goes. */
void *neap_map(size_t size);
/* The first `size` bytes of the file `fd`, shared with whoever has them mapped too. Unmapped like the others. */
void *neap_map_file(int fd, size_t size, bool writable);
/* `size` is the one that was asked for. */
void neap_unmap(void *memory, size_t size);

#ifdef NEAP_CHECK
/* Lets `after` further allocations of this thread succeed and fails the next one; negative: none fails. */
void neap_memory_fail_after(long after);
/* Blocks of this process that are allocated and not freed, mapped ones included. */
long neap_memory_live(void);
#endif

#endif
