/* arena: the memory of one Lua state. Small blocks come from chunks by size class, without a lock and without headers;
 * large ones from malloc. It counts what is in use and can limit it. Used by one thread at a time. */
#ifndef NEAP_CORE_ARENA_H
#define NEAP_CORE_ARENA_H

#include <stddef.h>

struct neap_arena;

/* NULL: no memory. */
struct neap_arena *neap_arena_new(void);
/* Frees everything that was allocated from it, in a few calls. */
void neap_arena_free(struct neap_arena *arena);

/* A lua_Alloc; `ud` is the arena. Shrinking never fails. */
void *neap_arena_alloc(void *ud, void *block, size_t old_size, size_t new_size);

/* Bytes in use, as Lua counts them. */
size_t neap_arena_used(const struct neap_arena *arena);
/* 0: no limit. Growing beyond it fails, which Lua answers with a full collection and one more try. */
void neap_arena_limit(struct neap_arena *arena, size_t bytes);

#endif
