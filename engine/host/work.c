#include "host/work.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "core/remote.h"
#include "host/engine.h"
#include "host/mirror.h"
#include "host/packer.h"
#include "host/pool.h"

static void destroy(struct neap_object *object) {
    struct neap_work *work = (struct neap_work *)object;
    struct neap_pool *pool = work->pool;
    neap_message_fini(&work->call);
    neap_message_fini(&work->reason);
    if (work->promised != NULL) neap_object_unref(&work->promised->future.object);
    neap_future_fini(&work->future);
    neap_free(work);
    neap_object_unref(&pool->object);
}

/* --- for its mirrors in other processes --- */

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    const struct neap_work *work = (struct neap_work *)object;
    constants_->numbers[0] = (int64_t)work->id;
    constants_->numbers[1] = (int64_t)work->pool->tag << 8; /* where a job has its pid */
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_work *work = (struct neap_work *)object;
    switch (call->method) {
        case NEAP_JOB_STATE: call->number = neap_future_state(&work->future); return;
        case NEAP_JOB_CANCEL: call->number = neap_pool_request(work, NEAP_WORK_CANCEL, &call->message); return;
        case NEAP_JOB_OBSERVE: neap_work_observe(work); return;
        case NEAP_WORK_GIVE_UP: neap_pool_request(work, NEAP_WORK_DROP, &call->message); return;
        default: call->result = NEAP_RANGE;
    }
}

/* Of work that was cancelled before it ran there is the reason. */
static void put_end(struct neap_object *object, struct neap_packer *packer) {
    const struct neap_work *work = (struct neap_work *)object;
    const struct neap_message none = {.kind = NEAP_MESSAGE_EMPTY};
    if (neap_future_outcome(&work->future) != NULL) {
        neap_mirror_put_end(object, packer);
        return;
    }
    neap_pack_u8(packer, (uint8_t)neap_future_state(&work->future));
    neap_pack_message(packer, &work->reason);
    neap_pack_message(packer, &none);
}

static const struct neap_remote remote = {
    .kind = NEAP_KIND_FUTURE,
    .ops = NEAP_FUTURE_END + 1,
    .constants = constants,
    .serve = serve,
    .put_more = put_end,
};

/* That it has ended needs no guard to be seen: who ends it has a reference. Threads of ours may be done in a moment. */
static enum neap_quick quick(struct neap_object *object, struct neap_link *link) {
    const struct neap_work *work = (struct neap_work *)object;
    (void)link;
    if (neap_future_has_ended(&work->future)) return NEAP_QUICK_DONE;
    return work->near ? NEAP_QUICK_SOON : NEAP_QUICK_ASK;
}

const struct neap_class neap_work_class = {
    .name = "future",
    .verbs = neap_future_verbs,
    .destroy = destroy,
    .quick = quick,
    .attempt = neap_future_attempt,
    .enlist = neap_future_enlist,
    .remote = &remote,
};

struct neap_work *neap_work_new(struct neap_pool *pool, uint64_t id, struct neap_message *call, bool quiet) {
    struct neap_work *work = neap_alloc(sizeof *work);
    if (work == NULL) return NULL;
    neap_future_init(&work->future, &neap_work_class);
    neap_object_share(&work->future.object);
    work->future.object.in_place = true;
    work->near = pool->kind == NEAP_POOL_THREADS;
    neap_list_init(&work->node);
    neap_list_init(&work->unread);
    work->pool = (struct neap_pool *)neap_object_ref(&pool->object);
    neap_message_move(&work->call, call);
    neap_message_clear(&work->reason);
    work->promised = NULL;
    work->id = id;
    work->batch = 0;
    work->worker = 0;
    work->submitted = neap_clock_now();
    work->started = 0;
    work->phase = NEAP_WORK_QUEUED;
    work->request = work->told = NEAP_WORK_GO_ON;
    work->quiet = quiet;
    return work;
}

/* --- failures that nobody has seen --- */

static void note_failure(struct neap_engine *engine, struct neap_work *work) {
    atomic_fetch_add_explicit(&engine->failures, 1, memory_order_relaxed);
    neap_guard_lock(&engine->guard);
    if (engine->unread_count < NEAP_WORK_UNREAD_MAX) {
        engine->unread_count++;
        neap_list_push_back(&engine->unread, &work->unread);
        neap_object_ref(&work->future.object);
    }
    neap_guard_unlock(&engine->guard);
}

/* True when it was in the list: the reference is the caller's. */
static bool take_out(struct neap_engine *engine, struct neap_work *work) {
    neap_guard_lock(&engine->guard);
    bool listed = neap_list_is_linked(&work->unread);
    if (listed) {
        neap_list_remove(&work->unread);
        engine->unread_count--;
    }
    neap_guard_unlock(&engine->guard);
    return listed;
}

void neap_work_observe(struct neap_work *work) {
    if (neap_future_state(&work->future) != NEAP_FUTURE_FAILED || work->quiet) return;
    struct neap_engine *engine = work->pool->engine;
    if (atomic_exchange_explicit(&work->future.object.observed, true, memory_order_relaxed)) return;
    atomic_fetch_sub_explicit(&engine->failures, 1, memory_order_relaxed);
    if (take_out(engine, work)) neap_object_unref(&work->future.object);
}

struct neap_work *neap_work_next_unread(struct neap_engine *engine) {
    neap_guard_lock(&engine->guard);
    struct neap_list *node = neap_list_pop_front(&engine->unread);
    if (node != NULL) engine->unread_count--;
    neap_guard_unlock(&engine->guard);
    return node != NULL ? NEAP_CONTAINER_OF(node, struct neap_work, unread) : NULL;
}

/* --- the end --- */

/* The failure is noted first: who sees the end may observe it at once. */
void neap_work_end(struct neap_work *work, enum neap_future_state state, struct neap_outcome *outcome) {
    if (state == NEAP_FUTURE_FAILED && !work->quiet) note_failure(work->pool->engine, work);
    if (outcome != NULL) {
        neap_message_move(&work->result.value, &outcome->value);
        neap_message_move(&work->result.traceback, &outcome->traceback);
    }
    neap_future_end(&work->future, state, outcome != NULL ? &work->result : NULL);
    neap_object_unref(&work->future.object);
}
