/* process: from neap.process to a handle. What happens in between is the engine's
 * (host/process.c); in the child see program/child.c. */
#include "bindings/running/process.h"

#include <signal.h>
#include <string.h>
#include <uv.h>

#include "bindings/codec/codec.h"
#include "bindings/handle/classes.h"
#include "bindings/handle/handle.h"
#include "bindings/handle/instance.h"
#include "bindings/handle/remote.h"
#include "bindings/report/failure.h"
#include "bindings/running/listing.h"
#include "bindings/running/locate.h"
#include "bindings/running/start.h"
#include "bindings/running/thread.h"
#include "bindings/state/commons.h"
#include "bindings/state/restrict.h"
#include "bindings/task/await.h"
#include "bindings/task/ending.h"
#include "bindings/version.h"
#include "core/error.h"
#include "host/engine.h"
#include "host/mirror.h"
#include "host/process.h"

/* --- starting --- */

struct parts {
    const struct neap_start *start;
    struct neap_process *process;
    const struct neap_object *obstacle; /* what cannot be sent; NULL */
};

/* It can be found in the engine's list by now, and be cancelled, by a thread that writes its reason. */
static void pack(struct neap_packer *packer, void *argument) {
    static const struct neap_message none = {.kind = NEAP_MESSAGE_EMPTY};
    struct parts *parts = argument;
    bool is_cancelled = (parts->start->flags & NEAP_TASK_CANCELLED) != 0;
    char name[NEAP_JOB_NAME_MAX + 1];
    neap_job_get_name(&parts->process->job, name);
    neap_pack_text(packer, NEAP_VERSION);
    neap_pack_u64(packer, parts->process->job.id);
    neap_pack_text(packer, name);
    neap_pack_message(packer, is_cancelled ? &parts->process->job.reason : &none);
    neap_start_pack(packer, parts->start);
    parts->obstacle = packer->obstacle;
}

/* The process could not be started. The job's scope has been left. */
static int refuse(lua_State *L, int code, const struct parts *parts, const char *runner) {
    if (code == NEAP_CLOSED) neap_ending_refuse(L, "start a process");
    if (code == NEAP_NOMEM) return luaL_error(L, "not enough memory");
    if (code == UV_ENOTSUP && parts->obstacle != NULL)
        return luaL_error(L, "cannot send args: a %s cannot go to another process", parts->obstacle->class->name);
    if (code == UV_EMSGSIZE) return neap_remote_refuse_size(L, "args");
    lua_pushnil(L);
    if (parts->process == NULL)
        lua_pushfstring(L, "cannot start a process: %s", neap_code_text(code));
    else if (runner == NULL)
        lua_pushliteral(L, "cannot start a process: the program neap was not found; the variable NEAP_RUNNER may name "
                           "it, or a host its "
                           "child_program");
    else
        lua_pushfstring(L, "cannot start a process: %s: %s", runner, neap_code_text(code));
    lua_pushstring(L, neap_code_name(code));
    return 3;
}

/* Pushes a handle of a new process; 0 or a code, and nothing is in it. */
static int push_process(lua_State *L, struct neap_engine *engine, struct neap_process **process) {
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_PROCESS, sizeof *box, 0);
    int code = neap_process_new(engine, process);
    if (code != 0) return code;
    box->object = &(*process)->job.future.object;
    neap_box_register(L, -1, box->object);
    return 0;
}

static void set_options(struct neap_process *process, const struct neap_task_options *options) {
    struct neap_job *job = &process->job;
    if (options->name != NULL) neap_job_set_name(job, options->name);
    atomic_store_explicit(&job->daemon, (options->flags & NEAP_TASK_DAEMON) != 0, memory_order_relaxed);
    atomic_store_explicit(&job->future.object.state, NEAP_FUTURE_RUNNING, memory_order_relaxed);
    process->is_quiet = (options->flags & NEAP_TASK_QUIET) != 0;
    process->on_failure = neap_failure_report_process;
    if (options->scope == NULL) return;
    job->scope = options->scope;
    neap_object_share(&options->scope->object);
    neap_scope_enter(options->scope);
}

int neap_process_spawn(lua_State *L, int arguments, const struct neap_task_options *options) {
    neap_restrict_check_process(L);
    struct neap_vm *vm = neap_vm_of(L);
    int function = lua_gettop(L) - arguments;
    luaL_checkstack(L, 8, "process");
    struct neap_start *start = *neap_start_push(L);
    neap_start_fill(L, start, function, arguments, true, options);
    neap_commons_offer(vm->engine, &start->commons);
    char path[PATH_MAX];
    const char *runner = neap_locate_runner(vm->engine, path);
    struct neap_process *process;
    struct parts parts = {.start = start};
    int code = push_process(L, vm->engine, &process);
    if (code != 0) return refuse(L, code, &parts, runner);
    parts.process = process;
    if (options->flags & NEAP_TASK_CANCELLED) { /* it starts, and ends without running the function */
        if (options->reason != 0) neap_encode(L, options->reason, &process->job.reason, "reason");
        neap_job_cancel_early(&process->job);
    }
    set_options(process, options);
    code = runner != NULL ? neap_process_start(process, runner, pack, &parts) : UV_ENOENT;
    if (code == 0) {
        lua_replace(L, function);
        lua_settop(L, function);
        return 1;
    }
    if (options->scope != NULL) {
        process->job.scope = NULL;
        neap_scope_leave(options->scope, process->job.id, false);
    }
    return refuse(L, code, &parts, runner);
}

/* neap.process([options,] fn, ...) */
static int run_process(lua_State *L) {
    struct neap_task_options options;
    int function = neap_run_options(L, 1, &options);
    neap_argument_type(L, function, LUA_TFUNCTION);
    return neap_process_spawn(L, lua_gettop(L) - function, &options);
}

/* neap.processes() */
static int list_processes(lua_State *L) { return neap_listing_push(L, neap_engine_each_process); }

const luaL_Reg neap_process_functions[] = {{"process", run_process}, {"processes", list_processes}, {NULL, NULL}};

/* --- handles --- */

/* The process in argument 1, be it in an object of the class form. */
static struct neap_job *check_job(lua_State *L) {
    neap_instance_replace(L, 1);
    return (struct neap_job *)neap_box_check(L, 1, NEAP_HANDLE_PROCESS);
}

/* Has it ended? Then how. What another process has started tells it with its end. */
static bool find_exit(struct neap_job *job, int *status, struct rusage *usage) {
    struct neap_mirror *mirror = neap_mirror_of(&job->future.object);
    if (mirror == NULL) return neap_process_exit_status((struct neap_process *)job, status, usage);
    neap_mirror_look(mirror);
    if (!neap_future_has_ended(&job->future) || !mirror->has_status) return false;
    *status = mirror->status;
    *usage = mirror->usage;
    return true;
}

static const struct {
    const char *name;
    int number;
} signal_names[] = {{"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"BUS", SIGBUS},   {"CHLD", SIGCHLD}, {"CONT", SIGCONT},
                    {"FPE", SIGFPE},   {"HUP", SIGHUP},   {"ILL", SIGILL},   {"INT", SIGINT},   {"KILL", SIGKILL},
                    {"PIPE", SIGPIPE}, {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV}, {"STOP", SIGSTOP}, {"TERM", SIGTERM},
                    {"TRAP", SIGTRAP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU}, {"URG", SIGURG},
                    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {NULL, 0}};

/* A number, or a name as "TERM" or "SIGTERM". */
static int check_signal(lua_State *L, int index) {
    if (lua_isnoneornil(L, index)) return SIGKILL;
    if (lua_type(L, index) != LUA_TSTRING) {
        lua_Integer number = neap_argument_integer(L, index);
        neap_argument_check(L, number > 0 && number < NSIG, index, "there is no such signal");
        return (int)number;
    }
    const char *name = lua_tostring(L, index);
    if (strncmp(name, "SIG", 3) == 0) name += 3;
    for (int i = 0; signal_names[i].name != NULL; i++)
        if (strcmp(signal_names[i].name, name) == 0) return signal_names[i].number;
    return neap_argument_error(L, index, lua_pushfstring(L, "there is no signal '%s'", lua_tostring(L, index)));
}

static int signal_there(lua_State *L, struct neap_mirror *mirror, int number) {
    struct neap_call call = neap_remote_begin(L);
    call.number = number;
    neap_mirror_call(mirror, NEAP_JOB_SIGNAL, &call);
    neap_message_fini(&call.message);
    return call.result == NEAP_BROKEN ? UV_ESRCH : call.result;
}

static int send_signal(lua_State *L, struct neap_job *job, int number) {
    struct neap_mirror *mirror = neap_mirror_of(&job->future.object);
    int code =
        mirror != NULL ? signal_there(L, mirror, number) : neap_process_signal((struct neap_process *)job, number);
    if (code != 0 && code != UV_ESRCH) {
        lua_pushnil(L);
        lua_pushstring(L, neap_code_text(code));
        lua_pushstring(L, neap_code_name(code));
        return 3;
    }
    lua_pushboolean(L, code == 0);
    return 1;
}

int neap_process_terminate(lua_State *L) { return send_signal(L, check_job(L), SIGTERM); }

int neap_process_kill(lua_State *L) {
    struct neap_job *job = check_job(L);
    return send_signal(L, job, check_signal(L, 2));
}

static void set_seconds(lua_State *L, const char *name, const struct timeval *time) {
    lua_pushnumber(L, (double)time->tv_sec + (double)time->tv_usec / 1e6);
    lua_setfield(L, -2, name);
}

static void set_count(lua_State *L, const char *name, long count) {
    lua_pushinteger(L, count);
    lua_setfield(L, -2, name);
}

int neap_process_rusage(lua_State *L) {
    struct rusage usage;
    int status;
    if (!find_exit(check_job(L), &status, &usage)) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 0, 6);
    set_seconds(L, "user", &usage.ru_utime);
    set_seconds(L, "system", &usage.ru_stime);
    set_count(L, "max_rss", usage.ru_maxrss * 1024);
    set_count(L, "page_faults", usage.ru_majflt);
    set_count(L, "voluntary_switches", usage.ru_nvcsw);
    set_count(L, "involuntary_switches", usage.ru_nivcsw);
    return 1;
}

static int process_index(lua_State *L) {
    struct neap_job *job = (struct neap_job *)neap_box_check(L, 1, NEAP_HANDLE_PROCESS);
    const struct neap_mirror *mirror = neap_mirror_of(&job->future.object);
    const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
    struct rusage usage;
    int status;
    if (strcmp(key, "pid") == 0) {
        lua_pushinteger(L, mirror != NULL ? mirror->pid : ((struct neap_process *)job)->pid);
    } else if (strcmp(key, "exitcode") == 0) {
        if (find_exit(job, &status, &usage))
            lua_pushinteger(L, status);
        else
            lua_pushnil(L);
    } else {
        return neap_handle_index(L);
    }
    return 1;
}

static const luaL_Reg more_methods[] = {
    {"terminate", neap_process_terminate}, {"kill", neap_process_kill}, {"rusage", neap_process_rusage}, {NULL, NULL}};

const struct neap_binding neap_process_binding = {
    .name = "process",
    .class = &neap_process_job_class,
    .proxy = &neap_mirror_process_class,
    .methods = neap_handle_methods,
    .more_methods = more_methods,
    .metamethods = neap_handle_metamethods,
    .index = process_index,
};
