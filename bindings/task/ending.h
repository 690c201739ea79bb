/* ending: how an engine comes to rest, in order and in bounded time. */
#ifndef NEAP_BINDINGS_TASK_ENDING_H
#define NEAP_BINDINGS_TASK_ENDING_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "bindings/state/vm.h"

enum { NEAP_GRACE_SECONDS = 5 };

/* By the main state's thread: nothing that the program has to wait for is left, but its main chunk. */
bool neap_ending_is_near(const struct neap_vm *vm);

/* Turns the loop until `done(argument)`, or for `seconds` if that is shorter. True when it was done. */
bool neap_ending_wait(struct neap_vm *vm, double seconds, bool (*done)(void *argument), void *argument);

/* By the main state's thread, outside of tasks: starts nothing any more, asks all tasks and threads to end, and waits
 * for them for a time of grace. Who has not ended by then is named on stderr, with stacks. True when all threads have
 * ended, and what was offloaded has come back: then the state can be closed, be it that tasks are left in it. */
bool neap_ending_run(struct neap_vm *vm);

/* By another state's thread, once its main task has ended: the same for its own tasks. */
void neap_ending_run_tasks(struct neap_vm *vm);

/* The running task has found that something else was cancelled: if that is because the program is to
 * end, it is cancelled itself, as it is going to be anyhow, and raises; so its `<close>` variables may
 * wait. Returns where it is not so. */
void neap_ending_follow(lua_State *L);
/* The running task wants to start something, and nothing starts any more: likewise; while its `<close>` variables run,
 * raises "cannot spawn: the program is ending". Does not return. */
void neap_ending_refuse(lua_State *L, const char *what);

#endif
