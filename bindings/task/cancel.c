/* cancel: from a request to stop to an error at a wait.
 *
 * MODEL       A task has a stack of regions (bodies of timeout, shield, scope), and is itself the outermost. Each can
 *             be asked to stop, and stays so. A wait raises when any region around it has been asked, as far as no
 *             shield stands between; so does each later wait: a stray pcall does not help.
 * UNWINDING   While the error unwinds, `<close>` variables may wait. How do we tell their waits from those of code that
 *             has swallowed the error? By depth: pcall, xpcall, coroutine.resume and the other frames that catch errors
 *             count how deep they are (neap_cancel_enter). Raising at depth d notes d; while it is noted, waits are let
 *             through. The frame of depth d, or one further out, clears it when it has caught something: by then the
 *             variables between have been closed. Frames inside a `<close>` handler are deeper and clear nothing. A
 *             region that such a handler enters works as anywhere, and is a shield: what unwinds outside has been told.
 * DEADLINES   A region's deadline needs no timer: each wait within ends at the nearest of its own and the regions';
 *             code that does not wait is interrupted when a beat of the pulse finds that it has passed (slice.c).
 * GENERATORS  A region belongs to the code between its entry and its exit. When a coroutine of the user's own is
 *             left in the middle of a region by coroutine.yield, coroutine.resume puts the resumer's regions back;
 *             when it goes on, its own are put inside those of who resumes it then. Depth is counted in each
 *             coroutine by itself, since its frames may be resumed from elsewhere: INSIDE is where a coroutine
 *             begins, and OUTSIDE is noted within when somebody outside is unwinding: no frame of the coroutine is
 *             so far out that it would clear that. */
#include "bindings/task/cancel.h"

#include <lauxlib.h>
#include <stdatomic.h>

#include "bindings/codec/codec.h"
#include "bindings/report/failure.h"
#include "bindings/task/await.h"
#include "bindings/task/slice.h"
#include "core/clock.h"
#include "core/error.h"

enum { OUTSIDE = 1, INSIDE = 2, UNWINDING_SHIFT = 16, DEPTH_MASK = 0xffff };

static const char error_key; /* registry: the metatable of cancellation errors */

/* --- the error --- */

static int error_tostring(lua_State *L) {
    neap_argument_type(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "reason");
    if (lua_isnil(L, -1))
        lua_pushliteral(L, "cancelled");
    else
        lua_pushfstring(L, "cancelled: %s", luaL_tolstring(L, -1, NULL));
    return 1;
}

void neap_cancel_push_metatable(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key) != LUA_TNIL) return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, NEAP_CANCELLED_CLASS);
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    if (neap_limits_has_cpu(L)) { /* likewise, see box.c */
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
    }
    lua_pushcfunction(L, neap_codec_register);
    lua_pushliteral(L, NEAP_CANCELLED_CLASS);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 0);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
}

void neap_cancel_push_error(lua_State *L, int index) {
    if (index != 0) index = lua_absindex(L, index);
    luaL_checkstack(L, 4, "error");
    lua_createtable(L, 0, 1);
    if (index != 0 && !lua_isnil(L, index)) {
        lua_pushvalue(L, index);
        lua_setfield(L, -2, "reason");
    }
    neap_cancel_push_metatable(L);
    lua_setmetatable(L, -2);
}

bool neap_cancel_is_error(lua_State *L, int index) {
    if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
    bool same = lua_rawequal(L, -1, -2) && !lua_isnil(L, -1);
    lua_pop(L, 2);
    return same;
}

int neap_cancel_is_cancelled(lua_State *L) {
    neap_argument_any(L, 1);
    lua_pushboolean(L, neap_cancel_is_error(L, 1));
    return 1;
}

/* --- what is due --- */

/* The outermost region that was asked to stop and whose request reaches the running code; the task itself counts as
 * outermost: then `*whole` is set and the result is NULL. */
static const struct neap_region *find_due(const struct neap_task *task, bool *whole) {
    const struct neap_region *due = NULL;
    *whole = false;
    for (const struct neap_region *region = task->regions; region != NULL; region = region->outer) {
        if (region->cancelled) due = region;
        if (region->shield) return due;
    }
    if (!(task->flags & NEAP_TASK_CANCELLED)) return due;
    *whole = true;
    return NULL;
}

const void *neap_cancel_due(const struct neap_task *task) {
    bool whole;
    if (task->unwinding != 0) return NULL;
    const struct neap_region *due = find_due(task, &whole);
    return whole ? (const void *)task : due;
}

bool neap_cancel_is_due(const struct neap_task *task) { return neap_cancel_due(task) != NULL; }

static bool is_over(const struct neap_region *region, int64_t now) {
    return region->own_deadline <= now && !region->cancelled;
}

bool neap_cancel_is_late(const struct neap_task *task) {
    if (task->regions == NULL) return false;
    int64_t now = neap_clock_now();
    for (const struct neap_region *region = task->regions; region != NULL; region = region->outer)
        if (is_over(region, now)) return true;
    return false;
}

void neap_cancel_expire(struct neap_task *task) {
    int64_t now = neap_clock_now();
    for (struct neap_region *region = task->regions; region != NULL; region = region->outer) {
        if (!is_over(region, now)) continue;
        region->cancelled = region->timed_out = true;
        task->flags |= NEAP_TASK_PENDING;
        neap_slice_start(neap_task_vm(task), &neap_task_vm(task)->slice); /* it may go on without a wait */
    }
}

void neap_cancel_push_reason(lua_State *L, struct neap_task *task) {
    neap_task_push(L, task);
    int box = lua_gettop(L);
    lua_pushnil(L);
    if (neap_task_is_known(task) && task->job->cancel_arrived && task->job->reason.kind != NEAP_MESSAGE_EMPTY)
        neap_decode(L, &task->job->reason);
    else if (neap_task_push_extras(L, box, false))
        lua_getfield(L, -1, "reason");
    lua_replace(L, box);
    lua_settop(L, box);
}

void neap_cancel_check(lua_State *L, struct neap_task *task) {
    bool whole;
    if (task == neap_task_vm(task)->root && neap_task_vm(task)->interrupted != NULL) neap_task_vm(task)->interrupted(L);
    if (task->unwinding != 0) return;
    if (task->regions != NULL && task->regions->deadline != NEAP_FOREVER) neap_cancel_expire(task);
    const struct neap_region *due = find_due(task, &whole);
    if (due == NULL && !whole) return;
    if (lua_gc(L, LUA_GCCOUNT, 0) < 0) return; /* in a finaliser: whoever collects would swallow it */
    task->unwinding = task->depth;
    luaL_checkstack(L, 8, "cancellation");
    if (whole)
        neap_cancel_push_reason(L, task);
    else if (due->timed_out)
        lua_pushliteral(L, "timeout");
    else if (due->reason != 0)
        lua_rawgeti(L, LUA_REGISTRYINDEX, due->reason);
    else
        lua_pushnil(L);
    neap_cancel_push_error(L, lua_gettop(L));
    lua_error(L);
}

/* --- regions --- */

/* Puts the region inside `outer`. */
static void nest(struct neap_region *region, struct neap_region *outer) {
    region->outer = outer;
    region->deadline = region->own_deadline;
    if (outer != NULL && !region->shield && outer->deadline < region->deadline) region->deadline = outer->deadline;
}

void neap_region_enter(struct neap_task *task, struct neap_region *region) {
    region->coroutine = neap_task_vm(task)->running;
    region->own_deadline = region->deadline;
    region->unwinding = task->unwinding;
    if (task->unwinding != 0) region->shield = true; /* see UNWINDING */
    task->unwinding = 0;
    nest(region, task->regions);
    atomic_signal_fence(memory_order_release); /* a beat of the pulse looks at it: see DEADLINES */
    task->regions = region;
    if (region->own_deadline != NEAP_FOREVER) neap_slice_start(neap_task_vm(task), &neap_task_vm(task)->slice);
}

void neap_region_leave(struct neap_task *task, struct neap_region *region) {
    neap_slice_forget(&neap_task_vm(task)->slice, region);
    if (task->regions != region) return; /* see GENERATORS */
    task->regions = region->outer;
    task->unwinding = region->unwinding;
}

/* --- coroutines of the user's own: see GENERATORS --- */

static lua_KContext stand(const struct neap_task *task) {
    return (lua_KContext)task->depth | (lua_KContext)task->unwinding << UNWINDING_SHIFT;
}

lua_KContext neap_cancel_enter_coroutine(struct neap_task *task) {
    lua_KContext outside = stand(task);
    task->depth = INSIDE;
    if (task->unwinding != 0) task->unwinding = OUTSIDE;
    return outside;
}

void neap_cancel_leave_coroutine(struct neap_task *task, lua_KContext outside, bool failed, bool caught) {
    bool raised = failed && !caught && task->unwinding > OUTSIDE;
    task->depth = (uint16_t)(outside & DEPTH_MASK);
    task->unwinding = (uint16_t)(outside >> UNWINDING_SHIFT);
    if (raised && task->unwinding == 0) task->unwinding = task->depth;
}

bool neap_cancel_suspend(const struct neap_task *task, lua_KContext *inside, struct neap_region **innermost) {
    struct neap_region *region = task->regions;
    *inside = stand(task);
    *innermost = region != NULL && region->coroutine == neap_task_vm(task)->running ? region : NULL;
    return task->depth != INSIDE || task->unwinding > OUTSIDE;
}

/* From the outermost to `region`: a chain that was cut off gets into `outer`. */
static void nest_all(struct neap_region *region, struct neap_region *outer) {
    if (region->outer != NULL) {
        nest_all(region->outer, outer);
        outer = region->outer;
    }
    nest(region, outer);
}

void neap_cancel_resume(struct neap_task *task, struct neap_region *innermost, lua_KContext inside) {
    uint16_t unwinding = (uint16_t)(inside >> UNWINDING_SHIFT);
    task->depth = (uint16_t)(inside & DEPTH_MASK);
    if (unwinding > OUTSIDE) task->unwinding = unwinding;
    if (innermost == NULL) return;
    nest_all(innermost, task->regions);
    atomic_signal_fence(memory_order_release);
    task->regions = innermost;
}

void neap_region_cut(struct neap_task *task, struct neap_region *resumer) {
    struct neap_region *region = task->regions;
    task->regions = resumer;
    while (region != NULL && region != resumer) {
        struct neap_region *outer = region->outer;
        if (outer == resumer) region->outer = NULL;
        region = outer;
    }
}

/* --- neap.timeout, neap.shield --- */

static int leave_region(lua_State *L, int status, lua_KContext depth) {
    struct neap_task *task = neap_task_current(L);
    struct neap_region *region = lua_touserdata(L, 1);
    bool failed = status != LUA_OK && status != LUA_YIELD;
    neap_region_leave(task, region);
    if (region->shield) {
        neap_slice_grant(&neap_task_vm(task)->slice);
        neap_slice_look_again(L, task);
    }
    neap_cancel_leave(task, (uint16_t)depth, failed);
    if (!failed) return lua_gettop(L) - 2;
    if (!neap_cancel_is_error(L, -1)) return lua_error(L);
    if (region->timed_out && !neap_cancel_is_due(task)) return neap_push_code(L, NEAP_TIMEOUT);
    neap_cancel_check(L, task); /* outwards: the variables there may wait as well */
    return lua_error(L);
}

/* Stack: function, arguments. Calls it inside a region. A coroutine that somebody else resumed may be left, and
 * dropped, without our knowing: its region would stay in the chain. */
static int call_in_region(lua_State *L, int64_t deadline, bool shield) {
    struct neap_task *task = neap_task_current(L);
    if (L != neap_vm_running(neap_task_vm(task)))
        return luaL_error(L,
                          "neap.%s does not work here: this coroutine was resumed by a function that is older than "
                          "neap, or in C",
                          shield ? "shield" : "timeout");
    struct neap_region *region = lua_newuserdatauv(L, sizeof *region, 0);
    *region = (struct neap_region){.deadline = deadline, .shield = shield};
    neap_region_enter(task, region);
    lua_insert(L, 1);
    lua_pushcfunction(L, neap_failure_note_stack);
    lua_insert(L, 2); /* region, handler, function, arguments */
    uint16_t depth = neap_cancel_enter(task);
    int status = lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 2, depth, leave_region);
    return leave_region(L, status, depth);
}

int neap_cancel_timeout(lua_State *L) {
    int64_t deadline = neap_check_timeout(L, 1);
    neap_argument_type(L, 2, LUA_TFUNCTION);
    neap_await_begin(L);
    lua_remove(L, 1);
    return call_in_region(L, deadline == 0 ? neap_clock_now() : deadline, false);
}

int neap_cancel_shield(lua_State *L) {
    neap_argument_type(L, 1, LUA_TFUNCTION);
    return call_in_region(L, NEAP_FOREVER, true);
}
