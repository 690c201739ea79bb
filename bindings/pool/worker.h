/* worker: what does the work of a pool. The essay is in worker.c. */
#ifndef NEAP_BINDINGS_POOL_WORKER_H
#define NEAP_BINDINGS_POOL_WORKER_H

#include <lua.h>

#include "bindings/task/task.h"

/* For the Lua half: worker(pool, id, count, extra) -> worker. `id` is its number in the pool. After `count` pieces of
 * work it wants no more; 0: it always does. `extra(runner)` is spawned for each further runner that is needed.
 *   worker:runner()               a runner: runner:step() waits for work and does it; false: there is none any more
 *   worker:listen()               waits for something that the worker is asked, and sees to it;
 *                                 false: there is nothing any more
 *   worker:give_up(err, traceback)  it cannot be made ready: the pool is broken
 * A to-be-closed value: from then on it has no part in its pool. */
int neap_worker_open(lua_State *L);

/* For the Lua half: (fn, ...) -> what it returns. Tracebacks end with it, as those of work do. */
int neap_worker_call(lua_State *L);

/* What the work of a map is: (function, items, count, spread, collect) -> results [, errors]. Calls
 * the function for each item, with the item's elements as arguments where `spread` is true. Where
 * `collect` is true errors do not end it. */
int neap_worker_map(lua_State *L);

/* The running task, whose `pool` is set, is parked in a wait: if that is for its own pool,
 * another runner takes work meanwhile. */
void neap_worker_lend(lua_State *L, struct neap_task *task);
/* That wait is over. */
void neap_worker_take_back(struct neap_task *task);

#endif
