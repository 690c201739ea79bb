/* handle: the methods that the handles of tasks and threads share. */
#ifndef NEAP_BINDINGS_HANDLE_H
#define NEAP_BINDINGS_HANDLE_H

#include <lua.h>

#include "bindings/box.h"
#include "sync/future.h"

extern const struct neap_binding neap_task_binding;
extern const struct neap_binding neap_task_job_binding;
extern const struct neap_binding neap_thread_binding;

/* The future of the task or thread at `index`, or NULL if something else is there. */
struct neap_future *neap_handle_test(lua_State *L, int index);

/* Pushes the running task's handle: a thread's where it is the thread's main task. */
int neap_handle_push_current(lua_State *L);

/* The task or thread at `index` has ended: pushes what it returned and returns how many values, or pushes the error it ended
 * with and returns -1. Takes note that somebody has seen it. */
int neap_handle_push_outcome(lua_State *L, int index);

#endif
