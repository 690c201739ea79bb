#include "host/job.h"

#include <stdio.h>

#include "core/memory.h"
#include "core/remote.h"
#include "host/engine.h"
#include "host/mirror.h"
#include "host/unjoined.h"

void neap_job_fini(struct neap_job *job) {
    neap_message_fini(&job->reason);
    if (job->mailbox != NULL) neap_mailbox_unref(job->mailbox);
    neap_future_fini(&job->future);
}

static void destroy(struct neap_object *object) {
    neap_job_fini((struct neap_job *)object);
    neap_free(object);
}

static const struct neap_remote task_remote = {
    .kind = NEAP_KIND_TASK,
    .ops = NEAP_FUTURE_END + 1,
    .constants = neap_job_constants,
    .serve = neap_job_serve,
    .put_more = neap_mirror_put_end,
};

static const struct neap_remote thread_remote = {
    .kind = NEAP_KIND_THREAD,
    .ops = NEAP_FUTURE_END + 1,
    .constants = neap_job_constants,
    .serve = neap_job_serve,
    .put_more = neap_mirror_put_end,
};

const struct neap_class neap_task_job_class = {
    .name = "task",
    .verbs = neap_future_verbs,
    .destroy = destroy,
    .attempt = neap_future_attempt,
    .enlist = neap_future_enlist,
    .remote = &task_remote,
};

const struct neap_class neap_thread_job_class = {
    .name = "thread",
    .verbs = neap_future_verbs,
    .destroy = destroy,
    .attempt = neap_future_attempt,
    .enlist = neap_future_enlist,
    .remote = &thread_remote,
};

/* Once, whichever way it comes: through the mailbox, or because the owner looked. */
static void act(struct neap_job *job) {
    if (job->cancel_arrived) return;
    job->cancel_arrived = true;
    if (job->task != NULL) job->on_cancel(job);
}

/* On the owner's loop, or on the canceller's thread when the loop has ended: then there is no task any more. */
static void arrive(struct neap_runnable *runnable) {
    struct neap_job *job = NEAP_CONTAINER_OF(runnable, struct neap_job, cancelling);
    act(job);
    neap_object_unref(&job->future.object);
}

void neap_job_init(struct neap_job *job, const struct neap_class *class, struct neap_mailbox *mailbox, uint64_t id) {
    neap_future_init(&job->future, class);
    job->mailbox = mailbox != NULL ? neap_mailbox_ref(mailbox) : NULL;
    job->failures = NULL;
    job->cancelling.next = NULL;
    job->cancelling.run = arrive;
    job->on_cancel = NULL;
    job->task = NULL;
    job->scope = NULL;
    neap_message_clear(&job->reason);
    atomic_init(&job->cancel_requested, false);
    job->cancel_arrived = false;
    atomic_init(&job->cancel_given, false);
    atomic_init(&job->waits, false);
    job->waiting = &job->waits;
    atomic_init(&job->daemon, false);
    job->endless = false;
    atomic_init(&job->race, NEAP_JOB_NO_RACE);
    job->id = id;
    snprintf(job->name, sizeof job->name, "%s-%llu", class->name, (unsigned long long)id);
    neap_object_share(&job->future.object);
}

struct neap_job *neap_job_new(const struct neap_class *class, struct neap_mailbox *mailbox, uint64_t id) {
    struct neap_job *job = neap_alloc(sizeof *job);
    if (job != NULL) neap_job_init(job, class, mailbox, id);
    return job;
}

/* Decides the race, unless the other side has. */
static bool has_lost(struct neap_job *job) {
    if (atomic_load_explicit(&job->race, memory_order_relaxed) == NEAP_JOB_NO_RACE) return false;
    return atomic_exchange_explicit(&job->race, NEAP_JOB_DECIDED, memory_order_relaxed) == NEAP_JOB_DECIDED;
}

bool neap_job_may_begin(struct neap_job *job) { return !has_lost(job); }

bool neap_job_cancel(struct neap_job *job, struct neap_message *reason) {
    if (neap_future_has_ended(&job->future)) return false;
    if (has_lost(job)) return false;
    if (atomic_exchange_explicit(&job->cancel_requested, true, memory_order_acq_rel)) return false;
    neap_message_move(&job->reason, reason);
    atomic_store_explicit(&job->cancel_given, true, memory_order_release);
    neap_object_ref(&job->future.object);
    if (neap_mailbox_post(job->mailbox, &job->cancelling) == 0) {
        neap_pulse_start(&job->mailbox->pulse); /* it may compute, and not look into its mailbox */
        return true;
    }
    neap_object_unref(&job->future.object);
    return false;
}

void neap_job_cancel_early(struct neap_job *job) {
    atomic_store_explicit(&job->cancel_requested, true, memory_order_relaxed);
    atomic_store_explicit(&job->cancel_given, true, memory_order_relaxed);
}

void neap_job_look(struct neap_job *job) {
    if (atomic_load_explicit(&job->cancel_given, memory_order_acquire)) act(job);
}

bool neap_job_is_waiting(struct neap_job *job) {
    neap_object_lock(&job->future.object);
    bool is_waiting = atomic_load_explicit(job->waiting, memory_order_relaxed);
    neap_object_unlock(&job->future.object);
    return is_waiting;
}

void neap_job_watch(struct neap_job *job, _Atomic bool *flag) {
    neap_object_lock(&job->future.object);
    job->waiting = flag != NULL ? flag : &job->waits;
    neap_object_unlock(&job->future.object);
}

void neap_job_observe(struct neap_job *job) {
    if (neap_future_state(&job->future) != NEAP_FUTURE_FAILED) return;
    if (atomic_exchange_explicit(&job->future.object.observed, true, memory_order_relaxed)) return;
    if (job->scope != NULL || job->failures == NULL) return;
    atomic_fetch_sub_explicit(job->failures, 1, memory_order_relaxed);
    neap_unjoined_remove(NEAP_CONTAINER_OF(job->failures, struct neap_engine, failures), job->id);
}

void neap_job_set_name(struct neap_job *job, const char *name) {
    neap_object_lock(&job->future.object);
    snprintf(job->name, sizeof job->name, "%s", name);
    neap_object_unlock(&job->future.object);
}

void neap_job_get_name(struct neap_job *job, char name[NEAP_JOB_NAME_MAX + 1]) {
    neap_object_lock(&job->future.object);
    snprintf(name, NEAP_JOB_NAME_MAX + 1, "%s", job->name);
    neap_object_unlock(&job->future.object);
}
