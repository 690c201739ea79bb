#include "support.h"

#include "core/object.h"

/* A class that notes what is asked of it: an operation succeeds while the gate is open. */
struct gate_object {
    struct neap_object object;
    struct neap_list waiters; /* links. guard */
    atomic_bool open;
    int enlisted, withdrawn; /* calls. guard */
    atomic_int resumed;      /* calls, by any thread */
};

static bool gate_attempt(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)batch;
    link->number = 1;
    return atomic_load(&((struct gate_object *)object)->open);
}

static void gate_enlist(struct neap_object *object, struct neap_link *link) {
    struct gate_object *gate = (struct gate_object *)object;
    gate->enlisted++;
    neap_list_push_back(&gate->waiters, &link->node);
}

static void gate_withdrawn(struct neap_object *object, struct neap_link *link, struct neap_batch *batch) {
    (void)batch;
    CHECK(!neap_list_is_linked(&link->node));
    ((struct gate_object *)object)->withdrawn++;
}

static void gate_resumed(struct neap_object *object, struct neap_link *link) {
    CHECK(link->object == object);
    ((struct gate_object *)object)->resumed++;
}

static void gate_destroy(struct neap_object *object) {
    CHECK(neap_list_is_empty(&((struct gate_object *)object)->waiters));
    neap_free(object);
}

static const char *const gate_verbs[] = {"pass"};

static const struct neap_class gate_class = {
    .name = "gate",
    .verbs = gate_verbs,
    .destroy = gate_destroy,
    .attempt = gate_attempt,
    .enlist = gate_enlist,
    .withdrawn = gate_withdrawn,
    .resumed = gate_resumed,
};

static struct gate_object *new_gate(void) {
    struct gate_object *gate = neap_alloc_zeroed(sizeof *gate);
    CHECK(gate != NULL);
    neap_object_init(&gate->object, &gate_class);
    neap_list_init(&gate->waiters);
    return gate;
}

/* Lets the first `count` that can still be claimed pass, with `result`. Returns how many did. */
static int let_pass(struct gate_object *gate, int count, int result) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_link *link;
    int passed = 0;
    neap_object_lock(&gate->object);
    for (; passed < count && (link = neap_waiters_claim(&gate->waiters)) != NULL; passed++) {
        link->result = result;
        neap_batch_add(&batch, link->wait);
    }
    neap_object_unlock(&gate->object);
    neap_batch_flush(&batch);
    return passed;
}

enum { GATES = 4 };

static struct gate_object *gates[GATES];
static struct actor a, b, c;

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    for (int i = 0; i < GATES; i++) gates[i] = made(new_gate());
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    return 0;
}

static int drop(void **state) {
    for (int i = 0; i < GATES; i++) neap_object_unref(&gates[i]->object);
    return tear_down(state);
}

static enum neap_wait_state state_of(const struct actor *actor) {
    return (enum neap_wait_state)atomic_load(&actor->wait.state);
}

static void a_wait_that_is_served_at_once_is_never_enlisted(void **state) {
    (void)state;
    atomic_store(&gates[0]->open, true);
    assert_int_equal(start(&a, gates[0], 0, NEAP_FOREVER), 0);
    assert_int_equal(start(&a, gates[0], 0, 0), 0);
    add_link(&a, 0, gates[0], 0);
    assert_true(neap_wait_attempt(&a.wait, &a.links[0]));
    assert_int_equal(state_of(&a), NEAP_WAIT_IDLE);
    assert_int_equal(gates[0]->enlisted, 0);
    assert_int_equal(atomic_load(&gates[0]->resumed), 0); /* attempt did it */
}

static void a_wait_that_may_not_park_is_never_enlisted(void **state) {
    (void)state;
    add_link(&a, 0, gates[0], 0);
    add_link(&a, 1, gates[1], 0);
    assert_false(neap_wait_attempt(&a.wait, &a.links[0]));
    assert_int_equal(start_links(&a, 1, 0), NEAP_TIMEOUT);
    assert_int_equal(start_links(&a, 2, 0), NEAP_TIMEOUT);
    assert_int_equal(start_links(&a, 0, 0), NEAP_TIMEOUT);
    assert_int_equal(state_of(&a), NEAP_WAIT_IDLE);
    assert_int_equal(gates[0]->enlisted + gates[1]->enlisted, 0);
}

static void who_serves_is_told_nothing_more(void **state) {
    (void)state;
    assert_int_equal(start(&a, gates[0], 0, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(state_of(&a), NEAP_WAIT_OPEN);
    assert_int_equal(let_pass(gates[0], 1, 42), 1);
    assert_int_equal(state_of(&a), NEAP_WAIT_WOKEN);
    assert_int_equal(let_pass(gates[0], 1, 43), 0); /* claimed once */
    assert_int_equal(finish(&a), 42);
    assert_int_equal(state_of(&a), NEAP_WAIT_IDLE);
    assert_int_equal(gates[0]->withdrawn, 0);
    assert_int_equal(atomic_load(&gates[0]->resumed), 1);
}

static void giving_up_withdraws(void **state) {
    (void)state;
    start(&a, gates[0], 0, PASSED);
    assert_int_equal(finish(&a), NEAP_TIMEOUT);
    start(&a, gates[0], 0, NEAP_FOREVER);
    assert_true(cancel(&a));
    assert_int_equal(state_of(&a), NEAP_WAIT_INTERRUPTED);
    assert_int_equal(let_pass(gates[0], 1, 0), 0); /* skips it, and takes it out of the list */
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    assert_int_equal(gates[0]->withdrawn, 1); /* the first one only */
    assert_int_equal(atomic_load(&gates[0]->resumed), 0);
    assert_true(neap_list_is_empty(&gates[0]->waiters));
}

static void only_an_open_wait_is_interrupted_once(void **state) {
    (void)state;
    assert_false(cancel(&a));
    start(&a, gates[0], 0, NEAP_FOREVER);
    assert_true(cancel(&a));
    assert_false(cancel(&a));
    finish(&a);
    assert_false(cancel(&a));
    start(&a, gates[0], 0, NEAP_FOREVER);
    let_pass(gates[0], 1, 0);
    assert_false(cancel(&a));
    assert_int_equal(finish(&a), 0);
}

static void an_abandoned_wait_is_over_and_does_not_run(void **state) {
    (void)state;
    add_link(&a, 0, gates[0], 0);
    add_link(&a, 1, gates[1], 0);
    start_links(&a, 2, soon(1000000));
    assert_true(neap_wait_abandon(&a.wait));
    assert_int_equal(state_of(&a), NEAP_WAIT_IDLE);
    assert_int_equal(gates[0]->withdrawn + gates[1]->withdrawn, 2);
    assert_int_equal(here.timers.count, 0);
    assert_false(neap_loop_has_ready(&here));
    assert_false(neap_wait_abandon(&a.wait));
    start(&a, gates[0], 0, NEAP_FOREVER);
    let_pass(gates[0], 1, 0);
    assert_false(neap_wait_abandon(&a.wait)); /* too late: it runs */
    assert_int_equal(finish(&a), 0);
}

static void the_first_that_can_be_claimed_is_served(void **state) {
    (void)state;
    start(&a, gates[0], 0, NEAP_FOREVER);
    start(&b, gates[0], 0, NEAP_FOREVER);
    start(&c, gates[0], 0, NEAP_FOREVER);
    cancel(&a);
    assert_int_equal(let_pass(gates[0], 1, 7), 1);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_CANCELLED);
    assert_int_equal(outcome(&b), 7);
    assert_int_equal(outcome(&c), NEAP_PARKED);
    assert_int_equal(let_pass(gates[0], 5, 8), 1);
    assert_int_equal(finish(&c), 8);
}

static void waiting_on_many_is_served_by_one(void **state) {
    (void)state;
    for (uint32_t i = 0; i < GATES; i++) add_link(&a, i, gates[i], 0);
    assert_int_equal(start_links(&a, GATES, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(let_pass(gates[2], 1, 5), 1);
    assert_int_equal(let_pass(gates[1], 1, 6), 0); /* claimed already, though still in the list until now */
    assert_int_equal(finish(&a), 5);
    assert_int_equal(a.code, 2);
    for (int i = 0; i < GATES; i++) {
        assert_int_equal(gates[i]->withdrawn, i == 0 || i == 3); /* gate 1 has taken it out itself */
        assert_int_equal(atomic_load(&gates[i]->resumed), i == 2);
        assert_true(neap_list_is_empty(&gates[i]->waiters));
    }
    atomic_store(&gates[3]->open, true);
    assert_int_equal(start_links(&a, GATES, NEAP_FOREVER), 0);
    assert_int_equal(a.code, 3);
    assert_int_equal(gates[3]->enlisted, 1);
    for (uint32_t i = 0; i < GATES; i++) assert_int_equal(a.links[i].result, 0);
}

static void one_object_may_be_waited_on_twice(void **state) {
    (void)state;
    for (uint32_t i = 0; i < GATES; i++) add_link(&a, i, gates[i / 2], 0);
    start_links(&a, GATES, NEAP_FOREVER);
    assert_int_equal(let_pass(gates[1], 2, 9), 1);
    assert_int_equal(finish(&a), 9);
    assert_int_equal(a.code, 2);
    start_links(&a, GATES, PASSED);
    assert_int_equal(finish(&a), NEAP_TIMEOUT);
    assert_true(neap_list_is_empty(&gates[0]->waiters) && neap_list_is_empty(&gates[1]->waiters));
}

static void ready_ones_are_served_evenly(void **state) {
    (void)state;
    enum { ROUNDS = 4000 };
    int served[GATES] = {0};
    for (uint32_t i = 0; i < GATES; i++) add_link(&a, i, gates[i], 0);
    for (int i = 1; i < GATES; i++) atomic_store(&gates[i]->open, true); /* the first never is */
    for (int i = 0; i < ROUNDS; i++) {
        start_links(&a, GATES, 0);
        served[a.code]++;
    }
    assert_int_equal(served[0], 0);
    /* a third each: twenty standard deviations to either side */
    for (int i = 1; i < GATES; i++) assert_true(served[i] > 700 && served[i] < 2000);
}

static void out_of_memory_leaves_no_trace(void **state) {
    (void)state;
    for (uint32_t i = 0; i < GATES; i++) add_link(&a, i, gates[i], 0);
    for (uint32_t count = 0; count <= GATES; count++) {
        neap_memory_fail_after(0);
        assert_int_equal(start_links(&a, count, soon(1000)), NEAP_NOMEM);
        assert_int_equal(state_of(&a), NEAP_WAIT_IDLE);
    }
    for (int i = 0; i < GATES; i++) assert_int_equal(gates[i]->enlisted, 0);
}

static void many_waits_are_woken_in_order_without_recursion(void **state) {
    (void)state;
    enum { MANY = 100000 };
    struct actor *many = neap_alloc(MANY * sizeof *many);
    assert_non_null(many);
    for (int i = 0; i < MANY; i++) {
        actor_init(&many[i], &here);
        start(&many[i], gates[0], 0, NEAP_FOREVER);
    }
    assert_int_equal(let_pass(gates[0], MANY, 3), MANY);
    settle(&here);
    for (int i = 0; i < MANY; i++) assert_int_equal(outcome(&many[i]), 3);
    neap_free(many);
}

/* Each waiter lets the next one pass when it runs. */
struct chained {
    struct actor actor;
    struct gate_object *gate;
    char *stack; /* where its frame lay when it ran */
};

static void pass_on(struct neap_runnable *runnable) {
    struct neap_wait *wait = NEAP_CONTAINER_OF(runnable, struct neap_wait, runnable);
    struct actor *actor = NEAP_CONTAINER_OF(wait, struct actor, wait);
    struct chained *chained = NEAP_CONTAINER_OF(actor, struct chained, actor);
    char frame;
    chained->stack = &frame;
    actor->code = neap_wait_end(wait);
    let_pass(chained->gate, 1, 0);
}

static void a_long_chain_of_wakings_costs_no_stack(void **state) {
    (void)state;
    enum { LINKS = 10000 };
    struct chained *chain = neap_alloc(LINKS * sizeof *chain);
    assert_non_null(chain);
    for (int i = 0; i < LINKS; i++) {
        actor_init(&chain[i].actor, &here);
        chain[i].actor.wait.runnable.run = pass_on;
        chain[i].gate = gates[0];
        start(&chain[i].actor, gates[0], 0, NEAP_FOREVER);
    }
    let_pass(gates[0], 1, 0);
    settle(&here);
    assert_int_equal(outcome(&chain[LINKS - 1].actor), 0);
    assert_ptr_equal(chain[LINKS - 1].stack, chain[0].stack);
    neap_free(chain);
}

/* --- threads --- */

/* One claimer, one owner that gives up in one of two ways: exactly one of them has it. */
struct claiming {
    struct gate_object *gate;
    struct actor actor;
    struct neap_loop *loop;
    int passed;
    bool cancels, host;
};

static void begin_claiming(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct claiming *claiming = argument;
    (void)right;
    claiming->loop = left;
    claiming->cancels = chance(2) == 0;
    claiming->host = chance(3) == 0;
    claiming->gate->withdrawn = claiming->gate->enlisted = 0;
    atomic_store(&claiming->gate->resumed, 0);
}

static void wait_and_give_up(void *argument) {
    struct claiming *claiming = argument;
    actor_init(&claiming->actor, claiming->host ? NULL : claiming->loop);
    start(&claiming->actor, claiming->gate, 0, claiming->cancels ? NEAP_FOREVER : soon(chance(15)));
    dawdle(150);
    if (claiming->cancels) cancel(&claiming->actor);
    finish(&claiming->actor);
}

static void claim_it(void *argument) {
    struct claiming *claiming = argument;
    dawdle(500);
    claiming->passed = let_pass(claiming->gate, 1, 11);
}

static void check_claiming(void *argument) {
    struct claiming *claiming = argument;
    int code = outcome(&claiming->actor);
    assert_int_equal(code, claiming->passed ? 11 : claiming->cancels ? NEAP_CANCELLED : NEAP_TIMEOUT);
    assert_int_equal(atomic_load(&claiming->gate->resumed), claiming->passed);
    assert_true(claiming->gate->withdrawn + claiming->passed <= claiming->gate->enlisted);
    assert_true(neap_list_is_empty(&claiming->gate->waiters));
}

static void exactly_one_claims(void **state) {
    (void)state;
    struct claiming claiming = {.gate = new_gate()};
    neap_object_share(&claiming.gate->object);
    run_race(&(struct race){begin_claiming, wait_and_give_up, claim_it, check_claiming}, &claiming, repeated(3000));
    neap_object_unref(&claiming.gate->object);
}

/* Threads wait on many objects, in orders of their own, while others let them pass: nobody
 * stands in another's way for ever. */
enum { CROWD_GATES = 64 };

struct crowd {
    struct gate_object *gates[CROWD_GATES];
    atomic_int waiting; /* threads that have not passed often enough */
    int rounds;
};

static void wait_on_all(void *argument) {
    struct crowd *crowd = argument;
    struct actor actor;
    struct neap_link links[CROWD_GATES];
    actor_init(&actor, neap_loop_here);
    for (int round = 0; round < crowd->rounds; round++) {
        uint32_t first = chance(CROWD_GATES), step = 1 + 2 * chance(CROWD_GATES / 2);
        for (uint32_t i = 0; i < CROWD_GATES; i++) {
            links[i].object = &crowd->gates[(first + i * step) % CROWD_GATES]->object;
            links[i].op = 0;
        }
        actor.code = neap_wait_begin(&actor.wait, links, CROWD_GATES, NEAP_FOREVER);
        CHECK(actor.code == NEAP_PARKED);
        finish(&actor);
        CHECK(actor.code >= 0 && links[actor.code].result == 13);
    }
    atomic_fetch_sub(&crowd->waiting, 1);
}

static void selects_over_the_same_objects_do_not_lock_each_other_out(void **state) {
    (void)state;
    enum { THREADS = 3 };
    struct crowd crowd = {.waiting = THREADS, .rounds = repeated(200)};
    struct helper helpers[THREADS];
    for (int i = 0; i < CROWD_GATES; i++) {
        crowd.gates[i] = new_gate();
        neap_object_share(&crowd.gates[i]->object);
    }
    for (int i = 0; i < THREADS; i++) helper_start(&helpers[i], wait_on_all, &crowd);
    while (atomic_load(&crowd.waiting) > 0) let_pass(crowd.gates[chance(CROWD_GATES)], 1, 13);
    for (int i = 0; i < THREADS; i++) helper_join(&helpers[i]);
    for (int i = 0; i < CROWD_GATES; i++) neap_object_unref(&crowd.gates[i]->object);
}

#define WAIT_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest wait_tests[] = {
        WAIT_TEST(a_wait_that_is_served_at_once_is_never_enlisted),
        WAIT_TEST(a_wait_that_may_not_park_is_never_enlisted),
        WAIT_TEST(who_serves_is_told_nothing_more),
        WAIT_TEST(giving_up_withdraws),
        WAIT_TEST(only_an_open_wait_is_interrupted_once),
        WAIT_TEST(an_abandoned_wait_is_over_and_does_not_run),
        WAIT_TEST(the_first_that_can_be_claimed_is_served),
        WAIT_TEST(waiting_on_many_is_served_by_one),
        WAIT_TEST(one_object_may_be_waited_on_twice),
        WAIT_TEST(ready_ones_are_served_evenly),
        WAIT_TEST(out_of_memory_leaves_no_trace),
        WAIT_TEST(many_waits_are_woken_in_order_without_recursion),
        WAIT_TEST(a_long_chain_of_wakings_costs_no_stack),
    };
    const struct CMUnitTest wait_races[] = {
        TEST(exactly_one_claims),
        TEST(selects_over_the_same_objects_do_not_lock_each_other_out),
    };
    return run_local_and_shared(wait_tests) + run_once(wait_races);
}
