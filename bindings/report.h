/* report: what the program says on stderr about its own state. */
#ifndef NEAP_BINDINGS_REPORT_H
#define NEAP_BINDINGS_REPORT_H

#include <lua.h>

#include "bindings/vm.h"
#include "sync/future.h"

/* The error and traceback of the main chunk. */
void neap_report_main(lua_State *L, const struct neap_outcome *outcome);
/* Who has not ended in time, with stacks. Called on the main thread. */
void neap_report_stragglers(struct neap_vm *vm);
/* Every loop waits for another: who waits for what, since when; then the program ends with status 1. */
void neap_report_deadlock(struct neap_loop *loop);

#endif
