/* classes: the kinds of handles, and the functions of the module that make them. Each is in the file of its class. */
#ifndef NEAP_BINDINGS_CLASSES_H
#define NEAP_BINDINGS_CLASSES_H

#include <lua.h>

#include "bindings/box.h"

extern const struct neap_binding neap_channel_binding;

/* Functions of the module: (arguments as in the reference) -> handle. */
int neap_channel_open(lua_State *L);

#endif
