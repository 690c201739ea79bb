/* plain: `require "neap"` in a plain lua5.4, or in any state that a host made itself. The
 * state gets an engine of its own.
 *
 * MAIN CHUNK  It is no task: a wait turns the loop until it is done. When nothing can ever end that wait, it raises an
 *             error that lists who waits for what.
 * OS.EXIT     Asks for an orderly end, as in the runner; the main chunk carries it out, at once or in the wait that it
 *             is in, and then calls the original with the same status. From a thread it takes effect
 *             when the main chunk waits.
 * CLOSING     lua5.4 closes its state when the main chunk has ended, and finalises everything that a task could use: so
 *             tasks that have not ended, and work of pools, are dropped, which is said on stderr. Threads have states
 *             of their own: those that are not daemon are waited for, the others cancelled.
 * GIVEN UP    What has not ended in time stays, and the state is closed without it. At the end of the process libuv's
 *             destructor joins its threads, and would wait for what these do: so the process leaves before that.
 * SLICES      Are on if nobody in the process uses their signal.
 * NOT OURS    The exit status, the other signals and the error message of the main chunk are lua5.4's. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bindings/handle/classes.h"
#include "bindings/handle/remote.h"
#include "bindings/module.h"
#include "bindings/report/failure.h"
#include "bindings/report/report.h"
#include "bindings/state/libraries.h"
#include "bindings/state/vm.h"
#include "bindings/task/coroutine.h"
#include "bindings/task/ending.h"
#include "bindings/task/task.h"
#include "bindings/task/task_job.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/pulse.h"
#include "host/engine.h"

/* Outlives the state if threads do. */
struct plain {
    struct neap_engine engine;
    struct neap_vm *vm;
    char *deadlock; /* what the main chunk is to be told: see neap_report_waiting; NULL: nothing */
};

/* Registry keys, by address. */
static const char plain_key; /* a userdata that closes the engine */
static const char exit_key;  /* the original os.exit */

static struct plain *plain_of(struct neap_vm *vm) { return NEAP_CONTAINER_OF(vm->engine, struct plain, engine); }

static bool exit_was_asked(const struct plain *plain) {
    return atomic_load_explicit(&plain->engine.exit_status, memory_order_acquire) >= 0;
}

/* --- deadlocks --- */

/* Every loop waits for another. See WHO MAY LOOK in report.c. */
static void on_deadlock(struct neap_loop *loop) {
    struct neap_vm *vm = loop->context;
    if (vm != vm->engine->context) {
        neap_mailbox_notify(vm->engine->main);
        return;
    }
    struct plain *plain = plain_of(vm);
    free(plain->deadlock);
    plain->deadlock = neap_report_waiting(vm->engine, true);
    vm->root->flags |= NEAP_TASK_PENDING;
    if (neap_wait_interrupt(&vm->root->wait, NEAP_WAIT_INTERRUPTED)) return;
    /* the state is being closed, and threads are waited for */
    neap_report_print("neap: %s\n", plain->deadlock != NULL ? plain->deadlock : "deadlock");
    neap_engine_exit(vm->engine, 1);
}

/* --- the end --- */

/* Ends the process, in order; the main chunk's frame. Does not return. */
static void leave(lua_State *L, struct plain *plain) {
    int status = atomic_load(&plain->engine.exit_status);
    plain->vm->interrupted = NULL; /* the variables that are closed with the state may wait */
    bool ended = neap_ending_run(plain->vm);
    neap_failure_report_unread(plain->vm);
    if (!ended) {
        neap_libraries_flush_if_free(plain->vm);
        _exit(status); /* what the threads that are left use must stay */
    }
    luaL_checkstack(L, 3, "os.exit");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &exit_key);
    lua_pushinteger(L, status);
    lua_pushboolean(L, true);
    lua_call(L, 2, 0);
}

/* The main chunk's wait was interrupted. */
static int interrupted(lua_State *L) {
    struct plain *plain = plain_of(neap_vm_of(L));
    if (exit_was_asked(plain)) leave(L, plain);
    if (plain->deadlock == NULL) return 0;
    luaL_where(L, 1);
    lua_pushstring(L, plain->deadlock);
    free(plain->deadlock);
    plain->deadlock = NULL;
    lua_concat(L, 2);
    return lua_error(L);
}

/* os.exit([status [, close]]) */
static int plain_exit(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    struct plain *plain = plain_of(vm);
    int status = neap_libraries_exit_status(L);
    if (vm->current != vm->root) return neap_libraries_exit(L, status);
    neap_engine_exit(vm->engine, status);
    leave(L, plain);
    return 0;
}

static bool needs_no_thread(void *argument) {
    struct plain *plain = argument;
    return exit_was_asked(plain) || !neap_engine_is_needed(&plain->engine);
}

static void free_plain(struct plain *plain) {
    if (plain->vm != NULL) neap_vm_free(plain->vm);
    neap_engine_fini(&plain->engine);
    free(plain->deadlock);
    neap_free(plain);
}

/* The last finaliser may come after ours: everything stays until the state has gone. What a
 * state frees last is its own block. */
struct last_words {
    lua_Alloc allocate; /* as it was */
    void *argument;     /* of allocate */
    const void *state;  /* the block that is freed last */
    struct plain *plain;
};

static void *allocate_last(void *argument, void *block, size_t old_size, size_t new_size) {
    struct last_words *last_words = argument;
    bool over = block == last_words->state && new_size == 0;
    void *result = last_words->allocate(last_words->argument, block, old_size, new_size);
    if (over) {
        free_plain(last_words->plain);
        neap_free(last_words);
    }
    return result;
}

static void free_with_state(lua_State *L, struct plain *plain) {
    struct last_words *last_words = neap_alloc(sizeof *last_words);
    if (last_words == NULL) return; /* it stays */
    last_words->allocate = lua_getallocf(L, &last_words->argument);
    last_words->state = lua_getextraspace(plain->vm->main);
    last_words->plain = plain;
    lua_setallocf(L, allocate_last, last_words);
}

/* What the end of the state has cut off. */
static void tell_dropped(const struct neap_vm *vm) {
    static const char closed[] = "neap: the state was closed while";
    if (vm->needed == 1)
        neap_report_print("%s a task had not ended: wait for it, or make it daemon\n", closed);
    else if (vm->needed > 1)
        neap_report_print("%s %u tasks had not ended: wait for them, or make them daemon\n", closed,
                          (unsigned)vm->needed);
    if (vm->dropped == 1)
        neap_report_print("%s a job of a pool had not ended: join the pool\n", closed);
    else if (vm->dropped > 1)
        neap_report_print("%s %llu jobs of pools had not ended: join the pools\n", closed,
                          (unsigned long long)vm->dropped);
}

#ifdef __GLIBC__

static void leave_early(int status, void *vm) {
    neap_libraries_flush_if_free(vm);
    _exit(status);
}

/* See GIVEN UP. */
static void arrange_to_leave(struct neap_vm *vm) { on_exit(leave_early, vm); }

#else /* the status is not told */

static void arrange_to_leave(struct neap_vm *vm) { (void)vm; }

#endif

static int plain_collected(lua_State *L) {
    struct plain **keeper = lua_touserdata(L, 1), *plain = *keeper;
    if (plain == NULL) return 0;
    *keeper = NULL;
    if (plain->vm == NULL || plain->vm->root == NULL) {
        free_plain(plain);
        return 0;
    }
    struct neap_vm *vm = plain->vm;
    neap_vm_close(vm);
    if (!exit_was_asked(plain)) tell_dropped(vm);
    neap_loop_run(&vm->loop, needs_no_thread, plain);
    bool ended = neap_ending_run(vm);
    neap_failure_report_unread(vm);
    neap_libraries_flush_if_free(vm);
    if (ended)
        free_with_state(L, plain);
    else
        arrange_to_leave(vm);
    return 0;
}

/* --- opening --- */

static struct plain *push_plain(lua_State *L) {
    struct plain **keeper = lua_newuserdatauv(L, sizeof(struct plain *), 0);
    *keeper = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, plain_collected);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    struct plain *plain = neap_alloc_zeroed(sizeof *plain);
    if (plain == NULL) luaL_error(L, "not enough memory");
    neap_engine_init(&plain->engine);
    *keeper = plain;
    return plain;
}

static void replace_libraries(lua_State *L) {
    if (lua_getglobal(L, LUA_OSLIBNAME) != LUA_TTABLE) {
        neap_libraries_replace(L);
        lua_pop(L, 1);
        return;
    }
    lua_getfield(L, -1, "exit");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &exit_key);
    neap_libraries_replace(L);
    lua_pushcfunction(L, plain_exit);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

/* Somebody has taken the module out of package.loaded, and perhaps put the globals back as they were before it came: as
 * busted does between the files that it runs. */
static int open_again(lua_State *L) {
    neap_coroutine_replace(L);
    neap_failure_replace(L);
    neap_libraries_replace_print(L);
    return neap_module_open(L);
}

int luaopen_neap(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &plain_key) != LUA_TNIL) return open_again(L);
    struct plain *plain = push_plain(L);
    struct neap_engine *engine = &plain->engine;
    engine->stuck = on_deadlock;
    engine->slices = neap_pulse_is_free(engine->slice_signal);
    engine->classes = neap_packed_classes;
    engine->makers = &neap_remote_makers;
    engine->main = neap_mailbox_new(&engine->busy);
    if (engine->main == NULL) return luaL_error(L, "not enough memory");
    atomic_store(&engine->busy, 1);
    plain->vm = neap_vm_new(engine, engine->main);
    if (plain->vm == NULL) return luaL_error(L, "not enough memory");
    plain->vm->interrupted = interrupted;
    plain->vm->foreign = true;
    engine->context = plain->vm;
    neap_vm_open(plain->vm, L);
    neap_task_push(L, plain->vm->root);
    engine->main_job = (struct neap_job *)neap_object_ref(&neap_task_job(L, -1)->future.object);
    neap_job_set_name(engine->main_job, "main");
    lua_pop(L, 1);
    neap_loop_here = &plain->vm->loop;
    replace_libraries(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &plain_key);
    return neap_module_open(L);
}
