/* transfer: the hands of the HTTP client. Options, redirecting bytes to files and functions, and progress are the Lua
 * half's; a transfer is closed by it when the call ends, however that is. */
#include "bindings/io/transfer.h"

#include <string.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/neap.h"
#include "bindings/state/restrict.h"
#include "bindings/task/await.h"
#include "core/clock.h"
#include "core/error.h"
#include "io/transfer.h"

/* --- the agent --- */

/* internal.transfers.agent(): the connections of this state. nil, message: there is no libcurl. nil, message, code: it
 * cannot be loaded now. */
static int http_agent(lua_State *L) {
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_AGENT, sizeof *box, 0);
    struct neap_agent *agent;
    int code = neap_agent_new(&neap_vm_of(L)->loop, &agent);
    if (code == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    if (code == NEAP_MISSING) {
        lua_pushnil(L);
        lua_pushfstring(L, "the HTTP client needs libcurl (%s; in Debian the package libcurl4)", neap_curl_name);
        return 2;
    }
    if (code != 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "cannot load %s: %s", neap_curl_name, neap_code_text(code));
        lua_pushstring(L, neap_code_name(code));
        return 3;
    }
    box->object = &agent->object;
    return 1;
}

/* internal.transfers.may(what): raises where the host does not allow to "read" or "write" files. */
static int http_may(lua_State *L) {
    bool writes = strcmp(luaL_checkstring(L, 1), "write") == 0;
    neap_restrict_check(L, writes ? NEAP_DENY_WRITING : NEAP_DENY_READING,
                        writes ? "writing a file" : "reading a file");
    return 0;
}

/* --- beginning --- */

enum { AGENT = 1, PLAN }; /* the stack of begin */

/* Fields of the plan. Strings live as long as it does. */
static const char *text(lua_State *L, const char *name) {
    lua_getfield(L, PLAN, name);
    const char *value = lua_tostring(L, -1);
    lua_pop(L, 1);
    return value;
}

static int64_t number(lua_State *L, const char *name, int64_t otherwise) {
    lua_getfield(L, PLAN, name);
    int64_t value = luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static bool flag(lua_State *L, const char *name) {
    lua_getfield(L, PLAN, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* Pushes an array of the strings in plan.headers, ended by NULL. */
static const char *const *push_headers(lua_State *L) {
    lua_getfield(L, PLAN, "headers");
    lua_Integer count = luaL_len(L, -1);
    const char **lines = lua_newuserdatauv(L, (size_t)(count + 1) * sizeof *lines, 0);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, -2, i);
        lines[i - 1] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    lines[count] = NULL;
    return lines;
}

static void read_plan(lua_State *L, struct neap_transfer_plan *plan) {
    size_t size = 0;
    lua_getfield(L, PLAN, "body");
    plan->body = lua_tolstring(L, -1, &size);
    lua_pop(L, 1);
    plan->body_size = plan->body != NULL ? (int64_t)size : number(L, "size", -1);
    plan->gives = flag(L, "gives");
    plan->url = text(L, "url");
    plan->method = text(L, "method");
    plan->streams = flag(L, "streams");
    plan->compressed = flag(L, "compressed");
    plan->verify = flag(L, "verify");
    plan->body_limit = (uint64_t)number(L, "max_body", INT64_MAX);
    plan->redirects = number(L, "redirects", 0);
    plan->connect_ms = number(L, "connect_ms", 0);
    plan->proxy = text(L, "proxy"); /* else libcurl looks into the environment */
    if (plan->proxy == NULL && neap_restrict_denies(L, NEAP_DENY_ENVIRONMENT)) plan->proxy = "";
    plan->user = text(L, "user");
    plan->password = text(L, "password");
    plan->authorities = text(L, "ca");
    plan->certificate = text(L, "cert");
    plan->key = text(L, "key");
    plan->user_agent = text(L, "user_agent");
    plan->headers = push_headers(L);
}

/* internal.transfers.begin(agent, plan): a transfer; nil, message, code. */
static int http_begin(lua_State *L) {
    struct neap_agent *agent = (struct neap_agent *)neap_box_check(L, AGENT, NEAP_HANDLE_AGENT);
    struct neap_transfer_plan plan;
    struct neap_transfer *transfer;
    luaL_checktype(L, PLAN, LUA_TTABLE);
    neap_await_check(L);
    neap_await_begin(L);
    read_plan(L, &plan);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_TRANSFER, sizeof *box, 0);
    int code = neap_transfer_new(agent, &plan, &transfer);
    if (code != 0) return neap_push_code(L, code);
    box->object = &transfer->object;
    return 1;
}

const luaL_Reg neap_transfer_functions[] = {
    {"agent", http_agent}, {"begin", http_begin}, {"may", http_may}, {NULL, NULL}};

/* --- a transfer --- */

static struct neap_transfer *check(lua_State *L) {
    struct neap_transfer *transfer = (struct neap_transfer *)neap_box_check(L, 1, NEAP_HANDLE_TRANSFER);
    if (transfer->errand.easy == NULL) luaL_error(L, "the transfer is closed");
    return transfer;
}

static int push_news(lua_State *L, const struct neap_transfer *transfer) {
    switch (neap_transfer_news(transfer)) {
        case NEAP_TRANSFER_SOME: lua_pushliteral(L, "some"); return 1;
        case NEAP_TRANSFER_HUNGRY: lua_pushliteral(L, "hungry"); return 1;
        case NEAP_TRANSFER_NOTHING: lua_pushliteral(L, "late"); return 1;
        case NEAP_TRANSFER_ENDED: break;
    }
    if (transfer->code != 0) {
        int count = neap_push_code(L, transfer->code);
        if (transfer->code == NEAP_TIMEOUT || transfer->problem[0] == '\0') return count;
        lua_pushstring(L, transfer->problem);
        lua_replace(L, -3);
        return count;
    }
    lua_pushliteral(L, "end");
    return 1;
}

static int finish_step(lua_State *L, struct neap_task *task, int code) {
    (void)code; /* where the time is over there are no news */
    return push_news(L, (struct neap_transfer *)task->link.object);
}

/* transfer:step([seconds]): waits for news. "some", "hungry", "end", "late" after so many seconds;
 * nil, message, code: it failed. */
static int transfer_step(lua_State *L) {
    return neap_await_object(L, &check(L)->object, NEAP_TRANSFER_NEWS, 2, finish_step);
}

/* transfer:take(): what has come of the body. */
static int transfer_take(lua_State *L) {
    struct neap_transfer *transfer = check(L);
    lua_pushlstring(L, neap_inbox_size(&transfer->body) > 0 ? neap_inbox_peek(&transfer->body) : "",
                    neap_inbox_size(&transfer->body));
    neap_transfer_take(transfer);
    return 1;
}

/* transfer:collect(limit): no more pieces. */
static int transfer_collect(lua_State *L) {
    neap_transfer_collect(check(L), (uint64_t)luaL_checkinteger(L, 2));
    return 0;
}

/* transfer:give(bytes | nil) -> taken? Not when it is not hungry, or not any more. */
static int transfer_give(lua_State *L) {
    struct neap_transfer *transfer = check(L);
    size_t size = 0;
    const char *bytes = luaL_optlstring(L, 2, NULL, &size);
    bool hungry = neap_transfer_is_hungry(transfer);
    if (hungry && neap_transfer_give(transfer, bytes, size) != 0) return luaL_error(L, "not enough memory");
    lua_pushboolean(L, hungry);
    return 1;
}

/* transfer:head(): status, the lines of the head, url */
static int transfer_head(lua_State *L) {
    const struct neap_transfer *transfer = check(L);
    size_t size = neap_inbox_size(&transfer->head);
    lua_pushinteger(L, neap_transfer_status(transfer));
    lua_pushlstring(L, size > 0 ? neap_inbox_peek(&transfer->head) : "", size);
    lua_pushstring(L, neap_transfer_url(transfer));
    return 3;
}

/* transfer:counts(): bytes received, expected (nil: unknown), sent; and for how many seconds nothing has moved */
static int transfer_counts(lua_State *L) {
    const struct neap_transfer *transfer = check(L);
    int64_t expected = neap_transfer_expected(transfer);
    lua_pushinteger(L, (lua_Integer)transfer->received);
    if (expected >= 0)
        lua_pushinteger(L, expected);
    else
        lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)transfer->given + (lua_Integer)transfer->sent);
    lua_pushnumber(L, (double)(neap_clock_now() - transfer->moved_at) / (double)NEAP_SECOND);
    return 4;
}

/* __close */
static int transfer_close(lua_State *L) {
    neap_transfer_close((struct neap_transfer *)neap_box_check(L, 1, NEAP_HANDLE_TRANSFER));
    return 0;
}

static const luaL_Reg methods[] = {{"step", transfer_step},
                                   {"take", transfer_take},
                                   {"collect", transfer_collect},
                                   {"give", transfer_give},
                                   {"head", transfer_head},
                                   {"counts", transfer_counts},
                                   {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__close", transfer_close}, {NULL, NULL}};
static const luaL_Reg none[] = {{NULL, NULL}};

const struct neap_binding neap_transfer_binding = {
    .name = "transfer",
    .class = &neap_transfer_class,
    .methods = methods,
    .metamethods = metamethods,
    .stays = true,
};

const struct neap_binding neap_agent_binding = {
    .name = "agent",
    .class = &neap_agent_class,
    .methods = none,
    .stays = true,
};
