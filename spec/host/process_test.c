/* Child processes of a host: this program is their program too. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bindings/neap.h"
#include "support.h"

static void name_ourselves(struct neap_config *changed) { changed->child_program = "/proc/self/exe"; }

static void have_a_thread(struct neap_config *changed) {
    name_ourselves(changed);
    changed->drive = NEAP_DRIVE_THREAD;
}

static void name_nothing_that_exists(struct neap_config *changed) { changed->child_program = "./no/such/neap"; }

static int make(void **state) {
    (void)state;
    return make_engine(name_ourselves);
}

static int make_threaded(void **state) {
    (void)state;
    return make_engine(have_a_thread);
}

static int make_lost(void **state) {
    (void)state;
    return make_engine(name_nothing_that_exists);
}

static int drop(void **state) {
    (void)state;
    return drop_engine();
}

static void a_process_runs_the_program_that_the_host_names(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "local function sum(...) local s = 0 for _, n in ipairs {...} do s = s + n end return s, neap.getppid() end\n"
        "local s, parent = neap.process(sum, 1, 2, 3):join()\n"
        "assert(s == 6 and parent == neap.getpid())",
        0);
}

static void a_pool_of_processes_works(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "local p <close> = neap.pool {workers = 2, kind = 'process'}\n"
        "local squares = p:map(function(n) return n * n end, {1, 2, 3, 4})\n"
        "assert(table.concat(squares, ' ') == '1 4 9 16')",
        0);
}

static void what_a_child_prints_goes_to_the_host(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "neap.process(function() io.write('a ', 'line\\n', 'no end') io.stderr:write('an error\\n') end):join()",
        0);
    assert_string_equal(told.output, "a line\nno end");
    assert_string_equal(told.log, "an error\n");
}

static void a_child_that_fails_or_is_killed_is_an_error(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "local p = neap.process(error, 'it failed', 0)\n"
        "local ok, message = pcall(p.join, p)\n"
        "assert(not ok and message == 'it failed', message)\n"
        "p = neap.process(neap.sleep, 1000)\n"
        "p:kill()\n"
        "p:wait()\n"
        "assert(p.exitcode == -9, p.exitcode)",
        0);
    assert_int_equal(told.failed, 0);
}

static void a_failure_that_nobody_awaits_reaches_the_error_sink(void **state) {
    (void)state;
    assert_int_equal(neap_engine_run_string(engine, "require 'neap'.process({name = 'p'}, error, 'it failed', 0)"), 0);
    assert_int_equal(told.failed, 1);
    assert_non_null(strstr(told.failures, "it failed"));
}

static void a_program_that_is_not_there_is_an_outcome(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "local p, message, code = neap.process(print)\n"
        "assert(p == nil and code == 'ENOENT' and message:find('./no/such/neap', 1, true), message)",
        0);
}

static void freeing_the_engine_ends_its_children(void **state) {
    struct neap_value pid;
    (void)state;
    run("local neap = require 'neap'\n"
        "local up = neap.channel(1)\n"
        "p = neap.process({daemon = true}, function(up) up:send(true) neap.sleep(1000) end, up)\n"
        "up:recv()",
        0);
    assert_int_equal(neap_engine_get(engine, "p", &pid), 0);
    neap_value_clear(&pid);
    run("pid = p.pid", 0);
    assert_int_equal(neap_engine_get(engine, "pid", &pid), 0);
    assert_int_equal(kill((pid_t)pid.as.integer, 0), 0);
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(kill((pid_t)pid.as.integer, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(make_engine(name_ourselves), 0);
}

/* A thread of the host that answers what comes from a child. */
struct echo {
    struct neap_object *from, *to;
    int answered;
};

static void *answer(void *argument) {
    struct echo *echo = argument;
    struct neap_value value;
    while (neap_channel_recv(echo->from, &value, NEAP_NO_TIMEOUT) == 0) {
        CHECK(value.kind == NEAP_INTEGER);
        value.as.integer *= 2;
        CHECK(neap_channel_send(echo->to, &value, NEAP_NO_TIMEOUT) == 0);
        neap_value_clear(&value);
        echo->answered++;
    }
    return NULL;
}

static void a_thread_of_the_host_and_a_child_exchange_values(void **state) {
    struct echo echo = {NULL, NULL, 0};
    struct neap_value value;
    pthread_t thread;
    (void)state;
    assert_int_equal(neap_channel_create(0, &echo.from), 0);
    assert_int_equal(neap_channel_create(4, &echo.to), 0);
    value = neap_object_value(echo.from);
    assert_int_equal(neap_engine_set(engine, "up", &value), 0);
    value = neap_object_value(echo.to);
    assert_int_equal(neap_engine_set(engine, "down", &value), 0);
    pthread_create(&thread, NULL, answer, &echo);
    run("local neap = require 'neap'\n"
        "local function ask(up, down)\n"
        "    for i = 1, 100 do up:send(i) assert(down:recv() == 2 * i) end\n"
        "    up:close()\n"
        "end\n"
        "neap.process(ask, up, down):join()\n"
        "up, down = nil collectgarbage()",
        0);
    pthread_join(thread, NULL);
    assert_int_equal(echo.answered, 100);
    neap_object_drop(echo.from);
    neap_object_drop(echo.to);
}

static void the_end_of_a_process_and_of_a_future_can_be_awaited(void **state) {
    struct neap_value value;
    (void)state;
    run("local neap = require 'neap'\n"
        "p = neap.process({daemon = true}, function() return 1 end)\n"
        "q = neap.process({daemon = true}, neap.sleep, 1000)\n"
        "pool = neap.pool(1)\n"
        "f = pool:submit(function() return 2 end)\n"
        "f:wait() pool:join()",
        0);
    assert_int_equal(neap_engine_get(engine, "p", &value), 0);
    assert_string_equal(neap_object_kind(value.as.object), "process");
    assert_int_equal(neap_object_wait(value.as.object, NEAP_NO_TIMEOUT), 0);
    neap_value_clear(&value);
    assert_int_equal(neap_engine_get(engine, "q", &value), 0);
    assert_int_equal(neap_object_wait(value.as.object, 0), NEAP_E_TIMEOUT);
    neap_value_clear(&value);
    assert_int_equal(neap_engine_get(engine, "f", &value), 0);
    assert_string_equal(neap_object_kind(value.as.object), "future");
    assert_int_equal(neap_object_wait(value.as.object, 0), 0);
    neap_value_clear(&value);
}

static void spawn_a_process(struct neap_engine *here, void *argument) {
    *(int *)argument = neap_engine_run_string(
        here, "local neap = require 'neap' assert(neap.process(function() return 7 end):join() == 7)");
}

static void an_engine_with_a_thread_of_its_own_has_children_too(void **state) {
    int code = -1;
    (void)state;
    assert_int_equal(neap_ask(engine, spawn_a_process, &code), 0);
    assert_int_equal(code, 0);
}

static void an_empty_path_is_refused(void **state) {
    struct neap_config bad;
    struct neap_engine *other;
    (void)state;
    neap_config_init(&bad);
    bad.child_program = "";
    assert_int_equal(neap_engine_new(&bad, &other), NEAP_E_INVALID);
    assert_non_null(strstr(neap_config_check(&bad), "child_program"));
}

static void other_arguments_are_the_hosts_own(void **state) {
    char name[] = "host", word[] = "--neap", number[] = "1", *arguments[] = {name, word, number, NULL};
    (void)state;
    assert_int_equal(neap_child_main(0, NULL), -1);
    assert_int_equal(neap_child_main(1, arguments), -1);
    assert_int_equal(neap_child_main(3, arguments), -1);
    assert_int_equal(neap_child_main(3, NULL), -1);
}

#define TEST(function, make) cmocka_unit_test_setup_teardown(function, make, drop)

int main(int argc, char **argv) {
    int status = neap_child_main(argc, argv);
    if (status >= 0) return status;
    const struct CMUnitTest process_tests[] = {
        TEST(a_process_runs_the_program_that_the_host_names, make),
        TEST(a_pool_of_processes_works, make),
        TEST(what_a_child_prints_goes_to_the_host, make),
        TEST(a_child_that_fails_or_is_killed_is_an_error, make),
        TEST(a_failure_that_nobody_awaits_reaches_the_error_sink, make),
        TEST(a_program_that_is_not_there_is_an_outcome, make_lost),
        TEST(freeing_the_engine_ends_its_children, make),
        TEST(a_thread_of_the_host_and_a_child_exchange_values, make),
        TEST(the_end_of_a_process_and_of_a_future_can_be_awaited, make),
        TEST(an_engine_with_a_thread_of_its_own_has_children_too, make_threaded),
        TEST(an_empty_path_is_refused, make),
        TEST(other_arguments_are_the_hosts_own, make),
    };
    return cmocka_run_group_tests(process_tests, NULL, NULL);
}
