/* rwlock: many readers or one writer. First come, first served: who waits to write stops readers that come later, and
 * is itself not overtaken; readers that wait next to each other are served together. */
#ifndef NEAP_SYNC_RWLOCK_H
#define NEAP_SYNC_RWLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/object.h"
#include "core/owner.h"
#include "core/wait.h"

/* Operations of a link, for neap_wait_owner(link->wait). Both: 0; NEAP_ABANDONED: acquired, and somebody who wrote
 * ended without releasing (told to everyone up to the next writer, and to that one).
 * READ   NEAP_HELD: not acquired, the owner writes. An owner that reads already reads once more, at
 *        once, whoever waits; NEAP_NOMEM.
 * WRITE  NEAP_HELD: not acquired, the owner reads or writes already. */
enum neap_rwlock_op { NEAP_RWLOCK_READ, NEAP_RWLOCK_WRITE };

/* Calls of other processes, in the name of the holder. RELEASE, or ABANDON: the holder over there has ended: result. */
enum neap_rwlock_call { NEAP_RWLOCK_RELEASE, NEAP_RWLOCK_ABANDON };

/* One reader's hold. */
struct neap_reading {
    struct neap_hold hold;     /* in the reader's list, on its thread; `object` is the rwlock */
    struct neap_reading *next; /* while spare: the next one. Guard */
    uint32_t depth;            /* how often its owner reads; owner's thread */
};

struct neap_rwlock {
    struct neap_object object;
    struct neap_list waiters;            /* links of both operations, in order of arrival. guard */
    _Atomic(struct neap_owner *) writer; /* NULL: nobody writes. Written under the guard; read as a lock's holder is */
    _Atomic uint32_t readers;            /* owners that read. Written under the guard */
    uint32_t waiting_readers;            /* of waiters. guard */
    uint32_t spare_count;                /* of spare; never less than waiting_readers. guard */
    struct neap_reading *spare;          /* records that are not in use. guard */
    bool abandoned;                      /* a writer ended without releasing, and none has written since. guard */
    struct neap_hold writing;            /* the writer's; its thread, from when it knows that it holds */
};

/* One reference; NULL: no memory. */
struct neap_rwlock *neap_rwlock_new(void);

/* By the owner's thread: gives up writing, or one of its reads. 0 or NEAP_NOT_OWNER. */
int neap_rwlock_release(struct neap_rwlock *rwlock, struct neap_owner *owner);

/* By the owner's thread: does it read, or write? */
bool neap_rwlock_is_read_by(const struct neap_rwlock *rwlock, const struct neap_owner *owner);
bool neap_rwlock_is_written_by(const struct neap_rwlock *rwlock, const struct neap_owner *owner);

/* Any thread, snapshots: how many owners read; does somebody write? */
uint32_t neap_rwlock_readers(const struct neap_rwlock *rwlock);
bool neap_rwlock_is_written(const struct neap_rwlock *rwlock);

extern const struct neap_class neap_rwlock_class;

#endif
