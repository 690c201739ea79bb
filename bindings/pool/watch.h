/* watch: the ends of many tasks and threads, in the order in which they come. What gather, race,
 * wait and as_completed are made of. */
#ifndef NEAP_BINDINGS_POOL_WATCH_H
#define NEAP_BINDINGS_POOL_WATCH_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/object.h"

/* For the Lua half: watch(list, function) -> watch, handles. The handles are those of `list`, with objects of the class
 * form replaced by theirs. Raises "bad argument #1 to 'function' ..." in the name of what called the function.
 *   watch:wait(condition[, timeout])  true; nil, "timeout", "timeout". Conditions: "next" (one has ended that next has
 *                                     not told, or none is left), "first", "all"; "failure" (a first failure, or the
 *                                     end of all), "trouble" (a first failure or cancellation, or the end of all)
 *   watch:next()                      the index of the one that ended next; nil: none has
 *   watch:trouble()                   the index of the first one that failed or was cancelled; nil: none was
 * A to-be-closed value: from then on nobody is watched. */
int neap_watch_open(lua_State *L);

/* Is `object` a watch over futures of this pool? */
bool neap_watch_is_for_pool(const struct neap_object *object, uint32_t pool);

#endif
