/* seat: where tasks run. A seat is a coroutine with what the task's main function will find on its stack. The essay is
 * in seat.c. Everything here is for the thread of the state. */
#ifndef NEAP_BINDINGS_TASK_SEAT_H
#define NEAP_BINDINGS_TASK_SEAT_H

#include <lua.h>
#include <stdbool.h>

#include "bindings/task/task.h"

/* The stack of neap_task_main; behind the function its arguments, later its results. */
enum { NEAP_SEAT_BOX = 1, NEAP_SEAT_HANDLER, NEAP_SEAT_FUNCTION };

/* On top of L stands a new box, below it the function and its arguments: the task's values. Seats the task on
 * an idle coroutine; the box alone stays, where the function was. False, and nothing has changed, when none is
 * idle. No allocation, no error. */
bool neap_seat_take(lua_State *L, struct neap_task *task);
/* The same for a task whose box, anchored in vm->handles, holds the values. L is the main thread of the state. */
bool neap_seat_take_late(lua_State *L, struct neap_task *task);
/* (task): the same on a new coroutine. May raise; then the box still holds the values. */
int neap_seat_make(lua_State *L);

/* The task that ran on `coroutine` has ended, and so has its main function; or it never began, and the stack is empty.
 * `pooled` is what its record said. */
void neap_seat_leave(struct neap_vm *vm, lua_State *coroutine, bool pooled);

/* Pushes the box of the task that is seated on `coroutine`, may it have begun or not. Raises when out of memory. */
void neap_seat_push_box(lua_State *L, lua_State *coroutine);

#endif
