/* await: from C functions to waits and back.
 *
 * IN A TASK        neap_await opens the wait and yields the coroutine; the yield passes outwards through the user's own
 *                  coroutines (coroutine.c) to the loop. When the wait has been claimed the loop resumes the task, and
 *                  the continuation below ends the wait and calls the finisher.
 * OUTSIDE TASKS    In the main chunk of a plain lua5.4, or a host's frame, there is nobody to yield to: the loop is
 *                  turned right here until the wait has been claimed.
 * BUDGET           A task whose waits are always served at once would never give way. So after a number of these it
 *                  takes its turn behind the others, when there are any. */
#include "bindings/task/await.h"

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/pool/worker.h"
#include "bindings/task/cancel.h"
#include "bindings/task/ring.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/remote.h"
#include "host/engine.h"

enum { BUDGET = 512 };

static int64_t read_time(lua_State *L, int index, const char *refusal) {
    if (lua_type(L, index) != LUA_TNUMBER) return neap_argument_type_error(L, index, "number of seconds");
    double seconds = lua_tonumber(L, index);
    if (isnan(seconds) || seconds < 0) neap_argument_error(L, index, refusal);
    return seconds > 0 ? neap_clock_after(seconds) : 0;
}

int64_t neap_read_timeout(lua_State *L, int index) {
    return read_time(L, index, "timeout must not be negative or NaN");
}

int64_t neap_read_seconds(lua_State *L, int index) {
    return read_time(L, index, "seconds must not be negative or NaN");
}

/* --- where Lua cannot yield --- */

/* Replaces the function at `function` by its name, if the table on top, a module called
 * `module`, has it. Pops the table. */
static bool name_function(lua_State *L, int function, const char *module) {
    int table = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_rawequal(L, -1, function)) continue;
        lua_pushfstring(L, module[0] != '\0' ? "%s.%s" : "%s%s", module, lua_tostring(L, -2));
        lua_replace(L, function);
        lua_settop(L, table - 1);
        return true;
    }
    lua_settop(L, table - 1);
    return false;
}

/* Replaces the function of `frame`, on top of the stack, by "table.sort", or what the frame itself says of its name. */
static void replace_by_name(lua_State *L, lua_Debug *frame) {
    static const char *const standard[] = {LUA_TABLIBNAME, LUA_STRLIBNAME,  LUA_COLIBNAME,
                                           LUA_DBLIBNAME,  LUA_UTF8LIBNAME, NULL};
    int function = lua_gettop(L);
    lua_pushglobaltable(L);
    if (name_function(L, function, "")) return;
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (int i = 0; standard[i] != NULL; i++) { /* before others that have taken the function over */
        if (lua_getfield(L, -1, standard[i]) != LUA_TTABLE)
            lua_pop(L, 1);
        else if (name_function(L, function, standard[i])) {
            lua_settop(L, function);
            return;
        }
    }
    for (lua_pushnil(L); lua_next(L, -2) != 0;) {
        if (!lua_istable(L, -1) || lua_type(L, -2) != LUA_TSTRING)
            lua_pop(L, 1);
        else if (name_function(L, function, lua_tostring(L, -2))) {
            lua_settop(L, function);
            return;
        }
    }
    lua_settop(L, function - 1);
    lua_pushstring(L, frame->name != NULL ? frame->name : "a C function");
}

/* Functions that can be yielded across, by their names. */
static bool is_passable(const char *name) {
    static const char *const passable[] = {"pcall", "xpcall", "dofile"};
    for (size_t i = 0; i < sizeof passable / sizeof passable[0]; i++)
        if (strcmp(name, passable[i]) == 0) return true;
    return strncmp(name, "neap.", 5) == 0;
}

/* So can all methods of handles that call a function of the script: lock:with, value:update. */
static bool is_method(lua_CFunction function) {
    for (int kind = 0; kind < NEAP_HANDLE_COUNT; kind++)
        if (neap_bindings[kind] != NULL && neap_box_method_name(neap_bindings[kind], function) != NULL) return true;
    return false;
}

/* Raises an error that names the innermost function of `coroutine`, from `level` outwards, that cannot be yielded
 * across; returns if there is none. What can fail is done in L, the running one: an error in another would skip those
 * between. */
static void raise_impassable(lua_State *L, lua_State *coroutine, int level) {
    lua_Debug frame;
    if (!lua_checkstack(coroutine, 1)) return;
    for (; lua_getstack(coroutine, level, &frame); level++) {
        lua_getinfo(coroutine, "nS", &frame);
        if (frame.what[0] != 'C') continue;
        lua_getinfo(coroutine, "f", &frame);
        if (coroutine != L) lua_xmove(coroutine, L, 1);
        bool passable = is_method(lua_tocfunction(L, -1));
        replace_by_name(L, &frame);
        const char *name = lua_tostring(L, -1);
        if (!passable && !is_passable(name)) luaL_error(L, "cannot wait inside %s: Lua cannot yield across it", name);
        lua_pop(L, 1);
    }
}

/* Raises an error that names what stands between the waiting function and the loop. */
static int raise_obstacle(lua_State *L) {
    luaL_checkstack(L, 10, "error");
    if (lua_gc(L, LUA_GCCOUNT, 0) < 0) return luaL_error(L, "cannot wait inside __gc: a finaliser must not wait");
    if (neap_vm_of(L)->calls_back)
        return luaL_error(L, "cannot wait in a callback of luv: it runs outside of tasks; spawn one that waits");
    if (neap_task_current(L) == neap_vm_of(L)->root)
        return luaL_error(L, "cannot wait here: the host turns the loop, and this code is outside of tasks");
    raise_impassable(L, L, 1);
    const struct neap_vm *vm = neap_vm_of(L);
    if (vm->current->lua_blocked > 0) raise_impassable(L, vm->blocked, vm->blocked_level);
    return luaL_error(
        L, "cannot wait here: a coroutine between this code and its task was resumed where Lua cannot yield");
}

static bool can_yield(lua_State *L, const struct neap_task *task) {
    return L == neap_task_vm(task)->running && task->lua_blocked == 0 && lua_isyieldable(L);
}

/* Outside tasks only a finaliser is in the way, and a host that turns the loop itself. */
static bool can_wait(lua_State *L, const struct neap_task *task) {
    if (task != neap_task_vm(task)->root) return can_yield(L, task);
    return lua_gc(L, LUA_GCCOUNT, 0) >= 0 && neap_vm_may_turn(neap_task_vm(task));
}

/* --- waiting --- */

static void drop(struct neap_link *links, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) neap_message_fini(&links[i].message);
}

/* For other threads. */
static inline void tell_waiting(const struct neap_task *task, bool waits) {
    if (neap_task_is_known(task)) atomic_store_explicit(task->job->waiting, waits, memory_order_relaxed);
}

/* Ends the wait: the index of a link, NEAP_TIMEOUT, or NEAP_CANCELLED, also when it was
 * a deadline of the code around. */
static int end(struct neap_task *task) {
    if (task->flags & NEAP_TASK_LENDS) neap_worker_take_back(task);
    if (!neap_ring_is_out_of(task)) neap_ring_leave(task);
    int code = neap_wait_end(&task->wait);
    tell_waiting(task, false);
    if (code != NEAP_TIMEOUT || task->regions == NULL || !(task->flags & NEAP_TASK_BOUNDED)) return code;
    neap_cancel_expire(task);
    return NEAP_CANCELLED;
}

/* Somebody else, or something, may have to do with how the wait ends. Not inlined: see conclude. */
static __attribute__((noinline)) int conclude_slowly(lua_State *L, struct neap_task *task, neap_finish finish) {
    struct neap_link *links = task->wait.links;
    uint32_t count = task->wait.link_count;
    int code = end(task);
    if (code >= 0 && links[code].result == NEAP_TIMEOUT) code = NEAP_TIMEOUT; /* see deadline_of_try */
    if (code >= 0) return finish(L, task, code);
    drop(links, count);
    if (code == NEAP_CANCELLED) {
        neap_cancel_check(L, task);
        NEAP_ASSERT(false, "a task is interrupted only when there is something to raise");
    }
    return finish(L, task, NEAP_TIMEOUT);
}

/* The wait is over: gets its results to the caller. */
static inline int conclude(lua_State *L, struct neap_task *task, neap_finish finish) {
    if (task->flags & NEAP_TASK_LENDS || !neap_ring_is_out_of(task) || !neap_wait_end_served(&task->wait))
        return conclude_slowly(L, task, finish);
    tell_waiting(task, false);
    return finish(L, task, 0);
}

static int resumed(lua_State *L, int status, lua_KContext context) {
    (void)status;
    return conclude(L, neap_task_current(L), (neap_finish)context);
}

static int resumed_to_finish(lua_State *L, int status, lua_KContext context) {
    struct neap_task *task = neap_task_current(L);
    (void)status;
    return ((neap_finish)context)(L, task, end(task));
}

/* The root's wait has come out of the run queue. It is interrupted when os.exit was called elsewhere. */
static bool has_turn(void *argument) {
    struct neap_task *task = argument;
    const struct neap_engine *engine = neap_task_vm(task)->engine;
    if (neap_task_vm(task)->interrupted != NULL &&
        atomic_load_explicit(&engine->exit_status, memory_order_acquire) >= 0)
        neap_wait_interrupt(&task->wait, NEAP_WAIT_INTERRUPTED);
    return (task->flags & NEAP_TASK_TURN) != 0;
}

/* Outside of tasks. */
static void turn(struct neap_task *root) {
    root->flags &= (uint16_t)~NEAP_TASK_TURN;
    neap_loop_run(root->wait.loop, has_turn, root);
}

static int results_kept(lua_State *L, int status, lua_KContext count) {
    (void)L;
    (void)status;
    return (int)count;
}

/* See BUDGET. `count` results are on the stack. */
static int give_way(lua_State *L, struct neap_task *task, int count) {
    struct neap_vm *vm = neap_task_vm(task);
    vm->budget = BUDGET;
    if (!neap_loop_has_ready(&vm->loop) && vm->loop.timers.count == 0) return count;
    if (task == vm->root) {
        if (neap_vm_may_turn(vm)) neap_loop_give_way(&vm->loop);
        return count;
    }
    if (!can_yield(L, task)) return count;
    task->flags |= NEAP_TASK_TURN;
    return lua_yieldk(L, 0, count, results_kept);
}

int neap_await_served(lua_State *L, int count) {
    struct neap_vm *vm = neap_vm_of(L);
    return --vm->budget == 0 ? give_way(L, vm->current, count) : count;
}

static int await_blocked(lua_State *L, struct neap_task *task, struct neap_link *links, uint32_t count,
                         int64_t deadline, neap_finish finish) {
    int code = count == 0 ? NEAP_TIMEOUT : neap_wait_begin(&task->wait, links, count, 0);
    if (code >= 0) return finish(L, task, code);
    if (code == NEAP_TIMEOUT && deadline == 0) return finish(L, task, code);
    drop(links, count);
    return raise_obstacle(L);
}

int64_t neap_await_limit(struct neap_task *task, int64_t deadline) {
    if (task->regions == NULL) return deadline;
    int64_t limit = task->unwinding != 0 ? NEAP_FOREVER : neap_cancel_deadline(task);
    task->flags &= (uint16_t)~NEAP_TASK_BOUNDED;
    if (limit == NEAP_FOREVER || limit > deadline) return deadline;
    task->flags |= NEAP_TASK_BOUNDED;
    return limit;
}

/* Lets another task run right here: see PASSING in core/loop.c. Not below frames of the user's own coroutines. */
static inline bool pass(lua_State *L, struct neap_task *task) {
    struct neap_vm *vm = neap_task_vm(task);
    if (L != task->coroutine || neap_loop_is_passing(&vm->loop)) return false;
    vm->current = vm->root;
    vm->running = NULL;
    bool served = neap_loop_pass(&vm->loop, &task->wait.runnable);
    vm->current = task;
    vm->running = L;
    vm->slice.turn++;
    return served;
}

/* The wait is parked. Returns when it has been claimed; in a task it may not return, but go on in `again`. */
static inline void suspend(lua_State *L, struct neap_task *task, neap_finish finish, lua_KFunction again) {
    tell_waiting(task, true);
    if (!neap_ring_is_out_of(task)) neap_ring_enter(L, task);
    if (*neap_task_pool(task) != 0) neap_worker_lend(L, task);
    if (task == neap_task_vm(task)->root)
        turn(task);
    else if (!pass(L, task))
        lua_yieldk(L, 0, (lua_KContext)finish, again);
}

/* To look at an object of another process takes a round trip: that has to be waited for. */
static int64_t deadline_of_try(struct neap_link *links, uint32_t count) {
    bool remote = false;
    for (uint32_t i = 0; i < count; i++) {
        if (links[i].object->class->board == NULL) continue;
        links[i].op |= NEAP_OP_TRY;
        remote = true;
    }
    return remote ? NEAP_FOREVER : 0;
}

/* What is left of a wait that neither was served nor parked. */
static int give_up(lua_State *L, struct neap_task *task, struct neap_link *links, uint32_t count, int code,
                   neap_finish finish) {
    drop(links, count);
    if (code == NEAP_TIMEOUT) return finish(L, task, code);
    return luaL_error(L, "not enough memory");
}

int neap_await_refused(lua_State *L, struct neap_link *link, int64_t deadline, neap_finish finish) {
    struct neap_task *task = neap_task_current(L);
    if (!can_wait(L, task)) return await_blocked(L, task, link, 1, deadline, finish);
    int code = neap_wait_park(&task->wait, link, neap_await_limit(task, deadline));
    if (code != NEAP_PARKED) return give_up(L, task, link, 1, code, finish);
    suspend(L, task, finish, resumed);
    return conclude(L, task, finish);
}

/* What one local object can do at once needs neither a place to wait in nor a deadline. */
static int await_local(lua_State *L, struct neap_link *link, int64_t deadline, neap_finish finish) {
    struct neap_task *task = neap_task_current(L);
    if (neap_wait_attempt(&task->wait, link)) return neap_await_served(L, finish(L, task, 0));
    return neap_await_refused(L, link, deadline, finish);
}

int neap_await(lua_State *L, struct neap_link *links, uint32_t count, int64_t deadline, neap_finish finish) {
    if (count == 1 && !links->object->shared) return await_local(L, links, deadline, finish);
    struct neap_task *task = neap_task_current(L);
    if (deadline == 0) deadline = deadline_of_try(links, count);
    if (!can_wait(L, task)) return await_blocked(L, task, links, count, deadline, finish);
    int code = neap_wait_begin(&task->wait, links, count, neap_await_limit(task, deadline));
    if (code == NEAP_PARKED) {
        suspend(L, task, finish, resumed);
        return conclude(L, task, finish);
    }
    if (code >= 0) return neap_await_served(L, finish(L, task, code));
    return give_up(L, task, links, count, code, finish);
}

void neap_await_check(lua_State *L) {
    struct neap_task *task = neap_task_current(L);
    if (!can_wait(L, task)) raise_obstacle(L);
}

int neap_await_parked(lua_State *L, neap_finish finish) {
    struct neap_task *task = neap_task_current(L);
    suspend(L, task, finish, resumed_to_finish);
    return finish(L, task, end(task));
}

int neap_await_object(lua_State *L, struct neap_object *object, uint8_t op, int timeout_index, neap_finish finish) {
    int64_t deadline = neap_check_timeout(L, timeout_index);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = object;
    task->link.op = op;
    return neap_await(L, &task->link, 1, deadline, finish);
}

/* --- results --- */

int neap_push_code(lua_State *L, int code) {
    if (code == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    lua_pushnil(L);
    lua_pushstring(L, neap_code_text(code));
    lua_pushstring(L, neap_code_name(code));
    return 3;
}

int neap_finish_true(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code != 0) {
        neap_message_fini(&task->link.message);
        return neap_push_code(L, code);
    }
    lua_pushboolean(L, 1);
    return 1;
}

int neap_finish_value(lua_State *L, struct neap_task *task, int code) {
    if (code >= 0) code = task->link.result;
    if (code != 0) return neap_push_code(L, code);
    neap_decode_take(L, &task->link.message);
    return 1;
}
