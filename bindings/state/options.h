/* options: reading option tables. */
#ifndef NEAP_BINDINGS_STATE_OPTIONS_H
#define NEAP_BINDINGS_STATE_OPTIONS_H

#include <lua.h>
#include <stdbool.h>

/* Raises if the table at `index` has a key that is not in `names` (ended by NULL): "unknown option
 * 'nmae' (name, quiet, daemon)". */
void neap_options_check(lua_State *L, int index, const char *const names[]);
/* The option, or `otherwise` where it is nil; raises when its type is wrong. The string lives as long as the table. */
const char *neap_options_string(lua_State *L, int index, const char *name, const char *otherwise);
bool neap_options_boolean(lua_State *L, int index, const char *name, bool otherwise);

#endif
