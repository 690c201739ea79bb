#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "core/trap.h"

static struct neap_trap a, b;
static _Atomic int handled; /* by the handler that was there before */

static void handle(int signal) {
    (void)signal;
    atomic_fetch_add(&handled, 1);
}

static uint64_t bit(int signal) { return UINT64_C(1) << (signal - 1); }

static bool can_be_read(const struct neap_trap *trap) {
    struct pollfd entry = {.fd = trap->fd, .events = POLLIN};
    return poll(&entry, 1, 0) == 1;
}

static int make(void **state) {
    if (set_up(state) != 0) return -1;
    struct sigaction action = {.sa_handler = handle};
    atomic_store(&handled, 0);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGCHLD, &action, NULL) == 0);
    return neap_trap_init(&a) != 0 || neap_trap_init(&b) != 0;
}

static int drop(void **state) {
    neap_trap_fini(&a);
    neap_trap_fini(&b);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    return tear_down(state);
}

static void what_is_wanted_comes_once_and_does_nothing_else(void **state) {
    (void)state;
    assert_int_equal(neap_trap_want(&a, SIGUSR1), 0);
    assert_int_equal(neap_trap_take(&a), 0);
    assert_false(can_be_read(&a));
    raise(SIGUSR1);
    raise(SIGUSR1);
    assert_true(can_be_read(&a));
    assert_int_equal(neap_trap_take(&a), bit(SIGUSR1));
    assert_int_equal(neap_trap_take(&a), 0);
    assert_false(can_be_read(&a));
    assert_int_equal(atomic_load(&handled), 0);
    neap_trap_unwant(&a, SIGUSR1);
}

static void every_trap_that_wants_it_gets_it(void **state) {
    (void)state;
    assert_int_equal(neap_trap_want(&a, SIGUSR1), 0);
    assert_int_equal(neap_trap_want(&b, SIGUSR1), 0);
    assert_int_equal(neap_trap_want(&b, SIGUSR2), 0);
    raise(SIGUSR1);
    raise(SIGUSR2);
    assert_int_equal(neap_trap_take(&a), bit(SIGUSR1));
    assert_int_equal(neap_trap_take(&b), bit(SIGUSR1) | bit(SIGUSR2));
    neap_trap_unwant(&a, SIGUSR1);
    neap_trap_unwant(&b, SIGUSR1);
    neap_trap_unwant(&b, SIGUSR2);
}

static void what_nobody_wants_any_more_does_what_it_did(void **state) {
    (void)state;
    assert_int_equal(neap_trap_want(&a, SIGUSR1), 0);
    assert_int_equal(neap_trap_want(&a, SIGUSR1), 0);
    neap_trap_unwant(&a, SIGUSR1);
    raise(SIGUSR1);
    assert_int_equal(atomic_load(&handled), 0);
    neap_trap_unwant(&a, SIGUSR1);
    assert_int_equal(neap_trap_take(&a), bit(SIGUSR1));
    raise(SIGUSR1);
    assert_int_equal(atomic_load(&handled), 1);
    assert_int_equal(neap_trap_take(&a), 0);
}

static void a_handler_that_was_set_since_stays(void **state) {
    (void)state;
    assert_int_equal(neap_trap_want(&a, SIGUSR1), 0);
    struct sigaction action = {.sa_handler = SIG_IGN}, now;
    sigaction(SIGUSR1, &action, NULL);
    neap_trap_unwant(&a, SIGUSR1);
    sigaction(SIGUSR1, NULL, &now);
    assert_true(now.sa_handler == SIG_IGN);
}

static void what_ends_no_process_is_passed_on(void **state) {
    (void)state;
    assert_int_equal(neap_trap_want(&a, SIGCHLD), 0);
    raise(SIGCHLD);
    assert_int_equal(neap_trap_take(&a), bit(SIGCHLD));
    assert_int_equal(atomic_load(&handled), 1);
    neap_trap_unwant(&a, SIGCHLD);
}

static void not_every_signal_can_be_waited_for(void **state) {
    static const int never[] = {0, -1, NEAP_TRAP_SIGNALS + 1, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    (void)state;
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) assert_false(neap_trap_can(never[i]));
    assert_true(neap_trap_can(SIGTERM));
    assert_int_equal(neap_trap_want(&a, 32), -EINVAL); /* the C library's own */
    raise(SIGCHLD);
    assert_int_equal(neap_trap_take(&a), 0);
}

static _Atomic bool over;

static void *raise_all_the_time(void *argument) {
    while (!atomic_load(&over)) raise(SIGUSR2);
    return argument;
}

static void traps_come_and_go_while_signals_are_handled(void **state) {
    pthread_t thread;
    (void)state;
    atomic_store(&over, false);
    assert_int_equal(neap_trap_want(&a, SIGUSR2), 0);
    assert_int_equal(pthread_create(&thread, NULL, raise_all_the_time, NULL), 0);
    for (int i = 0; i < 500; i++) {
        struct neap_trap *trap = malloc(sizeof *trap);
        assert_int_equal(neap_trap_init(trap), 0);
        assert_int_equal(neap_trap_want(trap, SIGUSR2), 0);
        raise(SIGUSR2);
        assert_int_equal(neap_trap_take(trap), bit(SIGUSR2));
        neap_trap_unwant(trap, SIGUSR2);
        neap_trap_fini(trap);
        free(trap); /* a handler that still finds it is seen by the sanitizers */
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    neap_trap_unwant(&a, SIGUSR2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_wanted_comes_once_and_does_nothing_else, make, drop),
        cmocka_unit_test_setup_teardown(every_trap_that_wants_it_gets_it, make, drop),
        cmocka_unit_test_setup_teardown(what_nobody_wants_any_more_does_what_it_did, make, drop),
        cmocka_unit_test_setup_teardown(a_handler_that_was_set_since_stays, make, drop),
        cmocka_unit_test_setup_teardown(what_ends_no_process_is_passed_on, make, drop),
        cmocka_unit_test_setup_teardown(not_every_signal_can_be_waited_for, make, drop),
        cmocka_unit_test_setup_teardown(traps_come_and_go_while_signals_are_handled, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
