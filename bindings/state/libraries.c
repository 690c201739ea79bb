/* libraries: what threads print.
 *
 * LINES      Several threads share one stdout. A line of one must not be torn by another's, however many arguments and
 *            calls it took. So each state collects an unfinished line and hands over whole lines, in one write; the
 *            rest follows when it is flushed by the script, or when the thread ends. A state that has called
 *            setvbuf("no") does not wait for lines. The main state collects only while there are other threads or
 *            processes and stdout is no terminal: there it writes at once, as plain Lua does.
 * ORDER      Whole lines go straight into the buffer of the C library, which all threads share, so what one thread
 *            prints before it wakes another comes before what that one prints. print flushes that buffer, as plain
 *            Lua's does: what a program prints before it starts another stands before what that one prints.
 * FILES      Other files are none of our business: their methods go on to the originals, which run in our own frame, so
 *            that they raise the messages that they always raised and cost no call more.
 * RANDOM     Lua makes the seed of math.random from the time and an address. Child processes that are copies of one
 *            another have both in common, so the system is asked for seeds.
 * HOST       Where a host takes the output there is no stdout, but a file that stands for it: lines are
 *            collected, and handed to the host.
 * NO READER  Who writes to a stdout that nobody reads any more (EPIPE) is ended quietly, as other programs are by
 *            SIGPIPE, but in order: the program ends with the status that a shell gives to SIGPIPE. */
#include "bindings/state/libraries.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "bindings/module.h"
#include "bindings/report/report.h"
#include "bindings/state/embedding.h"
#include "bindings/task/cancel.h"
#include "bindings/task/task.h"
#include "core/memory.h"
#include "host/engine.h"

enum { NUMBER_MAX = 64, PIPE_STATUS = 128 + SIGPIPE };

/* --- output --- */

static bool is_main(const struct neap_vm *vm) { return vm->engine->context == NULL || vm->engine->context == vm; }

static bool has_host(const struct neap_vm *vm) { return neap_embedding_takes_output(vm->engine->embedding); }

/* Must unfinished lines wait? */
static bool collects(const struct neap_vm *vm) {
    if (has_host(vm)) return true;
    if (!is_main(vm)) return true;
    return !vm->output.terminal && (atomic_load_explicit(&vm->engine->alive, memory_order_relaxed) > 0 ||
                                    atomic_load_explicit(&vm->engine->process_count, memory_order_relaxed) > 0);
}

static void append(lua_State *L, struct neap_output *output, const char *text, size_t length) {
    if (output->used + length > output->room) {
        size_t room = (output->used + length) * 2;
        char *bytes = neap_realloc(output->bytes, room);
        if (bytes == NULL) luaL_error(L, "not enough memory");
        output->bytes = bytes;
        output->room = room;
    }
    if (length > 0) memcpy(output->bytes + output->used, text, length);
    output->used += length;
}

/* Writes the first `length` bytes and moves the rest to the front. False, with errno, when it failed. */
static bool write_out(struct neap_vm *vm, size_t length) {
    struct neap_output *output = &vm->output;
    bool ok = true;
    if (length == 0) return true;
    if (has_host(vm)) {
        neap_embedding_write(vm->engine->embedding, output->bytes, length);
    } else {
        bool begun = neap_screen_begin(&vm->engine->screen, stdout);
        ok = fwrite(output->bytes, 1, length, stdout) == length;
        neap_screen_end(&vm->engine->screen, stdout, begun, output->bytes[length - 1]);
    }
    output->used -= length;
    memmove(output->bytes, output->bytes + length, output->used);
    return ok;
}

static size_t whole_lines(const struct neap_output *output) {
    size_t length = output->used;
    while (length > 0 && output->bytes[length - 1] != '\n') length--;
    return length;
}

/* A write to stdout has failed. Returns its errno. */
static int note_error(const struct neap_vm *vm) {
    int none = 0, error = errno != 0 ? errno : EIO;
    atomic_compare_exchange_strong_explicit(&vm->engine->output_error, &none, error, memory_order_relaxed,
                                            memory_order_relaxed);
    return error;
}

int neap_libraries_flush(struct neap_vm *vm) {
    errno = 0;
    bool ok = write_out(vm, vm->output.used);
    if (!has_host(vm)) ok = fflush(stdout) == 0 && ok;
    if (!ok) note_error(vm);
    return atomic_load_explicit(&vm->engine->output_error, memory_order_relaxed);
}

int neap_libraries_flush_if_free(struct neap_vm *vm) {
    bool begun;
    if (!neap_screen_try_begin(&vm->engine->screen, stdout, &begun)) return 0;
    int code = neap_libraries_flush(vm);
    neap_screen_end(&vm->engine->screen, stdout, begun, '\0');
    return code;
}

/* The bytes of the string or number at `index`. io.write formats numbers as C does, which tostring does not. */
static const char *get_text(lua_State *L, int index, char buffer[NUMBER_MAX], size_t *length) {
    if (lua_type(L, index) != LUA_TNUMBER) return lua_tolstring(L, index, length);
    *length = (size_t)(lua_isinteger(L, index) ? lua_integer2str(buffer, NUMBER_MAX, lua_tointeger(L, index))
                                               : lua_number2str(buffer, NUMBER_MAX, lua_tonumber(L, index)));
    return buffer;
}

/* What is written in one piece: the arguments from `first` on. */
struct piece {
    int first;
    const char *between, *after; /* after each but the last; after the last */
    bool flush;                  /* at once */
};

static bool collect_piece(lua_State *L, struct neap_vm *vm, const struct piece *piece) {
    struct neap_output *output = &vm->output;
    char buffer[NUMBER_MAX];
    for (int i = piece->first, top = lua_gettop(L); i <= top; i++) {
        size_t length;
        const char *text = get_text(L, i, buffer, &length), *tail = i < top ? piece->between : piece->after;
        append(L, output, text, length);
        append(L, output, tail, strlen(tail));
    }
    bool ok = write_out(vm, whole_lines(output));
    return (!piece->flush || has_host(vm) || fflush(stdout) == 0) && ok;
}

static bool write_piece(lua_State *L, struct neap_vm *vm, const struct piece *piece) {
    char buffer[NUMBER_MAX], last = '\0';
    bool ok = true, begun = neap_screen_begin(&vm->engine->screen, stdout);
    if (vm->output.used > 0) ok = write_out(vm, vm->output.used);
    for (int i = piece->first, top = lua_gettop(L); i <= top; i++) {
        size_t length;
        const char *text = get_text(L, i, buffer, &length), *tail = i < top ? piece->between : piece->after;
        ok = fwrite_unlocked(text, 1, length, stdout) == length && ok;
        if (tail[0] != '\0') ok = putc_unlocked(tail[0], stdout) != EOF && ok;
        if (length > 0) last = text[length - 1];
        if (tail[0] != '\0') last = tail[0];
    }
    if (piece->flush) ok = fflush_unlocked(stdout) == 0 && ok;
    neap_screen_end(&vm->engine->screen, stdout, begun, last);
    return ok;
}

/* 0 or an errno. Where nobody reads any more it ends the program, and raises. */
static int put(lua_State *L, const struct piece *piece) {
    struct neap_vm *vm = neap_vm_of(L);
    errno = 0;
    if (collects(vm) ? collect_piece(L, vm, piece) : write_piece(L, vm, piece)) return 0;
    int error = note_error(vm);
    if (error == EPIPE) neap_libraries_exit(L, PIPE_STATUS);
    return error;
}

static int replaced_print(lua_State *L) {
    const struct piece line = {.first = 1, .between = "\t", .after = "\n", .flush = true};
    int count = lua_gettop(L);
    if (count == 0) lua_pushliteral(L, "");
    for (int i = 1; i <= count; i++) {
        luaL_tolstring(L, i, NULL);
        lua_replace(L, i);
    }
    put(L, &line);
    return 0;
}

/* Writes the arguments from `first` on to stdout, and pushes what file:write returns;
 * the file is on top of the stack. */
static int write_to_stdout(lua_State *L, int first) {
    const struct piece piece = {.first = first + 1, .between = "", .after = "", .flush = false};
    int top = lua_gettop(L) - 1;
    for (int i = first; i <= top; i++)
        if (lua_type(L, i) != LUA_TNUMBER) neap_argument_string(L, i, NULL);
    lua_insert(L, 1);
    int error = put(L, &piece);
    if (error == 0) {
        lua_settop(L, 1);
        return 1;
    }
    errno = error;
    return luaL_fileresult(L, 0, NULL);
}

/* --- methods of files --- */

/* Each replaced function has upvalues: 1 the original, 2 the address of the metatable of files. */

/* What the file at `index` stands for; NULL: it is closed, or none. */
static const FILE *get_stream(lua_State *L, int index) {
    const luaL_Stream *file = lua_touserdata(L, index);
    if (file == NULL || !lua_getmetatable(L, index)) return NULL;
    bool is_file = lua_topointer(L, -1) == lua_touserdata(L, lua_upvalueindex(2));
    lua_pop(L, 1);
    return is_file && file->closef != NULL ? file->f : NULL;
}

/* What stands for stdout: see HOST. */
static bool is_sink(lua_State *L, int index) {
    const void *sink = neap_vm_of(L)->output.sink;
    return sink != NULL && lua_touserdata(L, index) == sink;
}

static bool is_stdout(lua_State *L, int index) {
    return is_sink(L, index) || (get_stream(L, index) == stdout && !has_host(neap_vm_of(L)));
}

/* Goes on as the original function, in the same frame. */
static int be_original(lua_State *L) {
    lua_CFunction original = lua_tocfunction(L, lua_upvalueindex(1));
    if (original != NULL) return original(L);
    lua_pushvalue(L, lua_upvalueindex(1)); /* somebody has put a function in Lua in its place */
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static void write_collected(lua_State *L) {
    const struct piece nothing = {.first = lua_gettop(L) + 1, .between = "", .after = "", .flush = false};
    struct neap_vm *vm = neap_vm_of(L);
    if (vm->output.used == 0) return;
    if (has_host(vm))
        write_out(vm, vm->output.used);
    else
        write_piece(L, vm, &nothing);
}

/* Pushes the default output, if that is stdout. */
static bool push_default_stdout(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output");
    if (is_stdout(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

/* Turns what is to be written into strings, as io.write says them, so that nothing raises later. The last one's last
 * byte; 0: it is empty. */
static char make_strings(lua_State *L, int top) {
    char last = '\0';
    for (int i = 2; i <= top; i++) {
        char buffer[NUMBER_MAX];
        size_t length;
        if (lua_type(L, i) == LUA_TNUMBER) {
            const char *number = get_text(L, i, buffer, &length);
            lua_pushlstring(L, number, length);
            lua_replace(L, i);
        }
        const char *text = neap_argument_string(L, i, &length);
        if (i == top && length > 0) last = text[length - 1];
    }
    return last;
}

/* stderr:write(...), in one piece. */
static int write_to_stderr(lua_State *L) {
    struct neap_screen *screen = &neap_vm_of(L)->engine->screen;
    int top = lua_gettop(L);
    char last = make_strings(L, top);
    if (top > 2) lua_concat(L, top - 1); /* it has no buffer */
    bool begun = neap_screen_begin(screen, stderr);
    int results = be_original(L);
    neap_screen_end(screen, stderr, begun, last);
    return results;
}

/* file:write(...) */
static int replaced_method(lua_State *L) {
    if (get_stream(L, 1) == stderr) return write_to_stderr(L);
    if (!is_stdout(L, 1)) return be_original(L);
    lua_pushvalue(L, 1);
    return write_to_stdout(L, 2);
}

/* file:flush(), file:seek(...), file:setvbuf(...) */
static int replaced_control(lua_State *L) {
    if (is_stdout(L, 1)) write_collected(L);
    if (!is_sink(L, 1)) return be_original(L);
    lua_settop(L, 1);
    return 1;
}

/* io.write(...) */
static int replaced_write(lua_State *L) { return push_default_stdout(L) ? write_to_stdout(L, 1) : be_original(L); }

/* io.flush() */
static int replaced_flush(lua_State *L) {
    if (push_default_stdout(L)) {
        write_collected(L);
        if (has_host(neap_vm_of(L))) return 1;
        lua_pop(L, 1);
    }
    return be_original(L);
}

/* --- os.exit --- */

int neap_libraries_exit_status(lua_State *L) {
    if (lua_isboolean(L, 1)) return lua_toboolean(L, 1) ? 0 : 1;
    return (int)(neap_argument_integer_or(L, 1, 0) & 0xFF);
}

int neap_libraries_exit(lua_State *L, int status) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_task *task = vm->current;
    neap_engine_exit(vm->engine, status);
    neap_vm_stop(vm); /* nobody here goes on as if nothing had happened */
    /* in a finaliser the error goes nowhere: the task goes on until the program cancels it with all the others */
    if (lua_gc(L, LUA_GCCOUNT, 0) < 0) return luaL_error(L, "the program is ending");
    if (task->unwinding == 0) task->unwinding = task->depth;
    lua_pushliteral(L, "exit");
    neap_cancel_push_error(L, -1);
    return lua_error(L);
}

static int replaced_exit(lua_State *L) { return neap_libraries_exit(L, neap_libraries_exit_status(L)); }

/* --- math.randomseed --- */

/* As the original, upvalue 1, but for a seed that nobody has given. */
static int replaced_randomseed(lua_State *L) {
    lua_Integer seeds[2];
    if (lua_gettop(L) == 0 && getrandom(seeds, sizeof seeds, 0) == (ssize_t)sizeof seeds) {
        lua_pushinteger(L, seeds[0]);
        lua_pushinteger(L, seeds[1]);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static void seed(lua_State *L) {
    lua_getglobal(L, LUA_MATHLIBNAME);
    lua_getfield(L, -1, "randomseed");
    lua_pushcclosure(L, replaced_randomseed, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "randomseed");
    lua_call(L, 0, 0);
    lua_pop(L, 1);
}

/* --- warn --- */

enum { WARNINGS_OFF, WARNINGS_ON, WARNINGS_CONTINUE };

/* The host gets a warning in one piece. What there is no memory for is left out. */
static void warn_host(struct neap_vm *vm, const char *message, bool to_continue) {
    struct neap_output *output = &vm->output;
    size_t used = output->warning == NULL ? 0 : strlen(output->warning), length = strlen(message);
    char *warning = neap_realloc(output->warning, used + length + 1);
    if (warning != NULL) {
        memcpy(warning + used, message, length + 1);
        output->warning = warning;
    }
    output->warnings = to_continue ? WARNINGS_CONTINUE : WARNINGS_ON;
    if (to_continue || output->warning == NULL) return;
    neap_report_print("Lua warning: %s\n", output->warning);
    neap_free(output->warning);
    output->warning = NULL;
}

/* As the one of lua5.4: off until warn("@on"). */
static void warn(void *argument, const char *message, int to_continue) {
    struct neap_output *output = &neap_vm_of(argument)->output;
    if (output->warnings != WARNINGS_CONTINUE && !to_continue && message[0] == '@') {
        if (strcmp(message, "@on") == 0) output->warnings = WARNINGS_ON;
        if (strcmp(message, "@off") == 0) output->warnings = WARNINGS_OFF;
        return;
    }
    if (output->warnings == WARNINGS_OFF) return;
    if (neap_embedding_takes_reports(neap_vm_of(argument)->engine->embedding)) {
        warn_host(neap_vm_of(argument), message, to_continue != 0);
        return;
    }
    fprintf(stderr, "%s%s%s", output->warnings == WARNINGS_ON ? "Lua warning: " : "", message, to_continue ? "" : "\n");
    output->warnings = to_continue ? WARNINGS_CONTINUE : WARNINGS_ON;
}

/* --- opening --- */

/* An error that no call protects: the process ends after this. */
static int panic(lua_State *L) {
    const char *text = lua_tostring(L, -1);
    neap_report_print("neap: panic: an error outside of all calls: %s\n", text != NULL ? text : "not a text");
    return 0;
}

void neap_libraries_open(lua_State *L) {
    lua_atpanic(L, panic);
    luaL_openlibs(L);
    seed(L);
    lua_setwarnf(L, warn, L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, neap_module_open);
    lua_setfield(L, -2, "neap");
    lua_pop(L, 1);
}

/* Replaces the field `name` of the table on top of the stack. The metatable of files is at 1. */
static void replace_field(lua_State *L, const char *name, lua_CFunction function) {
    lua_getfield(L, -1, name);
    lua_pushlightuserdata(L, (void *)(uintptr_t)lua_topointer(L, 1));
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, name);
}

/* Pushes the field `name` of the table at `index`: true when it is a table. */
static bool push_table(lua_State *L, int index, const char *name) { return lua_getfield(L, index, name) == LUA_TTABLE; }

void neap_libraries_replace_print(lua_State *L) {
    lua_pushcfunction(L, replaced_print);
    lua_setglobal(L, "print");
}

/* A host may have left out what it likes. */
static int replace(lua_State *L) {
    bool has_files = luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE;
    if (has_files && push_table(L, 1, "__index")) {
        replace_field(L, "write", replaced_method);
        replace_field(L, "flush", replaced_control);
        replace_field(L, "seek", replaced_control);
        replace_field(L, "setvbuf", replaced_control);
    }
    lua_settop(L, 1);
    lua_pushglobaltable(L);
    neap_libraries_replace_print(L);
    if (has_files && push_table(L, 2, LUA_IOLIBNAME)) {
        replace_field(L, "write", replaced_write);
        replace_field(L, "flush", replaced_flush);
    }
    lua_settop(L, 2);
    if (push_table(L, 2, LUA_OSLIBNAME)) {
        lua_pushcfunction(L, replaced_exit);
        lua_setfield(L, -2, "exit");
    }
    return 0;
}

/* Pushes a closed file. */
static luaL_Stream *push_closed(lua_State *L) {
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
    stream->f = NULL;
    stream->closef = NULL;
    luaL_setmetatable(L, LUA_FILEHANDLE);
    return stream;
}

/* (). A host that takes the output: see HOST. One that gives no streams: there are none. */
static int give_streams(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    const struct neap_embedding *embedding = vm->engine->embedding;
    lua_settop(L, 0);
    if (lua_getglobal(L, LUA_IOLIBNAME) != LUA_TTABLE) return 0;
    if (neap_embedding_takes_output(embedding)) {
        vm->output.sink = push_closed(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, "_IO_output");
        lua_setfield(L, 1, "stdout");
    }
    if (embedding->config.stdio) return 0;
    push_closed(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "_IO_input");
    lua_pushnil(L);
    lua_setfield(L, 1, "stdin");
    lua_pushnil(L);
    lua_setfield(L, 1, "stderr");
    return 0;
}

void neap_libraries_replace(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    if (vm->engine->embedding != NULL) {
        lua_pushcfunction(L, give_streams);
        lua_call(L, 0, 0);
    }
    if (!has_host(vm)) vm->output.terminal = isatty(STDOUT_FILENO) == 1;
    lua_pushcfunction(L, replace);
    lua_call(L, 0, 0);
}
