#include "support.h"

#include "sync/queue.h"

static struct neap_queue *queue;
static struct actor a, b, c;

static int make_with(void **state, size_t maxsize, enum neap_order order) {
    if (set_up(state) != 0) return -1;
    queue = made(neap_queue_new(maxsize, order));
    actor_init(&a, &here);
    actor_init(&b, &here);
    actor_init(&c, &here);
    return 0;
}

static int make(void **state) { return make_with(state, 2, NEAP_FIFO); }

static int make_lifo(void **state) { return make_with(state, 2, NEAP_LIFO); }

static int make_priority(void **state) { return make_with(state, 2, NEAP_PRIORITY); }

static int make_unbounded(void **state) { return make_with(state, 0, NEAP_FIFO); }

static int drop(void **state) {
    neap_object_unref(&queue->channel.object);
    return tear_down(state);
}

static int put(struct actor *actor, int64_t value, double priority, int64_t deadline) {
    actor->links[0].message = parcel(value);
    actor->links[0].priority = priority;
    int code = start(actor, queue, NEAP_QUEUE_PUT, deadline);
    if (code != 0 && code != NEAP_PARKED) neap_message_fini(&actor->links[0].message);
    return code;
}

static int get(struct actor *actor, int64_t deadline) { return start(actor, queue, NEAP_QUEUE_GET, deadline); }

static int64_t got(struct actor *actor) { return value_of(&actor->links[0].message); }

static int join(struct actor *actor, int64_t deadline) { return start(actor, queue, NEAP_QUEUE_JOIN, deadline); }

static void close_queue(void) {
    struct neap_message none;
    neap_message_clear(&none);
    neap_channel_close(&queue->channel, &none);
}

static void assert_gets(int64_t value) {
    assert_int_equal(get(&c, 0), 0);
    assert_int_equal(got(&c), value);
}

static void first_in_first_out(void **state) {
    (void)state;
    assert_int_equal(put(&a, 1, 0, 0), 0);
    assert_int_equal(put(&a, 2, 0, 0), 0);
    assert_int_equal(neap_channel_length(&queue->channel), 2);
    assert_int_equal(put(&a, 3, 0, 0), NEAP_TIMEOUT);
    assert_gets(1);
    assert_gets(2);
    assert_int_equal(get(&c, 0), NEAP_TIMEOUT);
}

static void last_in_first_out(void **state) {
    (void)state;
    put(&a, 1, 0, 0);
    put(&a, 2, 0, 0);
    assert_int_equal(put(&b, 3, 0, NEAP_FOREVER), NEAP_PARKED);
    assert_gets(2); /* and 3 came in */
    assert_int_equal(finish(&b), 0);
    assert_gets(3);
    assert_gets(1);
}

static void least_priority_first(void **state) {
    (void)state;
    put(&a, 1, 5.5, 0);
    put(&a, 2, -1, 0);
    assert_int_equal(put(&b, 3, 2, NEAP_FOREVER), NEAP_PARKED);
    assert_gets(2);
    assert_true(c.links[0].priority == -1);
    assert_int_equal(finish(&b), 0);
    assert_gets(3);
    assert_true(c.links[0].priority == 2);
    assert_gets(1);
}

static void a_value_goes_straight_to_who_waits(void **state) {
    (void)state;
    get(&a, NEAP_FOREVER);
    get(&b, NEAP_FOREVER);
    assert_int_equal(put(&c, 1, 7, 0), 0);
    assert_int_equal(neap_channel_length(&queue->channel), 0);
    assert_int_equal(put(&c, 2, 0, 0), 0);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(got(&a), 1);
    assert_int_equal(finish(&b), 0);
    assert_int_equal(got(&b), 2);
}

static void no_bound_means_no_waiting(void **state) {
    (void)state;
    for (int i = 0; i < 1000; i++) assert_int_equal(put(&a, i, 0, 0), 0);
    for (int i = 0; i < 1000; i++) assert_gets(i);
}

static void closing_tells_waiters_and_leaves_what_is_there(void **state) {
    (void)state;
    put(&a, 1, 0, 0);
    put(&a, 2, 0, 0);
    put(&b, 3, 0, NEAP_FOREVER);
    close_queue();
    assert_int_equal(finish(&b), NEAP_CLOSED);
    assert_int_equal(got(&b), 3); /* untouched */
    assert_int_equal(put(&a, 4, 0, 0), NEAP_CLOSED);
    assert_gets(1);
    assert_gets(2);
    assert_int_equal(get(&c, 0), NEAP_CLOSED);
}

static void waits_time_out_and_are_cancelled(void **state) {
    (void)state;
    assert_int_equal(act(&a, queue, NEAP_QUEUE_GET, soon(300)), NEAP_TIMEOUT);
    get(&a, NEAP_FOREVER);
    cancel(&a);
    put(&b, 1, 0, 0); /* passes a over */
    assert_int_equal(finish(&a), NEAP_CANCELLED);
    put(&b, 2, 0, 0);
    put(&a, 3, 0, PASSED);
    assert_int_equal(finish(&a), NEAP_TIMEOUT);
    neap_message_fini(&a.links[0].message);
    assert_gets(1);
    assert_gets(2);
    assert_int_equal(get(&c, 0), NEAP_TIMEOUT);
}

/* --- what is unfinished --- */

static void task_done(void) { assert_int_equal(neap_queue_task_done(queue), 0); }

static void joining_an_empty_queue_is_over_at_once(void **state) {
    (void)state;
    assert_int_equal(join(&a, 0), 0);
    assert_int_equal(join(&a, NEAP_FOREVER), 0);
}

static void joining_waits_for_all_to_be_done(void **state) {
    (void)state;
    put(&a, 1, 0, 0);
    put(&a, 2, 0, 0);
    assert_int_equal(join(&a, 0), NEAP_TIMEOUT);
    assert_int_equal(join(&a, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(join(&b, NEAP_FOREVER), NEAP_PARKED);
    assert_gets(1);
    assert_gets(2);
    task_done();
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_PARKED);
    task_done();
    assert_int_equal(finish(&a), 0);
    assert_int_equal(finish(&b), 0);
}

static void one_call_too_many_is_refused(void **state) {
    (void)state;
    assert_int_equal(neap_queue_task_done(queue), NEAP_RANGE);
    put(&a, 1, 0, 0);
    task_done(); /* may come before it is got */
    assert_int_equal(neap_queue_task_done(queue), NEAP_RANGE);
    assert_gets(1);
}

static void values_that_never_lay_in_the_queue_count(void **state) {
    (void)state;
    get(&a, NEAP_FOREVER);
    put(&b, 1, 0, 0); /* handed over */
    finish(&a);
    got(&a);
    assert_int_equal(join(&a, 0), NEAP_TIMEOUT);
    task_done();
    put(&a, 2, 0, 0);
    put(&a, 3, 0, 0);
    put(&b, 4, 0, NEAP_FOREVER); /* admitted by the get below */
    assert_gets(2);
    finish(&b);
    for (int i = 0; i < 3; i++) task_done();
    assert_int_equal(neap_queue_task_done(queue), NEAP_RANGE);
    assert_gets(3);
    assert_gets(4);
}

static void values_that_were_not_put_do_not_count(void **state) {
    (void)state;
    put(&a, 1, 0, 0);
    put(&a, 2, 0, 0);
    put(&a, 3, 0, 0); /* full */
    put(&b, 4, 0, NEAP_FOREVER);
    cancel(&b);
    finish(&b);
    neap_message_fini(&b.links[0].message);
    close_queue();
    put(&a, 5, 0, 0); /* closed */
    task_done();
    task_done();
    assert_int_equal(neap_queue_task_done(queue), NEAP_RANGE);
}

static void a_join_times_out_and_is_cancelled(void **state) {
    (void)state;
    put(&a, 1, 0, 0);
    assert_int_equal(act(&b, queue, NEAP_QUEUE_JOIN, soon(300)), NEAP_TIMEOUT);
    join(&b, NEAP_FOREVER);
    cancel(&b);
    assert_int_equal(finish(&b), NEAP_CANCELLED);
    task_done();
}

static void closing_does_not_end_a_join(void **state) {
    (void)state;
    put(&a, 1, 0, 0);
    join(&b, NEAP_FOREVER);
    close_queue();
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_PARKED);
    assert_gets(1);
    task_done();
    assert_int_equal(finish(&b), 0);
}

static void out_of_memory_leaves_it_as_it_was(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_queue_new(0, NEAP_PRIORITY));
    a.links[0].message = parcel(1);
    neap_memory_fail_after(0);
    assert_int_equal(start(&a, queue, NEAP_QUEUE_PUT, 0), NEAP_NOMEM);
    assert_int_equal(got(&a), 1);
    assert_int_equal(neap_queue_task_done(queue), NEAP_RANGE);
    assert_int_equal(get(&c, 0), NEAP_TIMEOUT);
}

/* --- threads --- */

struct work {
    int rounds;
    atomic_long sum;
};

static void work_off(void *argument) {
    struct work *work = argument;
    struct actor actor;
    actor_init(&actor, chance(2) == 0 ? neap_loop_here : NULL);
    while (act(&actor, queue, NEAP_QUEUE_GET, NEAP_FOREVER) == 0) {
        atomic_fetch_add(&work->sum, value_of(&actor.links[0].message));
        CHECK(neap_queue_task_done(queue) == 0);
    }
    CHECK(outcome(&actor) == NEAP_CLOSED);
}

static void join_waits_for_other_threads(void **state) {
    (void)state;
    struct work work = {repeated(300), 0};
    struct helper helpers[2];
    long sum = 0;
    for (int i = 0; i < 2; i++) helper_start(&helpers[i], work_off, &work);
    for (int round = 0; round < work.rounds; round++) {
        for (int i = 0; i < 10; i++) {
            a.links[0].message = parcel(i);
            a.links[0].priority = 0;
            assert_int_equal(act(&a, queue, NEAP_QUEUE_PUT, NEAP_FOREVER), 0);
            sum += i;
        }
        assert_int_equal(act(&a, queue, NEAP_QUEUE_JOIN, NEAP_FOREVER), 0);
        assert_int_equal(atomic_load(&work.sum), sum);
    }
    close_queue();
    for (int i = 0; i < 2; i++) helper_join(&helpers[i]);
}

#define FIFO(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest queue_tests[] = {
        FIFO(first_in_first_out),
        cmocka_unit_test_setup_teardown(last_in_first_out, make_lifo, drop),
        cmocka_unit_test_setup_teardown(least_priority_first, make_priority, drop),
        FIFO(a_value_goes_straight_to_who_waits),
        cmocka_unit_test_setup_teardown(no_bound_means_no_waiting, make_unbounded, drop),
        FIFO(closing_tells_waiters_and_leaves_what_is_there),
        FIFO(waits_time_out_and_are_cancelled),
        FIFO(joining_an_empty_queue_is_over_at_once),
        FIFO(joining_waits_for_all_to_be_done),
        FIFO(one_call_too_many_is_refused),
        FIFO(values_that_never_lay_in_the_queue_count),
        FIFO(values_that_were_not_put_do_not_count),
        FIFO(a_join_times_out_and_is_cancelled),
        FIFO(closing_does_not_end_a_join),
        FIFO(out_of_memory_leaves_it_as_it_was),
    };
    const struct CMUnitTest queue_races[] = {
        FIFO(join_waits_for_other_threads),
        cmocka_unit_test_setup_teardown(join_waits_for_other_threads, make_priority, drop),
        cmocka_unit_test_setup_teardown(join_waits_for_other_threads, make_unbounded, drop),
    };
    return run_local_and_shared(queue_tests) + run_once(queue_races);
}
