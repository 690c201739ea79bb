/* hub: a thread with a loop of its own, which looks after the other processes of an engine: their wires, their output,
 * their ends; so that a busy script stalls nobody. One per engine, made when it is first needed. */
#ifndef NEAP_HOST_HUB_H
#define NEAP_HOST_HUB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "core/alarm.h"
#include "core/loop.h"

struct neap_engine;
struct neap_launcher;

/* A descriptor that the hub looks after. All of it is for the hub's thread. */
struct neap_watch {
    uv_poll_t poll;                            /* first */
    struct neap_hub *hub;                      /* NULL: does not watch */
    void (*ready)(struct neap_watch *watch);   /* it can be read from, or has ended, or failed */
    void (*stopped)(struct neap_watch *watch); /* see neap_watch_stop */
};

struct neap_hub {
    struct neap_engine *engine;               /* constant */
    struct neap_loop loop;                    /* of its thread, but for the mailbox */
    pthread_t thread;                         /* constant */
    struct neap_alarms alarms;                /* of its thread */
    struct neap_watch alarm_watch;            /* own thread */
    unsigned watches;                         /* that have not been closed. Own thread */
    struct neap_list drains;                  /* neap_drain.node. Own thread */
    _Atomic(struct neap_launcher *) launcher; /* made on first use; see launcher.c. Release, acquire */
    _Atomic bool stopping;                    /* it is to end once nothing is watched; relaxed */
};

/* Any thread: the hub of the engine, made on the first call. 0, NEAP_NOMEM, or what the system said. */
int neap_hub_get(struct neap_engine *engine, struct neap_hub **hub);
/* Ends it, if there is one, and frees it: what watched has stopped, or does so by itself. Nobody gets it any more. */
void neap_hub_end(struct neap_engine *engine);

/* Any thread: the hub's thread will run `runnable` once. */
void neap_hub_post(struct neap_hub *hub, struct neap_runnable *runnable);

/* Calls ready(watch) whenever `fd` has something for us. If it fails you owe nothing; else neap_watch_stop must follow,
 * before the descriptor is closed. 0, or what the system said. */
int neap_watch_start(struct neap_watch *watch, struct neap_hub *hub, int fd, void (*ready)(struct neap_watch *watch));
/* Ready is not called any more; once stopped(watch) has been called, in a later turn,
 * the record is the caller's again. */
void neap_watch_stop(struct neap_watch *watch, void (*stopped)(struct neap_watch *watch));

/* Ready is not called any more; neap_watch_stop must still follow. */
void neap_watch_pause(struct neap_watch *watch);

static inline bool neap_watch_is_on(const struct neap_watch *watch) { return watch->hub != NULL; }

#endif
