/* memory: where the engine's own objects come from. Out of memory is an ordinary error: NULL, and the caller unwinds.
 * The test build can make the n-th allocation of the process fail, so that every such path is walked. */
#ifndef NEAP_CORE_MEMORY_H
#define NEAP_CORE_MEMORY_H

#include <stddef.h>

void *neap_alloc(size_t size);
void *neap_alloc_zeroed(size_t size);
/* As realloc: NULL leaves `block` as it was. */
void *neap_realloc(void *block, size_t size);
void neap_free(void *block);

#ifdef NEAP_CHECK
/* Lets `after` further allocations of this thread succeed and fails the next one; negative: none fails. */
void neap_memory_fail_after(long after);
/* Blocks of this process that are allocated and not freed. */
long neap_memory_live(void);
#endif

#endif
