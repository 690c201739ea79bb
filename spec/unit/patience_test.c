#include "support.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/patience.h"
#include "io/offload.h"

enum { OFTEN_NS = 20 * 1000, SELDOM_NS = NEAP_MILLISECOND, RUNS = 4 };

static struct neap_patience patience;
static struct neap_patient patient;
static int64_t now;

static int policy(void) { return sched_getscheduler(0); }

/* For `span_ns`, a loop parks every `each_ns` with `runs` runnables between two parks. */
static void park(struct neap_patient *whose, int64_t span_ns, int64_t each_ns, uint32_t runs) {
    for (int64_t until = now + span_ns; now < until; now += each_ns) {
        whose->runs += runs;
        neap_patience_note_park(whose, now);
    }
}

static void be_busy(void) { park(&patient, 30 * NEAP_MILLISECOND, OFTEN_NS, RUNS); }

/* The same work in as much time. */
static void prove_it(void) { park(&patient, 120 * NEAP_MILLISECOND, 4 * OFTEN_NS, 4 * RUNS); }

/* The same work in ten times as much. */
static void get_slow(void) { park(&patient, 70 * NEAP_MILLISECOND, 10 * OFTEN_NS, RUNS); }

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    neap_patience_init(&patience);
    patient = (struct neap_patient){.patience = &patience};
    now = NEAP_SECOND;
    return 0;
}

static int drop(void **state) {
    neap_patience_leave(&patient);
    return tear_down(state);
}

static void who_parks_often_waits(void **state) {
    (void)state;
    assert_int_equal(policy(), SCHED_OTHER);
    be_busy();
    assert_int_equal(policy(), SCHED_BATCH);
    prove_it();
    assert_int_equal(policy(), SCHED_BATCH);
}

static void who_parks_seldom_does_not(void **state) {
    (void)state;
    park(&patient, NEAP_SECOND, SELDOM_NS, 100 * RUNS);
    assert_int_equal(policy(), SCHED_OTHER);
}

static void what_costs_too_much_is_given_up_for_a_while(void **state) {
    (void)state;
    int64_t last = 0;
    for (int i = 0; i < 4; i++) {
        while (policy() != SCHED_BATCH) be_busy();
        get_slow();
        assert_int_equal(policy(), SCHED_OTHER);
        int64_t from = now;
        while (policy() != SCHED_BATCH) be_busy();
        assert_in_range(now - from, last + last / 2, 60 * NEAP_SECOND); /* about twice as long each time */
        last = now - from;
        get_slow();
        last = last > 0 ? last : now - from;
    }
}

static void what_was_worth_it_may_be_so_again(void **state) {
    (void)state;
    be_busy();
    prove_it();
    get_slow(); /* there is less to do */
    assert_int_equal(policy(), SCHED_OTHER);
    be_busy();
    assert_int_equal(policy(), SCHED_BATCH);
}

static void what_is_idle_is_not_worth_it(void **state) {
    (void)state;
    be_busy();
    now += NEAP_SECOND;
    neap_patience_note_park(&patient, now);
    assert_int_equal(policy(), SCHED_OTHER);
}

static void who_has_slept_long_does_not_wait_until_it_parks(void **state) {
    (void)state;
    be_busy();
    neap_patience_note_wake(&patient, NEAP_MILLISECOND);
    assert_int_equal(policy(), SCHED_BATCH);
    neap_patience_note_wake(&patient, NEAP_SECOND);
    assert_int_equal(policy(), SCHED_OTHER);
    now += OFTEN_NS; /* others have not slept */
    neap_patience_note_park(&patient, now);
    assert_int_equal(policy(), SCHED_BATCH);
    neap_patience_note_wake(&patient, NEAP_SECOND);
    now += NEAP_SECOND; /* others have: one park is enough to tell */
    neap_patience_note_park(&patient, now);
    assert_int_equal(policy(), SCHED_OTHER);
}

static void adopt(void *argument) {
    struct neap_patient *other = argument;
    CHECK(policy() == SCHED_OTHER); /* not from who started us */
    park(other, NEAP_MILLISECOND, OFTEN_NS, RUNS);
    CHECK(other->waits && policy() == SCHED_BATCH);
    neap_patience_leave(other);
    CHECK(policy() == SCHED_OTHER);
    neap_patience_note_park(other, now); /* after that nothing happens */
    CHECK(policy() == SCHED_OTHER);
}

static void all_threads_do_it_together(void **state) {
    (void)state;
    struct neap_patient other = {.patience = &patience};
    struct helper helper;
    be_busy();
    neap_patience_lose(&patient);
    helper_start(&helper, adopt, &other);
    helper_join(&helper);
    neap_patience_note_park(&patient, now);
    assert_int_equal(policy(), SCHED_BATCH);
}

static void who_is_not_ours_is_left_alone(void **state) {
    (void)state;
    patient.patience = NULL;
    be_busy();
    assert_int_equal(policy(), SCHED_OTHER);
}

static void run_with_a_policy(void *argument) {
    struct sched_param none = {0};
    struct neap_patient other = {.patience = argument};
    CHECK(sched_setscheduler(0, SCHED_IDLE, &none) == 0);
    park(&other, 30 * NEAP_MILLISECOND, OFTEN_NS, RUNS);
    CHECK(policy() == SCHED_IDLE);
    neap_patience_leave(&other);
    CHECK(policy() == SCHED_IDLE);
}

static void a_policy_that_was_chosen_is_left_alone(void **state) {
    (void)state;
    struct helper helper;
    helper_start(&helper, run_with_a_policy, &patience);
    helper_join(&helper);
}

static void get_a_policy_meanwhile(void *argument) {
    struct sched_param none = {0};
    struct neap_patient other = {.patience = argument};
    park(&other, 30 * NEAP_MILLISECOND, OFTEN_NS, RUNS);
    CHECK(policy() == SCHED_BATCH);
    CHECK(sched_setscheduler(0, SCHED_IDLE, &none) == 0);
    neap_patience_lose(&other);
    CHECK(policy() == SCHED_IDLE);
    park(&other, 30 * NEAP_MILLISECOND, OFTEN_NS, RUNS);
    CHECK(policy() == SCHED_IDLE);
}

static void one_that_is_chosen_meanwhile_is_left_alone(void **state) {
    (void)state;
    struct helper helper;
    helper_start(&helper, get_a_policy_meanwhile, &patience);
    helper_join(&helper);
}

/* As who starts a program does. */
static void what_is_started_does_not_inherit_it(void **state) {
    (void)state;
    int status = 0;
    be_busy();
    here.patient = patient;
    neap_loop_lose_patience();
    patient = here.patient;
    here.patient.patience = NULL;
    pid_t child = fork();
    if (child == 0) _exit(policy() == SCHED_OTHER ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    neap_patience_note_park(&patient, now);
    assert_int_equal(policy(), SCHED_BATCH); /* again */
}

static int ask_for_the_policy(struct neap_offload *offload) {
    (void)offload;
    return policy();
}

/* Those of libuv, which stay: nothing in this program has needed them before. */
static void threads_of_libuv_do_not_inherit_it(void **state) {
    (void)state;
    struct neap_offload *offload = neap_alloc_zeroed(sizeof *offload);
    struct actor actor;
    neap_offload_init(offload, ask_for_the_policy, NULL);
    be_busy();
    here.patient = patient;
    neap_offload_start(offload, &here);
    patient = here.patient;
    here.patient.patience = NULL;
    actor_init(&actor, &here);
    assert_int_equal(act(&actor, offload, NEAP_OFFLOAD_END, NEAP_FOREVER), 0);
    assert_int_equal(offload->code, SCHED_OTHER);
    actor_end(&actor);
    neap_object_unref(&offload->object);
}

/* --- filters of system calls --- */

/* From here on who asks for a policy gets `action`. */
static bool filter(uint32_t action) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setscheduler, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* What becomes of a process with such a filter: the policy that it has in the end, 99 if there is no such filter here,
 * or the negative number of the signal that has killed it. */
static int be_busy_under(uint32_t action) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        if (!filter(action)) _exit(99);
        be_busy();
        _exit(policy());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void a_filter_that_kills_is_not_provoked(void **state) {
    (void)state;
    int outcome = be_busy_under(SECCOMP_RET_KILL_PROCESS);
    assert_true(outcome == SCHED_OTHER || outcome == 99);
}

static void one_that_refuses_is_obeyed(void **state) {
    (void)state;
    int outcome = be_busy_under(SECCOMP_RET_ERRNO | EPERM);
    assert_true(outcome == SCHED_OTHER || outcome == 99);
}

static void one_that_lets_it_pass_changes_nothing(void **state) {
    (void)state;
    int outcome = be_busy_under(SECCOMP_RET_ALLOW);
    assert_true(outcome == SCHED_BATCH || outcome == 99);
}

/* --- a loop --- */

struct again {
    struct neap_runnable runnable;
    uv_timer_t timer;
    uint64_t pause_ms;
};

static void on_again(uv_timer_t *timer) {
    struct again *again = timer->data;
    neap_loop_push(&here, &again->runnable);
}

static void run_again(struct neap_runnable *runnable) {
    struct again *again = NEAP_CONTAINER_OF(runnable, struct again, runnable);
    uv_timer_start(&again->timer, on_again, again->pause_ms, 0);
}

static bool is_patient(void *argument) {
    (void)argument;
    return here.patient.waits;
}

static bool is_not(void *argument) { return !is_patient(argument); }

static void a_loop_counts_parks_and_runs_and_notes_long_sleeps(void **state) {
    (void)state;
    struct again again = {.runnable = {.run = run_again}};
    uv_timer_init(neap_loop_uv(&here), &again.timer);
    again.timer.data = &again;
    here.parks_at_once = true;
    here.patient.patience = &patience;
    neap_loop_push(&here, &again.runnable);
    neap_loop_run(&here, is_patient, NULL);
    assert_int_equal(policy(), SCHED_BATCH);
    assert_true(patience.cost < NEAP_MILLISECOND);
    patience.cost = (double)NEAP_FOREVER; /* it stays wanted, however long this takes */
    again.pause_ms = 60;
    neap_loop_run(&here, is_not, NULL);
    assert_int_equal(policy(), SCHED_OTHER);
    assert_true(patience.wanted);
    uv_close((uv_handle_t *)&again.timer, NULL);
    uv_run(here.uv, UV_RUN_NOWAIT);
    settle(&here);
}

static int end_loop(void **state) {
    int result = tear_down(state);
    return policy() == SCHED_OTHER ? result : -1;
}

/* From here on the policy is the usual one, whatever it was. False: the system lets nobody choose. */
static bool may_choose(void) {
    struct sched_param none = {0};
    return sched_setscheduler(0, SCHED_OTHER, &none) == 0 && sched_setscheduler(0, SCHED_BATCH, &none) == 0 &&
           sched_setscheduler(0, SCHED_OTHER, &none) == 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_parks_often_waits, make, drop),
        cmocka_unit_test_setup_teardown(who_parks_seldom_does_not, make, drop),
        cmocka_unit_test_setup_teardown(what_costs_too_much_is_given_up_for_a_while, make, drop),
        cmocka_unit_test_setup_teardown(what_was_worth_it_may_be_so_again, make, drop),
        cmocka_unit_test_setup_teardown(what_is_idle_is_not_worth_it, make, drop),
        cmocka_unit_test_setup_teardown(who_has_slept_long_does_not_wait_until_it_parks, make, drop),
        cmocka_unit_test_setup_teardown(all_threads_do_it_together, make, drop),
        cmocka_unit_test_setup_teardown(who_is_not_ours_is_left_alone, make, drop),
        cmocka_unit_test_setup_teardown(a_policy_that_was_chosen_is_left_alone, make, drop),
        cmocka_unit_test_setup_teardown(one_that_is_chosen_meanwhile_is_left_alone, make, drop),
        cmocka_unit_test_setup_teardown(threads_of_libuv_do_not_inherit_it, make, drop),
        cmocka_unit_test_setup_teardown(what_is_started_does_not_inherit_it, make, drop),
        cmocka_unit_test_setup_teardown(a_filter_that_kills_is_not_provoked, make, drop),
        cmocka_unit_test_setup_teardown(one_that_refuses_is_obeyed, make, drop),
        cmocka_unit_test_setup_teardown(one_that_lets_it_pass_changes_nothing, make, drop),
        cmocka_unit_test_setup_teardown(a_loop_counts_parks_and_runs_and_notes_long_sleeps, make, end_loop),
    };
    if (!may_choose()) {
        print_message("the system lets nobody choose a policy\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
