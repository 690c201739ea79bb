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

/* A bound on memory, for what runs on one loop (loop->quota): whatever is allocated there counts in it until it is
 * given back, by whichever thread. Lua's own memory is taken and given in bytes. */
struct neap_quota;
struct neap_quota *neap_quota_new(size_t limit); /* NULL: no memory */
/* Its owner's: it goes when all that counts in it is gone. NULL: nothing. */
void neap_quota_end(struct neap_quota *quota);
/* TAKE: false when that would be too much. GIVE: what was taken. Any thread. */
bool neap_quota_take(struct neap_quota *quota, size_t size);
void neap_quota_give(struct neap_quota *quota, size_t size);
/* Own thread: from now on the bound does not hold, or holds again: for what the engine must get done. NULL: nothing. */
void neap_quota_lift(struct neap_quota *quota, bool lifted);
/* As neap_alloc, but in that quota; NULL: in none. */
void *neap_alloc_from(struct neap_quota *quota, size_t size);

/* Whole pages, zeroed, and present at once but for what remap adds. They really go back to the system when they are
 * given back: for large memory that comes and goes. */
void *neap_map(size_t size);
/* With another size: what was in it stays, as far as it goes, somewhere. NULL: no memory, and all is as it was; when it
 * is to become smaller the rest just stays mapped then. Not for files. */
void *neap_remap(void *memory, size_t old_size, size_t new_size);
/* The first `size` bytes of the file `fd`, shared with whoever has them mapped too. Unmapped like the others. */
void *neap_map_file(int fd, size_t size, bool writable);
/* `size` is the one that was asked for. */
void neap_unmap(void *memory, size_t size);

#ifdef NEAP_CHECK
/* Lets `after` further allocations of this thread succeed and fails the next one; negative: none fails. What was left
 * of the last such order: negative when it has been carried out. */
long neap_memory_fail_after(long after);
/* Blocks of this process that are allocated and not freed, mapped ones included. */
long neap_memory_live(void);
#endif

#endif
