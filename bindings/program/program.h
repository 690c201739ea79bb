/* program: the life of a script from its first line to the exit status. */
#ifndef NEAP_BINDINGS_PROGRAM_PROGRAM_H
#define NEAP_BINDINGS_PROGRAM_PROGRAM_H

#include <lua.h>
#include <stdbool.h>

struct neap_task_options;
struct neap_vm;

struct neap_program {
    /* Called on a new state: leaves the main chunk on the stack, and its arguments above it, and
     * returns their number, or raises. */
    int (*load)(lua_State *L, void *argument);
    /* Before there is a state: sets what the main task is to be. 0, or a code: then there is no
     * program. NULL: nothing to be done. */
    int (*open)(struct neap_vm *vm, struct neap_task_options *options, void *argument);
    /* Everything has ended, and the state is still there; `main_task` is a registry reference to the handle.
     * `was_asked`: the status is what somebody has asked for. NULL: nothing to be done. */
    void (*close)(struct neap_vm *vm, int main_task, int status, bool was_asked, void *argument);
    void *argument; /* theirs */
    bool is_child;  /* another process has started it, and looks after it: see CHILDREN in program.c */
};

/* Runs it. Returns the exit status. */
int neap_program_run(const struct neap_program *what);

/* A terminal is edited on: from now on engine->screen is told when its size has changed, and when the process goes on
 * after it was stopped. (Interrupts go there anyway while it is open.) */
void neap_program_catch_terminal(void);

#endif
