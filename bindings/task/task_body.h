/* task_body: what runs in a task's coroutine, and what comes out of it. The essay is in task_body.c. */
#ifndef NEAP_BINDINGS_TASK_TASK_BODY_H
#define NEAP_BINDINGS_TASK_TASK_BODY_H

#include "bindings/task/task.h"

/* --- the thread of the task's state --- */

/* What runs at the base of a task's coroutine; called as seat.h says. */
int neap_task_main(lua_State *L);

/* The task whose box is at `box` has ended, with `count` values from `first` on (the last ones of L), or with an error
 * there. Raises when out of memory: then it has not, or has told of it already. */
void neap_task_finish(lua_State *L, int box, int first, int count, int status);

/* Gives the job of an ended task its outcome, so that it looks to other threads as the task does here. May raise. */
void neap_task_end_job(lua_State *L, struct neap_task *task, struct neap_job *job, int box);

/* Pushes what the ended task, whose box is at `box`, returned, or its error; returns how many values. */
int neap_task_push_values(lua_State *L, const struct neap_task *task, int box);

/* It has ended, or never will go on: its scope is told, if it belongs to one. */
void neap_task_leave_scope(struct neap_task *task, bool failed);

#endif
