/* INVARIANTS (under the guard)
 *   1. While permits are left nobody waits: releasing serves the first who can still be claimed.
 *   2. permits <= bound. A permit is left, was handed to a wait that was claimed, or is out: a wait that is being timed
 *      out or cancelled cannot be claimed, so its permit goes to the next. */
#include "sync/semaphore.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"

static int64_t permits_of(const struct neap_semaphore *semaphore) {
    return atomic_load_explicit(&semaphore->permits, memory_order_relaxed);
}

static void set_permits(struct neap_semaphore *semaphore, int64_t permits) {
    atomic_store_explicit(&semaphore->permits, permits, memory_order_relaxed);
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_semaphore *semaphore = (struct neap_semaphore *)object;
    (void)batch;
    int64_t permits = permits_of(semaphore);
    if (permits == 0 || !neap_link_commit(link)) return false;
    NEAP_ASSERT(neap_list_is_empty(&semaphore->waiters), "semaphore 1: while permits are left nobody waits");
    set_permits(semaphore, permits - 1);
    if (link->op == NEAP_SEMAPHORE_HOLD) neap_owner_enter(neap_wait_owner(link->wait), link->hold);
    return true;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    neap_list_push_back(&((struct neap_semaphore *)object)->waiters, &link->node);
}

static bool hint(struct neap_object *object, const struct neap_link *link) {
    (void)link;
    return permits_of((const struct neap_semaphore *)object) > 0;
}

static void resumed(struct neap_object *object, struct neap_link *link) {
    (void)object;
    if (link->op == NEAP_SEMAPHORE_HOLD) neap_owner_enter(neap_wait_owner(link->wait), link->hold);
}

int neap_semaphore_release(struct neap_semaphore *semaphore, int64_t count) {
    struct neap_batch batch = {NULL, NULL};
    int code = NEAP_RANGE;
    neap_object_lock(&semaphore->object);
    int64_t permits = permits_of(semaphore);
    if (count >= 1 && count <= semaphore->bound - permits) {
        struct neap_link *link;
        for (permits += count; permits > 0 && (link = neap_waiters_claim(&semaphore->waiters)) != NULL; permits--)
            neap_batch_add(&batch, link->wait);
        set_permits(semaphore, permits);
        code = 0;
    }
    neap_object_unlock(&semaphore->object);
    if (batch.first != NULL) neap_batch_flush(&batch);
    return code;
}

int64_t neap_semaphore_value(const struct neap_semaphore *semaphore) { return permits_of(semaphore); }

/* --- permits --- */

/* One permit more than its bound cannot be: whoever took it out of a bounded semaphore left room for it. Unless others
 * released more than they acquired; then the bound holds and this one is dropped. */
static void abandon(struct neap_hold *hold) { (void)neap_semaphore_release((struct neap_semaphore *)hold->object, 1); }

void neap_permit_init(struct neap_permit *permit, struct neap_semaphore *semaphore) {
    neap_hold_init(&permit->hold);
    permit->hold.object = &semaphore->object;
    permit->hold.abandon = abandon;
}

bool neap_permit_return(struct neap_permit *permit) { return neap_hold_give_back(&permit->hold); }

/* --- life --- */

struct neap_semaphore *neap_semaphore_new(const struct neap_class *class, int64_t permits) {
    struct neap_semaphore *semaphore = neap_alloc(sizeof *semaphore);
    if (semaphore == NULL) return NULL;
    neap_object_init(&semaphore->object, class);
    neap_list_init(&semaphore->waiters);
    atomic_init(&semaphore->permits, permits);
    semaphore->bound = class == &neap_bounded_semaphore_class ? permits : INT64_MAX;
    return semaphore;
}

static void destroy(struct neap_object *object) {
    struct neap_semaphore *semaphore = (struct neap_semaphore *)object;
    NEAP_ASSERT(neap_list_is_empty(&semaphore->waiters), "wait 2: who waits keeps the object alive");
    neap_free(semaphore);
}

/* --- from other processes --- */

static struct neap_hold *make_hold(struct neap_object *object) {
    struct neap_permit *permit = neap_alloc(sizeof *permit);
    if (permit == NULL) return NULL;
    neap_permit_init(permit, (struct neap_semaphore *)object);
    return &permit->hold;
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_semaphore *semaphore = (struct neap_semaphore *)object;
    switch (call->method) {
        case NEAP_SEMAPHORE_RELEASE: call->result = neap_semaphore_release(semaphore, call->number); return;
        case NEAP_SEMAPHORE_VALUE: call->number = neap_semaphore_value(semaphore); return;
        default: call->result = NEAP_RANGE;
    }
}

/* As `abandon`: of what is held the hold sees to it. */
static void restore(struct neap_object *object, struct neap_link *link) {
    (void)link;
    (void)neap_semaphore_release((struct neap_semaphore *)object, 1);
}

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    constants_->numbers[0] = ((struct neap_semaphore *)object)->bound;
}

static const struct neap_remote plain_remote = {
    .kind = NEAP_KIND_SEMAPHORE,
    .ops = NEAP_SEMAPHORE_HOLD + 1,
    .holding = NEAP_SEMAPHORE_HOLD + 1,
    .taking = 1 << NEAP_SEMAPHORE_ACQUIRE,
    .restore = restore,
    .constants = constants,
    .make_hold = make_hold,
    .serve = serve,
};

static const struct neap_remote bounded_remote = {
    .kind = NEAP_KIND_BOUNDED_SEMAPHORE,
    .ops = NEAP_SEMAPHORE_HOLD + 1,
    .holding = NEAP_SEMAPHORE_HOLD + 1,
    .taking = 1 << NEAP_SEMAPHORE_ACQUIRE,
    .restore = restore,
    .constants = constants,
    .make_hold = make_hold,
    .serve = serve,
};

static const char *const verbs[] = {"acquire", "hold"};

const struct neap_class neap_semaphore_class = {
    .name = "semaphore",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .hint = hint,
    .resumed = resumed,
    .remote = &plain_remote,
};

const struct neap_class neap_bounded_semaphore_class = {
    .name = "bounded_semaphore",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .hint = hint,
    .resumed = resumed,
    .remote = &bounded_remote,
};
