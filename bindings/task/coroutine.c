/* coroutine: the standard library's pcall, xpcall and coroutine.*, as seen from a task.
 *
 * WHY REPLACED   A wait inside a coroutine of the user's own (a generator) must suspend the whole task, not hand a
 *                strange yield to whoever resumed the generator. So resume and wrap look whether the coroutine yielded
 *                by itself, or was suspended by the engine (a wait, a time slice): then they yield in turn, outwards to
 *                the loop, and resume the coroutine when they are resumed. To a script nothing differs from plain Lua.
 * MARKS          A coroutine that the engine has suspended is noted in a table, so that nobody else can resume it
 *                meanwhile; and so is, for good, the base of a task that a script has got hold of.
 * DEPTH          Each of these frames catches errors: see UNWINDING in cancel.c; and GENERATORS there.
 * AT THE BASE    A task's own body looks to itself like the main chunk: it cannot
 *                coroutine.yield, and is not yieldable. */
#include "bindings/task/coroutine.h"

#include <lauxlib.h>
#include <lualib.h>

#include "bindings/state/registry.h"
#include "bindings/state/vm.h"
#include "bindings/task/cancel.h"
#include "bindings/task/slice.h"
#include "bindings/task/task.h"

/* Registry: a table with weak keys, coroutine -> true while the engine has suspended it */
static const char suspended_key;

/* --- pcall, xpcall --- */

/* The results stand above `below` values that are not the caller's. */
static int protected_ended(lua_State *L, int status, lua_KContext depth, int below) {
    bool failed = status != LUA_OK && status != LUA_YIELD;
    neap_cancel_leave(neap_task_current(L), (uint16_t)depth, failed);
    if (!failed) return lua_gettop(L) - below;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int protected_done(lua_State *L, int status, lua_KContext depth) { return protected_ended(L, status, depth, 0); }

static int replaced_pcall(lua_State *L) {
    neap_argument_any(L, 1);
    uint16_t depth = neap_cancel_enter(neap_task_current(L));
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, depth, protected_done);
    return protected_done(L, status, depth);
}

/* Below the results: the function and the handler. */
static int xprotected_done(lua_State *L, int status, lua_KContext depth) {
    return protected_ended(L, status, depth, 2);
}

/* The handler of a script, where processor time is limited: see WHERE NO HOOK COMES in
 * limits.c. Upvalue 1: the handler. */
static int limited_handler(lua_State *L) {
    if (neap_vm_of(L)->limits.spent) return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int replaced_xpcall(lua_State *L) {
    int arguments = lua_gettop(L) - 2;
    neap_argument_type(L, 2, LUA_TFUNCTION);
    if (neap_limits_has_cpu(L)) {
        lua_pushvalue(L, 2);
        lua_pushcclosure(L, limited_handler, 1);
        lua_replace(L, 2);
    }
    uint16_t depth = neap_cancel_enter(neap_task_current(L));
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* function, handler, true, function, arguments */
    int status = lua_pcallk(L, arguments, LUA_MULTRET, 2, depth, xprotected_done);
    return xprotected_done(L, status, depth);
}

/* --- marks --- */

static void push_marks(lua_State *L) { neap_registry_push_weak(L, &suspended_key, "k"); }

/* Notes whether the coroutine at `index` is suspended by the engine. */
static void mark(lua_State *L, int index, bool suspended) {
    luaL_checkstack(L, 4, "coroutine");
    push_marks(L);
    lua_pushvalue(L, index);
    if (suspended)
        lua_pushboolean(L, 1);
    else
        lua_pushnil(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static bool is_marked(lua_State *L, int index) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &suspended_key) == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    lua_pushvalue(L, index);
    bool marked = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 2);
    return marked;
}

/* --- resume --- */

static lua_State *check_coroutine(lua_State *L) {
    lua_State *coroutine = lua_tothread(L, 1);
    if (coroutine == NULL) neap_argument_type_error(L, 1, "thread");
    return coroutine;
}

/* What it looks like from L, the code that asks; the coroutine is at `index`. */
static const char *status_of(lua_State *L, lua_State *coroutine, int index) {
    lua_Debug frame;
    if (L == coroutine) return "running";
    switch (lua_status(coroutine)) {
        case LUA_YIELD: return is_marked(L, index) ? "normal" : "suspended";
        case LUA_OK:
            if (lua_getstack(coroutine, 0, &frame)) return "normal";
            return lua_gettop(coroutine) == 0 ? "dead" : "suspended";
        default: return "dead";
    }
}

enum { FAILED = -1, SUSPENDED = -2 };

/* To be called before current->lua_blocked is raised: whatever waits before it is lowered is told of the frame of L at
 * `level`, or of one further out. */
static void note_obstacle(struct neap_vm *vm, lua_State *L, int level) {
    if (vm->current->lua_blocked > 0) return;
    vm->blocked = L;
    vm->blocked_level = level;
}

/* Lets the coroutine run until it yields (the number of values, moved to L), fails (the error,
 * moved), or the engine suspends it. */
static int advance(lua_State *L, lua_State *coroutine, int arguments) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_task *task = vm->current;
    bool blocked = task != vm->root && !lua_isyieldable(L);
    int results = 0;
    if (blocked) note_obstacle(vm, L, 1);
    task->lua_blocked = (uint8_t)(task->lua_blocked + blocked);
    *(struct neap_vm **)lua_getextraspace(coroutine) = vm; /* it may be older than the vm, in a plain lua5.4 */
    vm->running = coroutine;
    int status = lua_resume(coroutine, L, arguments, &results);
    vm->running = L;
    neap_slice_leave(vm, &vm->slice, coroutine);
    task->lua_blocked = (uint8_t)(task->lua_blocked - blocked);
    if (status == LUA_YIELD && task != vm->root &&
        (task->flags & NEAP_TASK_TURN ||
         atomic_load_explicit(&task->wait.state, memory_order_relaxed) != NEAP_WAIT_IDLE))
        return SUSPENDED;
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(coroutine, L, 1);
        return FAILED;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(coroutine, results);
        lua_pushliteral(L, "too many results to resume");
        return FAILED;
    }
    lua_xmove(coroutine, L, results);
    return results;
}

/* Stack of a resuming frame: 1 the coroutine, 2 the regions before; then results. Context: how it stood outside. */
static int give_resumed(lua_State *L, int results, lua_KContext outside);
static int give_wrapped(lua_State *L, int results, lua_KContext outside);

static int go_on(lua_State *L, int results, lua_KContext outside, lua_KFunction again,
                 int (*give)(lua_State *, int, lua_KContext)) {
    struct neap_task *task = neap_task_current(L);
    if (results == SUSPENDED) {
        mark(L, 1, true);
        return lua_yieldk(L, 0, outside, again);
    }
    struct neap_region *regions = lua_touserdata(L, 2);
    if (task->regions != regions) neap_region_cut(task, regions);
    return give(L, results, outside);
}

static int resume_again(lua_State *L, int status, lua_KContext outside) {
    (void)status;
    mark(L, 1, false);
    return go_on(L, advance(L, lua_tothread(L, 1), 0), outside, resume_again, give_resumed);
}

static int give_resumed(lua_State *L, int results, lua_KContext outside) {
    neap_cancel_leave_coroutine(neap_task_current(L), outside, results == FAILED, true);
    lua_pushboolean(L, results != FAILED);
    int count = results == FAILED ? 1 : results;
    lua_insert(L, -(count + 1));
    return count + 1;
}

/* Checks that the coroutine at 1 can be resumed with the values above it; moves them
 * there. False: a message is on top. */
static bool prepare(lua_State *L, lua_State *coroutine) {
    int arguments = lua_gettop(L) - 1;
    const char *status = status_of(L, coroutine, 1);
    if (status[0] != 's') {
        if (status[0] == 'd')
            lua_pushliteral(L, "cannot resume dead coroutine");
        else
            lua_pushliteral(L, "cannot resume non-suspended coroutine");
        return false;
    }
    if (!lua_checkstack(coroutine, arguments)) {
        lua_pushliteral(L, "too many arguments to resume");
        return false;
    }
    lua_xmove(L, coroutine, arguments);
    return true;
}

static int replaced_resume(lua_State *L) {
    lua_State *coroutine = check_coroutine(L);
    int arguments = lua_gettop(L) - 1;
    if (!prepare(L, coroutine)) {
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    struct neap_task *task = neap_task_current(L);
    lua_pushlightuserdata(L, task->regions);
    lua_KContext outside = neap_cancel_enter_coroutine(task);
    return go_on(L, advance(L, coroutine, arguments), outside, resume_again, give_resumed);
}

/* --- wrap --- */

static int wrap_again(lua_State *L, int status, lua_KContext outside) {
    (void)status;
    mark(L, 1, false);
    return go_on(L, advance(L, lua_tothread(L, 1), 0), outside, wrap_again, give_wrapped);
}

/* Closes a failed coroutine, as plain Lua does, with its variables; nothing can wait there. */
static int close_coroutine(lua_State *L, lua_State *coroutine) {
    struct neap_vm *vm = neap_vm_of(L);
    lua_State *running = vm->running;
    int before = lua_status(coroutine);
    bool unhooked = before != LUA_OK && before != LUA_YIELD && vm->slice.signal != 0; /* a hook may have raised */
    if (vm->limits.cpu_ns > 0 && (vm->limits.spent || unhooked)) return before;       /* see limits.c */
    vm->running = coroutine;
    note_obstacle(vm, L, 0);
    vm->current->lua_blocked++;
#if LUA_VERSION_RELEASE_NUM >= 50406
    int status = lua_closethread(coroutine, L);
#else
    int status = lua_resetthread(coroutine);
#endif
    vm->current->lua_blocked--;
    vm->running = running;
    neap_slice_leave(vm, &vm->slice, coroutine);
    return status;
}

static int raise_wrapped(lua_State *L, lua_State *coroutine) {
    int status = lua_status(coroutine);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(L, coroutine, 1); /* plain Lua hands the error to the variables that it closes */
        status = close_coroutine(L, coroutine);
        lua_xmove(coroutine, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int give_wrapped(lua_State *L, int results, lua_KContext outside) {
    neap_cancel_leave_coroutine(neap_task_current(L), outside, results == FAILED, false);
    return results == FAILED ? raise_wrapped(L, lua_tothread(L, 1)) : results;
}

static int call_wrapped(lua_State *L) {
    int arguments = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_State *coroutine = lua_tothread(L, 1);
    if (!prepare(L, coroutine)) return raise_wrapped(L, coroutine);
    struct neap_task *task = neap_task_current(L);
    lua_pushlightuserdata(L, task->regions);
    lua_KContext outside = neap_cancel_enter_coroutine(task);
    return go_on(L, advance(L, coroutine, arguments), outside, wrap_again, give_wrapped);
}

static int replaced_wrap(lua_State *L) {
    neap_argument_type(L, 1, LUA_TFUNCTION);
    lua_State *coroutine = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, coroutine, 1);
    lua_pushcclosure(L, call_wrapped, 1);
    return 1;
}

/* --- the rest --- */

/* Is L the base of a task, or outside of any coroutine? */
static bool is_base(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    return L == vm->main || L == vm->current->coroutine;
}

/* Stack: 1 the innermost region of the coroutine, then what it was resumed with. */
static int yield_ended(lua_State *L, int status, lua_KContext inside) {
    (void)status;
    neap_cancel_resume(neap_task_current(L), lua_touserdata(L, 1), inside);
    return lua_gettop(L) - 1;
}

static int replaced_yield(lua_State *L) {
    if (is_base(L)) return luaL_error(L, "attempt to yield from outside a coroutine");
    int count = lua_gettop(L);
    lua_KContext inside;
    struct neap_region *innermost;
    if (!neap_cancel_suspend(neap_task_current(L), &inside, &innermost)) return lua_yield(L, count);
    luaL_checkstack(L, 1, "coroutine");
    lua_pushlightuserdata(L, innermost);
    lua_insert(L, 1);
    return lua_yieldk(L, count, inside, yield_ended);
}

static int replaced_status(lua_State *L) {
    lua_pushstring(L, status_of(L, check_coroutine(L), 1));
    return 1;
}

static int replaced_running(lua_State *L) {
    lua_pushthread(L);
    bool base = is_base(L);
    if (base && L != neap_vm_of(L)->main)
        mark(L, lua_gettop(L), true); /* a script now knows it, and must not resume it */
    lua_pushboolean(L, base);
    return 2;
}

static int replaced_isyieldable(lua_State *L) {
    lua_State *coroutine = lua_isnone(L, 1) ? L : check_coroutine(L);
    lua_pushboolean(L, !is_base(coroutine) && lua_isyieldable(coroutine));
    return 1;
}

static bool vm_is_spent(lua_State *L) { return neap_vm_of(L)->limits.spent; }

static int replaced_close(lua_State *L) {
    lua_State *coroutine = check_coroutine(L);
    const char *status = status_of(L, coroutine, 1);
    if (status[0] != 's' && status[0] != 'd') return luaL_error(L, "cannot close a %s coroutine", status);
    if (vm_is_spent(L)) return neap_limits_raise(L);
    if (close_coroutine(L, coroutine) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(coroutine, L, 1);
    return 2;
}

void neap_coroutine_replace(lua_State *L) {
    static const luaL_Reg functions[] = {{"resume", replaced_resume},   {"wrap", replaced_wrap},
                                         {"yield", replaced_yield},     {"status", replaced_status},
                                         {"running", replaced_running}, {"isyieldable", replaced_isyieldable},
                                         {"close", replaced_close},     {NULL, NULL}};
    lua_pushglobaltable(L);
    lua_pushcfunction(L, replaced_pcall);
    lua_setfield(L, -2, "pcall");
    lua_pushcfunction(L, replaced_xpcall);
    lua_setfield(L, -2, "xpcall");
    if (lua_getfield(L, -1, LUA_COLIBNAME) == LUA_TTABLE) luaL_setfuncs(L, functions, 0);
    lua_pop(L, 2);
}

int neap_coroutine_open(lua_State *L) {
    push_marks(L); /* there from the start: a finaliser must not come between the beginning of a wait and its yield */
    lua_pop(L, 1);
    neap_coroutine_replace(L);
    return 0;
}
