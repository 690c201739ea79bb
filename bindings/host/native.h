/* native: functions of the host that scripts call. */
#ifndef NEAP_BINDINGS_HOST_NATIVE_H
#define NEAP_BINDINGS_HOST_NATIVE_H

#include <lua.h>

struct neap_embedding;

/* Makes all functions of the host known in a new state. Raises. */
void neap_native_open(lua_State *L, struct neap_embedding *embedding);
/* No state is left. */
void neap_native_forget_all(struct neap_embedding *embedding);

#endif
