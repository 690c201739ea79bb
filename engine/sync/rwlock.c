/* rwlock: one queue for readers and writers.
 *
 * INVARIANTS (under the guard)
 *   1. Not both `writer` and `readers`.
 *   2. What stands first in `waiters` could not be served: a writer while somebody reads or writes, a reader while
 *      somebody writes. Whatever ends a hold or takes a link out of the queue restores this (serve).
 *   3. spare_count >= waiting_readers: a reader that waits has its record set aside, so that serving it cannot fail.
 * RECORDS    A reader needs a record in its owner's list. They are allocated when more read or wait to read at once
 *            than ever before, and kept: reading again costs no allocation.
 * READING TWICE   An owner finds its record in its own list, which is short and needs no
 *                 guard. It is let in again even when
 *            a writer waits: else it would wait for a writer that waits for it. */
#include "sync/rwlock.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"

static struct neap_owner *writer_of(const struct neap_rwlock *rwlock) {
    return atomic_load_explicit(&rwlock->writer, memory_order_relaxed);
}

static uint32_t readers_of(const struct neap_rwlock *rwlock) {
    return atomic_load_explicit(&rwlock->readers, memory_order_relaxed);
}

static void set_writer(struct neap_rwlock *rwlock, struct neap_owner *owner) {
    atomic_store_explicit(&rwlock->writer, owner, memory_order_relaxed);
}

static void set_readers(struct neap_rwlock *rwlock, uint32_t readers) {
    atomic_store_explicit(&rwlock->readers, readers, memory_order_relaxed);
}

/* --- records of readers --- */

static void abandon_reading(struct neap_hold *hold);

static struct neap_reading *find_reading(const struct neap_rwlock *rwlock, const struct neap_owner *owner) {
    for (struct neap_hold *hold = owner->held; hold != NULL; hold = hold->next)
        if (hold->object == &rwlock->object && hold->abandon == abandon_reading)
            return NEAP_CONTAINER_OF(hold, struct neap_reading, hold);
    return NULL;
}

static void give_back(struct neap_rwlock *rwlock, struct neap_reading *reading) {
    reading->next = rwlock->spare;
    rwlock->spare = reading;
    rwlock->spare_count++;
}

/* Makes sure that there is a record for one more than wait already. */
static int reserve(struct neap_rwlock *rwlock) {
    if (rwlock->spare_count > rwlock->waiting_readers) return 0;
    struct neap_reading *reading = neap_alloc(sizeof *reading);
    if (reading == NULL) return NEAP_NOMEM;
    neap_hold_init(&reading->hold);
    reading->hold.object = &rwlock->object;
    reading->hold.abandon = abandon_reading;
    give_back(rwlock, reading);
    return 0;
}

/* --- letting in; guard held --- */

/* The reader of `link` reads from now on; its thread has still to enter link->hold. */
static void let_read(struct neap_rwlock *rwlock, struct neap_link *link) {
    struct neap_reading *reading = rwlock->spare;
    NEAP_ASSERT(reading != NULL && writer_of(rwlock) == NULL, "rwlock 1, 3: a record is there, and nobody writes");
    rwlock->spare = reading->next;
    rwlock->spare_count--;
    reading->depth = 1;
    link->hold = &reading->hold;
    link->result = rwlock->abandoned ? NEAP_ABANDONED : 0;
    set_readers(rwlock, readers_of(rwlock) + 1);
}

static void let_write(struct neap_rwlock *rwlock, struct neap_link *link) {
    NEAP_ASSERT(writer_of(rwlock) == NULL && readers_of(rwlock) == 0, "rwlock 1: a writer is alone");
    set_writer(rwlock, neap_wait_owner(link->wait));
    link->hold = &rwlock->writing;
    link->result = rwlock->abandoned ? NEAP_ABANDONED : 0;
    rwlock->abandoned = false;
}

/* Restores 2. */
static void serve(struct neap_rwlock *rwlock, struct neap_batch *batch) {
    while (writer_of(rwlock) == NULL && !neap_list_is_empty(&rwlock->waiters)) {
        struct neap_link *link = NEAP_CONTAINER_OF(rwlock->waiters.next, struct neap_link, node);
        bool reads = link->op == NEAP_RWLOCK_READ;
        if (!reads && readers_of(rwlock) > 0) return;
        bool claimed = neap_link_claim(link);
        if (!claimed) neap_list_remove(&link->node); /* claimed elsewhere; its owner finds it unlinked */
        if (reads) rwlock->waiting_readers--;
        if (!claimed) continue;
        if (reads)
            let_read(rwlock, link);
        else
            let_write(rwlock, link);
        neap_batch_add(batch, link->wait);
    }
}

/* --- class --- */

static bool attempt_read(struct neap_rwlock *rwlock, struct neap_link *link) {
    struct neap_owner *owner = neap_wait_owner(link->wait);
    if (writer_of(rwlock) == owner) {
        if (!neap_link_commit(link)) return false;
        link->result = NEAP_HELD;
        return true;
    }
    struct neap_reading *reading = readers_of(rwlock) > 0 ? find_reading(rwlock, owner) : NULL;
    if (reading != NULL) {
        if (!neap_link_commit(link)) return false;
        if (reading->depth < UINT32_MAX)
            reading->depth++;
        else
            link->result = NEAP_RANGE;
        return true;
    }
    if (reserve(rwlock) != 0) {
        if (!neap_link_commit(link)) return false;
        link->result = NEAP_NOMEM;
        return true;
    }
    if (writer_of(rwlock) != NULL || !neap_list_is_empty(&rwlock->waiters) || !neap_link_commit(link)) return false;
    let_read(rwlock, link);
    neap_owner_enter(owner, link->hold);
    return true;
}

static bool attempt_write(struct neap_rwlock *rwlock, struct neap_link *link) {
    struct neap_owner *owner = neap_wait_owner(link->wait);
    if (writer_of(rwlock) == owner || (readers_of(rwlock) > 0 && find_reading(rwlock, owner) != NULL)) {
        if (!neap_link_commit(link)) return false;
        link->result = NEAP_HELD;
        return true;
    }
    if (writer_of(rwlock) != NULL || readers_of(rwlock) > 0 || !neap_list_is_empty(&rwlock->waiters)) return false;
    if (!neap_link_commit(link)) return false;
    let_write(rwlock, link);
    neap_owner_enter(owner, link->hold);
    return true;
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_rwlock *rwlock = (struct neap_rwlock *)object;
    (void)batch;
    return link->op == NEAP_RWLOCK_READ ? attempt_read(rwlock, link) : attempt_write(rwlock, link);
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_rwlock *rwlock = (struct neap_rwlock *)object;
    if (link->op == NEAP_RWLOCK_READ) rwlock->waiting_readers++;
    neap_list_push_back(&rwlock->waiters, &link->node);
}

static void withdrawn(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_rwlock *rwlock = (struct neap_rwlock *)object;
    if (link->op == NEAP_RWLOCK_READ) rwlock->waiting_readers--;
    serve(rwlock, batch);
}

static bool hint(struct neap_object *object, const struct neap_link *link) {
    const struct neap_rwlock *rwlock = (const struct neap_rwlock *)object;
    const struct neap_owner *writer = writer_of(rwlock);
    if (writer == neap_wait_owner(link->wait)) return true;
    return writer == NULL && (link->op == NEAP_RWLOCK_READ || readers_of(rwlock) == 0);
}

static void resumed(struct neap_object *object, struct neap_link *link) {
    (void)object;
    neap_owner_enter(neap_wait_owner(link->wait), link->hold);
}

/* --- letting go --- */

/* The record is out of its owner's list. */
static void stop_reading(struct neap_rwlock *rwlock, struct neap_reading *reading) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&rwlock->object);
    give_back(rwlock, reading);
    set_readers(rwlock, readers_of(rwlock) - 1);
    serve(rwlock, &batch);
    neap_object_unlock(&rwlock->object);
    neap_batch_flush(&batch);
}

static void stop_writing(struct neap_rwlock *rwlock, bool abandoned) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&rwlock->object);
    if (abandoned) rwlock->abandoned = true;
    set_writer(rwlock, NULL);
    serve(rwlock, &batch);
    neap_object_unlock(&rwlock->object);
    neap_batch_flush(&batch);
}

static void abandon_reading(struct neap_hold *hold) {
    stop_reading((struct neap_rwlock *)hold->object, NEAP_CONTAINER_OF(hold, struct neap_reading, hold));
}

static void abandon_writing(struct neap_hold *hold) { stop_writing((struct neap_rwlock *)hold->object, true); }

int neap_rwlock_release(struct neap_rwlock *rwlock, struct neap_owner *owner) {
    if (neap_rwlock_is_written_by(rwlock, owner)) {
        neap_hold_unlink(&rwlock->writing);
        stop_writing(rwlock, false);
    } else {
        struct neap_reading *reading = find_reading(rwlock, owner);
        if (reading == NULL) return NEAP_NOT_OWNER;
        if (--reading->depth > 0) return 0;
        neap_hold_unlink(&reading->hold);
        stop_reading(rwlock, reading);
    }
    neap_object_unref(&rwlock->object); /* the hold's; the caller has one of its own */
    return 0;
}

bool neap_rwlock_is_read_by(const struct neap_rwlock *rwlock, const struct neap_owner *owner) {
    return find_reading(rwlock, owner) != NULL;
}

bool neap_rwlock_is_written_by(const struct neap_rwlock *rwlock, const struct neap_owner *owner) {
    return writer_of(rwlock) == owner;
}

uint32_t neap_rwlock_readers(const struct neap_rwlock *rwlock) { return readers_of(rwlock); }

bool neap_rwlock_is_written(const struct neap_rwlock *rwlock) { return writer_of(rwlock) != NULL; }

/* --- life --- */

struct neap_rwlock *neap_rwlock_new(void) {
    struct neap_rwlock *rwlock = neap_alloc_zeroed(sizeof *rwlock);
    if (rwlock == NULL) return NULL;
    neap_object_init(&rwlock->object, &neap_rwlock_class);
    neap_list_init(&rwlock->waiters);
    atomic_init(&rwlock->writer, NULL);
    atomic_init(&rwlock->readers, 0);
    neap_hold_init(&rwlock->writing);
    rwlock->writing.object = &rwlock->object;
    rwlock->writing.abandon = abandon_writing;
    return rwlock;
}

static void destroy(struct neap_object *object) {
    struct neap_rwlock *rwlock = (struct neap_rwlock *)object;
    NEAP_ASSERT(neap_list_is_empty(&rwlock->waiters), "wait 2: who waits keeps the object alive");
    NEAP_ASSERT(writer_of(rwlock) == NULL && readers_of(rwlock) == 0, "who holds keeps the lock alive");
    while (rwlock->spare != NULL) {
        struct neap_reading *reading = rwlock->spare;
        rwlock->spare = reading->next;
        neap_free(reading);
    }
    neap_free(rwlock);
}

/* --- from other processes --- */

static int abandon(struct neap_rwlock *rwlock, struct neap_owner *owner) {
    if (!neap_rwlock_is_written_by(rwlock, owner)) return neap_rwlock_release(rwlock, owner);
    neap_hold_unlink(&rwlock->writing);
    stop_writing(rwlock, true);
    neap_object_unref(&rwlock->object); /* the hold's; the caller has one of its own */
    return 0;
}

static void serve_call(struct neap_object *object, struct neap_call *call) {
    struct neap_rwlock *rwlock = (struct neap_rwlock *)object;
    switch (call->method) {
        case NEAP_RWLOCK_RELEASE: call->result = neap_rwlock_release(rwlock, call->owner); return;
        case NEAP_RWLOCK_ABANDON: call->result = abandon(rwlock, call->owner); return;
        default: call->result = NEAP_RANGE;
    }
}

static const struct neap_remote remote = {.kind = NEAP_KIND_RWLOCK, .ops = NEAP_RWLOCK_WRITE + 1, .serve = serve_call};

static const char *const verbs[] = {"acquire_read", "acquire_write"};

const struct neap_class neap_rwlock_class = {
    .name = "rwlock",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .hint = hint,
    .withdrawn = withdrawn,
    .resumed = resumed,
    .remote = &remote,
};
