/* files: each function copies its arguments into a offload, has one function of io/files.h run on them, and waits. A
 * call that is cancelled goes on in the pool all the same; nobody is told how it ends. */
#include "bindings/io/files.h"

#include <string.h>

#include "bindings/io/offload.h"
#include "bindings/task/await.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "io/files.h"

enum { NEW_FILE_MODE = 0666, NEW_FOLDER_MODE = 0777 };

struct file_call {
    struct neap_offload offload;   /* first */
    char *path, *other;            /* owned */
    struct neap_files_bytes bytes; /* operand, or result */
    struct stat info;              /* result */
    mode_t mode;                   /* of what is made */
    bool flag;                     /* follow, parents, recursive */
};

static struct file_call *call_of(struct neap_offload *offload) { return (struct file_call *)offload; }

static void free_call(struct neap_offload *offload) {
    struct file_call *call = call_of(offload);
    neap_free(call->path);
    neap_free(call->other);
    neap_files_free(&call->bytes);
}

/* --- in the pool --- */

static int run_read(struct neap_offload *offload) {
    return neap_files_read(call_of(offload)->path, &call_of(offload)->bytes);
}

static int run_write(struct neap_offload *offload) {
    const struct file_call *call = call_of(offload);
    return neap_files_write(call->path, call->bytes.bytes, call->bytes.size, call->mode);
}

static int run_append(struct neap_offload *offload) {
    const struct file_call *call = call_of(offload);
    return neap_files_append(call->path, call->bytes.bytes, call->bytes.size, call->mode);
}

static int run_stat(struct neap_offload *offload) {
    struct file_call *call = call_of(offload);
    return neap_files_stat(call->path, call->flag, &call->info);
}

static int run_list(struct neap_offload *offload) {
    return neap_files_list(call_of(offload)->path, &call_of(offload)->bytes);
}

static int run_mkdir(struct neap_offload *offload) {
    const struct file_call *call = call_of(offload);
    return neap_files_mkdir(call->path, call->mode, call->flag);
}

static int run_remove(struct neap_offload *offload) {
    return neap_files_remove(call_of(offload)->path, call_of(offload)->flag);
}

static int run_rename(struct neap_offload *offload) {
    return neap_files_rename(call_of(offload)->path, call_of(offload)->other);
}

static int run_copy(struct neap_offload *offload) {
    return neap_files_copy(call_of(offload)->path, call_of(offload)->other);
}

static int run_resolve(struct neap_offload *offload) {
    return neap_files_resolve(call_of(offload)->path, &call_of(offload)->bytes);
}

/* --- arguments --- */

const char *neap_files_check_path(lua_State *L, int index, size_t *size) {
    const char *path = neap_argument_string(L, index, size);
    neap_argument_check(L, strlen(path) == *size, index, "a path has no zero bytes");
    return path;
}

char *neap_files_copy_bytes(lua_State *L, const char *bytes, size_t size) {
    char *copy = neap_alloc(size + 1);
    if (copy == NULL) luaL_error(L, "not enough memory");
    memcpy(copy, bytes, size + 1);
    return copy;
}

/* Pushes a call whose path is argument 1. */
static struct file_call *push_call(lua_State *L, int (*run)(struct neap_offload *offload)) {
    size_t size;
    const char *path = neap_files_check_path(L, 1, &size);
    neap_await_check(L);
    neap_await_begin(L);
    struct file_call *call = neap_offload_push(L, sizeof *call, run, free_call);
    call->path = neap_files_copy_bytes(L, path, size);
    return call;
}

static int await(lua_State *L, struct file_call *call, neap_finish finish) {
    neap_offload_start(&call->offload, &neap_vm_of(L)->loop);
    return neap_offload_await(L, &call->offload, NEAP_FOREVER, finish);
}

/* The code of an ended call, whose record it puts into *call. */
static int code_of(struct neap_task *task, struct file_call **call) {
    *call = (struct file_call *)task->link.object;
    return (*call)->offload.code;
}

static int finish_true(lua_State *L, struct neap_task *task, int code) {
    struct file_call *call;
    code = code_of(task, &call);
    if (code != 0) return neap_push_code(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

static int finish_bytes(lua_State *L, struct neap_task *task, int code) {
    struct file_call *call;
    code = code_of(task, &call);
    if (code != 0) return neap_push_code(L, code);
    lua_pushlstring(L, call->bytes.size > 0 ? call->bytes.bytes : "", call->bytes.size);
    return 1;
}

/* --- the functions --- */

/* (path): bytes */
static int files_read(lua_State *L) { return await(L, push_call(L, run_read), finish_bytes); }

static int files_put(lua_State *L, int (*run)(struct neap_offload *offload)) {
    size_t size;
    neap_argument_type(L, 2, LUA_TSTRING);
    const char *bytes = lua_tolstring(L, 2, &size);
    mode_t mode = (mode_t)neap_argument_integer_or(L, 3, NEW_FILE_MODE);
    struct file_call *call = push_call(L, run);
    call->bytes.bytes = neap_files_copy_bytes(L, bytes, size);
    call->bytes.size = size;
    call->mode = mode;
    return await(L, call, finish_true);
}

/* (path, bytes, mode) */
static int files_write(lua_State *L) { return files_put(L, run_write); }

/* (path, bytes, mode) */
static int files_append(lua_State *L) { return files_put(L, run_append); }

static const char *type_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG: return "file";
        case S_IFDIR: return "folder";
        case S_IFLNK: return "link";
        case S_IFIFO: return "pipe";
        case S_IFSOCK: return "socket";
        default: return "device";
    }
}

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void set_time(lua_State *L, const char *name, const struct timespec *time) {
    lua_pushnumber(L, (double)time->tv_sec + (double)time->tv_nsec / (double)NEAP_SECOND);
    lua_setfield(L, -2, name);
}

static int finish_stat(lua_State *L, struct neap_task *task, int code) {
    struct file_call *call;
    code = code_of(task, &call);
    if (code != 0) return neap_push_code(L, code);
    const struct stat *info = &call->info;
    lua_createtable(L, 0, 11);
    lua_pushstring(L, type_of(info->st_mode));
    lua_setfield(L, -2, "type");
    set_integer(L, "size", info->st_size);
    set_integer(L, "mode", info->st_mode & 07777);
    set_integer(L, "uid", info->st_uid);
    set_integer(L, "gid", info->st_gid);
    set_integer(L, "inode", (lua_Integer)info->st_ino);
    set_integer(L, "device", (lua_Integer)info->st_dev);
    set_integer(L, "links", (lua_Integer)info->st_nlink);
    set_time(L, "modified", &info->st_mtim);
    set_time(L, "accessed", &info->st_atim);
    set_time(L, "changed", &info->st_ctim);
    return 1;
}

/* (path, follow): a table */
static int files_stat(lua_State *L) {
    bool follow = lua_toboolean(L, 2);
    struct file_call *call = push_call(L, run_stat);
    call->flag = follow;
    return await(L, call, finish_stat);
}

/* A list of names, and a list of their types. */
static int finish_list(lua_State *L, struct neap_task *task, int code) {
    struct file_call *call;
    lua_Integer count = 0;
    code = code_of(task, &call);
    if (code != 0) return neap_push_code(L, code);
    const char *at = call->bytes.bytes, *end = at + call->bytes.size;
    lua_newtable(L);
    lua_newtable(L);
    while (at != end) {
        char letter = *at++;
        lua_pushstring(L, at);
        lua_rawseti(L, -3, ++count);
        lua_pushstring(L, letter == 'f' ? "file" : letter == 'd' ? "folder" : letter == 'l' ? "link" : "other");
        lua_rawseti(L, -2, count);
        at += strlen(at) + 1;
    }
    return 2;
}

/* (path): names, types */
static int files_list(lua_State *L) { return await(L, push_call(L, run_list), finish_list); }

/* (path, parents, mode) */
static int files_mkdir(lua_State *L) {
    bool parents = lua_toboolean(L, 2);
    mode_t mode = (mode_t)neap_argument_integer_or(L, 3, NEW_FOLDER_MODE);
    struct file_call *call = push_call(L, run_mkdir);
    call->flag = parents;
    call->mode = mode;
    return await(L, call, finish_true);
}

/* (path, recursive) */
static int files_remove(lua_State *L) {
    bool recursive = lua_toboolean(L, 2);
    struct file_call *call = push_call(L, run_remove);
    call->flag = recursive;
    return await(L, call, finish_true);
}

static int files_pair(lua_State *L, int (*run)(struct neap_offload *offload)) {
    size_t size;
    const char *other = neap_files_check_path(L, 2, &size);
    struct file_call *call = push_call(L, run);
    call->other = neap_files_copy_bytes(L, other, size);
    return await(L, call, finish_true);
}

/* (from, to) */
static int files_rename(lua_State *L) { return files_pair(L, run_rename); }

/* (from, to) */
static int files_copy(lua_State *L) { return files_pair(L, run_copy); }

/* (path): path */
static int files_resolve(lua_State *L) { return await(L, push_call(L, run_resolve), finish_bytes); }

const luaL_Reg neap_files_functions[] = {{"append", files_append},   {"copy", files_copy},
                                         {"draft", neap_file_draft}, {"list", files_list},
                                         {"mkdir", files_mkdir},     {"open", neap_file_open},
                                         {"read", files_read},       {"remove", files_remove},
                                         {"rename", files_rename},   {"resolve", files_resolve},
                                         {"stat", files_stat},       {"watch", neap_file_watch_open},
                                         {"write", files_write},     {NULL, NULL}};
