/* failure: what is said of errors.
 *
 * TRACEBACKS  The message handler of a task runs where the error was raised, before anything unwinds. It writes the stack, then
 *             the places where the task, and whoever spawned it, were spawned; for an error that a join raised, what
 *             the joined one had to say goes on below.
 * SITES       A place of spawning is kept once: (file, line, where the spawner was spawned). A small cache by function and line
 *             makes finding it cheap. Chains are cut at a depth, so that a server whose handlers spawn each other for
 *             ever does not grow.
 * REPORTS     A failure that nobody waits for goes to the function of neap.on_error in its own state, else to that of the main
 *             state, else to stderr, as one write. */
#include "bindings/failure.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/cancel.h"
#include "bindings/codec.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/engine.h"

enum { SITE_DEPTH_MAX = 12, SITES_MAX = 4096, CACHE = 64, CHAIN_TEXT_MAX = 2048 };

static const char handler_key; /* registry: the function of neap.on_error */

/* --- sites --- */

struct neap_site {
    struct neap_site *next;         /* in the state's list */
    const struct neap_site *parent; /* where the spawner was spawned; NULL: the start of the program or thread */
    int line;
    int depth;               /* of the chain */
    char source[LUA_IDSIZE]; /* as in error messages */
};

struct site_cache {
    const void *function;
    const struct neap_site *parent;
    struct neap_site *site;
    int line;
};

struct site_store {
    struct neap_site *first;
    int count;
    struct site_cache cache[CACHE];
};

static struct neap_site *find_site(struct site_store *store, const char *source, int line, const struct neap_site *parent) {
    for (struct neap_site *site = store->first; site != NULL; site = site->next)
        if (site->line == line && site->parent == parent && strcmp(site->source, source) == 0) return site;
    if (store->count >= SITES_MAX) return NULL;
    struct neap_site *site = neap_alloc(sizeof *site);
    if (site == NULL) return NULL;
    site->parent = parent;
    site->line = line;
    site->depth = parent == NULL ? 1 : parent->depth + 1;
    snprintf(site->source, sizeof site->source, "%s", source);
    site->next = store->first;
    store->first = site;
    store->count++;
    return site;
}

static struct site_store *get_store(struct neap_vm *vm) {
    if (vm->sites == NULL) vm->sites = neap_alloc_zeroed(sizeof(struct site_store));
    return vm->sites;
}

struct neap_site *neap_site_here(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    struct site_store *store = get_store(vm);
    const struct neap_site *parent = vm->current->site;
    lua_Debug frame;
    if (store == NULL || !lua_getstack(L, 1, &frame)) return NULL;
    lua_getinfo(L, "fl", &frame);
    const void *function = lua_topointer(L, -1);
    lua_pop(L, 1);
    while (parent != NULL && parent->depth >= SITE_DEPTH_MAX) parent = parent->parent;
    size_t hash = ((uintptr_t)function >> 4 ^ (uintptr_t)parent >> 4 ^ (uintptr_t)frame.currentline) % CACHE;
    struct site_cache *cached = &store->cache[hash];
    if (cached->function == function && cached->line == frame.currentline && cached->parent == parent && cached->site != NULL)
        return cached->site;
    lua_getinfo(L, "S", &frame);
    struct neap_site *site = find_site(store, frame.short_src, frame.currentline, parent);
    *cached = (struct site_cache){function, parent, site, frame.currentline};
    return site;
}

void neap_site_write(const struct neap_site *site, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (; site != NULL && used < size; site = site->parent) {
        int length = snprintf(text + used, size - used, site->line > 0 ? "\n\tspawned at %s:%d" : "\n\tspawned at %s",
                              site->source, site->line);
        if (length > 0) used += (size_t)length;
    }
}

void neap_site_push(lua_State *L, const struct neap_site *site) {
    char text[CHAIN_TEXT_MAX];
    neap_site_write(site, text, sizeof text);
    lua_pushstring(L, text);
}

void neap_site_close(struct neap_vm *vm) {
    if (vm->sites == NULL) return;
    struct neap_site *site = vm->sites->first;
    while (site != NULL) {
        struct neap_site *next = site->next;
        neap_free(site);
        site = next;
    }
    neap_free(vm->sites);
    vm->sites = NULL;
}

/* --- tracebacks --- */

/* Pushes "", or what the joined task had to say if the error at index 1 came from a join. Extras on top of the stack. */
static void push_cause(lua_State *L) {
    lua_getfield(L, -1, "cause");
    lua_getfield(L, -2, "cause_traceback");
    if (lua_isstring(L, -1) && lua_rawequal(L, -2, 1))
        lua_pushfstring(L, "\ncaused by:\n%s", lua_tostring(L, -1));
    else
        lua_pushliteral(L, "");
    lua_replace(L, -3);
    lua_pop(L, 1);
}

int neap_failure_handler(lua_State *L) {
    struct neap_task *task = neap_task_current(L);
    if (neap_cancel_is_error(L, 1)) return 1;
    lua_settop(L, 1);
    luaL_traceback(L, L, NULL, 1);
    neap_site_push(L, task->site);
    lua_pushstring(L, task->vm->origin != NULL ? task->vm->origin : "");
    neap_task_push(L, task);
    neap_task_push_extras(L, -1, true);
    lua_remove(L, -2);
    push_cause(L); /* error, stack, sites, origin, extras, cause */
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 4);
    lua_pushvalue(L, 6);
    lua_concat(L, 4);
    lua_setfield(L, 5, "traceback");
    lua_settop(L, 1);
    return 1;
}

void neap_failure_note_cause(lua_State *L, int error, int traceback) {
    struct neap_task *task = neap_task_current(L);
    error = lua_absindex(L, error);
    traceback = lua_absindex(L, traceback);
    neap_task_push(L, task);
    neap_task_push_extras(L, -1, true);
    lua_pushvalue(L, error);
    lua_setfield(L, -2, "cause");
    lua_pushvalue(L, traceback);
    lua_setfield(L, -2, "cause_traceback");
    lua_pop(L, 2);
}

/* --- reports --- */

/* Says it on stderr, in one write. The error is at `error`, the traceback (text or nil) at `traceback`. */
static void print_failure(lua_State *L, const char *who, int error, int traceback) {
    const char *what = luaL_tolstring(L, error, NULL);
    const char *where = lua_tostring(L, traceback);
    lua_pushfstring(L, "neap: %s failed: %s\n%s%s", who, what, where == NULL ? "" : where, where == NULL ? "" : "\n");
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    fflush(stdout);
    fwrite(text, 1, length, stderr);
    lua_pop(L, 2);
}

static int handler_done(lua_State *L, int status, lua_KContext context) {
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD || neap_cancel_is_error(L, -1)) return 0;
    lua_pushnil(L);
    print_failure(L, "the function of on_error", -2, lua_gettop(L));
    return 0;
}

/* The body of the task that calls the handler: handler, handle, error, traceback. */
static int call_handler(lua_State *L) { return handler_done(L, lua_pcallk(L, 3, 0, 0, 0, handler_done), 0); }

/* Stack: handle, error, traceback; they are popped. False when the state has no handler. */
static bool spawn_handler(lua_State *L) {
    int first = lua_gettop(L) - 2;
    const struct neap_task_options options = {.name = "on_error", .flags = NEAP_TASK_QUIET};
    bool found = neap_vm_of(L)->open && lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key) == LUA_TFUNCTION;
    if (found) {
        lua_pushcfunction(L, call_handler);
        lua_insert(L, first);
        lua_insert(L, first + 1);
        neap_task_spawn(L, 4, &options);
    }
    lua_settop(L, first - 1);
    return found;
}

/* A failure on its way to the main state. */
struct report {
    struct neap_runnable runnable; /* posted to the main loop */
    struct neap_engine *engine;    /* constant */
    struct neap_job *job;          /* a reference */
    struct neap_message error;     /* owned */
    struct neap_message traceback; /* owned */
};

static void free_report(struct report *report) {
    neap_object_unref(&report->job->future.object);
    neap_message_fini(&report->error);
    neap_message_fini(&report->traceback);
    neap_free(report);
}

static int deliver_report(lua_State *L) {
    struct report *report = lua_touserdata(L, 1);
    neap_box_push(L, &report->job->future.object);
    neap_decode(L, &report->error);
    neap_decode(L, &report->traceback);
    char name[NEAP_JOB_NAME_MAX + 1];
    neap_job_get_name(report->job, name);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_insert(L, 2);
    lua_insert(L, 2);
    if (!spawn_handler(L)) print_failure(L, name, 2, 3);
    return 0;
}

static void receive_report(struct neap_runnable *runnable) {
    struct report *report = NEAP_CONTAINER_OF(runnable, struct report, runnable);
    lua_State *L = ((struct neap_vm *)report->engine->context)->main;
    lua_pushcfunction(L, deliver_report);
    lua_pushlightuserdata(L, report);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
    free_report(report);
}

/* Stack: handle's box, error, traceback. Posts them to the main state. False when that cannot be. */
static bool forward(lua_State *L, int box) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_engine *engine = vm->engine;
    if (engine->context == NULL || engine->context == vm ||
        !atomic_load_explicit(&engine->forward_failures, memory_order_acquire))
        return false;
    struct neap_job *job = neap_task_job(L, box);
    struct report *report = neap_alloc_zeroed(sizeof *report);
    if (report == NULL) return false;
    report->runnable.run = receive_report;
    report->engine = engine;
    report->job = (struct neap_job *)neap_object_ref(&job->future.object);
    luaL_tolstring(L, box + 1, NULL);
    neap_encode(L, -1, &report->error, "error");
    neap_encode(L, box + 2, &report->traceback, "traceback");
    lua_pop(L, 1);
    if (neap_mailbox_post(engine->main, &report->runnable) == 0) return true;
    free_report(report);
    return false;
}

/* (box, error) */
static int report(lua_State *L) {
    struct neap_task *task = lua_touserdata(L, 1);
    char name[NEAP_JOB_NAME_MAX + 1];
    lua_settop(L, 2);
    if (neap_task_push_extras(L, 1, false))
        lua_getfield(L, -1, "traceback");
    else
        lua_pushnil(L);
    lua_replace(L, 3);
    lua_settop(L, 3);
    if (forward(L, 1)) return 0;
    neap_task_get_name(L, 1, name);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key) != LUA_TFUNCTION) {
        print_failure(L, name, 2, 3);
        return 0;
    }
    lua_settop(L, 3);
    if (task->flags & NEAP_TASK_MAIN && task->job != NULL) {
        neap_box_push(L, &task->job->future.object);
        lua_replace(L, 1);
    }
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 1);
    lua_insert(L, 4);
    if (!spawn_handler(L)) print_failure(L, name, 2, 3);
    return 0;
}

void neap_failure_report(lua_State *L, int box) {
    int top = lua_gettop(L);
    lua_pushcfunction(L, report);
    lua_pushvalue(L, box);
    lua_pushvalue(L, top);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

int neap_failure_on_error(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    if (!lua_isnil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key);
    bool set = lua_isfunction(L, 1);
    lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &handler_key);
    if (vm->engine->context == vm) atomic_store_explicit(&vm->engine->forward_failures, set, memory_order_release);
    return 1;
}
