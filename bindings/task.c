/* task: what the loop runs.
 *
 * MODEL      A task is a function, its arguments and, once it runs, a coroutine. Its record lies inside its own handle,
 *            so that spawning is one allocation and a task that nobody sent elsewhere costs no finaliser. Whoever lives
 *            in another thread sees its job instead (host/job.h), made when the handle is first sent.
 * SEATS      Where its coroutine comes from, and what keeps it and the handle from being collected: see seat.c.
 * BODY       task_main runs the function under lua_pcallk at the base of the coroutine. An error unwinds to there, its
 *            `<close>` variables may wait, and the traceback was taken before by the message handler.
 * END        1. what it holds is abandoned; 2. the values are kept in the handle; 3. if a job exists, they are
 *            encoded for other threads; 4. the futures end and wake who joined; 5. the scope is told; 6. a failure that
 *            nobody awaited is reported; 7. the anchor goes. The coroutine is idle only when it has been left: until
 *            then code that runs on it may spawn.
 * INVARIANTS 1. vm->current is the task whose code runs, vm->running its innermost coroutine; both are set
 *               around each resume.
 *            2. A task is in exactly one of: the run queue, a wait (or its delay before the start), running, ended.
 *            3. Engine yields carry no values; a coroutine that was suspended by the
 *               engine is resumed without arguments. */
#include "bindings/task.h"

#include <lauxlib.h>
#include <stdio.h>

#include "bindings/await.h"
#include "bindings/cancel.h"
#include "bindings/codec.h"
#include "bindings/context.h"
#include "bindings/ending.h"
#include "bindings/failure.h"
#include "bindings/outcome.h"
#include "bindings/registry.h"
#include "bindings/seat.h"
#include "bindings/site.h"
#include "bindings/slice.h"
#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/engine.h"
#include "sync/scope.h"

enum {
    IDS_IN_LOT = 64,
    ARGUMENTS_MAX = 250,                  /* with the function they are user values */
    RESULTS_WITH_ROOM = LUA_MINSTACK - 10 /* behind so few the stack of neap_task_main has room left */
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

/* --- the body --- */

static void finish(lua_State *L, int box, int first, int count, int status);

static int body_ended(lua_State *L, int status, lua_KContext context) {
    int top = lua_gettop(L);
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD)
        finish(L, NEAP_SEAT_BOX, NEAP_SEAT_FUNCTION, top - NEAP_SEAT_HANDLER, LUA_OK);
    else
        finish(L, NEAP_SEAT_BOX, top, 1, status);
    return 0;
}

int neap_task_main(lua_State *L) {
    return body_ended(
        L, lua_pcallk(L, lua_gettop(L) - NEAP_SEAT_FUNCTION, LUA_MULTRET, NEAP_SEAT_HANDLER, 0, body_ended), 0);
}

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
    finish(L, 2, 3, 1, LUA_ERRRUN);
    return 0;
}

static int finish_with_error(lua_State *L) {
    neap_task_push(L, lua_touserdata(L, 1));
    lua_pushvalue(L, lua_upvalueindex(1));
    finish(L, 2, 3, 1, LUA_ERRRUN);
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

static void run(struct neap_runnable *runnable) {
    struct neap_task *task = NEAP_CONTAINER_OF(runnable, struct neap_task, wait.runnable);
    if (neap_task_has_begun(task))
        resume(task, 0);
    else
        begin(task);
}

/* --- making --- */

static void cancel_arrived(struct neap_job *job);

static void adopt(struct neap_task *task, struct neap_job *job) {
    job->task = task;
    job->on_cancel = cancel_arrived;
    task->job = job;
    atomic_signal_fence(memory_order_release); /* the slice's signal looks at it */
    task->flags |= NEAP_TASK_KNOWN;
}

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
        adopt(task, options->job);
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

/* --- ending --- */

/* Keeps the `count` values on top of L in the box at `box`, which has at least one user value. */
static void keep_values(lua_State *L, struct neap_task *task, int box, int count) {
    if (count == 0) {
        if (task->slot != 0) { /* else nothing was ever put there */
            lua_pushnil(L);
            lua_setiuservalue(L, box, 1);
        }
    } else if (count == 1) {
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, box, 1);
    } else {
        int first = lua_gettop(L) - count + 1;
        lua_createtable(L, count, count >= NEAP_TASK_MANY);
        for (int i = 0; i < count; i++) {
            lua_pushvalue(L, first + i);
            lua_rawseti(L, -2, i + 1);
        }
        if (count >= NEAP_TASK_MANY) {
            lua_pushinteger(L, count);
            lua_rawseti(L, -2, 0);
        }
        lua_setiuservalue(L, box, 1);
    }
    *neap_task_values(task) = (uint8_t)(count < NEAP_TASK_MANY ? count : NEAP_TASK_MANY);
}

/* What other threads will read: the values at `first` .. `first + count - 1` of L, or the
 * reason why they cannot be sent. */
static struct neap_outcome *make_outcome(lua_State *L, int box, int first, int count, enum neap_future_state *state) {
    luaL_checkstack(L, count + 8, "results");
    for (int i = 0; i < count; i++) lua_pushvalue(L, first + i);
    struct neap_outcome *outcome = neap_outcome_make(L, count, state);
    if (outcome == NULL) luaL_error(L, "not enough memory");
    if (*state == NEAP_FUTURE_FAILED && neap_task_push_extras(L, box, false)) {
        lua_getfield(L, -1, "traceback");
        neap_outcome_add_traceback(L, outcome, -1);
    }
    lua_settop(L, first + count - 1);
    return outcome;
}

/* Protected: (message). */
static int decode_message(lua_State *L) {
    neap_decode(L, lua_touserdata(L, 1));
    return 1;
}

/* What the task's job will say, and in `shared` in which state. A task whose results cannot be sent is done at home,
 * and has failed for others: no failure that counts. But the main task of a thread or process returns them to others
 * alone: it has failed, and the reason takes their place. */
static struct neap_outcome *share(lua_State *L, struct neap_task *task, int box, int first, int count,
                                  enum neap_future_state *state, enum neap_future_state *shared) {
    if (task->flags & NEAP_TASK_UNASKED && *state == NEAP_FUTURE_DONE) count = 0;
    struct neap_outcome *outcome = make_outcome(L, box, first, count, shared);
    if (*shared == *state) return outcome;
    if (task->flags & NEAP_TASK_MAIN) {
        *state = *shared;
        lua_pushcfunction(L, decode_message);
        lua_pushlightuserdata(L, &outcome->value);
        lua_pcall(L, 1, 1, 0); /* if there is no memory, it says so */
        keep_values(L, task, box, 1);
    } else {
        atomic_store_explicit(&task->job->future.object.observed, true, memory_order_relaxed);
    }
    return outcome;
}

static enum neap_future_state state_after(lua_State *L, struct neap_task *task, int status) {
    if (status == LUA_OK) return NEAP_FUTURE_DONE;
    return task->flags & NEAP_TASK_CANCELLED && neap_cancel_is_error(L, -1) ? NEAP_FUTURE_CANCELLED
                                                                            : NEAP_FUTURE_FAILED;
}

void neap_task_leave_scope(struct neap_task *task, bool failed) {
    if (!(task->flags & NEAP_TASK_SCOPED)) return;
    struct neap_scope **place = task->flags & NEAP_TASK_KNOWN ? &task->job->scope : &task->scope, *scope = *place;
    *place = NULL;
    neap_scope_leave(scope, task->id, failed);
}

/* Tells other threads, and who waits here. True when somebody waited. */
static bool publish(struct neap_task *task, enum neap_future_state state, enum neap_future_state shared_state,
                    struct neap_outcome *outcome) {
    bool awaited = neap_future_end(&task->future, state, NULL);
    if (!neap_task_is_known(task)) return awaited;
    task->job->task = NULL;
    if (task->flags & NEAP_TASK_MAIN) { /* the thread ends later */
        neap_task_vm(task)->outcome = outcome;
        neap_task_vm(task)->outcome_state = shared_state;
        return awaited || neap_future_is_awaited(&task->job->future);
    }
    return neap_future_end(&task->job->future, shared_state, outcome) || awaited;
}

/* The task has ended, with `count` values from `first` on (the last ones of L), or with an error there. See END. */
static void finish(lua_State *L, int box, int first, int count, int status) {
    struct neap_task *task = lua_touserdata(L, box);
    struct neap_vm *vm = neap_task_vm(task);
    enum neap_future_state state = state_after(L, task, status), shared_state = state;
    struct neap_outcome *outcome = NULL;
    if (count > RESULTS_WITH_ROOM) luaL_checkstack(L, 6, "results");
    neap_message_fini(&task->link.message);
    neap_owner_end(&task->wait.own);
    keep_values(L, task, box, count);
    /* From here to publish no finaliser runs: a job that one made is seen here. */
    if (neap_task_is_known(task)) outcome = share(L, task, box, first, count, &state, &shared_state);
    neap_list_remove(&task->node);
    vm->task_count--;
    bool awaited = publish(task, state, shared_state, outcome);
    if (!(task->flags & NEAP_TASK_DAEMON)) vm->needed--;
    if (task->flags & NEAP_TASK_SCOPED) {
        neap_task_leave_scope(task, state == NEAP_FUTURE_FAILED);
    } else if (state == NEAP_FUTURE_FAILED && !(neap_task_is_known(task) && task->job->scope != NULL)) {
        atomic_fetch_add_explicit(&vm->engine->failures, 1, memory_order_relaxed);
        task->flags |= NEAP_TASK_REPORTED;
        if (task->flags & NEAP_TASK_QUIET) {
            /* it is told nowhere */
        } else if (awaited) {
            neap_failure_note_unjoined(L, box);
        } else {
            neap_failure_report(L, box);
        }
    }
    neap_owner_end(&task->wait.own); /* what finalisers have taken in its name meanwhile */
    task->coroutine = NULL;
    if (task->slot != 0) neap_anchors_remove(L, &vm->handles, task->slot);
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

/* A cancel from another thread has arrived. */
static void cancel_arrived(struct neap_job *job) {
    struct neap_task *task = job->task;
    if (task->flags & NEAP_TASK_CANCELLED) return;
    task->flags |= NEAP_TASK_CANCELLED;
    neap_task_interrupt(task);
}

/* --- its job --- */

int neap_task_push_values(lua_State *L, const struct neap_task *task, int box) {
    int count = neap_future_state(&task->future) == NEAP_FUTURE_DONE ? *neap_task_values(task) : 1;
    if (count <= 1) {
        if (count == 1) lua_getiuservalue(L, box, 1);
        return count;
    }
    lua_getiuservalue(L, box, 1);
    int table = lua_gettop(L);
    if (count == NEAP_TASK_MANY) {
        lua_rawgeti(L, table, 0);
        count = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    luaL_checkstack(L, count, "results");
    for (int i = 1; i <= count; i++) lua_rawgeti(L, table, i);
    lua_remove(L, table);
    return count;
}

/* Gives the job of an ended task its outcome, so that it looks to other threads as the task does here. */
static void encode_ended(lua_State *L, struct neap_task *task, struct neap_job *job, int box) {
    enum neap_future_state state = neap_future_state(&task->future);
    int first = lua_gettop(L) + 1, count = neap_task_push_values(L, task, box);
    struct neap_outcome *outcome = make_outcome(L, box, first, count, &state);
    lua_settop(L, first - 1);
    job->task = NULL;
    if (state != neap_future_state(&task->future)) /* it was done: see share */
        atomic_store_explicit(&job->future.object.observed, true, memory_order_relaxed);
    neap_future_end(&job->future, state, outcome);
}

bool neap_task_is_endless(lua_State *L, int box) {
    const struct neap_task *task = lua_touserdata(L, box);
    int top = lua_gettop(L);
    if (task->flags & NEAP_TASK_TIMER) return true;
    bool endless = neap_task_push_extras(L, box, false) && lua_getfield(L, -1, "endless") == LUA_TBOOLEAN;
    lua_settop(L, top);
    return endless;
}

struct neap_job *neap_task_job(lua_State *L, int box) {
    struct neap_task *task = lua_touserdata(L, box);
    if (neap_task_is_known(task)) return task->job;
    box = lua_absindex(L, box);
    neap_task_push_extras(L, box, true);
    struct neap_box *keeper = neap_box_new(L, NEAP_HANDLE_TASK_JOB, sizeof *keeper, 0);
    if (neap_task_is_known(task)) { /* a finaliser has just sent it */
        lua_pop(L, 2);
        return task->job;
    }
    struct neap_job *job = neap_job_new(&neap_task_job_class, neap_task_vm(task)->loop.mailbox, task->id);
    if (job == NULL) luaL_error(L, "not enough memory");
    job->failures = &neap_task_vm(task)->engine->failures;
    keeper->object = &job->future.object;
    if (lua_getfield(L, -2, "name") == LUA_TSTRING) neap_job_set_name(job, lua_tostring(L, -1));
    lua_pop(L, 1);
    lua_setfield(L, -2, "job");
    lua_pop(L, 1);
    job->scope = task->scope;
    adopt(task, job);
    atomic_store_explicit(&job->daemon, (task->flags & NEAP_TASK_DAEMON) != 0, memory_order_relaxed);
    job->endless = neap_task_is_endless(L, box);
    if (task->flags & NEAP_TASK_TIMER)
        atomic_store_explicit(&job->race, neap_task_has_begun(task) ? NEAP_JOB_DECIDED : NEAP_JOB_OPEN,
                              memory_order_relaxed);
    atomic_store_explicit(&job->cancel_requested, (task->flags & NEAP_TASK_CANCELLED) != 0, memory_order_relaxed);
    bool observed = task->flags & NEAP_TASK_SCOPED ||
                    atomic_load(&task->future.object.observed); /* a scope tells of its failures */
    atomic_store_explicit(&job->future.object.observed, observed, memory_order_relaxed);
    neap_box_register(L, box, &job->future.object);
    if (neap_task_has_ended(task))
        encode_ended(L, task, job, box);
    else
        atomic_store_explicit(&job->future.object.state, (uint8_t)neap_future_state(&task->future),
                              memory_order_relaxed);
    bool waiting = atomic_load_explicit(&task->wait.state, memory_order_relaxed) == NEAP_WAIT_OPEN;
    atomic_store_explicit(job->waiting, waiting, memory_order_relaxed);
    return job;
}

void neap_task_get_name(lua_State *L, int box, char name[NEAP_JOB_NAME_MAX + 1]) {
    const struct neap_task *task = lua_touserdata(L, box);
    if (neap_task_is_known(task)) {
        neap_job_get_name(task->job, name);
        return;
    }
    int top = lua_gettop(L);
    if (neap_task_push_extras(L, box, false) && lua_getfield(L, -1, "name") == LUA_TSTRING)
        snprintf(name, NEAP_JOB_NAME_MAX + 1, "%s", lua_tostring(L, -1));
    else
        snprintf(name, NEAP_JOB_NAME_MAX + 1, "task-%u", task->id);
    lua_settop(L, top);
}
