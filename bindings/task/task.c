/* task: what the loop runs.
 *
 * MODEL      A task is a function, its arguments and, once it runs, a coroutine. Its record lies inside its own handle,
 *            so that spawning is one allocation and a task that nobody sent elsewhere costs no finaliser. Whoever lives
 *            in another thread sees its job instead: see task_job.c.
 * SEATS      Where its coroutine comes from, and what keeps it and the handle from being collected: see seat.c.
 * BODY       What runs in its coroutine, and how it ends: see task_body.c.
 * INVARIANTS 1. vm->current is the task whose code runs, vm->running its innermost coroutine; both are set
 *               around each resume.
 *            2. A task is in exactly one of: the run queue, a wait (or its delay before the start), running, ended.
 *            3. Engine yields carry no values; a coroutine that was suspended by the
 *               engine is resumed without arguments. */
#include "bindings/task/task.h"

#include <lauxlib.h>

#include "bindings/state/registry.h"
#include "bindings/state/site.h"
#include "bindings/task/cancel.h"
#include "bindings/task/context.h"
#include "bindings/task/ending.h"
#include "bindings/task/seat.h"
#include "bindings/task/slice.h"
#include "bindings/task/task_body.h"
#include "bindings/task/task_job.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/memory.h"
#include "host/engine.h"
#include "sync/scope.h"

enum {
    IDS_IN_LOT = 64,
    ARGUMENTS_MAX = 250 /* with the function they are user values */
};

static const char extras_key; /* registry: a table, box -> table, with weak keys */

static void destroy(struct neap_object *object) { (void)object; /* lies in its box */ }

const struct neap_class neap_task_class = {
    .name = "task",
    .verbs = neap_future_verbs,
    .destroy = destroy,
    .attempt = neap_future_attempt,
    .enlist = neap_future_enlist,
};

void neap_task_push(lua_State *L, struct neap_task *task) {
    if (task->slot != 0)
        neap_anchors_push(L, &neap_task_vm(task)->handles, task->slot);
    else
        neap_seat_push_box(L, task->coroutine);
}

/* --- extras --- */

/* Pushes the table of all extras. */
static bool push_all_extras(lua_State *L, bool make) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &extras_key) != LUA_TNIL) return true;
    if (!make) return false;
    lua_pop(L, 1);
    neap_registry_make_weak(L, &extras_key, "k");
    return true;
}

bool neap_task_push_extras(lua_State *L, int box, bool make) {
    box = lua_absindex(L, box);
    luaL_checkstack(L, 5, "task");
    if (!push_all_extras(L, make)) return false;
    lua_pushvalue(L, box);
    if (lua_rawget(L, -2) == LUA_TNIL && make) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, box);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
    return !lua_isnil(L, -1);
}

/* --- running --- */

/* Calls `function` with the task, protected, on the main stack. */
static int call_protected(struct neap_task *task, lua_CFunction function) {
    lua_State *L = neap_task_vm(task)->main;
    if (!lua_checkstack(L, 4)) return LUA_ERRMEM;
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, task);
    return lua_pcall(L, 1, 0, 0);
}

static int finish_unstarted(lua_State *L) {
    struct neap_task *task = lua_touserdata(L, 1);
    neap_task_push(L, task);
    neap_cancel_push_reason(L, task);
    neap_cancel_push_error(L, -1);
    lua_remove(L, -2);
    neap_task_finish(L, 2, 3, 1, LUA_ERRRUN);
    return 0;
}

static int finish_with_error(lua_State *L) {
    neap_task_push(L, lua_touserdata(L, 1));
    lua_pushvalue(L, lua_upvalueindex(1));
    neap_task_finish(L, 2, 3, 1, LUA_ERRRUN);
    return 0;
}

/* The error value on top of `from` ended the task outside its body: out of memory while starting or ending. */
static void fail_outside(struct neap_task *task, lua_State *from) {
    lua_State *L = neap_task_vm(task)->main;
    if (neap_task_has_ended(task)) {
        lua_pop(from, 1);
        return;
    }
    struct neap_quota *task_quota = neap_task_vm(task)->loop.quota;
    neap_quota_lift(task_quota, true); /* whatever is left of it: the task has to end */
    if (from != L) lua_xmove(from, L, 1);
    lua_pushcclosure(L, finish_with_error, 1);
    lua_pushlightuserdata(L, task);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
    neap_quota_lift(task_quota, false);
}

/* Asked to stop before it has started: it never does. */
static void end_unstarted(struct neap_task *task) {
    struct neap_vm *vm = neap_task_vm(task);
    lua_State *coroutine = task->coroutine;
    bool pooled = task->flags & NEAP_TASK_POOLED;
    if (call_protected(task, finish_unstarted) != LUA_OK) fail_outside(task, vm->main);
    if (coroutine == NULL || !neap_task_has_ended(task)) return;
    lua_settop(coroutine, 0);
    neap_seat_leave(vm, coroutine, pooled);
}

/* See neap_run_spawn_surely. */
static bool begins_surely(const struct neap_task *task) {
    return (task->flags & (NEAP_TASK_UNASKED | NEAP_TASK_MAIN)) == NEAP_TASK_UNASKED;
}

/* False: the task has ended instead, or waits for the cancel that was faster. */
static bool start(struct neap_task *task) {
    struct neap_vm *vm = neap_task_vm(task);
    lua_State *L = vm->main;
    if (task->flags & NEAP_TASK_CANCELLED && !begins_surely(task)) {
        end_unstarted(task);
        return false;
    }
    if (neap_task_is_known(task) && !neap_job_may_begin(task->job)) {
        neap_wait_sleep(&task->wait, NEAP_FOREVER);
        return false;
    }
    if (task->coroutine == NULL && !neap_seat_take_late(L, task) && call_protected(task, neap_seat_make) != LUA_OK) {
        fail_outside(task, L);
        return false;
    }
    atomic_store_explicit(&task->future.object.state, NEAP_FUTURE_RUNNING, memory_order_relaxed);
    if (neap_task_is_known(task))
        atomic_store_explicit(&task->job->future.object.state, NEAP_FUTURE_RUNNING, memory_order_relaxed);
    return true;
}

/* It gave way; or foreign C code has yielded to nobody, which we take for giving way. */
static void queue_again(struct neap_task *task, lua_State *coroutine, int results) {
    struct neap_vm *vm = neap_task_vm(task);
    lua_pop(coroutine, results);
    task->flags &= (uint16_t)~NEAP_TASK_TURN;
    if (vm->slice.preempted)
        neap_loop_push_late(&vm->loop, &task->wait.runnable);
    else
        neap_loop_push(&vm->loop, &task->wait.runnable);
    vm->slice.preempted = false;
}

/* An error of the engine's own frames. False: not even this could be told; the seat stays
 * taken, for it keeps the record. */
static bool end_by_error(struct neap_task *task, lua_State *coroutine) {
    fail_outside(task, coroutine);
    if (!neap_task_has_ended(task)) return false;
    lua_resetthread(coroutine);
    lua_settop(coroutine, 0);
    return true;
}

/* The record may be gone when the coroutine has run to its end. */
static void resume(struct neap_task *task, int arguments) {
    struct neap_vm *vm = neap_task_vm(task);
    bool pooled = task->flags & NEAP_TASK_POOLED;
    struct neap_task *outer = vm->current;
    lua_State *outer_running = vm->running, *coroutine = task->coroutine;
    int results = 0;
    vm->current = task;
    vm->running = coroutine;
    vm->slice.turn++;
    if (vm->limits.cpu_ns > 0) neap_limits_begin_stretch(vm, coroutine);
    int status = lua_resume(coroutine, NULL, arguments, &results);
    if (vm->limits.cpu_ns > 0) neap_limits_end_stretch(vm);
    vm->running = outer_running;
    neap_slice_leave(vm, &vm->slice, coroutine);
    vm->current = outer;
    if (status != LUA_YIELD) {
        if (status == LUA_OK || end_by_error(task, coroutine)) neap_seat_leave(vm, coroutine, pooled);
    } else if (atomic_load_explicit(&task->wait.state, memory_order_relaxed) == NEAP_WAIT_IDLE) {
        queue_again(task, coroutine, results);
    }
}

/* Not inlined: what is run again and again should save no registers for it. */
static __attribute__((noinline)) void begin(struct neap_task *task) {
    if (atomic_load_explicit(&task->wait.state, memory_order_relaxed) != NEAP_WAIT_IDLE) neap_wait_end(&task->wait);
    if (!start(task)) return;
    int arguments = *neap_task_values(task) + 2; /* the box, the handler, the function and its arguments */
    *neap_task_values(task) = 0;
    resume(task, arguments);
}

static const struct neap_task *task_at(const struct neap_runnable *runnable) {
    return NEAP_CONTAINER_OF(runnable, const struct neap_task, wait.runnable);
}

/* Where the pieces of a coroutine's record lie, which resuming it looks at. */
static inline const char *line_of(const struct neap_task *task, int line) {
    return (const char *)task->coroutine + 64 * line;
}

/* The tasks that come next may not have been touched for long: of the first the coroutine is fetched while this one
 * runs, and of the second the place where that is found. A wrong guess does no harm. (Not a function of its own: the
 * compiler takes one that only fetches for one without effects.) */
static void run(struct neap_runnable *runnable) {
    struct neap_task *task = NEAP_CONTAINER_OF(runnable, struct neap_task, wait.runnable);
    const struct neap_runnable *next = runnable->next;
    if (next != NULL && next->run == run) {
        for (int line = 0; line < 4; line++) __builtin_prefetch(line_of(task_at(next), line));
        if (next->next != NULL) __builtin_prefetch(&task_at(next->next)->coroutine);
    }
    if (neap_task_has_begun(task))
        resume(task, 0);
    else
        begin(task);
}

/* --- making --- */

static void init(struct neap_task *task, struct neap_vm *vm) {
    neap_future_init(&task->future, &neap_task_class);
    neap_list_init(&task->node);
    neap_wait_init(&task->wait, &vm->loop, NULL, run);
    neap_message_clear(&task->link.message);
    task->coroutine = NULL;
    task->regions = NULL;
    task->scope = NULL;
    *neap_task_site(task) = 0;
    *neap_task_pool(task) = 0;
    task->id = 0;
    task->slot = 0;
    task->depth = 1;
    task->unwinding = 0;
    *neap_task_values(task) = 0;
    task->flags = 0;
    task->lua_blocked = 0;
    task->swallowed = 0;
}

/* Code outside tasks turns the loop itself, until this tells that its wait is over. */
static void run_root(struct neap_runnable *runnable) {
    struct neap_task *root = NEAP_CONTAINER_OF(runnable, struct neap_task, wait.runnable);
    root->flags |= NEAP_TASK_TURN;
    neap_task_vm(root)->loop.cut = 1;
}

struct neap_task *neap_task_new_root(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_task *task = neap_box_new(L, NEAP_HANDLE_TASK, sizeof *task, 1);
    init(task, vm);
    task->wait.runnable.run = run_root;
    task->slot = neap_anchors_add(L, &vm->handles);
    atomic_store_explicit(&task->future.object.state, NEAP_FUTURE_RUNNING, memory_order_relaxed);
    lua_pop(L, 1);
    return task;
}

struct neap_task *neap_task_new_ghost(struct neap_vm *vm) {
    struct neap_task *ghost = neap_alloc(sizeof *ghost);
    if (ghost == NULL) return NULL;
    init(ghost, vm);
    ghost->wait.runnable.run = run_root;
    ghost->slot = vm->root->slot;
    atomic_store_explicit(&ghost->future.object.state, NEAP_FUTURE_RUNNING, memory_order_relaxed);
    return ghost;
}

void neap_task_free_ghost(struct neap_task *ghost) {
    neap_message_fini(&ghost->link.message);
    neap_owner_end(&ghost->wait.own);
    neap_free(ghost);
}

/* A number that nothing else in the engine has. A lot at a time: the counter is shared with all threads. */
static uint32_t take_id(struct neap_vm *vm) {
    if (vm->ids_left == 0) {
        vm->next_id = neap_engine_next_ids(vm->engine, IDS_IN_LOT);
        vm->ids_left = IDS_IN_LOT;
    }
    vm->ids_left--;
    return (uint32_t)vm->next_id++;
}

/* Queues the task, now or when its time comes. */
static int schedule(struct neap_task *task, int64_t deadline) {
    if (deadline == 0) {
        neap_loop_push(&neap_task_vm(task)->loop, &task->wait.runnable);
        return 0;
    }
    int code = neap_wait_sleep(&task->wait, deadline);
    return code == NEAP_PARKED ? 0 : code;
}

/* Of the task whose box is on top of L. */
static void set_name(lua_State *L, const char *name) {
    neap_task_push_extras(L, -1, true);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    lua_pop(L, 1);
}

/* Keeps the function and its arguments, which are popped from below the box, until a coroutine is bound. May raise. */
static void put_off(lua_State *L, int function, int values, struct neap_task *task, int64_t deadline) {
    struct neap_vm *vm = neap_task_vm(task);
    for (int i = 0; i < values; i++) {
        lua_pushvalue(L, function + i);
        lua_setiuservalue(L, -2, i + 1);
    }
    task->slot = neap_anchors_add(L, &vm->handles);
    if (schedule(task, deadline) != 0) {
        neap_anchors_remove(L, &vm->handles, task->slot);
        luaL_error(L, "not enough memory");
    }
    lua_replace(L, function);
    lua_settop(L, function);
}

struct neap_task *neap_task_spawn(lua_State *L, int arguments, const struct neap_task_options *options) {
    struct neap_vm *vm = neap_vm_of(L);
    if (!vm->open && !(options->flags & NEAP_TASK_HANDLER)) neap_ending_refuse(L, "spawn");
    if (vm->limits.tasks != 0 && vm->task_count >= vm->limits.tasks)
        luaL_error(L, "denied: the host allows %d tasks at a time", (int)vm->limits.tasks);
    if (arguments > ARGUMENTS_MAX)
        luaL_error(L, "too many arguments (at most %d can be given to a task)", (int)ARGUMENTS_MAX);
    int values = 1 + arguments, function = lua_gettop(L) - arguments;
    struct neap_task *task = neap_box_new(L, NEAP_HANDLE_TASK, sizeof *task, values);
    init(task, vm);
    *neap_task_values(task) = (uint8_t)values;
    task->flags = options->flags;
    task->id = take_id(vm);
    *neap_task_site(task) = neap_site_here(L);
    *neap_task_pool(task) = *neap_task_pool(vm->current);
    if (options->name != NULL) set_name(L, options->name);
    neap_context_hand_on(L, task);
    /* From here on no finaliser runs, which might spawn. */
    bool waits = options->start != 0 || options->flags & NEAP_TASK_HANDLER; /* see neap_failure_tell_unheard */
    if (!waits && neap_seat_take(L, task))
        schedule(task, 0);
    else
        put_off(L, function, values, task, options->start);
    if (options->job != NULL) {
        neap_task_adopt(task, options->job);
        neap_job_look(options->job); /* what is cancelled before it begins never runs */
    }
    if (options->scope != NULL) {
        NEAP_ASSERT(options->job == NULL, "a thread's scope is its job's");
        task->scope = options->scope;
        task->flags |= NEAP_TASK_SCOPED;
        neap_scope_enter(options->scope);
    }
    neap_list_push_back(&vm->tasks, &task->node);
    vm->task_count++;
    if (!(options->flags & NEAP_TASK_MAIN)) neap_slice_start(vm, &vm->slice);
    if (!(task->flags & NEAP_TASK_DAEMON)) vm->needed++;
    return task;
}

/* --- what others ask of it --- */

static int turn_again(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    neap_cancel_check(L, neap_task_current(L));
    return 0;
}

int neap_task_yield(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_task *task = vm->current;
    neap_cancel_check(L, task);
    if (task == vm->root) {
        if (neap_loop_has_ready(&vm->loop) && neap_vm_may_turn(vm)) neap_loop_give_way(&vm->loop);
        return 0;
    }
    if (L != vm->running || !lua_isyieldable(L) || task->lua_blocked > 0) return 0;
    task->flags |= NEAP_TASK_TURN;
    return lua_yieldk(L, 0, 0, turn_again);
}

void neap_task_interrupt(struct neap_task *task) {
    task->flags |= NEAP_TASK_PENDING;
    neap_slice_start(neap_task_vm(task), &neap_task_vm(task)->slice);
    if (!neap_task_has_begun(task) || neap_cancel_is_due(task)) neap_wait_interrupt(&task->wait, NEAP_WAIT_INTERRUPTED);
}

bool neap_task_cancel(lua_State *L, int box) {
    struct neap_task *task = lua_touserdata(L, box);
    bool asked = task->flags & NEAP_TASK_CANCELLED || neap_task_has_ended(task);
    if (asked || (neap_task_is_known(task) && atomic_exchange(&task->job->cancel_requested, true))) {
        lua_pop(L, 1);
        return false;
    }
    if (!lua_isnil(L, -1)) {
        neap_task_push_extras(L, box, true);
        lua_pushvalue(L, -2);
        lua_setfield(L, -2, "reason");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    task->flags |= NEAP_TASK_CANCELLED;
    neap_task_interrupt(task);
    return true;
}
