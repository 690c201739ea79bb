#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/futex.h"

enum { LIMIT_SECONDS = 300, PAUSES_BEFORE_YIELD = 2000 };

void fail_check(const char *file, int line, const char *text) {
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
    abort();
}

/* --- runs --- */

struct neap_loop here;
bool sharing;
static long live_before;

int set_up(void **state) {
    (void)state;
    live_before = neap_memory_live();
    if (neap_loop_init(&here, NULL, NULL) != 0) return -1;
    neap_loop_here = &here;
    return 0;
}

int tear_down(void **state) {
    (void)state;
    neap_memory_fail_after(-1);
    settle(&here);
    neap_loop_fini(&here);
    neap_loop_here = NULL;
    if (neap_memory_live() == live_before) return 0;
    print_error("%ld blocks were leaked\n", neap_memory_live() - live_before);
    return -1;
}

void *made(void *object) {
    assert_non_null(object);
    if (sharing) neap_object_share(object);
    return object;
}

static uint32_t seed;

static void choose_seed(void) {
    const char *given = getenv("NEAP_SEED");
    seed = given != NULL ? (uint32_t)strtoul(given, NULL, 0) : (uint32_t)neap_clock_now();
    if (seed == 0) seed = 1;
    print_message("# NEAP_SEED=%u\n", seed);
}

/* What hangs is ended by the signal. */
static int run(const char *name, const struct CMUnitTest *tests, size_t count) {
    alarm(LIMIT_SECONDS);
    if (seed == 0) choose_seed();
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

int run_shared(const char *name, const struct CMUnitTest *tests, size_t count) {
    sharing = true;
    return run(name, tests, count);
}

int run_twice(const char *name, const struct CMUnitTest *tests, size_t count) {
    sharing = false;
    int failures = run(name, tests, count);
    return failures + run_shared(name, tests, count);
}

/* --- actors --- */

static struct actor *actor_of(struct neap_runnable *runnable) {
    struct neap_wait *wait = NEAP_CONTAINER_OF(runnable, struct neap_wait, runnable);
    return NEAP_CONTAINER_OF(wait, struct actor, wait);
}

static void resume(struct neap_runnable *runnable) {
    struct actor *actor = actor_of(runnable);
    actor->code = neap_wait_end(&actor->wait);
}

static void rouse(struct neap_runnable *runnable) {
    struct actor *actor = actor_of(runnable);
    atomic_store_explicit(&actor->claimed, 1, memory_order_release);
    neap_futex_wake(&actor->claimed); /* harmless if the actor is gone by now: nothing is read */
}

void actor_init(struct actor *actor, struct neap_loop *loop) {
    memset(actor, 0, sizeof *actor);
    neap_owner_init(&actor->owner);
    neap_wait_init(&actor->wait, loop, &actor->owner, loop != NULL ? resume : rouse);
    atomic_init(&actor->claimed, 0);
    actor->deadline = NEAP_FOREVER;
}

void actor_end(struct actor *actor) { neap_owner_end(&actor->owner); }

struct neap_link *add_link(struct actor *actor, uint32_t at, void *object, int op) {
    struct neap_link *link = &actor->links[at];
    link->object = object;
    link->op = (uint8_t)op;
    return link;
}

int start_links(struct actor *actor, uint32_t count, int64_t deadline) {
    atomic_store_explicit(&actor->claimed, 0, memory_order_relaxed);
    actor->deadline = deadline;
    actor->code = neap_wait_begin(&actor->wait, actor->links, count, deadline);
    return outcome(actor);
}

int start(struct actor *actor, void *object, int op, int64_t deadline) {
    add_link(actor, 0, object, op);
    return start_links(actor, 1, deadline);
}

int outcome(const struct actor *actor) {
    return actor->code >= 0 && actor->code < ACTOR_LINKS ? actor->links[actor->code].result : actor->code;
}

bool cancel(struct actor *actor) { return neap_wait_interrupt(&actor->wait, NEAP_WAIT_INTERRUPTED); }

static bool is_over(void *argument) { return ((struct actor *)argument)->code != NEAP_PARKED; }

static void sleep_until_claimed(struct actor *actor) {
    while (atomic_load_explicit(&actor->claimed, memory_order_acquire) == 0) {
        int64_t deadline = actor->deadline;
        if (deadline != NEAP_FOREVER && neap_clock_now() >= deadline) {
            neap_wait_interrupt(&actor->wait, NEAP_WAIT_TIMEDOUT);
            deadline = NEAP_FOREVER;
        }
        neap_futex_wait(&actor->claimed, 0, deadline);
    }
    actor->code = neap_wait_end(&actor->wait);
}

int finish(struct actor *actor) {
    if (actor->code == NEAP_PARKED) {
        if (actor->wait.loop != NULL)
            neap_loop_run(actor->wait.loop, is_over, actor);
        else
            sleep_until_claimed(actor);
    }
    return outcome(actor);
}

int act(struct actor *actor, void *object, int op, int64_t deadline) {
    start(actor, object, op, deadline);
    return finish(actor);
}

int act_links(struct actor *actor, uint32_t count, int64_t deadline) {
    start_links(actor, count, deadline);
    return finish(actor);
}

static bool is_quiet(void *argument) { return !neap_loop_has_ready(argument); }

void settle(struct neap_loop *loop) { neap_loop_run(loop, is_quiet, loop); }

int64_t soon(int64_t microseconds) { return neap_clock_now() + microseconds * 1000; }

void await_waiters(void *object, const struct neap_list *list, size_t count) {
    for (;;) {
        size_t found = 0;
        neap_object_lock(object);
        for (const struct neap_list *node = list->next; node != list; node = node->next) found++;
        neap_object_unlock(object);
        if (found >= count) return;
        sched_yield();
    }
}

/* --- threads --- */

static _Thread_local uint32_t sequence;

static void *run_helper(void *argument) {
    struct helper *helper = argument;
    struct neap_loop loop;
    CHECK(neap_loop_init(&loop, NULL, NULL) == 0);
    neap_loop_here = &loop;
    helper->body(helper->argument);
    settle(&loop);
    neap_loop_here = NULL;
    neap_loop_fini(&loop);
    return NULL;
}

void helper_start(struct helper *helper, void (*body)(void *argument), void *argument) {
    pthread_t system;
    helper->body = body;
    helper->argument = argument;
    CHECK(pthread_create(&system, NULL, run_helper, helper) == 0);
    helper->system = system;
}

void helper_join(struct helper *helper) { CHECK(pthread_join(helper->system, NULL) == 0); }

/* Both threads meet here; nobody sleeps, so that they leave within a few hundred nanoseconds. */
struct gate {
    atomic_int arrived; /* counts up for ever */
};

static void meet(struct gate *gate) {
    int target = (atomic_fetch_add(&gate->arrived, 1) / 2 + 1) * 2;
    for (int i = 0; atomic_load_explicit(&gate->arrived, memory_order_acquire) < target; i++) {
        if (i < PAUSES_BEFORE_YIELD)
            neap_relax();
        else
            sched_yield();
    }
}

struct contest {
    const struct race *race;
    void *state;
    int rounds;
    struct gate gate;
    _Atomic(struct neap_loop *) right;
};

static void run_right(void *argument) {
    struct contest *contest = argument;
    atomic_store(&contest->right, neap_loop_here);
    for (int i = 0; i < contest->rounds; i++) {
        meet(&contest->gate);
        contest->race->right(contest->state);
        meet(&contest->gate);
    }
    meet(&contest->gate); /* the loop stays until the last check */
}

void run_race(const struct race *race, void *state, int rounds) {
    struct contest contest = {.race = race, .state = state, .rounds = rounds};
    struct helper helper;
    struct neap_loop *right;
    helper_start(&helper, run_right, &contest);
    while ((right = atomic_load(&contest.right)) == NULL) sched_yield();
    for (int i = 0; i < rounds; i++) {
        race->setup(state, &here, right);
        meet(&contest.gate);
        race->left(state);
        meet(&contest.gate);
        settle(&here);
        race->check(state);
    }
    meet(&contest.gate);
    helper_join(&helper);
}

int repeated(int few) {
    const char *times = getenv("NEAP_STRESS");
    int factor = times != NULL ? atoi(times) : 1;
    return few * (factor > 0 ? factor : 1);
}

/* --- chance --- */

uint32_t chance(uint32_t bound) {
    static atomic_uint threads;
    if (sequence == 0) sequence = (seed ^ (atomic_fetch_add(&threads, 1) * 2654435769u)) | 1;
    sequence ^= sequence << 13;
    sequence ^= sequence >> 17;
    sequence ^= sequence << 5;
    return sequence % bound;
}

void dawdle(uint32_t bound) {
    for (uint32_t i = chance(bound); i > 0; i--) neap_relax();
}

/* --- messages --- */

struct neap_message integer(int64_t value) {
    struct neap_message message;
    neap_message_clear(&message);
    message.kind = NEAP_MESSAGE_INTEGER;
    message.integer = value;
    return message;
}

struct neap_message parcel(int64_t value) {
    struct neap_message message;
    neap_message_clear(&message);
    struct neap_parcel *bytes = neap_parcel_new(sizeof value, 0);
    CHECK(bytes != NULL);
    memcpy(bytes->bytes, &value, sizeof value);
    message.kind = NEAP_MESSAGE_PARCEL;
    message.parcel = bytes;
    return message;
}

int64_t value_of(struct neap_message *message) {
    int64_t value = -1;
    if (message->kind == NEAP_MESSAGE_INTEGER) value = message->integer;
    if (message->kind == NEAP_MESSAGE_PARCEL) memcpy(&value, message->parcel->bytes, sizeof value);
    neap_message_fini(message);
    return value;
}
