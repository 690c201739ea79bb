/* argument: what C functions are given. As the functions luaL_check..., luaL_opt... and luaL_arg... of Lua, whose
 * places these take here; but their errors name a method also where Lua does not know by which name it was called, as
 * in pcall(channel.send, channel), and count its arguments as the reference does, without the handle. */
#ifndef NEAP_BINDINGS_STATE_ARGUMENT_H
#define NEAP_BINDINGS_STATE_ARGUMENT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Raises "bad argument #1 to 'send' (message)". There is no result; it is for `return`. */
__attribute__((noreturn)) int neap_argument_error(lua_State *L, int argument, const char *message);
/* Raises that something else than a `type` is there: "channel expected, got nil". */
__attribute__((noreturn)) int neap_argument_type_error(lua_State *L, int argument, const char *type);

/* Raises a message, formatted as by lua_pushfstring, with the place of whoever has called the running function; a
 * caller in the Lua half does not count, but who has called that does. */
__attribute__((noreturn)) int neap_refuse(lua_State *L, const char *format, ...);

/* Raises with `message`, which is evaluated only then, unless the condition holds. */
#define neap_argument_check(L, condition, argument, message) \
    ((void)((condition) || neap_argument_error((L), (argument), (message))))

/* Anything, nil too. */
void neap_argument_any(lua_State *L, int argument);
/* A function, or what can be called like one. */
void neap_argument_callable(lua_State *L, int argument);
/* One of LUA_T... */
void neap_argument_type(lua_State *L, int argument, int type);

lua_Integer neap_argument_integer(lua_State *L, int argument);
lua_Number neap_argument_number(lua_State *L, int argument);
/* The string is Lua's. `size` may be NULL. */
const char *neap_argument_string(lua_State *L, int argument, size_t *size);
/* The length of a list: of a table, or of a userdata that has one. A table's keys must all be those of elements, for it
 * would be taken for a list without what stands under another; a table with a metatable is asked for its length alone.
 * `type` is what is expected, in words. */
lua_Integer neap_argument_list(lua_State *L, int argument, const char *type);
/* Pushes "a table with the key 'x'" for such a key, and returns true. `n` is none where it is the length, as
 * table.pack has it. */
bool neap_argument_find_stray(lua_State *L, int table, lua_Integer length);
/* The same of one key, which lua_next has pushed with its value. */
bool neap_argument_is_stray(lua_State *L, lua_Integer length);
/* How many arguments the table at `table` (an absolute index) holds: its length; or its field `n`, as that of
 * table.pack. -1: it has other keys, too, and "a table with the key 'x'" has been pushed. */
lua_Integer neap_argument_count(lua_State *L, int table);
/* The index of the string in `names`, which NULL ends. `otherwise`: for nil or nothing; NULL: there must be one. */
int neap_argument_option(lua_State *L, int argument, const char *otherwise, const char *const names[]);

/* The same; `otherwise` for nil or nothing. */
lua_Integer neap_argument_integer_or(lua_State *L, int argument, lua_Integer otherwise);
const char *neap_argument_string_or(lua_State *L, int argument, const char *otherwise);

#endif
