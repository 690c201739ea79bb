/* signals: their names. */
#ifndef NEAP_BINDINGS_IO_SIGNALS_H
#define NEAP_BINDINGS_IO_SIGNALS_H

#include <lua.h>

/* The signal at `index`: a number, or a name, "TERM" or "SIGTERM". Raises when there is none. */
int neap_check_signal(lua_State *L, int index);

#endif
