/* child: the runner, or a host's own program, as a child process. It is a program like any other (program.c), but for
 * what it runs, and who learns how that ended. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/handle/classes.h"
#include "bindings/handle/remote.h"
#include "bindings/neap.h"
#include "bindings/program/program.h"
#include "bindings/report/failure.h"
#include "bindings/running/start.h"
#include "bindings/state/commons.h"
#include "bindings/task/outcome.h"
#include "bindings/version.h"
#include "core/memory.h"
#include "host/engine.h"
#include "host/launcher.h"
#include "host/parent.h"

enum { VERSION_STATUS = 3 };

struct child {
    struct neap_parent parent;
    struct neap_start *start; /* owned; NULL before it has come */
    uint64_t id;              /* that the parent knows it by */
    char name[NEAP_JOB_NAME_MAX + 1];
};

static bool read_start(struct neap_unpacker *unpacker, void *argument) {
    struct child *child = argument;
    const char *version = neap_unpack_text(unpacker);
    if (strcmp(version, NEAP_VERSION) != 0) {
        fprintf(stderr, "neap: this is version %s, and was started by version %s\n", NEAP_VERSION, version);
        return false;
    }
    child->id = neap_unpack_u64(unpacker);
    snprintf(child->name, sizeof child->name, "%s", neap_unpack_text(unpacker));
    neap_unpack_message(unpacker, &child->parent.reason);
    child->start = neap_start_unpack(unpacker);
    child->parent.is_cancelled = child->start != NULL && (child->start->flags & NEAP_TASK_CANCELLED) != 0;
    return child->start != NULL;
}

/* --- for program.c --- */

static int open_child(struct neap_vm *vm, struct neap_task_options *options, void *argument) {
    struct child *child = argument;
    int code = neap_parent_attach(&child->parent, vm->engine, vm->loop.mailbox, child->id);
    if (code != 0) return code;
    neap_start_prepare(child->start, vm, vm->slice.signal);
    neap_commons_inherit(vm->engine, &child->start->commons);
    options->job = &child->parent.self->job;
    neap_job_set_name(options->job, child->name);
    atomic_store_explicit(&options->job->daemon, (child->start->flags & NEAP_TASK_DAEMON) != 0, memory_order_relaxed);
    return 0;
}

static int load(lua_State *L, void *argument) {
    struct child *child = argument;
    lua_pushcfunction(L, neap_start_body);
    lua_pushlightuserdata(L, child->start);
    return 1;
}

/* Protected: (report, main task's handle). What the error says of itself, for a parent
 * that has no Lua state at hand. */
static int describe_failure(lua_State *L) {
    struct neap_report *report = lua_touserdata(L, 1);
    size_t size;
    neap_failure_push_text(L, 2);
    const char *text = lua_tolstring(L, -1, &size);
    report->text = neap_alloc(size + 1);
    if (report->text != NULL) memcpy(report->text, text, size + 1);
    return 0;
}

/* What the parent is told when it cannot be told the outcome itself. */
static void report_refused(struct child *child, int code, int status) {
    struct neap_outcome *outcome = neap_outcome_refused(code);
    char reason[] = "its result could not be sent";
    const struct neap_report report = {
        .outcome = outcome, .state = NEAP_FUTURE_FAILED, .status = status, .text = reason};
    if (outcome != NULL) neap_parent_report(&child->parent, &report);
    neap_outcome_free(outcome);
}

/* Everything has ended. Where somebody has asked for an exit, the status says all. */
static void close_child(struct neap_vm *vm, int main_task, int status, bool was_asked, void *argument) {
    struct child *child = argument;
    struct neap_report report = {.outcome = vm->outcome, .state = (enum neap_future_state)vm->outcome_state};
    bool tells = report.outcome != NULL && (!was_asked || report.state == NEAP_FUTURE_FAILED);
    report.status = status;
    if (tells && report.state == NEAP_FUTURE_FAILED) {
        lua_State *L = vm->main;
        lua_pushcfunction(L, describe_failure);
        lua_pushlightuserdata(L, &report);
        lua_rawgeti(L, LUA_REGISTRYINDEX, main_task);
        if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
    }
    int code = tells ? neap_parent_report(&child->parent, &report) : 0;
    if (code != 0) report_refused(child, code, status);
    neap_free(report.text);
    neap_parent_detach(&child->parent);
}

/* Runs what the parent has sent over the descriptors that this process was given. Returns the exit status, or ends
 * with the signal that it was sent. */
static int run(void) {
    static struct child child; /* the hub's thread may outlive the frame, where a thread does not end */
    const struct neap_program program = {
        .load = load, .open = open_child, .close = close_child, .argument = &child, .is_child = true};
    if (neap_parent_open(&child.parent, &neap_remote_makers, neap_packed_classes, read_start, &child) != 0) return 1;
    while (child.start == NULL)
        if (!neap_parent_await_start(&child.parent)) return VERSION_STATUS;
    int status = neap_program_run(&program);
    neap_start_free(child.start);
    neap_parent_fini(&child.parent);
    return status;
}

int neap_child_main(int argc, char **argv) {
    if (argc != 3 || argv == NULL) return -1;
    if (strcmp(argv[1], NEAP_LAUNCH_NURSERY) == 0)
        neap_launch_nurse();
    else if (strcmp(argv[1], NEAP_LAUNCH_CHILD) == 0)
        neap_launch_settle((pid_t)strtol(argv[2], NULL, 10));
    else
        return -1;
    return run();
}
