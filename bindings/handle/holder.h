/* holder: what scripts call a guard, a userdata that gives something back when it is closed; and how acquiring ends. */
#ifndef NEAP_BINDINGS_HANDLE_HOLDER_H
#define NEAP_BINDINGS_HANDLE_HOLDER_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "bindings/task/task.h"
#include "core/object.h"
#include "sync/semaphore.h"

/* How acquiring a lock ended: 0, NEAP_ABANDONED, or an expected failure; misuse is raised. */
int neap_acquired_result(lua_State *L, const struct neap_task *task, int code);
/* A finisher: true; true, "abandoned"; nil, "timeout". */
int neap_finish_acquired(lua_State *L, struct neap_task *task, int code);

struct neap_holder {
    struct neap_object *object; /* one reference */
    /* Gives it back: NULL, or what is wrong: "the task does not hold this lock". */
    const char *(*give_back)(lua_State *L, struct neap_holder *holder);
    struct neap_permit permit; /* of a semaphore; not used by others */
    bool holds;                /* there is something to give back */
};

/* Pushes a holder of `object`, which holds nothing yet: made first, so that nothing can go wrong once it does. */
struct neap_holder *neap_holder_new(lua_State *L, struct neap_object *object,
                                    const char *(*give_back)(lua_State *, struct neap_holder *));

/* For the finishers of h:guard: what was waited for (`code`, as a link's result has it) is held from now on by the
 * holder at `index`. Pushes it, and "abandoned" if so; or pushes the code. Returns how many values. */
int neap_holder_finish(lua_State *L, int index, int code);

/* For the finishers of h:with, whose stack is: object, holder, function, arguments. It holds from now on: calls the
 * function, and gives back when that has returned or failed. Returns what the finisher must return. */
int neap_holder_call(lua_State *L);

#endif
