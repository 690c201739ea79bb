/* watcher: a host that is told when a task has ended. */
#ifndef NEAP_BINDINGS_HOST_WATCHER_H
#define NEAP_BINDINGS_HOST_WATCHER_H

#include <lua.h>

#include "bindings/host/host.h"

typedef void (*neap_watcher_done)(void *argument, int code, const struct neap_value *results, size_t count);

/* Watches the task whose handle is on top of L (popped). Raises when out of memory. */
void neap_watcher_add(lua_State *L, struct neap_host *host, neap_watcher_done done, void *argument);
/* No task runs any more: tells those that are left NEAP_CANCELLED. */
void neap_watcher_give_up(struct neap_host *host);

#endif
