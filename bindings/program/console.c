/* console: waiting for descriptors, news of the terminal, lines that come from no terminal.
 *
 *   poll(fd, event) -> poll     poll:start() sets the event once the descriptor is readable, or has ended. A
 *                               to-be-closed value, and to be closed before the descriptor is. What cannot be waited
 *                               for (a file) is readable at once.
 *   watch_terminal() -> fd      from now on there are news, which make this descriptor readable; nil, message
 *   unwatch_terminal()
 *   news() -> interrupted, hidden, resized, resumed     and takes them
 *   read_line() -> line         what has come on standard input, up to the end of a line; nil: not there yet; false: no
 *                               more. To be called when it is readable: it does not wait, except in a file.
 *   is_terminal(fd), width()    columns; nil when nobody knows
 *   make_folder(path)           and those above it, for the user only: true; nil, message
 *
 * Standard input is read byte by byte, and has no buffer: so io.read finds what follows the line,
 * and takes no more than it needs. */
#include "bindings/program/console.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "bindings/handle/box.h"
#include "bindings/program/program.h"
#include "bindings/state/vm.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/engine.h"
#include "io/borrowed.h"
#include "sync/event.h"

enum { PATH_MAX_LENGTH = 4096 };

#define POLL_TYPE "neap.console.poll"

/* --- poll --- */

/* Outlives its userdata until libuv has closed the handle. The descriptor is borrowed: other
 * processes have the terminal too. */
struct poll_handle {
    uv_poll_t uv;             /* valid when `polls` */
    struct neap_event *event; /* a reference */
    int watch;                /* what libuv polls: watches the descriptor. -1: none. Owned */
    bool polls;               /* false: the descriptor cannot be waited for */
};

static void free_handle(struct poll_handle *handle) {
    if (handle->watch >= 0) close(handle->watch);
    neap_object_unref(&handle->event->object);
    neap_free(handle);
}

static void on_closed(uv_handle_t *uv) { free_handle(NEAP_CONTAINER_OF(uv, struct poll_handle, uv)); }

static void on_readable(uv_poll_t *uv, int status, int events) {
    struct poll_handle *handle = NEAP_CONTAINER_OF(uv, struct poll_handle, uv);
    (void)status;
    (void)events;
    uv_poll_stop(uv);
    neap_event_set(handle->event);
}

static int poll_close(lua_State *L) {
    struct poll_handle **keeper = luaL_checkudata(L, 1, POLL_TYPE), *handle = *keeper;
    *keeper = NULL;
    if (handle == NULL) return 0;
    if (handle->polls)
        uv_close((uv_handle_t *)&handle->uv, on_closed);
    else
        free_handle(handle);
    return 0;
}

static int poll_start(lua_State *L) {
    struct poll_handle **keeper = luaL_checkudata(L, 1, POLL_TYPE), *handle = *keeper;
    if (handle == NULL) return luaL_error(L, "it is closed");
    if (!handle->polls || uv_poll_start(&handle->uv, UV_READABLE, on_readable) != 0) neap_event_set(handle->event);
    return 0;
}

static const luaL_Reg poll_methods[] = {{"start", poll_start}, {"close", poll_close}, {NULL, NULL}};

/* Pushes an empty poll, which owns nothing yet. */
static struct poll_handle **push_poll(lua_State *L) {
    struct poll_handle **keeper = lua_newuserdatauv(L, sizeof(struct poll_handle *), 0);
    *keeper = NULL;
    if (luaL_newmetatable(L, POLL_TYPE)) {
        luaL_newlib(L, poll_methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, poll_close);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "__gc");
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
    return keeper;
}

static int open_poll(lua_State *L) {
    int descriptor = (int)neap_argument_integer(L, 1);
    struct neap_object *event = neap_box_check(L, 2, NEAP_HANDLE_EVENT);
    struct poll_handle **keeper = push_poll(L);
    uv_loop_t *uv = neap_loop_uv(&neap_vm_of(L)->loop);
    struct poll_handle *handle = uv == NULL ? NULL : neap_alloc_zeroed(sizeof *handle);
    if (handle == NULL) return luaL_error(L, "not enough memory");
    handle->event = (struct neap_event *)neap_object_ref(event);
    handle->watch = neap_borrowed_watch(&(struct neap_interest){.fd = descriptor, .ops = 1u << NEAP_POLL_READ}, 1);
    handle->polls = handle->watch >= 0 && uv_poll_init(uv, &handle->uv, handle->watch) == 0;
    *keeper = handle;
    return 1;
}

/* --- news --- */

static struct neap_screen *screen_of(lua_State *L) { return &neap_vm_of(L)->engine->screen; }

static int watch_terminal(lua_State *L) {
    struct neap_screen *screen = screen_of(L);
    setvbuf(stdin, NULL, _IONBF, 0);
    int code = neap_screen_open(screen);
    if (code != 0) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(-code));
        return 2;
    }
    neap_program_catch_terminal();
    lua_pushinteger(L, atomic_load(&screen->wake));
    return 1;
}

static int unwatch_terminal(lua_State *L) {
    neap_screen_close(screen_of(L));
    return 0;
}

static int take_news(lua_State *L) {
    static const enum neap_screen_news order[] = {NEAP_SCREEN_INTERRUPT, NEAP_SCREEN_HIDDEN, NEAP_SCREEN_RESIZED,
                                                  NEAP_SCREEN_RESUMED};
    unsigned news = neap_screen_take(screen_of(L));
    for (int i = 0; i < 4; i++) lua_pushboolean(L, (news & (unsigned)order[i]) != 0);
    return 4;
}

/* --- lines --- */

static bool is_readable(int descriptor) {
    struct pollfd look = {.fd = descriptor, .events = POLLIN};
    return poll(&look, 1, 0) > 0;
}

/* Ends the text: what it holds is the result, or, where that is to be kept, what the next call goes on from. */
static void end_text(lua_State *L, luaL_Buffer *text, bool keep) {
    luaL_pushresult(text);
    if (keep)
        lua_pushvalue(L, -1);
    else
        lua_pushliteral(L, "");
    lua_replace(L, lua_upvalueindex(1));
}

/* The line so far is upvalue 1. */
static int read_line(lua_State *L) {
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    lua_pushvalue(L, lua_upvalueindex(1));
    luaL_addvalue(&text);
    while (is_readable(STDIN_FILENO)) {
        char byte;
        ssize_t got = read(STDIN_FILENO, &byte, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got == 1 && byte != '\n') {
            luaL_addchar(&text, byte);
            continue;
        }
        end_text(L, &text, false);
        if (got != 1 && lua_rawlen(L, -1) == 0) lua_pushboolean(L, 0); /* else the last line, which has no end */
        return 1;
    }
    end_text(L, &text, true);
    return 0;
}

/* --- small questions --- */

static int is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty((int)neap_argument_integer(L, 1)) == 1);
    return 1;
}

static int width(lua_State *L) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 0;
    lua_pushinteger(L, size.ws_col);
    return 1;
}

static int make_folder(lua_State *L) {
    size_t length;
    const char *path = neap_argument_string(L, 1, &length);
    char part[PATH_MAX_LENGTH];
    neap_argument_check(L, length < sizeof part, 1, "path too long");
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, S_IRWXU) != 0 && errno != EEXIST) return luaL_fileresult(L, 0, part);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static const luaL_Reg functions[] = {{"poll", open_poll},
                                     {"watch_terminal", watch_terminal},
                                     {"unwatch_terminal", unwatch_terminal},
                                     {"news", take_news},
                                     {"is_terminal", is_terminal},
                                     {"width", width},
                                     {"make_folder", make_folder},
                                     {NULL, NULL}};

int neap_console_open(lua_State *L) {
    if (fcntl(STDIN_FILENO, F_GETFD) < 0) { /* else a descriptor of ours would become it */
        int nothing = open("/dev/null", O_RDONLY);
        if (nothing > STDIN_FILENO) close(nothing);
    }
    luaL_newlib(L, functions);
    lua_pushliteral(L, "");
    lua_pushcclosure(L, read_line, 1);
    lua_setfield(L, -2, "read_line");
    neap_editor_register(L);
    neap_attach_register(L);
    return 1;
}
