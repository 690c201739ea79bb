#include "support.h"

#include <sched.h>
#include <unistd.h>

#include "core/loop.h"
#include "sync/event.h"

/* A runnable that counts its runs. */
struct job {
    struct neap_runnable runnable;
    int runs;
    bool again; /* queues itself once more each time */
};

static int order[16], ordered; /* numbers of jobs as they ran */

static void count_run(struct neap_runnable *runnable) {
    struct job *job = NEAP_CONTAINER_OF(runnable, struct job, runnable);
    job->runs++;
    if (job->again) neap_loop_push(neap_loop_here, runnable);
}

static struct job job_that(bool again) { return (struct job){.runnable = {.run = count_run}, .again = again}; }

static bool flag_is_set(void *flag) { return *(bool *)flag; }

/* --- turns --- */

static struct job numbered[10];

static void note_number(struct neap_runnable *runnable) {
    order[ordered++] = (int)(NEAP_CONTAINER_OF(runnable, struct job, runnable) - numbered);
}

static void runs_in_the_order_of_pushing(void **state) {
    (void)state;
    ordered = 0;
    for (int i = 0; i < 10; i++) {
        numbered[i].runnable.run = note_number;
        neap_loop_push(&here, &numbered[i].runnable);
    }
    assert_true(neap_loop_has_ready(&here));
    settle(&here);
    assert_false(neap_loop_has_ready(&here));
    for (int i = 0; i < 10; i++) assert_int_equal(order[i], i);
}

static void a_flood_does_not_keep_timers_from_firing(void **state) {
    (void)state;
    struct actor sleeper;
    struct job flood[3] = {job_that(true), job_that(true), job_that(true)};
    actor_init(&sleeper, &here);
    for (int i = 0; i < 3; i++) neap_loop_push(&here, &flood[i].runnable);
    start_links(&sleeper, 0, soon(2000));
    assert_int_equal(finish(&sleeper), NEAP_TIMEOUT);
    for (int i = 0; i < 3; i++) flood[i].again = false;
    settle(&here);
    assert_true(flood[2].runs >= flood[0].runs - 1); /* in turn */
}

/* A runnable that ran too long each time, and another that it is to let through. */
static void note_and_be_late(struct neap_runnable *runnable) {
    note_number(runnable);
    if (ordered < 12) neap_loop_push_late(neap_loop_here, runnable);
}

static void note_and_come_again(struct neap_runnable *runnable) {
    note_number(runnable);
    if (ordered < 12) neap_loop_push(neap_loop_here, runnable);
    neap_loop_here->cut = 1;
}

static void who_is_late_is_let_in_one_at_a_time(void **state) {
    static const int expected[] = {0, 1, 2, 9, 9, 0, 9, 9, 1, 9, 9, 2};
    (void)state;
    ordered = 0;
    for (int i = 0; i < 3; i++) {
        numbered[i].runnable.run = note_and_be_late;
        neap_loop_push(&here, &numbered[i].runnable);
    }
    numbered[9].runnable.run = note_and_come_again;
    neap_loop_push(&here, &numbered[9].runnable);
    settle(&here);
    assert_false(neap_loop_has_ready(&here));
    assert_true(ordered >= 12);
    for (int i = 0; i < 12; i++) assert_int_equal(order[i], expected[i]);
}

/* One of a crowd that is ready; the last of them ends the run. */
static void count_down(struct neap_runnable *runnable) {
    struct job *job = NEAP_CONTAINER_OF(runnable, struct job, runnable);
    job->runs++;
    ordered--;
}

enum { CROWD = 2000, SLEEPERS = 3 };

static void who_is_due_does_not_wait_for_all_that_is_ready(void **state) {
    static struct job crowd[CROWD];
    struct actor sleepers[SLEEPERS];
    (void)state;
    ordered = CROWD;
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (struct job){.runnable = {.run = count_down}};
        neap_loop_push(&here, &crowd[i].runnable);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        actor_init(&sleepers[i], &here);
        assert_int_equal(start_links(&sleepers[i], 0, PASSED), NEAP_PARKED);
    }
    for (int i = 0; i < SLEEPERS; i++) assert_int_equal(finish(&sleepers[i]), NEAP_TIMEOUT);
    assert_true(ordered > 0);
    settle(&here);
    assert_int_equal(ordered, 0);
}

static void note_and_be_due_again(struct neap_runnable *runnable) {
    note_number(runnable);
    if (ordered < 12) neap_loop_push_due(neap_loop_here, runnable);
}

static void who_is_due_and_who_is_ready_take_turns(void **state) {
    static const int expected[] = {0, 9, 1, 9, 2, 9, 0, 9, 1, 9, 2, 9};
    (void)state;
    ordered = 0;
    for (int i = 0; i < 3; i++) {
        numbered[i].runnable.run = note_and_be_due_again;
        neap_loop_push_due(&here, &numbered[i].runnable);
    }
    numbered[9].runnable.run = note_and_come_again; /* even where each turn is cut short */
    neap_loop_push(&here, &numbered[9].runnable);
    settle(&here);
    assert_true(ordered >= 12);
    for (int i = 0; i < 12; i++) assert_int_equal(order[i], expected[i]);
}

/* --- passing --- */

static struct job *passing; /* who has parked, and is served by the others */
static int passed;          /* how often it went on where it was */
static bool nested;         /* could another one pass meanwhile? */

static void serve_passing(struct neap_runnable *runnable) {
    NEAP_CONTAINER_OF(runnable, struct job, runnable)->runs++;
    nested = neap_loop_pass(&here, runnable);
    neap_loop_push(&here, &passing->runnable);
}

static void park_once(struct neap_runnable *runnable) {
    NEAP_CONTAINER_OF(runnable, struct job, runnable)->runs++;
    if (NEAP_CONTAINER_OF(runnable, struct job, runnable)->runs == 1) passed += neap_loop_pass(&here, runnable);
}

/* A loop that knows nothing of earlier passes. */
static void prepare_passing(struct job *parking, struct job *serving) {
    *parking = (struct job){.runnable = {.run = park_once}};
    *serving = (struct job){.runnable = {.run = serve_passing}};
    passing = parking;
    passed = 0;
    neap_loop_push(&here, &parking->runnable);
}

static void who_parks_goes_on_where_it_is_when_the_next_one_serves_it(void **state) {
    struct job parking, serving, last = job_that(false);
    (void)state;
    prepare_passing(&parking, &serving);
    neap_loop_push(&here, &serving.runnable);
    settle(&here);
    assert_int_equal(passed, 1);
    assert_int_equal(parking.runs, 1);
    prepare_passing(&parking, &serving);
    neap_loop_push(&here, &serving.runnable);
    neap_loop_push(&here, &last.runnable); /* whose turn it is then */
    settle(&here);
    assert_int_equal(passed, 0);
    assert_int_equal(parking.runs, 2);
    assert_int_equal(last.runs, 1);
}

static void pass_when_served(struct neap_runnable *runnable) {
    struct job *parking = NEAP_CONTAINER_OF(runnable, struct job, runnable);
    if (parking->runs++ > 0) return;
    neap_loop_push(&here, runnable);
    passed += neap_loop_pass(&here, runnable);
}

static void who_is_served_before_it_passes_goes_on_at_once(void **state) {
    struct job parking, serving;
    (void)state;
    prepare_passing(&parking, &serving);
    parking.runnable.run = pass_when_served;
    settle(&here);
    assert_int_equal(passed, 1);
    assert_int_equal(parking.runs, 1);
}

static void who_runs_while_another_is_parked_cannot_pass(void **state) {
    struct job parking, serving;
    (void)state;
    nested = true;
    prepare_passing(&parking, &serving);
    neap_loop_push(&here, &serving.runnable);
    settle(&here);
    assert_int_equal(serving.runs, 1);
    assert_false(nested);
}

static void serve_until_told(struct neap_runnable *runnable) {
    (void)runnable;
    neap_loop_push(&here, &passing->runnable);
}

static void pass_until_told(struct neap_runnable *runnable) {
    static struct job serving = {.runnable = {.run = serve_until_told}};
    struct job *parking = NEAP_CONTAINER_OF(runnable, struct job, runnable);
    parking->runs++;
    while (parking->again) {
        neap_loop_push(&here, &serving.runnable);
        if (!neap_loop_pass(&here, runnable)) return;
    }
}

static void who_passes_for_ever_does_not_keep_timers_from_firing(void **state) {
    struct job parking, serving;
    struct actor sleeper;
    (void)state;
    prepare_passing(&parking, &serving);
    parking.runnable.run = pass_until_told;
    serving.runnable.run = serve_until_told;
    parking.again = true;
    actor_init(&sleeper, &here);
    start_links(&sleeper, 0, soon(2000));
    assert_int_equal(finish(&sleeper), NEAP_TIMEOUT);
    assert_true(parking.runs > 0);
    parking.again = false;
    settle(&here);
}

static void who_gives_way_comes_back_in_turn(void **state) {
    (void)state;
    struct job job = job_that(true);
    neap_loop_give_way(&here);
    neap_loop_push(&here, &job.runnable);
    for (int i = 1; i <= 3; i++) {
        neap_loop_give_way(&here);
        assert_int_equal(job.runs, i);
    }
    job.again = false;
    settle(&here);
}

static void loops_nest(void **state) {
    (void)state;
    struct actor outer, inner;
    actor_init(&outer, &here);
    actor_init(&inner, &here);
    start_links(&outer, 0, soon(300));
    start_links(&inner, 0, soon(100));
    assert_int_equal(finish(&inner), NEAP_TIMEOUT);
    assert_ptr_equal(neap_loop_here, &here);
    assert_int_equal(finish(&outer), NEAP_TIMEOUT);
}

static void draining_runs_what_there_is(void **state) {
    (void)state;
    struct job local = job_that(false), posted = job_that(false);
    neap_loop_push(&here, &local.runnable);
    neap_mailbox_post(here.mailbox, &posted.runnable);
    neap_mailbox_notify(here.mailbox);
    neap_loop_drain(&here);
    assert_int_equal(local.runs + posted.runs, 2);
    neap_mailbox_notify(here.mailbox); /* and nothing else */
    neap_loop_drain(&here);
    assert_false(neap_loop_has_ready(&here));
}

static void what_was_posted_before_the_end_is_run(void **state) {
    (void)state;
    struct neap_loop loop;
    struct job late = job_that(false);
    assert_int_equal(neap_loop_init(&loop, NULL, NULL), 0);
    struct neap_mailbox *mailbox = neap_mailbox_ref(loop.mailbox);
    neap_mailbox_post(mailbox, &late.runnable);
    neap_loop_fini(&loop);
    assert_int_equal(late.runs, 1);
    assert_int_equal(neap_mailbox_post(mailbox, &late.runnable), NEAP_GONE);
    neap_mailbox_unref(mailbox);
}

/* --- deadlines --- */

static void none_fires_early_and_all_in_order(void **state) {
    (void)state;
    enum { MANY = 200 };
    struct actor sleepers[MANY];
    int64_t deadlines[MANY], last = 0;
    for (int i = 0; i < MANY; i++) {
        actor_init(&sleepers[i], &here);
        deadlines[i] = soon(chance(4000));
        start_links(&sleepers[i], 0, deadlines[i]);
    }
    for (int i = 0; i < MANY; i++)
        if (deadlines[i] > last) last = deadlines[i];
    while (here.timers.count > 0) { /* some may have passed already, or all */
        assert_true(neap_timers_next(&here.timers) <= last);
        struct neap_wait *next = here.timers.heap[0].wait;
        finish(NEAP_CONTAINER_OF(next, struct actor, wait));
        int64_t now = neap_clock_now();
        for (int i = 0; i < MANY; i++)
            if (sleepers[i].code != NEAP_PARKED) assert_true(now >= deadlines[i]);
    }
    settle(&here);
    for (int i = 0; i < MANY; i++) assert_int_equal(sleepers[i].code, NEAP_TIMEOUT);
}

static void a_sleep_can_be_interrupted(void **state) {
    (void)state;
    struct actor sleeper;
    actor_init(&sleeper, &here);
    assert_int_equal(start_links(&sleeper, 0, 0), NEAP_TIMEOUT);
    start_links(&sleeper, 0, NEAP_FOREVER);
    assert_true(cancel(&sleeper));
    assert_false(cancel(&sleeper));
    assert_int_equal(finish(&sleeper), NEAP_CANCELLED);
    assert_int_equal(here.timers.count, 0);
}

/* --- libuv --- */

static void set_on_timer(uv_timer_t *timer) { *(bool *)timer->data = true; }

static void set_on_close(uv_handle_t *handle) { *(bool *)handle->data = true; }

static void close_handle(uv_handle_t *handle) {
    bool closed = false;
    handle->data = &closed;
    uv_close(handle, set_on_close);
    neap_loop_run(&here, flag_is_set, &closed);
}

static void a_timer_of_libuv_fires(void **state) {
    (void)state;
    uv_timer_t timer;
    bool fired = false;
    uv_loop_t *uv = neap_loop_uv(&here);
    assert_non_null(uv);
    assert_ptr_equal(neap_loop_uv(&here), uv);
    uv_timer_init(uv, &timer);
    timer.data = &fired;
    uv_timer_start(&timer, set_on_timer, 2, 0);
    neap_loop_run(&here, flag_is_set, &fired);
    close_handle((uv_handle_t *)&timer);
}

static void note_readable(uv_poll_t *poll, int status, int events) {
    CHECK(status == 0 && events & UV_READABLE);
    char byte;
    CHECK(read(*(int *)poll->data, &byte, 1) == 1);
    uv_poll_stop(poll);
    *(int *)poll->data = -1;
}

static bool was_read(void *descriptor) { return *(int *)descriptor < 0; }

static void write_byte(void *argument) { CHECK(write(*(int *)argument, "x", 1) == 1); }

static void a_pipe_wakes_a_loop_that_is_parked_in_libuv(void **state) {
    (void)state;
    for (int i = 0; i < repeated(100); i++) {
        int ends[2], in;
        uv_poll_t poll;
        struct helper helper;
        assert_int_equal(pipe(ends), 0);
        uv_poll_init(neap_loop_uv(&here), &poll, ends[0]);
        in = ends[0];
        poll.data = &in;
        uv_poll_start(&poll, UV_READABLE, note_readable);
        helper_start(&helper, write_byte, &ends[1]);
        neap_loop_run(&here, was_read, &in);
        helper_join(&helper);
        close_handle((uv_handle_t *)&poll);
        close(ends[0]);
        close(ends[1]);
    }
}

static void deadlines_pass_while_parked_in_libuv(void **state) {
    (void)state;
    struct actor sleeper;
    actor_init(&sleeper, &here);
    neap_loop_uv(&here);
    int64_t deadline = soon(3000);
    start_links(&sleeper, 0, deadline);
    assert_int_equal(finish(&sleeper), NEAP_TIMEOUT);
    assert_true(neap_clock_now() >= deadline);
}

static void a_deadline_that_passes_on_the_way_into_libuv_is_not_slept_over(void **state) {
    struct actor sleeper;
    (void)state;
    assert_non_null(neap_loop_uv(&here));
    actor_init(&sleeper, &here);
    for (int64_t ns = 0; ns < 8000; ns += 4) {
        start_links(&sleeper, 0, neap_clock_now() + ns);
        assert_int_equal(finish(&sleeper), NEAP_TIMEOUT);
    }
}

struct rung {
    struct neap_runnable runnable;
    bool done;
};

static void ring_back(struct neap_runnable *runnable) { ((struct rung *)runnable)->done = true; }

static void push_on_timer(uv_timer_t *timer) { neap_loop_push(&here, &((struct rung *)timer->data)->runnable); }

/* The timer is due when the loop goes to sleep in libuv, and nothing else will come. */
static void what_libuv_makes_ready_on_the_way_to_sleep_is_not_slept_over(void **state) {
    (void)state;
    struct rung rung = {.runnable = {.run = ring_back}};
    uv_timer_t timer;
    uv_timer_init(neap_loop_uv(&here), &timer);
    timer.data = &rung;
    for (int i = 0; i < 50; i++) {
        rung.done = false;
        uv_update_time(timer.loop);
        uv_timer_start(&timer, push_on_timer, (uint64_t)(i % 3), 0);
        neap_loop_run(&here, flag_is_set, &rung.done);
    }
    close_handle((uv_handle_t *)&timer);
}

/* The same, and it says that the run is over. */
static void what_libuv_makes_true_on_the_way_to_sleep_is_not_slept_over(void **state) {
    (void)state;
    uv_timer_t timer;
    uv_timer_init(neap_loop_uv(&here), &timer);
    for (int i = 0; i < 50; i++) {
        bool fired = false;
        timer.data = &fired;
        uv_update_time(timer.loop);
        uv_timer_start(&timer, set_on_timer, (uint64_t)(i % 3), 0);
        neap_loop_run(&here, flag_is_set, &fired);
    }
    close_handle((uv_handle_t *)&timer);
}

static void a_flood_does_not_keep_libuv_from_its_turn(void **state) {
    (void)state;
    struct job flood = job_that(true);
    uv_timer_t timer;
    bool fired = false;
    uv_timer_init(neap_loop_uv(&here), &timer);
    timer.data = &fired;
    uv_timer_start(&timer, set_on_timer, 1, 0);
    neap_loop_push(&here, &flood.runnable);
    neap_loop_run(&here, flag_is_set, &fired);
    flood.again = false;
    close_handle((uv_handle_t *)&timer);
}

/* Each time that its timer fires it is made ready, and sets that again. */
struct chain {
    struct neap_runnable runnable;
    uv_timer_t timer;
    uv_prepare_t look;
    int left, looks; /* looks: of libuv at what has come */
};

static void count_look(uv_prepare_t *look) { ((struct chain *)look->data)->looks++; }

static void push_next(uv_timer_t *timer) { neap_loop_push(&here, &((struct chain *)timer->data)->runnable); }

static void set_timer_again(struct neap_runnable *runnable) {
    struct chain *chain = NEAP_CONTAINER_OF(runnable, struct chain, runnable);
    if (--chain->left > 0) uv_timer_start(&chain->timer, push_next, 1, 0);
}

static bool is_at_its_end(void *argument) { return ((struct chain *)argument)->left == 0; }

static void what_has_come_is_asked_for_once(void **state) {
    (void)state;
    struct chain chain = {.runnable = {.run = set_timer_again}, .left = 101};
    here.parks_at_once = true;
    uv_timer_init(neap_loop_uv(&here), &chain.timer);
    uv_prepare_init(here.uv, &chain.look);
    chain.timer.data = chain.look.data = &chain;
    uv_prepare_start(&chain.look, count_look);
    neap_loop_push(&here, &chain.runnable);
    neap_loop_run(&here, is_at_its_end, &chain);
    assert_in_range(chain.looks, 100, 150); /* not twice as many */
    close_handle((uv_handle_t *)&chain.timer);
    close_handle((uv_handle_t *)&chain.look);
}

static void out_of_memory_is_an_answer(void **state) {
    (void)state;
    struct neap_loop loop;
    neap_memory_fail_after(0);
    assert_int_equal(neap_loop_init(&loop, NULL, NULL), NEAP_NOMEM);
    neap_memory_fail_after(0);
    assert_null(neap_loop_uv(&here));
    neap_memory_fail_after(-1);
    assert_non_null(neap_loop_uv(&here));
}

/* --- other threads --- */

struct floods {
    struct neap_mailbox *mailbox;
    struct job jobs[1000];
    int sent;
    atomic_bool stop;
};

static void count_posted(struct neap_runnable *runnable) { NEAP_CONTAINER_OF(runnable, struct job, runnable)->runs++; }

static void post_all(void *argument) {
    struct floods *floods = argument;
    for (int i = 0; i < 1000; i++) {
        floods->jobs[i].runnable.run = count_posted;
        CHECK(neap_mailbox_post(floods->mailbox, &floods->jobs[i].runnable) == 0);
        if (chance(20) == 0) dawdle(3000); /* lets it park */
    }
}

static bool all_have_run(void *argument) {
    const struct floods *floods = argument;
    for (int i = 999; i >= 0; i--)
        if (floods->jobs[i].runs == 0) return false;
    return true;
}

static void receive_posts(bool in_libuv) {
    for (int round = 0; round < repeated(5); round++) {
        static struct floods floods;
        struct helper helper;
        floods = (struct floods){.mailbox = here.mailbox};
        if (in_libuv) assert_non_null(neap_loop_uv(&here));
        helper_start(&helper, post_all, &floods);
        neap_loop_run(&here, all_have_run, &floods);
        helper_join(&helper);
        for (int i = 0; i < 1000; i++) assert_int_equal(floods.jobs[i].runs, 1);
    }
}

static void posts_wake_a_loop_that_is_parked(void **state) {
    (void)state;
    receive_posts(false);
}

static void posts_wake_a_loop_that_is_parked_in_libuv(void **state) {
    (void)state;
    receive_posts(true);
}

/* A predicate that another thread makes true: who notifies is never slept through. */
struct flipping {
    atomic_int value;
    struct neap_mailbox *mailbox;
    int rounds, expected;
    atomic_bool seen;
};

static void flip(void *argument) {
    struct flipping *flipping = argument;
    for (int i = 1; i <= flipping->rounds; i++) {
        dawdle(chance(3) == 0 ? 5000 : 50);
        atomic_store_explicit(&flipping->value, i, memory_order_relaxed);
        neap_mailbox_notify(flipping->mailbox);
        while (!atomic_exchange(&flipping->seen, false)) sched_yield();
    }
}

static bool has_flipped(void *argument) {
    struct flipping *flipping = argument;
    return atomic_load_explicit(&flipping->value, memory_order_relaxed) == flipping->expected;
}

static void see_flips(int rounds) {
    struct flipping flipping = {.mailbox = here.mailbox, .rounds = rounds};
    struct helper helper;
    helper_start(&helper, flip, &flipping);
    for (int i = 1; i <= flipping.rounds; i++) {
        flipping.expected = i;
        neap_loop_run(&here, has_flipped, &flipping);
        atomic_store(&flipping.seen, true);
    }
    helper_join(&helper);
}

static void notifications_are_never_slept_through(void **state) {
    (void)state;
    see_flips(repeated(2000));
}

static void spins_less_and_less_often_until_another_thread_wakes_it(void **state) {
    (void)state;
    struct actor sleeper;
    actor_init(&sleeper, &here);
    uint32_t first = here.probe_parks;
    while (here.probe_parks < 4 * first) {
        start_links(&sleeper, 0, soon(150));
        assert_int_equal(finish(&sleeper), NEAP_TIMEOUT);
    }
    while (here.probe_parks > first) see_flips(100);
}

/* --- nothing can happen any more --- */

static atomic_int busy;
static atomic_int stuck_calls;
static struct neap_event *rescue;

static void be_stuck(struct neap_loop *loop) {
    (void)loop;
    atomic_fetch_add(&stuck_calls, 1);
    neap_event_set(rescue); /* lets both go */
}

static void wait_for_each_other(void *argument) {
    struct neap_loop loop;
    struct actor actor;
    (void)argument;
    struct neap_loop *outer = neap_loop_here;
    CHECK(neap_loop_init(&loop, &busy, be_stuck) == 0);
    neap_loop_here = &loop;
    actor_init(&actor, &loop);
    CHECK(act(&actor, rescue, NEAP_EVENT_WAIT, NEAP_FOREVER) == 0);
    settle(&loop);
    neap_loop_fini(&loop);
    atomic_fetch_sub(&busy, 1);
    neap_loop_here = outer;
}

static void loops_that_wait_for_each_other_are_found(void **state) {
    (void)state;
    for (int i = 0; i < repeated(200); i++) {
        struct helper helpers[2];
        rescue = neap_event_new();
        neap_object_share(&rescue->object);
        atomic_store(&busy, 3); /* the two, and ourselves until both run */
        atomic_store(&stuck_calls, 0);
        for (int k = 0; k < 2; k++) helper_start(&helpers[k], wait_for_each_other, NULL);
        wait_for_each_other(NULL); /* counted as the third */
        for (int k = 0; k < 2; k++) helper_join(&helpers[k]);
        assert_int_equal(atomic_load(&stuck_calls), 1);
        assert_int_equal(atomic_load(&busy), 0);
        neap_object_unref(&rescue->object);
    }
}

static void fail_if_stuck(struct neap_loop *loop) {
    (void)loop;
    fail_check(__FILE__, __LINE__, "stuck, though something can still happen");
}

static void a_deadline_or_a_handle_is_something_that_can_happen(void **state) {
    (void)state;
    struct neap_loop loop;
    struct actor sleeper;
    uv_timer_t timer;
    bool fired = false;
    atomic_store(&busy, 1);
    assert_int_equal(neap_loop_init(&loop, &busy, fail_if_stuck), 0);
    neap_loop_here = &loop;
    actor_init(&sleeper, &loop);
    start_links(&sleeper, 0, soon(500));
    assert_int_equal(finish(&sleeper), NEAP_TIMEOUT);
    uv_timer_init(neap_loop_uv(&loop), &timer);
    timer.data = &fired;
    uv_timer_start(&timer, set_on_timer, 2, 0);
    neap_loop_run(&loop, flag_is_set, &fired);
    uv_close((uv_handle_t *)&timer, NULL);
    neap_loop_here = &here;
    neap_loop_fini(&loop);
}

/* Another thread's part: it makes our predicate true, and leaves the count, after our first look at the predicate. Its
 * notification is still to come. */
static bool is_done_from_the_second_look_on(void *looks) {
    int *count = looks;
    if (++*count == 1) atomic_fetch_sub(&busy, 1);
    return *count > 1;
}

static void who_is_done_is_not_stuck(void **state) {
    (void)state;
    struct neap_loop loop;
    int looks = 0;
    atomic_store(&busy, 2);
    assert_int_equal(neap_loop_init(&loop, &busy, fail_if_stuck), 0);
    neap_loop_run(&loop, is_done_from_the_second_look_on, &looks);
    assert_int_equal(atomic_load(&busy), 1);
    neap_loop_fini(&loop);
}

int main(void) {
    const struct CMUnitTest loop_tests[] = {
        TEST(runs_in_the_order_of_pushing),
        TEST(a_flood_does_not_keep_timers_from_firing),
        TEST(who_is_late_is_let_in_one_at_a_time),
        TEST(who_is_due_does_not_wait_for_all_that_is_ready),
        TEST(who_is_due_and_who_is_ready_take_turns),
        TEST(who_parks_goes_on_where_it_is_when_the_next_one_serves_it),
        TEST(who_is_served_before_it_passes_goes_on_at_once),
        TEST(who_runs_while_another_is_parked_cannot_pass),
        TEST(who_passes_for_ever_does_not_keep_timers_from_firing),
        TEST(who_gives_way_comes_back_in_turn),
        TEST(loops_nest),
        TEST(draining_runs_what_there_is),
        TEST(what_was_posted_before_the_end_is_run),
        TEST(none_fires_early_and_all_in_order),
        TEST(a_sleep_can_be_interrupted),
        TEST(a_timer_of_libuv_fires),
        TEST(a_pipe_wakes_a_loop_that_is_parked_in_libuv),
        TEST(deadlines_pass_while_parked_in_libuv),
        TEST(a_deadline_that_passes_on_the_way_into_libuv_is_not_slept_over),
        TEST(what_libuv_makes_ready_on_the_way_to_sleep_is_not_slept_over),
        TEST(what_libuv_makes_true_on_the_way_to_sleep_is_not_slept_over),
        TEST(a_flood_does_not_keep_libuv_from_its_turn),
        TEST(what_has_come_is_asked_for_once),
        TEST(out_of_memory_is_an_answer),
        TEST(posts_wake_a_loop_that_is_parked),
        TEST(posts_wake_a_loop_that_is_parked_in_libuv),
        TEST(notifications_are_never_slept_through),
        TEST(spins_less_and_less_often_until_another_thread_wakes_it),
        TEST(loops_that_wait_for_each_other_are_found),
        TEST(a_deadline_or_a_handle_is_something_that_can_happen),
        TEST(who_is_done_is_not_stuck),
    };
    return run_once(loop_tests);
}
