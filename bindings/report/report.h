/* report: what a program says on stderr about its own state. */
#ifndef NEAP_BINDINGS_REPORT_REPORT_H
#define NEAP_BINDINGS_REPORT_REPORT_H

#include <lua.h>
#include <stdbool.h>

#include "bindings/state/vm.h"
#include "bindings/task/task.h"

/* Writes to stderr in one piece, after what waits in stdout; or tells the host of the engine that this thread works
 * for. OF: of that engine, on a thread that runs no Lua. */
void neap_report_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void neap_report_print_of(struct neap_engine *engine, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Every loop of the engine is parked, and nothing but the caller, the main state's thread, can wake one: a list
 * of who waits for what and since when, to be freed with free(); NULL: no memory. `told`: with those that have
 * been named as members of a ring. */
char *neap_report_waiting(struct neap_engine *engine, bool told);

/* The tasks of `vm` that have not ended, with their stacks; the first time only. By the
 * thread of `vm`, outside of Lua. */
void neap_report_tasks(struct neap_vm *vm);

/* By the main state's thread. ASK: all other states are to do the same, on their own threads, which then notify the
 * main loop. SILENT: how many have not done so. NAME: says on stderr which. */
void neap_report_ask(struct neap_vm *vm);
int neap_report_silent(const struct neap_vm *vm);
void neap_report_name(const struct neap_vm *vm);
/* Any thread: says on stderr which threads have come to close their states, and not to the end of that. */
void neap_report_finalising(struct neap_engine *engine);

#endif
