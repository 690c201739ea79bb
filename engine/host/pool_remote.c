#include "host/pool_remote.h"

#include <string.h>

#include "core/error.h"
#include "core/memory.h"

int neap_pool_pack_outcome(struct neap_message *message, enum neap_future_state state, struct neap_outcome *outcome) {
    struct neap_message *parts = neap_message_new_list(message, 3);
    if (parts == NULL) return NEAP_NOMEM;
    neap_message_set_kind(&parts[0], NEAP_MESSAGE_INTEGER);
    parts[0].integer = (int64_t)state * 2 + (outcome != NULL);
    if (outcome == NULL) return 0;
    neap_message_move(&parts[1], &outcome->value);
    neap_message_move(&parts[2], &outcome->traceback);
    return 0;
}

/* `exists`: there is one. False: the message makes no sense. */
static bool unpack_outcome(const struct neap_message *message, enum neap_future_state *state,
                           struct neap_outcome *outcome, bool *exists) {
    size_t count = 0;
    const struct neap_message *parts = message->kind == NEAP_MESSAGE_LIST ? neap_message_items(message, &count) : NULL;
    if (count != 3 || parts[0].kind != NEAP_MESSAGE_INTEGER) return false;
    *state = (enum neap_future_state)(parts[0].integer >> 1);
    if (*state < NEAP_FUTURE_DONE || *state > NEAP_FUTURE_CANCELLED) return false;
    *exists = (parts[0].integer & 1) != 0;
    neap_message_copy(&outcome->value, &parts[1]);
    neap_message_copy(&outcome->traceback, &parts[2]);
    return true;
}

/* No memory: it stays as it is, and its workers give up one after the other. */
static void break_with(struct neap_pool *pool, struct neap_outcome *outcome) {
    struct neap_outcome *kept = neap_outcome_new();
    if (kept == NULL) return;
    neap_message_move(&kept->value, &outcome->value);
    neap_message_move(&kept->traceback, &outcome->traceback);
    neap_pool_break(pool, kept);
}

static void serve_outcome(struct neap_pool *pool, struct neap_call *call) {
    enum neap_future_state state;
    struct neap_outcome outcome;
    bool exists = false;
    neap_outcome_init(&outcome);
    if (!unpack_outcome(&call->message, &state, &outcome, &exists))
        call->result = NEAP_RANGE;
    else if (call->method == NEAP_POOL_FINISH)
        (void)neap_pool_finish(pool, (uint64_t)call->number, state, exists ? &outcome : NULL, NULL);
    else if (exists)
        break_with(pool, &outcome);
    neap_outcome_fini(&outcome);
    neap_message_fini(&call->message);
}

static void serve_fail(struct neap_pool *pool, struct neap_call *call) {
    struct neap_work *work =
        neap_pool_is_broken(pool) ? neap_pool_fail(pool, &call->message, (call->number & NEAP_POOL_QUIET) != 0) : NULL;
    neap_message_fini(&call->message);
    call->result = work != NULL ? 0 : NEAP_NOMEM;
    if (work == NULL) return;
    neap_message_set_kind(&call->message, NEAP_MESSAGE_OBJECT);
    call->message.object = &work->future.object;
}

static void serve_state(struct neap_pool *pool, struct neap_call *call) {
    call->number = (atomic_load_explicit(&pool->closed, memory_order_relaxed) ? NEAP_POOL_IS_CLOSED : 0) |
                   (atomic_load_explicit(&pool->ended, memory_order_acquire) ? NEAP_POOL_HAS_ENDED : 0) |
                   (neap_pool_is_broken(pool) ? NEAP_POOL_IS_BROKEN : 0);
    neap_message_fini(&call->message);
    neap_message_set_text(&call->message, pool->name);
}

static void serve_stats(struct neap_pool *pool, struct neap_call *call) {
    struct neap_parcel *parcel = neap_parcel_new(sizeof(struct neap_pool_stats), 0);
    struct neap_pool_stats stats;
    neap_message_fini(&call->message);
    call->result = parcel != NULL ? 0 : NEAP_NOMEM;
    if (parcel == NULL) return;
    neap_pool_read_stats(pool, &stats);
    memcpy(parcel->bytes, &stats, sizeof stats);
    neap_message_set_kind(&call->message, NEAP_MESSAGE_BYTES);
    call->message.parcel = parcel;
}

static void serve(struct neap_object *object, struct neap_call *call) {
    struct neap_pool *pool = (struct neap_pool *)object;
    switch (call->method) {
        case NEAP_POOL_CLOSE: neap_pool_close(pool); return;
        case NEAP_POOL_HASTEN: neap_pool_hasten(pool); return;
        case NEAP_POOL_TERMINATE: neap_pool_terminate(pool); return;
        case NEAP_POOL_FINISH:
        case NEAP_POOL_BREAK: serve_outcome(pool, call); return;
        case NEAP_POOL_FAIL: serve_fail(pool, call); return;
        case NEAP_POOL_STATE: serve_state(pool, call); return;
        case NEAP_POOL_STATS: serve_stats(pool, call); return;
        default: call->result = NEAP_RANGE;
    }
}

static void constants(struct neap_object *object, struct neap_constants *constants_) {
    const struct neap_pool *pool = (struct neap_pool *)object;
    constants_->numbers[0] = (int64_t)pool->tag;
    constants_->numbers[1] = (int64_t)pool->workers << 8 | (int64_t)pool->kind;
}

static struct neap_hold *make_hold(struct neap_object *object) {
    struct neap_series *series = neap_alloc(sizeof *series);
    if (series == NULL) return NULL;
    neap_series_init(series, (struct neap_pool *)object);
    return &series->hold;
}

const struct neap_remote neap_pool_remote = {
    .kind = NEAP_KIND_POOL,
    .ops = NEAP_POOL_HASTE + 1,
    .holding = NEAP_POOL_BEGIN + 1,
    .make_hold = make_hold,
    .constants = constants,
    .serve = serve,
};
