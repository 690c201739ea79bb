/* job: a task, a thread or a process as other threads see it. The task itself lives in its Lua state;
 * its job outlives both. */
#ifndef NEAP_HOST_JOB_H
#define NEAP_HOST_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/mailbox.h"
#include "core/message.h"
#include "sync/future.h"
#include "sync/scope.h"

enum { NEAP_JOB_NAME_MAX = 63 };

/* A timer begins, or is cancelled: whoever comes first decides it. */
enum neap_job_race { NEAP_JOB_NO_RACE, NEAP_JOB_OPEN, NEAP_JOB_DECIDED };

struct neap_job {
    struct neap_future future;    /* first; shared from the start; ended by the owner's thread */
    struct neap_mailbox *mailbox; /* of the loop that runs it; counted; NULL: of another process's. Constant */
    /* The engine's count of those that nobody has seen; NULL: not counted. Constant once it runs. */
    atomic_int *failures;
    struct neap_runnable cancelling; /* posted once, with a reference of its own */
    /* Run on the owner's loop when a cancel arrives and `task` is set. Constant. */
    void (*on_cancel)(struct neap_job *job);
    void *task;                    /* what it stands for; NULL once ended. Owner's thread */
    struct neap_message reason;    /* of the cancel; written once by who set cancel_requested, before the post */
    struct neap_scope *scope;      /* that it belongs to, a reference; NULL. Set before the start, cleared at the end */
    _Atomic bool cancel_requested; /* the first one to set it is the canceller */
    bool cancel_arrived;           /* another thread's: `reason` may be read. Owner's thread */
    _Atomic bool cancel_given;     /* and `reason` has been written: released after that */
    _Atomic bool
        *waiting; /* parked in a wait; a snapshot for status. Relaxed, by the owner's thread, which knows where it is;
                            * others look under the object's guard */
    _Atomic bool waits;               /* what that points to, but for a process */
    _Atomic bool daemon;              /* nobody waits for it at the end */
    bool endless;                     /* a timer: who leaves it cancels it. Constant once others know it */
    _Atomic uint8_t race;             /* enum neap_job_race. Relaxed: nothing else is read by who has won */
    uint64_t id;                      /* constant */
    char name[NEAP_JOB_NAME_MAX + 1]; /* terminated, cut; under the object's guard */
};

/* In place, shared, one reference. Cannot fail. FINI: for the class's destroy. */
void neap_job_init(struct neap_job *job, const struct neap_class *class, struct neap_mailbox *mailbox, uint64_t id);
void neap_job_fini(struct neap_job *job);
/* For a task (class neap_task_job_class) or thread (neap_thread_job_class). One reference, shared; NULL: no memory. */
struct neap_job *neap_job_new(const struct neap_class *class, struct neap_mailbox *mailbox, uint64_t id);

/* Any thread: asks it to stop. `reason` is taken over on success. False when it has ended or was asked before, or is a
 * timer that has begun. */
bool neap_job_cancel(struct neap_job *job, struct neap_message *reason);

/* Owner's thread, which is about to begin it. False: it is a timer, and a cancel was faster, which is on its way. */
bool neap_job_may_begin(struct neap_job *job);

/* Before its thread is started: it begins cancelled, for the `reason` that stands in it. */
void neap_job_cancel_early(struct neap_job *job);

/* Owner's thread, `task` is set: acts on what another thread has asked, if it has not come through the mailbox yet. */
void neap_job_look(struct neap_job *job);

/* Any thread: is it parked just now? WATCH: that is told there from now on; `flag` stays until the next call.
 * NULL: in the job. */
bool neap_job_is_waiting(struct neap_job *job);
void neap_job_watch(struct neap_job *job, _Atomic bool *flag);
/* Any thread: it has ended, and somebody has seen how. */
void neap_job_observe(struct neap_job *job);

/* Any thread. */
void neap_job_set_name(struct neap_job *job, const char *name);
void neap_job_get_name(struct neap_job *job, char name[NEAP_JOB_NAME_MAX + 1]);

extern const struct neap_class neap_task_job_class;
extern const struct neap_class neap_thread_job_class;

#endif
