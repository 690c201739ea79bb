/* starting: of objects of the class form; see handle/instance.h. */
#ifndef NEAP_BINDINGS_RUNNING_STARTING_H
#define NEAP_BINDINGS_RUNNING_STARTING_H

#include <lua.h>

/* The methods start() of neap.Task, neap.Thread and neap.Process: (object) -> object; of a
 * process, also nil, message, code. */
int neap_starting_task(lua_State *L);
int neap_starting_thread(lua_State *L);
int neap_starting_process(lua_State *L);
/* What the new task or thread calls: (object) -> what its method run returns. Stands in both
 * classes, so that it travels by name. */
int neap_starting_run(lua_State *L);

#endif
