/* outcome: from what a function returned or raised to what other states can read of it. */
#ifndef NEAP_BINDINGS_TASK_OUTCOME_H
#define NEAP_BINDINGS_TASK_OUTCOME_H

#include <lua.h>

#include "sync/future.h"

/* Writes the `count` values on top of the stack, which are popped, to `outcome`, which is empty: results where `*state`
 * is DONE, else one error. Results that cannot be sent make it FAILED, with the reason; in the place of an error that
 * cannot be sent goes its text, if it has one, and the reason. Does not raise, but for the want of stack. */
void neap_outcome_write(lua_State *L, int count, enum neap_future_state *state, struct neap_outcome *outcome);
/* The same for a new one. NULL, and FAILED: no memory. */
struct neap_outcome *neap_outcome_make(lua_State *L, int count, enum neap_future_state *state);

/* What becomes of an outcome that could not be sent to another process, for `code`: the failure that says so. NULL: no
 * memory, or `code` is nothing that another outcome would not end in as well. */
struct neap_outcome *neap_outcome_refused(int code);
/* What that failure says; NULL as above. */
const char *neap_outcome_refusal(int code);

/* Adds the traceback at `index`, if it is text. */
void neap_outcome_add_traceback(lua_State *L, struct neap_outcome *outcome, int index);

#endif
