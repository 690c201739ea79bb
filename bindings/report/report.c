/* report: lists of tasks.
 *
 * WHO MAY LOOK   At a deadlock all threads but the main one are parked, and only the main one could wake them: it alone
 *                looks into all states. (Signals are handled on the main thread, too: see bindings/program/program.c.)
 *                What is still running is looked at by its own thread only: it is sent a runnable that writes its
 *                part. */
#include "bindings/report/report.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bindings/handle/describe.h"
#include "bindings/state/embedding.h"
#include "core/clock.h"
#include "core/memory.h"
#include "host/engine.h"
#include "sync/ring.h"

enum { LINES_MAX = 50, HOLDERS_MAX = 3, TRACEBACK_MAX = 20 };

/* The engine that this thread works for; NULL: none. */
static struct neap_engine *engine_here(void) {
    const struct neap_loop *loop = neap_loop_here;
    const struct neap_vm *vm = loop != NULL ? loop->context : NULL;
    return vm != NULL ? vm->engine : NULL;
}

static void say(struct neap_embedding *embedding, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : neap_alloc((size_t)length + 1);
    if (text == NULL) return;
    vsnprintf(text, (size_t)length + 1, format, arguments);
    neap_embedding_say(embedding, text, (size_t)length);
    neap_free(text);
}

/* A thread that is just stuck in writing to stdout holds nobody up. */
static void print(struct neap_engine *engine, const char *format, va_list arguments) {
    struct neap_embedding *embedding = engine != NULL ? engine->embedding : NULL;
    if (neap_embedding_takes_reports(embedding)) {
        say(embedding, format, arguments);
        return;
    }
    struct neap_screen *screen = engine != NULL ? &engine->screen : NULL;
    if (ftrylockfile(stdout) == 0) {
        fflush(stdout);
        funlockfile(stdout);
    }
    bool begun = neap_screen_begin(screen, stderr); /* vfprintf writes long texts in pieces */
    vfprintf(stderr, format, arguments);
    neap_screen_end(screen, stderr, begun, '\n');
}

void neap_report_print(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print(engine_here(), format, arguments);
    va_end(arguments);
}

void neap_report_print_of(struct neap_engine *engine, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print(engine, format, arguments);
    va_end(arguments);
}

static struct neap_vm *vm_at(struct neap_list *node) { return NEAP_CONTAINER_OF(node, struct neap_vm, node); }

static struct neap_task *task_at(struct neap_list *node) { return NEAP_CONTAINER_OF(node, struct neap_task, node); }

static bool is_parked(const struct neap_task *task) {
    return atomic_load_explicit(&task->wait.state, memory_order_relaxed) == NEAP_WAIT_OPEN;
}

static double seconds_in(const struct neap_wait *wait) {
    return (double)neap_wait_age(wait, neap_clock_now()) / (double)NEAP_SECOND;
}

/* --- who holds what --- */

static bool holds(const struct neap_task *task, const struct neap_object *object) {
    for (const struct neap_hold *hold = task->wait.own.held; hold != NULL; hold = hold->next)
        if (hold->object == object) return true;
    return false;
}

struct holders {
    struct neap_text *text;
    const struct neap_object *object;
    int count;
};

static void note_holder(struct holders *holders, struct neap_task *task) {
    if (!holds(task, holders->object)) return;
    if (++holders->count > HOLDERS_MAX) return;
    neap_text_add(holders->text, holders->count == 1 ? ", held by " : ", ");
    neap_describe_task(holders->text, task);
}

static void describe_holders(struct neap_text *text, struct neap_engine *engine, const struct neap_task *task) {
    if (task->wait.link_count != 1) return;
    struct holders holders = {text, task->wait.links[0].object, 0};
    for (struct neap_list *state = engine->states.next; state != &engine->states; state = state->next) {
        struct neap_vm *vm = vm_at(state);
        note_holder(&holders, vm->root);
        for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next)
            note_holder(&holders, task_at(node));
    }
    if (holders.count > HOLDERS_MAX) neap_text_add(text, " and %d more", holders.count - HOLDERS_MAX);
}

/* --- a deadlock --- */

struct listing {
    FILE *out;
    struct neap_engine *engine;
    bool told; /* name also who has been named as a member of a ring */
    int lines; /* written */
    int more;  /* left out */
    int rings; /* left out: named already */
};

static void list_waiting(struct listing *listing, struct neap_task *task) {
    struct neap_text text;
    if (!is_parked(task)) return;
    if (!listing->told && neap_rings_have_told(&listing->engine->rings, &task->wait)) {
        listing->rings++;
        return;
    }
    if (listing->lines == LINES_MAX) {
        listing->more++;
        return;
    }
    listing->lines++;
    neap_text_clear(&text);
    neap_describe_task(&text, task);
    neap_text_add(&text, " has waited for %.2f s in ", seconds_in(&task->wait));
    neap_describe_wait(&text, task);
    neap_describe_place(&text, task);
    describe_holders(&text, listing->engine, task);
    fprintf(listing->out, "\n  %s", text.bytes);
}

/* The thread that writes the log, the one that paints bars: what they wait for explains nothing. */
static bool is_ours(const struct neap_vm *vm) {
    static const char prefix[] = "neap.";
    char name[NEAP_JOB_NAME_MAX + 1];
    if (vm->job == NULL) return false;
    neap_job_get_name(vm->job, name);
    return strncmp(name, prefix, sizeof prefix - 1) == 0;
}

char *neap_report_waiting(struct neap_engine *engine, bool told) {
    char *text = NULL;
    size_t length = 0;
    struct listing listing = {.out = open_memstream(&text, &length), .engine = engine, .told = told};
    if (listing.out == NULL) return NULL;
    fputs("deadlock: all that is left waits, and nothing can wake it:", listing.out);
    for (struct neap_list *state = engine->states.next; state != &engine->states; state = state->next) {
        struct neap_vm *vm = vm_at(state);
        if (is_ours(vm)) continue;
        list_waiting(&listing, vm->root);
        for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next)
            list_waiting(&listing, task_at(node));
    }
    if (listing.more > 0) fprintf(listing.out, "\n  ... and %d more", listing.more);
    if (listing.rings > 0) fprintf(listing.out, "\n  and the %d above that wait for each other's locks", listing.rings);
    if (fclose(listing.out) == 0) return text;
    free(text);
    return NULL;
}

/* --- what does not end --- */

/* (coroutine, stream). Writes its stack, indented. */
static int write_stack(lua_State *L) {
    lua_State *coroutine = lua_touserdata(L, 1);
    FILE *out = lua_touserdata(L, 2);
    luaL_traceback(L, coroutine, NULL, 0);
    luaL_gsub(L, lua_tostring(L, -1), "\n", "\n    ");
    fprintf(out, "\n    %s", lua_tostring(L, -1));
    return 0;
}

static void write_stacks(FILE *out, struct neap_task *task) {
    lua_State *L = neap_task_vm(task)->main, *coroutine;
    int depth = 0;
    while (neap_describe_coroutine(task, depth) != NULL) depth++;
    for (int written = 0; depth-- > 0 && written < TRACEBACK_MAX; written++) {
        coroutine = neap_describe_coroutine(task, depth);
        lua_pushcfunction(L, write_stack);
        lua_pushlightuserdata(L, coroutine);
        lua_pushlightuserdata(L, out);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
    }
}

static void list_task(FILE *out, struct neap_task *task) {
    struct neap_text text;
    neap_text_clear(&text);
    neap_describe_task(&text, task);
    if (is_parked(task)) {
        neap_text_add(&text, " has waited for %.2f s in ", seconds_in(&task->wait));
        neap_describe_wait(&text, task);
    } else {
        neap_text_add(&text, " is running");
    }
    fprintf(out, "\n  %s", text.bytes);
    if (neap_task_has_begun(task)) write_stacks(out, task);
}

static void write_tasks(struct neap_vm *vm) {
    char *text = NULL;
    size_t length = 0;
    int count = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL) return;
    fputs("neap: these were asked to end and have not:", out);
    for (struct neap_list *node = vm->tasks.next; node != &vm->tasks; node = node->next)
        if (count++ < LINES_MAX) list_task(out, task_at(node));
    if (count > LINES_MAX) fprintf(out, "\n  ... and %d more", count - LINES_MAX);
    if (fclose(out) == 0) neap_report_print("%s\n", text);
    free(text);
}

void neap_report_tasks(struct neap_vm *vm) {
    if (atomic_load_explicit(&vm->has_reported, memory_order_relaxed)) return;
    if (!neap_list_is_empty(&vm->tasks) && lua_checkstack(vm->main, 8)) write_tasks(vm);
    atomic_store_explicit(&vm->has_reported, true, memory_order_release);
}

/* --- in other threads --- */

/* On the thread of the state. */
static void report_here(struct neap_runnable *runnable) {
    struct neap_vm *vm = NEAP_CONTAINER_OF(runnable, struct neap_vm, reporting);
    neap_report_tasks(vm);
    neap_mailbox_notify(vm->engine->main);
}

/* Calls `visit` for each state but `own` that has not reported; the guard is held. */
static int each_silent(const struct neap_vm *own, void (*visit)(struct neap_vm *vm)) {
    struct neap_engine *engine = own->engine;
    int count = 0;
    neap_guard_lock(&engine->guard);
    for (struct neap_list *node = engine->states.next; node != &engine->states; node = node->next) {
        struct neap_vm *vm = vm_at(node);
        if (vm == own || atomic_load_explicit(&vm->has_reported, memory_order_acquire)) continue;
        count++;
        visit(vm);
    }
    neap_guard_unlock(&engine->guard);
    return count;
}

static void ask(struct neap_vm *vm) {
    vm->reporting.run = report_here;
    neap_mailbox_post(vm->loop.mailbox, &vm->reporting);
}

static void only_count(struct neap_vm *vm) { (void)vm; }

static void name(struct neap_vm *vm) {
    char text[NEAP_JOB_NAME_MAX + 1] = "";
    if (vm->job != NULL) neap_job_get_name(vm->job, text);
    neap_report_print("neap: thread %s was asked to end and does not answer: it runs what cannot be interrupted\n",
                      text);
}

void neap_report_ask(struct neap_vm *vm) { each_silent(vm, ask); }

int neap_report_silent(const struct neap_vm *vm) { return each_silent(vm, only_count); }

void neap_report_name(const struct neap_vm *vm) { each_silent(vm, name); }

/* The guard is held. Has the state been taken out of the list? Then it is being closed. */
static bool is_closing(const struct neap_engine *engine, const struct neap_job *job) {
    for (struct neap_list *node = engine->states.next; node != &engine->states; node = node->next)
        if (vm_at(node)->job == job) return false;
    return true;
}

static void name_finalising(struct neap_job *job, void *argument) {
    char text[NEAP_JOB_NAME_MAX + 1];
    if (!is_closing(argument, job)) return;
    neap_job_get_name(job, text);
    neap_report_print("neap: thread %s was asked to end and has not: it still runs finalisers\n", text);
}

void neap_report_finalising(struct neap_engine *engine) { neap_engine_each_thread(engine, name_finalising, engine); }
