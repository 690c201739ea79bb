/* offload: work of libuv's thread pool (files, names) that a task waits for. */
#ifndef NEAP_IO_OFFLOAD_H
#define NEAP_IO_OFFLOAD_H

#include <stdbool.h>
#include <uv.h>

#include "core/list.h"
#include "core/loop.h"
#include "core/object.h"

/* Operations of a link. END waits until the work is done. */
enum neap_offload_op { NEAP_OFFLOAD_END };

/* While it is under way it keeps a reference to itself, so that who began it may forget it at any time. Used by the
 * loop's thread only, but for what `run` touches while it is under way. */
struct neap_offload {
    struct neap_object object; /* first; local for good */
    struct neap_list waiting;  /* links */
    union {                    /* libuv's record, by what was begun */
        uv_req_t any;
        uv_work_t work;
        uv_getaddrinfo_t names;
    };
    struct neap_loop *loop;                     /* where it was begun; it ends there */
    int (*run)(struct neap_offload *offload);   /* in the pool: does the work, and returns 0 or a code. Constant */
    void (*fini)(struct neap_offload *offload); /* frees what it has beside this record; may be NULL. Constant */
    void (*after)(struct neap_offload
                      *request); /* on the loop's thread, when `code` is set, before who waits is told; may be NULL */
    int code;                    /* once ended: 0, or why it failed */
    bool begun;                  /* the work was given to libuv */
    bool ended;                  /* it is done */
};

/* `offload` stands first in a block of neap_alloc, which goes with the last reference. One reference. */
void neap_offload_init(struct neap_offload *offload, int (*run)(struct neap_offload *offload),
                       void (*fini)(struct neap_offload *offload));

/* Begins `run`. A failure to begin ends it. */
void neap_offload_start(struct neap_offload *offload, struct neap_loop *loop);
/* Begins to look for the addresses of `host`; they are in names.addrinfo when it has ended well. */
void neap_offload_resolve(struct neap_offload *offload, struct neap_loop *loop, const char *host, int family);
/* Asks for the work not to be begun, if it has not been; it ends all the same. */
void neap_offload_cancel(struct neap_offload *offload);

extern const struct neap_class neap_offload_class;

#endif
