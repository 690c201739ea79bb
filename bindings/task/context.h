/* context: what a task says of itself to all that it starts: one value, which is handed on when a task, a thread or a
 * process is spawned. Tasks of one state share it, so it is not to be changed, but replaced; others get a copy. */
#ifndef NEAP_BINDINGS_TASK_CONTEXT_H
#define NEAP_BINDINGS_TASK_CONTEXT_H

#include <lua.h>

#include "core/message.h"

struct neap_task;

/* context() -> that of the running task, nil if it has none; set_context(value). */
int neap_context_get(lua_State *L);
int neap_context_set(lua_State *L);

/* Gives the running task's to the new task whose box is on top of the stack. */
void neap_context_hand_on(lua_State *L, struct neap_task *task);

/* The running task's, for another thread or process; empty if it has none. Raises when it cannot be sent. */
void neap_context_encode(lua_State *L, struct neap_message *message);
/* There: makes it the running task's. */
void neap_context_decode(lua_State *L, const struct neap_message *message);

#endif
