/* pool: work that is queued, and workers that take it.
 *
 * MODEL      One queue for all workers, the oldest first: whoever is free takes the next, so that uneven work balances.
 *            Work is a future; the queue, and then the list of what runs, has a reference to it. A worker is a number:
 *            it takes (TAKE), finishes by the id of the work, and listens (LISTEN) to what it is asked about work that
 *            it runs. It never sees the future itself, so it may live anywhere.
 * PHASES     of work: QUEUED -> RUNNING -> ENDED, or QUEUED -> ENDED. Each step is made under the pool's guard, and who
 *            makes it ENDED ends the future after that: so it ends once, be it that a worker finishes, dies and is
 *            cancelled at the same time. A promise is RUNNING from the start.
 * INVARIANTS (under the guard)
 *            1. Takers wait only while there is no more in the queue than there are lookers,
 *               and submitters only while it is full.
 *            2. Once the pool is closed nothing begins: work comes from who is in line, and from series, only. Once it
 *               is over, which it stays, and the queue is empty, nobody takes, nor is anybody in line.
 *            3. What is in the queue or in `running` has not ended, and is counted by `unfinished`.
 *            4. Nothing in the queue, and nobody in line for it, is of a batch in `failed`.
 * REQUESTS   What workers are asked about work that they run: see asking.c. What other processes ask: pool_remote.c.
 * A WORKER DIES  Its number stands in what it ran. What it had taken and never learned of is found in the same way.
 * A BATCH    is the work of one map, which ends with its first failure: what of it is queued then is cancelled, after
 *            the one that failed has ended; who is in line with more of it, or comes later, is refused.
 * A SERIES   is what somebody submits bit by bit, as a map or an iterator. It begins before its first piece, and holds
 *            the pool for its owner: so the pool takes all of it, though somebody closes it meanwhile, and keeps its
 *            workers for that. It ends with its owner at the latest, if that is a process that dies, too. The pool is
 *            over once it is closed and no series is left; at once when it is terminated, or broken. Who submits only
 *            as results are taken (HASTE) submits all the rest once somebody waits for the end of the pool: else that
 *            might wait for somebody to take them, who never will.
 * LOOKERS    A thread that wants work looks at the length of the queue for a while before it waits in the list of
 *            takers: that costs neither side a wake-up. Who looks is counted, and always comes for work under the guard
 *            in the end. So what is submitted is left in the queue for it, rather than given to a taker who sleeps.
 * THE PROGRAM stays alive while anything is unfinished, as it does for a thread (neap_engine_is_needed). Idle workers
 *            do not keep it.
 * LOCKS      The pool's guard. Futures are ended, and engine and mailboxes called, once it is free.
 * ORDER      First futures end, then who waits at the pool is woken, and the count goes down last. So whoever is told
 *            of what follows from an end (a place, a refusal, that the pool is closed or has ended) finds that it has
 *            come, and the program is not over while somebody is still to be told.
 *            Any thread may cancel what is queued, and still be about to end it when the last worker has gone: such
 *            threads are counted, and the pool ends with the last of them.
 * REJECTED   A queue for each worker and stealing (a chunk is large, one queue is not contended); a hold
 *            in the worker's name, as a permit has (it does not know the cause of a death, nor what was
 *            taken and never arrived). */
#include "host/pool.h"

#include <stdio.h>
#include <unistd.h>

#include "core/check.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "host/asking.h"
#include "host/engine.h"
#include "host/pool_remote.h"

static bool is_closed(const struct neap_pool *pool) {
    return atomic_load_explicit(&pool->closed, memory_order_relaxed);
}

/* Guard held. No more work comes, but from who is in line. */
static bool is_over(const struct neap_pool *pool) {
    return pool->broken != NULL || pool->terminated || (is_closed(pool) && pool->series == 0);
}

static size_t queued(const struct neap_pool *pool) { return atomic_load_explicit(&pool->queued, memory_order_relaxed); }

static void set_queued(struct neap_pool *pool, size_t count) {
    atomic_store_explicit(&pool->queued, count, memory_order_relaxed);
}

/* --- work comes and goes; guard held --- */

/* 0: it is of none, or of one that begins. */
static uint64_t batch_of(const struct neap_link *submitter) { return (uint64_t)submitter->number / NEAP_POOL_FLAGS; }

static bool has_failed(const struct neap_pool *pool, uint64_t batch) {
    for (int i = 0; batch != 0 && i < NEAP_POOL_FAILED_MAX; i++)
        if (pool->failed[i] == batch) return true;
    return false;
}

/* The work of `submitter`, which is answered; NULL: no memory. The caller has a reference. */
static struct neap_work *admit(struct neap_pool *pool, struct neap_link *submitter) {
    bool quiet = (submitter->number & NEAP_POOL_QUIET) != 0;
    struct neap_work *work = neap_work_new(pool, pool->last_id + 1, &submitter->message, quiet);
    if (work == NULL) {
        submitter->result = NEAP_NOMEM;
        return NULL;
    }
    pool->last_id++;
    pool->submitted++;
    work->batch = submitter->number & NEAP_POOL_LEADS ? work->id : batch_of(submitter);
    neap_engine_need(&pool->unfinished);
    neap_message_set_kind(&submitter->message, NEAP_MESSAGE_OBJECT);
    submitter->message.object = neap_object_ref(&work->future.object);
    return work;
}

static void enqueue(struct neap_pool *pool, struct neap_work *work) {
    neap_list_push_back(&pool->queue, &work->node);
    set_queued(pool, queued(pool) + 1);
}

static void run(struct neap_pool *pool, struct neap_work *work, int64_t now) {
    work->phase = NEAP_WORK_RUNNING;
    work->started = now;
    atomic_store_explicit(&work->future.object.state, NEAP_FUTURE_RUNNING, memory_order_relaxed);
    neap_list_push_back(&pool->running[work->id % NEAP_POOL_BUCKETS], &work->node);
    if (work->promised == NULL) pool->stats.running++;
}

/* `taker` has the work, which is in no list. */
static void hand_over(struct neap_pool *pool, struct neap_work *work, struct neap_link *taker, int64_t now) {
    work->worker = (uint64_t)taker->number;
    run(pool, work, now);
    neap_histogram_record(&pool->stats.wait, work->started - work->submitted);
    neap_message_move(&taker->message, &work->call);
    taker->number = (int64_t)work->id;
}

/* New work: for a taker who waits, unless somebody looks for it. */
static void pass_on(struct neap_pool *pool, struct neap_work *work, struct neap_batch *batch) {
    bool is_looked_for = atomic_load_explicit(&pool->lookers, memory_order_relaxed) > queued(pool);
    struct neap_link *taker = is_looked_for ? NULL : neap_waiters_claim(&pool->takers);
    if (taker == NULL) {
        enqueue(pool, work);
        return;
    }
    hand_over(pool, work, taker, work->submitted);
    neap_batch_add(batch, taker->wait);
}

/* Out of its list, and ENDED: the caller has the reference of the list, and ends it. */
static void retire(struct neap_pool *pool, struct neap_work *work, enum neap_future_state state) {
    bool was_queued = work->phase == NEAP_WORK_QUEUED;
    neap_list_remove(&work->node);
    work->phase = NEAP_WORK_ENDED;
    if (work->promised != NULL) return;
    if (was_queued) {
        set_queued(pool, queued(pool) - 1);
    } else {
        pool->stats.running--;
        neap_histogram_record(&pool->stats.run, neap_clock_now() - work->started);
    }
    if (state == NEAP_FUTURE_DONE)
        pool->stats.done++;
    else if (state == NEAP_FUTURE_FAILED)
        pool->stats.failed++;
    else
        pool->stats.cancelled++;
}

/* Work has left the queue, or who looked for it has come: others may be admitted, to the queue or to takers. */
static void after_queue(struct neap_pool *pool, struct neap_batch *batch) {
    while (queued(pool) < pool->limit && !neap_list_is_empty(&pool->submitters)) {
        struct neap_link *submitter = neap_waiters_claim(&pool->submitters);
        if (submitter == NULL) break;
        struct neap_work *work = admit(pool, submitter);
        if (work != NULL) pass_on(pool, work, batch);
        neap_batch_add(batch, submitter->wait);
    }
    if (is_over(pool) && queued(pool) == 0) neap_waiters_claim_all(&pool->takers, NEAP_CLOSED, batch);
}

/* --- ends; no guard held --- */

/* So many futures have ended: see ORDER. */
static void conclude(struct neap_pool *pool, struct neap_batch *batch, uint64_t count) {
    neap_batch_flush(batch);
    if (count > 0) neap_engine_relent(pool->engine, &pool->unfinished, count);
}

static void end_with_copy(struct neap_work *work, enum neap_future_state state, const struct neap_outcome *outcome) {
    struct neap_outcome copy;
    if (outcome != NULL) {
        neap_message_copy(&copy.value, &outcome->value);
        neap_message_copy(&copy.traceback, &outcome->traceback);
    }
    neap_work_end(work, state, outcome != NULL ? &copy : NULL);
}

/* Ends all of a list of retired work: failed with copies of `outcome`, or cancelled where that is NULL. How much. */
static uint64_t end_all(struct neap_list *list, const struct neap_outcome *outcome) {
    enum neap_future_state state = outcome == NULL ? NEAP_FUTURE_CANCELLED : NEAP_FUTURE_FAILED;
    struct neap_list *node;
    uint64_t count = 0;
    while ((node = neap_list_pop_front(list)) != NULL) {
        end_with_copy(neap_work_at(node), state, outcome);
        count++;
    }
    return count;
}

/* What was retired since `ending` was counted up has ended: the last one lets join go on, if no worker is left. */
static void let_join(struct neap_pool *pool, struct neap_batch *batch) {
    neap_object_lock(&pool->object);
    if (--pool->ending == 0 && pool->deserted) {
        atomic_store_explicit(&pool->ended, true, memory_order_release);
        neap_waiters_claim_all(&pool->joiners, 0, batch);
    }
    neap_object_unlock(&pool->object);
}

/* Guard held: moves what is queued to `list`. */
static void retire_queue(struct neap_pool *pool, struct neap_list *list, enum neap_future_state state) {
    while (!neap_list_is_empty(&pool->queue)) {
        struct neap_work *work = neap_work_at(pool->queue.next);
        retire(pool, work, state);
        neap_list_push_back(list, &work->node);
    }
}

/* Guard held: moves what `worker` runs to `list`; 0: what any does. */
static void retire_running(struct neap_pool *pool, uint64_t worker, struct neap_list *list,
                           enum neap_future_state state) {
    for (int i = 0; i < NEAP_POOL_BUCKETS; i++) {
        struct neap_list *bucket = &pool->running[i], *next;
        for (struct neap_list *node = bucket->next; node != bucket; node = next) {
            struct neap_work *work = neap_work_at(node);
            next = node->next;
            if (work->promised != NULL || (worker != 0 && work->worker != worker)) continue;
            retire(pool, work, state);
            neap_list_push_back(list, &work->node);
        }
    }
}

struct neap_work *neap_pool_find_running(struct neap_pool *pool, uint64_t id) {
    struct neap_list *bucket = &pool->running[id % NEAP_POOL_BUCKETS];
    for (struct neap_list *node = bucket->next; node != bucket; node = node->next)
        if (neap_work_at(node)->id == id) return neap_work_at(node);
    return NULL;
}

/* --- batches; guard held --- */

/* Who is in line with work of a batch that has failed is refused: the others need not wait behind it. */
static void refuse_batch(struct neap_pool *pool, uint64_t id, struct neap_batch *batch) {
    struct neap_list *next;
    for (struct neap_list *node = pool->submitters.next; node != &pool->submitters; node = next) {
        struct neap_link *submitter = NEAP_CONTAINER_OF(node, struct neap_link, node);
        next = node->next;
        if (batch_of(submitter) != id || !neap_link_claim(submitter)) continue;
        submitter->result = NEAP_FAILED;
        neap_batch_add(batch, submitter->wait);
    }
}

/* One of the batch `id` has failed: moves to `list` what of it is queued. */
static void retire_batch(struct neap_pool *pool, uint64_t id, struct neap_list *list, struct neap_batch *batch) {
    struct neap_list *next;
    if (id == 0 || has_failed(pool, id)) return;
    pool->failed[pool->failed_at++ % NEAP_POOL_FAILED_MAX] = id;
    refuse_batch(pool, id, batch);
    for (struct neap_list *node = pool->queue.next; node != &pool->queue; node = next) {
        struct neap_work *work = neap_work_at(node);
        next = node->next;
        if (work->batch != id) continue;
        retire(pool, work, NEAP_FUTURE_CANCELLED);
        neap_list_push_back(list, &work->node);
    }
}

/* --- what workers tell; no guard held --- */

bool neap_pool_finish(struct neap_pool *pool, uint64_t id, enum neap_future_state state, struct neap_outcome *outcome,
                      struct neap_message *call) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_list dropped;
    neap_list_init(&dropped);
    neap_object_lock(&pool->object);
    struct neap_work *work = neap_pool_find_running(pool, id);
    if (work != NULL) retire(pool, work, state);
    if (work != NULL && state == NEAP_FUTURE_FAILED) {
        retire_batch(pool, work->batch, &dropped, &batch);
        after_queue(pool, &batch);
    }
    neap_object_unlock(&pool->object);
    if (work == NULL) {
        if (outcome != NULL) neap_outcome_fini(outcome);
        if (call != NULL) neap_message_fini(call);
        return false;
    }
    if (call != NULL) neap_message_move(&work->call, call);
    neap_work_end(work, state, outcome);
    conclude(pool, &batch, end_all(&dropped, NULL) + 1);
    return true;
}

void neap_pool_bury(struct neap_pool *pool, uint64_t worker, bool lost, struct neap_outcome *outcome) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_list ended, dropped;
    neap_list_init(&ended);
    neap_list_init(&dropped);
    neap_object_lock(&pool->object);
    retire_running(pool, worker, &ended, outcome == NULL ? NEAP_FUTURE_CANCELLED : NEAP_FUTURE_FAILED);
    if (lost || (outcome != NULL && !neap_list_is_empty(&ended))) pool->stats.lost++;
    if (outcome != NULL)
        for (struct neap_list *node = ended.next; node != &ended; node = node->next)
            retire_batch(pool, neap_work_at(node)->batch, &dropped, &batch);
    after_queue(pool, &batch);
    neap_object_unlock(&pool->object);
    uint64_t count = end_all(&ended, outcome);
    conclude(pool, &batch, count + end_all(&dropped, NULL));
    neap_outcome_free(outcome);
}

/* --- requests --- */

bool neap_pool_request(struct neap_work *work, enum neap_work_request request, struct neap_message *reason) {
    struct neap_pool *pool = work->pool;
    struct neap_batch batch = {NULL, NULL};
    bool asked = false;
    neap_object_lock(&pool->object);
    bool was_queued = work->phase == NEAP_WORK_QUEUED;
    if (was_queued) {
        neap_message_move(&work->reason, reason);
        pool->ending++;
        retire(pool, work, NEAP_FUTURE_CANCELLED);
        after_queue(pool, &batch);
    } else if (work->phase == NEAP_WORK_RUNNING) {
        asked = neap_asking_ask(pool, work, request, reason, &batch);
    }
    neap_object_unlock(&pool->object);
    if (was_queued) {
        neap_work_end(work, NEAP_FUTURE_CANCELLED, NULL);
        let_join(pool, &batch);
    } else if (asked && work->promised != NULL) {
        neap_asking_cancel_promised(work);
    }
    conclude(pool, &batch, was_queued ? 1 : 0);
    return was_queued || asked;
}

struct neap_work *neap_pool_promise(struct neap_pool *pool, struct neap_job *job) {
    struct neap_message none = {.kind = NEAP_MESSAGE_EMPTY};
    neap_object_lock(&pool->object);
    struct neap_work *work = neap_work_new(pool, pool->last_id + 1, &none, false);
    if (work != NULL) {
        pool->last_id++;
        work->promised = (struct neap_job *)neap_object_ref(&job->future.object);
        work->near = false;
        neap_engine_need(&pool->unfinished);
        run(pool, work, work->submitted);
        neap_object_ref(&work->future.object);
    }
    neap_object_unlock(&pool->object);
    return work;
}

/* --- the end of a pool --- */

/* Guard held. */
static void close_pool(struct neap_pool *pool, struct neap_batch *batch) {
    atomic_store_explicit(&pool->closed, true, memory_order_release);
    after_queue(pool, batch);
}

/* Guard held. */
static void hasten(struct neap_pool *pool, struct neap_batch *batch) {
    pool->hastened = true;
    neap_waiters_claim_all(&pool->lazy, 0, batch);
    close_pool(pool, batch);
}

/* Guard held; nothing is queued any more. */
static void refuse_all(struct neap_pool *pool, struct neap_batch *batch) {
    pool->terminated = true;
    neap_waiters_claim_all(&pool->submitters, NEAP_CLOSED, batch);
    hasten(pool, batch);
}

void neap_pool_close(struct neap_pool *pool) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&pool->object);
    close_pool(pool, &batch);
    neap_object_unlock(&pool->object);
    neap_batch_flush(&batch);
}

void neap_pool_hasten(struct neap_pool *pool) {
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&pool->object);
    hasten(pool, &batch);
    neap_object_unlock(&pool->object);
    neap_batch_flush(&batch);
}

/* Guard held: asks all that runs to stop. The next promise that is to be told, with a reference; NULL: none is left. */
static struct neap_work *cancel_running(struct neap_pool *pool, struct neap_batch *batch) {
    struct neap_message none = {.kind = NEAP_MESSAGE_EMPTY};
    for (int i = 0; i < NEAP_POOL_BUCKETS; i++) {
        struct neap_list *bucket = &pool->running[i];
        for (struct neap_list *node = bucket->next; node != bucket; node = node->next) {
            struct neap_work *work = neap_work_at(node);
            if (!neap_asking_ask(pool, work, NEAP_WORK_CANCEL, &none, batch) || work->promised == NULL) continue;
            neap_object_ref(&work->future.object);
            return work;
        }
    }
    return NULL;
}

void neap_pool_terminate(struct neap_pool *pool) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_list ended;
    struct neap_work *promise;
    neap_list_init(&ended);
    neap_object_lock(&pool->object);
    pool->ending++;
    retire_queue(pool, &ended, NEAP_FUTURE_CANCELLED);
    refuse_all(pool, &batch);
    while ((promise = cancel_running(pool, &batch)) != NULL) {
        neap_object_unlock(&pool->object);
        neap_asking_cancel_promised(promise);
        neap_object_unref(&promise->future.object);
        neap_object_lock(&pool->object);
    }
    neap_waiters_claim_all(&pool->listeners, NEAP_CLOSED, &batch);
    neap_object_unlock(&pool->object);
    uint64_t count = end_all(&ended, NULL);
    let_join(pool, &batch);
    conclude(pool, &batch, count);
}

void neap_pool_break(struct neap_pool *pool, struct neap_outcome *outcome) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_list ended;
    neap_list_init(&ended);
    neap_object_lock(&pool->object);
    bool first = pool->broken == NULL;
    pool->ending++;
    if (first) {
        pool->broken = outcome;
        retire_queue(pool, &ended, NEAP_FUTURE_FAILED);
        neap_waiters_claim_all(&pool->submitters, NEAP_BROKEN, &batch);
        neap_waiters_claim_all(&pool->takers, NEAP_CLOSED, &batch);
    }
    neap_object_unlock(&pool->object);
    if (!first) neap_outcome_free(outcome);
    uint64_t count = end_all(&ended, pool->broken);
    let_join(pool, &batch);
    conclude(pool, &batch, count);
}

struct neap_work *neap_pool_fail(struct neap_pool *pool, struct neap_message *call, bool quiet) {
    struct neap_work *work = neap_work_new(pool, 0, call, quiet);
    if (work == NULL) return NULL;
    neap_object_lock(&pool->object);
    work->id = ++pool->last_id;
    pool->submitted++;
    pool->stats.failed++;
    work->phase = NEAP_WORK_ENDED;
    neap_object_unlock(&pool->object);
    neap_object_ref(&work->future.object);
    end_with_copy(work, NEAP_FUTURE_FAILED, pool->broken);
    return work;
}

/* Guard held: how much of a list of work nobody had asked to stop. */
static uint64_t count_wanted(const struct neap_list *list) {
    uint64_t count = 0;
    for (struct neap_list *node = list->next; node != list; node = node->next)
        if (neap_work_at(node)->request == NEAP_WORK_GO_ON) count++;
    return count;
}

uint64_t neap_pool_end(struct neap_pool *pool) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_list ended;
    neap_list_init(&ended);
    neap_object_lock(&pool->object);
    pool->deserted = true;
    pool->ending++;
    retire_queue(pool, &ended, NEAP_FUTURE_CANCELLED);
    retire_running(pool, 0, &ended, NEAP_FUTURE_CANCELLED);
    uint64_t missed = count_wanted(&ended);
    if (pool->broken == NULL) refuse_all(pool, &batch);
    neap_waiters_claim_all(&pool->takers, NEAP_CLOSED, &batch);
    neap_waiters_claim_all(&pool->listeners, NEAP_CLOSED, &batch);
    neap_object_unlock(&pool->object);
    uint64_t count = end_all(&ended, NULL);
    let_join(pool, &batch);
    conclude(pool, &batch, count);
    return missed;
}

bool neap_pool_is_broken(struct neap_pool *pool) {
    neap_object_lock(&pool->object);
    bool broken = pool->broken != NULL;
    neap_object_unlock(&pool->object);
    return broken;
}

bool neap_pool_wants_workers(struct neap_pool *pool) {
    neap_object_lock(&pool->object);
    bool wants = !is_over(pool) || queued(pool) > 0;
    neap_object_unlock(&pool->object);
    return wants;
}

void neap_pool_read_stats(struct neap_pool *pool, struct neap_pool_stats *stats) {
    neap_object_lock(&pool->object);
    *stats = pool->stats;
    stats->submitted = pool->submitted;
    stats->queued = queued(pool);
    neap_object_unlock(&pool->object);
}

/* --- waiting --- */

/* Does more of a series come? Of a broken pool not in haste, where nothing would ever hold back who submits it. */
static bool goes_on(const struct neap_pool *pool, const struct neap_link *submitter) {
    if ((submitter->number & NEAP_POOL_GOES_ON) == 0 || pool->series == 0) return false;
    return pool->broken == NULL || !pool->hastened;
}

/* Why `submitter` is not even to wait; 0: it may. */
static int refusal(const struct neap_pool *pool, const struct neap_link *submitter) {
    if (pool->terminated || (is_closed(pool) && !goes_on(pool, submitter))) return NEAP_CLOSED;
    if (pool->broken != NULL) return NEAP_BROKEN;
    return has_failed(pool, batch_of(submitter)) ? NEAP_FAILED : 0;
}

static bool submit(struct neap_pool *pool, struct neap_link *link, struct neap_batch *batch) {
    int refused = refusal(pool, link);
    if (refused != 0) {
        if (!neap_link_commit(link)) return false;
        link->result = refused;
        return true;
    }
    bool full = queued(pool) >= pool->limit || !neap_list_is_empty(&pool->submitters);
    if (full || !neap_link_commit(link)) return false;
    struct neap_work *work = admit(pool, link);
    if (work != NULL) pass_on(pool, work, batch);
    return true;
}

static bool take(struct neap_pool *pool, struct neap_link *link, struct neap_batch *batch) {
    bool was_looking = link->mode == NEAP_LINK_LOOKING;
    if (was_looking) {
        atomic_fetch_sub_explicit(&pool->lookers, 1, memory_order_relaxed);
        link->mode = NEAP_LINK_PLAIN;
    }
    bool empty = neap_list_is_empty(&pool->queue);
    if ((empty && !is_over(pool)) || !neap_link_commit(link)) return false;
    if (empty) {
        NEAP_ASSERT(neap_list_is_empty(&pool->submitters), "pool 2: nobody is in line where the queue is empty");
        link->result = NEAP_CLOSED;
        return true;
    }
    struct neap_work *work = neap_work_at(neap_list_pop_front(&pool->queue));
    set_queued(pool, queued(pool) - 1);
    /* Who was looking for it has taken it at once, and need not ask for the time. Had it lost its processor meanwhile,
     * that counts as time in which the work ran: only the clock could tell, and to read it would cost every piece. */
    hand_over(pool, work, link, was_looking && queued(pool) == 0 ? work->submitted : neap_clock_now());
    after_queue(pool, batch);
    return true;
}

static bool begin(struct neap_pool *pool, struct neap_link *link) {
    if (!neap_link_commit(link)) return false;
    if (is_closed(pool)) {
        link->result = NEAP_CLOSED;
        return true;
    }
    pool->series++;
    neap_owner_enter(neap_wait_owner(link->wait), link->hold);
    return true;
}

static bool attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    struct neap_pool *pool = (struct neap_pool *)object;
    switch ((enum neap_pool_op)link->op) {
        case NEAP_POOL_SUBMIT: return submit(pool, link, batch);
        case NEAP_POOL_TAKE: return take(pool, link, batch);
        case NEAP_POOL_LISTEN: return neap_asking_hear(pool, link);
        case NEAP_POOL_BEGIN: return begin(pool, link);
        case NEAP_POOL_HASTE: return pool->hastened && neap_link_commit(link);
        case NEAP_POOL_JOIN: break;
    }
    return atomic_load_explicit(&pool->ended, memory_order_relaxed) && neap_link_commit(link);
}

/* See LOOKERS. */
static enum neap_quick quick(struct neap_object *object, struct neap_link *link) {
    struct neap_pool *pool = (struct neap_pool *)object;
    if (link->op != NEAP_POOL_TAKE || pool->kind != NEAP_POOL_THREADS) return NEAP_QUICK_ASK;
    if (queued(pool) > 0 || is_closed(pool)) return NEAP_QUICK_ASK;
    if (link->mode != NEAP_LINK_LOOKING) {
        atomic_fetch_add_explicit(&pool->lookers, 1, memory_order_relaxed);
        link->mode = NEAP_LINK_LOOKING;
    }
    return NEAP_QUICK_SOON;
}

static void enlist(struct neap_object *object, struct neap_link *link) {
    struct neap_pool *pool = (struct neap_pool *)object;
    struct neap_list *const lists[] = {
        [NEAP_POOL_SUBMIT] = &pool->submitters, [NEAP_POOL_TAKE] = &pool->takers, [NEAP_POOL_LISTEN] = &pool->listeners,
        [NEAP_POOL_JOIN] = &pool->joiners,      [NEAP_POOL_HASTE] = &pool->lazy,
    };
    link->result = 0;
    neap_list_push_back(lists[link->op], &link->node);
}

/* --- series --- */

static void end_series(struct neap_hold *hold) {
    struct neap_pool *pool = (struct neap_pool *)hold->object;
    struct neap_batch batch = {NULL, NULL};
    neap_object_lock(&pool->object);
    NEAP_ASSERT(pool->series > 0, "a series ends once");
    pool->series--;
    after_queue(pool, &batch);
    neap_object_unlock(&pool->object);
    neap_batch_flush(&batch);
}

void neap_series_init(struct neap_series *series, struct neap_pool *pool) {
    neap_hold_init(&series->hold);
    series->hold.object = &pool->object;
    series->hold.abandon = end_series;
}

/* --- life --- */

static void destroy(struct neap_object *object) {
    struct neap_pool *pool = (struct neap_pool *)object;
    NEAP_ASSERT(pool->series == 0, "a series keeps its pool alive");
    NEAP_ASSERT(atomic_load(&pool->unfinished.count) == 0, "pool 3: work has a reference to its pool");
    neap_engine_remove_need(pool->engine, &pool->unfinished);
    neap_outcome_free(pool->broken);
    neap_free(pool);
}

static const char *const verbs[] = {"submit", "take", "listen", "join", "begin", "wait for haste"};

const struct neap_class neap_pool_class = {
    .name = "pool",
    .verbs = verbs,
    .destroy = destroy,
    .quick = quick,
    .attempt = attempt,
    .enlist = enlist,
    .remote = &neap_pool_remote,
};

/* No two pools of a process have the same; those of two processes, only if their ids are far apart: steps of the golden
 * ratio spread the numbers of the processes. */
static uint32_t make_tag(uint64_t id) {
    uint32_t tag = (uint32_t)id + (uint32_t)getpid() * UINT32_C(0x9E3779B1);
    return tag != 0 ? tag : UINT32_MAX;
}

struct neap_pool *neap_pool_new(struct neap_engine *engine, enum neap_pool_kind kind, uint32_t workers, size_t limit,
                                const char *name) {
    struct neap_pool *pool = neap_alloc_zeroed(sizeof *pool);
    if (pool == NULL) return NULL;
    neap_object_init(&pool->object, &neap_pool_class);
    neap_object_share(&pool->object);
    pool->engine = engine;
    pool->id = neap_engine_next_id(engine);
    pool->tag = make_tag(pool->id);
    pool->limit = limit == 0 ? SIZE_MAX : limit;
    pool->workers = workers;
    pool->kind = kind;
    if (name != NULL)
        snprintf(pool->name, sizeof pool->name, "%s", name);
    else
        snprintf(pool->name, sizeof pool->name, "pool-%llu", (unsigned long long)pool->id);
    neap_list_init(&pool->queue);
    for (int i = 0; i < NEAP_POOL_BUCKETS; i++) neap_list_init(&pool->running[i]);
    neap_list_init(&pool->submitters);
    neap_list_init(&pool->takers);
    neap_list_init(&pool->listeners);
    neap_list_init(&pool->joiners);
    neap_list_init(&pool->lazy);
    neap_engine_add_need(engine, &pool->unfinished);
    return pool;
}

struct neap_pool *neap_pool_new_elsewhere(struct neap_engine *engine, uint32_t tag, const char *name) {
    struct neap_pool *pool = neap_pool_new(engine, NEAP_POOL_TASKS, 0, 0, name);
    if (pool != NULL) pool->tag = tag;
    return pool;
}
