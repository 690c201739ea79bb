/* process: a child process, from its start to its end, as its parent sees it. The essay is in process.c. */
#ifndef NEAP_HOST_PROCESS_H
#define NEAP_HOST_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "host/hub.h"
#include "host/job.h"
#include "host/packer.h"
#include "host/wire.h"

struct neap_drain;
struct neap_engine;

/* Types of frames between parent and child. */
enum neap_frame_type {
    NEAP_FRAME_START = 1, /* to the child, the first one: what it is to run; the bindings' */
    NEAP_FRAME_CANCEL,    /* to the child: a message, the reason */
    NEAP_FRAME_OUTCOME,   /* to the parent, the last one: see neap_process_pack_outcome */
    NEAP_FRAME_NAME,      /* to the parent: text; what the child calls itself */
    NEAP_FRAME_STOPPED    /* to the parent: u8 0; the child sends itself a signal, through its handle */
};

/* What the child has told of its end, before that came. */
struct neap_report {
    struct neap_outcome *outcome; /* NULL: it has told nothing */
    enum neap_future_state state; /* DONE, FAILED or CANCELLED */
    int status;                   /* with which it means to exit */
    char *text;                   /* of a failure: what the error says of itself; NULL. Owned */
};

struct neap_process {
    struct neap_job job;        /* first; its mailbox is the hub's, in the child its own */
    struct neap_engine *engine; /* constant */
    struct neap_hub *hub;       /* constant */
    struct neap_list node;      /* in engine->processes; its guard */
    struct neap_wire *wire;     /* a reference; NULL once it has ended. Hub's thread. Of this very process: to its
                                     parent; constant */
    bool is_looked_at;          /* the wire, by the engine's lookout. Starter, then hub's thread */
    struct neap_session
        *session; /* over the wire; a reference; NULL likewise, or it is this very process. Hub's thread */
    pid_t pid;    /* 0: it is being started. Written under `guard`; constant once started */
    int pidfd; /* readable when it has ended; -1: there is none. Written by the hub, under guard until it has ended */
    struct neap_runnable posted;              /* to the hub: at its start, and at its end where there is no pidfd */
    struct neap_watch exit_watch, wire_watch; /* hub's thread */
    struct neap_drain *output, *error_output; /* hub's thread; NULL: finished */
    int output_fd, error_output_fd;           /* until the drains have them; -1. Starter, then hub's thread */
    struct neap_report report;                /* hub's thread, until it has ended */
    unsigned watching;                        /* watches that have not stopped. Hub's thread */
    /* It has failed, and nobody waited for it: on the hub's thread. Constant once started;
     * NULL: nobody wants to know. */
    void (*on_failure)(struct neap_process *process);
    bool is_quiet;           /* not then. Constant once started */
    _Atomic bool is_stopped; /* by terminate or kill: its end will be no failure. Relaxed */
    struct neap_guard guard; /* of what follows, and of the use of `pid` and `pidfd` */
    bool has_ended;          /* reaped: `pid` may be somebody else's */
    int unheard;             /* why its wire could not be read any more, and it was killed; 0: it was not. guard */
    int status;              /* of its exit; -N: signal N */
    struct rusage usage;     /* of it and of what it has waited for */
};

extern const struct neap_class neap_process_job_class;

/* A child that has not been started: one reference; `hub` is made if need be.
 * 0, NEAP_NOMEM, or what the system said. */
int neap_process_new(struct neap_engine *engine, struct neap_process **process);
/* This very process, in a child: its handle there. `mailbox`: of the main loop; `wire`: to its parent.
 * NULL: no memory. */
struct neap_process *neap_process_new_self(struct neap_engine *engine, struct neap_mailbox *mailbox,
                                           struct neap_wire *wire, uint64_t id);

/* Starts it: `program` is the runner's path. `pack` writes what it is to run (NEAP_FRAME_START). Any thread but the
 * hub's. 0; NEAP_CLOSED: the engine is stopping; UV_ENOTSUP: packer->obstacle cannot be sent; NEAP_NOMEM, or what the
 * system said: nothing is left of it then. */
int neap_process_start(struct neap_process *process, const char *program,
                       void (*pack)(struct neap_packer *packer, void *argument), void *argument);

/* Any thread: sends it a signal, through its handle. 0; UV_ESRCH: it has ended; UV_EINVAL: there is no such signal. */
int neap_process_signal(struct neap_process *process, int number);
/* Any thread: it has been given a name. If it is this very process its parent is told. */
void neap_process_named(struct neap_process *process);
/* Any thread: has it ended? Then how: its exit status, or -N for the signal N, and what it has used. */
bool neap_process_exit_status(struct neap_process *process, int *status, struct rusage *usage);

/* Reads and writes what a child tells of its end. */
void neap_process_pack_outcome(struct neap_packer *packer, const struct neap_report *report);

#endif
