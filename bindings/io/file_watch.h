/* file_watch: what a watch tells, as a table. */
#ifndef NEAP_BINDINGS_IO_FILE_WATCH_H
#define NEAP_BINDINGS_IO_FILE_WATCH_H

#include <lua.h>

struct neap_link;

/* Pushes what came of NEAP_FILE_WATCH_NEXT: the event, or nil, message, code. `link` was served by
 * the watch in the box at `index`. */
int neap_file_watch_push(lua_State *L, int index, const struct neap_link *link);

#endif
