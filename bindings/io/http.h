/* http: what the Lua half (scripts/neap/http_server.lua) is given. */
#ifndef NEAP_BINDINGS_IO_HTTP_H
#define NEAP_BINDINGS_IO_HTTP_H

#include <lauxlib.h>

/* internal.http; see http.c */
extern const luaL_Reg neap_http_functions[];

/* In http_response.c. response(status, headers, body, minor, is_head, closes) -> bytes, closes
 *   status     integer, 100 to 999
 *   headers    table of names and values: strings, numbers, or lists of them; nil: none
 *   body       string; nil: it follows, in chunks if the client knows them, else until the connection is closed
 *   minor      of the client's HTTP version
 *   is_head    the client wants the head only
 *   closes     the connection is closed behind it; also when the headers say so, or when that is how the body ends */
int neap_http_response(lua_State *L);

#endif
