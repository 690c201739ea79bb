/* commons: what the states of an engine have in common: a shared dict, for the Lua half. It is made when it is first
 * asked for. A process gets that of the process which has started it as well: the first one's, as it is handed on. */
#ifndef NEAP_BINDINGS_STATE_COMMONS_H
#define NEAP_BINDINGS_STATE_COMMONS_H

#include <lua.h>

#include "core/message.h"

struct neap_engine;

/* commons() -> dict; inherited() -> that of the first process, nil in it and where it had none at the start. */
int neap_commons_get(lua_State *L);
int neap_commons_inherited(lua_State *L);

/* What a process that `engine` starts is to inherit: a reference to it, or nothing.
 * `message` must be empty. Any thread. */
void neap_commons_offer(struct neap_engine *engine, struct neap_message *message);
/* In that process, before its state is opened: takes it over. */
void neap_commons_inherit(struct neap_engine *engine, struct neap_message *message);

#endif
