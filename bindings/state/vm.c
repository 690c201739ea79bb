/* vm: from the birth to the end of a state.
 *
 * CLOSING    When no task runs any more, those that still wait are taken out of what they wait on, and what they hold
 *            is abandoned. Then lua_close runs finalisers, which may use what they have: a ghost stands in for root,
 *            whose record lies in Lua. It is abandoned when the state has gone. */
#include "bindings/state/vm.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/codec/permanent.h"
#include "bindings/handle/box.h"
#include "bindings/module.h"
#include "bindings/report/failure.h"
#include "bindings/state/site.h"
#include "bindings/state/spare.h"
#include "bindings/task/coroutine.h"
#include "bindings/task/ring.h"
#include "bindings/task/slice.h"
#include "bindings/task/task.h"
#include "bindings/task/task_body.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/engine.h"
#include "sync/future.h"
#include "sync/scope.h"

enum { FIRST_BUDGET = 512 };

static int open_registry(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    neap_anchors_open(L, &vm->handles);
    neap_anchors_open(L, &vm->pool);
    neap_codec_open(L);
    if (vm->foreign) { /* a script may have kept what is replaced from here on: it goes by the same name */
        lua_pushcfunction(L, neap_permanent_name_functions);
        lua_call(L, 0, 0);
    }
    neap_coroutine_open(L);
    vm->root = neap_task_new_root(L);
    vm->current = vm->root;
    neap_failure_replace(L);
    return 0;
}

struct neap_vm *neap_vm_new(struct neap_engine *engine, struct neap_mailbox *mailbox) {
    struct neap_vm *vm = neap_alloc_zeroed(sizeof *vm);
    if (vm == NULL) return NULL;
    vm->engine = engine;
    neap_loop_init_over(&vm->loop, neap_mailbox_ref(mailbox), engine->stuck);
    vm->loop.context = vm;
    vm->loop.idle = neap_spare_make_ahead;
    vm->loop.watch = &neap_lookout_watch;
    vm->loop.watched = &engine->lookout;
    neap_list_init(&vm->tasks);
    neap_list_init(&vm->node);
    vm->budget = FIRST_BUDGET;
    vm->open = true;
    neap_slice_init(vm);
    return vm;
}

void neap_vm_open(struct neap_vm *vm, lua_State *L) {
    *(struct neap_vm **)lua_getextraspace(L) = vm;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    vm->main = lua_tothread(L, -1);
    lua_pop(L, 1);
    *(struct neap_vm **)lua_getextraspace(vm->main) = vm;
    lua_pushcfunction(L, open_registry);
    lua_call(L, 0, 0);
    neap_guard_lock(&vm->engine->guard);
    neap_list_push_back(&vm->engine->states, &vm->node);
    neap_guard_unlock(&vm->engine->guard);
    neap_slice_open(vm);
}

void neap_vm_stop(struct neap_vm *vm) {
    vm->open = false;
    neap_slice_stop(vm);
    for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next) {
        struct neap_task *task = NEAP_CONTAINER_OF(node, struct neap_task, node);
        if (task->flags & NEAP_TASK_HANDLER && !neap_task_has_begun(task)) continue;
        task->flags |= NEAP_TASK_CANCELLED;
        neap_task_interrupt(task);
    }
}

static void arrive(struct neap_runnable *runnable) {
    NEAP_CONTAINER_OF(runnable, struct neap_task, wait.runnable)->flags |= NEAP_TASK_TURN;
}

static bool has_arrived(void *task) { return (((struct neap_task *)task)->flags & NEAP_TASK_TURN) != 0; }

/* Takes a task that will never run again out of what it waits on. When another thread has claimed its wait, that thread
 * still has to queue it: the record must not go before. */
static void abandon(struct neap_task *task) {
    if (!neap_ring_is_out_of(task)) neap_ring_leave(task);
    if (!neap_wait_abandon(&task->wait) && atomic_load(&task->wait.state) != NEAP_WAIT_IDLE) {
        neap_loop_run(&neap_task_vm(task)->loop, has_arrived, task);
        neap_wait_end(&task->wait);
    }
    neap_message_fini(&task->link.message);
    neap_owner_end(&task->wait.own);
}

/* Other threads learn that an abandoned task will not go on, and reach it no more. */
static void end_job(struct neap_job *job) {
    struct neap_outcome *outcome = neap_outcome_new();
    job->task = NULL;
    if (outcome == NULL) return; /* who joins it waits for ever */
    neap_message_set_text(&outcome->value, "its thread ended before it did");
    neap_future_end(&job->future, NEAP_FUTURE_CANCELLED, outcome);
}

static void abandon_all(struct neap_vm *vm) {
    struct neap_list *node;
    for (node = vm->tasks.next; node != &vm->tasks; node = node->next) {
        struct neap_task *task = NEAP_CONTAINER_OF(node, struct neap_task, node);
        task->wait.runnable.run = arrive;
        task->flags &= (uint16_t)~NEAP_TASK_TURN;
    }
    while ((node = neap_list_pop_front(&vm->tasks)) != NULL) {
        struct neap_task *task = NEAP_CONTAINER_OF(node, struct neap_task, node);
        abandon(task);
        neap_task_leave_scope(task, false);
        struct neap_job *job = neap_task_known_job(task);
        if (job != NULL && job != vm->job) end_job(job);
    }
    if (vm->root != NULL) abandon(vm->root);
}

/* Finalisers of a state that is being closed may still take locks, and root goes while others follow: see CLOSING. */
static void haunt(struct neap_vm *vm) {
    if (vm->root == NULL || vm->ghost != NULL) return;
    vm->ghost = neap_task_new_ghost(vm);
    if (vm->ghost != NULL) vm->root = vm->current = vm->ghost;
}

static void exorcise(struct neap_vm *vm) {
    if (vm->ghost != NULL) neap_task_free_ghost(vm->ghost);
}

void neap_vm_close(struct neap_vm *vm) {
    vm->open = false;
    vm->closed = true;
    neap_failure_tell_unheard(vm);
    neap_guard_lock(&vm->engine->guard);
    neap_list_remove(&vm->node);
    neap_guard_unlock(&vm->engine->guard);
    neap_slice_close(vm);
    abandon_all(vm);
    haunt(vm);
    neap_box_drop_late(vm);
    neap_loop_drain(&vm->loop);
}

void neap_vm_free(struct neap_vm *vm) {
    struct neap_loop *here = neap_loop_here;
    exorcise(vm);
    neap_loop_fini(&vm->loop);
    if (here == &vm->loop) neap_loop_here = NULL;
    neap_codec_close(vm);
    neap_site_close(vm);
    neap_outcome_free(vm->outcome);
    neap_free(vm->idle);
    neap_free(vm->origin);
    neap_free(vm->output.bytes);
    neap_free(vm->output.warning);
    neap_free(vm->late);
    neap_free(vm);
}
