/* tls: what the Lua half (scripts/neap/tls.lua) is given. */
#ifndef NEAP_BINDINGS_IO_TLS_H
#define NEAP_BINDINGS_IO_TLS_H

#include <lauxlib.h>

/* internal.tls; see tls.c */
extern const luaL_Reg neap_tls_functions[];

#endif
