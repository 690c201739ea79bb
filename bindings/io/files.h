/* files: what the Lua half (scripts/neap/fs.lua) is given for neap.fs. */
#ifndef NEAP_BINDINGS_IO_FILES_H
#define NEAP_BINDINGS_IO_FILES_H

#include <lauxlib.h>

/* Functions that make one blocking call each in a pool of threads, and wait for it. */
extern const luaL_Reg neap_files_functions[];

/* The argument at `index`, which is a path and has no zero bytes. */
const char *neap_files_check_path(lua_State *L, int index, size_t *size);
/* A copy that ends with the zero byte behind `bytes`, to be freed; raises when out of memory. */
char *neap_files_copy_bytes(lua_State *L, const char *bytes, size_t size);

/* (path, flags, mode): an open file. In file.c. */
int neap_file_open(lua_State *L);
/* (path, mode): a new file that is to be written; the name that it has until it is whole, and the one that it is to be
 * given then. These are nil where `path` is a device, which is written to. In file.c. */
int neap_file_draft(lua_State *L);
/* (folder, only, path): a watch. In file_watch.c. */
int neap_file_watch_open(lua_State *L);

#endif
