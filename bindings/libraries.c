/* libraries: what threads print.
 *
 * Several threads share one stdout. A line of one must not be torn by another's, however many arguments and calls it took. So a
 * thread other than the main one collects what it prints and hands over whole lines, each lot in one write;
 * an unfinished line follows when the thread ends. The main thread writes at once, each call in one write. */
#include "bindings/libraries.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/cancel.h"
#include "bindings/module.h"
#include "bindings/task.h"
#include "core/memory.h"
#include "host/engine.h"

/* --- output --- */

static bool is_main(const struct neap_vm *vm) { return vm->engine->context == NULL || vm->engine->context == vm; }

static void append(lua_State *L, struct neap_output *output, const char *text, size_t length) {
    if (output->used + length > output->room) {
        size_t room = (output->used + length) * 2;
        char *bytes = neap_realloc(output->bytes, room);
        if (bytes == NULL) luaL_error(L, "not enough memory");
        output->bytes = bytes;
        output->room = room;
    }
    memcpy(output->bytes + output->used, text, length);
    output->used += length;
}

/* Writes the first `length` bytes and moves the rest to the front. */
static bool write_out(struct neap_output *output, size_t length) {
    bool ok = length == 0 || fwrite(output->bytes, 1, length, stdout) == length;
    output->used -= length;
    memmove(output->bytes, output->bytes + length, output->used);
    return ok;
}

static size_t whole_lines(const struct neap_output *output) {
    for (size_t length = output->used; length > 0; length--)
        if (output->bytes[length - 1] == '\n') return length;
    return 0;
}

static bool hand_over(const struct neap_vm *vm, struct neap_output *output) {
    return write_out(output, is_main(vm) ? output->used : whole_lines(output));
}

void neap_libraries_flush(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    if (vm->output.used > 0) write_out(&vm->output, vm->output.used);
    fflush(stdout);
}

static int replaced_print(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    int count = lua_gettop(L);
    luaL_Buffer line;
    for (int i = 1; i <= count; i++) {
        luaL_tolstring(L, i, NULL);
        lua_replace(L, i);
    }
    luaL_buffinit(L, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1) luaL_addchar(&line, '\t');
        lua_pushvalue(L, i);
        luaL_addvalue(&line);
    }
    luaL_addchar(&line, '\n');
    luaL_pushresult(&line);
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    append(L, &vm->output, text, length);
    hand_over(vm, &vm->output);
    return 0;
}

/* Writes arguments `first` .. to stdout; returns what file:write returns. The file is at `file`. */
static int write_to_stdout(lua_State *L, int first, int file) {
    struct neap_vm *vm = neap_vm_of(L);
    for (int i = first; i <= lua_gettop(L); i++) luaL_checkstring(L, i);
    for (int i = first; i <= lua_gettop(L); i++) {
        size_t length;
        const char *text = lua_tolstring(L, i, &length);
        append(L, &vm->output, text, length);
    }
    if (!hand_over(vm, &vm->output)) return luaL_fileresult(L, 0, NULL);
    lua_pushvalue(L, file);
    return 1;
}

static bool is_stdout(lua_State *L, int index) {
    const luaL_Stream *stream = luaL_testudata(L, index, LUA_FILEHANDLE);
    return stream != NULL && stream->closef != NULL && stream->f == stdout;
}

/* file:write(...): upvalue 1 is the original. */
static int replaced_method(lua_State *L) {
    if (is_stdout(L, 1)) return write_to_stdout(L, 2, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* io.write(...): upvalue 1 is the original. */
static int replaced_write(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output");
    lua_insert(L, 1);
    if (is_stdout(L, 1)) return write_to_stdout(L, 2, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_replace(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* file:flush and friends go past us: what a thread has collected of a line stays, whole lines are out already. */

/* --- os.exit --- */

/* os.exit([status]): ends the program in order; this task first. */
static int replaced_exit(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_task *task = vm->current;
    int status = lua_isboolean(L, 1) ? !lua_toboolean(L, 1) : (int)luaL_optinteger(L, 1, 0);
    neap_engine_exit(vm->engine, status & 0xFF);
    task->flags |= NEAP_TASK_CANCELLED | NEAP_TASK_PENDING;
    task->unwinding = 0;
    neap_cancel_check(L, task);
    return luaL_error(L, "the program is ending"); /* shielded: the error ends what it can */
}

/* --- opening --- */

void neap_libraries_open(lua_State *L) {
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, neap_module_open);
    lua_setfield(L, -2, "neap");
    lua_pop(L, 1);
}

/* Replaces the field `name` of the table on top of the stack by `function`, with the original as its upvalue. */
static void replace_field(lua_State *L, const char *name, lua_CFunction function) {
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

void neap_libraries_replace(lua_State *L) {
    lua_pushglobaltable(L);
    lua_pushcfunction(L, replaced_print);
    lua_setfield(L, -2, "print");
    lua_getfield(L, -1, LUA_IOLIBNAME);
    replace_field(L, "write", replaced_write);
    lua_getfield(L, -2, LUA_OSLIBNAME);
    replace_field(L, "exit", replaced_exit);
    luaL_getmetatable(L, LUA_FILEHANDLE);
    lua_getfield(L, -1, "__index");
    replace_field(L, "write", replaced_method);
    lua_pop(L, 5);
}
