#include "bindings/io/file_watch.h"

#include <lauxlib.h>
#include <stdio.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/iterator.h"
#include "bindings/io/files.h"
#include "bindings/task/await.h"
#include "io/file_watch.h"

enum { SELF = 1, TIMEOUT };      /* the stack of next */
enum { FOLDER = 1, ONLY, PATH }; /* of files.watch */

static struct neap_file_watch *check(lua_State *L) {
    return (struct neap_file_watch *)neap_box_check(L, SELF, NEAP_HANDLE_FILE_WATCH);
}

/* internal.files.watch(folder, only, path): tells of all in the folder, or of the name `only`. Events name what stands
 * below `path`, or `path` itself. */
int neap_file_watch_open(lua_State *L) {
    const char *folder = neap_argument_string(L, FOLDER, NULL), *only = lua_tostring(L, ONLY);
    struct neap_file_watch *watch = NULL;
    neap_argument_string(L, PATH, NULL);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_FILE_WATCH, sizeof *box, 1);
    lua_pushvalue(L, PATH);
    lua_setiuservalue(L, -2, 1);
    int code = neap_file_watch_new(&neap_vm_of(L)->loop, folder, only, &watch);
    if (code != 0) return neap_push_code(L, code);
    box->object = &watch->object;
    return 1;
}

/* --- events --- */

/* Pushes the path of what has the name on top of the stack. */
static void push_path(lua_State *L, int index, const struct neap_file_watch *watch) {
    size_t size, name_size;
    lua_tolstring(L, -1, &name_size);
    lua_getiuservalue(L, index, 1);
    const char *path = lua_tolstring(L, -1, &size);
    if (watch->only != NULL || name_size == 0) return;
    if (size == 0 || path[size - 1] != '/') {
        lua_pushliteral(L, "/");
        lua_concat(L, 2);
    }
    lua_pushvalue(L, -2);
    lua_concat(L, 2);
}

int neap_file_watch_push(lua_State *L, int index, const struct neap_link *link) {
    static const char *const names[] = {"created", "changed", "removed", "overflow"};
    enum neap_file_event_kind kind = neap_file_event_kind(link);
    if (link->result != 0) return neap_push_code(L, link->result);
    index = lua_absindex(L, index);
    lua_createtable(L, 0, 4);
    int event = lua_gettop(L);
    lua_pushstring(L, names[kind]);
    lua_setfield(L, event, "kind");
    if (kind == NEAP_FILE_OVERFLOW) return 1;
    neap_decode(L, &link->message);
    push_path(L, index, (struct neap_file_watch *)link->object);
    lua_setfield(L, event, "path");
    lua_setfield(L, event, "name");
    if (neap_file_event_renaming(link) != 0) {
        lua_pushinteger(L, neap_file_event_renaming(link));
        lua_setfield(L, event, "renaming");
    }
    return 1;
}

static int finish_next(lua_State *L, struct neap_task *task, int code) {
    return code < 0 ? neap_push_code(L, code) : neap_file_watch_push(L, SELF, &task->link);
}

/* watch:next([timeout]) */
static int watch_next(lua_State *L) {
    return neap_await_object(L, &check(L)->object, NEAP_FILE_WATCH_NEXT, TIMEOUT, finish_next);
}

/* The iterator: ends when the watch has ended. */
static int step(lua_State *L) {
    neap_iterator_begin(L);
    return watch_next(L);
}

/* watch:iter() */
static int watch_iter(lua_State *L) {
    check(L);
    return neap_iterator_push(L, step);
}

/* --- the rest --- */

/* watch:close(); also __close */
static int watch_close(lua_State *L) {
    lua_pushboolean(L, neap_file_watch_close(check(L)));
    return 1;
}

static int watch_is_closed(lua_State *L) {
    lua_pushboolean(L, neap_file_watch_is_closed(check(L)));
    return 1;
}

static void describe(struct neap_object *object, char *text, size_t size) {
    snprintf(text, size, "%s", neap_file_watch_is_closed((struct neap_file_watch *)object) ? "closed" : "open");
}

static const luaL_Reg methods[] = {
    {"next", watch_next}, {"iter", watch_iter}, {"close", watch_close}, {"is_closed", watch_is_closed}, {NULL, NULL}};
static const luaL_Reg metamethods[] = {{"__close", watch_close}, {NULL, NULL}};

const struct neap_binding neap_file_watch_binding = {
    .name = "watch",
    .class = &neap_file_watch_class,
    .methods = methods,
    .metamethods = metamethods,
    .describe = describe,
    .stays = true,
    .uservalues = 1,
};
