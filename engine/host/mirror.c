/* mirror: what ends elsewhere.
 *
 * MODEL       A job ends once, for everybody. So a mirror is a future of this process, and its waits are claimed here,
 *             without tickets: as soon as somebody waits it asks the other process for the end (watch), and ends with
 *             what comes back. When the last who waited has given up, it takes that back: over there a failure that
 *             nobody waits for is reported.
 * LOOKING     How it stands is asked each time, until it has ended.
 * THE END     of the other process ends a mirror that is watched: it has failed, for that reason. One that is not
 *             watched learns of it when it is next used. */
#include "host/mirror.h"

#include <stddef.h>
#include <string.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/futex.h"
#include "core/memory.h"
#include "sync/scope.h"

enum { CAUSE_MAX = 160 };

enum { DAEMON = 1, ENDLESS = 2 }; /* of the second constant, below the pid */

struct neap_mirror *neap_mirror_of(struct neap_object *object) {
    const struct neap_class *class = object->class;
    bool is_mirror = class == &neap_mirror_task_class || class == &neap_mirror_thread_class ||
                     class == &neap_mirror_process_class || class == &neap_mirror_future_class;
    return is_mirror ? (struct neap_mirror *)object : NULL;
}

static struct neap_object *object_of(struct neap_mirror *mirror) { return &mirror->job.future.object; }

/* --- the end --- */

static void end(struct neap_mirror *mirror, enum neap_future_state state, struct neap_outcome *outcome) {
    _Atomic uint32_t *over = &mirror->over;
    neap_object_ref(object_of(mirror));
    neap_future_end(&mirror->job.future, state, outcome);
    atomic_store_explicit(over, 1, memory_order_release);
    neap_futex_wake(over);
    neap_object_unref(object_of(mirror));
}

static void end_broken(struct neap_mirror *mirror, int code) {
    struct neap_outcome *outcome = neap_outcome_new();
    char text[CAUSE_MAX];
    if (outcome == NULL) return; /* who waits learns it when there is memory: the wait goes on */
    neap_session_cause(mirror->import.session, text, sizeof text);
    neap_message_set_text(&outcome->value, code == NEAP_BROKEN && text[0] != '\0' ? text : neap_code_name(code));
    end(mirror, NEAP_FUTURE_FAILED, outcome);
}

static void take_exit(struct neap_mirror *mirror, struct neap_unpacker *unpacker) {
    mirror->has_status = neap_unpack_u8(unpacker) != 0;
    mirror->status = (int)neap_unpack_u32(unpacker);
    const char *usage = neap_unpack(unpacker, sizeof mirror->usage);
    if (usage != NULL) memcpy(&mirror->usage, usage, sizeof mirror->usage);
}

static void stop_watching(struct neap_mirror *mirror) {
    neap_object_lock(object_of(mirror));
    mirror->watching = false;
    neap_object_unlock(object_of(mirror));
}

/* By whoever pumps. It is watched until it has ended: nobody who comes meanwhile asks for the end again,
 * which comes once. */
static void watched(struct neap_pending *pending) {
    struct neap_mirror *mirror = NEAP_CONTAINER_OF(pending, struct neap_mirror, watch);
    struct neap_unpacker *more = pending->more;
    int code = pending->call.result;
    neap_message_fini(&pending->call.message);
    struct neap_outcome *outcome = code == 0 && more != NULL ? neap_outcome_new() : NULL;
    if (outcome != NULL) {
        uint8_t state = neap_unpack_u8(more);
        neap_unpack_message(more, &outcome->value);
        neap_unpack_message(more, &outcome->traceback);
        if (object_of(mirror)->class == &neap_mirror_process_class) take_exit(mirror, more);
        if (more->code == 0 && state >= NEAP_FUTURE_DONE && state <= NEAP_FUTURE_CANCELLED)
            end(mirror, (enum neap_future_state)state, outcome);
        else
            neap_outcome_free(outcome);
    }
    if (!neap_future_has_ended(&mirror->job.future)) end_broken(mirror, code != 0 ? code : NEAP_NOMEM);
    if (!neap_future_has_ended(&mirror->job.future)) stop_watching(mirror);
    neap_object_unref(object_of(mirror)); /* the watch's */
}

/* --- waiting --- */

static void start_watch(struct neap_mirror *mirror) {
    neap_object_lock(object_of(mirror));
    bool starts = !mirror->watching && !neap_future_has_ended(&mirror->job.future);
    if (starts) mirror->watching = true;
    neap_object_unlock(object_of(mirror));
    if (!starts) return;
    neap_object_ref(object_of(mirror));
    mirror->watch.done = watched;
    int code = neap_request_watch(&mirror->import, NEAP_FUTURE_END, &mirror->watch);
    if (code == 0) return;
    mirror->watch.call.result = code;
    mirror->watch.more = NULL;
    watched(&mirror->watch);
}

static void enlisted(struct neap_object *object, struct neap_link *link) {
    (void)link;
    start_watch((struct neap_mirror *)object);
}

static void withdrawn(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_mirror *mirror = (struct neap_mirror *)object;
    (void)link;
    (void)batch;
    if (!mirror->watching || mirror->lookers > 0 || !neap_list_is_empty(&mirror->job.future.waiters)) return;
    if (!neap_request_unwatch(&mirror->import, &mirror->watch)) return; /* the end is coming */
    mirror->watching = false;
    neap_object_unref(object); /* the watch's, not the last */
}

/* It has ended, or its process has: that is known at once. */
static void look_at_end(struct neap_mirror *mirror) {
    neap_object_lock(object_of(mirror));
    mirror->lookers++; /* who gives up waiting meanwhile leaves us the watch */
    neap_object_unlock(object_of(mirror));
    start_watch(mirror);
    while (atomic_load_explicit(&mirror->over, memory_order_acquire) == 0)
        neap_futex_wait(&mirror->over, 0, NEAP_FOREVER);
    neap_futex_wake(&mirror->over); /* the next one who looks: one is woken at a time */
    neap_object_lock(object_of(mirror));
    mirror->lookers--;
    neap_object_unlock(object_of(mirror));
}

int64_t neap_mirror_look(struct neap_mirror *mirror) {
    if (neap_future_has_ended(&mirror->job.future)) return neap_future_state(&mirror->job.future);
    struct neap_call call = {.owner = NULL};
    neap_message_clear(&call.message);
    neap_mirror_call(mirror, NEAP_JOB_STATE, &call);
    if (call.result == 0 && (call.number & ~NEAP_JOB_WAITING) < NEAP_FUTURE_DONE) return call.number;
    look_at_end(mirror);
    return neap_future_state(&mirror->job.future);
}

void neap_mirror_call(struct neap_mirror *mirror, uint8_t method, struct neap_call *call) {
    call->method = method;
    call->result = 0;
    neap_request_call_now(&mirror->import, call);
}

void neap_mirror_tell(struct neap_mirror *mirror, uint8_t method) {
    struct neap_call call = {.method = method};
    neap_message_clear(&call.message);
    neap_request_tell(&mirror->import, &call);
}

/* --- of jobs, for their mirrors elsewhere --- */

void neap_job_constants(struct neap_object *object, struct neap_constants *constants) {
    const struct neap_job *job = (struct neap_job *)object;
    constants->numbers[0] = (int64_t)job->id;
    constants->numbers[1] =
        (atomic_load_explicit(&job->daemon, memory_order_relaxed) ? DAEMON : 0) | (job->endless ? ENDLESS : 0);
}

static void serve_name(struct neap_job *job, struct neap_call *call) {
    char name[NEAP_JOB_NAME_MAX + 1];
    neap_job_get_name(job, name);
    neap_message_fini(&call->message);
    neap_message_set_text(&call->message, name);
}

void neap_job_take_name(struct neap_job *job, const struct neap_message *message) {
    char name[NEAP_JOB_NAME_MAX + 1];
    bool is_long = message->kind == NEAP_MESSAGE_BYTES;
    if (!is_long && message->kind != NEAP_MESSAGE_TEXT) return;
    size_t size = is_long ? message->parcel->size : message->length;
    if (size > NEAP_JOB_NAME_MAX) size = NEAP_JOB_NAME_MAX;
    memcpy(name, is_long ? neap_parcel_string(message->parcel) : message->text, size);
    name[size] = '\0';
    neap_job_set_name(job, name);
}

void neap_job_serve(struct neap_object *object, struct neap_call *call) {
    struct neap_job *job = (struct neap_job *)object;
    switch (call->method) {
        case NEAP_JOB_STATE:
            call->number = neap_future_state(&job->future);
            if (neap_job_is_waiting(job)) call->number |= NEAP_JOB_WAITING;
            return;
        case NEAP_JOB_CANCEL: call->number = neap_job_cancel(job, &call->message); return;
        case NEAP_JOB_NAME: serve_name(job, call); return;
        case NEAP_JOB_SET_NAME: neap_job_take_name(job, &call->message); return;
        case NEAP_JOB_OBSERVE: neap_job_observe(job); return;
        default: call->result = NEAP_RANGE;
    }
}

void neap_mirror_put_end(struct neap_object *object, struct neap_packer *packer) {
    const struct neap_future *future = (struct neap_future *)object;
    const struct neap_message none = {.kind = NEAP_MESSAGE_EMPTY};
    const struct neap_outcome *outcome = neap_future_outcome(future); /* NULL: there was no memory for it */
    neap_pack_u8(packer, (uint8_t)neap_future_state(future));
    neap_pack_message(packer, outcome != NULL ? &outcome->value : &none);
    neap_pack_message(packer, outcome != NULL ? &outcome->traceback : &none);
}

void neap_job_put_exit(struct neap_packer *packer, bool known, int status, const struct rusage *usage) {
    neap_pack_u8(packer, known);
    neap_pack_u32(packer, (uint32_t)status);
    neap_pack(packer, usage, sizeof *usage);
}

/* --- of mirrors, for those farther away --- */

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    neap_job_constants(object, constants_);
    constants_->numbers[1] |= ((struct neap_mirror *)object)->pid << 8;
}

static void put_more(struct neap_object *object, struct neap_packer *packer) {
    const struct neap_mirror *mirror = (struct neap_mirror *)object;
    neap_mirror_put_end(object, packer);
    if (object->class == &neap_mirror_process_class)
        neap_job_put_exit(packer, mirror->has_status, mirror->status, &mirror->usage);
}

/* --- life --- */

static struct neap_import *import_of(struct neap_object *object) { return &((struct neap_mirror *)object)->import; }

static bool revived(struct neap_object *object) { return neap_import_revived(import_of(object)); }

static void destroy(struct neap_object *object) {
    struct neap_mirror *mirror = (struct neap_mirror *)object;
    neap_job_fini(&mirror->job);
    neap_import_fini(&mirror->import);
    neap_free(mirror);
}

struct neap_object *neap_mirror_make(struct neap_session *session, uint32_t id, uint8_t kind,
                                     const struct neap_constants *constants_) {
    const struct neap_class *class = kind == NEAP_KIND_TASK     ? &neap_mirror_task_class
                                     : kind == NEAP_KIND_THREAD ? &neap_mirror_thread_class
                                     : kind == NEAP_KIND_FUTURE ? &neap_mirror_future_class
                                                                : &neap_mirror_process_class;
    struct neap_mirror *mirror = neap_alloc_zeroed(sizeof *mirror);
    if (mirror == NULL) return NULL;
    neap_job_init(&mirror->job, class, NULL, (uint64_t)constants_->numbers[0]);
    neap_import_init(&mirror->import, session, object_of(mirror), id);
    atomic_store_explicit(&mirror->job.daemon, (constants_->numbers[1] & DAEMON) != 0, memory_order_relaxed);
    mirror->job.endless = (constants_->numbers[1] & ENDLESS) != 0;
    atomic_store_explicit(&mirror->job.future.object.state, NEAP_FUTURE_RUNNING, memory_order_relaxed);
    mirror->pid = constants_->numbers[1] >> 8;
    neap_message_clear(&mirror->watch.call.message);
    atomic_init(&mirror->over, 0);
    return object_of(mirror);
}

#define REMOTE(kind_) \
    { .kind = (kind_), .ops = NEAP_FUTURE_END + 1, .constants = constants, .put_more = put_more }
#define CLASS(name_, remote_)                                                                                       \
    {                                                                                                               \
        .name = (name_), .verbs = neap_future_verbs, .destroy = destroy, .revived = revived,                        \
        .attempt = neap_future_attempt, .enlist = neap_future_enlist, .enlisted = enlisted, .withdrawn = withdrawn, \
        .remote = &(remote_), .import = import_of                                                                   \
    }

static const struct neap_remote remote_task = REMOTE(NEAP_KIND_TASK), remote_thread = REMOTE(NEAP_KIND_THREAD),
                                remote_process = REMOTE(NEAP_KIND_PROCESS), remote_future = REMOTE(NEAP_KIND_FUTURE);

const struct neap_class neap_mirror_task_class = CLASS("task", remote_task);
const struct neap_class neap_mirror_thread_class = CLASS("thread", remote_thread);
const struct neap_class neap_mirror_process_class = CLASS("process", remote_process);
const struct neap_class neap_mirror_future_class = CLASS("future", remote_future);
