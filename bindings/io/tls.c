/* tls: contexts, and streams that become secure.
 *
 *   context(is_server, verify, ca, cert, key, alpn) -> context     strings or nil; alpn as it travels
 *   secure(stream, context, name) -> true                          from now on; the handshake is to follow
 * Or nil, message, code. */
#include "bindings/io/tls.h"

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/io/stream.h"
#include "bindings/neap.h"
#include "bindings/state/restrict.h"
#include "bindings/task/await.h"
#include "core/error.h"

static int make_context(lua_State *L) {
    char problem[NEAP_TLS_PROBLEM_MAX];
    struct neap_tls_context *context;
    struct neap_tls_options options = {
        .server = lua_toboolean(L, 1),
        .verify = lua_toboolean(L, 2),
        .ca = luaL_optstring(L, 3, NULL),
        .cert = luaL_optstring(L, 4, NULL),
        .key = luaL_optstring(L, 5, NULL),
    };
    options.alpn = luaL_optlstring(L, 6, NULL, &options.alpn_size);
    if (options.ca != NULL || options.cert != NULL || options.key != NULL)
        neap_restrict_check(L, NEAP_DENY_READING, "reading a file");
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_TLS, sizeof *box, 0);
    int code = neap_tls_context_new(&options, &context, problem);
    if (code == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    if (code == 0) {
        box->object = neap_tls_context_object(context);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, problem);
    lua_pushstring(L, neap_code_name(code));
    return 3;
}

static int secure(lua_State *L) {
    struct neap_object *context = neap_box_check(L, 2, NEAP_HANDLE_TLS);
    const char *name = luaL_optstring(L, 3, NULL);
    lua_pushvalue(L, 1);
    int code = neap_stream_secure(L, context, name);
    if (code != 0) return neap_push_code(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg neap_tls_functions[] = {{"context", make_context}, {"secure", secure}, {NULL, NULL}};

static const luaL_Reg none[] = {{NULL, NULL}};

const struct neap_binding neap_tls_binding = {
    .name = "tls",
    .class = &neap_tls_context_class,
    .methods = none,
    .stays = true,
};
