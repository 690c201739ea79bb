/* parent: a child process's way to who started it. */
#ifndef NEAP_HOST_PARENT_H
#define NEAP_HOST_PARENT_H

#include <stdbool.h>
#include <uv.h>

#include "host/hub.h"
#include "host/process.h"
#include "host/wire.h"

struct neap_makers;

struct neap_parent {
    struct neap_wire *wire;       /* a reference. Constant */
    struct neap_session *session; /* over it; a reference. Constant */
    struct neap_engine *engine;   /* NULL before it is attached */
    struct neap_process *self;    /* this process: its handle here; a reference. Constant once attached */
    struct neap_hub *hub;         /* constant once attached */
    struct neap_watch watch;      /* of the wire; hub's thread */
    uv_timer_t patience;          /* for an end in order, once the parent has gone. Hub's thread */
    struct neap_runnable attaching, detaching, leaving; /* to the hub */
    struct neap_message reason;                         /* of a cancel that came before it is attached. Owned */
    bool is_cancelled;                                  /* such a cancel has come */
    bool is_detached;                                   /* hub's thread */
    bool is_gone;                                       /* the parent, before this one is attached */
    /* The first frame: what is to be run. False: it makes no sense. Constant */
    bool (*read_start)(struct neap_unpacker *unpacker, void *argument);
    void *argument; /* of read_start. Constant */
};

/* The wire that this process was given. 0, NEAP_NOMEM, UV_EPROTO. */
int neap_parent_open(struct neap_parent *parent, const struct neap_makers *makers,
                     const struct neap_class *const *classes,
                     bool (*read_start)(struct neap_unpacker *unpacker, void *argument), void *argument);
/* Waits for the first frame. False: there is no parent any more, or it talks nonsense. */
bool neap_parent_await_start(struct neap_parent *parent);
/* From now on the hub of `engine` listens: a cancel reaches the job of parent->self, whose main loop has `mailbox`; and
 * if the parent goes, the program ends. 0, or what the system said. */
int neap_parent_attach(struct neap_parent *parent, struct neap_engine *engine, struct neap_mailbox *mailbox,
                       uint64_t id);
/* Tells how it ended: the last that it hears. */
int neap_parent_report(struct neap_parent *parent, const struct neap_report *report);
/* Before the hub ends: it listens no more. FINI: after that. */
void neap_parent_detach(struct neap_parent *parent);
void neap_parent_fini(struct neap_parent *parent);

#endif
