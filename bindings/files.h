/* files: what the Lua half (scripts/neap/fs.lua) is given for neap.fs. */
#ifndef NEAP_BINDINGS_FILES_H
#define NEAP_BINDINGS_FILES_H

#include <lauxlib.h>

/* Functions that make one blocking call each in a pool of threads, and wait for it. */
extern const luaL_Reg neap_files_functions[];

/* (path, flags, mode): an open file. In file.c. */
int neap_file_open(lua_State *L);
/* (path, mode): a new file that is to be written; the name that it has until it is whole, and the one that it is to be
 * given then. These are nil where `path` is a device, which is written to. In file.c. */
int neap_file_draft(lua_State *L);
/* (folder, only, path): a watch. In file_watch.c. */
int neap_file_watch_open(lua_State *L);

#endif
