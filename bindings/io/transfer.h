/* transfer: what the Lua half (scripts/neap/http_client.lua) is given for the client of neap.http. */
#ifndef NEAP_BINDINGS_IO_TRANSFER_H
#define NEAP_BINDINGS_IO_TRANSFER_H

#include <lauxlib.h>

extern const luaL_Reg neap_transfer_functions[];

#endif
