/* mirror: a task, thread or process of another process, as a job of this one: it ends here when it has ended there. */
#ifndef NEAP_HOST_MIRROR_H
#define NEAP_HOST_MIRROR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "host/job.h"
#include "host/reference.h"
#include "host/request.h"
#include "host/session.h"

/* Calls of other processes to a job. */
enum neap_job_call {
    NEAP_JOB_STATE,    /* number: enum neap_future_state, and NEAP_JOB_WAITING */
    NEAP_JOB_CANCEL,   /* message: the reason; number: whether it was asked just now */
    NEAP_JOB_NAME,     /* message: a text */
    NEAP_JOB_SET_NAME, /* message: a text */
    NEAP_JOB_OBSERVE,  /* somebody has seen how it ended */
    NEAP_JOB_SIGNAL    /* a process: number: the signal; result */
};

enum { NEAP_JOB_WAITING = 16 };

struct neap_mirror {
    struct neap_job job; /* first; its mailbox is NULL. Waited for like any other */
    struct neap_import import;
    struct neap_pending watch; /* asks for its end; with a reference to us while it is under way */
    bool watching;             /* it is, or its end is being taken over. guard */
    uint32_t lookers;          /* threads that are blocked until it has ended. guard */
    _Atomic uint32_t over;     /* 1: the future has ended; a futex */
    int64_t pid;               /* of a process; of a future the tag of its pool. Constant */
    int status;          /* of a process that has ended: exit status, or -N for signal N. Written before it ends */
    bool has_status;     /* it is known. Likewise */
    struct rusage usage; /* likewise */
};

/* A neap_maker of NEAP_KIND_TASK, THREAD, PROCESS, and FUTURE: of a pool; its constants are as those of a job. */
struct neap_object *neap_mirror_make(struct neap_session *session, uint32_t id, uint8_t kind,
                                     const struct neap_constants *constants);

/* NULL unless `object` is a mirror. */
struct neap_mirror *neap_mirror_of(struct neap_object *object);

/* Any thread, blocks it for the time of a round trip: how it stands over there, as NEAP_JOB_STATE tells. If it has
 * ended, the mirror has too once this returns. */
int64_t neap_mirror_look(struct neap_mirror *mirror);
/* Likewise: a call. The message is the operand and the result. */
void neap_mirror_call(struct neap_mirror *mirror, uint8_t method, struct neap_call *call);
/* Any thread: a call that nobody waits for. */
void neap_mirror_tell(struct neap_mirror *mirror, uint8_t method);

/* Any thread: the text in `message` becomes the name. */
void neap_job_take_name(struct neap_job *job, const struct neap_message *message);

/* neap_remote functions. For the classes of jobs; and for whatever is a future: what its mirrors take over at the end
 * (put_more), to which a process adds its exit. */
void neap_job_constants(struct neap_object *object, struct neap_constants *constants);
void neap_job_serve(struct neap_object *object, struct neap_call *call);
void neap_mirror_put_end(struct neap_object *object, struct neap_packer *packer);
void neap_job_put_exit(struct neap_packer *packer, bool known, int status, const struct rusage *usage);

extern const struct neap_class neap_mirror_task_class, neap_mirror_thread_class, neap_mirror_process_class,
    neap_mirror_future_class;

#endif
