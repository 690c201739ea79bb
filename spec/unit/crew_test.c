/* OS threads that rest between two bodies: what each body finds, how many rest and how long,
 * and that all are gone in the end. */
#include "host/crew.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include "support.h"

static struct neap_crew crew;

static int make(void **state) {
    neap_crew_init(&crew);
    crew.rest_ns = 3600 * NEAP_SECOND;
    return set_up(state);
}

static int drop(void **state) {
    neap_crew_leave(&crew);
    return tear_down(state);
}

static uint32_t rest_count(void) {
    neap_guard_lock(&crew.guard);
    uint32_t count = crew.rest_count;
    neap_guard_unlock(&crew.guard);
    return count;
}

static bool looks(void) {
    neap_guard_lock(&crew.guard);
    bool looking = crew.looking;
    neap_guard_unlock(&crew.guard);
    return looking;
}

static bool has_ended(void) {
    neap_guard_lock(&crew.guard);
    bool ended = !neap_list_is_empty(&crew.ended);
    neap_guard_unlock(&crew.guard);
    return ended;
}

static void await_rest(uint32_t count) {
    while (rest_count() != count) sched_yield();
}

/* --- bodies --- */

static _Thread_local int visits;

struct visit {
    pthread_t system;
    int visits;   /* of that OS thread, with this one */
    bool blocked; /* SIGUSR1 */
    atomic_bool begun;
    atomic_bool *gate; /* it waits until this is true; NULL: it does not */
};

static void visit(void *argument) {
    struct visit *self = argument;
    sigset_t mask;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    self->system = pthread_self();
    self->visits = ++visits;
    self->blocked = sigismember(&mask, SIGUSR1);
    atomic_store(&self->begun, true);
    while (self->gate != NULL && !atomic_load(self->gate)) sched_yield();
}

static void run_visit(struct visit *self) { assert_int_equal(neap_crew_run(&crew, visit, self), 0); }

static void count_up(void *argument) { atomic_fetch_add((atomic_int *)argument, 1); }

/* Is about to return, and takes its time. */
static void finish_slowly(void *argument) {
    struct visit *own = argument;
    own->visits = ++visits;
    neap_crew_finish();
    atomic_store(&own->begun, true);
    for (int i = 0; i < 1000; i++) sched_yield();
}

/* --- tests --- */

static void a_body_runs_on_a_thread_of_its_own(void **state) {
    struct visit first = {.visits = 0};
    (void)state;
    run_visit(&first);
    neap_crew_leave(&crew);
    assert_int_equal(first.visits, 1);
    assert_false(pthread_equal(first.system, pthread_self()));
}

static void who_rests_runs_the_next_body(void **state) {
    struct visit first = {.visits = 0}, second = {.visits = 0};
    (void)state;
    run_visit(&first);
    await_rest(1);
    run_visit(&second);
    await_rest(1);
    neap_crew_leave(&crew);
    assert_true(pthread_equal(first.system, second.system));
    assert_int_equal(second.visits, 2);
}

static void bodies_run_at_the_same_time_and_then_some_rest(void **state) {
    enum { COUNT = NEAP_CREW_RESTING + 3 };
    static struct visit all[COUNT];
    static atomic_bool gate;
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        all[i].gate = &gate;
        run_visit(&all[i]);
    }
    for (int i = 0; i < COUNT; i++)
        while (!atomic_load(&all[i].begun)) sched_yield();
    atomic_store(&gate, true);
    await_rest(NEAP_CREW_RESTING);
    while (!has_ended()) sched_yield();
    neap_crew_leave(&crew);
    assert_int_equal(rest_count(), 0);
}

static void who_has_rested_long_enough_ends(void **state) {
    atomic_int ran = 0;
    (void)state;
    crew.rest_ns = 1000;
    assert_int_equal(neap_crew_run(&crew, count_up, &ran), 0);
    while (!has_ended()) sched_yield();
    assert_int_equal(rest_count(), 0);
    assert_int_equal(neap_crew_run(&crew, count_up, &ran), 0);
    neap_crew_leave(&crew);
    assert_int_equal(atomic_load(&ran), 2);
}

/* For ever. */
static void let_one_look(void) {
    crew.has_processors = true;
    crew.look_ns = 3600 * NEAP_SECOND;
}

static void who_rests_last_looks_and_runs_the_next_body(void **state) {
    static atomic_bool first_gate, second_gate;
    struct visit first = {.gate = &first_gate}, second = {.gate = &second_gate}, third = {.visits = 0};
    (void)state;
    let_one_look();
    run_visit(&first);
    run_visit(&second);
    atomic_store(&first_gate, true);
    await_rest(1);
    assert_false(looks());
    atomic_store(&second_gate, true);
    await_rest(2);
    assert_true(looks());
    run_visit(&third);
    neap_crew_leave(&crew);
    assert_true(pthread_equal(third.system, second.system));
    assert_false(looks());
}

static void who_would_take_the_starters_processor_does_not_look(void **state) {
    struct visit first = {.visits = 0};
    (void)state;
    let_one_look();
    crew.has_processors = false;
    run_visit(&first);
    await_rest(1);
    assert_false(looks());
}

static void run_and_rest(void) {
    struct visit one = {.visits = 0};
    run_visit(&one);
    while (!atomic_load(&one.begun)) sched_yield();
    await_rest(1);
}

static void who_looks_in_vain_too_often_looks_now_and_then(void **state) {
    int rests = 1;
    (void)state;
    crew.has_processors = true;
    crew.look_ns = 0;
    for (int i = 0; i < 8; i++) {
        run_and_rest();
        while (looks()) sched_yield();
    }
    crew.look_ns = 3600 * NEAP_SECOND;
    for (run_and_rest(); !looks() && rests < 1000; rests++) run_and_rest();
    assert_in_range(rests, 10, 100);
    run_and_rest();
    assert_true(looks()); /* as one did not look in vain */
}

static void who_is_about_to_return_is_waited_for(void **state) {
    struct visit first = {.visits = 0}, second = {.visits = 0};
    (void)state;
    crew.has_processors = true;
    crew.wait_ns = 3600 * NEAP_SECOND;
    assert_int_equal(neap_crew_run(&crew, finish_slowly, &first), 0);
    while (!atomic_load(&first.begun)) sched_yield();
    run_visit(&second);
    neap_crew_leave(&crew);
    assert_int_equal(second.visits, 2);
}

static void a_body_has_the_signal_mask_of_who_runs_it(void **state) {
    struct visit plain = {.visits = 0}, blocked = {.visits = 0}, again = {.visits = 0};
    sigset_t mask, before;
    (void)state;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    run_visit(&plain);
    await_rest(1);
    pthread_sigmask(SIG_BLOCK, &mask, &before);
    run_visit(&blocked);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    await_rest(1);
    run_visit(&again);
    neap_crew_leave(&crew);
    assert_false(plain.blocked);
    assert_true(blocked.blocked);
    assert_false(again.blocked);
    assert_int_equal(again.visits, 3);
}

/* With its default action the signal would end us. */
static void who_rests_is_sent_no_signal(void **state) {
    struct visit open = {.visits = 0};
    sigset_t mask, before, pending;
    int number;
    (void)state;
    run_visit(&open);
    await_rest(1);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &mask, &before);
    kill(getpid(), SIGUSR1);
    sigpending(&pending);
    assert_true(sigismember(&pending, SIGUSR1));
    assert_int_equal(sigwait(&mask, &number), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_false(open.blocked);
}

static void leaving_waits_for_what_runs(void **state) {
    enum { COUNT = 5 };
    atomic_int ran = 0;
    (void)state;
    for (int round = 0; round < repeated(300); round++) {
        atomic_store(&ran, 0);
        for (int i = 0; i < COUNT; i++) assert_int_equal(neap_crew_run(&crew, count_up, &ran), 0);
        dawdle(3000);
        neap_crew_leave(&crew);
        assert_int_equal(atomic_load(&ran), COUNT);
    }
}

static void without_memory_nothing_runs(void **state) {
    atomic_int ran = 0;
    (void)state;
    neap_memory_fail_after(0);
    assert_int_equal(neap_crew_run(&crew, count_up, &ran), NEAP_NOMEM);
    neap_memory_fail_after(-1);
    neap_crew_leave(&crew);
    assert_int_equal(atomic_load(&ran), 0);
}

/* Bodies come just when those that rest have rested long enough. */
static void hand_out(void *argument) {
    for (int i = 0; i < repeated(300); i++) {
        CHECK(neap_crew_run(&crew, count_up, argument) == 0);
        dawdle(2000);
    }
}

static void every_body_runs_once_whoever_ends_meanwhile(void **state) {
    enum { COUNT = 3 };
    struct helper helpers[COUNT];
    atomic_int ran = 0;
    (void)state;
    crew.rest_ns = 30 * 1000;
    for (int i = 0; i < COUNT; i++) helper_start(&helpers[i], hand_out, &ran);
    for (int i = 0; i < COUNT; i++) helper_join(&helpers[i]);
    neap_crew_leave(&crew);
    assert_int_equal(atomic_load(&ran), COUNT * repeated(300));
}

int main(void) {
#define CREW_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)
    const struct CMUnitTest crew_tests[] = {
        CREW_TEST(a_body_runs_on_a_thread_of_its_own),
        CREW_TEST(who_rests_runs_the_next_body),
        CREW_TEST(bodies_run_at_the_same_time_and_then_some_rest),
        CREW_TEST(who_has_rested_long_enough_ends),
        CREW_TEST(who_rests_last_looks_and_runs_the_next_body),
        CREW_TEST(who_would_take_the_starters_processor_does_not_look),
        CREW_TEST(who_looks_in_vain_too_often_looks_now_and_then),
        CREW_TEST(who_is_about_to_return_is_waited_for),
        CREW_TEST(a_body_has_the_signal_mask_of_who_runs_it),
        CREW_TEST(who_rests_is_sent_no_signal),
        CREW_TEST(leaving_waits_for_what_runs),
        CREW_TEST(without_memory_nothing_runs),
        CREW_TEST(every_body_runs_once_whoever_ends_meanwhile),
    };
    return run_once(crew_tests);
}
