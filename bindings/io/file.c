/* file: an open file. Its operations take turns, whatever task asks: each moves the file's place.
 *
 * READING    What the system has in memory is read at once; else a piece is fetched in the pool of threads. Pieces are
 *            larger than what is asked for, since the next read will ask for more.
 * CANCELLED  A transfer that is under way in the pool goes on, and keeps the file; its turn ends when it does.
 *            So it is the transfer that ends the turn and brings what was read to the inbox, not the task,
 *            which may be gone: nothing is lost. It does not keep the file from being closed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/io/files.h"
#include "bindings/io/offload.h"
#include "bindings/io/reading.h"
#include "bindings/task/await.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "io/file.h"
#include "io/files.h"

enum { SELF = 1, PIECE = 128 * 1024, LEAST = 16 * 1024 /* bytes: fetched at once; read at once, at least */ };

/* One call in the pool for an open file, whose turn it has. */
struct transfer {
    struct neap_offload offload; /* first */
    struct neap_file *file;      /* one reference */
    char *bytes;                 /* read, or to be written. Owned */
    size_t size;                 /* of bytes: room, then what was read */
    off_t place;                 /* where */
};

static struct neap_file *check(lua_State *L) {
    struct neap_file *file = (struct neap_file *)neap_box_check(L, SELF, NEAP_HANDLE_FILE);
    if (neap_file_is_closed(file)) luaL_error(L, "the file is closed");
    return file;
}

/* --- opening --- */

struct opening {
    struct neap_offload offload; /* first */
    char *path;                  /* owned */
    int flags, fd;               /* fd: result, until a file owns it; -1 */
    mode_t mode;                 /* of a new file */
};

static int run_open(struct neap_offload *offload) {
    struct opening *opening = (struct opening *)offload;
    opening->fd = open(opening->path, opening->flags | O_CLOEXEC, opening->mode);
    return opening->fd < 0 ? -errno : 0;
}

static void free_opening(struct neap_offload *offload) {
    struct opening *opening = (struct opening *)offload;
    if (opening->fd >= 0) close(opening->fd);
    neap_free(opening->path);
}

/* Pushes a file over *fd, which is its own from now on. */
static int push_file(lua_State *L, int *fd, bool appends) {
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_FILE, sizeof *box, 0);
    struct neap_file *file = neap_file_new(*fd, appends);
    if (file == NULL) return luaL_error(L, "not enough memory");
    *fd = -1;
    box->object = &file->object;
    return 1;
}

static int finish_open(lua_State *L, struct neap_task *task, int code) {
    struct opening *opening = (struct opening *)task->link.object;
    code = opening->offload.code;
    return code != 0 ? neap_push_code(L, code) : push_file(L, &opening->fd, (opening->flags & O_APPEND) != 0);
}

static int flags_of(lua_State *L, int index) {
    static const char *const modes[] = {"r", "w", "a", "r+", "w+", "a+", NULL};
    static const int flags[] = {O_RDONLY, O_WRONLY | O_CREAT | O_TRUNC, O_WRONLY | O_CREAT | O_APPEND,
                                O_RDWR,   O_RDWR | O_CREAT | O_TRUNC,   O_RDWR | O_CREAT | O_APPEND};
    return flags[neap_argument_option(L, index, "r", modes)];
}

int neap_file_open(lua_State *L) {
    size_t size;
    const char *path = neap_files_check_path(L, 1, &size);
    int flags = flags_of(L, 2);
    mode_t mode = (mode_t)neap_argument_integer_or(L, 3, 0666);
    neap_await_check(L);
    neap_await_begin(L);
    struct opening *opening = neap_offload_push(L, sizeof *opening, run_open, free_opening);
    opening->fd = -1;
    opening->flags = flags;
    opening->mode = mode;
    opening->path = neap_files_copy_bytes(L, path, size);
    neap_offload_start(&opening->offload, &neap_vm_of(L)->loop);
    return neap_offload_await(L, &opening->offload, NEAP_FOREVER, finish_open);
}

struct drafting {
    struct neap_offload offload; /* first */
    char *path;                  /* owned */
    mode_t mode;                 /* of a new file */
    int fd;                      /* result, until a file owns it; -1 */
    struct neap_files_draft draft;
};

static int run_draft(struct neap_offload *offload) {
    struct drafting *drafting = (struct drafting *)offload;
    int fd = neap_files_draft(drafting->path, drafting->mode, &drafting->draft);
    if (fd < 0) return fd;
    drafting->fd = fd;
    return 0;
}

/* Nobody has taken it: it was cancelled. */
static void free_drafting(struct neap_offload *offload) {
    struct drafting *drafting = (struct drafting *)offload;
    if (drafting->fd >= 0) {
        close(drafting->fd);
        if (!drafting->draft.in_place) unlink(drafting->draft.name);
    }
    neap_free(drafting->path);
}

static int finish_draft(lua_State *L, struct neap_task *task, int code) {
    struct drafting *drafting = (struct drafting *)task->link.object;
    code = drafting->offload.code;
    if (code != 0) return neap_push_code(L, code);
    push_file(L, &drafting->fd, false);
    if (drafting->draft.in_place) return 1;
    lua_pushstring(L, drafting->draft.name);
    lua_pushstring(L, drafting->draft.target);
    return 3;
}

int neap_file_draft(lua_State *L) {
    size_t size;
    const char *path = neap_files_check_path(L, 1, &size);
    mode_t mode = (mode_t)luaL_optinteger(L, 2, 0666);
    neap_await_check(L);
    neap_await_begin(L);
    struct drafting *drafting = neap_offload_push(L, sizeof *drafting, run_draft, free_drafting);
    drafting->fd = -1;
    drafting->mode = mode;
    drafting->path = neap_files_copy_bytes(L, path, size);
    neap_offload_start(&drafting->offload, &neap_vm_of(L)->loop);
    return neap_offload_await(L, &drafting->offload, NEAP_FOREVER, finish_draft);
}

/* --- transfers --- */

static void free_transfer(struct neap_offload *offload) {
    struct transfer *transfer = (struct transfer *)offload;
    if (transfer->file != NULL) neap_object_unref(&transfer->file->object);
    neap_free(transfer->bytes);
}

static void move_on(struct neap_file *file, size_t size) {
    if (file->place >= 0) file->place += (off_t)size;
}

struct making {
    int (*run)(struct neap_offload *offload);
    struct transfer *made;
};

/* Protected: (making) -> its box */
static int make_transfer(lua_State *L) {
    struct making *making = lua_touserdata(L, 1);
    making->made = neap_offload_push(L, sizeof *making->made, making->run, free_transfer);
    return 1;
}

/* One's turn is the transfer's from now on: `after` ends it; so does an error here. */
static struct transfer *push_transfer(lua_State *L, struct neap_file *file, size_t size,
                                      int (*run)(struct neap_offload *offload),
                                      void (*after)(struct neap_offload *offload)) {
    struct making making = {run, NULL};
    char *bytes = neap_alloc(size);
    lua_pushcfunction(L, make_transfer);
    lua_pushlightuserdata(L, &making);
    int status = lua_pcall(L, 1, 1, 0);
    if (status != LUA_OK || bytes == NULL) {
        neap_free(bytes);
        neap_file_end(file);
        if (status == LUA_OK) luaL_error(L, "not enough memory");
        lua_error(L);
    }
    struct transfer *transfer = making.made;
    transfer->offload.after = after;
    transfer->bytes = bytes;
    transfer->file = (struct neap_file *)neap_object_ref(&file->object);
    transfer->size = size;
    transfer->place = file->place;
    file->waiting = &transfer->offload.waiting;
    return transfer;
}

static int await(lua_State *L, struct transfer *transfer, neap_finish finish) {
    neap_offload_start(&transfer->offload, &neap_vm_of(L)->loop);
    int64_t deadline = (int64_t)lua_tointeger(L, NEAP_READING_DEADLINE);
    return neap_offload_await(L, &transfer->offload, deadline, finish);
}

/* Waits for one's turn. */
static int await_turn(lua_State *L, struct neap_file *file, neap_finish then) {
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &file->object;
    task->link.op = NEAP_FILE_TURN;
    return neap_await(L, &task->link, 1, (int64_t)lua_tointeger(L, NEAP_READING_DEADLINE), then);
}

/* --- reading --- */

static int run_read(struct neap_offload *offload) {
    struct transfer *transfer = (struct transfer *)offload;
    ssize_t count = neap_files_pread(transfer->file->fd, transfer->bytes, transfer->size, transfer->place, false);
    transfer->size = count > 0 ? (size_t)count : 0;
    return count < 0 ? (int)count : 0;
}

/* What was read goes to the inbox, be it that who asked for it is gone. */
static void after_read(struct neap_offload *offload) {
    struct transfer *transfer = (struct transfer *)offload;
    struct neap_file *file = transfer->file;
    size_t room = 0, size = transfer->size;
    if (offload->code == 0 && size == 0) offload->code = UV_EOF;
    char *bytes = offload->code == 0 ? neap_inbox_room(&file->inbox, size, &room) : NULL;
    if (offload->code == 0 && bytes == NULL) offload->code = NEAP_NOMEM;
    if (bytes != NULL) {
        memcpy(bytes, transfer->bytes, size);
        neap_inbox_put(&file->inbox, size);
        move_on(file, size);
    }
    neap_file_end(file);
}

/* In one's turn: reads what is there at once, and, within bounds, as much again for the next. 0, UV_EOF, UV_EAGAIN: it
 * must be fetched, or what the system says. */
static int read_now(struct neap_file *file, size_t wanted) {
    size_t room;
    char *bytes = neap_inbox_room(&file->inbox, 2 * wanted > LEAST ? 2 * wanted : LEAST, &room);
    if (bytes == NULL) return NEAP_NOMEM;
    ssize_t count = file->place < 0 ? UV_EAGAIN : neap_files_pread(file->fd, bytes, room, file->place, true);
    neap_inbox_put(&file->inbox, count > 0 ? (size_t)count : 0);
    if (count > 0) move_on(file, (size_t)count);
    return count > 0 ? 0 : count == 0 ? UV_EOF : (int)count;
}

static int finish_fetch(lua_State *L, struct neap_task *task, int code);
static int finish_read_turn(lua_State *L, struct neap_task *task, int code);

/* In one's turn. */
static int read_in_turn(lua_State *L, struct neap_file *file) {
    lua_Integer what = neap_reading_what(L);
    int code = 0, count;
    while ((count = neap_reading_take(L, what, &file->inbox)) == 0 &&
           (code = read_now(file, neap_reading_wanted(what, &file->inbox))) == 0) {}
    if (count == 0 && code == UV_EAGAIN)
        return await(L, push_transfer(L, file, PIECE, run_read, after_read), finish_fetch);
    if (count == 0) count = code == UV_EOF ? neap_reading_take_rest(L, what, &file->inbox) : neap_push_code(L, code);
    neap_file_end(file);
    return neap_await_served(L, count);
}

static int go_on_reading(lua_State *L, struct neap_file *file) {
    int count = neap_reading_take(L, neap_reading_what(L), &file->inbox);
    if (count > 0) return neap_await_served(L, count);
    return neap_file_begin(file) ? read_in_turn(L, file) : await_turn(L, file, finish_read_turn);
}

static int finish_fetch(lua_State *L, struct neap_task *task, int code) {
    struct transfer *transfer = (struct transfer *)task->link.object;
    if (code >= 0) code = transfer->offload.code;
    if (code == UV_EOF) return neap_reading_take_rest(L, neap_reading_what(L), &transfer->file->inbox);
    return code != 0 ? neap_push_code(L, code) : go_on_reading(L, transfer->file);
}

static int finish_read_turn(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    return code != 0 ? neap_push_code(L, code) : read_in_turn(L, (struct neap_file *)task->link.object);
}

/* file:read([what[, timeout]]) */
static int file_read(lua_State *L) {
    struct neap_file *file = check(L);
    neap_reading_begin(L);
    neap_await_check(L);
    neap_await_begin(L);
    return go_on_reading(L, file);
}

/* file:lines([timeout]) */
static int file_lines(lua_State *L) {
    check(L);
    return neap_reading_lines(L, file_read);
}

/* --- writing --- */

static int run_write(struct neap_offload *offload) {
    const struct transfer *transfer = (struct transfer *)offload;
    return neap_files_pwrite(transfer->file->fd, transfer->bytes, transfer->size, transfer->place);
}

static void after_write(struct neap_offload *offload) {
    struct transfer *transfer = (struct transfer *)offload;
    if (offload->code == 0 && transfer->place >= 0) move_on(transfer->file, transfer->size);
    neap_file_end(transfer->file);
}

static int finish_transfer(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = ((struct transfer *)task->link.object)->offload.code;
    if (code != 0) return neap_push_code(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

/* What was read ahead is behind the place that scripts know. */
static void forget_read_ahead(struct neap_file *file) {
    if (file->place >= 0) file->place -= (off_t)neap_inbox_size(&file->inbox);
    neap_inbox_fini(&file->inbox);
}

static int write_in_turn(lua_State *L, struct neap_file *file) {
    size_t size;
    const char *bytes = lua_tolstring(L, 2, &size);
    forget_read_ahead(file);
    struct transfer *transfer = push_transfer(L, file, size + 1, run_write, after_write);
    memcpy(transfer->bytes, bytes, size);
    transfer->size = size;
    if (file->appends) transfer->place = -1;
    return await(L, transfer, finish_transfer);
}

static int finish_write_turn(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    return code != 0 ? neap_push_code(L, code) : write_in_turn(L, (struct neap_file *)task->link.object);
}

/* file:write(bytes[, timeout]) */
static int file_write(lua_State *L) {
    struct neap_file *file = check(L);
    neap_argument_type(L, 2, LUA_TSTRING);
    int64_t deadline = neap_check_timeout(L, 3);
    lua_settop(L, 2);
    lua_pushinteger(L, deadline);
    neap_await_check(L);
    neap_await_begin(L);
    return neap_file_begin(file) ? write_in_turn(L, file) : await_turn(L, file, finish_write_turn);
}

/* --- the rest --- */

static int run_sync(struct neap_offload *offload) {
    return fsync(((struct transfer *)offload)->file->fd) == 0 ? 0 : -errno;
}

static void after_sync(struct neap_offload *offload) { neap_file_end(((struct transfer *)offload)->file); }

static int sync_in_turn(lua_State *L, struct neap_file *file) {
    return await(L, push_transfer(L, file, 1, run_sync, after_sync), finish_transfer);
}

static int finish_sync_turn(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    return code != 0 ? neap_push_code(L, code) : sync_in_turn(L, (struct neap_file *)task->link.object);
}

/* file:sync() */
static int file_sync(lua_State *L) {
    struct neap_file *file = check(L);
    lua_settop(L, 2);
    lua_pushinteger(L, NEAP_FOREVER);
    neap_await_check(L);
    neap_await_begin(L);
    return neap_file_begin(file) ? sync_in_turn(L, file) : await_turn(L, file, finish_sync_turn);
}

/* file:seek([whence[, offset]]) */
static int file_seek(lua_State *L) {
    static const char *const names[] = {"set", "cur", "end", NULL};
    static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
    struct neap_file *file = check(L);
    int whence = whences[neap_argument_option(L, 2, "cur", names)];
    lua_Integer offset = neap_argument_integer_or(L, 3, 0);
    if (file->busy) return luaL_error(L, "another task reads or writes this file");
    forget_read_ahead(file);
    if (whence == SEEK_CUR && file->place >= 0) {
        offset += file->place;
        whence = SEEK_SET;
    }
    off_t place = lseek(file->fd, offset, whence);
    if (place < 0) return neap_push_code(L, -errno);
    file->place = place;
    lua_pushinteger(L, place);
    return 1;
}

/* file:close(); also __close */
static int file_close(lua_State *L) {
    struct neap_file *file = (struct neap_file *)neap_box_check(L, SELF, NEAP_HANDLE_FILE);
    if (!neap_file_is_closed(file) && !neap_file_is_free(file))
        return luaL_error(L, "another task reads or writes this file");
    int code = neap_file_is_closed(file) ? 0 : neap_file_close(file);
    if (code != 0) return neap_push_code(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

static int file_is_closed(lua_State *L) {
    lua_pushboolean(L, neap_file_is_closed((struct neap_file *)neap_box_check(L, SELF, NEAP_HANDLE_FILE)));
    return 1;
}

static void describe(struct neap_object *object, char *text, size_t size) {
    snprintf(text, size, "%s", neap_file_is_closed((struct neap_file *)object) ? "closed" : "open");
}

static const luaL_Reg methods[] = {{"read", file_read},           {"lines", file_lines}, {"write", file_write},
                                   {"sync", file_sync},           {"seek", file_seek},   {"close", file_close},
                                   {"is_closed", file_is_closed}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__close", file_close}, {NULL, NULL}};

const struct neap_binding neap_file_binding = {
    .name = "file",
    .class = &neap_file_class,
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
    .stays = true,
};
