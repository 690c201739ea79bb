/* program: the life of a script from its first line to the exit status. */
#ifndef NEAP_BINDINGS_PROGRAM_H
#define NEAP_BINDINGS_PROGRAM_H

#include <lua.h>

/* Runs the program whose main chunk `load` leaves on the stack (with its arguments above it): `load` is called on a new state
 * with `argument` and returns the number of arguments, or raises. Returns the exit status. */
int neap_program_run(int (*load)(lua_State *L, void *argument), void *argument);

/* A terminal is edited on: from now on engine->screen is told when its size has changed, and when the process goes on after it was
 * stopped. (Interrupts go there anyway while it is open.) */
void neap_program_catch_terminal(void);

#endif
