#include "bindings/io/popen.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bindings/handle/box.h"
#include "bindings/handle/classes.h"
#include "bindings/io/signals.h"
#include "bindings/io/stdio.h"
#include "bindings/io/stream.h"
#include "bindings/state/libraries.h"
#include "bindings/state/registry.h"
#include "bindings/task/await.h"
#include "core/error.h"
#include "io/program.h"

enum { ARGUMENTS = 1, ENVIRONMENT, DIRECTORY, STREAMS, GROUP, KEEP }; /* the stack of start */

/* What is open while a program is being started; lies in a userdata. */
struct opened {
    int theirs[3]; /* -1: none */
    int ours[3];   /* the other ends of pipes; -1: none, or given away */
};

static void close_all(int fds[3]) {
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) close(fds[i]);
        fds[i] = -1;
    }
}

static const char opened_key; /* registry: the metatable of what is opened */

static int opened_collected(lua_State *L) {
    struct opened *opened = lua_touserdata(L, 1);
    close_all(opened->theirs);
    close_all(opened->ours);
    return 0;
}

static struct opened *push_opened(lua_State *L) {
    struct opened *opened = lua_newuserdatauv(L, sizeof *opened, 0);
    for (int i = 0; i < 3; i++) opened->theirs[i] = opened->ours[i] = -1;
    neap_registry_set_end(L, &opened_key, opened_collected);
    return opened;
}

static int open_pipe(struct opened *opened, int i) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
    bool reads = i == STDIN_FILENO;
    opened->theirs[i] = ends[reads ? 0 : 1];
    opened->ours[i] = ends[reads ? 1 : 0];
    return 0;
}

static int open_null(struct opened *opened, int i) {
    opened->theirs[i] = open("/dev/null", (i == STDIN_FILENO ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
    return opened->theirs[i] < 0 ? -errno : 0;
}

/* A copy of what is to be its stdout. */
static int open_copy(struct opened *opened, int i) {
    int fd = opened->theirs[STDOUT_FILENO] >= 0 ? opened->theirs[STDOUT_FILENO] : STDOUT_FILENO;
    opened->theirs[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return opened->theirs[i] < 0 ? -errno : 0;
}

/* Opens what each of the three standard streams is to be. */
static int open_streams(lua_State *L, struct opened *opened) {
    int code = 0;
    for (int i = 0; i < 3 && code == 0; i++) {
        lua_rawgeti(L, STREAMS, i + 1);
        const char *kind = neap_argument_string(L, -1, NULL);
        if (strcmp(kind, "pipe") == 0)
            code = open_pipe(opened, i);
        else if (strcmp(kind, "null") == 0)
            code = open_null(opened, i);
        else if (strcmp(kind, "stdout") == 0)
            code = open_copy(opened, i);
        lua_pop(L, 1);
    }
    return code;
}

/* Pushes an array of the strings in the list at `index`, ended by NULL. They live as long as the list. */
static char **push_strings(lua_State *L, int index) {
    lua_Integer count = luaL_len(L, index);
    char **strings = lua_newuserdatauv(L, (size_t)(count + 1) * sizeof(char *), 0);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        strings[i - 1] = (char *)neap_argument_string(L, -1, NULL);
        lua_pop(L, 1);
    }
    strings[count] = NULL;
    return strings;
}

/* The program is started; pushes it and our ends of its streams. */
static int push_streams(lua_State *L, struct opened *opened) {
    for (int i = 0; i < 3; i++) {
        int fd = opened->ours[i], code = 0;
        opened->ours[i] = -1;
        if (fd >= 0) code = neap_stream_push(L, fd, NULL);
        if (code != 0) return neap_push_code(L, code);
        if (fd < 0) lua_pushnil(L);
    }
    return 4;
}

/* internal.programs.start(arguments, environment, directory, {stdin, stdout, stderr}, group, keep) -> program, stdin,
 * stdout, stderr. Each of the three is "pipe" (a stream comes back), "inherit", "null", or for stderr "stdout". */
static int popen_start(lua_State *L) {
    struct neap_program_plan plan = {.group = lua_toboolean(L, GROUP), .keep = lua_toboolean(L, KEEP)};
    lua_settop(L, KEEP);
    struct opened *opened = push_opened(L);
    plan.arguments = push_strings(L, ARGUMENTS);
    plan.environment = lua_isnil(L, ENVIRONMENT) ? NULL : push_strings(L, ENVIRONMENT);
    plan.directory = neap_argument_string_or(L, DIRECTORY, NULL);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_PROGRAM, sizeof *box, 0);
    struct neap_program *program = NULL;
    neap_libraries_flush(neap_vm_of(L)); /* what we have printed comes before what it prints */
    int code = open_streams(L, opened);
    memcpy(plan.streams, opened->theirs, sizeof plan.streams);
    if (code == 0) code = neap_program_start(&neap_vm_of(L)->loop, &plan, &program);
    close_all(opened->theirs);
    if (code != 0) {
        close_all(opened->ours);
        return neap_push_code(L, code);
    }
    box->object = &program->poll.object;
    return push_streams(L, opened);
}

/* internal.programs.open(command, mode): as io.popen, of a shell. */
static int popen_open(lua_State *L) {
    const char *command = luaL_checkstring(L, 1), *mode = luaL_checkstring(L, 2);
    char *arguments[] = {"/bin/sh", "-c", (char *)command, NULL};
    int end = mode[0] == 'r' ? STDOUT_FILENO : STDIN_FILENO;
    lua_settop(L, 2);
    struct opened *opened = push_opened(L);
    struct neap_box *box = neap_box_new(L, NEAP_HANDLE_PROGRAM, sizeof *box, 0);
    struct neap_program *program = NULL;
    struct neap_program_plan plan = {.arguments = arguments};
    neap_stdio_push_closed(L); /* after the box: so its finaliser comes first */
    lua_insert(L, -2);
    neap_libraries_flush(neap_vm_of(L));
    int code = open_pipe(opened, end);
    memcpy(plan.streams, opened->theirs, sizeof plan.streams);
    if (code == 0) code = neap_program_start(&neap_vm_of(L)->loop, &plan, &program);
    close_all(opened->theirs);
    if (code == 0) {
        int fd = opened->ours[end];
        opened->ours[end] = -1;
        box->object = &program->poll.object;
        code = neap_stdio_fill_program(L, fd, mode);
    }
    if (code == 0) return 1;
    errno = -code;
    return luaL_fileresult(L, 0, command);
}

/* internal.programs.environment(): name -> value */
static int popen_environment(lua_State *L) {
    lua_newtable(L);
    for (char **variable = environ; *variable != NULL; variable++) {
        const char *end = strchr(*variable, '=');
        if (end == NULL) continue;
        lua_pushlstring(L, *variable, (size_t)(end - *variable));
        lua_pushstring(L, end + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

const luaL_Reg neap_popen_functions[] = {
    {"environment", popen_environment}, {"open", popen_open}, {"start", popen_start}, {NULL, NULL}};

/* --- the handle --- */

static struct neap_program *check(lua_State *L) {
    return (struct neap_program *)neap_box_check(L, 1, NEAP_HANDLE_PROGRAM);
}

/* Pushes { code = }, or { signal = }. */
static int push_end(lua_State *L, const struct neap_program *program) {
    bool killed = WIFSIGNALED(program->status);
    lua_createtable(L, 0, 1);
    lua_pushinteger(L, killed ? WTERMSIG(program->status) : WEXITSTATUS(program->status));
    lua_setfield(L, -2, killed ? "signal" : "code");
    return 1;
}

static int go_on(lua_State *L, struct neap_program *program);

static int finish_wait(lua_State *L, struct neap_task *task, int code) {
    return code < 0 ? neap_push_code(L, code) : go_on(L, (struct neap_program *)task->link.object);
}

/* The deadline is on top of the stack. */
static int go_on(lua_State *L, struct neap_program *program) {
    if (neap_program_look(program)) return push_end(L, program);
    struct neap_task *task = neap_await_begin(L);
    task->link.object = &program->poll.object;
    task->link.op = NEAP_POLL_READ;
    return neap_await(L, &task->link, 1, (int64_t)lua_tointeger(L, -1), finish_wait);
}

/* program:wait([timeout]) */
static int program_wait(lua_State *L) {
    struct neap_program *program = check(L);
    int64_t deadline = neap_check_timeout(L, 2);
    lua_settop(L, 1);
    lua_pushinteger(L, deadline);
    neap_await_begin(L);
    return go_on(L, program);
}

/* program:kill([signal]) */
static int program_kill(lua_State *L) {
    struct neap_program *program = check(L);
    int code = neap_program_kill(program, lua_isnoneornil(L, 2) ? SIGKILL : neap_check_signal(L, 2));
    if (code == UV_ESRCH) {
        lua_pushboolean(L, 0);
        return 1;
    }
    if (code != 0) return neap_push_code(L, code);
    lua_pushboolean(L, 1);
    return 1;
}

/* program:release(): with what it has left behind nobody will have to do */
static int program_release(lua_State *L) {
    neap_program_release(check(L));
    return 0;
}

static int program_is_alive(lua_State *L) {
    lua_pushboolean(L, !neap_program_look(check(L)));
    return 1;
}

static int program_pid(lua_State *L) {
    lua_pushinteger(L, check(L)->pid);
    return 1;
}

static void describe(struct neap_object *object, char *text, size_t size) {
    struct neap_program *program = (struct neap_program *)object;
    if (!neap_program_look(program))
        snprintf(text, size, "pid %d, running", (int)program->pid);
    else if (WIFSIGNALED(program->status))
        snprintf(text, size, "pid %d, killed by signal %d", (int)program->pid, WTERMSIG(program->status));
    else
        snprintf(text, size, "pid %d, ended with status %d", (int)program->pid, WEXITSTATUS(program->status));
}

static const luaL_Reg methods[] = {{"wait", program_wait},         {"kill", program_kill}, {"release", program_release},
                                   {"is_alive", program_is_alive}, {"pid", program_pid},   {NULL, NULL}};

const struct neap_binding neap_program_binding = {
    .name = "program",
    .class = &neap_program_class,
    .methods = methods,
    .describe = describe,
    .stays = true,
};
