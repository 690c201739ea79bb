/* drain: what a child process prints reaches our own stdout or stderr, or the host, whole line by whole line.
 * All of it is for the hub's thread. */
#ifndef NEAP_HOST_DRAIN_H
#define NEAP_HOST_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/list.h"
#include "host/hub.h"

struct neap_drain {
    struct neap_watch watch; /* first */
    struct neap_list node;   /* in hub->drains */
    int fd;                  /* of a pipe, not blocking; owned */
    FILE *target;            /* stdout or stderr */
    char *line;              /* an unfinished one; owned */
    size_t used, room;       /* of line */
    bool is_alone;           /* its process has ended, and what that has started may write still */
};

/* Watches `fd`, which is the drain's from then on, on success only; the drain frees itself when nobody can write to it
 * any more, or with the hub. */
int neap_drain_start(struct neap_hub *hub, int fd, FILE *target, struct neap_drain **made);
/* The process behind it has ended: everything that it has written is in our stdout, or the host has it, once this has
 * returned. What it has started may go on to write. The drain is not the caller's any more. */
void neap_drain_finish(struct neap_drain *drain);
/* Nothing comes through it any more. */
void neap_drain_stop(struct neap_drain *drain);

#endif
