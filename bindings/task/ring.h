/* ring: tasks that wait for each other's locks are reported, by name, when the last one of them parks. */
#ifndef NEAP_BINDINGS_TASK_RING_H
#define NEAP_BINDINGS_TASK_RING_H

#include <stdbool.h>

#include "bindings/task/task.h"
#include "core/list.h"

/* The task holds nothing: neither of these need be called. */
static inline bool neap_ring_is_out_of(const struct neap_task *task) { return task->wait.own.held == NULL; }

/* The task, which runs in L, is parked and about to be suspended. */
void neap_ring_enter(lua_State *L, struct neap_task *task);
/* Its wait was claimed; before neap_wait_end. */
void neap_ring_leave(struct neap_task *task);

#endif
