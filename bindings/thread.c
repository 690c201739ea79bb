/* thread: from neap.thread to the end of an OS thread.
 *
 * START      The function and its arguments are encoded by the spawner, so what cannot be sent raises there. The mailbox of the new
 *            loop is made by the spawner too: the handle can be cancelled and joined before the thread has begun.
 * LIFE       The thread makes a state, spawns a main task that decodes and calls the function, and turns its loop until that
 *            task and every other one that is not daemon has ended; then it cancels the daemons and waits for them.
 * END        The job ends when all of its tasks have: what they held has been released, what they printed is written.
 *            Only then is the state closed, while who joined goes on already. */
#include "bindings/thread.h"

#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/await.h"
#include "bindings/codec.h"
#include "bindings/failure.h"
#include "bindings/handle.h"
#include "bindings/libraries.h"
#include "bindings/module.h"
#include "core/arena.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/engine.h"

enum { ORIGIN_MAX = 2048, GRACE_SECONDS = 5 };

/* What a new thread is given; freed by it. */
struct start {
    struct neap_mailbox *mailbox;  /* of its loop; a reference */
    struct neap_message function;  /* owned */
    struct neap_message arguments; /* owned */
    char *origin;                  /* where it was spawned; goes to the vm. Owned */
    uint8_t flags;                 /* NEAP_TASK_QUIET */
};

static void free_start(struct start *start) {
    neap_message_fini(&start->function);
    neap_message_fini(&start->arguments);
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

/* The main task: (start). Decodes what it was given and calls it. */
static int thread_body(lua_State *L) {
    struct start *start = lua_touserdata(L, 1);
    lua_settop(L, 0);
    neap_decode(L, &start->function);
    int count = neap_decode_all(L, &start->arguments);
    lua_callk(L, count, LUA_MULTRET, 0, body_returned);
    return lua_gettop(L);
}

/* Protected: (vm, start, job). */
static int open_state(lua_State *L) {
    struct neap_vm *vm = lua_touserdata(L, 1);
    struct start *start = lua_touserdata(L, 2);
    struct neap_task_options options = {.flags = (uint8_t)(start->flags | NEAP_TASK_MAIN), .job = lua_touserdata(L, 3)};
    neap_libraries_open(L);
    neap_vm_open(vm, L);
    neap_libraries_replace(L);
    lua_pushcfunction(L, thread_body);
    lua_pushlightuserdata(L, start);
    neap_task_spawn(L, 1, &options);
    return 0;
}

static bool needs_nothing(void *vm) { return ((struct neap_vm *)vm)->needed == 0; }

static bool has_no_tasks(void *vm) { return neap_list_is_empty(&((struct neap_vm *)vm)->tasks); }

static void run_tasks(struct neap_vm *vm) {
    neap_loop_run(&vm->loop, needs_nothing, vm);
    neap_vm_stop(vm);
    neap_loop_run(&vm->loop, has_no_tasks, vm);
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
        vm->origin = start->origin;
        start->origin = NULL;
        neap_loop_here = &vm->loop;
        lua_pushcfunction(L, open_state);
        lua_pushlightuserdata(L, vm);
        lua_pushlightuserdata(L, start);
        lua_pushlightuserdata(L, thread->job);
        if (lua_pcall(L, 3, 0, 0) == LUA_OK) run_tasks(vm);
        neap_libraries_flush(L);
    }
    end_job(thread->engine, thread->job, vm);
    if (L != NULL) {
        neap_vm_close(vm);
        lua_close(L);
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
    luaL_checkstack(L, 8, "thread");
    struct start **keeper = push_start(L);
    struct start *start = *keeper;
    neap_encode(L, function, &start->function, "function");
    neap_encode_all(L, function + 1, arguments, &start->arguments, "args");
    start->mailbox = neap_mailbox_new(&vm->engine->busy);
    start->flags = options->flags & NEAP_TASK_QUIET;
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
        luaL_error(L, "cannot start a thread: %s", code == NEAP_CLOSED ? "the program is ending" : neap_code_name(code));
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

struct listing {
    struct neap_object *objects[1024]; /* a reference each */
    int count;
};

static void note(struct neap_job *job, void *argument) {
    struct listing *listing = argument;
    if (listing->count < 1024) listing->objects[listing->count++] = neap_object_ref(&job->future.object);
}

static int list_threads(lua_State *L) {
    struct listing listing = {.count = 0};
    neap_engine_each(neap_vm_of(L)->engine, note, &listing);
    lua_createtable(L, listing.count, 0);
    lua_Integer live = 0;
    for (int i = 0; i < listing.count; i++) {
        if (!neap_future_has_ended((struct neap_future *)listing.objects[i])) {
            neap_box_push(L, listing.objects[i]);
            lua_rawseti(L, -2, ++live);
        }
        neap_object_unref(listing.objects[i]);
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
