/* pool: the handle of a pool. What can be written in Lua is in scripts/neap/pool.lua and worker.lua. */
#ifndef NEAP_BINDINGS_POOL_POOL_H
#define NEAP_BINDINGS_POOL_POOL_H

#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>

#include "core/object.h"

/* What a pool is known by in all processes, and the pool of a future; of what is no future of a pool: 0. */
uint32_t neap_pool_tag(struct neap_object *object);
uint32_t neap_pool_tag_of_future(struct neap_object *object);

/* "?" when its process has gone. */
void neap_pool_push_name(lua_State *L, struct neap_object *pool);

/* For the Lua half: (pool, batch, fn, ...) -> future. As pool:submit, but its failure is the caller's concern, and it
 * is of a series that the caller has begun. `batch`: nil; true, it is the first of a batch; or the future of that one,
 * and then it returns nil once one has failed. */
int neap_pool_submit_quiet(lua_State *L);
/* The same: (pool, fn, ...) -> call, which takes the place of fn, ... in submit. */
int neap_pool_encode(lua_State *L);
/* (list, count) -> copy, plain: a table without its metatable, and whether all its items are such that there is nothing
 * in them which cannot be sent; or nil, and what it is instead of a list of that length: "a table with the key 'x'" */
int neap_pool_copy(lua_State *L);
/* (value) -> nothing if it can be a list of items, else what it is instead: "a table with the key 'x'" */
int neap_pool_why_no_list(lua_State *L);
/* (table) -> how many arguments it holds; or nil, what it is instead of a list */
int neap_pool_count_arguments(lua_State *L);

/* The same, of supervisor.c:
 *   open(kind, workers, limit, name) -> pool   without workers yet
 *   keep(pool) -> keeper                       a to-be-closed value: the pool ends with it, or when it is collected
 *   bury(pool, id, how[, err, traceback])      the worker of this number has ended; how: "done", "failed", "cancelled",
 *                                              or "exited": it was to end, but what it ran fails
 *   give_up(pool, err)                         no worker can be started: the pool is broken
 *   wants_workers(pool) -> boolean
 *   promise(pool, task) -> future, promise     what that task will fulfil; a to-be-closed value: else it was cancelled
 *   fulfil(promise, how, ...)                  with results, or an error and a traceback
 *   begin(pool) -> series                      until it is closed or collected the pool takes what submit is given;
 *                                              nothing: the pool is closed
 *   await_haste(pool)                          waits until somebody waits for the end of the pool
 *   methods() -> table                         the methods of pools */
extern const luaL_Reg neap_pool_internals[];

#endif
