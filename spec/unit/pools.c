#include "pools.h"

struct neap_engine engine;
struct neap_pool *pool;
static struct actor submitter;

int make_pool(void **state, size_t limit) {
    if (set_up(state) != 0) return -1;
    neap_engine_init(&engine);
    pool = neap_pool_new(&engine, NEAP_POOL_THREADS, 2, limit, NULL);
    actor_init(&submitter, &here);
    return pool != NULL ? 0 : -1;
}

int drop_pool(void **state) {
    neap_object_unref(&pool->object);
    neap_engine_fini(&engine);
    return tear_down(state);
}

int submit_as(struct actor *actor, int64_t value, int64_t flags, int64_t deadline) {
    actor->links[0].message = parcel(value);
    actor->links[0].number = flags;
    return start(actor, pool, NEAP_POOL_SUBMIT, deadline);
}

struct neap_work *work_of(struct actor *actor) {
    struct neap_message *message = &actor->links[0].message;
    CHECK(message->kind == NEAP_MESSAGE_OBJECT);
    struct neap_work *work = (struct neap_work *)message->object;
    neap_message_clear(message);
    return work;
}

struct neap_work *submit(int64_t value) {
    CHECK(submit_as(&submitter, value, NEAP_POOL_QUIET, 0) == 0);
    return work_of(&submitter);
}

struct neap_work *submit_to_batch(bool leads, uint64_t batch) {
    CHECK(submit_as(&submitter, 0, neap_pool_flags(true, leads, batch), 0) == 0);
    return work_of(&submitter);
}

int take(struct actor *actor, int64_t worker, int64_t deadline) {
    actor->links[0].number = worker;
    return start(actor, pool, NEAP_POOL_TAKE, deadline);
}

int64_t taken(struct actor *actor, uint64_t *id) {
    *id = (uint64_t)actor->links[0].number;
    return value_of(&actor->links[0].message);
}

int listen_as(struct actor *actor, int64_t worker, int64_t deadline) {
    actor->links[0].number = worker;
    return start(actor, pool, NEAP_POOL_LISTEN, deadline);
}

enum neap_work_request asked(const struct actor *actor, uint64_t id) {
    CHECK((uint64_t)actor->links[0].number / NEAP_POOL_REQUESTS == id);
    return (enum neap_work_request)(actor->links[0].number % NEAP_POOL_REQUESTS);
}

struct neap_outcome *outcome_with(int64_t value) {
    struct neap_outcome *made_outcome = neap_outcome_new();
    CHECK(made_outcome != NULL);
    made_outcome->value = parcel(value);
    return made_outcome;
}

bool end_work_of(struct neap_pool *where, uint64_t id, enum neap_future_state state, struct neap_outcome *result) {
    bool finished = neap_pool_finish(where, id, state, result, NULL);
    CHECK(result == NULL || result->value.kind == NEAP_MESSAGE_EMPTY);
    neap_outcome_free(result);
    return finished;
}

bool end_work(uint64_t id, enum neap_future_state state, struct neap_outcome *result) {
    return end_work_of(pool, id, state, result);
}

enum neap_future_state state_of(const struct neap_work *work) { return neap_future_state(&work->future); }

void let_go(struct neap_work *work) { neap_object_unref(&work->future.object); }

bool request(struct neap_work *work, enum neap_work_request what, int64_t reason) {
    struct neap_message message = parcel(reason);
    bool asked = neap_pool_request(work, what, &message);
    neap_message_fini(&message);
    return asked;
}
