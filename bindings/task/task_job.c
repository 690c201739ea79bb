/* task_job: a task as other threads see it.
 *
 * MODEL      Its job (host/job.h) is made when the handle is first sent, or before it where it is a thread's first.
 *            It has what they may ask for: name, state, whether it waits, the cancel. What happened to it before is
 *            copied; from then on it is told there, too. */
#include "bindings/task/task_job.h"

#include <lauxlib.h>
#include <stdio.h>

#include "bindings/task/task_body.h"
#include "host/engine.h"

/* A cancel from another thread has arrived. */
static void cancel_arrived(struct neap_job *job) {
    struct neap_task *task = job->task;
    if (task->flags & NEAP_TASK_CANCELLED) return;
    task->flags |= NEAP_TASK_CANCELLED;
    neap_task_interrupt(task);
}

void neap_task_adopt(struct neap_task *task, struct neap_job *job) {
    job->task = task;
    job->on_cancel = cancel_arrived;
    task->job = job;
    atomic_signal_fence(memory_order_release); /* the slice's signal looks at it */
    task->flags |= NEAP_TASK_KNOWN;
}

bool neap_task_is_endless(lua_State *L, int box) {
    const struct neap_task *task = lua_touserdata(L, box);
    int top = lua_gettop(L);
    if (task->flags & NEAP_TASK_TIMER) return true;
    bool endless = neap_task_push_extras(L, box, false) && lua_getfield(L, -1, "endless") == LUA_TBOOLEAN;
    lua_settop(L, top);
    return endless;
}

struct neap_job *neap_task_job(lua_State *L, int box) {
    struct neap_task *task = lua_touserdata(L, box);
    if (neap_task_is_known(task)) return task->job;
    box = lua_absindex(L, box);
    neap_task_push_extras(L, box, true);
    struct neap_box *keeper = neap_box_new(L, NEAP_HANDLE_TASK_JOB, sizeof *keeper, 0);
    if (neap_task_is_known(task)) { /* a finaliser has just sent it */
        lua_pop(L, 2);
        return task->job;
    }
    struct neap_job *job = neap_job_new(&neap_task_job_class, neap_task_vm(task)->loop.mailbox, task->id);
    if (job == NULL) luaL_error(L, "not enough memory");
    job->failures = &neap_task_vm(task)->engine->failures;
    keeper->object = &job->future.object;
    if (lua_getfield(L, -2, "name") == LUA_TSTRING) neap_job_set_name(job, lua_tostring(L, -1));
    lua_pop(L, 1);
    lua_setfield(L, -2, "job");
    lua_pop(L, 1);
    job->scope = task->scope;
    neap_task_adopt(task, job);
    atomic_store_explicit(&job->daemon, (task->flags & NEAP_TASK_DAEMON) != 0, memory_order_relaxed);
    job->endless = neap_task_is_endless(L, box);
    if (task->flags & NEAP_TASK_TIMER)
        atomic_store_explicit(&job->race, neap_task_has_begun(task) ? NEAP_JOB_DECIDED : NEAP_JOB_OPEN,
                              memory_order_relaxed);
    atomic_store_explicit(&job->cancel_requested, (task->flags & NEAP_TASK_CANCELLED) != 0, memory_order_relaxed);
    bool observed = task->flags & NEAP_TASK_SCOPED ||
                    atomic_load(&task->future.object.observed); /* a scope tells of its failures */
    atomic_store_explicit(&job->future.object.observed, observed, memory_order_relaxed);
    neap_box_register(L, box, &job->future.object);
    if (neap_task_has_ended(task))
        neap_task_end_job(L, task, job, box);
    else
        atomic_store_explicit(&job->future.object.state, (uint8_t)neap_future_state(&task->future),
                              memory_order_relaxed);
    bool waiting = atomic_load_explicit(&task->wait.state, memory_order_relaxed) == NEAP_WAIT_OPEN;
    atomic_store_explicit(job->waiting, waiting, memory_order_relaxed);
    return job;
}

void neap_task_get_name(lua_State *L, int box, char name[NEAP_JOB_NAME_MAX + 1]) {
    const struct neap_task *task = lua_touserdata(L, box);
    if (neap_task_is_known(task)) {
        neap_job_get_name(task->job, name);
        return;
    }
    int top = lua_gettop(L);
    if (neap_task_push_extras(L, box, false) && lua_getfield(L, -1, "name") == LUA_TSTRING)
        snprintf(name, NEAP_JOB_NAME_MAX + 1, "%s", lua_tostring(L, -1));
    else
        snprintf(name, NEAP_JOB_NAME_MAX + 1, "task-%u", task->id);
    lua_settop(L, top);
}
