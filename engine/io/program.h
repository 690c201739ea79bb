/* program: other programs, started and watched. */
#ifndef NEAP_IO_PROGRAM_H
#define NEAP_IO_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "io/poll.h"

/* How to start one. */
struct neap_program_plan {
    char *const *arguments;   /* the first is its name, looked for in its PATH; ended by NULL */
    char *const *environment; /* "NAME=value", ended by NULL; NULL: ours */
    const char *directory;    /* where it runs; NULL: here */
    int streams[3];           /* descriptors that become its stdin, stdout and stderr; -1: ours */
    bool group;               /* it leads a process group of its own, which can be killed as a whole */
    bool keep;                /* of a group: see `kept` */
};

/* A program that was started. Local for good: used by the loop's thread only. Its one operation is
 * READ of the poll: it has ended. */
struct neap_program {
    struct neap_poll poll; /* first; of its pidfd */
    pid_t pid;             /* constant */
    int status;            /* as waitpid tells it; valid once ended */
    bool ended;            /* and reaped, unless it is kept */
    bool group;            /* constant; see the plan */
    bool kept;             /* not reaped yet, be it that it has ended: so no other group gets the number of its own */
};

extern const struct neap_class neap_program_class;

/* Starts one: one reference. Its signals are as if nobody had touched them. 0, NEAP_NOMEM, or
 * what the system says (UV_ENOENT). */
int neap_program_start(struct neap_loop *loop, const struct neap_program_plan *plan, struct neap_program **result);
/* Has it ended? Reaps it if so, unless it is kept. */
bool neap_program_look(struct neap_program *program);
/* It need not be kept any more. */
void neap_program_release(struct neap_program *program);
/* Blocks until it has ended. */
void neap_program_reap(struct neap_program *program);
/* Sends a signal, to the whole group if it leads one: 0, or what the system says; UV_ESRCH once it was reaped. */
int neap_program_kill(struct neap_program *program, int number);

#endif
