/* process: children.
 *
 * START      The wire is made, what the child is to run is written into it, the runner is launched (launcher.c), and
 *            the hub takes over. So the child finds its first frame when it begins.
 *
 * END        is when the system says so, by a descriptor (pidfd) that the hub watches; where there is none a thread
 *            waits for it. Then, on the hub's thread, in one turn:
 *            1. it is reaped; 2. what it had sent is read to the end, and the wire ends; 3. what it had printed is
 *            written; 4. its descriptors are closed; 5. the job ends: who joins it goes on; 6. a failure that nobody
 *            awaited is reported.
 *            The program's handling of SIGCHLD is not touched; if it reaps children of all sorts, or ignores the
 *            signal, then the child's own word for its status is taken.
 *
 * OUTCOME    done        its function has returned; or it exited with status 0.
 *            failed      its function has raised; it exited otherwise, or was ended by a signal.
 *            cancelled   it was cancelled; or it was terminated or killed through its handle, then the error says so.
 *
 * LIVES      The engine's list does not count; the hub holds a reference from the start until the last watch has
 *            stopped.
 *
 * LOCKS      `guard` is taken last. */
#include "host/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "core/child.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/drain.h"
#include "host/engine.h"
#include "host/launcher.h"
#include "host/mirror.h"
#include "host/session.h"
#include "host/unjoined.h"

/* --- records --- */

static void drop_report(struct neap_report *report) {
    neap_outcome_free(report->outcome);
    neap_free(report->text);
    report->outcome = NULL;
    report->text = NULL;
}

static void destroy(struct neap_object *object) {
    struct neap_process *process = (struct neap_process *)object;
    drop_report(&process->report);
    if (process->session != NULL) neap_session_unref(process->session);
    if (process->wire != NULL) neap_wire_unref(process->wire);
    neap_job_fini(&process->job);
    neap_free(process);
}

/* --- for its mirrors --- */

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    neap_job_constants(object, constants_);
    constants_->numbers[1] |= (int64_t)((struct neap_process *)object)->pid << 8;
}

static void serve(struct neap_object *object, struct neap_call *call) {
    if (call->method == NEAP_JOB_SIGNAL)
        call->result = neap_process_signal((struct neap_process *)object, (int)call->number);
    else
        neap_job_serve(object, call);
}

static void put_more(struct neap_object *object, struct neap_packer *packer) {
    struct rusage usage;
    int status = 0;
    memset(&usage, 0, sizeof usage);
    neap_mirror_put_end(object, packer);
    bool known = neap_process_exit_status((struct neap_process *)object, &status, &usage);
    neap_job_put_exit(packer, known, status, &usage);
}

static const struct neap_remote remote = {
    .kind = NEAP_KIND_PROCESS,
    .ops = NEAP_FUTURE_END + 1,
    .constants = constants,
    .serve = serve,
    .put_more = put_more,
};

const struct neap_class neap_process_job_class = {
    .name = "process",
    .verbs = neap_future_verbs,
    .destroy = destroy,
    .attempt = neap_future_attempt,
    .enlist = neap_future_enlist,
    .remote = &remote,
};

static struct neap_process *make(struct neap_engine *engine, struct neap_mailbox *mailbox, uint64_t id) {
    struct neap_process *process = neap_alloc_zeroed(sizeof *process);
    if (process == NULL) return NULL;
    neap_job_init(&process->job, &neap_process_job_class, mailbox, id);
    process->job.failures = &engine->failures;
    process->engine = engine;
    neap_list_init(&process->node);
    process->pidfd = process->output_fd = process->error_output_fd = -1;
    atomic_init(&process->is_stopped, false);
    neap_guard_init(&process->guard);
    return process;
}

int neap_process_new(struct neap_engine *engine, struct neap_process **process) {
    struct neap_hub *hub;
    int code = neap_hub_get(engine, &hub);
    if (code != 0) return code;
    struct neap_process *made = make(engine, hub->loop.mailbox, neap_engine_next_id(engine));
    if (made == NULL) return NEAP_NOMEM;
    made->hub = hub;
    *process = made;
    return 0;
}

struct neap_process *neap_process_new_self(struct neap_engine *engine, struct neap_mailbox *mailbox,
                                           struct neap_wire *wire, uint64_t id) {
    struct neap_process *process = make(engine, mailbox, id);
    if (process == NULL) return NULL;
    process->pid = getpid();
    process->wire = neap_wire_ref(wire);
    return process;
}

static bool is_self(const struct neap_process *process) { return process->hub == NULL; }

/* --- how it ended --- */

bool neap_process_exit_status(struct neap_process *process, int *status, struct rusage *usage) {
    neap_guard_lock(&process->guard);
    bool ended = process->has_ended;
    if (ended && status != NULL) *status = process->status;
    if (ended && usage != NULL) *usage = process->usage;
    neap_guard_unlock(&process->guard);
    return ended;
}

/* False: it has not ended yet. */
static bool reap(struct neap_process *process) {
    struct rusage usage;
    int status;
    memset(&usage, 0, sizeof usage);
    neap_guard_lock(&process->guard);
    int found = neap_child_wait(process->pid, process->pidfd, WNOHANG, &status, &usage);
    if (found != 0) {
        process->has_ended = true;
        process->usage = usage;
        /* somebody else has reaped it: its own word must do */
        if (found < 0) process->status = process->report.outcome != NULL ? process->report.status : 0;
        if (found > 0) process->status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    }
    neap_guard_unlock(&process->guard);
    return found != 0;
}

enum { END_TEXT = NEAP_JOB_NAME_MAX + 128 };

/* "process p1 was killed by signal 9" */
static void write_end(struct neap_process *process, char text[END_TEXT]) {
    char name[NEAP_JOB_NAME_MAX + 1];
    neap_job_get_name(&process->job, name);
    if (process->status < 0 && process->unheard != 0)
        snprintf(text, END_TEXT, "process %s was killed, for it could not be listened to: %s", name,
                 process->unheard == NEAP_NOMEM ? "not enough memory" : neap_code_name(process->unheard));
    else if (process->status < 0)
        snprintf(text, END_TEXT, "process %s was killed by signal %d", name, -process->status);
    else if (process->status > 0)
        snprintf(text, END_TEXT, "process %s exited with status %d", name, process->status);
    else
        snprintf(text, END_TEXT, "process %s has ended", name);
}

/* Says in the report how it ended, where its own word is missing, or is not what has happened. */
static void describe_end(struct neap_process *process) {
    struct neap_report *report = &process->report;
    char text[END_TEXT];
    bool has_told = report->outcome != NULL;
    if (has_told && (process->status >= 0 || report->state == NEAP_FUTURE_FAILED)) return;
    bool is_well = process->status == 0;
    if (!has_told) report->outcome = neap_outcome_new();
    report->state = is_well ? NEAP_FUTURE_DONE : NEAP_FUTURE_FAILED;
    if (report->outcome == NULL || is_well) return;
    write_end(process, text);
    neap_message_fini(&report->outcome->value);
    neap_message_fini(&report->outcome->traceback);
    neap_message_set_text(&report->outcome->value, text);
    neap_free(report->text);
    report->text = neap_alloc(strlen(text) + 1);
    if (report->text != NULL) memcpy(report->text, text, strlen(text) + 1);
}

/* Who waited may never ask why it failed. */
static void note_unjoined(struct neap_process *process, uint64_t id) {
    char text[END_TEXT + 1024], name[NEAP_JOB_NAME_MAX + 1];
    neap_job_get_name(&process->job, name);
    snprintf(text, sizeof text, "process %s failed, and nobody has joined it: %s", name,
             process->report.text != NULL ? process->report.text : "?");
    neap_unjoined_add(process->engine, id, text);
    if (atomic_load(&process->job.future.object.observed)) neap_unjoined_remove(process->engine, id);
}

/* Ends the job. See END. */
static void conclude(struct neap_process *process) {
    struct neap_engine *engine = process->engine;
    struct neap_job *job = &process->job;
    struct neap_scope *scope = job->scope;
    uint64_t id = job->id;
    describe_end(process);
    if (process->report.state == NEAP_FUTURE_FAILED && atomic_load_explicit(&process->is_stopped, memory_order_relaxed))
        process->report.state = NEAP_FUTURE_CANCELLED;
    enum neap_future_state state = process->report.state;
    struct neap_outcome *outcome = process->report.outcome;
    process->report.outcome = NULL;
    bool has_failed = state == NEAP_FUTURE_FAILED;
    if (has_failed && scope == NULL) atomic_fetch_add_explicit(&engine->failures, 1, memory_order_relaxed);
    job->task = NULL;
    bool awaited = neap_future_end(&job->future, state, outcome);
    if (scope != NULL) neap_scope_leave(scope, id, has_failed);
    if (has_failed && scope == NULL && !process->is_quiet) {
        if (awaited)
            note_unjoined(process, id);
        else if (process->on_failure != NULL)
            process->on_failure(process);
    }
    neap_engine_leave(engine, process);
}

/* --- the hub's thread --- */

/* The handle may live on for long. `cause`: why there will be no answers, if the session has not ended yet. */
static void drop_wire(struct neap_process *process, const char *cause) {
    neap_job_watch(&process->job, NULL);
    if (process->is_looked_at) neap_lookout_remove(&process->engine->lookout, process->wire);
    process->is_looked_at = false;
    if (process->session != NULL) {
        neap_session_end(process->session, cause);
        neap_session_set_child(process->session, NULL);
        neap_session_unref(process->session);
    }
    if (process->wire != NULL) neap_wire_unref(process->wire);
    process->session = NULL;
    process->wire = NULL;
}

/* Nothing of it is left but its record. */
static void stopped_one(struct neap_process *process) {
    if (--process->watching > 0) return;
    if (process->pidfd >= 0) close(process->pidfd);
    process->pidfd = -1;
    drop_wire(process, "");
    conclude(process);
    neap_object_unref(&process->job.future.object);
}

static void exit_watch_stopped(struct neap_watch *watch) {
    stopped_one(NEAP_CONTAINER_OF(watch, struct neap_process, exit_watch));
}

static void wire_watch_stopped(struct neap_watch *watch) {
    stopped_one(NEAP_CONTAINER_OF(watch, struct neap_process, wire_watch));
}

/* The child has ended. Of what is stopped here the last comes first: the drains have gone when the watches have. */
static void finish(struct neap_process *process) {
    neap_wire_close(process->wire);
    while (neap_wire_pump(process->wire)) {}
    char text[END_TEXT];
    write_end(process, text);
    neap_session_end(process->session, text);
    process->watching++; /* until all have been asked */
    if (neap_watch_is_on(&process->exit_watch)) neap_watch_stop(&process->exit_watch, exit_watch_stopped);
    if (neap_watch_is_on(&process->wire_watch)) neap_watch_stop(&process->wire_watch, wire_watch_stopped);
    if (process->output != NULL) neap_drain_finish(process->output);
    if (process->error_output != NULL) neap_drain_finish(process->error_output);
    process->output = process->error_output = NULL;
    stopped_one(process);
}

static void exit_ready(struct neap_watch *watch) {
    struct neap_process *process = NEAP_CONTAINER_OF(watch, struct neap_process, exit_watch);
    if (reap(process)) finish(process);
}

static void wire_ready(struct neap_watch *watch) {
    struct neap_process *process = NEAP_CONTAINER_OF(watch, struct neap_process, wire_watch);
    if (!neap_wire_pump(process->wire)) neap_watch_pause(watch);
}

static bool read_outcome(struct neap_process *process, const struct neap_wire_frame *frame) {
    struct neap_report *report = &process->report;
    struct neap_unpacker unpacker;
    if (report->outcome != NULL) return false;
    neap_unpacker_init(&unpacker, process->wire, frame);
    struct neap_outcome *outcome = neap_outcome_new();
    if (outcome == NULL) return true; /* its exit will have to do */
    unsigned state = neap_unpack_u8(&unpacker);
    int status = (int)neap_unpack_u8(&unpacker);
    const char *text = neap_unpack_text(&unpacker);
    neap_unpack_message(&unpacker, &outcome->value);
    neap_unpack_message(&unpacker, &outcome->traceback);
    if (unpacker.code != 0 || state < NEAP_FUTURE_DONE || state > NEAP_FUTURE_CANCELLED) {
        neap_outcome_free(outcome);
        return unpacker.code == NEAP_NOMEM;
    }
    report->outcome = outcome;
    report->state = (enum neap_future_state)state;
    report->status = status;
    size_t size = strlen(text) + 1;
    report->text = size > 1 ? neap_alloc(size) : NULL;
    if (report->text != NULL) memcpy(report->text, text, size);
    return true;
}

static bool read_name(struct neap_process *process, const struct neap_wire_frame *frame) {
    struct neap_unpacker unpacker;
    neap_unpacker_init(&unpacker, process->wire, frame);
    const char *name = neap_unpack_text(&unpacker);
    if (unpacker.code == 0) neap_job_set_name(&process->job, name);
    return unpacker.code == 0;
}

static bool receive(struct neap_wire *wire, const struct neap_wire_frame *frame) {
    struct neap_process *process = wire->context;
    if (frame->type >= NEAP_FRAME_BOARD) return neap_session_receive(process->session, frame);
    switch (frame->type) {
        case NEAP_FRAME_OUTCOME: return read_outcome(process, frame);
        case NEAP_FRAME_NAME: return read_name(process, frame);
        case NEAP_FRAME_STOPPED: atomic_store_explicit(&process->is_stopped, true, memory_order_relaxed); return true;
        default: return false;
    }
}

/* A child that talks nonsense, or that we have no means to listen to, is no use. */
static void ended(struct neap_wire *wire, int code) {
    struct neap_process *process = wire->context;
    if (code == NEAP_BROKEN || code == NEAP_CLOSED) return;
    neap_guard_lock(&process->guard);
    if (!process->has_ended) {
        process->unheard = code;
        neap_child_kill(process->pid, process->pidfd, SIGKILL);
    }
    neap_guard_unlock(&process->guard);
}

static void passed(struct neap_wire *wire) {
    const struct neap_process *process = wire->context;
    neap_session_passed(process->session);
}

static const struct neap_wire_user user = {.receive = receive, .ended = ended, .passed = passed};

static void cancel_arrived(struct neap_job *job) {
    struct neap_process *process = (struct neap_process *)job;
    struct neap_packer packer;
    neap_packer_init(&packer, process->wire);
    neap_pack_message(&packer, &job->reason);
    if (neap_packer_send(&packer, NEAP_FRAME_CANCEL) != 0) { /* the reason cannot go there */
        neap_packer_fini(&packer);
        neap_packer_init(&packer, process->wire);
        neap_pack_u8(&packer, NEAP_MESSAGE_EMPTY);
        neap_packer_send(&packer, NEAP_FRAME_CANCEL);
    }
    neap_packer_fini(&packer);
    neap_message_fini(&job->reason); /* its own handle may be in it */
}

/* --- waiting without a pidfd --- */

static void exited(struct neap_runnable *runnable) {
    struct neap_process *process = NEAP_CONTAINER_OF(runnable, struct neap_process, posted);
    if (reap(process)) finish(process);
}

static void *await_exit(void *argument) {
    struct neap_process *process = argument;
    siginfo_t info;
    while (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {}
    neap_hub_post(process->hub, &process->posted);
    return NULL;
}

static int start_awaiting(struct neap_process *process) {
    pthread_t thread;
    process->posted.run = exited;
    int code = -pthread_create(&thread, NULL, await_exit, process);
    if (code == 0) pthread_detach(thread);
    return code;
}

/* --- start --- */

static int watch_exit(struct neap_process *process) {
    int pidfd = neap_child_open(process->pid);
    if (pidfd < 0) return start_awaiting(process);
    neap_guard_lock(&process->guard);
    process->pidfd = pidfd;
    neap_guard_unlock(&process->guard);
    int code = neap_watch_start(&process->exit_watch, process->hub, process->pidfd, exit_ready);
    if (code == 0) process->watching++;
    return code == 0 ? 0 : start_awaiting(process);
}

static void start_drain(struct neap_process *process, int *fd, FILE *target, struct neap_drain **drain) {
    if (neap_drain_start(process->hub, *fd, target, drain) != 0) close(*fd); /* the child finds that nobody reads */
    *fd = -1;
}

/* The hub takes over. */
static void adopt(struct neap_runnable *runnable) {
    struct neap_process *process = NEAP_CONTAINER_OF(runnable, struct neap_process, posted);
    struct neap_job *job = &process->job;
    job->task = process;
    if (job->cancel_arrived) /* it was found in the engine's list, and cancelled, before it had been started */
        cancel_arrived(job);
    else
        neap_job_look(job);
    start_drain(process, &process->output_fd, stdout, &process->output);
    start_drain(process, &process->error_output_fd, stderr, &process->error_output);
    if (neap_watch_start(&process->wire_watch, process->hub, process->wire->bell.socket, wire_ready) == 0)
        process->watching++;
    else
        neap_wire_close(process->wire); /* the child ends */
    if (watch_exit(process) == 0) return;
    neap_child_kill(process->pid, process->pidfd, SIGKILL); /* nothing is left to watch it with */
    while (!reap(process)) usleep(1000);
    finish(process);
}

static int make_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* our end alone */
    return 0;
}

/* What the new process is given; closed once it has been launched. */
struct gift {
    int socket, output, error_output; /* -1: not there */
};

static void close_gift(const struct gift *gift) {
    if (gift->socket >= 0) close(gift->socket);
    if (gift->output >= 0) close(gift->output);
    if (gift->error_output >= 0) close(gift->error_output);
}

static int start_session(struct neap_process *process) {
    struct neap_board *board;
    int code = neap_engine_board(process->engine, &board);
    if (code != 0) return code;
    process->session = neap_session_new(process->wire, board, process->engine->makers);
    if (process->session == NULL) return NEAP_NOMEM;
    process->session->cells = neap_engine_cells(process->engine);
    process->session->alarms = &process->hub->alarms;
    neap_session_set_child(process->session, &process->job.future.object);
    return neap_session_give_board(process->session);
}

static int make_gift(struct neap_process *process, struct gift *gift) {
    int output[2], error_output[2];
    int code = neap_wire_new(&process->wire, &gift->socket);
    if (code != 0) return code;
    neap_wire_start(process->wire, &user, process, process->engine->classes);
    code = start_session(process);
    if (code != 0) return code;
    neap_job_watch(&process->job, neap_wire_flag(process->wire));
    code = make_pipe(output);
    if (code != 0) return code;
    process->output_fd = output[0];
    gift->output = output[1];
    code = make_pipe(error_output);
    if (code != 0) return code;
    process->error_output_fd = error_output[0];
    gift->error_output = error_output[1];
    return 0;
}

static int launch(struct neap_process *process, const struct gift *gift, const char *program) {
    const struct neap_launch launch = {.program = program,
                                       .socket = gift->socket,
                                       .segment = process->wire->segment->fd,
                                       .output = gift->output,
                                       .error_output = gift->error_output};
    pid_t pid = 0;
    int code = neap_launch(process->hub, &launch, &pid);
    if (code != 0) return code;
    neap_guard_lock(&process->guard); /* others may have found it in the list already */
    process->pid = pid;
    neap_guard_unlock(&process->guard);
    return 0;
}

static int start(struct neap_process *process, struct gift *gift, const char *program,
                 void (*pack)(struct neap_packer *, void *), void *argument) {
    struct neap_packer packer;
    int code = make_gift(process, gift);
    if (code != 0) return code;
    neap_packer_init(&packer, process->wire);
    pack(&packer, argument);
    code = neap_packer_send(&packer, NEAP_FRAME_START);
    neap_packer_fini(&packer);
    return code == 0 ? launch(process, gift, program) : code;
}

int neap_process_start(struct neap_process *process, const char *program,
                       void (*pack)(struct neap_packer *packer, void *argument), void *argument) {
    struct gift gift = {-1, -1, -1};
    if (!neap_engine_enter(process->engine, process)) return NEAP_CLOSED;
    process->job.on_cancel = cancel_arrived;
    process->posted.run = adopt;
    int code = start(process, &gift, program, pack, argument);
    close_gift(&gift);
    if (code == 0) {
        neap_lookout_add(&process->engine->lookout, process->wire);
        process->is_looked_at = true;
        neap_object_ref(&process->job.future.object); /* the hub's */
        neap_hub_post(process->hub, &process->posted);
        return 0;
    }
    if (process->output_fd >= 0) close(process->output_fd);
    if (process->error_output_fd >= 0) close(process->error_output_fd);
    process->output_fd = process->error_output_fd = -1;
    drop_wire(process, "the process was not started");
    neap_engine_leave(process->engine, process);
    return code;
}

/* --- through its handle --- */

static void tell_parent(struct neap_process *process) {
    struct neap_packer packer;
    neap_packer_init(&packer, process->wire);
    neap_pack_u8(&packer, 0);
    neap_packer_tell(&packer, NEAP_FRAME_STOPPED);
    neap_packer_fini(&packer);
}

void neap_process_named(struct neap_process *process) {
    char name[NEAP_JOB_NAME_MAX + 1];
    struct neap_packer packer;
    if (!is_self(process)) return;
    neap_job_get_name(&process->job, name);
    neap_packer_init(&packer, process->wire);
    neap_pack_text(&packer, name);
    neap_packer_tell(&packer, NEAP_FRAME_NAME);
    neap_packer_fini(&packer);
}

int neap_process_signal(struct neap_process *process, int number) {
    int code = UV_ESRCH;
    if (is_self(process) && number != 0) tell_parent(process); /* there may be no time for it afterwards */
    neap_guard_lock(&process->guard);
    if (process->pid > 0 && !process->has_ended) code = neap_child_kill(process->pid, process->pidfd, number);
    if (code == 0 && number != 0) atomic_store_explicit(&process->is_stopped, true, memory_order_relaxed);
    neap_guard_unlock(&process->guard);
    return code;
}

void neap_process_pack_outcome(struct neap_packer *packer, const struct neap_report *report) {
    neap_pack_u8(packer, (uint8_t)report->state);
    neap_pack_u8(packer, (uint8_t)report->status);
    neap_pack_text(packer, report->text);
    neap_pack_message(packer, &report->outcome->value);
    neap_pack_message(packer, &report->outcome->traceback);
}
