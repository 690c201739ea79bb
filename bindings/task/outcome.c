#include "bindings/task/outcome.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <uv.h>

#include "bindings/codec/codec.h"
#include "bindings/report/failure.h"

/* Protected: (message, list, values...). */
static int encode_values(lua_State *L) {
    struct neap_message *message = lua_touserdata(L, 1);
    if (lua_toboolean(L, 2))
        neap_encode_all(L, 3, lua_gettop(L) - 2, message, "result");
    else
        neap_encode(L, 3, message, "error");
    return 0;
}

/* The `count` values on top, popped, as results or (`list` false) an error. False: they cannot be
 * sent, and the reason is on top. */
static bool encode(lua_State *L, int count, bool list, struct neap_message *message) {
    int first = lua_gettop(L) - count + 1;
    int type = count == 1 ? lua_type(L, -1) : LUA_TNONE;
    if ((list && count == 0) || type == LUA_TBOOLEAN || type == LUA_TNUMBER) { /* the common case, which cannot fail */
        neap_encode_all(L, first, count, message, "result");
        lua_settop(L, first - 1);
        return true;
    }
    luaL_checkstack(L, 4, "results");
    lua_pushcfunction(L, encode_values);
    lua_pushlightuserdata(L, message);
    lua_pushboolean(L, list);
    lua_rotate(L, first, 3);
    return lua_pcall(L, count + 2, 0, 0) == LUA_OK;
}

/* Protected: (error, the reason why it cannot be sent): the text that can. */
static int explain(lua_State *L) {
    if (!neap_failure_push_words(L, 1)) return 1;
    lua_pushliteral(L, " (");
    lua_pushvalue(L, 2);
    lua_pushliteral(L, ")");
    lua_concat(L, 4);
    return 1;
}

/* The error on top is popped. Of one that cannot be sent its text is, with the reason. */
static void encode_error(lua_State *L, struct neap_message *message) {
    luaL_checkstack(L, 3, "error");
    lua_pushvalue(L, -1);
    if (encode(L, 1, false, message)) {
        lua_pop(L, 1);
        return;
    }
    lua_pushcfunction(L, explain);
    lua_insert(L, -3);
    lua_pcall(L, 2, 1, 0); /* what that raises is text, too */
    if (!encode(L, 1, false, message)) lua_pop(L, 1);
}

void neap_outcome_write(lua_State *L, int count, enum neap_future_state *state, struct neap_outcome *outcome) {
    if (*state == NEAP_FUTURE_DONE) {
        if (encode(L, count, true, &outcome->value)) return;
        *state = NEAP_FUTURE_FAILED;
    }
    encode_error(L, &outcome->value);
}

struct neap_outcome *neap_outcome_make(lua_State *L, int count, enum neap_future_state *state) {
    struct neap_outcome *outcome = neap_outcome_new();
    if (outcome == NULL) {
        *state = NEAP_FUTURE_FAILED;
        lua_pop(L, count);
        return NULL;
    }
    neap_outcome_write(L, count, state, outcome);
    return outcome;
}

const char *neap_outcome_refusal(int code) {
    switch (code) {
        case UV_ENOTSUP: return "cannot send result: a handle in it cannot go to another process";
        case UV_EMSGSIZE: return "cannot send result: there are too many listeners in it";
        case UV_EMFILE: return "cannot send result: too many open files";
        default: return NULL;
    }
}

struct neap_outcome *neap_outcome_refused(int code) {
    const char *reason = neap_outcome_refusal(code);
    struct neap_outcome *outcome = reason != NULL ? neap_outcome_new() : NULL;
    if (outcome != NULL) neap_message_set_text(&outcome->value, reason);
    return outcome;
}

void neap_outcome_add_traceback(lua_State *L, struct neap_outcome *outcome, int index) {
    if (lua_type(L, index) != LUA_TSTRING) return;
    lua_pushvalue(L, index);
    if (!encode(L, 1, false, &outcome->traceback)) lua_pop(L, 1);
}
