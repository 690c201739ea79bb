/* task_job: a task as other threads see it. See task_job.c. For the thread of the task's state. */
#ifndef NEAP_BINDINGS_TASK_TASK_JOB_H
#define NEAP_BINDINGS_TASK_TASK_JOB_H

#include "bindings/task/task.h"

/* The job of the task whose box is at `box`, made on the first call. Raises when out of memory.
 * Borrowed: the box keeps it. */
struct neap_job *neap_task_job(lua_State *L, int box);

/* From now on `job`, which has been made for it, is the task's. */
void neap_task_adopt(struct neap_task *task, struct neap_job *job);

/* Writes its name: given, or "task-7". */
void neap_task_get_name(lua_State *L, int box, char name[NEAP_JOB_NAME_MAX + 1]);

/* Is the task whose box is at `box` one of neap.timer or neap.every? */
bool neap_task_is_endless(lua_State *L, int box);

#endif
