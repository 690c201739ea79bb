/* pools: what submitters and workers of a pool do. */
#ifndef NEAP_SPEC_POOLS_H
#define NEAP_SPEC_POOLS_H

#include "support.h"

#include "host/engine.h"
#include "host/pool.h"

extern struct neap_engine engine;
extern struct neap_pool *pool; /* of two threads */

int make_pool(void **state, size_t limit);
int drop_pool(void **state);

/* Those of each test program. */
static struct actor a, b, c, d;

static inline int make_pool_and_actors(void **state, size_t limit) {
    if (make_pool(state, limit) != 0) return -1;
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    actor_init(&d, &here);
    return 0;
}

static inline int make(void **state) { return make_pool_and_actors(state, 0); }
static inline int make_short(void **state) { return make_pool_and_actors(state, 1); }

#define POOL_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop_pool)
/* A queue for one piece of work. */
#define SHORT_TEST(function) cmocka_unit_test_setup_teardown(function, make_short, drop_pool)

int submit_as(struct actor *actor, int64_t value, int64_t flags, int64_t deadline);
/* The work that the actor was given for what it has submitted. */
struct neap_work *work_of(struct actor *actor);
/* By an actor that nobody else uses. */
struct neap_work *submit(int64_t value);
/* The same; work that leads a batch, or is of one. */
struct neap_work *submit_to_batch(bool leads, uint64_t batch);

int take(struct actor *actor, int64_t worker, int64_t deadline);
/* The value of the call that was taken, and its id. */
int64_t taken(struct actor *actor, uint64_t *id);
int listen_as(struct actor *actor, int64_t worker, int64_t deadline);
/* What the listener was asked about `id`. */
enum neap_work_request asked(const struct actor *actor, uint64_t id);

struct neap_outcome *outcome_with(int64_t value);
/* Takes over `result`, which may be NULL. */
bool end_work_of(struct neap_pool *where, uint64_t id, enum neap_future_state state, struct neap_outcome *result);
bool end_work(uint64_t id, enum neap_future_state state, struct neap_outcome *result);

enum neap_future_state state_of(const struct neap_work *work);
void let_go(struct neap_work *work);
bool request(struct neap_work *work, enum neap_work_request what, int64_t reason);

#endif
