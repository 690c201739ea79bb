/* scope: a nursery. It counts the children that have not ended, and tells its owner of the first that failed. */
#ifndef NEAP_SYNC_SCOPE_H
#define NEAP_SYNC_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/mailbox.h"
#include "core/object.h"
#include "core/wait.h"

/* Operations of a link. EMPTY waits until no child is left. */
enum neap_scope_op { NEAP_SCOPE_EMPTY };

struct neap_scope {
    struct neap_object object;
    struct neap_list waiters;                     /* links with EMPTY. guard */
    uint64_t alive;                               /* children that have not ended. guard */
    uint64_t first_failed;                        /* the id of the first child that failed; 0: none. guard */
    struct neap_mailbox *mailbox;                 /* of the owner's loop; counted. Constant */
    struct neap_runnable failing;                 /* posted once, with a reference of its own, by the first failure */
    void (*on_failure)(struct neap_scope *scope); /* run on the owner's loop, once, while `owner` is set. Constant */
    void *owner;                                  /* on_failure's; NULL once the owner has left. Owner's thread */
};

/* One reference; NULL: no memory. */
struct neap_scope *neap_scope_new(struct neap_mailbox *mailbox, void (*on_failure)(struct neap_scope *scope),
                                  void *owner);

/* A child begins: by the thread that starts it. Takes a reference, which leave gives back. */
void neap_scope_enter(struct neap_scope *scope);
/* A child has ended: by the thread that ran it. */
void neap_scope_leave(struct neap_scope *scope, uint64_t id, bool failed);

/* Any thread. ALIVE: how many children have not ended. */
uint64_t neap_scope_first_failed(struct neap_scope *scope);
uint64_t neap_scope_alive(struct neap_scope *scope);

extern const struct neap_class neap_scope_class;

#endif
