/* net: what the Lua half (scripts/neap/net.lua) is given, and what the files of sockets share. */
#ifndef NEAP_BINDINGS_IO_NET_H
#define NEAP_BINDINGS_IO_NET_H

#include <lauxlib.h>

#include "io/socket.h"

/* Reads a numeric host at `index` and a port after it, or "unix:/path": 0, or a code. */
int neap_net_address(lua_State *L, int index, struct neap_address *address);
/* The same for a socket that is to be found there. Raises where that makes a file, and files may not be made. */
int neap_net_own_address(lua_State *L, int index, struct neap_address *address);
/* Pushes host and port, or a path: how many. */
int neap_net_push_address(lua_State *L, const struct neap_address *address);

/* For the Lua half: connecting, listening, names. */
extern const luaL_Reg neap_net_functions[];

/* In the files of what they make. */
int neap_net_datagram(lua_State *L);
int neap_net_listen(lua_State *L);

#endif
