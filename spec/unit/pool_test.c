#include "pools.h"

#include <string.h>

/* --- one piece of work --- */

static void work_goes_from_submitter_to_worker_and_back(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *work = submit(5);
    assert_int_equal(state_of(work), NEAP_FUTURE_NEW);
    assert_int_equal(take(&a, 1, 0), 0);
    assert_int_equal(taken(&a, &id), 5);
    assert_int_equal(state_of(work), NEAP_FUTURE_RUNNING);
    assert_true(end_work(id, NEAP_FUTURE_DONE, outcome_with(6)));
    assert_int_equal(state_of(work), NEAP_FUTURE_DONE);
    assert_int_equal(value_of(&neap_future_outcome(&work->future)->value), 6);
    assert_false(end_work(id, NEAP_FUTURE_DONE, outcome_with(7)));
    let_go(work);
}

static void a_worker_that_waits_is_served_in_order_of_arrival(void **state) {
    (void)state;
    uint64_t first, second;
    take(&a, 1, NEAP_FOREVER);
    take(&b, 2, NEAP_FOREVER);
    struct neap_work *one = submit(1), *two = submit(2);
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(taken(&a, &first), 1);
    assert_int_equal(taken(&b, &second), 2);
    assert_int_equal(end_work(second, NEAP_FUTURE_DONE, NULL), true);
    assert_int_equal(end_work(first, NEAP_FUTURE_FAILED, NULL), true);
    assert_int_equal(state_of(one), NEAP_FUTURE_FAILED);
    assert_int_equal(state_of(two), NEAP_FUTURE_DONE);
    let_go(one);
    let_go(two);
}

static void a_worker_whose_wait_is_over_is_passed_over(void **state) {
    (void)state;
    uint64_t id;
    take(&a, 1, NEAP_FOREVER);
    take(&b, 2, NEAP_FOREVER);
    cancel(&a);
    struct neap_work *work = submit(1);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_CANCELLED);
    assert_int_equal(taken(&b, &id), 1);
    end_work(id, NEAP_FUTURE_DONE, NULL);
    let_go(work);
}

static void what_is_left_of_the_call_goes_with_the_work(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *work = submit(5);
    assert_int_equal(take(&a, 1, 0), 0);
    id = (uint64_t)a.links[0].number;
    assert_true(neap_pool_finish(pool, id, NEAP_FUTURE_DONE, NULL, &a.links[0].message));
    assert_int_equal(a.links[0].message.kind, NEAP_MESSAGE_EMPTY);
    assert_int_equal(value_of(&work->call), 5);
    let_go(work);
}

/* What neap_wait_begin does, step by step: the actor looks for work, and then comes for it. */
static void begin_to_look(struct actor *actor, int64_t worker) {
    struct neap_link *link = &actor->links[0];
    memset(link, 0, sizeof *link);
    link->op = NEAP_POOL_TAKE;
    link->number = worker;
    CHECK(neap_pool_class.quick(&pool->object, link) == NEAP_QUICK_SOON);
}

static void come_for_work(struct actor *actor) {
    struct neap_batch batch = {NULL, NULL};
    struct neap_link *link = &actor->links[0];
    CHECK(neap_pool_class.quick(&pool->object, link) == NEAP_QUICK_ASK);
    neap_object_lock(&pool->object);
    CHECK(neap_pool_class.attempt(&pool->object, link, &batch));
    neap_object_unlock(&pool->object);
    neap_batch_flush(&batch);
}

static void work_is_left_for_who_looks_rather_than_given_to_who_waits(void **state) {
    (void)state;
    uint64_t first, second;
    take(&a, 1, NEAP_FOREVER);
    begin_to_look(&b, 2);
    assert_int_equal(neap_pool_class.quick(&pool->object, &b.links[0]), NEAP_QUICK_SOON);
    struct neap_work *one = submit(1);
    assert_int_equal(state_of(one), NEAP_FUTURE_NEW);
    struct neap_work *two = submit(2); /* there is one who looks, and no more */
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(taken(&a, &second), 2);
    come_for_work(&b);
    assert_int_equal(taken(&b, &first), 1);
    take(&a, 1, NEAP_FOREVER);
    struct neap_work *three = submit(3); /* nobody looks any more */
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    neap_pool_end(pool);
    neap_message_fini(&a.links[0].message);
    let_go(one);
    let_go(two);
    let_go(three);
}

static void what_is_admitted_when_who_looked_comes_goes_to_who_waits(void **state) {
    (void)state;
    uint64_t first, second;
    take(&a, 1, NEAP_FOREVER);
    begin_to_look(&b, 2);
    struct neap_work *one = submit(1);
    assert_int_equal(submit_as(&c, 2, NEAP_POOL_QUIET, NEAP_FOREVER), NEAP_PARKED);
    come_for_work(&b);
    assert_int_equal(taken(&b, &first), 1);
    settle(&here);
    assert_int_equal(outcome(&c), 0);
    struct neap_work *two = work_of(&c);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(taken(&a, &second), 2);
    assert_int_equal(state_of(two), NEAP_FUTURE_RUNNING);
    neap_pool_end(pool);
    let_go(one);
    let_go(two);
}

static void who_waits_for_the_end_of_all_work_is_told(void **state) {
    (void)state;
    uint64_t id;
    engine.main = neap_mailbox_ref(here.mailbox);
    for (int i = 0; i < 2; i++) {
        struct neap_work *work = submit(1);
        take(&a, 1, 0);
        (void)taken(&a, &id);
        if (i == 1) assert_true(neap_engine_is_needed(&engine));
        end_work(id, NEAP_FUTURE_DONE, NULL);
        assert_int_equal(neap_mailbox_is_empty(here.mailbox), i == 0); /* nobody had asked */
        let_go(work);
    }
    assert_false(neap_engine_is_needed(&engine));
    settle(&here);
}

static void the_program_is_needed_while_work_is_unfinished(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *one = submit(1), *two = submit(2);
    assert_true(neap_engine_is_needed(&engine));
    take(&a, 1, 0);
    (void)taken(&a, &id);
    end_work(id, NEAP_FUTURE_DONE, NULL);
    assert_true(neap_engine_is_needed(&engine));
    request(two, NEAP_WORK_CANCEL, 0);
    assert_false(neap_engine_is_needed(&engine));
    let_go(one);
    let_go(two);
}

/* --- limits --- */

static void a_full_queue_makes_submitters_wait(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *works[4] = {submit(0)};
    assert_int_equal(submit_as(&a, 1, NEAP_POOL_QUIET, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(submit_as(&b, 2, NEAP_POOL_QUIET, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(submit_as(&d, 9, 0, 0), NEAP_TIMEOUT);
    neap_message_fini(&d.links[0].message);
    for (int64_t i = 0; i < 3; i++) {
        assert_int_equal(take(&c, 1, 0), 0);
        assert_int_equal(taken(&c, &id), i);
        end_work(id, NEAP_FUTURE_DONE, NULL);
        settle(&here);
        if (i == 0) works[1] = work_of(&a);
        if (i == 1) works[2] = work_of(&b);
    }
    for (int i = 0; i < 3; i++) let_go(works[i]);
}

static void work_that_is_cancelled_in_the_queue_makes_room(void **state) {
    (void)state;
    struct neap_work *first = submit(0);
    submit_as(&a, 1, NEAP_POOL_QUIET, NEAP_FOREVER);
    assert_true(request(first, NEAP_WORK_DROP, 0));
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    struct neap_work *second = work_of(&a);
    assert_int_equal(state_of(first), NEAP_FUTURE_CANCELLED);
    assert_int_equal(state_of(second), NEAP_FUTURE_NEW);
    neap_pool_terminate(pool);
    let_go(first);
    let_go(second);
}

/* --- batches --- */

static void a_failure_cancels_what_of_its_batch_is_queued(void **state) {
    (void)state;
    uint64_t first, second;
    struct neap_work *leader = submit_to_batch(true, 0), *fellow = submit_to_batch(false, leader->id);
    struct neap_work *other = submit_to_batch(true, 0), *waiting = submit_to_batch(false, leader->id);
    assert_int_equal(take(&a, 1, 0), 0);
    taken(&a, &first);
    assert_int_equal(take(&b, 2, 0), 0);
    taken(&b, &second);
    assert_true(end_work(second, NEAP_FUTURE_FAILED, outcome_with(1)));
    assert_int_equal(state_of(leader), NEAP_FUTURE_RUNNING);
    assert_int_equal(state_of(fellow), NEAP_FUTURE_FAILED);
    assert_int_equal(state_of(other), NEAP_FUTURE_NEW);
    assert_int_equal(state_of(waiting), NEAP_FUTURE_CANCELLED);
    assert_int_equal(submit_as(&d, 0, neap_pool_flags(true, false, leader->id), 0), NEAP_FAILED);
    neap_message_fini(&d.links[0].message);
    assert_true(end_work(first, NEAP_FUTURE_FAILED, outcome_with(2)));
    neap_pool_terminate(pool);
    struct neap_work *const works[] = {leader, fellow, other, waiting};
    for (int i = 0; i < 4; i++) let_go(works[i]);
}

static void who_waits_for_a_place_learns_that_its_batch_has_failed(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *leader = submit_to_batch(true, 0);
    assert_int_equal(take(&a, 1, 0), 0);
    taken(&a, &id);
    struct neap_work *fellow = submit_to_batch(false, leader->id);
    int64_t flags = neap_pool_flags(true, false, leader->id);
    assert_int_equal(submit_as(&b, 0, flags, NEAP_FOREVER), NEAP_PARKED);
    neap_pool_bury(pool, 1, true, outcome_with(1));
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_FAILED);
    neap_message_fini(&b.links[0].message);
    assert_int_equal(state_of(leader), NEAP_FUTURE_FAILED);
    assert_int_equal(state_of(fellow), NEAP_FUTURE_CANCELLED);
    let_go(leader);
    let_go(fellow);
}

/* The queue is full of other work, which stays. */
static void who_is_in_line_behind_other_work_learns_that_its_batch_has_failed(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *leader = submit_to_batch(true, 0);
    assert_int_equal(take(&a, 1, 0), 0);
    taken(&a, &id);
    struct neap_work *other = submit(1);
    int64_t flags = neap_pool_flags(true, false, leader->id);
    assert_int_equal(submit_as(&b, 0, flags, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(submit_as(&c, 2, NEAP_POOL_QUIET, NEAP_FOREVER), NEAP_PARKED);
    assert_true(end_work(id, NEAP_FUTURE_FAILED, outcome_with(1)));
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_FAILED);
    assert_int_equal(outcome(&c), NEAP_PARKED);
    neap_message_fini(&b.links[0].message);
    assert_int_equal(submit_as(&d, 0, flags, NEAP_FOREVER), NEAP_FAILED); /* it does not even get in line */
    neap_message_fini(&d.links[0].message);
    assert_int_equal(state_of(other), NEAP_FUTURE_NEW);
    neap_pool_terminate(pool);
    assert_int_equal(finish(&c), NEAP_CLOSED);
    neap_message_fini(&c.links[0].message);
    let_go(leader);
    let_go(other);
}

/* --- requests --- */

static void queued_work_is_cancelled_at_once_with_its_reason(void **state) {
    (void)state;
    struct neap_work *work = submit(1);
    assert_true(request(work, NEAP_WORK_CANCEL, 77));
    assert_int_equal(state_of(work), NEAP_FUTURE_CANCELLED);
    assert_int_equal(value_of(&work->reason), 77);
    assert_false(request(work, NEAP_WORK_CANCEL, 78));
    assert_int_equal(take(&a, 1, 0), NEAP_TIMEOUT);
    let_go(work);
}

static void the_worker_that_runs_it_is_told(void **state) {
    (void)state;
    uint64_t id;
    listen_as(&b, 2, NEAP_FOREVER);
    listen_as(&c, 1, NEAP_FOREVER);
    struct neap_work *work = submit(1);
    take(&a, 1, 0);
    (void)taken(&a, &id);
    assert_true(request(work, NEAP_WORK_DROP, 0));
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_PARKED);
    assert_int_equal(outcome(&c), 0);
    assert_int_equal(asked(&c, id), NEAP_WORK_DROP);
    assert_int_equal(value_of(&c.links[0].message), 0);
    assert_false(request(work, NEAP_WORK_DROP, 0));
    assert_true(request(work, NEAP_WORK_CANCEL, 5)); /* nobody listens just now */
    assert_int_equal(listen_as(&c, 1, 0), 0);
    assert_int_equal(asked(&c, id), NEAP_WORK_CANCEL);
    assert_int_equal(value_of(&c.links[0].message), 5);
    assert_int_equal(listen_as(&c, 1, 0), NEAP_TIMEOUT);
    end_work(id, NEAP_FUTURE_CANCELLED, NULL);
    cancel(&b);
    finish(&b);
    let_go(work);
}

static int listen_again(struct actor *actor, int64_t worker, uint64_t missed) {
    neap_message_set_kind(&actor->links[0].message, NEAP_MESSAGE_INTEGER);
    actor->links[0].message.integer = (int64_t)missed;
    return listen_as(actor, worker, 0);
}

static void a_listener_that_could_not_do_it_is_told_again(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *work = submit(1);
    take(&a, 1, 0);
    (void)taken(&a, &id);
    assert_int_equal(listen_again(&c, 1, id), NEAP_TIMEOUT); /* nothing has been asked */
    assert_true(request(work, NEAP_WORK_CANCEL, 5));
    for (int times = 0; times < 3; times++) {
        assert_int_equal(listen_again(&c, 1, id), 0);
        assert_int_equal(asked(&c, id), NEAP_WORK_CANCEL);
        assert_int_equal(value_of(&c.links[0].message), 5);
    }
    assert_int_equal(listen_again(&b, 2, id), NEAP_TIMEOUT); /* it is another's */
    assert_int_equal(listen_as(&c, 1, 0), NEAP_TIMEOUT);
    end_work(id, NEAP_FUTURE_CANCELLED, NULL);
    assert_int_equal(listen_again(&c, 1, id), NEAP_TIMEOUT); /* it has ended */
    let_go(work);
}

/* --- workers that die --- */

static void a_dead_worker_costs_what_it_ran(void **state) {
    (void)state;
    uint64_t first, second;
    struct neap_work *one = submit(1), *two = submit(2), *three = submit(3);
    take(&a, 1, 0);
    take(&b, 2, 0);
    (void)taken(&a, &first);
    (void)taken(&b, &second);
    neap_pool_bury(pool, 1, true, outcome_with(99));
    assert_int_equal(state_of(one), NEAP_FUTURE_FAILED);
    assert_int_equal(value_of(&neap_future_outcome(&one->future)->value), 99);
    assert_int_equal(state_of(two), NEAP_FUTURE_RUNNING);
    assert_int_equal(state_of(three), NEAP_FUTURE_NEW);
    assert_false(end_work(first, NEAP_FUTURE_DONE, NULL)); /* its last word comes too late */
    assert_true(neap_pool_wants_workers(pool));
    struct neap_pool_stats stats;
    neap_pool_read_stats(pool, &stats);
    assert_int_equal(stats.lost, 1);
    assert_int_equal(stats.failed, 1);
    assert_int_equal(stats.running, 1);
    assert_int_equal(stats.queued, 1);
    neap_pool_end(pool);
    let_go(one);
    let_go(two);
    let_go(three);
}

static void a_worker_that_is_no_more_wanted_costs_a_cancellation(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *work = submit(1);
    take(&a, 1, 0);
    (void)taken(&a, &id);
    neap_pool_bury(pool, 1, false, NULL);
    assert_int_equal(state_of(work), NEAP_FUTURE_CANCELLED);
    let_go(work);
}

/* --- failures that nobody reads --- */

static void failures_count_until_somebody_looks(void **state) {
    (void)state;
    struct neap_work *works[NEAP_WORK_UNREAD_MAX + 5];
    int count = NEAP_WORK_UNREAD_MAX + 5;
    for (int i = 0; i < count; i++) {
        uint64_t id;
        submit_as(&a, i, 0, 0);
        works[i] = work_of(&a);
        take(&b, 1, 0);
        (void)taken(&b, &id);
        end_work(id, NEAP_FUTURE_FAILED, outcome_with(i));
    }
    assert_int_equal(atomic_load(&engine.failures), count);
    neap_work_observe(works[0]);
    neap_work_observe(works[0]);
    neap_work_observe(works[count - 1]);
    assert_int_equal(atomic_load(&engine.failures), count - 2);
    for (int i = 0; i < count; i++) let_go(works[i]);
    int listed = 0;
    struct neap_work *work;
    while ((work = neap_work_next_unread(&engine)) != NULL) {
        listed++;
        let_go(work);
    }
    assert_int_equal(listed, NEAP_WORK_UNREAD_MAX - 1);
}

static void quiet_failures_do_not_count(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *work = submit(1);
    take(&a, 1, 0);
    (void)taken(&a, &id);
    end_work(id, NEAP_FUTURE_FAILED, NULL);
    assert_int_equal(atomic_load(&engine.failures), 0);
    neap_work_observe(work);
    assert_int_equal(atomic_load(&engine.failures), 0);
    let_go(work);
}

/* --- no memory --- */

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_pool_new(&engine, NEAP_POOL_TASKS, 1, 0, "x"));
    struct neap_message call = parcel(1);
    a.links[0].message = call;
    a.links[0].number = 0;
    neap_memory_fail_after(0);
    assert_int_equal(start(&a, pool, NEAP_POOL_SUBMIT, 0), NEAP_NOMEM);
    assert_int_equal(value_of(&a.links[0].message), 1); /* as it was */
    assert_false(neap_engine_is_needed(&engine));
}

int main(void) {
    const struct CMUnitTest pool_tests[] = {
        POOL_TEST(work_goes_from_submitter_to_worker_and_back),
        POOL_TEST(a_worker_that_waits_is_served_in_order_of_arrival),
        POOL_TEST(a_worker_whose_wait_is_over_is_passed_over),
        POOL_TEST(what_is_left_of_the_call_goes_with_the_work),
        POOL_TEST(work_is_left_for_who_looks_rather_than_given_to_who_waits),
        SHORT_TEST(what_is_admitted_when_who_looked_comes_goes_to_who_waits),
        POOL_TEST(who_waits_for_the_end_of_all_work_is_told),
        POOL_TEST(the_program_is_needed_while_work_is_unfinished),
        SHORT_TEST(a_full_queue_makes_submitters_wait),
        SHORT_TEST(work_that_is_cancelled_in_the_queue_makes_room),
        POOL_TEST(a_failure_cancels_what_of_its_batch_is_queued),
        SHORT_TEST(who_waits_for_a_place_learns_that_its_batch_has_failed),
        SHORT_TEST(who_is_in_line_behind_other_work_learns_that_its_batch_has_failed),
        POOL_TEST(queued_work_is_cancelled_at_once_with_its_reason),
        POOL_TEST(the_worker_that_runs_it_is_told),
        POOL_TEST(a_listener_that_could_not_do_it_is_told_again),
        POOL_TEST(a_dead_worker_costs_what_it_ran),
        POOL_TEST(a_worker_that_is_no_more_wanted_costs_a_cancellation),
        POOL_TEST(failures_count_until_somebody_looks),
        POOL_TEST(quiet_failures_do_not_count),
        POOL_TEST(out_of_memory_is_an_answer),
    };
    return run_once(pool_tests);
}
