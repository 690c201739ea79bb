/* stdio: what files have at hand, and getting more.
 *
 * MODEL      A file stays what it is, a FILE of the C library in a userdata of Lua's, and the original functions do all
 *            reading and writing: so they mean what the manual says, and other libraries may use the same file. What is
 *            added is knowing beforehand whether an original would block, and waiting before it does.
 * READING    From a file on a disk the original may read whatever the system has in its memory (`is_cached`); what it
 *            has not is fetched there first, in the pool of threads, by reading it and throwing it away (`fetch`).
 *            From anything else (pipes, terminals, sockets) the original may take what stands in the FILE's buffer;
 *            when that will not do, the task waits until the descriptor can be read, and one character is read and
 *            put back: which fills the buffer with what has come (`fill`). What the C library has in its buffer it
 *            does not tell; glibc lets one look.
 * WRITING    What fits the buffer is no wait. Else the task waits until the descriptor takes something, and no more
 *            than a page is written at a time: a pipe that takes something takes that much.
 * OPENING    A named pipe (FIFO) waits for its other side to be opened. Here one to be read is opened at once,
 *            and its first read waits instead; one to be written waits while a helper thread opens it, as the
 *            system wants it (`patch_io.lua`).
 * FAST       What is at hand is read by the original in our own frame: so its errors name the caller as
 *            ever, and it costs little more. */
#include "bindings/io/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bindings/handle/box.h"
#include "bindings/io/offload.h"
#include "bindings/io/patch.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "core/memory.h"
#include "io/borrowed.h"
#include "io/files.h"
#include "io/program.h"

enum { CHUNK = 128 * 1024 /* bytes that are fetched at a time, at least */, PAGE = 4096 };

/* --- files --- */

static luaL_Stream *test(lua_State *L, int index) {
    luaL_Stream *stream = luaL_testudata(L, index, LUA_FILEHANDLE);
    return stream != NULL && stream->closef != NULL ? stream : NULL;
}

static FILE *check(lua_State *L) {
    const luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    if (stream->closef == NULL) luaL_error(L, "attempt to use a closed file");
    return stream->f;
}

/* What is in the buffer, in one or two pieces: characters that were put back may stand in a place of their own. To
 * be looked at with the file locked only: other threads may have it too (stdin). One of them that reads keeps it
 * locked, and then nothing is at hand. */
struct window {
    const char *first, *second;
    size_t first_size, second_size;
};

static struct window window_of(const FILE *file) {
    enum { IN_BACKUP = 0x100 }; /* glibc's _IO_IN_BACKUP */
    struct window window = {file->_IO_read_ptr, NULL, (size_t)(file->_IO_read_end - file->_IO_read_ptr), 0};
    if (file->_flags & IN_BACKUP) {
        window.second = file->_IO_save_base;
        window.second_size = (size_t)(file->_IO_save_end - file->_IO_save_base);
    }
    return window;
}

static bool has_line(const struct window *window) {
    return (window->first_size > 0 && memchr(window->first, '\n', window->first_size) != NULL) ||
           (window->second_size > 0 && memchr(window->second, '\n', window->second_size) != NULL);
}

/* How many bytes are in the buffer, and is a line? */
static void measure(FILE *file, size_t *held, bool *line) {
    *held = 0;
    *line = false;
    if (ftrylockfile(file) != 0) return;
    struct window window = window_of(file);
    *held = window.first_size + window.second_size;
    *line = has_line(&window);
    funlockfile(file);
}

static bool is_on_disk(int fd) {
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

/* Has the system `size` bytes from where the descriptor stands in its memory? A guess: it looks at both ends. */
static bool is_cached(int fd, size_t size) {
    char byte;
    off_t place = lseek(fd, 0, SEEK_CUR);
    if (place < 0) return true; /* nothing to be done */
    ssize_t first = neap_files_pread(fd, &byte, 1, place, true);
    if (first <= 0 || size <= 1) return first != UV_EAGAIN;
    return neap_files_pread(fd, &byte, 1, place + (off_t)size - 1, true) != UV_EAGAIN;
}

/* --- reading what is at hand --- */

/* The letter of the format at `index`; '0' for a number of bytes; 0: there is no such format. */
static int format_at(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TNUMBER) return lua_isinteger(L, index) ? '0' : '\0';
    if (lua_type(L, index) != LUA_TSTRING) return '\0';
    const char *format = lua_tostring(L, index);
    if (*format == '*') format++;
    return *format != '\0' && strchr("nlLa", *format) != NULL ? *format : '\0';
}

static bool are_formats(lua_State *L, int first) {
    for (int i = first; i <= lua_gettop(L); i++)
        if (format_at(L, i) == '\0') return false;
    return true;
}

/* Can the original read what is asked for, from `first` on, without blocking? */
static bool is_at_hand(lua_State *L, FILE *file, int first) {
    size_t held, wanted = 0;
    bool line;
    int format = lua_gettop(L) < first ? 'l' : format_at(L, first);
    if (lua_gettop(L) > first) return false;
    measure(file, &held, &line);
    if (format == '0') {
        wanted = (size_t)lua_tointeger(L, first);
        if (wanted <= held && held > 0) return true;
    }
    if ((format == 'l' || format == 'L') && line) return true;
    if (format == 'a' || wanted > CHUNK) return false;
    int fd = fileno(file);
    return is_on_disk(fd) && is_cached(fd, format == '0' ? wanted : PAGE);
}

static int returned(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return lua_gettop(L);
}

/* Upvalue 1 of what takes the place of a function: that itself. */
enum { ORIGINAL = 1 };

/* For the original at the bottom of the stack, and other upvalues: pushes what takes its place; the original itself, if
 * it is not Lua's own. */
static int replace(lua_State *L, lua_CFunction patched, int upvalues) {
    lua_settop(L, upvalues);
    if (lua_tocfunction(L, ORIGINAL) == NULL || lua_getupvalue(L, ORIGINAL, 1) != NULL)
        lua_pushvalue(L, ORIGINAL);
    else
        lua_pushcclosure(L, patched, upvalues);
    return 1;
}

/* Further upvalues of read. WAIT: the function in Lua that waits: (file, formats...). IS_METHOD: the file is the first
 * argument; else it is the default input. TURNS: has a field for each file that somebody reads from. */
enum { WAIT = ORIGINAL + 1, IS_METHOD, TURNS };

/* Pushes the file that is read. */
static luaL_Stream *push_file(lua_State *L, bool is_method) {
    if (is_method)
        lua_pushvalue(L, 1);
    else
        lua_getfield(L, LUA_REGISTRYINDEX, "_IO_input");
    return test(L, -1);
}

/* Does anybody read from the file on top of the stack? */
static bool is_being_read(lua_State *L) {
    lua_pushvalue(L, -1);
    bool is = lua_rawget(L, lua_upvalueindex(TURNS)) != LUA_TNIL;
    lua_pop(L, 1);
    return is;
}

static int patched_read(lua_State *L) {
    bool is_method = lua_toboolean(L, lua_upvalueindex(IS_METHOD));
    int first = is_method ? 2 : 1;
    const luaL_Stream *stream = push_file(L, is_method);
    bool turn = stream != NULL && is_being_read(L);
    lua_pop(L, 1);
    if (stream == NULL || !are_formats(L, first) || !neap_patch_can_wait(L) ||
        (!turn && is_at_hand(L, stream->f, first)))
        return lua_tocfunction(L, lua_upvalueindex(ORIGINAL))(L);
    if (!is_method) {
        push_file(L, false);
        lua_insert(L, 1);
    }
    lua_pushvalue(L, lua_upvalueindex(WAIT));
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, returned);
    return returned(L, LUA_OK, 0);
}

/* make_read(original, wait, is_method, turns) -> what takes its place */
static int make_read(lua_State *L) { return replace(L, patched_read, TURNS); }

/* --- for the Lua half --- */

/* on_disk(file) */
static int on_disk(lua_State *L) {
    lua_pushboolean(L, is_on_disk(fileno(check(L))));
    return 1;
}

/* descriptor(file) */
static int descriptor(lua_State *L) {
    lua_pushinteger(L, fileno(check(L)));
    return 1;
}

/* keep(file): programs that are started from now on do not have it. */
static int keep(lua_State *L) {
    int fd = fileno(check(L)), flags = fcntl(fd, F_GETFD);
    if (flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    return 0;
}

/* at_hand(file) -> how many bytes are in the buffer, and whether a line is. */
static int at_hand(lua_State *L) {
    size_t held;
    bool line;
    measure(check(L), &held, &line);
    lua_pushinteger(L, (lua_Integer)held);
    lua_pushboolean(L, line);
    return 2;
}

/* look(file) -> the bytes in the buffer, some hundreds at most. */
static int look(lua_State *L) {
    enum { MOST = 512 };
    char bytes[MOST];
    size_t first = 0, second = 0;
    FILE *file = check(L);
    if (ftrylockfile(file) == 0) {
        struct window window = window_of(file);
        first = window.first_size < MOST ? window.first_size : MOST;
        second = window.second_size < MOST - first ? window.second_size : MOST - first;
        if (first > 0) memcpy(bytes, window.first, first);
        if (second > 0) memcpy(bytes + first, window.second, second);
        funlockfile(file);
    }
    lua_pushlstring(L, bytes, first + second);
    return 1;
}

/* is_ready(fd, ops): can it be read from (1), written to (2), at once? */
static int is_ready(lua_State *L) {
    enum neap_poll_op op = luaL_checkinteger(L, 2) == 1 ? NEAP_POLL_READ : NEAP_POLL_WRITE;
    lua_pushboolean(L, neap_borrowed_is_ready((int)luaL_checkinteger(L, 1), op));
    return 1;
}

/* fill(file): its descriptor can be read; true: something is in the buffer now; nil:
 * the end; or nil, message, number. */
static int fill(lua_State *L) {
    FILE *file = check(L);
    clearerr(file);
    int byte = getc(file);
    if (byte != EOF) {
        ungetc(byte, file);
        lua_pushboolean(L, 1);
        return 1;
    }
    if (ferror(file)) return luaL_fileresult(L, 0, NULL);
    lua_pushnil(L);
    return 1;
}

/* unread(file, bytes): puts back what was read last. */
static int unread(lua_State *L) {
    const luaL_Stream *stream = test(L, 1);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    while (stream != NULL && size > 0 && ungetc((unsigned char)bytes[size - 1], stream->f) != EOF) size--;
    return 0;
}

/* show(): what was written for whoever types is shown, as the C library does before it reads from a terminal. */
static int show(lua_State *L) {
    (void)L;
    if (__flbf(stdout)) fflush(stdout);
    return 0;
}

/* fits(file, size) -> would writing so many bytes only fill the buffer? and how many bytes wait in it */
static int fits(lua_State *L) {
    FILE *file = check(L);
    size_t size = (size_t)luaL_checkinteger(L, 2), pending = __fpending(file), room = __fbufsize(file);
    lua_pushboolean(L, !__flbf(file) && pending + size < room);
    lua_pushinteger(L, (lua_Integer)pending);
    return 2;
}

/* cached(file, size): see is_cached. */
static int cached(lua_State *L) {
    lua_pushboolean(L, is_cached(fileno(check(L)), (size_t)luaL_checkinteger(L, 2)));
    return 1;
}

/* place(file) -> where the descriptor stands; nil: nowhere. */
static int place_of(lua_State *L) {
    off_t place = lseek(fileno(check(L)), 0, SEEK_CUR);
    if (place < 0) return 0;
    lua_pushinteger(L, place);
    return 1;
}

/* --- fetching --- */

struct fetching {
    struct neap_offload offload; /* first */
    int fd;                      /* of our own; -1: none */
    off_t place;                 /* from where */
    size_t size;                 /* how much */
};

static int run_fetch(struct neap_offload *offload) {
    struct fetching *fetching = (struct fetching *)offload;
    char bytes[16 * 1024];
    ssize_t count = 1;
    for (size_t done = 0; done < fetching->size && count > 0; done += (size_t)count)
        count = neap_files_pread(fetching->fd, bytes, sizeof bytes, fetching->place + (off_t)done, false);
    return 0; /* the original will find the error, too */
}

static void free_fetching(struct neap_offload *offload) {
    struct fetching *fetching = (struct fetching *)offload;
    if (fetching->fd >= 0) close(fetching->fd);
}

static int finish_fetch(lua_State *L, struct neap_task *task, int code) {
    (void)L;
    (void)task;
    (void)code;
    return 0;
}

/* fetch(file, size): brings so much into the system's memory, from where the descriptor stands. Without memory or
 * descriptors there is just no waiting. */
static int fetch(lua_State *L) {
    int fd = fileno(check(L));
    size_t size = (size_t)luaL_checkinteger(L, 2);
    struct fetching *fetching = neap_offload_push(L, sizeof *fetching, run_fetch, free_fetching);
    fetching->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    fetching->place = lseek(fd, 0, SEEK_CUR);
    fetching->size = size;
    if (fetching->fd < 0 || fetching->place < 0) return 0;
    neap_offload_start(&fetching->offload, &neap_vm_of(L)->loop);
    return neap_offload_await(L, &fetching->offload, NEAP_FOREVER, finish_fetch);
}

/* --- named pipes --- */

static int close_file(lua_State *L) {
    luaL_Stream *stream = lua_touserdata(L, 1);
    return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

static bool is_fifo(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISFIFO(info.st_mode);
}

/* Reads only, or writes only. */
static bool is_one_way(const char *mode) {
    return *mode != '\0' && strchr("rwa", *mode) != NULL && (mode[1] == '\0' || strcmp(mode + 1, "b") == 0);
}

/* Would opening the path at 1 with the mode at 2 wait for somebody else, in a task? */
static bool is_awaited(lua_State *L) {
    if (lua_type(L, 1) != LUA_TSTRING || !(lua_isnoneornil(L, 2) || lua_type(L, 2) == LUA_TSTRING)) return false;
    return is_one_way(luaL_optstring(L, 2, "r")) && neap_patch_can_wait(L) && is_fifo(lua_tostring(L, 1));
}

/* awaited(path) */
static int awaited(lua_State *L) {
    lua_settop(L, 1);
    lua_pushboolean(L, is_awaited(L));
    return 1;
}

/* io.open; upvalues: ORIGINAL, and WAIT: (path, mode or nil). */
static int patched_open(lua_State *L) {
    if (!is_awaited(L)) return lua_tocfunction(L, lua_upvalueindex(ORIGINAL))(L);
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(WAIT));
    lua_insert(L, 1);
    lua_callk(L, 2, LUA_MULTRET, 0, returned);
    return returned(L, LUA_OK, 0);
}

/* make_open(original, wait) -> what takes its place */
static int make_open(lua_State *L) { return replace(L, patched_open, WAIT); }

/* Opens without waiting for the other side; what is read and written later may wait as ever. Or a code. */
static int open_at_once(const char *path, bool writes) {
    int fd = open(path, (writes ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return -errno;
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    return fd;
}

/* open_fifo(path, mode) -> file; or nil, message, number, and whether that is because nobody reads what is to be
 * written to. The mode is one of those that Lua takes, without a "+". */
static int open_fifo(lua_State *L) {
    const char *path = luaL_checkstring(L, 1), *mode = luaL_checkstring(L, 2);
    neap_stdio_push_closed(L);
    luaL_Stream *stream = lua_touserdata(L, -1);
    int fd = open_at_once(path, mode[0] != 'r');
    stream->f = fd >= 0 ? fdopen(fd, mode) : NULL;
    if (stream->f != NULL) {
        stream->closef = close_file;
        return 1;
    }
    int code = fd < 0 ? -fd : errno;
    if (fd >= 0) close(fd);
    errno = code;
    int count = luaL_fileresult(L, 0, path);
    lua_pushboolean(L, code == ENXIO);
    return count + 1;
}

/* --- files of programs --- */

static int finish_program(lua_State *L, struct neap_task *task, int code);

/* The program is on top of the stack. */
static int await_program(lua_State *L, struct neap_program *program) {
    if (!neap_program_look(program) && !neap_patch_can_wait(L)) neap_program_reap(program);
    errno = 0; /* else it would be taken for the result */
    if (program->ended) return luaL_execresult(L, program->status);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &program->poll.object;
    task->link.op = NEAP_POLL_READ;
    return neap_await(L, &task->link, 1, NEAP_FOREVER, finish_program);
}

static int finish_program(lua_State *L, struct neap_task *task, int code) {
    (void)code;
    return await_program(L, (struct neap_program *)task->link.object);
}

/* closef: as pclose. */
static int close_program(lua_State *L) {
    luaL_Stream *stream = lua_touserdata(L, 1);
    fclose(stream->f);
    lua_getiuservalue(L, 1, 1);
    struct neap_box *box = lua_touserdata(L, -1);
    return box->object == NULL ? 0 : await_program(L, (struct neap_program *)box->object);
}

void neap_stdio_push_closed(lua_State *L) {
    luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 1);
    stream->f = NULL;
    stream->closef = NULL;
    luaL_setmetatable(L, LUA_FILEHANDLE);
}

int neap_stdio_fill_program(lua_State *L, int fd, const char *mode) {
    FILE *file = fdopen(fd, mode);
    if (file == NULL) {
        int code = -errno;
        close(fd);
        return code;
    }
    luaL_Stream *stream = lua_touserdata(L, -2);
    stream->f = file;
    stream->closef = close_program;
    lua_setiuservalue(L, -2, 1);
    return 0;
}

const luaL_Reg neap_stdio_functions[] = {{"make_read", make_read}, {"make_open", make_open}, {"open_fifo", open_fifo},
                                         {"awaited", awaited},     {"on_disk", on_disk},     {"descriptor", descriptor},
                                         {"keep", keep},           {"at_hand", at_hand},     {"look", look},
                                         {"is_ready", is_ready},   {"fill", fill},           {"unread", unread},
                                         {"show", show},           {"fits", fits},           {"cached", cached},
                                         {"place", place_of},      {"fetch", fetch},         {NULL, NULL}};
