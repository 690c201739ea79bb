/* arena: the memory of one Lua state. Small blocks come from chunks by size class, without a lock and without headers;
 * large ones from malloc. It counts what is in use and can limit it. Used by one thread at a time.
 * Where AddressSanitizer watches, every block is one of malloc's, so that it sees each. */
#ifndef NEAP_CORE_ARENA_H
#define NEAP_CORE_ARENA_H

#include <stddef.h>

struct neap_arena;

/* NULL: no memory. */
struct neap_arena *neap_arena_new(void);
/* Frees everything that was allocated from it, in a few calls. */
void neap_arena_free(struct neap_arena *arena);

/* A lua_Alloc; `ud` is the arena. Blocks are aligned to 16 bytes. Shrinking never fails, nor does giving back. The size
 * that a block was asked for with must come back as `old_size`; for a new block `old_size` says nothing. */
void *neap_arena_alloc(void *ud, void *block, size_t old_size, size_t new_size);

/* Bytes in use, as Lua counts them. */
size_t neap_arena_used(const struct neap_arena *arena);
/* Bytes taken from the system, in use or not. */
size_t neap_arena_held(const struct neap_arena *arena);
/* 0: no limit. Growing beyond it fails, which Lua answers with a full collection and one more try. It bounds what is
 * used, not what is held. Below what is in use already: allowed, and nothing grows until enough was given back. */
void neap_arena_limit(struct neap_arena *arena, size_t bytes);
/* Gives chunks back to the system that hold nothing, if much of what is held is not in use; else returns at once. */
void neap_arena_trim(struct neap_arena *arena);

#endif
