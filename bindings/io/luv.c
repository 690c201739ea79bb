/* luv: another module's libuv, turned by our loop.
 *
 * MODEL      luv keeps a loop of its own. Before ours goes to sleep it lets luv's do what can be done at once (`turn`,
 *            of the Lua half), and learns how long that can wait; while ours sleeps it looks at luv's descriptor, which
 *            is ready when any of luv's is.
 * WHY TWO    Handles of both in one loop would need one copy of libuv, and the program neap has its own inside. luv
 *            would walk over our handles, and end with the state, when ours are still needed. A loop below another
 *            costs a system call for each turn, once luv is in use.
 * CALLBACKS  run between tasks, on the state's main coroutine, so they cannot wait. What they raise fails a task that
 *            is spawned for it, so it is told of like any other failure.
 * LIFETIME   The record goes when libuv has let go of its three handles, which may be after the state. */
#include "bindings/io/luv.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "bindings/report/failure.h"
#include "bindings/state/argument.h"
#include "bindings/state/vm.h"
#include "bindings/task/task.h"
#include "core/error.h"
#include "core/memory.h"

enum { ROOM = 8 }; /* descriptors: six of luv's loop, one of the bridge, one to load luv with */

static const char REPORT[] = "neap.luv.report"; /* registry: the function that is told what a callback has raised */

struct bridge {
    struct neap_vm *vm;
    struct neap_task *ghost; /* whose code callbacks are: root may be waiting. Owned */
    uv_prepare_t look;       /* of our loop: before it sleeps */
    uv_timer_t bell;         /* when luv wants to go on */
    uv_poll_t poll;          /* of `fd` */
    int fd;                  /* luv's descriptor, a copy of ours. Owned */
    int turn;                /* the Lua half's function, in the registry */
    unsigned open;           /* handles that libuv has not let go of */
};

/* --- callbacks --- */

/* Message handler: pushes { error, traceback }. */
static int note_error(lua_State *L) {
    lua_settop(L, 1);
    luaL_traceback(L, L, NULL, 1);
    lua_createtable(L, 2, 0);
    lua_insert(L, 1);
    lua_rawseti(L, 1, 2);
    lua_rawseti(L, 1, 1);
    return 1;
}

/* What note_error has made is on top; popped. */
static void report(lua_State *L) {
    if (lua_istable(L, -1) && lua_getfield(L, LUA_REGISTRYINDEX, REPORT) == LUA_TFUNCTION) {
        lua_insert(L, -2);
        lua_pcall(L, 1, 0, 0);
    } else {
        lua_pop(L, lua_istable(L, -1) ? 1 : 2);
    }
}

/* For luv: calls the function below `given` values. How many values it has returned, or a negative status; the function
 * and what it was given are gone. */
static int call_back(lua_State *L, int given, int wanted, int flags) {
    int function = lua_gettop(L) - given;
    (void)flags;
    if (neap_vm_of(L)->closed) { /* luv ends its loop with the state */
        lua_settop(L, function - 1);
        return -LUA_ERRRUN;
    }
    lua_pushcfunction(L, note_error);
    lua_insert(L, function);
    int status = lua_pcall(L, given, wanted, function);
    lua_remove(L, function);
    if (status == LUA_OK) return wanted == LUA_MULTRET ? lua_gettop(L) - function + 1 : wanted;
    report(L);
    return -status;
}

/* --- turning --- */

/* Milliseconds until luv wants to go on; negative: nothing but its descriptors can make it. */
static lua_Integer turn_luv(struct bridge *bridge) {
    struct neap_vm *vm = bridge->vm;
    lua_State *L = vm->main, *running = vm->running;
    struct neap_task *current = vm->current, *root = vm->root;
    struct neap_loop *outer = neap_loop_here;
    lua_Integer pause = -1;
    if (!lua_checkstack(L, LUA_MINSTACK)) return 1;
    neap_loop_here = &vm->loop;
    vm->current = vm->root = bridge->ghost;
    vm->running = NULL;
    vm->calls_back = true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, bridge->turn);
    if (lua_pcall(L, 0, 1, 0) == LUA_OK) pause = lua_tointeger(L, -1);
    lua_pop(L, 1);
    vm->calls_back = false;
    vm->running = running;
    vm->current = current;
    vm->root = root;
    neap_loop_here = outer;
    return pause;
}

static void on_bell(uv_timer_t *bell) { (void)bell; }

static void on_ready(uv_poll_t *poll, int status, int events) {
    (void)poll;
    (void)status;
    (void)events;
}

static void on_look(uv_prepare_t *look) {
    struct bridge *bridge = look->data;
    lua_Integer pause = turn_luv(bridge);
    if (pause < 0) {
        uv_timer_stop(&bridge->bell);
    } else {
        uv_update_time(look->loop);
        uv_timer_start(&bridge->bell, on_bell, (uint64_t)pause, 0);
    }
}

/* --- opening and closing --- */

static void on_close(uv_handle_t *handle) {
    struct bridge *bridge = handle->data;
    if (--bridge->open > 0) return;
    close(bridge->fd);
    neap_free(bridge);
}

/* __gc of the userdata that points to it: the state is being closed. */
static int close_bridge(lua_State *L) {
    struct bridge **place = lua_touserdata(L, 1), *bridge = *place;
    *place = NULL;
    if (bridge == NULL) return 0;
    neap_task_free_ghost(bridge->ghost);
    uv_close((uv_handle_t *)&bridge->look, on_close);
    uv_close((uv_handle_t *)&bridge->bell, on_close);
    uv_close((uv_handle_t *)&bridge->poll, on_close);
    return 0;
}

static struct bridge *open_bridge(struct neap_vm *vm, int fd) {
    uv_loop_t *uv = neap_loop_uv(&vm->loop);
    struct bridge *bridge = uv != NULL ? neap_alloc_zeroed(sizeof *bridge) : NULL;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (bridge != NULL) bridge->ghost = neap_task_new_ghost(vm);
    if (bridge == NULL || bridge->ghost == NULL || copy < 0 || uv_poll_init(uv, &bridge->poll, copy) != 0) {
        if (copy >= 0) close(copy);
        if (bridge != NULL && bridge->ghost != NULL) neap_task_free_ghost(bridge->ghost);
        neap_free(bridge);
        return NULL;
    }
    uv_prepare_init(uv, &bridge->look);
    uv_timer_init(uv, &bridge->bell);
    bridge->vm = vm;
    bridge->fd = copy;
    bridge->open = 3;
    bridge->look.data = bridge->bell.data = bridge->poll.data = bridge;
    return bridge;
}

/* internal.luv.turn(fd, turn, report): from now on our loop calls `turn` before it sleeps, which returns for how
 * many milliseconds it need not be called again, and sleeps no longer than that, nor when `fd` is ready. `report`
 * is given { error, traceback }. */
static int luv_turn(lua_State *L) {
    int fd = (int)luaL_checkinteger(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    lua_settop(L, 3);
    lua_setfield(L, LUA_REGISTRYINDEX, REPORT);
    struct bridge **place = lua_newuserdatauv(L, sizeof *place, 0);
    *place = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, close_bridge);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_ref(L, LUA_REGISTRYINDEX);
    int turn = luaL_ref(L, LUA_REGISTRYINDEX);
    struct bridge *bridge = open_bridge(neap_vm_of(L), fd);
    if (bridge == NULL) neap_refuse(L, "no luv: not enough memory or descriptors");
    bridge->turn = turn;
    *place = bridge;
    uv_prepare_start(&bridge->look, on_look);
    uv_unref((uv_handle_t *)&bridge->look);
    uv_unref((uv_handle_t *)&bridge->bell);
    uv_poll_start(&bridge->poll, UV_READABLE, on_ready);
    return 0;
}

/* internal.luv.check_room(): raises if too few descriptors are left for luv and its loop, which would end the program,
 * now or when the state is closed; and if there are none for our own. */
static int luv_check_room(lua_State *L) {
    int held[ROOM], count = 0, code = neap_loop_open_uv(&neap_vm_of(L)->loop);
    while (count < ROOM && (held[count] = open("/", O_PATH | O_CLOEXEC)) >= 0) ++count;
    if (count < ROOM) code = -errno;
    while (count > 0) close(held[--count]);
    if (code != 0) neap_refuse(L, "no luv: %s (%s)", neap_code_text(code), neap_code_name(code));
    return 0;
}

/* C does not convert a pointer to data into one to a function. */
static bool find(void *library, const char *name, void *function) {
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

/* internal.luv.adopt(path): luv, which has been loaded from there, calls back as it should from
 * now on. False: that is no luv. */
static int luv_adopt(lua_State *L) {
    int (*call)(lua_State *, int, int, int) = call_back;
    void (*set_callback)(lua_State *, int (*)(lua_State *, int, int, int));
    void (*set_loop)(lua_State *, void *);
    void *(*loop_of)(lua_State *);
    void *library = dlopen(luaL_checkstring(L, 1), RTLD_NOW | RTLD_LOCAL); /* once more: it stays */
    bool found = library != NULL && find(library, "luv_set_callback", &set_callback) &&
                 find(library, "luv_set_loop", &set_loop) && find(library, "luv_loop", &loop_of);
    if (found) {
        lua_State *main = neap_vm_of(L)->main; /* luv may have been loaded by a task, whose coroutine will be gone */
        set_callback(main, call);
        set_loop(main, loop_of(main));
    }
    lua_pushboolean(L, found);
    return 1;
}

/* internal.luv.raise({ error, traceback }) */
static int luv_raise(lua_State *L) {
    lua_settop(L, 1);
    lua_rawgeti(L, 1, 1);
    lua_rawgeti(L, 1, 2);
    neap_failure_note_cause(L, 2, 3);
    lua_settop(L, 2);
    return lua_error(L);
}

const luaL_Reg neap_luv_functions[] = {
    {"adopt", luv_adopt}, {"check_room", luv_check_room}, {"raise", luv_raise}, {"turn", luv_turn}, {NULL, NULL}};
