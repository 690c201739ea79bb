/* editor: a line on a terminal, edited with libedit, one key at a time.
 *
 *   editor() -> editor               nil, message: there is no libedit, or the terminal is not fit for it
 *   editor:start(prompt)             shows the prompt; from now on keys are taken
 *   editor:feed() -> what, ...       takes the keys that are there. "line", text: it is ended. "complete",
 *                                    before: the user wants the text before the cursor completed. "end": no
 *                                    more comes. nil: it goes on.
 *   editor:insert(text, count)       in the place of `count` characters before the cursor
 *   editor:show()                    puts the line back that others have taken off the screen
 *   editor:stop()                    leaves the line, and the terminal as it was. It may be stopped already.
 *   editor:resize(), editor:resume() the terminal has another size; the process had been stopped
 *   editor:remember(line)            for the arrow keys
 *
 * LOADING    libedit is loaded when the first editor is made, and not linked: a program that only runs a
 *            script does not pay for it (half a millisecond), and neap works without it. Where its header is
 *            missing this file knows no editor.
 * KEYS       libedit reads a key as a function of ours does. The first byte of it is there; the rest of a sequence (an
 *            arrow key, a letter of several bytes) is waited for a moment only: what never comes must not hold up the
 *            loop. So keys that wait for another one are bound to nothing.
 * NO LUA     runs inside of libedit: completing is done when feed has returned. The tab that asks for it is not given
 *            to libedit, whose way of binding a function to a key leaks its name.
 * ROWS       The cursor's row, for those who print (host/screen.h), is counted from the
 *            widths of the characters before it. */
#include <lauxlib.h>

#include "bindings/program/console.h"

#if defined __has_include
#if __has_include(<histedit.h>)
#define HAS_EDITOR 1
#endif
#endif

#ifndef HAS_EDITOR

static int make_editor(lua_State *L) {
    lua_pushnil(L);
    lua_pushliteral(L, "neap was built without libedit");
    return 2;
}

#else

#include <dlfcn.h>
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "bindings/state/argument.h"
#include "bindings/state/vm.h"
#include "host/engine.h"

enum { HISTORY_SIZE = 1000, KEY_MS = 100, KEYS_PER_FEED = 200, CONTROL_D = 4, PROMPT_MAX = 63, COLUMNS = 80 };

#define EDITOR_TYPE "neap.console.editor"

/* --- libedit --- */

struct library {
    void *handle; /* of dlopen; stays loaded */
    __typeof__(&el_init) init;
    __typeof__(&el_end) end;
    __typeof__(&el_set) set;
    __typeof__(&el_gets) gets;
    __typeof__(&el_source) source;
    __typeof__(&el_resize) resize;
    __typeof__(&el_wline) wline;
    __typeof__(&el_line) line;
    __typeof__(&el_insertstr) insertstr;
    __typeof__(&el_deletestr) deletestr;
    __typeof__(&history_init) history_init;
    __typeof__(&history_end) history_end;
    __typeof__(&history) history;
};

/* A function's address, into a pointer to a function, which C does not convert. */
static bool find(const struct library *library, const char *name, void *function) {
    void *address = dlsym(library->handle, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

static bool load_library(struct library *library) {
    static const char *const names[] = {"libedit.so.2", "libedit.so.0", "libedit.so"};
    library->handle = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && library->handle == NULL; i++)
        library->handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library->handle != NULL && find(library, "el_init", &library->init) &&
           find(library, "el_end", &library->end) && find(library, "el_set", &library->set) &&
           find(library, "el_gets", &library->gets) && find(library, "el_source", &library->source) &&
           find(library, "el_resize", &library->resize) && find(library, "el_wline", &library->wline) &&
           find(library, "el_line", &library->line) && find(library, "el_insertstr", &library->insertstr) &&
           find(library, "el_deletestr", &library->deletestr) &&
           find(library, "history_init", &library->history_init) &&
           find(library, "history_end", &library->history_end) && find(library, "history", &library->history);
}

/* --- the editor --- */

struct editor {
    struct library lib;
    struct neap_screen *screen; /* of the engine */
    EditLine *line;             /* NULL: closed */
    History *history;
    FILE *out;                   /* a stream of our own: what is in stdout's buffer comes when it will */
    bool started;                /* a line is being edited */
    bool ended;                  /* no more input comes */
    bool wants;                  /* the user has asked for completion */
    bool first;                  /* the next byte to be read is the first of a key */
    char *text;                  /* the line that feed has told last; owned; NULL */
    char prompt[PROMPT_MAX + 1]; /* terminated */
};

/* Whose line libedit works on: callbacks are given nothing that leads to it without asking the
 * library. Set by those who call it. */
static _Thread_local struct editor *editing;

static char *give_prompt(EditLine *line) {
    (void)line;
    return editing->prompt;
}

static bool has_more(int milliseconds) {
    struct pollfd look = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&look, 1, milliseconds) > 0;
}

/* A byte that is there, or comes within a moment. False: none. */
static bool read_byte(struct editor *editor, char *byte) {
    if (!editor->first && !has_more(KEY_MS)) return false;
    editor->first = false;
    ssize_t got = read(STDIN_FILENO, byte, 1);
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) editor->ended = true;
    return got == 1;
}

/* For libedit: one character. 1; 0: none. A tab is for us. */
static int read_character(EditLine *line, wchar_t *character) {
    bool is_key = editing->first;
    mbstate_t state;
    char byte;
    (void)line;
    memset(&state, 0, sizeof state);
    while (read_byte(editing, &byte)) {
        if (is_key && byte == '\t') {
            editing->wants = true;
            return 0;
        }
        size_t used = mbrtowc(character, &byte, 1, &state);
        if (used == (size_t)-2) continue; /* it goes on */
        if (used == (size_t)-1) *character = L'?';
        return 1;
    }
    return 0;
}

/* --- what is on the screen; its lock is held --- */

static int columns_of(const wchar_t *text, const wchar_t *end) {
    int columns = 0;
    for (; text < end; text++) {
        int width = wcwidth(*text);
        columns += width >= 0 ? width : 2; /* as ^A */
    }
    return columns;
}

static void count_row(struct editor *editor) {
    const LineInfoW *info = editor->lib.wline(editor->line);
    struct winsize size;
    int width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS;
    editor->screen->row = ((int)strlen(editor->prompt) + columns_of(info->buffer, info->cursor)) / width;
}

/* The prompt and what has been typed, at the beginning of a row. */
static void put_back(struct editor *editor) {
    struct neap_screen *screen = editor->screen;
    if (screen->shown || !editor->started) return;
    neap_screen_give_way(screen);
    if (screen->torn) fputc('\n', editor->out);
    fflush(editor->out);
    editor->lib.set(editor->line, EL_REFRESH);
    fflush(editor->out);
    screen->shown = true;
    screen->torn = false;
    count_row(editor);
}

static void lock(struct editor *editor) {
    editing = editor;
    pthread_mutex_lock(&editor->screen->lock);
}

static void unlock(struct editor *editor) { pthread_mutex_unlock(&editor->screen->lock); }

/* The terminal is as it was before. */
static void leave(struct editor *editor) {
    if (!editor->started) return;
    editor->started = false;
    editor->screen->shown = false;
    editor->lib.set(editor->line, EL_UNBUFFERED, 0);
    fflush(editor->out);
}

/* --- methods --- */

static struct editor *check(lua_State *L) {
    struct editor *editor = luaL_checkudata(L, 1, EDITOR_TYPE);
    if (editor->line == NULL) luaL_error(L, "the editor is closed");
    return editor;
}

static int editor_start(lua_State *L) {
    struct editor *editor = check(L);
    snprintf(editor->prompt, sizeof editor->prompt, "%s", neap_argument_string(L, 2, NULL));
    fflush(stdout);
    lock(editor);
    neap_screen_give_way(editor->screen);
    if (editor->screen->torn) fputc('\n', editor->out);
    fflush(editor->out);
    editor->started = true;
    editor->lib.set(editor->line, EL_UNBUFFERED, 1);
    fflush(editor->out);
    editor->screen->shown = true;
    editor->screen->torn = false;
    count_row(editor);
    unlock(editor);
    return 0;
}

static int editor_stop(lua_State *L) {
    struct editor *editor = check(L);
    lock(editor);
    if (editor->started) {
        put_back(editor);
        fputs(neap_argument_string_or(L, 2, ""), editor->out);
        fputc('\n', editor->out);
        leave(editor);
    }
    unlock(editor);
    return 0;
}

static bool is_end_of_line(const char *text, int length) {
    return text != NULL && length > 0 && (text[length - 1] == '\n' || (length == 1 && text[0] == CONTROL_D));
}

/* Takes keys until there is something to tell. The line, without its end, to be freed; NULL: it goes on. */
static char *take_keys(struct editor *editor) {
    for (int keys = 0; keys < KEYS_PER_FEED && has_more(0); keys++) {
        int length = 0;
        editor->first = true;
        const char *text = editor->lib.gets(editor->line, &length);
        if (editor->wants || editor->ended) return NULL;
        if (!is_end_of_line(text, length)) continue;
        char *line = text[length - 1] == '\n' ? strndup(text, (size_t)length - 1) : NULL;
        if (line == NULL)
            editor->ended = true; /* Ctrl-D */
        else
            leave(editor);
        return line;
    }
    return NULL;
}

static int editor_feed(lua_State *L) {
    struct editor *editor = check(L);
    lock(editor);
    put_back(editor);
    editor->wants = false;
    free(editor->text);
    editor->text = take_keys(editor);
    if (editor->started) count_row(editor);
    fflush(editor->out);
    unlock(editor);
    if (editor->text != NULL) {
        lua_pushliteral(L, "line");
        lua_pushstring(L, editor->text);
        return 2;
    }
    if (editor->ended) {
        editor->ended = false;
        lua_pushliteral(L, "end");
        return 1;
    }
    if (!editor->wants) return 0;
    const LineInfo *info = editor->lib.line(editor->line);
    lua_pushliteral(L, "complete");
    lua_pushlstring(L, info->buffer, (size_t)(info->cursor - info->buffer));
    return 2;
}

static int editor_insert(lua_State *L) {
    struct editor *editor = check(L);
    const char *text = neap_argument_string(L, 2, NULL);
    int count = (int)neap_argument_integer_or(L, 3, 0);
    if (!editor->started) return 0;
    editing = editor;
    bool begun = neap_screen_begin(editor->screen, stdout);
    if (count > 0) editor->lib.deletestr(editor->line, count);
    if (text[0] != '\0') editor->lib.insertstr(editor->line, text);
    put_back(editor);
    neap_screen_end(editor->screen, stdout, begun, '\n');
    return 0;
}

static int editor_show(lua_State *L) {
    struct editor *editor = check(L);
    lock(editor);
    put_back(editor);
    unlock(editor);
    return 0;
}

static int editor_resize(lua_State *L) {
    struct editor *editor = check(L);
    editing = editor;
    bool begun = neap_screen_begin(editor->screen, stdout);
    editor->lib.resize(editor->line);
    put_back(editor);
    neap_screen_end(editor->screen, stdout, begun, '\n');
    return 0;
}

/* Whoever ran meanwhile has set the terminal up for itself. */
static int editor_resume(lua_State *L) {
    struct editor *editor = check(L);
    if (!editor->started) return 0;
    lock(editor);
    editor->lib.set(editor->line, EL_PREP_TERM, 0);
    editor->lib.set(editor->line, EL_PREP_TERM, 1);
    editor->screen->shown = false;
    put_back(editor);
    unlock(editor);
    return 0;
}

static int editor_remember(lua_State *L) {
    struct editor *editor = check(L);
    HistEvent event;
    editor->lib.history(editor->history, &event, H_ENTER, neap_argument_string(L, 2, NULL));
    return 0;
}

static int editor_close(lua_State *L) {
    struct editor *editor = luaL_checkudata(L, 1, EDITOR_TYPE);
    if (editor->line != NULL) {
        lock(editor);
        leave(editor);
        unlock(editor);
        editor->lib.end(editor->line);
        editor->line = NULL;
    }
    if (editor->history != NULL) editor->lib.history_end(editor->history);
    editor->history = NULL;
    if (editor->out != NULL) fclose(editor->out);
    editor->out = NULL;
    free(editor->text);
    editor->text = NULL;
    if (editing == editor) editing = NULL;
    return 0;
}

static const luaL_Reg methods[] = {{"start", editor_start},   {"stop", editor_stop},
                                   {"feed", editor_feed},     {"insert", editor_insert},
                                   {"show", editor_show},     {"resize", editor_resize},
                                   {"resume", editor_resume}, {"remember", editor_remember},
                                   {"close", editor_close},   {NULL, NULL}};

/* --- making one --- */

/* Characters are as the user's terminal has them. Where nothing was said of that it is UTF-8. */
static void set_characters(void) {
    if (strcmp(setlocale(LC_CTYPE, NULL), "C") != 0) return;
    const char *name = setlocale(LC_CTYPE, "");
    if (name == NULL || strcmp(name, "C") == 0 || strcmp(name, "POSIX") == 0) setlocale(LC_CTYPE, "C.UTF-8");
}

static void set_up(struct editor *editor) {
    const struct library *lib = &editor->lib;
    EditLine *line = editor->line;
    HistEvent event;
    lib->set(line, EL_SIGNAL, 0);
    lib->set(line, EL_EDITOR, "emacs");
    lib->set(line, EL_GETCFN, read_character);
    lib->set(line, EL_PROMPT, give_prompt);
    lib->set(line, EL_HIST, lib->history, editor->history);
    lib->set(line, EL_BIND, "^R", "ed-search-prev-history", NULL);
    lib->source(line, NULL); /* the user's own */
    lib->set(line, EL_BIND, "^V", "ed-unassigned", NULL);
    lib->history(editor->history, &event, H_SETSIZE, HISTORY_SIZE);
    lib->history(editor->history, &event, H_SETUNIQUE, 1);
}

/* False, and why. */
static const char *open_editor(struct editor *editor) {
    const char *terminal = getenv("TERM");
    if (terminal == NULL || terminal[0] == '\0' || strcmp(terminal, "dumb") == 0) return "the terminal is dumb";
    if (!load_library(&editor->lib)) return "libedit is not installed";
    set_characters();
    int descriptor = dup(STDOUT_FILENO);
    editor->out = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (editor->out == NULL) {
        if (descriptor >= 0) close(descriptor);
        return strerror(errno);
    }
    editing = editor;
    editor->history = editor->lib.history_init();
    if (editor->history == NULL) return "not enough memory";
    editor->line = editor->lib.init("neap", stdin, editor->out, editor->out);
    if (editor->line == NULL) return "libedit refuses the terminal";
    set_up(editor);
    return NULL;
}

static int make_editor(lua_State *L) {
    struct editor *editor = lua_newuserdatauv(L, sizeof *editor, 0);
    memset(editor, 0, sizeof *editor);
    editor->screen = &neap_vm_of(L)->engine->screen;
    if (luaL_newmetatable(L, EDITOR_TYPE)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, editor_close);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "__gc");
        lua_setfield(L, -2, "__close");
    }
    lua_setmetatable(L, -2);
    const char *problem = open_editor(editor);
    if (problem == NULL) return 1;
    lua_pushnil(L);
    lua_pushstring(L, problem);
    return 2;
}

#endif

void neap_editor_register(lua_State *L) {
    lua_pushcfunction(L, make_editor);
    lua_setfield(L, -2, "editor");
}
