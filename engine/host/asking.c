/* asking: what workers are asked about work that they run.
 *
 * MODEL      What has been asked stands in the work, and how much of that its worker has been told. A worker learns of
 *            it when it listens; who is to keep a promise does not listen, and is cancelled as a task.
 * INVARIANTS (under the pool's guard)
 *            1. Who listens has been told all that is asked about its work.
 *            2. Once the pool is terminated nobody listens: who has been told all of it is told that. */
#include "host/asking.h"

#include "core/error.h"
#include "core/message.h"
#include "core/wait.h"
#include "host/job.h"
#include "host/pool.h"

/* Guard held: the listener of its worker is told what is asked about `work`. */
static void tell(struct neap_work *work, struct neap_link *listener) {
    work->told = work->request;
    listener->number = (int64_t)work->id * NEAP_POOL_REQUESTS + work->request;
    neap_message_copy(&listener->message, &work->reason);
}

static void tell_worker(struct neap_pool *pool, struct neap_work *work, struct neap_batch *batch) {
    struct neap_list *next;
    for (struct neap_list *node = pool->listeners.next; node != &pool->listeners; node = next) {
        struct neap_link *listener = NEAP_CONTAINER_OF(node, struct neap_link, node);
        next = node->next;
        if ((uint64_t)listener->number != work->worker || !neap_link_claim(listener)) continue;
        tell(work, listener);
        neap_batch_add(batch, listener->wait);
        return;
    }
}

/* The listener could not do yet what it was told. */
static void take_back(struct neap_pool *pool, struct neap_link *listener) {
    struct neap_work *work = neap_pool_find_running(pool, (uint64_t)listener->message.integer);
    if (work != NULL && work->worker == (uint64_t)listener->number) work->told = NEAP_WORK_GO_ON;
    neap_message_clear(&listener->message);
}

bool neap_asking_hear(struct neap_pool *pool, struct neap_link *link) {
    if (link->message.kind == NEAP_MESSAGE_INTEGER) take_back(pool, link);
    for (int i = 0; i < NEAP_POOL_BUCKETS; i++) {
        struct neap_list *bucket = &pool->running[i];
        for (struct neap_list *node = bucket->next; node != bucket; node = node->next) {
            struct neap_work *work = neap_work_at(node);
            if (work->worker != (uint64_t)link->number || work->told >= work->request) continue;
            if (!neap_link_commit(link)) return false;
            tell(work, link);
            return true;
        }
    }
    if (!pool->terminated || !neap_link_commit(link)) return false;
    link->result = NEAP_CLOSED;
    return true;
}

bool neap_asking_ask(struct neap_pool *pool, struct neap_work *work, enum neap_work_request request,
                     struct neap_message *reason, struct neap_batch *batch) {
    if (work->request >= request || (work->promised != NULL && request != NEAP_WORK_CANCEL)) return false;
    work->request = (uint8_t)request;
    neap_message_fini(&work->reason);
    neap_message_move(&work->reason, reason);
    if (work->promised == NULL) tell_worker(pool, work, batch);
    return true;
}

void neap_asking_cancel_promised(struct neap_work *work) {
    struct neap_message reason;
    neap_message_copy(&reason, &work->reason);
    if (!neap_job_cancel(work->promised, &reason)) neap_message_fini(&reason);
}
