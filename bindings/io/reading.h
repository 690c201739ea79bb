/* reading: what scripts ask for when they read, from streams and files alike. */
#ifndef NEAP_BINDINGS_IO_READING_H
#define NEAP_BINDINGS_IO_READING_H

#include <lua.h>
#include <stdbool.h>

#include "io/inbox.h"

/* The stack of a read: the handle, what is asked for (a number of bytes, or a negative one that
 * stands for a word), the deadline. */
enum { NEAP_READING_SELF = 1, NEAP_READING_WHAT, NEAP_READING_DEADLINE };

/* Checks the arguments (handle, what, timeout) and makes them the stack of a read. */
void neap_reading_begin(lua_State *L);
/* What is asked for, as the others want it. */
static inline lua_Integer neap_reading_what(lua_State *L) { return lua_tointeger(L, NEAP_READING_WHAT); }
/* Pushes what is asked for, if the inbox has it: how many values, or 0. A line that is
 * too long is nil, message, code. */
int neap_reading_take(lua_State *L, lua_Integer what, struct neap_inbox *inbox);
/* Nothing more will come: pushes what is left, or "closed". */
int neap_reading_take_rest(lua_State *L, lua_Integer what, struct neap_inbox *inbox);
/* How many more bytes would help. Of a long line or all of it as much again as there is: so reads are few. */
static inline size_t neap_reading_wanted(lua_Integer what, const struct neap_inbox *inbox) {
    size_t held = neap_inbox_size(inbox);
    return what >= 0 ? (size_t)what - held : held;
}

/* The method lines of a handle whose method read is `read`: (handle[, timeout]) -> iterator. */
int neap_reading_lines(lua_State *L, lua_CFunction read);

#endif
