#include "bindings/io/reading.h"

#include <lauxlib.h>
#include <string.h>

#include "bindings/task/await.h"
#include "core/error.h"

enum { WHAT = NEAP_READING_WHAT, DEADLINE = NEAP_READING_DEADLINE };

enum { LINE_BYTES_MAX = 1024 * 1024 /* of a line */ };

enum { SOME = -1, LINE = -2, ALL = -3 }; /* at WHAT, for the words */

static lua_Integer check_what(lua_State *L) {
    static const char *const words[] = {"some", "line", "all", NULL};
    if (lua_isnoneornil(L, WHAT)) return SOME;
    if (lua_type(L, WHAT) != LUA_TNUMBER) return SOME - neap_argument_option(L, WHAT, NULL, words);
    lua_Integer count = neap_argument_integer(L, WHAT);
    neap_argument_check(L, count >= 0, WHAT, "number of bytes must not be negative");
    return count;
}

void neap_reading_begin(lua_State *L) {
    lua_Integer what = check_what(L);
    int64_t deadline = neap_check_timeout(L, DEADLINE);
    lua_settop(L, NEAP_READING_SELF);
    lua_pushinteger(L, what);
    lua_pushinteger(L, deadline);
}

/* Pushes the first `size` bytes. */
static int push_bytes(lua_State *L, struct neap_inbox *inbox, size_t size) {
    lua_pushlstring(L, size > 0 ? neap_inbox_peek(inbox) : "", size);
    neap_inbox_take(inbox, size);
    return 1;
}

/* Of that many bytes before the "\n", or the end, without a "\r" that is its last. */
static size_t line_length(const struct neap_inbox *inbox, size_t size) {
    return size > 0 && neap_inbox_peek(inbox)[size - 1] == '\r' ? size - 1 : size;
}

static int push_line(lua_State *L, struct neap_inbox *inbox, size_t size, size_t taken) {
    lua_pushlstring(L, neap_inbox_peek(inbox), line_length(inbox, size));
    neap_inbox_take(inbox, taken);
    return 1;
}

static int take_line(lua_State *L, struct neap_inbox *inbox) {
    size_t held = neap_inbox_size(inbox);
    const char *end = held > 0 ? memchr(neap_inbox_peek(inbox), '\n', held) : NULL;
    size_t size = end == NULL ? held : (size_t)(end - neap_inbox_peek(inbox));
    if (line_length(inbox, size) <= LINE_BYTES_MAX) return end == NULL ? 0 : push_line(L, inbox, size, size + 1);
    lua_pushnil(L);
    lua_pushfstring(L, "a line has more than %d bytes", LINE_BYTES_MAX);
    lua_pushliteral(L, "EMSGSIZE");
    return 3;
}

int neap_reading_take(lua_State *L, lua_Integer what, struct neap_inbox *inbox) {
    size_t held = neap_inbox_size(inbox);
    switch (what) {
        case SOME: return held > 0 ? push_bytes(L, inbox, held) : 0;
        case LINE: return take_line(L, inbox);
        case ALL: return 0;
        default: return held >= (size_t)what ? push_bytes(L, inbox, (size_t)what) : 0;
    }
}

int neap_reading_take_rest(lua_State *L, lua_Integer what, struct neap_inbox *inbox) {
    size_t held = neap_inbox_size(inbox);
    if (what == ALL) return push_bytes(L, inbox, held);
    if (held == 0) return neap_push_code(L, NEAP_CLOSED);
    return what == LINE ? push_line(L, inbox, held, held) : push_bytes(L, inbox, held);
}

/* --- lines --- */

/* An error of the system raises: a loop cannot see it otherwise. */
static int line_read(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    if (lua_gettop(L) < 3 || !lua_isnil(L, -3)) return 1;
    if (strcmp(lua_tostring(L, -1), "closed") == 0) return 0;
    return luaL_error(L, "cannot read a line: %s", lua_tostring(L, -2));
}

/* Upvalues: the handle's read, the handle, the timeout. */
static int next_line(lua_State *L) {
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushliteral(L, "line");
    lua_pushvalue(L, lua_upvalueindex(3));
    lua_callk(L, 3, LUA_MULTRET, 0, line_read);
    return line_read(L, LUA_OK, 0);
}

int neap_reading_lines(lua_State *L, lua_CFunction read) {
    lua_settop(L, 2);
    neap_check_timeout(L, 2);
    lua_pushcfunction(L, read);
    lua_insert(L, 1);
    lua_pushcclosure(L, next_line, 3);
    return 1;
}
