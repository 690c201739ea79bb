/* start: what a new thread or process is given by who starts it: a function, its arguments, and the circumstances. */
#ifndef NEAP_BINDINGS_RUNNING_START_H
#define NEAP_BINDINGS_RUNNING_START_H

#include <lua.h>
#include <stdint.h>

#include "bindings/task/task.h"
#include "core/message.h"

struct neap_packer;
struct neap_unpacker;

struct neap_start {
    struct neap_mailbox *mailbox;  /* of a thread's loop, a reference; NULL for a process */
    struct neap_message function;  /* owned */
    struct neap_message arguments; /* owned */
    struct neap_message paths;     /* where the spawner looks for modules: package.path and cpath. Owned */
    struct neap_message context;   /* of the spawning task, see context.h. Owned */
    struct neap_message commons;   /* of a process, see commons.h. Owned */
    char *origin;                  /* where it was spawned, as lines of a traceback; goes to the vm. Owned */
    uint16_t flags;                /* NEAP_TASK_QUIET, DAEMON; CANCELLED: it never runs */
    int slice_signal;              /* what the spawner has: see slice.h */
    double slice;                  /* likewise; seconds */
};

/* NULL: no memory. */
struct neap_start *neap_start_new(void);
void neap_start_free(struct neap_start *start);

/* Pushes a box that frees the start in it, unless *keeper has been set to NULL by then. */
struct neap_start **neap_start_push(lua_State *L);
/* Encodes the function at `function`, and the `arguments` values above it, for another process if it `leaves`. Raises
 * when one of them cannot be sent. */
void neap_start_fill(lua_State *L, struct neap_start *start, int function, int arguments, bool leaves,
                     const struct neap_task_options *options);

/* The body of the main task there: (start, a light userdata). Decodes what it was given and calls it. */
int neap_start_body(lua_State *L);
/* What the vm is to know before its state is opened. `signal`: of its slices. */
void neap_start_prepare(struct neap_start *start, struct neap_vm *vm, int signal);

/* To and from another process. READ: NULL after an error. */
void neap_start_pack(struct neap_packer *packer, const struct neap_start *start);
struct neap_start *neap_start_unpack(struct neap_unpacker *unpacker);

#endif
