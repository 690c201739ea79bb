/* inspect: what the tasks of all states do, as tables. */
#ifndef NEAP_BINDINGS_REPORT_INSPECT_H
#define NEAP_BINDINGS_REPORT_INSPECT_H

#include <lua.h>

/* For the Lua half, which makes neap.inspect of them. Questions:
 *   "tasks"         {thread =, id =, tasks = {{id =, name =, status =, since =, waits_for =, at =, daemon =,
 *                   holds = {...}}, ...}, more =}
 *   "stack", id     the stack of the task of that id, as text; nil: it is not of this state
 *   "cancel", id    asks it to stop: did that, or false; nil likewise
 *
 * inspect_here(question[, id]) -> the answer of this state inspect_others(queue, question[, id]) -> count: how many
 * other states have been asked. Each puts its answer, or neap.null, into the queue once its thread comes to it; one
 * that runs what cannot be interrupted does not. */
int neap_inspect_here(lua_State *L);
int neap_inspect_others(lua_State *L);

#endif
