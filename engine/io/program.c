/* program: posix_spawn, which does not copy our memory, and a pidfd that the loop watches, so that no
 * signal handler is needed. A program whose record goes while it runs is killed: nobody could wait for it
 * any more, and it would stay a zombie. */
#include "io/program.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/child.h"
#include "core/error.h"
#include "core/memory.h"

/* --- starting --- */

static int add_actions(posix_spawn_file_actions_t *actions, const struct neap_program_plan *plan) {
    int code = 0;
    for (int i = 0; i < 3 && code == 0; i++)
        if (plan->streams[i] >= 0) code = posix_spawn_file_actions_adddup2(actions, plan->streams[i], i);
    if (code == 0 && plan->directory != NULL) code = posix_spawn_file_actions_addchdir_np(actions, plan->directory);
    return code;
}

static int set_attributes(posix_spawnattr_t *attributes, const struct neap_program_plan *plan) {
    sigset_t none, all;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (plan->group) flags |= POSIX_SPAWN_SETPGROUP;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    return posix_spawnattr_setflags(attributes, flags);
}

/* The PATH that counts: what is started looks for programs in its own, too. */
static const char *path_in(char *const *environment) {
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, "PATH=", 5) == 0) return *environment + 5;
    return "/bin:/usr/bin";
}

/* posix_spawnp looks in our PATH, whatever environment it is given. A folder without a name is the one that the program
 * is to run in. A positive number is what the system says. */
static int spawn_found(const struct neap_program_plan *plan, pid_t *pid, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attributes) {
    const char *name = plan->arguments[0], *end;
    char file[PATH_MAX];
    int answer = ENOENT;
    for (const char *folder = path_in(plan->environment); folder != NULL; folder = *end == ':' ? end + 1 : NULL) {
        end = strchrnul(folder, ':');
        int length =
            snprintf(file, sizeof file, "%.*s%s%s", (int)(end - folder), folder, end > folder ? "/" : "", name);
        if (length >= (int)sizeof file) continue;
        int code = posix_spawn(pid, file, actions, attributes, plan->arguments, plan->environment);
        if (code != ENOENT && code != ENOTDIR && code != EACCES) return code;
        if (code == EACCES) answer = code; /* it may be further on; else it is that */
    }
    return answer;
}

static int spawn(const struct neap_program_plan *plan, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0) return NEAP_NOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return NEAP_NOMEM;
    }
    int code = add_actions(&actions, plan);
    if (code == 0) code = set_attributes(&attributes, plan);
    const char *name = plan->arguments[0];
    neap_loop_lose_patience();
    bool is_found = plan->environment == NULL || name[0] == '\0' || strchr(name, '/') != NULL;
    char *const *environment = plan->environment != NULL ? plan->environment : environ;
    if (code == 0 && is_found)
        code = posix_spawnp(pid, name, &actions, &attributes, plan->arguments, environment);
    else if (code == 0)
        code = spawn_found(plan, pid, &actions, &attributes);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -code;
}

int neap_program_start(struct neap_loop *loop, const struct neap_program_plan *plan, struct neap_program **result) {
    struct neap_program *program = neap_alloc_zeroed(sizeof *program);
    if (program == NULL) return NEAP_NOMEM;
    int code = spawn(plan, &program->pid);
    if (code != 0) goto fail_record;
    int fd = neap_child_open(program->pid);
    code = fd < 0 ? fd : neap_poll_init(&program->poll, &neap_program_class, loop, fd);
    if (code != 0) goto fail_program;
    program->group = plan->group;
    program->kept = plan->group && plan->keep;
    *result = program;
    return 0;
fail_program:
    neap_child_kill(program->pid, fd, SIGKILL);
    neap_child_wait(program->pid, fd, 0, &program->status, NULL);
    if (fd >= 0) close(fd);
fail_record:
    neap_free(program);
    return code;
}

/* --- watching --- */

/* As neap_child_wait. Where somebody else has reaped it the status is 0, or what it was before. */
static int await(struct neap_program *program, int options) {
    return neap_child_wait(program->pid, program->poll.fd, options, &program->status, NULL);
}

/* Once it has ended too: somebody else in this process may have reaped it since. */
static bool look_at_kept(struct neap_program *program) {
    int result = await(program, WNOHANG | WNOWAIT);
    if (result < 0) program->kept = false;
    if (program->ended) return true;
    program->ended = result != 0;
    return program->ended;
}

bool neap_program_look(struct neap_program *program) {
    if (program->ended) return true;
    if (program->kept) return look_at_kept(program);
    program->ended = await(program, WNOHANG) != 0;
    return program->ended;
}

void neap_program_release(struct neap_program *program) {
    bool is_left = program->kept && program->ended;
    program->kept = false;
    if (is_left) await(program, 0);
}

void neap_program_reap(struct neap_program *program) {
    if (program->ended) return;
    await(program, 0);
    program->ended = true;
}

int neap_program_kill(struct neap_program *program, int number) {
    bool ended = program->kept ? look_at_kept(program) : neap_program_look(program);
    if (ended && !program->kept) return UV_ESRCH;
    if (!program->group) return neap_child_kill(program->pid, program->poll.fd, number);
    return kill(-program->pid, number) == 0 ? 0 : -errno; /* nobody else has the number while it is not reaped */
}

static void destroy(struct neap_object *object) {
    struct neap_program *program = (struct neap_program *)object;
    if (neap_program_kill(program, SIGKILL) == 0)
        await(program, 0);
    else
        neap_program_release(program);
    neap_poll_close(&program->poll);
    neap_free(program);
}

static const char *const verbs[] = {"end"};

const struct neap_class neap_program_class = {
    .name = "program",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = neap_poll_attempt,
    .enlist = neap_poll_enlist,
};
