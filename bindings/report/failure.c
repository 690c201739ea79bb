/* failure: what is said of errors.
 *
 * TRACEBACKS  The message handler of a task runs where the error was raised, before anything unwinds. It writes the
 *             stack, then the places where the task, and whoever spawned it, were spawned (site.c); for an error that a
 *             join raised, what the joined one had to say goes on below. neap.timeout and neap.shield catch errors and
 *             pass them on: they have noted the stack before (note_stack), and that is the one that is written.
 * WORK        of a pool stands on the frames of its runner (bindings/pool/worker.c), which are not the script's: its
 *             tracebacks end with the work, those of debug.traceback too.
 * REPORTS     A failure that nobody waits for goes to the function of neap.on_error in its own state, else to that of
 *             the main state, else to stderr, as one write. The function runs in a task. The end waits for what is on
 *             its way to the main state (engine->reports), and lets each such task begin before it cancels it; one that
 *             fails, is cancelled, or could not begin since the state is being closed, has its failure told on
 *             stderr. */
#include "bindings/report/failure.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/box.h"
#include "bindings/handle/describe.h"
#include "bindings/report/report.h"
#include "bindings/state/embedding.h"
#include "bindings/state/limits.h"
#include "bindings/state/site.h"
#include "bindings/task/cancel.h"
#include "bindings/task/task_body.h"
#include "bindings/task/task_job.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/engine.h"
#include "host/pool.h"
#include "host/process.h"
#include "host/unjoined.h"

enum { RUNNER_LEVELS = 16 }; /* of a runner, and more */

static const char handler_key; /* registry: the function of neap.on_error */

/* --- tracebacks --- */

void neap_failure_push_cause(lua_State *L) {
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "traceback");
    neap_task_push(L, neap_task_current(L));
    if (neap_task_push_extras(L, -1, false) && lua_getfield(L, -1, "cause") != LUA_TNIL && lua_rawequal(L, -1, 1) &&
        lua_getfield(L, -2, "cause_traceback") == LUA_TSTRING)
        lua_pushfstring(L, "\ncaused by:\n%s", lua_tostring(L, -1));
    else
        lua_pushliteral(L, "");
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

/* In a message handler: was the error raised before, caught by neap.timeout or neap.shield, and passed on? */
static bool is_passed_on(lua_State *L) {
    lua_Debug frame;
    if (!lua_getstack(L, 1, &frame) || !lua_getinfo(L, "f", &frame)) return false;
    lua_CFunction function = lua_tocfunction(L, -1);
    lua_pop(L, 1);
    return function == neap_cancel_timeout || function == neap_cancel_shield;
}

/* As lauxlib's: 0 is the function that runs. */
static int find_last_level(lua_State *L) {
    lua_Debug frame;
    int low = 1, high = 1;
    while (lua_getstack(L, high, &frame)) {
        low = high;
        high *= 2;
    }
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (lua_getstack(L, middle, &frame))
            low = middle + 1;
        else
            high = middle;
    }
    return high - 1;
}

/* See WORK. From the bottom, since it is there, and a search from above takes long where the stack is deep. */
static int count_hidden_lines(lua_State *L) {
    bool (*calls_work)(lua_CFunction) = neap_vm_of(L)->calls_work;
    if (calls_work == NULL) return 0;
    int last = find_last_level(L), lines = 0, hidden = 0;
    for (int level = last; level > 0 && level > last - RUNNER_LEVELS; level--) {
        lua_Debug frame;
        lua_getstack(L, level, &frame);
        lua_getinfo(L, "ft", &frame);
        lines += frame.istailcall ? 2 : 1;
        if (calls_work(lua_tocfunction(L, -1))) hidden = lines;
        lua_pop(L, 1);
    }
    return hidden;
}

/* As luaL_traceback; L itself runs. */
static void push_traceback_of(lua_State *L, const char *message, int level) {
    luaL_checkstack(L, 4, "traceback");
    int hidden = count_hidden_lines(L);
    if (hidden == 0) {
        luaL_traceback(L, L, message, level);
        return;
    }
    luaL_traceback(L, L, NULL, level);
    const char *text = lua_tostring(L, -1), *end = text + lua_rawlen(L, -1);
    const char *first = strchr(text, '\n');
    while (hidden > 0 && first != NULL && end > first)
        if (*--end == '\n') hidden--;
    if (message != NULL) lua_pushfstring(L, "%s\n", message);
    lua_pushlstring(L, text, (size_t)(end - text));
    if (message != NULL) lua_concat(L, 2);
    lua_replace(L, -2);
}

/* debug.traceback */
static int replaced_traceback(lua_State *L) {
    lua_State *coroutine = lua_tothread(L, 1);
    int message = coroutine != NULL ? 2 : 1;
    if (coroutine == NULL) coroutine = L;
    if (lua_tostring(L, message) == NULL && !lua_isnoneornil(L, message)) {
        lua_pushvalue(L, message);
        return 1;
    }
    int level = (int)luaL_optinteger(L, message + 1, coroutine == L ? 1 : 0);
    if (coroutine == L)
        push_traceback_of(L, lua_tostring(L, message), level);
    else
        luaL_traceback(L, coroutine, lua_tostring(L, message), level);
    return 1;
}

void neap_failure_replace(lua_State *L) {
    int top = lua_gettop(L);
    if (lua_getglobal(L, LUA_DBLIBNAME) == LUA_TTABLE) {
        lua_getfield(L, -1, "traceback");
        lua_pushcfunction(L, replaced_traceback);
        if (lua_iscfunction(L, -2)) lua_setfield(L, -3, "traceback");
    }
    lua_settop(L, top);
}

void neap_failure_push_stack(lua_State *L) {
    int top = lua_gettop(L);
    luaL_checkstack(L, 8, "traceback");
    neap_task_push(L, neap_task_current(L));
    if (!is_passed_on(L) || !neap_task_push_extras(L, -1, false) || lua_getfield(L, -1, "raised") == LUA_TNIL ||
        !lua_rawequal(L, -1, 1) || lua_getfield(L, -2, "raised_at") != LUA_TSTRING)
        push_traceback_of(L, NULL, 1);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

/* Does nothing stand around the running code but regions, which pass errors on, to the handler of the task? A pcall
 * would catch it, and nobody read the stack: that costs as much as a hundred errors do. */
static bool is_for_the_task(const struct neap_task *task) {
    unsigned regions = 0;
    for (const struct neap_region *region = task->regions; region != NULL; region = region->outer) regions++;
    return task->depth == regions + 1; /* one is the task's own */
}

int neap_failure_note_stack(lua_State *L) {
    if (neap_cancel_is_error(L, 1) || !is_for_the_task(neap_task_current(L))) return 1;
    lua_settop(L, 1);
    neap_failure_push_stack(L);
    neap_task_push(L, neap_task_current(L));
    neap_task_push_extras(L, -1, true);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "raised");
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "raised_at");
    lua_settop(L, 1);
    return 1;
}

int neap_failure_handler(lua_State *L) {
    struct neap_task *task = neap_task_current(L);
    if (task->flags & NEAP_TASK_CANCELLED && neap_cancel_is_error(L, 1)) return 1;
    lua_settop(L, 1);
    neap_failure_push_stack(L);
    neap_site_push(L, *neap_task_site(task));
    lua_pushstring(L, neap_task_vm(task)->origin != NULL ? neap_task_vm(task)->origin : "");
    neap_task_push(L, task);
    neap_task_push_extras(L, -1, true);
    lua_remove(L, -2);
    neap_failure_push_cause(L); /* error, stack, sites, origin, extras, cause */
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

static int to_text(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

bool neap_failure_push_words(lua_State *L, int error) {
    int type = lua_type(L, error);
    bool speaks = type == LUA_TSTRING || type == LUA_TNUMBER;
    error = lua_absindex(L, error);
    if (!speaks && luaL_getmetafield(L, error, "__tostring") != LUA_TNIL) {
        speaks = true;
        lua_pop(L, 1);
    }
    if (!speaks) return false;
    lua_pushcfunction(L, to_text);
    lua_pushvalue(L, error);
    if (neap_limits_pcall(L, 1, 1) == LUA_OK) return true;
    lua_pop(L, 1);
    return false;
}

/* The same, and of one that cannot say it, what it is. */
static void push_text(lua_State *L, int error) {
    if (!neap_failure_push_words(L, error)) lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, error));
}

/* Tells the host, or says it on stderr, in one piece. The error is at `error`, the
 * traceback (text or nil) at `traceback`. */
static void print_how(lua_State *L, const char *who, const char *how, int error, int traceback) {
    traceback = lua_absindex(L, traceback);
    push_text(L, error);
    const char *where = lua_type(L, traceback) == LUA_TSTRING ? lua_tostring(L, traceback) : NULL;
    const struct neap_failure failure = {who, lua_tostring(L, -1), where};
    if (neap_embedding_failed(neap_vm_of(L)->engine->embedding, &failure)) {
        lua_pop(L, 1);
        return;
    }
    neap_report_print("neap: %s%s%s\n%s%s", who, who[0] == '\0' ? "" : how, lua_tostring(L, -1),
                      where == NULL ? "" : where, where == NULL ? "" : "\n");
    lua_pop(L, 1);
}

static void print_failure(lua_State *L, const char *who, int error, int traceback) {
    print_how(L, who, " failed: ", error, traceback);
}

/* The stack of the task that calls the handler. */
enum { TOLD_WHO = 1, TOLD_HANDLER, TOLD_HANDLE, TOLD_ERROR, TOLD_TRACEBACK };

static int handler_done(lua_State *L, int status, lua_KContext context) {
    (void)context;
    if (status == LUA_OK || status == LUA_YIELD) return 0;
    if (!(neap_task_current(L)->flags & NEAP_TASK_CANCELLED && neap_cancel_is_error(L, -1))) {
        lua_pushnil(L);
        print_failure(L, "the function of on_error", -2, -1);
    }
    print_failure(L, lua_tostring(L, TOLD_WHO), TOLD_ERROR, TOLD_TRACEBACK); /* perhaps nobody has heard of it */
    return 0;
}

/* The body of the task that calls the handler. */
static int call_handler(lua_State *L) {
    for (int i = TOLD_HANDLER; i <= TOLD_TRACEBACK; i++) lua_pushvalue(L, i);
    return handler_done(L, lua_pcallk(L, 3, 0, 0, 0, handler_done), 0);
}

/* Stack: handle, error, traceback. Lets the state's handler know, in a task of its own; false when it has
 * none, or no task runs any more. */
static bool spawn_handler(lua_State *L, int handle, const struct neap_text *who) {
    const struct neap_task_options options = {.name = "on_error", .flags = NEAP_TASK_QUIET | NEAP_TASK_HANDLER};
    if (neap_vm_of(L)->closed || lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key) != LUA_TFUNCTION) return false;
    lua_pushcfunction(L, call_handler);
    lua_insert(L, -2);
    lua_pushstring(L, who->bytes);
    lua_insert(L, -2);
    for (int i = 0; i < 3; i++) lua_pushvalue(L, handle + i);
    neap_task_spawn(L, 5, &options);
    lua_pop(L, 1);
    return true;
}

/* Protected: (box of a task that spawn_handler has made). */
static int tell_instead(lua_State *L) {
    for (int i = TOLD_WHO; i <= TOLD_TRACEBACK; i++) lua_getiuservalue(L, 1, i + 1);
    lua_remove(L, 1);
    print_failure(L, lua_tostring(L, TOLD_WHO), TOLD_ERROR, TOLD_TRACEBACK);
    return 0;
}

void neap_failure_tell_unheard(struct neap_vm *vm) {
    lua_State *L = vm->main;
    for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next) {
        struct neap_task *task = NEAP_CONTAINER_OF(node, struct neap_task, node);
        if (!(task->flags & NEAP_TASK_HANDLER) || neap_task_has_begun(task) || !lua_checkstack(L, 2)) continue;
        lua_pushcfunction(L, tell_instead);
        neap_task_push(L, task);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
        task->flags |= NEAP_TASK_DAEMON;
        vm->needed--;
    }
}

/* A failure on its way to the main state. */
struct report {
    struct neap_runnable runnable; /* posted to the main loop */
    struct neap_engine *engine;    /* constant */
    struct neap_job *job;          /* a reference; NULL before it is known */
    struct neap_message error;     /* owned */
    struct neap_message traceback; /* owned */
    struct neap_text who;          /* "task a (thread w1)" */
};

static void free_report(struct report *report) {
    if (report->job != NULL) neap_object_unref(&report->job->future.object);
    neap_message_fini(&report->error);
    neap_message_fini(&report->traceback);
    neap_free(report);
}

/* Protected: (report). */
static int deliver_report(lua_State *L) {
    const struct report *report = lua_touserdata(L, 1);
    if (neap_vm_of(L)->closed)
        lua_pushnil(L);
    else
        neap_box_push(L, &report->job->future.object);
    neap_decode(L, &report->error);
    neap_decode(L, &report->traceback);
    if (!spawn_handler(L, 2, &report->who)) print_failure(L, report->who.bytes, 3, 4);
    return 0;
}

/* On the main thread. */
static void receive_report(struct neap_runnable *runnable) {
    struct report *report = NEAP_CONTAINER_OF(runnable, struct report, runnable);
    lua_State *L = ((struct neap_vm *)report->engine->context)->main;
    lua_pushcfunction(L, deliver_report);
    lua_pushlightuserdata(L, report);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        neap_report_print("neap: %s failed: (%s)\n", report->who.bytes, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    atomic_fetch_sub_explicit(&report->engine->reports, 1, memory_order_relaxed);
    free_report(report);
}

/* False: there is no main loop any more, and no report. */
static bool post(struct report *report) {
    struct neap_engine *engine = report->engine;
    atomic_fetch_add_explicit(&engine->reports, 1, memory_order_relaxed);
    if (neap_mailbox_post(engine->main, &report->runnable) == 0) return true;
    atomic_fetch_sub_explicit(&engine->reports, 1, memory_order_relaxed);
    free_report(report);
    return false;
}

/* Protected: (message, value). */
static int encode_value(lua_State *L) {
    neap_encode(L, 2, lua_touserdata(L, 1), "error");
    return 0;
}

/* The value at `index`, or its text where it cannot be sent. */
static void encode_error(lua_State *L, int index, struct neap_message *message) {
    lua_pushcfunction(L, encode_value);
    lua_pushlightuserdata(L, message);
    lua_pushvalue(L, index);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return;
    lua_pop(L, 1);
    push_text(L, index);
    neap_encode(L, -1, message, "error");
    lua_pop(L, 1);
}

/* Protected: (report, handle's box, error, traceback). Fills it in. */
static int prepare_report(lua_State *L) {
    struct report *report = lua_touserdata(L, 1);
    report->job = (struct neap_job *)neap_object_ref(&neap_task_job(L, 2)->future.object);
    encode_error(L, 3, &report->error);
    neap_encode(L, 4, &report->traceback, "traceback");
    return 0;
}

/* Stack: 1 the handle's box, error, traceback. Posts them to the main state, if that wants to know; false when not. */
static bool forward(lua_State *L, const struct neap_text *who) {
    struct neap_vm *vm = neap_vm_of(L);
    struct neap_engine *engine = vm->engine;
    if (engine->context == NULL || engine->context == vm ||
        !atomic_load_explicit(&engine->forward_failures, memory_order_acquire))
        return false;
    struct report *report = neap_alloc_zeroed(sizeof *report);
    if (report == NULL) return false;
    report->runnable.run = receive_report;
    report->engine = engine;
    report->who = *who;
    lua_pushcfunction(L, prepare_report);
    lua_pushlightuserdata(L, report);
    for (int i = 1; i <= 3; i++) lua_pushvalue(L, i);
    if (lua_pcall(L, 4, 0, 0) == LUA_OK) return post(report);
    lua_pop(L, 1);
    free_report(report);
    return false;
}

/* Nobody in Lua wants to know of it. */
static void print_process_failure(const struct neap_process *process, const char *name) {
    const struct neap_outcome *outcome = neap_future_outcome(&process->job.future);
    const struct neap_message *traceback = outcome != NULL ? &outcome->traceback : NULL;
    bool is_long = traceback != NULL && traceback->kind == NEAP_MESSAGE_BYTES;
    neap_report_print_of(process->engine, "neap: process %s failed: %s\n%.*s%s", name,
                         process->report.text != NULL ? process->report.text : "?",
                         is_long ? (int)traceback->parcel->size : 0,
                         is_long ? neap_parcel_string(traceback->parcel) : "", is_long ? "\n" : "");
}

void neap_failure_report_process(struct neap_process *process) {
    struct neap_engine *engine = process->engine;
    char name[NEAP_JOB_NAME_MAX + 1];
    neap_job_get_name(&process->job, name);
    bool is_wanted = atomic_load_explicit(&engine->forward_failures, memory_order_acquire) ||
                     neap_screen_is_open(&engine->screen) || /* the main thread writes where lines are edited */
                     engine->embedding != NULL;              /* and tells the host */
    struct report *report = engine->context != NULL && is_wanted ? neap_alloc_zeroed(sizeof *report) : NULL;
    if (report == NULL) {
        print_process_failure(process, name);
        return;
    }
    report->runnable.run = receive_report;
    report->engine = engine;
    report->job = (struct neap_job *)neap_object_ref(&process->job.future.object);
    const struct neap_outcome *outcome = neap_future_outcome(&report->job->future);
    if (outcome != NULL) {
        neap_message_copy(&report->error, &outcome->value);
        neap_message_copy(&report->traceback, &outcome->traceback);
    }
    neap_text_add(&report->who, "process %s", name);
    if (!post(report)) print_process_failure(process, name);
}

void neap_failure_push_text(lua_State *L, int box) {
    neap_task_push_values(L, lua_touserdata(L, box), box);
    push_text(L, -1);
    lua_remove(L, -2);
}

/* Pushes the traceback that the task whose box is at `box` has kept, or nil. */
static void push_traceback(lua_State *L, int box) {
    if (!neap_task_push_extras(L, box, false)) return;
    lua_getfield(L, -1, "traceback");
    lua_remove(L, -2);
}

/* Calls `tell` protected, with the box and the error on top of the stack. LUA_OK, or what went wrong is on top. */
static int try_to(lua_State *L, lua_CFunction tell, int box) {
    int top = lua_gettop(L);
    luaL_checkstack(L, 4, "report");
    lua_pushcfunction(L, tell);
    lua_pushvalue(L, box);
    lua_pushvalue(L, top);
    return lua_pcall(L, 2, 0, 0);
}

/* Protected: (box, error). */
static int report(lua_State *L) {
    struct neap_task *task = lua_touserdata(L, 1);
    struct neap_text who;
    neap_text_clear(&who);
    neap_describe_task(&who, task);
    push_traceback(L, 1);
    if (task->flags & NEAP_TASK_MAIN && neap_task_is_known(task))
        neap_box_push(L, &task->job->future.object);
    else
        lua_pushvalue(L, 1);
    lua_insert(L, 2); /* box, handle, error, traceback */
    if (spawn_handler(L, 2, &who)) return 0;
    lua_remove(L, 2);
    if (!forward(L, &who)) print_failure(L, who.bytes, 2, 3);
    return 0;
}

void neap_failure_report(lua_State *L, int box) {
    if (try_to(L, report, box) == LUA_OK) return;
    neap_report_print("neap: a task failed, and saying so failed, too: %s\n", lua_tostring(L, -1));
    lua_pop(L, 1);
}

/* Protected: (box, error). */
static int note_unjoined(lua_State *L) {
    struct neap_task *task = lua_touserdata(L, 1);
    struct neap_text who;
    neap_text_clear(&who);
    neap_describe_task(&who, task);
    lua_pushfstring(L, "%s failed, and nobody has joined it: ", who.bytes);
    push_text(L, 2);
    push_traceback(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
        lua_pushliteral(L, "\n");
        lua_insert(L, -2);
    } else {
        lua_pop(L, 1);
    }
    lua_concat(L, lua_gettop(L) - 2);
    struct neap_job *job = task->flags & NEAP_TASK_MAIN && neap_task_vm(task)->job != NULL ? neap_task_vm(task)->job
                                                                                           : neap_task_known_job(task);
    struct neap_engine *engine = neap_task_vm(task)->engine;
    uint64_t id = job != NULL ? job->id : task->id;
    neap_unjoined_add(engine, id, lua_tostring(L, -1));
    if (atomic_load(job != NULL ? &job->future.object.observed : &task->future.object.observed))
        neap_unjoined_remove(engine, id);
    return 0;
}

void neap_failure_note_unjoined(lua_State *L, int box) {
    if (try_to(L, note_unjoined, box) != LUA_OK) lua_pop(L, 1); /* no memory: it counts all the same */
}

/* Protected: (box). */
static int report_main(lua_State *L) {
    neap_task_push_values(L, lua_touserdata(L, 1), 1);
    push_traceback(L, 1);
    print_failure(L, "", 2, 3);
    return 0;
}

void neap_failure_report_main(lua_State *L, int box) {
    lua_pushvalue(L, box);
    lua_pushcfunction(L, report_main);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
    neap_report_print("neap: %s\n", lua_tostring(L, -1));
    lua_pop(L, 1);
}

/* --- futures --- */

/* Protected: (work). */
static int report_work(lua_State *L) {
    struct neap_work *work = lua_touserdata(L, 1);
    const struct neap_outcome *outcome = neap_future_outcome(&work->future);
    lua_settop(L, 0);
    if (outcome != NULL) {
        neap_decode(L, &outcome->value);
        neap_decode(L, &outcome->traceback);
    } else {
        lua_pushliteral(L, "not enough memory");
        lua_pushnil(L);
    }
    struct neap_text who;
    neap_text_clear(&who);
    neap_text_add(&who, "job %llu of pool %s", (unsigned long long)work->id, work->pool->name);
    print_how(L, who.bytes, " failed, and nobody has asked: ", 1, 2);
    return 0;
}

void neap_failure_report_unread(struct neap_vm *vm) {
    lua_State *L = vm->main;
    struct neap_work *work;
    while ((work = neap_work_next_unread(vm->engine)) != NULL) {
        if (lua_checkstack(L, 4)) {
            lua_pushcfunction(L, report_work);
            lua_pushlightuserdata(L, work);
            if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
                neap_report_print("neap: job %llu of pool %s failed, and nobody has asked (%s)\n",
                                  (unsigned long long)work->id, work->pool->name, lua_tostring(L, -1));
                lua_pop(L, 1);
            }
        }
        neap_object_unref(&work->future.object);
    }
    struct neap_unjoined *unjoined;
    while ((unjoined = neap_unjoined_next(vm->engine)) != NULL) {
        neap_report_print("neap: %s\n", unjoined->text);
        neap_unjoined_free(unjoined);
    }
}

int neap_failure_on_error(lua_State *L) {
    struct neap_vm *vm = neap_vm_of(L);
    if (!lua_isnil(L, 1)) neap_argument_type(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &handler_key);
    bool set = lua_isfunction(L, 1);
    lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &handler_key);
    if (vm->engine->context == vm) atomic_store_explicit(&vm->engine->forward_failures, set, memory_order_release);
    return 1;
}
