/* scope: what it starts has ended when it returns.
 *
 * MODEL       neap.scope is one C function with continuations. On its stack lies the `s` of the script: a userdata with
 *             the engine's scope (which counts the children, sync/scope.h), a region around the body (cancel.h), and a
 *             list of the children's handles. The children point to the engine's scope only, so the userdata may be
 *             collected when it is left for good in the middle (in a generator that nobody resumes).
 * PHASES      BODY      the function runs, inside `region`: cancelling that cancels the body.
 *             OPEN      it has returned; its children go on. A cancellation of the owner from outside ends this phase.
 *             STOPPED   something has failed or was cancelled: all children are asked to stop, and whoever is started
 *                       yet begins cancelled. In this phase the owner waits inside `shield`: its end is not given up.
 *             ENDED     no child is left; s can no longer be used.
 *             BODY -> STOPPED at once, or either of them -> OPEN -> STOPPED -> ENDED; a stop in
 *             BODY leaves the body to unwind.
 * OUTCOME     1. A failure, of the body or a child, whichever was first, is raised; the others stand in its traceback.
 *             2. Else a cancellation from outside is raised.
 *             3. Else, if the body was stopped by s:cancel(): nil, "cancelled", "cancelled". A body that returned all
 *                the same has its results returned.
 * MEMORY      The list is swept when it has doubled: those that have ended well or cancelled are let go, failures
 *             are kept until they are listed. */
#include "bindings/running/scope.h"

#include <lauxlib.h>

#include "bindings/handle/handle.h"
#include "bindings/report/failure.h"
#include "bindings/running/process.h"
#include "bindings/running/thread.h"
#include "bindings/state/registry.h"
#include "bindings/task/await.h"
#include "bindings/task/cancel.h"
#include "core/error.h"
#include "sync/scope.h"

enum { FIRST_SWEEP = 64, LISTED_MAX = 20 };

enum { BOX = 1, HANDLER, RESULTS = HANDLER }; /* the stack of neap.scope; the handler goes when the body has ended */

enum { CHILDREN = 1, OWNER, ERROR, TRACEBACK, USER_VALUES = TRACEBACK }; /* user values of the box */

struct box {
    struct neap_scope *scope;  /* a reference; NULL once it has ended */
    struct neap_task *owner;   /* who called neap.scope; kept by a user value */
    struct neap_region region; /* around the body */
    struct neap_region shield; /* around the wait for the children, once stopped */
    lua_Integer children;      /* in the list */
    lua_Integer sweep_at;      /* so many of them are the occasion to look who is still needed */
    bool has_body;             /* which has not ended */
    bool stopped;              /* the children have been asked to stop */
    bool shielded;             /* inside `shield` */
    bool interrupted;          /* the body ended by a cancellation, not by itself */
    bool failed;               /* the body failed */
    bool failed_first;         /* before any child did */
};

static const char metatable_key; /* registry: the metatable of boxes */
static const char boxes_key;     /* registry: weak table, address -> box */

/* --- stopping --- */

/* Is the child on top of the stack a thread or a process? */
static bool is_elsewhere(lua_State *L) {
    return neap_box_test(L, -1, NEAP_HANDLE_THREAD) != NULL || neap_box_test(L, -1, NEAP_HANDLE_PROCESS) != NULL;
}

/* Children: a list at `list`. The reason is on top of the stack, and popped. Threads and processes come first: what
 * cannot be sent to them raises. */
static void cancel_children(lua_State *L, lua_Integer count, int list, bool elsewhere) {
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_rawgeti(L, list, i) == LUA_TUSERDATA && is_elsewhere(L) == elsewhere) {
            lua_pushvalue(L, -2);
            neap_handle_cancel(L, -2);
        }
        lua_pop(L, 1);
    }
}

/* (children, reason): asks all of them to stop. */
static void stop_children(lua_State *L, const struct box *box, int list) {
    cancel_children(L, box->children, list, true);
    cancel_children(L, box->children, list, false);
    lua_pop(L, 1);
}

static bool is_within(const struct neap_task *task, const struct neap_region *region) {
    const struct neap_region *around = task->regions;
    while (around != NULL && around != region) around = around->outer;
    return around != NULL;
}

/* Who runs the body: the owner, but for a scope in a generator that another task goes on
 * with. NULL: nobody at the moment. */
static struct neap_task *find_runner(const struct box *box) {
    struct neap_vm *vm = neap_task_vm(box->owner);
    if (is_within(box->owner, &box->region)) return box->owner;
    if (is_within(vm->root, &box->region)) return vm->root;
    for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next) {
        struct neap_task *task = NEAP_CONTAINER_OF(node, struct neap_task, node);
        if (is_within(task, &box->region)) return task;
    }
    return NULL;
}

/* The body is asked to stop, if it runs; no memory is needed. */
static void stop_body(struct box *box) {
    struct neap_task *runner = box->has_body ? find_runner(box) : NULL;
    box->stopped = box->region.cancelled = true;
    if (runner != NULL) neap_task_interrupt(runner);
}

/* Box at `index`; the reason is on top of the stack, and popped. */
static void stop(lua_State *L, struct box *box, int index) {
    lua_getiuservalue(L, index, CHILDREN);
    lua_insert(L, -2);
    stop_children(L, box, lua_gettop(L) - 1);
    lua_pop(L, 1);
    stop_body(box);
}

/* Protected: (box, as its address). It may be under collection: then its finaliser stops the children. */
static int stop_found(lua_State *L) {
    struct box *box = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &boxes_key);
    if (lua_rawgetp(L, -1, box) != LUA_TUSERDATA) return 0;
    lua_pushnil(L);
    stop(L, box, lua_gettop(L) - 1);
    return 0;
}

/* On the owner's loop: the first child has failed. */
static void child_failed(struct neap_scope *scope) {
    struct box *box = scope->owner;
    lua_State *L = neap_task_vm(box->owner)->main;
    stop_body(box);
    if (!lua_checkstack(L, 4)) return; /* the body's end stops the others */
    lua_pushcfunction(L, stop_found);
    lua_pushlightuserdata(L, box);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* --- children --- */

/* Lets go of those that have ended and did not fail. List on top of the stack. */
static void sweep(lua_State *L, struct box *box) {
    lua_Integer kept = 0;
    for (lua_Integer i = 1; i <= box->children; i++) {
        lua_rawgeti(L, -1, i);
        enum neap_future_state state = neap_future_state(neap_handle_test(L, -1));
        if (state == NEAP_FUTURE_DONE || state == NEAP_FUTURE_CANCELLED)
            lua_pop(L, 1);
        else
            lua_rawseti(L, -2, ++kept);
    }
    for (lua_Integer i = kept + 1; i <= box->children; i++) {
        lua_pushnil(L);
        lua_rawseti(L, -2, i);
    }
    box->children = kept;
    box->sweep_at = kept < FIRST_SWEEP / 2 ? FIRST_SWEEP : kept * 2;
}

/* Makes room for one more child, so that nothing can fail once it runs. Box at 1. */
static void reserve(lua_State *L, struct box *box) {
    lua_getiuservalue(L, 1, CHILDREN);
    if (box->children >= box->sweep_at) sweep(L, box);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, box->children + 1);
    lua_pop(L, 1);
}

/* The handle on top of the stack is that of a new child. */
static int enter(lua_State *L, struct box *box) {
    lua_getiuservalue(L, 1, CHILDREN);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, ++box->children);
    lua_pop(L, 1);
    return 1;
}

static struct box *test(lua_State *L, int index) {
    struct box *box = lua_touserdata(L, index);
    if (box == NULL || !lua_getmetatable(L, index)) return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key);
    bool same = lua_rawequal(L, -1, -2) && !lua_isnil(L, -1);
    lua_pop(L, 2);
    return same ? box : NULL;
}

static struct box *check(lua_State *L) {
    struct box *box = test(L, 1);
    if (box == NULL) neap_argument_type_error(L, 1, "scope");
    if (box->scope == NULL) luaL_error(L, "the scope has ended");
    return box;
}

/* s, [options,] fn, ... */
static int start(lua_State *L, enum neap_handle kind) {
    struct box *box = check(L);
    struct neap_task_options options;
    int function = neap_run_options(L, 2, &options);
    neap_argument_type(L, function, LUA_TFUNCTION);
    options.scope = box->scope;
    if (box->stopped) options.flags |= NEAP_TASK_CANCELLED; /* it never runs */
    reserve(L, box);
    int arguments = lua_gettop(L) - function, count = 1;
    if (kind == NEAP_HANDLE_TASK)
        neap_task_spawn(L, arguments, &options);
    else if (kind == NEAP_HANDLE_THREAD)
        neap_thread_spawn(L, arguments, &options);
    else
        count = neap_process_spawn(L, arguments, &options);
    return count == 1 ? enter(L, box) : count;
}

static int scope_spawn(lua_State *L) { return start(L, NEAP_HANDLE_TASK); }

static int scope_thread(lua_State *L) { return start(L, NEAP_HANDLE_THREAD); }

static int scope_process(lua_State *L) { return start(L, NEAP_HANDLE_PROCESS); }

/* s:cancel([reason]) */
static int scope_cancel(lua_State *L) {
    struct box *box = check(L);
    bool asked = !box->stopped;
    lua_settop(L, 2);
    if (asked) {
        lua_pushvalue(L, 2);
        stop(L, box, 1);
        if (!lua_isnil(L, 2)) {
            lua_pushvalue(L, 2);
            box->region.reason = luaL_ref(L, LUA_REGISTRYINDEX);
        }
    }
    lua_pushboolean(L, asked);
    return 1;
}

/* --- the outcome --- */

/* Nobody can use the scope any more. Box at `index`. */
static void end(lua_State *L, struct box *box, int index) {
    struct neap_scope *scope = box->scope;
    lua_pushnil(L);
    lua_setiuservalue(L, index, CHILDREN);
    box->scope = NULL;
    scope->owner = NULL;
    if (box->region.reason != 0) luaL_unref(L, LUA_REGISTRYINDEX, box->region.reason);
    neap_object_unref(&scope->object);
}

static lua_Integer id_of(lua_State *L, int handle) {
    lua_getfield(L, handle, "id");
    lua_Integer id = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return id;
}

/* Pushes the error and the traceback of the child at `handle`. */
static void push_failure(lua_State *L, int handle) {
    neap_handle_push_outcome(L, handle);
    lua_getfield(L, handle, "traceback");
    lua_pushvalue(L, handle);
    lua_call(L, 1, 1);
}

static int to_text(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Replaces the text on top of the stack by itself and a line: "\n\tname: message". */
static void add_line(lua_State *L, const char *name, int error) {
    error = lua_absindex(L, error);
    lua_pushfstring(L, "\n\t%s: ", name);
    lua_pushcfunction(L, to_text);
    lua_pushvalue(L, error);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) { /* its __tostring fails */
        lua_pop(L, 1);
        lua_pushfstring(L, "(a %s)", luaL_typename(L, error));
    }
    lua_concat(L, 3);
}

/* Stack: box, children, error, traceback of the first failure: adds the others to the traceback. */
static void list_others(lua_State *L, struct box *box, lua_Integer first) {
    enum { LIST = 2, FIRST_ERROR, TEXT, LINES, HANDLE, VALUE };
    lua_Integer others = 0;
    lua_pushliteral(L, "");
    if (box->failed && !box->failed_first) {
        lua_getiuservalue(L, BOX, ERROR);
        if (!lua_rawequal(L, -1, FIRST_ERROR)) {
            lua_pushvalue(L, LINES);
            add_line(L, "the body", LINES + 1);
            lua_replace(L, LINES);
            others++;
        }
        lua_settop(L, LINES);
    }
    for (lua_Integer i = 1; i <= box->children; i++, lua_settop(L, LINES)) {
        lua_rawgeti(L, LIST, i);
        if (neap_future_state(neap_handle_test(L, HANDLE)) != NEAP_FUTURE_FAILED || id_of(L, HANDLE) == first) continue;
        neap_handle_push_outcome(L, HANDLE);
        if (lua_rawequal(L, VALUE, FIRST_ERROR) || ++others > LISTED_MAX) continue;
        lua_getfield(L, HANDLE, "name");
        lua_pushvalue(L, LINES);
        add_line(L, lua_tostring(L, -2), VALUE);
        lua_replace(L, LINES);
    }
    if (others > LISTED_MAX) {
        lua_pushfstring(L, "\n\t... and %d more", (int)(others - LISTED_MAX));
        lua_concat(L, 2);
    }
    if (others > 0) {
        lua_pushliteral(L, "\nalso failed in the scope:");
        lua_insert(L, LINES);
    }
    lua_concat(L, lua_gettop(L) - TEXT + 1);
}

/* Raises the first failure. */
static int raise_failure(lua_State *L, struct box *box, lua_Integer first) {
    lua_settop(L, BOX);
    luaL_checkstack(L, LUA_MINSTACK, "failures");
    lua_getiuservalue(L, BOX, CHILDREN);
    if (box->failed_first) {
        first = 0;
        lua_getiuservalue(L, BOX, ERROR);
        lua_getiuservalue(L, BOX, TRACEBACK);
    } else {
        lua_Integer i = 0;
        do {
            lua_settop(L, 2);
            lua_rawgeti(L, 2, ++i);
        } while (id_of(L, 3) != first);
        push_failure(L, 3);
        lua_remove(L, 3);
    }
    if (!lua_isstring(L, -1)) {
        lua_pushliteral(L, "");
        lua_replace(L, -2);
    }
    list_others(L, box, first);
    neap_failure_note_cause(L, 3, 4);
    end(L, box, BOX);
    lua_settop(L, 3);
    return lua_error(L);
}

/* No child is left. */
static int conclude(lua_State *L, struct neap_task *task, struct box *box) {
    lua_Integer first = (lua_Integer)neap_scope_first_failed(box->scope);
    if (box->shielded) neap_region_leave(task, &box->shield);
    if (box->failed || first != 0) return raise_failure(L, box, first);
    end(L, box, BOX);
    neap_cancel_check(L, task);
    return box->interrupted ? neap_push_code(L, NEAP_CANCELLED) : lua_gettop(L) - BOX;
}

/* --- waiting for the children --- */

static int wait_for_children(lua_State *L, struct neap_task *task, struct box *box);

static int waited(lua_State *L, struct neap_task *task, int code) {
    struct box *box = lua_touserdata(L, BOX);
    if (code < 0) {
        /* A cancellation from outside, or no memory for its deadline: the first wait is over, the second cannot be. */
        lua_pushnil(L);
        stop(L, box, BOX);
    } else if (neap_scope_alive(box->scope) == 0) {
        return conclude(L, task, box);
    }
    return wait_for_children(L, task, box);
}

static int wait_for_children(lua_State *L, struct neap_task *task, struct box *box) {
    if (box->stopped && !box->shielded) {
        box->shield = (struct neap_region){.deadline = NEAP_FOREVER, .shield = true};
        box->shielded = true;
        neap_region_enter(task, &box->shield);
    }
    neap_message_fini(&task->link.message);
    task->link.object = &box->scope->object;
    task->link.op = NEAP_SCOPE_EMPTY;
    int code = neap_wait_begin(&task->wait, &task->link, 1, neap_await_limit(task, NEAP_FOREVER));
    return code == NEAP_PARKED ? neap_await_parked(L, waited) : waited(L, task, code);
}

/* Has the owner been asked, from outside, to stop? */
static bool is_cancelled(struct neap_task *task) {
    if (task->regions != NULL) neap_cancel_expire(task);
    return neap_cancel_is_due(task);
}

static int body_ended(lua_State *L, int status, lua_KContext depth) {
    struct box *box = lua_touserdata(L, BOX);
    struct neap_task *task = neap_task_current(L);
    bool raised = status != LUA_OK && status != LUA_YIELD;
    if (!lua_checkstack(L, LUA_MINSTACK)) {
        lua_settop(L, BOX);
        lua_pushliteral(L, "too many results");
        raised = true;
    }
    box->has_body = false;
    neap_region_leave(task, &box->region);
    neap_cancel_leave(task, (uint16_t)depth, raised);
    bool cancelled = is_cancelled(task);
    if (raised) {
        box->interrupted = neap_cancel_is_error(L, -1) && (cancelled || box->region.cancelled);
        box->failed = !box->interrupted;
        box->failed_first = box->failed && neap_scope_first_failed(box->scope) == 0;
        if (box->failed) lua_setiuservalue(L, BOX, ERROR);
        lua_settop(L, BOX);
    } else {
        lua_remove(L, HANDLER);
    }
    if (!box->stopped && (raised || cancelled || neap_scope_first_failed(box->scope) != 0)) {
        lua_pushnil(L);
        stop(L, box, BOX);
    }
    return wait_for_children(L, task, box);
}

/* --- the body --- */

/* The message handler of the body. Upvalue: the box. */
static int keep_traceback(lua_State *L) {
    if (neap_cancel_is_error(L, 1)) return 1;
    lua_settop(L, 1);
    neap_failure_push_stack(L);
    neap_failure_push_cause(L);
    lua_concat(L, 2);
    lua_setiuservalue(L, lua_upvalueindex(1), TRACEBACK);
    return 1;
}

static int scope_collected(lua_State *L) {
    struct box *box = lua_touserdata(L, 1);
    if (box->scope == NULL) return 0;
    lua_getiuservalue(L, 1, CHILDREN);
    lua_pushnil(L);
    stop_children(L, box, lua_gettop(L) - 1);
    end(L, box, 1);
    return 0;
}

/* "scope: 0x5581 (3 running)" */
static int scope_tostring(lua_State *L) {
    struct box *box = test(L, 1);
    if (box == NULL) return neap_argument_type_error(L, 1, "scope");
    if (box->scope == NULL)
        lua_pushfstring(L, "scope: %p (ended)", (void *)box);
    else
        lua_pushfstring(L, "scope: %p (%I running)", (void *)box, (LUAI_UACINT)neap_scope_alive(box->scope));
    return 1;
}

static void push_metatable(lua_State *L) {
    static const luaL_Reg methods[] = {{"spawn", scope_spawn},
                                       {"thread", scope_thread},
                                       {"process", scope_process},
                                       {"cancel", scope_cancel},
                                       {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", scope_collected}, {"__tostring", scope_tostring}, {NULL, NULL}};
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) != LUA_TNIL) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 4);
    lua_pushliteral(L, "scope");
    lua_setfield(L, -2, "__name");
    luaL_setfuncs(L, metamethods, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
    neap_registry_make_weak(L, &boxes_key, "v");
    lua_pop(L, 1);
}

static struct box *push_box(lua_State *L, struct neap_task *task) {
    struct box *box = lua_newuserdatauv(L, sizeof *box, USER_VALUES);
    *box = (struct box){.owner = task, .sweep_at = FIRST_SWEEP, .region = {.deadline = NEAP_FOREVER}};
    push_metatable(L);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_setiuservalue(L, -2, CHILDREN);
    neap_task_push(L, task);
    lua_setiuservalue(L, -2, OWNER);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &boxes_key);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, box);
    lua_pop(L, 1);
    box->scope = neap_scope_new(neap_task_vm(task)->loop.mailbox, child_failed, box);
    if (box->scope == NULL) luaL_error(L, "not enough memory");
    return box;
}

/* neap.scope(fn) */
int neap_scope_call(lua_State *L) {
    neap_argument_type(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    struct neap_task *task = neap_await_begin(L);
    neap_await_check(L);
    struct box *box = push_box(L, task);
    lua_insert(L, 1); /* box, function */
    lua_pushvalue(L, 1);
    lua_pushcclosure(L, keep_traceback, 1);
    lua_insert(L, HANDLER);
    lua_pushvalue(L, 1); /* box, handler, function, box */
    box->has_body = true;
    neap_region_enter(task, &box->region);
    uint16_t depth = neap_cancel_enter(task);
    return body_ended(L, lua_pcallk(L, 1, LUA_MULTRET, HANDLER, depth, body_ended), depth);
}
