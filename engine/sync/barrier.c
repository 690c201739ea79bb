/* barrier: all of a round or none.
 *
 * ROUND      Links arrive in `arriving`. The last of a round never waits where nothing is to be run: it claims the
 *            others and all go. Otherwise the others move to `complete`, still open, and the last runs the action; who
 *            arrives meanwhile belongs to later rounds, any number of them. When the action is done the round goes, and
 *            if the next one is complete already its last link is woken to run the action again.
 * GIVING UP  A wait that was claimed by its deadline or a cancellation, but has not withdrawn yet, still stands in the
 *            list. Who lets a round go counts those that it could claim: if one is missing the round is broken for all
 *            the others. So never do some go on while one of them was told "timeout".
 * RUNS       Who is to run the action has a hold on the heap, which stands in its owner's list until it says how that
 *            went. So a task that ends without saying so, or is killed with its process, breaks the barrier. The
 *            barrier may have been reset while an action was running, and run another one since: then that hold is not
 *            `run` any more, and whatever becomes of it concerns nobody.
 * INVARIANTS (under the guard)
 *   1. A broken barrier has no waiters and no run.
 *   2. Without a run, `complete` is empty and arrived < parties. */
#include "sync/barrier.h"

#include <stddef.h>

#include "core/check.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/owner.h"
#include "core/remote.h"

static void publish(struct neap_barrier *barrier, bool broken) {
    uint32_t waiting = barrier->arrived + (barrier->run != NULL ? barrier->parties - 1 : 0);
    atomic_store_explicit(&barrier->waiting, waiting, memory_order_relaxed);
    atomic_store_explicit(&barrier->broken, broken, memory_order_relaxed);
}

/* Everyone who waits gets NEAP_BROKEN. */
static void scatter(struct neap_barrier *barrier, bool broken, struct neap_batch *batch) {
    neap_waiters_claim_all(&barrier->complete, NEAP_BROKEN, batch);
    neap_waiters_claim_all(&barrier->arriving, NEAP_BROKEN, batch);
    barrier->arrived = 0;
    barrier->run = NULL;
    publish(barrier, broken);
}

/* Wakes the round in `links`: 0 when all could be claimed, NEAP_BROKEN otherwise, as they are told too. */
static int wake_round(struct neap_barrier *barrier, struct neap_list *links, struct neap_batch *batch) {
    struct neap_list claimed;
    struct neap_link *link;
    uint32_t count = 0;
    neap_list_init(&claimed);
    for (; (link = neap_waiters_claim(links)) != NULL; count++) neap_list_push_back(&claimed, &link->node);
    int result = count == barrier->parties - 1 ? 0 : NEAP_BROKEN;
    for (int64_t number = 1; !neap_list_is_empty(&claimed); number++) {
        link = NEAP_CONTAINER_OF(neap_list_pop_front(&claimed), struct neap_link, node);
        link->number = number;
        link->result = result;
        neap_batch_add(batch, link->wait);
    }
    return result;
}

/* The owner ended before it could say how the action went. */
static void abandon(struct neap_hold *hold) {
    struct neap_barrier *barrier = (struct neap_barrier *)hold->object;
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&barrier->object);
    if (barrier->run == hold) scatter(barrier, true, &batch);
    neap_object_unlock(&barrier->object);
    neap_batch_flush(&batch);
    neap_free(hold);
}

static struct neap_hold *new_run(struct neap_barrier *barrier) {
    struct neap_hold *run = neap_alloc(sizeof *run);
    if (run == NULL) return NULL;
    neap_hold_init(run);
    run->object = &barrier->object;
    run->abandon = abandon;
    return run;
}

/* The last of a round has come: its action is run by `link`'s owner. The first in `arriving` are the others. Without
 * memory for that the barrier breaks. */
static void begin_action(struct neap_barrier *barrier, struct neap_link *link, struct neap_batch *batch) {
    link->hold = new_run(barrier);
    if (link->hold == NULL) {
        link->result = NEAP_NOMEM;
        scatter(barrier, true, batch);
        return;
    }
    for (uint32_t i = 1; i < barrier->parties; i++)
        neap_list_push_back(&barrier->complete, neap_list_pop_front(&barrier->arriving));
    barrier->arrived -= barrier->parties - 1;
    barrier->run = link->hold;
    link->number = barrier->parties;
}

/* Restores 2 after a round has gone. */
static void begin_next(struct neap_barrier *barrier, struct neap_batch *batch) {
    if (barrier->arrived < barrier->parties) return;
    struct neap_list *node = barrier->arriving.next;
    for (uint32_t i = 1; i < barrier->parties; i++) node = node->next;
    struct neap_link *last = NEAP_CONTAINER_OF(node, struct neap_link, node);
    if (!neap_link_claim(last)) {
        scatter(barrier, true, batch);
        return;
    }
    barrier->arrived--;
    begin_action(barrier, last, batch);
    neap_batch_add(batch, last->wait);
}

static bool arrive_last(struct neap_barrier *barrier, struct neap_link *link, struct neap_batch *batch) {
    if (barrier->acts) {
        begin_action(barrier, link, batch);
        if (link->hold == NULL) return true;
        publish(barrier, false);
        neap_owner_enter(neap_wait_owner(link->wait), link->hold);
        return true;
    }
    link->number = barrier->parties;
    link->result = wake_round(barrier, &barrier->arriving, batch);
    barrier->arrived = 0;
    publish(barrier, link->result != 0);
    return true;
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_barrier *barrier = (struct neap_barrier *)object;
    link->hold = NULL;
    if (neap_barrier_is_broken(barrier)) {
        if (!neap_link_commit(link)) return false;
        link->result = NEAP_BROKEN;
        return true;
    }
    if (barrier->run == NULL && barrier->arrived + 1 == barrier->parties)
        return neap_link_commit(link) && arrive_last(barrier, link, batch);
    if (link->op == NEAP_BARRIER_WAIT || !neap_link_commit(link)) return false;
    scatter(barrier, true, batch);
    link->result = NEAP_TIMEOUT;
    return true;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_barrier *barrier = (struct neap_barrier *)object;
    neap_list_push_back(&barrier->arriving, &link->node);
    barrier->arrived++;
    publish(barrier, false);
}

static void withdrawn(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)link;
    scatter((struct neap_barrier *)object, true, batch);
}

/* It waited, and is to run the action. */
static void resumed(struct neap_object *object, struct neap_link *link) {
    (void)object;
    if (link->hold != NULL) neap_owner_enter(neap_wait_owner(link->wait), link->hold);
}

/* What `owner` runs for the barrier: the last one, if an action has come here again; NULL: nothing. */
static struct neap_hold *find_run(const struct neap_barrier *barrier, struct neap_owner *owner) {
    for (struct neap_hold *hold = owner->held; hold != NULL; hold = hold->next) {
        if (hold->object == &barrier->object && hold->abandon == abandon) return hold;
    }
    return NULL;
}

/* The round goes; guard held. */
static int end_run(struct neap_barrier *barrier, struct neap_batch *batch) {
    int code = wake_round(barrier, &barrier->complete, batch);
    barrier->run = NULL;
    if (code == 0) {
        begin_next(barrier, batch);
        publish(barrier, neap_barrier_is_broken(barrier));
    } else {
        scatter(barrier, true, batch);
    }
    return code;
}

int neap_barrier_release(struct neap_barrier *barrier, struct neap_owner *owner) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_hold *run = find_run(barrier, owner);
    if (run == NULL) return NEAP_BROKEN;
    neap_object_lock(&barrier->object);
    int code = barrier->run == run ? end_run(barrier, &batch) : NEAP_BROKEN;
    neap_object_unlock(&barrier->object);
    neap_batch_flush(&batch);
    neap_owner_leave(run); /* the caller has a reference of its own */
    neap_free(run);
    return code;
}

void neap_barrier_fail(struct neap_barrier *barrier, struct neap_owner *owner) {
    struct neap_hold *run = find_run(barrier, owner);
    if (run != NULL) neap_hold_give_back(run);
}

static void scatter_now(struct neap_barrier *barrier, bool broken) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&barrier->object);
    scatter(barrier, broken, &batch);
    neap_object_unlock(&barrier->object);
    neap_batch_flush(&batch);
}

void neap_barrier_abort(struct neap_barrier *barrier) { scatter_now(barrier, true); }

void neap_barrier_reset(struct neap_barrier *barrier) { scatter_now(barrier, false); }

bool neap_barrier_is_broken(const struct neap_barrier *barrier) {
    return atomic_load_explicit(&barrier->broken, memory_order_relaxed);
}

uint32_t neap_barrier_waiting(const struct neap_barrier *barrier) {
    return atomic_load_explicit(&barrier->waiting, memory_order_relaxed);
}

struct neap_barrier *neap_barrier_new(uint32_t parties, bool acts) {
    struct neap_barrier *barrier = neap_alloc(sizeof *barrier);
    if (barrier == NULL) return NULL;
    neap_object_init(&barrier->object, &neap_barrier_class);
    barrier->parties = parties;
    barrier->acts = acts;
    neap_list_init(&barrier->arriving);
    neap_list_init(&barrier->complete);
    barrier->run = NULL;
    barrier->arrived = 0;
    atomic_init(&barrier->waiting, 0);
    atomic_init(&barrier->broken, false);
    neap_message_clear(&barrier->action);
    barrier->departing = false;
    return barrier;
}

static void destroy(struct neap_object *object) {
    struct neap_barrier *barrier = (struct neap_barrier *)object;
    NEAP_ASSERT(neap_list_is_empty(&barrier->arriving) && neap_list_is_empty(&barrier->complete),
                "wait 2: who waits keeps the object alive");
    neap_message_fini(&barrier->action);
    neap_free(barrier);
}

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    const struct neap_barrier *barrier = (struct neap_barrier *)object;
    constants_->numbers[0] = barrier->parties;
    constants_->numbers[1] = barrier->acts;
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_barrier *barrier = (struct neap_barrier *)object;
    switch (call->method) {
        case NEAP_BARRIER_RESET: neap_barrier_reset(barrier); return;
        case NEAP_BARRIER_ABORT: neap_barrier_abort(barrier); return;
        case NEAP_BARRIER_IS_BROKEN: call->number = neap_barrier_is_broken(barrier); return;
        case NEAP_BARRIER_WAITING: call->number = neap_barrier_waiting(barrier); return;
        case NEAP_BARRIER_RELEASE: call->result = neap_barrier_release(barrier, call->owner); return;
        case NEAP_BARRIER_FAIL: neap_barrier_fail(barrier, call->owner); return;
        case NEAP_BARRIER_ACTION:
            neap_message_fini(&call->message);
            neap_message_copy(&call->message, &barrier->action);
            return;
        default: call->result = NEAP_RANGE;
    }
}

static const struct neap_remote remote = {
    .kind = NEAP_KIND_BARRIER,
    .ops = NEAP_BARRIER_TRY + 1,
    .constants = constants,
    .serve = serve,
};

static const char *const verbs[] = {"wait", "wait"};

const struct neap_class neap_barrier_class = {
    .name = "barrier",
    .verbs = verbs,
    .destroy = destroy,
    .attempt = attempt,
    .enlist = enlist,
    .withdrawn = withdrawn,
    .resumed = resumed,
    .remote = &remote,
};
