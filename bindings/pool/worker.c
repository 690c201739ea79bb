/* worker: what does the work of a pool.
 *
 * MODEL      A worker belongs to one state, which has one of each pool at most, and is a number in its pool. Its
 *            runners are tasks that take work, one piece after the other; a listener is told which of it is to be
 *            cancelled. Each piece is called in the runner's own task, inside a region, so that it can be cancelled
 *            and the runner goes on. What it is told may overtake the work itself, which is on its way to a runner:
 *            then it asks to be told again.
 * STEP       take -> decode -> call -> encode what came out -> finish. Whatever goes wrong after take is the
 *            outcome of that piece: the pool hears of each piece once, at the latest when the worker's thread
 *            has ended (supervisor, scripts/neap/pool.lua).
 * LENDING    Work that waits for its own pool (a future of it, a place in its queue) might wait for what only its own
 *            worker can do. So for the time of such a wait one more runner takes work: as many pieces are under way as
 *            there are workers, those that wait in this manner not counted. It concerns the task of a runner and those
 *            that it has spawned (neap_task_pool). When the wait is over there is one too many: an idle extra runner
 *            ends, or a busy one as soon as it is idle. A worker that has no more to do waits for these; where they
 *            wait for the pool once its own runners have ended, one more takes their place. No more of them come once
 *            the pool has said that it is closed and empty.
 * TASKS      Several workers in tasks are one worker with as many runners of its own. Work that cancels its own task
 *            ends the runner; the worker too where the task is that of the worker, else another task takes its place
 *            (scripts/neap/worker.lua).
 * OWNER      What a piece has locked and not released is abandoned when it ends: its task goes on, but it does not.
 * LIFETIME   A runner refers to its worker by a user value; the worker's list of runners holds
 *            those only whose step is under way. */
#include "bindings/pool/worker.h"

#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/remote.h"
#include "bindings/pool/pool.h"
#include "bindings/pool/watch.h"
#include "bindings/report/failure.h"
#include "bindings/task/await.h"
#include "bindings/task/cancel.h"
#include "bindings/task/outcome.h"
#include "core/error.h"
#include "core/remote.h"
#include "host/engine.h"
#include "host/pool_remote.h"

struct worker {
    struct neap_object *pool; /* a reference; NULL once closed */
    uint32_t tag;             /* of the pool; constant */
    uint64_t id;              /* in the pool */
    struct neap_task *task;   /* that has opened it, and ends with it; to be compared only */
    uint64_t left;            /* pieces of work that it still wants; UINT64_MAX: any number */
    struct neap_list runners; /* runner.node */
    uint64_t missed;          /* the work that no runner had when the listener was told of it; 0: none */
    uint32_t lent;            /* waits of its work for its own pool */
    uint32_t own, extras;     /* runners there are: its own, and extra ones */
    bool is_served;           /* the pool has no more work for it, and never will */
};

struct runner {
    struct neap_list node;       /* in worker->runners, while it waits for work or does it */
    struct worker *worker;       /* kept by a user value */
    struct neap_task *task;      /* whose step is under way */
    struct neap_region region;   /* around the work */
    struct neap_message call;    /* what was taken, until it is finished; a parcel only until it is decoded. Owned */
    struct neap_outcome outcome; /* what came out, until the pool has it. Owned */
    uint64_t work;               /* the id of what it does; 0: nothing */
    bool extra;
    bool dropped; /* the work need not go on */
};

static const char worker_key, runner_key; /* registry: metatables */
static const char workers_key;            /* registry: tag of a pool -> its worker in this state */

enum { EXTRA = 1, WORKER_VALUES = EXTRA }; /* user values of a worker */

static struct worker *check_worker(lua_State *L) {
    struct worker *worker = lua_touserdata(L, 1);
    if (worker->pool == NULL) luaL_error(L, "this worker has been closed");
    return worker;
}

/* --- workers of this state --- */

static void push_workers(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &workers_key) != LUA_TNIL) return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &workers_key);
}

/* Pushes the worker of the pool, or nil. */
static struct worker *push_worker_of(lua_State *L, uint32_t pool) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &workers_key) == LUA_TNIL) return NULL;
    lua_rawgeti(L, -1, (lua_Integer)pool);
    lua_remove(L, -2);
    return lua_touserdata(L, -1);
}

static struct worker *find_worker(lua_State *L, uint32_t pool) {
    struct worker *worker = push_worker_of(L, pool);
    lua_pop(L, 1);
    return worker;
}

/* --- one piece of work --- */

static int work_returned(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return lua_gettop(L) - 1;
}

/* (runner): decodes the call, and calls. */
static int do_work(lua_State *L) {
    struct runner *runner = lua_touserdata(L, 1);
    int count = neap_decode_all(L, &runner->call);
    if (runner->call.kind == NEAP_MESSAGE_PARCEL) neap_message_fini(&runner->call);
    lua_callk(L, count - 1, LUA_MULTRET, 0, work_returned);
    return work_returned(L, LUA_OK, 0);
}

static int called(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return lua_gettop(L);
}

int neap_worker_call(lua_State *L) {
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, called);
    return called(L, LUA_OK, 0);
}

static bool calls_work(lua_CFunction function) {
    return function == do_work || function == neap_worker_map || function == neap_worker_call;
}

/* Protected: (task, outcome): what the message handler has kept. */
static int take_traceback(lua_State *L) {
    neap_task_push(L, lua_touserdata(L, 1));
    if (!neap_task_push_extras(L, -1, false)) return 0;
    lua_getfield(L, -1, "traceback");
    neap_outcome_add_traceback(L, lua_touserdata(L, 2), -1);
    lua_pushnil(L);
    lua_setfield(L, -3, "traceback");
    return 0;
}

/* What came out of the work: `count` results on top, or an error. Pops them. */
static void write_outcome(lua_State *L, struct neap_task *task, int count, enum neap_future_state *state,
                          struct neap_outcome *outcome) {
    bool failed = *state == NEAP_FUTURE_FAILED;
    neap_outcome_write(L, count, state, outcome);
    if (!failed) return;
    lua_pushcfunction(L, take_traceback);
    lua_pushlightuserdata(L, task);
    lua_pushlightuserdata(L, outcome);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* FINISH or BREAK, for a pool of another process; one that has gone hears nothing. `outcome` is empty afterwards. */
static void tell_outcome(lua_State *L, struct neap_proxy *proxy, uint8_t method, uint64_t work,
                         enum neap_future_state state, struct neap_outcome *outcome) {
    for (int tries = 0; tries < 2; tries++) {
        struct neap_call call = neap_remote_begin(L);
        call.number = (int64_t)work;
        if (neap_pool_pack_outcome(&call.message, state, outcome) != 0) {
            neap_outcome_fini(outcome);
            state = NEAP_FUTURE_FAILED;
            continue;
        }
        neap_proxy_call(proxy, method, &call);
        neap_message_fini(&call.message);
        const char *reason = neap_outcome_refusal(call.result);
        if (reason == NULL) return;
        state = NEAP_FUTURE_FAILED;
        neap_message_set_text(&outcome->value, reason);
    }
    neap_outcome_fini(outcome);
}

/* The runner has done its work. */
static void finish(lua_State *L, struct runner *runner, enum neap_future_state state) {
    struct neap_object *pool = runner->worker->pool;
    struct neap_proxy *proxy = neap_remote_test(pool);
    if (proxy != NULL)
        tell_outcome(L, proxy, NEAP_POOL_FINISH, runner->work, state, &runner->outcome);
    else
        neap_pool_finish((struct neap_pool *)pool, runner->work, state, &runner->outcome, &runner->call);
}

enum { RUNNER = 1, HANDLER }; /* the stack of step; then the results of the work, or its error */

/* What it still has of its work. */
static void forget(struct runner *runner) {
    neap_message_fini(&runner->call);
    neap_outcome_fini(&runner->outcome);
    runner->work = 0;
}

static void leave_region(lua_State *L, struct neap_task *task, struct runner *runner, lua_KContext depth, bool failed) {
    neap_region_leave(task, &runner->region);
    neap_cancel_leave(task, (uint16_t)depth, failed);
    if (runner->region.reason != 0) luaL_unref(L, LUA_REGISTRYINDEX, runner->region.reason);
}

static bool is_exiting(const struct neap_task *task) {
    return atomic_load_explicit(&neap_task_vm(task)->engine->exit_status, memory_order_acquire) >= 0;
}

static int work_ended(lua_State *L, int status, lua_KContext depth) {
    struct neap_task *task = neap_task_current(L);
    struct runner *runner = lua_touserdata(L, RUNNER);
    struct worker *worker = runner->worker;
    bool failed = status != LUA_OK && status != LUA_YIELD;
    bool cancelled = runner->region.cancelled || task->flags & NEAP_TASK_CANCELLED;
    leave_region(L, task, runner, depth, failed);
    enum neap_future_state state = !failed                                    ? NEAP_FUTURE_DONE
                                   : cancelled && neap_cancel_is_error(L, -1) ? NEAP_FUTURE_CANCELLED
                                                                              : NEAP_FUTURE_FAILED;
    write_outcome(L, task, failed ? 1 : lua_gettop(L) - HANDLER, &state, &runner->outcome);
    neap_owner_end(&task->wait.own);
    neap_list_remove(&runner->node);
    if (worker->left != UINT64_MAX && worker->left > 0) worker->left--;
    bool runner_ends = state == NEAP_FUTURE_CANCELLED && !runner->region.cancelled;
    /* who buries it knows why */
    bool worker_ends = worker->pool == NULL || (runner_ends && (task == worker->task || is_exiting(task)));
    if (!worker_ends) finish(L, runner, state);
    forget(runner);
    lua_settop(L, RUNNER);
    lua_pushboolean(L, 1);
    return 1;
}

/* --- taking --- */

/* So many extra runners are needed: see LENDING. */
static uint32_t extras_wanted(const struct worker *worker) {
    return worker->lent > 0 && worker->own == 0 ? worker->lent + 1 : worker->lent;
}

static bool wants_work(const struct runner *runner) {
    const struct worker *worker = runner->worker;
    return runner->extra ? worker->extras <= extras_wanted(worker) : worker->left > 0;
}

/* Only an extra runner's wait is ended by other means. */
static int taken(lua_State *L, struct neap_task *task, int code) {
    struct runner *runner = lua_touserdata(L, RUNNER);
    if (code == NEAP_CANCELLED) neap_cancel_check(L, task);
    if (code < 0 || task->link.result != 0) {
        if (code >= 0) runner->worker->is_served = true;
        neap_list_remove(&runner->node);
        lua_pushboolean(L, code < 0 && wants_work(runner)); /* by now it may be needed again */
        return 1;
    }
    runner->work = (uint64_t)task->link.number;
    neap_message_move(&runner->call, &task->link.message);
    runner->dropped = false;
    runner->region = (struct neap_region){.deadline = NEAP_FOREVER};
    lua_pushcfunction(L, neap_failure_handler);
    lua_pushcfunction(L, do_work);
    lua_pushvalue(L, RUNNER);
    neap_region_enter(task, &runner->region);
    uint16_t depth = neap_cancel_enter(task);
    int status = lua_pcallk(L, 1, LUA_MULTRET, HANDLER, depth, work_ended);
    return work_ended(L, status, depth);
}

/* As neap_await, but its wait may be interrupted by take_back. */
static int await_extra(lua_State *L, struct neap_task *task) {
    int code = neap_wait_begin(&task->wait, &task->link, 1, NEAP_FOREVER);
    return code == NEAP_PARKED ? neap_await_parked(L, taken) : taken(L, task, code);
}

/* runner:step() */
static int runner_step(lua_State *L) {
    struct runner *runner = lua_touserdata(L, RUNNER);
    struct worker *worker = runner->worker;
    lua_settop(L, RUNNER);
    if (worker->pool == NULL || !wants_work(runner)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    neap_await_check(L);
    struct neap_task *task = neap_await_begin(L);
    runner->task = task;
    if (!neap_list_is_linked(&runner->node)) neap_list_push_back(&worker->runners, &runner->node);
    *neap_task_pool(task) = worker->tag;
    task->link.object = worker->pool;
    task->link.op = NEAP_POOL_TAKE;
    task->link.number = (int64_t)worker->id;
    return runner->extra ? await_extra(L, task) : neap_await(L, &task->link, 1, NEAP_FOREVER, taken);
}

/* --- runners --- */

static void lend_one(lua_State *L, struct worker *worker);

static int runner_collected(lua_State *L) {
    struct runner *runner = lua_touserdata(L, 1);
    struct worker *worker = runner->worker;
    if (worker == NULL) return 0;
    neap_list_remove(&runner->node);
    if (runner->extra)
        worker->extras--;
    else
        worker->own--;
    forget(runner);
    runner->worker = NULL;
    lua_getiuservalue(L, 1, 1);
    lend_one(L, worker);
    return 0;
}

static void set_class(lua_State *L, const void *key, const luaL_Reg *methods, const luaL_Reg *metamethods) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 4);
        luaL_setfuncs(L, metamethods, 0);
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    }
    lua_setmetatable(L, -2);
}

/* Pushes a runner of the worker at `index`. */
static void push_runner(lua_State *L, int index, bool extra) {
    static const luaL_Reg methods[] = {{"step", runner_step}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", runner_collected}, {"__close", runner_collected}, {NULL, NULL}};
    index = lua_absindex(L, index);
    struct runner *runner = lua_newuserdatauv(L, sizeof *runner, 1);
    memset(runner, 0, sizeof *runner);
    neap_list_init(&runner->node);
    neap_outcome_init(&runner->outcome);
    set_class(L, &runner_key, methods, metamethods);
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    runner->worker = lua_touserdata(L, index);
    runner->extra = extra;
    if (extra)
        runner->worker->extras++;
    else
        runner->worker->own++;
}

static int worker_runner(lua_State *L) {
    check_worker(L);
    push_runner(L, 1, false);
    return 1;
}

/* --- what it is asked --- */

static void carry_out(lua_State *L, struct worker *worker, struct neap_task *listener) {
    uint64_t work = (uint64_t)listener->link.number / NEAP_POOL_REQUESTS;
    int request = (int)(listener->link.number % NEAP_POOL_REQUESTS);
    for (struct neap_list *node = worker->runners.next; node != &worker->runners; node = node->next) {
        struct runner *runner = NEAP_CONTAINER_OF(node, struct runner, node);
        if (runner->work != work) continue;
        runner->dropped = true;
        if (request != NEAP_WORK_CANCEL) return;
        neap_decode_take(L, &listener->link.message);
        runner->region.reason = luaL_ref(L, LUA_REGISTRYINDEX);
        if (runner->region.reason == LUA_REFNIL) runner->region.reason = 0;
        runner->region.cancelled = true;
        neap_task_interrupt(runner->task);
        return;
    }
    worker->missed = work;
}

static int heard(lua_State *L, struct neap_task *task, int code) {
    struct worker *worker = lua_touserdata(L, 1);
    bool asked = code >= 0 && task->link.result == 0;
    if (asked && worker->pool != NULL) carry_out(L, worker, task);
    neap_message_fini(&task->link.message);
    lua_pushboolean(L, asked);
    return 1;
}

static int worker_listen(lua_State *L) {
    struct worker *worker = lua_touserdata(L, 1);
    lua_settop(L, 1);
    if (worker->pool == NULL) { /* closed, before a listener that is cancelled has had its turn */
        lua_pushboolean(L, 0);
        return 1;
    }
    struct neap_task *task = neap_await_begin(L);
    task->link.object = worker->pool;
    task->link.op = NEAP_POOL_LISTEN;
    task->link.number = (int64_t)worker->id;
    if (worker->missed != 0) {
        neap_message_set_kind(&task->link.message, NEAP_MESSAGE_INTEGER);
        task->link.message.integer = (int64_t)worker->missed;
        worker->missed = 0;
    }
    return neap_await(L, &task->link, 1, NEAP_FOREVER, heard);
}

/* --- lending --- */

static bool is_for_own_pool(const struct neap_task *task) {
    for (uint32_t i = 0; i < task->wait.link_count; i++) {
        const struct neap_link *link = &task->wait.links[i];
        struct neap_object *object = link->object;
        bool is_pool = object->class == &neap_pool_class || object->class == &neap_proxy_classes[NEAP_KIND_POOL];
        if (neap_pool_tag_of_future(object) == *neap_task_pool(task)) return true;
        if (is_pool && (link->op & NEAP_OP_MASK) == NEAP_POOL_SUBMIT && neap_pool_tag(object) == *neap_task_pool(task))
            return true;
        if (neap_watch_is_for_pool(object, *neap_task_pool(task))) return true;
    }
    return false;
}

/* Protected: (worker): one more runner. */
static int spawn_extra(lua_State *L) {
    const struct neap_task_options options = {.name = "extra worker", .flags = NEAP_TASK_DAEMON | NEAP_TASK_QUIET};
    lua_getiuservalue(L, 1, EXTRA);
    push_runner(L, 1, true);
    neap_task_spawn(L, 1, &options);
    return 0;
}

/* The worker is on top of the stack: one more runner, if it needs one. */
static void lend_one(lua_State *L, struct worker *worker) {
    bool ends = worker->pool == NULL || worker->is_served || !neap_vm_of(L)->open;
    if (ends || worker->extras >= extras_wanted(worker)) return;
    lua_pushcfunction(L, spawn_extra);
    lua_pushvalue(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* No finaliser may run meanwhile: the task's wait is open already. Without memory for another runner there is none: the
 * work may wait for ever, as anybody else's. */
void neap_worker_lend(lua_State *L, struct neap_task *task) {
    if (!is_for_own_pool(task) || !lua_checkstack(L, 6)) return;
    bool collects = lua_gc(L, LUA_GCISRUNNING);
    lua_gc(L, LUA_GCSTOP);
    struct worker *worker = push_worker_of(L, *neap_task_pool(task));
    if (worker != NULL) {
        worker->lent++;
        task->flags |= NEAP_TASK_LENDS;
        lend_one(L, worker);
    }
    lua_pop(L, 1);
    if (collects) lua_gc(L, LUA_GCRESTART);
}

void neap_worker_take_back(struct neap_task *task) {
    task->flags &= (uint16_t)~NEAP_TASK_LENDS;
    if (!lua_checkstack(neap_task_vm(task)->main, 2)) return;
    struct worker *worker = find_worker(neap_task_vm(task)->main, *neap_task_pool(task));
    if (worker == NULL || worker->lent == 0) return;
    worker->lent--;
    uint32_t wanted = extras_wanted(worker), spare = worker->extras > wanted ? worker->extras - wanted : 0;
    for (struct neap_list *node = worker->runners.next; node != &worker->runners && spare > 0; node = node->next) {
        struct runner *runner = NEAP_CONTAINER_OF(node, struct runner, node);
        bool idle = runner->extra && runner->work == 0;
        if (idle && neap_wait_interrupt(&runner->task->wait, NEAP_WAIT_INTERRUPTED)) spare--;
    }
}

/* Waits of its work that go on after it. The next worker of the pool in this state has not counted them. */
static void forget_waits(struct neap_vm *vm, uint32_t pool) {
    for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next) {
        struct neap_task *task = NEAP_CONTAINER_OF(node, struct neap_task, node);
        if (*neap_task_pool(task) == pool) task->flags &= (uint16_t)~NEAP_TASK_LENDS;
    }
}

/* --- a worker's life --- */

static int worker_close(lua_State *L) {
    struct worker *worker = lua_touserdata(L, 1);
    struct neap_object *pool = worker->pool;
    if (pool == NULL) return 0;
    worker->pool = NULL;
    if (push_worker_of(L, worker->tag) == worker) {
        forget_waits(neap_vm_of(L), worker->tag);
        push_workers(L);
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)worker->tag);
    }
    neap_object_unref(pool);
    return 0;
}

/* worker:give_up(err, traceback) */
static int worker_give_up(lua_State *L) {
    enum neap_future_state state = NEAP_FUTURE_FAILED;
    struct worker *worker = check_worker(L);
    lua_settop(L, 3);
    lua_insert(L, 2);
    struct neap_outcome *outcome = neap_outcome_make(L, 1, &state);
    if (outcome == NULL) return luaL_error(L, "not enough memory");
    neap_outcome_add_traceback(L, outcome, 2);
    struct neap_proxy *proxy = neap_remote_test(worker->pool);
    if (proxy == NULL) {
        neap_pool_break((struct neap_pool *)worker->pool, outcome);
        return 0;
    }
    tell_outcome(L, proxy, NEAP_POOL_BREAK, 0, state, outcome);
    neap_outcome_free(outcome);
    return 0;
}

int neap_worker_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"runner", worker_runner}, {"listen", worker_listen}, {"give_up", worker_give_up}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", worker_close}, {"__close", worker_close}, {NULL, NULL}};
    struct neap_object *pool = neap_box_check(L, 1, NEAP_HANDLE_POOL);
    lua_Integer id = neap_argument_integer(L, 2), count = neap_argument_integer(L, 3);
    neap_argument_type(L, 4, LUA_TFUNCTION);
    struct worker *worker = lua_newuserdatauv(L, sizeof *worker, WORKER_VALUES);
    worker->pool = NULL;
    worker->id = (uint64_t)id;
    worker->task = neap_task_current(L);
    worker->tag = neap_pool_tag(pool);
    worker->left = count == 0 ? UINT64_MAX : (uint64_t)count;
    neap_list_init(&worker->runners);
    worker->missed = 0;
    worker->lent = worker->own = worker->extras = 0;
    worker->is_served = false;
    neap_vm_of(L)->calls_work = calls_work;
    set_class(L, &worker_key, methods, metamethods);
    lua_pushvalue(L, 4);
    lua_setiuservalue(L, -2, EXTRA);
    push_workers(L);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)worker->tag);
    lua_pop(L, 1);
    worker->pool = neap_object_ref(pool);
    return 1;
}

/* --- the work of a map --- */

enum { MAP_FUNCTION = 1, MAP_ITEMS, MAP_COUNT, MAP_SPREAD, MAP_COLLECT, MAP_RESULTS, MAP_ERRORS, MAP_TOP = MAP_ERRORS };

/* The runner of `task`; NULL: it is none. */
static struct runner *find_runner(lua_State *L, const struct neap_task *task) {
    struct worker *worker = *neap_task_pool(task) != 0 ? find_worker(L, *neap_task_pool(task)) : NULL;
    if (worker == NULL) return NULL;
    for (struct neap_list *node = worker->runners.next; node != &worker->runners; node = node->next) {
        struct runner *runner = NEAP_CONTAINER_OF(node, struct runner, node);
        if (runner->task == task) return runner;
    }
    return NULL;
}

/* Ends work that need not go on. */
static void check_dropped(lua_State *L, struct neap_task *task, struct runner *runner) {
    if (runner == NULL || !runner->dropped) return;
    runner->region.cancelled = true;
    task->flags |= NEAP_TASK_PENDING;
    neap_cancel_check(L, task);
}

/* Pushes the function and its arguments for item `at`; returns how many arguments. */
static int push_item(lua_State *L, lua_Integer at) {
    lua_pushvalue(L, MAP_FUNCTION);
    lua_rawgeti(L, MAP_ITEMS, at);
    if (!lua_istable(L, MAP_SPREAD)) return 1;
    int list = lua_gettop(L);
    lua_rawgeti(L, MAP_SPREAD, at);
    lua_Integer count = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (count > LUAI_MAXSTACK || !lua_checkstack(L, (int)count)) luaL_error(L, "too many arguments");
    for (int i = 1; i <= (int)count; i++) lua_rawgeti(L, list, i);
    lua_remove(L, list);
    return lua_gettop(L) - list + 1;
}

/* Keeps what the call for item `at` has left on top of the stack. An error may be nil, too. */
static void keep_tried(lua_State *L, bool failed, lua_Integer at) {
    if (failed && lua_isnil(L, -1)) {
        lua_pop(L, 1);
        neap_codec_push_null(L);
    }
    lua_rawseti(L, failed ? MAP_ERRORS : MAP_RESULTS, at);
}

static int map_called(lua_State *L, int status, lua_KContext at);
static int map_tried(lua_State *L, int status, lua_KContext context);

/* From item `at` on. */
static int map_on(lua_State *L, lua_Integer at) {
    struct neap_task *task = neap_task_current(L);
    struct runner *runner = find_runner(L, task);
    lua_Integer count = lua_tointeger(L, MAP_COUNT);
    bool collect = lua_toboolean(L, MAP_COLLECT);
    for (; at <= count; at++) {
        check_dropped(L, task, runner);
        int arguments = push_item(L, at);
        if (!collect) {
            lua_callk(L, arguments, 1, at, map_called);
            lua_rawseti(L, MAP_RESULTS, at);
            continue;
        }
        uint16_t depth = neap_cancel_enter(task);
        lua_KContext context = (lua_KContext)at << 16 | depth;
        int status = lua_pcallk(L, arguments, 1, 0, context, map_tried);
        neap_cancel_leave(task, depth, status != LUA_OK);
        keep_tried(L, status != LUA_OK, at);
        if (status != LUA_OK) neap_cancel_check(L, task);
    }
    lua_settop(L, MAP_TOP);
    return 2;
}

static int map_called(lua_State *L, int status, lua_KContext at) {
    (void)status;
    lua_rawseti(L, MAP_RESULTS, at);
    return map_on(L, at + 1);
}

static int map_tried(lua_State *L, int status, lua_KContext context) {
    struct neap_task *task = neap_task_current(L);
    lua_Integer at = context >> 16;
    bool failed = status != LUA_YIELD;
    neap_cancel_leave(task, (uint16_t)(context & 0xffff), failed);
    keep_tried(L, failed, at);
    if (failed) neap_cancel_check(L, task);
    return map_on(L, at + 1);
}

int neap_worker_map(lua_State *L) {
    lua_settop(L, MAP_COLLECT);
    lua_Integer count = neap_argument_integer(L, MAP_COUNT);
    neap_argument_type(L, MAP_ITEMS, LUA_TTABLE);
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    lua_newtable(L);
    return map_on(L, 1);
}
