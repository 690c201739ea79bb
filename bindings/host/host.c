/* host: the life of an engine in a host.
 *
 * THE HOST COUNTS  In engine->busy it is one more loop that is never idle: something may always
 *                  come from it. So an engine of a
 *             host never takes itself for stuck, and its loops find it worth while to spin.
 * VISITS      The host's thread is inside the engine only while a function of neap.h runs there (neap_host_enter). Then
 *             neap_loop_here is the engine's loop, so that what wakes its tasks takes the short way and its signal
 *             finds it; outside it is what it was before: nothing, or the loop of another engine that the host is
 *             inside of. While the root waits (neap_engine_await) a task may call the host, and that call back: then
 *             another root stands in for it.
 * THE END     As the program's (bindings/program/program.c), but nothing ends the process: an engine
 *             whose threads do not end stays there. */
#include "bindings/host/host.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <string.h>

#include "bindings/handle/classes.h"
#include "bindings/handle/remote.h"
#include "bindings/host/drive.h"
#include "bindings/host/watcher.h"
#include "bindings/state/libraries.h"
#include "bindings/state/limits.h"
#include "bindings/state/state.h"
#include "bindings/task/cancel.h"
#include "bindings/task/ending.h"
#include "bindings/task/task_job.h"
#include "bindings/version.h"
#include "core/memory.h"

_Static_assert((int)NEAP_E_MEMORY == (int)NEAP_NOMEM && (int)NEAP_E_TIMEOUT == (int)NEAP_TIMEOUT &&
                   (int)NEAP_E_CLOSED == (int)NEAP_CLOSED && (int)NEAP_E_BROKEN == (int)NEAP_BROKEN &&
                   (int)NEAP_E_CANCELLED == (int)NEAP_CANCELLED && (int)NEAP_E_ABANDONED == (int)NEAP_ABANDONED &&
                   (int)NEAP_E_NOT_OWNER == (int)NEAP_NOT_OWNER && (int)NEAP_E_HELD == (int)NEAP_HELD &&
                   (int)NEAP_E_GONE == (int)NEAP_GONE && (int)NEAP_E_RANGE == (int)NEAP_RANGE &&
                   (int)NEAP_E_INVALID == (int)NEAP_INVALID && (int)NEAP_E_THREAD == (int)NEAP_FOREIGN &&
                   (int)NEAP_E_FAILED == (int)NEAP_FAILED && (int)NEAP_E_SYNTAX == (int)NEAP_SYNTAX &&
                   (int)NEAP_E_MISSING == (int)NEAP_MISSING && (int)NEAP_E_CPU == (int)NEAP_CPU &&
                   (int)NEAP_E_DENIED == (int)NEAP_DENIED,
               "neap.h has the codes of core/error.h");

enum { MEMORY_MIN = 256 * 1024 };

const char *neap_version(void) { return NEAP_VERSION; }

const char *neap_error_name(int code) { return neap_code_name(code); }

/* --- configs --- */

void neap_config_init_sized(struct neap_config *config, size_t size) {
    if (config == NULL) return;
    memset(config, 0, size);
    config->size = size;
    config->slice_seconds = 0.01;
}

const char *neap_config_check(const struct neap_config *config) {
    if (config == NULL) return NULL;
    if (config->size != sizeof *config)
        return "size: the config was not made by neap_config_init, or by that of another version";
    if (config->slice_signal < 0 || config->slice_signal >= NSIG || config->slice_signal == SIGKILL ||
        config->slice_signal == SIGSTOP)
        return "slice_signal: not a signal that can be handled";
    if (config->drive < NEAP_DRIVE_CALLS || config->drive > NEAP_DRIVE_STEPS) return "drive: not one of neap_drive";
    if ((config->drive == NEAP_DRIVE_UV) != (config->uv_loop != NULL))
        return "uv_loop: needed for NEAP_DRIVE_UV, and for nothing else";
    if (config->memory_limit != 0 && config->memory_limit < MEMORY_MIN)
        return "memory_limit: less than a state needs, 262144";
    if (!(config->cpu_limit >= 0 && config->cpu_limit < 1e9)) return "cpu_limit: must be seconds from 0 on";
    if (config->child_program != NULL && config->child_program[0] == '\0') return "child_program: an empty path";
    if (config->denied > NEAP_DENY_ALL) return "denied: not made of NEAP_DENY_*";
    if (!(config->slice_seconds >= 0)) return "slice_seconds: must not be negative or NaN";
    return NULL;
}

/* --- visits --- */

/* Protected: (address of the root) */
static int make_root(lua_State *L) {
    *(struct neap_task **)lua_touserdata(L, 1) = neap_task_new_root(L);
    return 0;
}

/* The root waits already: another one. */
static int replace_root(struct neap_vm *vm) {
    struct neap_task *root = NULL;
    if (!lua_checkstack(vm->main, 4)) return NEAP_NOMEM;
    lua_pushcfunction(vm->main, make_root);
    lua_pushlightuserdata(vm->main, &root);
    if (lua_pcall(vm->main, 1, 0, 0) == LUA_OK) {
        vm->root = root;
        return 0;
    }
    lua_pop(vm->main, 1);
    return NEAP_NOMEM;
}

static void restore_root(struct neap_vm *vm, struct neap_task *root) {
    if (vm->root == root) return;
    neap_message_fini(&vm->root->link.message);
    neap_owner_end(&vm->root->wait.own);
    neap_anchors_remove(vm->main, &vm->handles, vm->root->slot);
    vm->root = root;
}

int neap_host_enter(struct neap_host *host, struct neap_visit *visit) {
    struct neap_vm *vm = host->vm;
    *visit = (struct neap_visit){neap_loop_here, vm->current, vm->root, vm->running, vm->blocked, vm->blocked_level};
    neap_loop_here = &vm->loop;
    bool waits = atomic_load_explicit(&vm->root->wait.state, memory_order_relaxed) != NEAP_WAIT_IDLE;
    int code = waits ? replace_root(vm) : 0;
    if (code != 0) {
        neap_loop_here = visit->loop;
        return code;
    }
    vm->current = vm->root;
    vm->running = NULL;
    host->depth++;
    return 0;
}

void neap_host_leave(struct neap_host *host, const struct neap_visit *visit) {
    struct neap_vm *vm = host->vm;
    host->depth--;
    restore_root(vm, visit->root);
    vm->current = visit->task;
    vm->running = visit->running;
    vm->blocked = visit->blocked;
    vm->blocked_level = visit->blocked_level;
    neap_loop_here = visit->loop;
    if (host->depth == 0) neap_drive_settle(host);
}

/* --- making --- */

/* The root's wait was interrupted: the engine is to end. */
static int interrupted(lua_State *L) {
    const struct neap_vm *vm = neap_vm_of(L);
    if (atomic_load_explicit(&vm->engine->exit_status, memory_order_acquire) < 0) return 0;
    luaL_checkstack(L, 4, "stop");
    lua_pushliteral(L, "stop");
    neap_cancel_push_error(L, -1);
    return lua_error(L);
}

/* Protected: (host). */
static int open_state(lua_State *L) {
    struct neap_host *host = lua_touserdata(L, 1);
    struct neap_vm *vm = host->vm;
    const char *name = host->embedding.config.name;
    neap_state_open(vm, L);
    neap_task_push(L, vm->root);
    host->engine.main_job = (struct neap_job *)neap_object_ref(&neap_task_job(L, -1)->future.object);
    neap_job_set_name(host->engine.main_job, name != NULL ? name : "main");
    return 0;
}

static void configure(struct neap_engine *engine, const struct neap_config *config) {
    atomic_store(&engine->busy, 2); /* the engine's own loop, and the host: see THE HOST COUNTS */
    engine->slices = config->slice_signal != 0;
    engine->slice_signal = config->slice_signal;
    engine->slice = config->slice_seconds;
    engine->threads_max = config->thread_limit;
    engine->classes = neap_packed_classes;
    engine->makers = &neap_remote_makers;
    engine->runner = config->child_program;
    engine->on_output = neap_embedding_take;
}

/* On the engine's thread: gives back the state, as far as there is one. */
static void close_state(struct neap_host *host) {
    struct neap_loop *outer = neap_loop_here;
    lua_State *L = host->vm == NULL ? NULL : host->vm->main;
    if (L != NULL) {
        neap_loop_here = &host->vm->loop;
        neap_vm_close(host->vm);
        neap_state_close(host->vm, L);
    }
    if (host->vm != NULL) neap_state_free(host->vm);
    host->vm = NULL;
    neap_loop_here = outer;
}

/* On any thread, when the state is gone. */
static void dismiss(struct neap_host *host) {
    neap_engine_fini(&host->engine);
    neap_embedding_fini(&host->embedding);
    neap_free(host->message);
    neap_free(host);
}

/* On the engine's thread. 0 or a code; then there is no state. */
static int open_engine(struct neap_host *host) {
    struct neap_engine *engine = &host->engine;
    struct neap_loop *outer = neap_loop_here;
    host->vm = neap_vm_new(engine, engine->main);
    lua_State *L = host->vm == NULL ? NULL : neap_state_new(host->vm);
    int code = NEAP_NOMEM;
    if (L != NULL) {
        host->vm->interrupted = interrupted;
        host->vm->main = L;
        engine->context = host->vm;
        lua_pushcfunction(L, open_state);
        lua_pushlightuserdata(L, host);
        if (lua_pcall(L, 1, 0, 0) == LUA_OK) code = neap_drive_open(host);
    }
    neap_loop_here = outer;
    if (code != 0) close_state(host);
    return code;
}

/* On the engine's thread: the orderly end. 0, or NEAP_TIMEOUT and all is still there. */
static int close_engine(struct neap_host *host) {
    struct neap_visit visit;
    int code = neap_host_enter(host, &visit);
    if (code != 0) return code;
    bool ended = neap_ending_run(host->vm);
    neap_watcher_give_up(host);
    neap_objects_give_up(host);
    neap_host_leave(host, &visit);
    if (!ended) return NEAP_TIMEOUT;
    close_state(host);
    return 0;
}

int neap_engine_new(const struct neap_config *config, struct neap_engine **engine) {
    struct neap_config defaults;
    NEAP_CONTRACT_POINTER(engine);
    if (neap_config_check(config) != NULL) return NEAP_INVALID;
    if (config == NULL) {
        neap_config_init(&defaults);
        config = &defaults;
    }
    struct neap_host *host = neap_alloc_zeroed(sizeof *host);
    if (host == NULL) return NEAP_NOMEM;
    int code = neap_embedding_init(&host->embedding, config);
    if (code != 0) {
        neap_free(host);
        return code;
    }
    code = neap_engine_init(&host->engine);
    if (code != 0) {
        neap_embedding_fini(&host->embedding);
        neap_free(host);
        return code;
    }
    configure(&host->engine, config);
    host->engine.embedding = &host->embedding;
    host->engine.main = neap_mailbox_new(&host->engine.busy);
    host->thread = pthread_self();
    neap_list_init(&host->watches);
    neap_list_init(&host->requests);
    host->open = open_engine;
    host->close = close_engine;
    if (host->engine.main == NULL)
        code = NEAP_NOMEM;
    else
        code = config->drive == NEAP_DRIVE_THREAD ? neap_drive_start(host) : open_engine(host);
    if (code != 0)
        dismiss(host);
    else
        *engine = &host->engine;
    return code;
}

/* --- ending --- */

int neap_engine_free(struct neap_engine *engine) {
    if (engine == NULL) return 0;
    struct neap_host *host = neap_host_of(engine);
    bool own_thread = host->embedding.config.drive == NEAP_DRIVE_THREAD,
         here = pthread_equal(host->thread, pthread_self());
    NEAP_CONTRACT(own_thread || here, NEAP_FOREIGN, "neap.h, THREADS: an engine is used by the thread that made it");
    NEAP_CONTRACT(!own_thread || !here, NEAP_INVALID, "neap.h: an engine is not freed from inside");
    NEAP_CONTRACT(own_thread || host->depth == 0, NEAP_INVALID, "neap.h: an engine is not freed from inside");
    int code = own_thread ? neap_drive_end(host) : close_engine(host);
    if (code == 0) dismiss(host);
    return code;
}

int neap_engine_stop(struct neap_engine *engine) {
    NEAP_CONTRACT_POINTER(engine);
    neap_engine_exit(engine, 0);
    return 0;
}

int neap_engine_status(const struct neap_engine *engine) {
    return engine == NULL ? -1 : atomic_load_explicit(&engine->exit_status, memory_order_acquire);
}

void *neap_engine_context(const struct neap_engine *engine) {
    return engine == NULL ? NULL : engine->embedding->config.context;
}

struct lua_State *neap_engine_state(struct neap_engine *engine) {
    if (engine == NULL) return NULL;
    NEAP_CONTRACT_THREAD(engine, NULL);
    return neap_host_of(engine)->vm->main;
}

/* --- failures --- */

const char *neap_engine_message(const struct neap_engine *engine) {
    const struct neap_host *host = (const struct neap_host *)engine;
    if (host == NULL) return "";
    NEAP_CONTRACT_THREAD(engine, "");
    return host->message == NULL ? "" : host->message;
}

void neap_host_note_text(struct neap_host *host, const char *text) {
    size_t size = strlen(text) + 1;
    char *message = neap_alloc(size);
    neap_free(host->message);
    host->message = message;
    if (message != NULL) memcpy(message, text, size);
}

/* Protected: (traceback, error) -> the whole text. */
static int to_text(lua_State *L) {
    luaL_tolstring(L, 2, NULL);
    if (lua_isstring(L, 1)) {
        lua_pushliteral(L, "\n");
        lua_pushvalue(L, 1);
        lua_concat(L, 3);
    }
    return 1;
}

int neap_host_note(struct neap_host *host, lua_State *L, int code) {
    lua_pushcfunction(L, to_text);
    lua_insert(L, -3);
    int status = neap_limits_pcall(L, 2, 1);
    if (neap_host_code(L, status) == NEAP_CPU) code = NEAP_CPU; /* its __tostring has taken too long */
    bool told = (status == LUA_OK || code == NEAP_CPU) && lua_isstring(L, -1);
    neap_host_note_text(host, told ? lua_tostring(L, -1) : "an error that cannot be told");
    lua_pop(L, 1);
    return code;
}

static bool ends_with(const char *text, size_t length, const char *end) {
    size_t size = strlen(end);
    return length >= size && memcmp(text + length - size, end, size) == 0;
}

int neap_host_code(lua_State *L, int status) {
    size_t length;
    if (status == LUA_OK) return 0;
    if (status == LUA_ERRMEM) return NEAP_NOMEM;
    if (status == LUA_ERRSYNTAX) return NEAP_SYNTAX;
    if (neap_cancel_is_error(L, -1)) return NEAP_CANCELLED;
    if (lua_type(L, -1) != LUA_TSTRING) return NEAP_FAILED;
    const char *text = lua_tolstring(L, -1, &length);
    if (strstr(text, "cpu: ") != NULL) return NEAP_CPU;
    if (strstr(text, "denied: ") != NULL) return NEAP_DENIED;
    return ends_with(text, length, "not enough memory") ? NEAP_NOMEM : NEAP_FAILED;
}

int neap_host_protect(struct neap_host *host, lua_CFunction function, void *argument) {
    struct neap_visit visit;
    lua_State *L = host->vm->main;
    if (!lua_checkstack(L, 6)) return NEAP_NOMEM;
    int top = lua_gettop(L), code = neap_host_enter(host, &visit);
    if (code != 0) return code;
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, argument);
    code = neap_host_code(L, neap_limits_pcall(L, 1, 0));
    if (code != 0) {
        lua_pushnil(L);
        lua_insert(L, -2);
        code = neap_host_note(host, L, code);
    }
    lua_settop(L, top);
    neap_host_leave(host, &visit);
    return code;
}

/* --- from other threads --- */

struct post {
    struct neap_runnable runnable; /* first in the engine's mailbox, then in its queue */
    struct neap_engine *engine;
    void (*function)(struct neap_engine *engine, void *argument);
    void *argument;
};

static void run_post(struct neap_runnable *runnable) {
    struct post *post = NEAP_CONTAINER_OF(runnable, struct post, runnable);
    post->function(post->engine, post->argument);
    neap_free(post);
}

int neap_post(struct neap_engine *engine, void (*function)(struct neap_engine *engine, void *argument),
              void *argument) {
    NEAP_CONTRACT_POINTER(engine);
    NEAP_CONTRACT_POINTER(function);
    struct post *post = neap_alloc(sizeof *post);
    if (post == NULL) return NEAP_NOMEM;
    *post = (struct post){{NULL, run_post}, engine, function, argument};
    int code = neap_mailbox_post(engine->main, &post->runnable);
    if (code != 0) neap_free(post);
    return code;
}
