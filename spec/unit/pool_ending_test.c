#include "pools.h"

/* --- the end --- */

static void a_closed_pool_does_what_it_has(void **state) {
    (void)state;
    uint64_t id;
    take(&a, 1, NEAP_FOREVER);
    struct neap_work *one = submit(1), *two = submit(2);
    take(&b, 2, NEAP_FOREVER); /* two */
    take(&c, 3, NEAP_FOREVER);
    neap_pool_close(pool);
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(outcome(&c), NEAP_CLOSED);
    assert_int_equal(submit_as(&d, 3, 0, NEAP_FOREVER), NEAP_CLOSED);
    neap_message_fini(&d.links[0].message);
    assert_false(neap_pool_wants_workers(pool));
    (void)taken(&a, &id);
    end_work(id, NEAP_FUTURE_DONE, NULL);
    (void)taken(&b, &id);
    end_work(id, NEAP_FUTURE_DONE, NULL);
    assert_int_equal(take(&a, 1, NEAP_FOREVER), NEAP_CLOSED);
    assert_int_equal(start(&a, pool, NEAP_POOL_JOIN, NEAP_FOREVER), NEAP_PARKED);
    neap_pool_end(pool);
    assert_int_equal(finish(&a), 0);
    let_go(one);
    let_go(two);
}

static void who_is_in_line_when_it_is_closed_is_admitted_in_turn(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *works[3] = {submit(0)};
    assert_int_equal(submit_as(&a, 1, NEAP_POOL_QUIET, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(submit_as(&b, 2, NEAP_POOL_QUIET, NEAP_FOREVER), NEAP_PARKED);
    neap_pool_close(pool);
    assert_int_equal(submit_as(&d, 9, 0, NEAP_FOREVER), NEAP_CLOSED);
    neap_message_fini(&d.links[0].message);
    for (int64_t i = 0; i < 3; i++) {
        assert_true(neap_pool_wants_workers(pool));
        assert_int_equal(take(&c, 1, NEAP_FOREVER), 0);
        assert_int_equal(taken(&c, &id), i);
        end_work(id, NEAP_FUTURE_DONE, NULL);
        settle(&here);
        if (i == 0) works[1] = work_of(&a);
        if (i == 1) works[2] = work_of(&b);
    }
    assert_int_equal(take(&c, 1, NEAP_FOREVER), NEAP_CLOSED);
    for (int i = 0; i < 3; i++) let_go(works[i]);
}

static void terminating_refuses_who_is_in_line(void **state) {
    (void)state;
    struct neap_work *first = submit(0);
    submit_as(&a, 1, 0, NEAP_FOREVER);
    neap_pool_close(pool);
    neap_pool_terminate(pool);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_CLOSED);
    neap_message_fini(&a.links[0].message);
    assert_int_equal(state_of(first), NEAP_FUTURE_CANCELLED);
    let_go(first);
}

static void who_leaves_the_line_of_a_closed_pool_keeps_nobody(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *first = submit(0);
    submit_as(&a, 1, 0, NEAP_FOREVER);
    neap_pool_close(pool);
    cancel(&a);
    assert_int_equal(take(&c, 1, NEAP_FOREVER), 0); /* a's wait is claimed, and has not left yet */
    (void)taken(&c, &id);
    end_work(id, NEAP_FUTURE_DONE, NULL);
    assert_int_equal(take(&c, 1, NEAP_FOREVER), NEAP_CLOSED);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_CANCELLED);
    neap_message_fini(&a.links[0].message);
    let_go(first);
}

static void terminating_cancels_what_is_queued_and_asks_what_runs(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *one = submit(1), *two = submit(2);
    take(&a, 1, 0);
    (void)taken(&a, &id);
    neap_pool_terminate(pool);
    assert_int_equal(state_of(one), NEAP_FUTURE_RUNNING);
    assert_int_equal(state_of(two), NEAP_FUTURE_CANCELLED);
    assert_int_equal(listen_as(&b, 1, 0), 0);
    assert_int_equal(asked(&b, id), NEAP_WORK_CANCEL);
    assert_true(end_work(id, NEAP_FUTURE_CANCELLED, NULL));
    let_go(one);
    let_go(two);
}

static void who_listens_learns_that_nothing_more_will_be_asked(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *work = submit(1);
    take(&a, 1, 0);
    (void)taken(&a, &id);
    listen_as(&b, 1, NEAP_FOREVER);
    listen_as(&c, 2, NEAP_FOREVER);
    neap_pool_terminate(pool);
    settle(&here);
    assert_int_equal(outcome(&b), 0);
    assert_int_equal(asked(&b, id), NEAP_WORK_CANCEL);
    assert_int_equal(outcome(&c), NEAP_CLOSED);
    assert_int_equal(listen_as(&b, 1, 0), NEAP_CLOSED);
    end_work(id, NEAP_FUTURE_CANCELLED, NULL);
    let_go(work);
}

static void what_was_asked_to_stop_is_not_missed_at_the_end(void **state) {
    (void)state;
    struct neap_work *works[4];
    for (int i = 0; i < 4; i++) {
        works[i] = submit(i);
        if (i == 3) break; /* that one stays in the queue */
        assert_int_equal(take(&a, 1, 0), 0);
        neap_message_fini(&a.links[0].message);
    }
    assert_true(request(works[1], NEAP_WORK_DROP, 0));
    assert_true(request(works[2], NEAP_WORK_CANCEL, 0));
    assert_int_equal(neap_pool_end(pool), 2);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(state_of(works[i]), NEAP_FUTURE_CANCELLED);
        let_go(works[i]);
    }
}

static void nothing_of_a_terminated_pool_is_missed(void **state) {
    (void)state;
    struct neap_work *one = submit(1), *two = submit(2);
    assert_int_equal(take(&a, 1, 0), 0);
    neap_message_fini(&a.links[0].message);
    neap_pool_terminate(pool);
    assert_int_equal(neap_pool_end(pool), 0);
    let_go(one);
    let_go(two);
}

static void in_a_broken_pool_all_work_fails(void **state) {
    (void)state;
    take(&b, 2, NEAP_FOREVER);
    cancel(&b);
    settle(&here);
    struct neap_work *queued = submit(1);
    neap_pool_break(pool, outcome_with(13));
    neap_pool_break(pool, outcome_with(14));
    assert_int_equal(state_of(queued), NEAP_FUTURE_FAILED);
    assert_int_equal(value_of(&neap_future_outcome(&queued->future)->value), 13);
    assert_int_equal(take(&a, 1, NEAP_FOREVER), NEAP_CLOSED);
    assert_int_equal(submit_as(&c, 2, 0, NEAP_FOREVER), NEAP_BROKEN);
    struct neap_work *late = neap_pool_fail(pool, &c.links[0].message, true);
    assert_int_equal(state_of(late), NEAP_FUTURE_FAILED);
    assert_int_equal(value_of(&neap_future_outcome(&late->future)->value), 13);
    assert_true(neap_pool_is_broken(pool));
    let_go(queued);
    let_go(late);
}

/* --- series --- */

static struct neap_series series;

static int begin_series(struct actor *actor) {
    neap_series_init(&series, pool);
    actor->links[0].hold = &series.hold;
    return start(actor, pool, NEAP_POOL_BEGIN, 0);
}

static int submit_more(struct actor *actor, int64_t value) {
    return submit_as(actor, value, NEAP_POOL_QUIET | NEAP_POOL_GOES_ON, 0);
}

static void do_next(struct actor *actor, int64_t expected) {
    uint64_t id;
    CHECK(taken(actor, &id) == expected);
    CHECK(end_work(id, NEAP_FUTURE_DONE, NULL));
}

static void a_series_goes_on_in_a_closed_pool(void **state) {
    (void)state;
    assert_int_equal(begin_series(&a), 0);
    neap_pool_close(pool);
    assert_true(neap_pool_wants_workers(pool));
    assert_int_equal(take(&b, 1, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(submit_as(&c, 9, 0, 0), NEAP_CLOSED); /* it is of none */
    neap_message_fini(&c.links[0].message);
    assert_int_equal(submit_more(&c, 1), 0);
    let_go(work_of(&c));
    settle(&here);
    do_next(&b, 1);
    assert_int_equal(take(&b, 1, NEAP_FOREVER), NEAP_PARKED);
    assert_true(neap_hold_give_back(&series.hold));
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_CLOSED);
    assert_false(neap_pool_wants_workers(pool));
    assert_int_equal(submit_more(&c, 2), NEAP_CLOSED); /* nobody would do it */
    neap_message_fini(&c.links[0].message);
}

static void what_a_series_has_submitted_is_done_after_its_end(void **state) {
    (void)state;
    assert_int_equal(begin_series(&a), 0);
    neap_pool_close(pool);
    assert_int_equal(submit_more(&c, 1), 0);
    let_go(work_of(&c));
    assert_true(neap_hold_give_back(&series.hold));
    assert_int_equal(take(&b, 1, NEAP_FOREVER), 0);
    do_next(&b, 1);
    assert_int_equal(take(&b, 1, NEAP_FOREVER), NEAP_CLOSED);
}

static void a_series_ends_with_its_owner(void **state) {
    (void)state;
    assert_int_equal(begin_series(&a), 0);
    neap_pool_close(pool);
    assert_int_equal(take(&b, 1, NEAP_FOREVER), NEAP_PARKED);
    actor_end(&a);
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_CLOSED);
}

static void no_series_begins_in_a_closed_pool(void **state) {
    (void)state;
    neap_pool_close(pool);
    assert_int_equal(begin_series(&a), NEAP_CLOSED);
    assert_false(neap_hold_is_linked(&series.hold));
    assert_int_equal(take(&b, 1, NEAP_FOREVER), NEAP_CLOSED);
}

static void terminating_refuses_a_series(void **state) {
    (void)state;
    assert_int_equal(begin_series(&a), 0);
    assert_int_equal(take(&b, 1, NEAP_FOREVER), NEAP_PARKED);
    neap_pool_terminate(pool);
    settle(&here);
    assert_int_equal(outcome(&b), NEAP_CLOSED);
    assert_int_equal(submit_more(&c, 1), NEAP_CLOSED);
    neap_message_fini(&c.links[0].message);
    assert_true(neap_hold_give_back(&series.hold));
}

static void so_does_the_end_of_the_workers(void **state) {
    (void)state;
    assert_int_equal(begin_series(&a), 0);
    neap_pool_end(pool);
    assert_int_equal(submit_more(&c, 1), NEAP_CLOSED);
    neap_message_fini(&c.links[0].message);
    assert_true(neap_hold_give_back(&series.hold));
}

static void a_series_of_a_broken_pool_fails(void **state) {
    (void)state;
    assert_int_equal(begin_series(&a), 0);
    neap_pool_break(pool, outcome_with(13));
    neap_pool_close(pool);
    assert_int_equal(take(&b, 1, NEAP_FOREVER), NEAP_CLOSED);
    assert_false(neap_pool_wants_workers(pool));
    assert_int_equal(submit_more(&c, 1), NEAP_BROKEN);
    neap_message_fini(&c.links[0].message);
    neap_pool_hasten(pool);
    assert_int_equal(submit_more(&c, 1), NEAP_CLOSED);
    neap_message_fini(&c.links[0].message);
    assert_true(neap_hold_give_back(&series.hold));
}

static void there_is_haste_once_somebody_waits_for_the_end(void **state) {
    (void)state;
    assert_int_equal(start(&a, pool, NEAP_POOL_HASTE, NEAP_FOREVER), NEAP_PARKED);
    neap_pool_close(pool);
    settle(&here);
    assert_int_equal(outcome(&a), NEAP_PARKED);
    neap_pool_hasten(pool);
    settle(&here);
    assert_int_equal(outcome(&a), 0);
    assert_int_equal(start(&a, pool, NEAP_POOL_HASTE, NEAP_FOREVER), 0);
}

/* --- what is told, in which order --- */

/* Who waits here is a host's thread: it runs at once, by whoever wakes it, and notes how it finds the future. */
static struct neap_work *watched;
static enum neap_future_state found;

static void find(struct neap_runnable *runnable) {
    (void)runnable;
    found = state_of(watched);
}

static void watch(struct actor *actor, struct neap_work *work) {
    actor_init(actor, NULL);
    actor->wait.runnable.run = find;
    watched = work;
    found = NEAP_FUTURE_NEW;
}

static void end_watch(struct actor *actor) { actor->code = neap_wait_end(&actor->wait); }

/* Somebody in line for a place behind `work`, with other work or, where there is one, of its batch. */
static void get_in_line_behind(struct neap_work *work, uint64_t batch) {
    watch(&b, work);
    CHECK(submit_as(&b, 2, neap_pool_flags(true, false, batch), NEAP_FOREVER) == NEAP_PARKED);
}

static void leave_line(int result) {
    end_watch(&b);
    CHECK(outcome(&b) == result);
    if (result == 0) let_go(work_of(&b));
    neap_message_fini(&b.links[0].message);
}

static void who_is_woken_by_a_cancellation_finds_the_work_cancelled(void **state) {
    (void)state;
    struct neap_work *work = submit(1);
    get_in_line_behind(work, 0);
    assert_true(request(work, NEAP_WORK_CANCEL, 0));
    assert_int_equal(found, NEAP_FUTURE_CANCELLED);
    leave_line(0);
    neap_pool_end(pool);
    let_go(work);
}

static void who_is_woken_by_termination_finds_the_work_cancelled(void **state) {
    (void)state;
    struct neap_work *work = submit(1);
    get_in_line_behind(work, 0);
    neap_pool_terminate(pool);
    assert_int_equal(found, NEAP_FUTURE_CANCELLED);
    leave_line(NEAP_CLOSED);
    let_go(work);
}

static void who_is_woken_by_a_break_finds_the_work_failed(void **state) {
    (void)state;
    struct neap_work *work = submit(1);
    get_in_line_behind(work, 0);
    neap_pool_break(pool, outcome_with(1));
    assert_int_equal(found, NEAP_FUTURE_FAILED);
    leave_line(NEAP_BROKEN);
    let_go(work);
}

/* Takes the first of a batch, and fills the queue with more of it. The first, and its id. */
static struct neap_work *begin_batch(uint64_t *id) {
    struct neap_work *leader = submit_to_batch(true, 0);
    CHECK(take(&a, 1, 0) == 0);
    taken(&a, id);
    let_go(submit_to_batch(false, *id));
    return leader;
}

static void who_is_refused_finds_that_work_of_its_batch_has_failed(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *leader = begin_batch(&id);
    get_in_line_behind(leader, id);
    assert_true(end_work(id, NEAP_FUTURE_FAILED, outcome_with(1)));
    assert_int_equal(found, NEAP_FUTURE_FAILED);
    leave_line(NEAP_FAILED);
    let_go(leader);
}

static void so_does_who_is_refused_when_a_worker_dies(void **state) {
    (void)state;
    uint64_t id;
    struct neap_work *leader = begin_batch(&id);
    get_in_line_behind(leader, id);
    neap_pool_bury(pool, 1, true, outcome_with(1));
    assert_int_equal(found, NEAP_FUTURE_FAILED);
    leave_line(NEAP_FAILED);
    let_go(leader);
}

static void who_joins_finds_all_work_ended(void **state) {
    (void)state;
    struct neap_work *work = submit(1);
    watch(&b, work);
    assert_int_equal(start(&b, pool, NEAP_POOL_JOIN, NEAP_FOREVER), NEAP_PARKED);
    neap_pool_end(pool);
    assert_int_equal(found, NEAP_FUTURE_CANCELLED);
    end_watch(&b);
    let_go(work);
}

/* Who comes when the work has just ended: whoever waits for its future is woken first. */
static int joined;

static void join_now(struct neap_runnable *runnable) {
    (void)runnable;
    joined = start(&c, pool, NEAP_POOL_JOIN, 0);
}

static void the_pool_ends_after_its_work(void **state) {
    (void)state;
    struct neap_work *work = submit(1);
    actor_init(&b, NULL);
    b.wait.runnable.run = join_now;
    assert_int_equal(start(&b, work, NEAP_FUTURE_END, NEAP_FOREVER), NEAP_PARKED);
    neap_pool_end(pool);
    assert_int_equal(joined, NEAP_TIMEOUT);
    assert_int_equal(start(&c, pool, NEAP_POOL_JOIN, 0), 0);
    end_watch(&b);
    let_go(work);
}

/* The last worker may go while another thread still ends what it has cancelled. */
static void end_and_join_now(struct neap_runnable *runnable) {
    neap_pool_end(pool);
    join_now(runnable);
}

static void who_joins_waits_for_who_still_ends_work(void **state) {
    (void)state;
    struct neap_work *one = submit(1), *two = submit(2);
    actor_init(&b, NULL);
    b.wait.runnable.run = end_and_join_now;
    assert_int_equal(start(&b, one, NEAP_FUTURE_END, NEAP_FOREVER), NEAP_PARKED);
    assert_int_equal(start(&a, pool, NEAP_POOL_JOIN, NEAP_FOREVER), NEAP_PARKED);
    neap_pool_terminate(pool);
    assert_int_equal(joined, NEAP_TIMEOUT);
    assert_int_equal(state_of(two), NEAP_FUTURE_CANCELLED);
    assert_int_equal(finish(&a), 0);
    assert_int_equal(start(&c, pool, NEAP_POOL_JOIN, 0), 0);
    end_watch(&b);
    let_go(one);
    let_go(two);
}

/* --- races --- */

enum { PIECES = 4 };

struct contest {
    struct neap_engine engine;
    struct neap_pool *pool;
    struct neap_work *works[PIECES];
    struct actor submitter, worker;
    struct neap_series series;
    bool begun; /* the series: before the pool was closed */
    struct neap_loop *left, *right;
    int ended; /* pieces that the worker has finished */
};

static void begin_contest(void *argument, struct neap_loop *left, struct neap_loop *right) {
    struct contest *contest = argument;
    neap_engine_init(&contest->engine);
    contest->pool = neap_pool_new(&contest->engine, NEAP_POOL_THREADS, 1, 0, NULL);
    CHECK(contest->pool != NULL);
    contest->left = left;
    contest->right = right;
    contest->ended = 0;
    actor_init(&contest->submitter, left);
    actor_init(&contest->worker, right);
}

/* Submits, cancels some, and terminates. */
static void submit_pieces(void *argument) {
    struct contest *contest = argument;
    struct actor *actor = &contest->submitter;
    for (int i = 0; i < PIECES; i++) {
        actor->links[0].message = parcel(i);
        actor->links[0].number = NEAP_POOL_QUIET;
        CHECK(act(actor, contest->pool, NEAP_POOL_SUBMIT, NEAP_FOREVER) == 0);
        contest->works[i] = work_of(actor);
        dawdle(200);
        if (chance(2) == 0) request(contest->works[i], NEAP_WORK_CANCEL, i);
    }
    if (chance(2) == 0)
        neap_pool_terminate(contest->pool);
    else
        neap_pool_close(contest->pool);
}

static void do_pieces(void *argument) {
    struct contest *contest = argument;
    struct actor *actor = &contest->worker;
    for (;;) {
        uint64_t id;
        actor->links[0].number = 1;
        if (act(actor, contest->pool, NEAP_POOL_TAKE, NEAP_FOREVER) != 0) break;
        int64_t value = taken(actor, &id);
        dawdle(100);
        if (chance(4) == 0)
            neap_pool_bury(contest->pool, 1, true, outcome_with(value));
        else if (end_work_of(contest->pool, id, NEAP_FUTURE_DONE, outcome_with(value)))
            contest->ended++;
    }
    neap_pool_end(contest->pool);
    CHECK(act(actor, contest->pool, NEAP_POOL_JOIN, NEAP_FOREVER) == 0);
    for (int i = 0; i < PIECES; i++) CHECK(neap_future_has_ended(&contest->works[i]->future));
}

static void check_contest(void *argument) {
    struct contest *contest = argument;
    struct neap_pool_stats stats;
    neap_pool_read_stats(contest->pool, &stats);
    int done = 0;
    for (int i = 0; i < PIECES; i++) {
        CHECK(neap_future_has_ended(&contest->works[i]->future));
        if (state_of(contest->works[i]) == NEAP_FUTURE_DONE) {
            CHECK(value_of(&neap_future_outcome(&contest->works[i]->future)->value) == i);
            done++;
        }
        let_go(contest->works[i]);
    }
    CHECK(done == contest->ended);
    CHECK(stats.done + stats.failed + stats.cancelled == PIECES && stats.running == 0 && stats.queued == 0);
    CHECK(!neap_engine_is_needed(&contest->engine));
    neap_object_unref(&contest->pool->object);
    neap_engine_fini(&contest->engine);
}

static void each_piece_ends_once_whatever_races(void **state) {
    (void)state;
    struct contest contest;
    run_race(&(struct race){begin_contest, submit_pieces, do_pieces, check_contest}, &contest, repeated(1000));
}

/* A series, which has begun or not by the time that the worker closes the pool. */
static void submit_series(void *argument) {
    struct contest *contest = argument;
    struct actor *actor = &contest->submitter;
    neap_series_init(&contest->series, contest->pool);
    actor->links[0].hold = &contest->series.hold;
    int code = act(actor, contest->pool, NEAP_POOL_BEGIN, NEAP_FOREVER);
    contest->begun = code == 0;
    CHECK(code == 0 || code == NEAP_CLOSED);
    for (int i = 0; i < PIECES && contest->begun; i++) {
        dawdle(100);
        actor->links[0].message = parcel(i);
        actor->links[0].number = NEAP_POOL_QUIET | NEAP_POOL_GOES_ON;
        CHECK(act(actor, contest->pool, NEAP_POOL_SUBMIT, NEAP_FOREVER) == 0);
        let_go(work_of(actor));
    }
    dawdle(100);
    if (contest->begun) CHECK(neap_hold_give_back(&contest->series.hold));
}

static void close_and_do_all(void *argument) {
    struct contest *contest = argument;
    struct actor *actor = &contest->worker;
    uint64_t id;
    dawdle(100);
    neap_pool_close(contest->pool);
    for (;;) {
        actor->links[0].number = 1;
        if (act(actor, contest->pool, NEAP_POOL_TAKE, NEAP_FOREVER) != 0) break;
        CHECK(taken(actor, &id) == contest->ended++); /* in the order in which they were submitted */
        CHECK(end_work_of(contest->pool, id, NEAP_FUTURE_DONE, NULL));
    }
}

static void check_series(void *argument) {
    struct contest *contest = argument;
    CHECK(contest->ended == (contest->begun ? PIECES : 0));
    CHECK(neap_pool_end(contest->pool) == 0);
    neap_object_unref(&contest->pool->object);
    neap_engine_fini(&contest->engine);
}

static void what_has_begun_is_done_whenever_the_pool_is_closed(void **state) {
    (void)state;
    struct contest contest;
    run_race(&(struct race){begin_contest, submit_series, close_and_do_all, check_series}, &contest, repeated(1000));
}

int main(void) {
    const struct CMUnitTest pool_ending_tests[] = {
        POOL_TEST(a_closed_pool_does_what_it_has),
        SHORT_TEST(who_is_in_line_when_it_is_closed_is_admitted_in_turn),
        SHORT_TEST(terminating_refuses_who_is_in_line),
        SHORT_TEST(who_leaves_the_line_of_a_closed_pool_keeps_nobody),
        POOL_TEST(terminating_cancels_what_is_queued_and_asks_what_runs),
        POOL_TEST(who_listens_learns_that_nothing_more_will_be_asked),
        POOL_TEST(what_was_asked_to_stop_is_not_missed_at_the_end),
        POOL_TEST(nothing_of_a_terminated_pool_is_missed),
        POOL_TEST(in_a_broken_pool_all_work_fails),
        POOL_TEST(a_series_goes_on_in_a_closed_pool),
        POOL_TEST(what_a_series_has_submitted_is_done_after_its_end),
        POOL_TEST(a_series_ends_with_its_owner),
        POOL_TEST(no_series_begins_in_a_closed_pool),
        POOL_TEST(terminating_refuses_a_series),
        POOL_TEST(so_does_the_end_of_the_workers),
        POOL_TEST(a_series_of_a_broken_pool_fails),
        POOL_TEST(there_is_haste_once_somebody_waits_for_the_end),
        SHORT_TEST(who_is_woken_by_a_cancellation_finds_the_work_cancelled),
        SHORT_TEST(who_is_woken_by_termination_finds_the_work_cancelled),
        SHORT_TEST(who_is_woken_by_a_break_finds_the_work_failed),
        SHORT_TEST(who_is_refused_finds_that_work_of_its_batch_has_failed),
        SHORT_TEST(so_does_who_is_refused_when_a_worker_dies),
        POOL_TEST(who_joins_finds_all_work_ended),
        POOL_TEST(the_pool_ends_after_its_work),
        POOL_TEST(who_joins_waits_for_who_still_ends_work),
    };
    const struct CMUnitTest pool_ending_races[] = {
        TEST(each_piece_ends_once_whatever_races),
        TEST(what_has_begun_is_done_whenever_the_pool_is_closed),
    };
    return run_once(pool_ending_tests) + run_once(pool_ending_races);
}
