#include "support.h"

#include <string.h>

#include "host/job.h"

static struct neap_job *job;
static int acted;

static void count(struct neap_job *cancelled) {
    CHECK(cancelled == job);
    acted++;
}

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    job = neap_job_new(&neap_task_job_class, here.mailbox, 7);
    if (job == NULL) return -1;
    job->on_cancel = count;
    job->task = job;
    acted = 0;
    return 0;
}

static int drop(void **state) {
    if (job != NULL) neap_object_unref(&job->future.object);
    return tear_down(state);
}

/* Asks it to stop, for the reason `value`. */
static bool cancel_for(int64_t value) {
    struct neap_message reason = parcel(value);
    bool asked = neap_job_cancel(job, &reason);
    if (!asked) neap_message_fini(&reason);
    return asked;
}

static void a_cancel_comes_through_the_mailbox_once(void **state) {
    (void)state;
    assert_true(cancel_for(1));
    assert_false(cancel_for(2));
    assert_int_equal(acted, 0);
    settle(&here);
    assert_int_equal(acted, 1);
    assert_true(job->cancel_arrived);
    neap_job_look(job);
    assert_int_equal(acted, 1);
}

static void who_looks_first_acts_and_what_comes_later_does_not(void **state) {
    (void)state;
    neap_job_look(job);
    assert_int_equal(acted, 0);
    assert_true(cancel_for(1));
    neap_job_look(job);
    assert_int_equal(acted, 1);
    settle(&here);
    assert_int_equal(acted, 1);
}

static void what_has_ended_is_not_asked(void **state) {
    (void)state;
    neap_future_end(&job->future, NEAP_FUTURE_DONE, neap_outcome_new());
    assert_false(cancel_for(1));
    settle(&here);
    assert_int_equal(acted, 0);
}

static void what_ended_before_the_cancel_came_does_not_act(void **state) {
    (void)state;
    assert_true(cancel_for(1));
    job->task = NULL;
    neap_future_end(&job->future, NEAP_FUTURE_DONE, neap_outcome_new());
    settle(&here);
    assert_int_equal(acted, 0);
}

static void one_that_begins_cancelled_acts_when_its_owner_looks(void **state) {
    (void)state;
    neap_job_cancel_early(job);
    assert_false(cancel_for(1));
    neap_job_look(job);
    neap_job_look(job);
    assert_int_equal(acted, 1);
}

static void a_timer_begins_or_is_cancelled_whoever_is_first(void **state) {
    (void)state;
    assert_true(neap_job_may_begin(job)); /* it is none */
    atomic_store(&job->race, NEAP_JOB_OPEN);
    assert_true(neap_job_may_begin(job));
    assert_false(cancel_for(1));
    settle(&here);
    assert_int_equal(acted, 0);
    atomic_store(&job->race, NEAP_JOB_OPEN);
    assert_true(cancel_for(1));
    assert_false(cancel_for(2));
    assert_false(neap_job_may_begin(job));
    settle(&here);
    assert_int_equal(acted, 1);
}

static void a_name_is_kept_and_cut(void **state) {
    (void)state;
    char name[NEAP_JOB_NAME_MAX + 1], longer[NEAP_JOB_NAME_MAX + 10];
    neap_job_get_name(job, name);
    assert_string_equal(name, "task-7");
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    neap_job_set_name(job, longer);
    neap_job_get_name(job, name);
    assert_int_equal(strlen(name), NEAP_JOB_NAME_MAX);
}

static void out_of_memory_makes_no_job(void **state) {
    (void)state;
    neap_memory_fail_after(0);
    assert_null(neap_job_new(&neap_thread_job_class, here.mailbox, 8));
    neap_memory_fail_after(-1);
}

int main(void) {
#define JOB_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)
    const struct CMUnitTest job_tests[] = {
        JOB_TEST(a_cancel_comes_through_the_mailbox_once),
        JOB_TEST(who_looks_first_acts_and_what_comes_later_does_not),
        JOB_TEST(what_has_ended_is_not_asked),
        JOB_TEST(what_ended_before_the_cancel_came_does_not_act),
        JOB_TEST(one_that_begins_cancelled_acts_when_its_owner_looks),
        JOB_TEST(a_timer_begins_or_is_cancelled_whoever_is_first),
        JOB_TEST(a_name_is_kept_and_cut),
        JOB_TEST(out_of_memory_makes_no_job),
    };
    return run_once(job_tests);
}
