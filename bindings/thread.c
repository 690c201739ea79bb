/* thread: from neap.thread to the end of an OS thread.
 *
 * START      The function and its arguments are encoded by the spawner, so what cannot be sent raises there. The mailbox of the new
 *            loop is made by the spawner too: the handle can be cancelled and joined before the thread has begun.
 * LIFE       The thread makes a state, spawns a main task that decodes and calls the function, and turns its loop until that
 *            task and every other one that is not daemon has ended, or that task has failed or the thread was cancelled;
 *            then it cancels what is left and waits for it (ending.c).
 * END        The job ends when all of its tasks have: what they held has been released, what they printed is written.
 *            Only then is the state closed, while who joined goes on already. */
#include "bindings/thread.h"

#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/await.h"
#include "bindings/codec.h"
#include "bindings/ending.h"
#include "bindings/failure.h"
#include "bindings/handle.h"
#include "bindings/libraries.h"
#include "bindings/module.h"
#include "bindings/report.h"
#include "bindings/slice.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/engine.h"

enum { ORIGIN_MAX = 2048 };

static const char *const path_fields[] = {"path", "cpath"}; /* of package */

/* What a new thread is given; freed by it. */
struct start {
    struct neap_mailbox *mailbox;  /* of its loop; a reference */
    struct neap_message function;  /* owned */
    struct neap_message arguments; /* owned */
    struct neap_message paths;     /* where the spawner looks for modules: package.path and cpath. Owned */
    char *origin;                  /* where it was spawned; goes to the vm. Owned */
    uint16_t flags;                /* NEAP_TASK_QUIET */
    int slice_signal;              /* what the spawner has: see slice.h */
    double slice;                  /* likewise; seconds */
};

static void free_start(struct start *start) {
    neap_message_fini(&start->function);
    neap_message_fini(&start->arguments);
    neap_message_fini(&start->paths);
    if (start->mailbox != NULL) neap_mailbox_unref(start->mailbox);
    neap_free(start->origin);
    neap_free(start);
}

/* --- in the new thread --- */

static int body_returned(lua_State *L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    return lua_gettop(L);
}

/* Looks for modules where the spawner does. */
static void set_paths(lua_State *L, const struct start *start) {
    int count = neap_decode_all(L, &start->paths), top = lua_gettop(L);
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (count == 2 && lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE) {
        for (int i = 0; i < 2; i++) {
            lua_pushvalue(L, top - 1 + i);
            lua_setfield(L, -2, path_fields[i]);
        }
    }
    lua_settop(L, top - count);
}

/* The main task: (start). Decodes what it was given and calls it. */
static int thread_body(lua_State *L) {
    struct start *start = lua_touserdata(L, 1);
    lua_settop(L, 0);
    set_paths(L, start);
    neap_decode(L, &start->function);
    int count = neap_decode_all(L, &start->arguments);
    lua_callk(L, count, LUA_MULTRET, 0, body_returned);
    return lua_gettop(L);
}

/* Protected: (vm, start, job). */
static int open_state(lua_State *L) {
    struct neap_vm *vm = lua_touserdata(L, 1);
    struct start *start = lua_touserdata(L, 2);
    struct neap_task_options options = {.flags = start->flags | NEAP_TASK_MAIN, .job = lua_touserdata(L, 3)};
    neap_libraries_open(L);
    neap_vm_open(vm, L);
    neap_libraries_replace(L);
    lua_pushcfunction(L, thread_body);
    lua_pushlightuserdata(L, start);
    neap_task_spawn(L, 1, &options);
    return 0;
}

static bool is_over(void *argument) {
    const struct neap_vm *vm = argument;
    if (vm->outcome_state == 0) return false;
    return vm->needed == 0 || vm->outcome_state != NEAP_FUTURE_DONE ||
           atomic_load_explicit(&vm->job->cancel_requested, memory_order_acquire);
}

static void run_tasks(struct neap_vm *vm) {
    neap_loop_run(&vm->loop, is_over, vm);
    neap_ending_run_tasks(vm);
}

/* The thread could not be brought up, or its main task left nothing: out of memory. */
static struct neap_outcome *make_failure(void) {
    struct neap_outcome *outcome = neap_outcome_new();
    static const char text[] = "not enough memory";
    if (outcome == NULL) return NULL;
    outcome->value.kind = NEAP_MESSAGE_TEXT;
    outcome->value.length = sizeof text - 1;
    memcpy(outcome->value.text, text, sizeof text - 1);
    return outcome;
}

static void end_job(struct neap_engine *engine, struct neap_job *job, struct neap_vm *vm) {
    enum neap_future_state state = vm != NULL ? (enum neap_future_state)vm->outcome_state : NEAP_FUTURE_NEW;
    struct neap_outcome *outcome = vm != NULL ? vm->outcome : NULL;
    job->task = NULL;
    if (outcome == NULL) {
        outcome = make_failure();
        state = NEAP_FUTURE_FAILED;
        if (job->scope == NULL) atomic_fetch_add_explicit(&engine->failures, 1, memory_order_relaxed);
        char name[NEAP_JOB_NAME_MAX + 1];
        neap_job_get_name(job, name);
        neap_report_print("neap: thread %s failed: not enough memory\n", name);
    }
    if (vm != NULL) vm->outcome = NULL;
    struct neap_scope *scope = job->scope;
    uint64_t id = job->id;
    neap_future_end(&job->future, state, outcome);
    if (scope != NULL) neap_scope_leave(scope, id, state == NEAP_FUTURE_FAILED);
}

static int run_thread(struct neap_thread *thread) {
    struct start *start = thread->argument;
    struct neap_vm *vm = neap_vm_new(thread->engine, start->mailbox);
    struct neap_arena *arena = vm != NULL ? neap_arena_new() : NULL;
    lua_State *L = arena != NULL ? lua_newstate(neap_arena_alloc, arena) : NULL;
    if (L != NULL) {
        neap_slice_inherit(vm, start->slice_signal, start->slice);
        vm->origin = start->origin;
        start->origin = NULL;
        vm->job = thread->job;
        neap_loop_here = &vm->loop;
        lua_pushcfunction(L, open_state);
        lua_pushlightuserdata(L, vm);
        lua_pushlightuserdata(L, start);
        lua_pushlightuserdata(L, thread->job);
        if (lua_pcall(L, 3, 0, 0) == LUA_OK) run_tasks(vm);
        neap_vm_close(vm);
        neap_libraries_flush(vm);
    }
    end_job(thread->engine, thread->job, vm);
    if (L != NULL) {
        lua_close(L);
        neap_libraries_flush(vm); /* of finalisers */
    }
    if (arena != NULL) neap_arena_free(arena);
    if (vm != NULL) neap_vm_free(vm);
    free_start(start);
    return 0;
}

/* --- in the spawner --- */

/* Where the new thread was spawned, as text. */
static char *copy_origin(lua_State *L) {
    char text[ORIGIN_MAX];
    struct neap_vm *vm = neap_vm_of(L);
    neap_site_write(neap_site_here(L), text, sizeof text);
    size_t own = strlen(text), before = vm->origin != NULL ? strlen(vm->origin) : 0;
    if (own + before >= ORIGIN_MAX) before = 0;
    char *origin = neap_alloc(own + before + 1);
    if (origin == NULL) return NULL;
    memcpy(origin, text, own);
    if (before > 0) memcpy(origin + own, vm->origin, before);
    origin[own + before] = '\0';
    return origin;
}

/* A script that has no such strings leaves the new thread its own. */
static void encode_paths(lua_State *L, struct start *start) {
    int top = lua_gettop(L), count = 0;
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE)
        for (int i = 0; i < 2; i++) count += lua_getfield(L, top + 2, path_fields[i]) == LUA_TSTRING;
    if (count == 2) neap_encode_all(L, top + 3, 2, &start->paths, "package.path");
    lua_settop(L, top);
}

/* A box that frees the start if an error comes before the thread does. */
static int start_collected(lua_State *L) {
    struct start **keeper = lua_touserdata(L, 1);
    if (*keeper != NULL) free_start(*keeper);
    *keeper = NULL;
    return 0;
}

static struct start **push_start(lua_State *L) {
    struct start **keeper = lua_newuserdatauv(L, sizeof(struct start *), 0);
    *keeper = NULL;
    if (luaL_newmetatable(L, "neap.thread.start")) {
        lua_pushcfunction(L, start_collected);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    *keeper = neap_alloc_zeroed(sizeof(struct start));
    if (*keeper == NULL) luaL_error(L, "not enough memory");
    return keeper;
}

void neap_thread_spawn(lua_State *L, int arguments, const struct neap_task_options *options) {
    struct neap_vm *vm = neap_vm_of(L);
    int function = lua_gettop(L) - arguments;
    neap_box_refuse_late(L, "thread");
    luaL_checkstack(L, 8, "thread");
    struct start **keeper = push_start(L);
    struct start *start = *keeper;
    neap_encode(L, function, &start->function, "function");
    neap_encode_all(L, function + 1, arguments, &start->arguments, "args");
    encode_paths(L, start);
    start->mailbox = neap_mailbox_new(&vm->engine->busy);
    start->flags = options->flags & NEAP_TASK_QUIET;
    start->slice_signal = vm->slice.signal;
    start->slice = vm->slice.seconds;
    start->origin = copy_origin(L);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_THREAD, sizeof *box, 0);
    struct neap_job *job = start->mailbox == NULL || start->origin == NULL
                               ? NULL
                               : neap_job_new(&neap_thread_job_class, start->mailbox, neap_engine_next_id(vm->engine));
    if (job == NULL) luaL_error(L, "not enough memory");
    box->object = &job->future.object;
    neap_box_register(L, -1, box->object);
    if (options->name != NULL) neap_job_set_name(job, options->name);
    atomic_store_explicit(&job->daemon, (options->flags & NEAP_TASK_DAEMON) != 0, memory_order_relaxed);
    atomic_store_explicit(&job->future.state, NEAP_FUTURE_RUNNING, memory_order_relaxed);
    if (options->flags & NEAP_TASK_CANCELLED) {
        if (options->reason != 0) neap_encode(L, options->reason, &job->reason, "reason");
        neap_job_cancel_early(job);
    }
    if (options->scope != NULL) {
        job->scope = options->scope;
        neap_object_share(&options->scope->object);
        neap_scope_enter(options->scope);
    }
    neap_object_ref(&job->future.object); /* the thread's */
    int code = neap_thread_start(vm->engine, job, run_thread, start);
    if (code != 0) {
        neap_object_unref(&job->future.object);
        if (options->scope != NULL) neap_scope_leave(options->scope, job->id, false);
        if (code == NEAP_CLOSED) neap_ending_refuse(L, "start a thread");
        luaL_error(L, "cannot start a thread: %s", neap_code_name(code));
    }
    *keeper = NULL;
    lua_replace(L, function);
    lua_settop(L, function);
}

/* neap.thread([options,] fn, ...) */
static int run_spawn_thread(lua_State *L) {
    struct neap_task_options options;
    int function = neap_run_options(L, 1, &options);
    luaL_checktype(L, function, LUA_TFUNCTION);
    neap_thread_spawn(L, lua_gettop(L) - function, &options);
    return 1;
}

/* --- who runs --- */

/* Threads that were found alive; lies in a userdata, which drops the references. */
struct listing {
    int count, room;               /* of objects: found, allocated. `count` may be more than there is room for */
    struct neap_object *objects[]; /* a reference each */
};

static int listing_collected(lua_State *L) {
    struct listing *listing = lua_touserdata(L, 1);
    for (int i = 0; i < listing->count && i < listing->room; i++) neap_object_unref(listing->objects[i]);
    listing->count = 0;
    return 0;
}

static struct listing *push_listing(lua_State *L, int room) {
    neap_box_refuse_late(L, "list of threads");
    struct listing *listing = lua_newuserdatauv(L, sizeof *listing + (size_t)room * sizeof listing->objects[0], 0);
    listing->count = 0;
    listing->room = room;
    if (luaL_newmetatable(L, "neap.thread.listing")) {
        lua_pushcfunction(L, listing_collected);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return listing;
}

/* The engine's guard is held. */
static void note(struct neap_job *job, void *argument) {
    struct listing *listing = argument;
    if (neap_future_has_ended(&job->future)) return;
    if (listing->count < listing->room) listing->objects[listing->count] = neap_object_ref(&job->future.object);
    listing->count++;
}

/* neap.threads() */
static int list_threads(lua_State *L) {
    struct neap_engine *engine = neap_vm_of(L)->engine;
    struct listing *listing = NULL;
    for (int room = 8; listing == NULL || listing->count > listing->room; room = listing->count + 8) {
        lua_settop(L, 0);
        listing = push_listing(L, room);
        neap_engine_each(engine, note, listing);
    }
    lua_createtable(L, listing->count, 0);
    for (int i = 0; i < listing->count; i++) {
        neap_box_push(L, listing->objects[i]);
        lua_rawseti(L, 2, i + 1);
    }
    return 1;
}

static int count_active(lua_State *L) {
    list_threads(L);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1) + 1);
    return 1;
}

const luaL_Reg neap_thread_functions[] = {
    {"thread", run_spawn_thread}, {"threads", list_threads}, {"active_count", count_active}, {NULL, NULL}};
