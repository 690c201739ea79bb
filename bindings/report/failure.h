/* failure: errors that nobody waits for, and where things were spawned. */
#ifndef NEAP_BINDINGS_REPORT_FAILURE_H
#define NEAP_BINDINGS_REPORT_FAILURE_H

#include <lua.h>
#include <stdbool.h>

#include "bindings/task/task.h"

struct neap_process;

/* Pushes what the error at `error` says of itself. False: it cannot, and nothing is pushed. Nothing that it does gets
 * out. */
bool neap_failure_push_words(lua_State *L, int error);

/* Puts our debug.traceback in the place of Lua's, but of no script's: see WORK. */
void neap_failure_replace(lua_State *L);

/* The message handler of tasks: leaves the error value, and keeps the traceback in the task's extras. */
int neap_failure_handler(lua_State *L);

/* The task whose box is at `box` has failed with the value on top of the stack, and nobody waits for it: tells
 * neap.on_error's function, or stderr. */
void neap_failure_report(lua_State *L, int box);
/* The same, but somebody waits for it, who may join it or not: it is told at the end unless somebody has. */
void neap_failure_note_unjoined(lua_State *L, int box);
/* The main task of the program, whose box is at `box`, has failed: says so on stderr. */
void neap_failure_report_main(lua_State *L, int box);

/* The state is being closed: says on stderr what the function of neap.on_error was to be told and never will. */
void neap_failure_tell_unheard(struct neap_vm *vm);
/* Pushes what the error says of itself with which the task whose box is at `box` has failed. */
void neap_failure_push_text(lua_State *L, int box);
/* On the hub's thread: the process has failed, and nobody waits for it: tells the main state, or stderr. */
void neap_failure_report_process(struct neap_process *process);
/* At the end of a program, while its main state is open: says which futures have failed, and nobody has read it, and
 * what nobody has joined that was waited for. */
void neap_failure_report_unread(struct neap_vm *vm);

/* In a message handler, with the error at index 1: pushes the stack, as it was where the error was raised. */
void neap_failure_push_stack(lua_State *L);
/* The message handler of who catches errors and passes them on: notes the stack for neap_failure_push_stack, unless the
 * error is a cancellation, or a pcall is to catch it. */
int neap_failure_note_stack(lua_State *L);
/* In a message handler, with the error at index 1: pushes what the traceback goes on with below the stack, if the error
 * came from a join, or "". */
void neap_failure_push_cause(lua_State *L);

/* A join is about to raise what `traceback` (index, or 0) tells of: the next traceback of this task goes on there. */
void neap_failure_note_cause(lua_State *L, int error, int traceback);

/* neap.on_error(fn) */
int neap_failure_on_error(lua_State *L);

#endif
