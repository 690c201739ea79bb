/* bounded: what a script can keep a C function busy with.
 *
 * PATTERNS   Matching goes back and tries again: with k repetitions that are followed by something, a subject of n
 *            bytes may cost n^k steps, and n times that where the match may begin anywhere. What may cost more than the
 *            limit allows is refused beforehand. So is a plain search whose worst case, n times m, does.
 * TABLES     move, insert and remove walk as far as they are told, through metamethods of C if there are any:
 *            here with a look at the clock. sort is for plain tables of a size that it can be done with; rep of
 *            an empty string is empty at once.
 * THE REST   is bounded by memory, which is limited as well if the host is wise: concat, unpack, format, load. */
#include "bindings/state/bounded.h"

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "bindings/state/argument.h"
#include "bindings/state/limits.h"
#include "bindings/state/vm.h"

enum { LOOK_EVERY = 1000, SORT_STEPS = 1000 /* for one element: comparisons, and what they cost */ };

/* Goes on as the original function, in the same frame. */
static int be_original(lua_State *L) { return lua_tocfunction(L, lua_upvalueindex(1))(L); }

/* --- patterns --- */

/* Steps over the single character that `at` begins: a class, a set, an escape. NULL:
 * malformed, which the original says. */
static const char *skip_single(const char *at, const char *end) {
    if (*at == '%') return at + 1 < end ? at + 2 : NULL;
    if (*at != '[') return at + 1;
    at++;
    if (at < end && *at == '^') at++;
    do {
        if (at >= end) return NULL;
        if (*at++ == '%') at++;
    } while (at < end && *at != ']');
    return at < end ? at + 1 : NULL;
}

/* How often the length of the subject may multiply, at worst. */
static int count_loops(const char *pattern, size_t length) {
    const char *at = pattern, *end = pattern + length;
    int loops = 1; /* it may begin anywhere */
    if (at < end && *at == '^') {
        at++;
        loops = 0;
    }
    while (at != NULL && at < end) {
        if (*at == '(' || *at == ')') {
            at++;
            continue;
        }
        bool walks = *at == '%' && at + 1 < end && (at[1] == 'b' || (at[1] >= '0' && at[1] <= '9'));
        bool balance = walks && at[1] == 'b', frontier = *at == '%' && at + 1 < end && at[1] == 'f';
        at = frontier ? at + 2 : skip_single(at, end);
        if (balance) at += 2;
        if (at == NULL || at > end) break;
        bool repeats = at < end && (*at == '*' || *at == '+' || *at == '-' || *at == '?');
        if (repeats) at++;
        const char *rest = at;
        while (rest < end && *rest == ')') rest++;
        bool last = rest >= end || (*rest == '$' && rest + 1 == end);
        if (walks || (repeats && (!last || (rest < end && *rest == '$')))) loops++;
    }
    return loops;
}

static bool is_plain(lua_State *L, const char *pattern, size_t length, bool may_be_plain) {
    return (may_be_plain && lua_toboolean(L, 4)) || strcspn(pattern, "^$*+?.([%-") >= length;
}

static void check_pattern(lua_State *L, bool may_be_plain) {
    size_t length, subject;
    neap_argument_string(L, 1, &subject);
    const char *pattern = neap_argument_string(L, 2, &length);
    neap_limits_check(L);
    double n = (double)subject + 1;
    if (is_plain(L, pattern, length, may_be_plain))
        neap_limits_check_steps(L, n * (double)length / 8); /* it compares by words */
    else
        neap_limits_check_steps(L, pow(n, count_loops(pattern, length)) + n);
}

static int bounded_find(lua_State *L) {
    check_pattern(L, true);
    return be_original(L);
}

static int bounded_match(lua_State *L) {
    check_pattern(L, false);
    return be_original(L);
}

static int bounded_rep(lua_State *L) {
    size_t length, separator = 0;
    neap_argument_string(L, 1, &length);
    if (!lua_isnoneornil(L, 3)) neap_argument_string(L, 3, &separator);
    if (length + separator > 0) return be_original(L);
    neap_argument_integer(L, 2);
    lua_pushliteral(L, "");
    return 1;
}

/* --- tables --- */

static void look(lua_State *L, lua_Integer step) {
    if (step % LOOK_EVERY == 0) neap_limits_check(L);
}

/* table.move(a1, f, e, t [, a2]) */
static int bounded_move(lua_State *L) {
    lua_Integer from = neap_argument_integer(L, 2), last = neap_argument_integer(L, 3),
                to = neap_argument_integer(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    if (last < from) {
        lua_pushvalue(L, target);
        return 1;
    }
    neap_argument_check(L, from > 0 || last < LUA_MAXINTEGER + from, 3, "too many elements to move");
    lua_Integer count = last - from + 1;
    neap_argument_check(L, to <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
    bool upwards = to > last || to <= from || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
    for (lua_Integer i = 0; i < count; i++) {
        lua_Integer at = upwards ? i : count - 1 - i;
        look(L, i + 1);
        lua_geti(L, 1, from + at);
        lua_seti(L, target, to + at);
    }
    lua_pushvalue(L, target);
    return 1;
}

/* table.insert(list, [pos,] value) */
static int bounded_insert(lua_State *L) {
    int count = lua_gettop(L);
    neap_argument_type(L, 1, LUA_TTABLE);
    lua_Integer end = (lua_Integer)((lua_Unsigned)luaL_len(L, 1) + 1), at = end;
    if (count == 3) {
        at = neap_argument_integer(L, 2);
        neap_argument_check(L, (lua_Unsigned)at - 1u < (lua_Unsigned)end, 2, "position out of bounds");
        for (lua_Integer i = end; i > at; i--) {
            look(L, i);
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
        }
    } else if (count != 2) {
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

/* table.remove(list [, pos]) */
static int bounded_remove(lua_State *L) {
    neap_argument_type(L, 1, LUA_TTABLE);
    lua_Integer size = luaL_len(L, 1), at = neap_argument_integer_or(L, 2, size);
    if (at != size) neap_argument_check(L, (lua_Unsigned)at - 1u <= (lua_Unsigned)size, 2, "position out of bounds");
    lua_geti(L, 1, at);
    for (; at < size; at++) {
        look(L, at);
        lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

static int bounded_sort(lua_State *L) {
    neap_argument_type(L, 1, LUA_TTABLE);
    if (lua_getmetatable(L, 1)) return luaL_error(L, "cpu: a table with a metatable cannot be sorted here");
    neap_limits_check(L);
    neap_limits_check_steps(L, (double)lua_rawlen(L, 1) * SORT_STEPS);
    return be_original(L);
}

/* --- finalisers --- */

void neap_bounded_check_metatable(lua_State *L) {
    if (!neap_limits_has_cpu(L) || !lua_istable(L, -1)) return;
    luaL_checkstack(L, 2, "metatable");
    lua_pushliteral(L, "__gc");
    if (lua_rawget(L, -2) != LUA_TNIL)
        luaL_error(L, "denied: a finaliser (__gc) cannot be stopped, and processor time is limited here");
    lua_pop(L, 1);
}

static int bounded_setmetatable(lua_State *L) {
    if (lua_istable(L, 2)) {
        lua_pushvalue(L, 2);
        neap_bounded_check_metatable(L);
        lua_pop(L, 1);
    }
    return be_original(L);
}

/* --- opening --- */

/* Replaces `count` functions of the table on top of the stack; the original is their upvalue. */
static void replace(lua_State *L, const luaL_Reg *functions) {
    for (; functions->name != NULL; functions++) {
        lua_getfield(L, -1, functions->name);
        lua_pushcclosure(L, functions->func, 1);
        lua_setfield(L, -2, functions->name);
    }
}

void neap_bounded_open(lua_State *L) {
    static const luaL_Reg strings[] = {{"find", bounded_find},  {"match", bounded_match}, {"gmatch", bounded_match},
                                       {"gsub", bounded_match}, {"rep", bounded_rep},     {NULL, NULL}};
    static const luaL_Reg tables[] = {{"move", bounded_move},
                                      {"insert", bounded_insert},
                                      {"remove", bounded_remove},
                                      {"sort", bounded_sort},
                                      {NULL, NULL}};
    static const luaL_Reg basic[] = {{"setmetatable", bounded_setmetatable}, {NULL, NULL}};
    lua_pushglobaltable(L);
    replace(L, basic);
    lua_getfield(L, -1, LUA_STRLIBNAME);
    replace(L, strings);
    lua_getfield(L, -2, LUA_TABLIBNAME);
    replace(L, tables);
    lua_pop(L, 3);
}
