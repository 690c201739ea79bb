/* Who turns the loop: a thread of the engine's own, the host's libuv loop, the host's own poll. */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "support.h"

static pthread_t begin(void *(*body)(void *argument), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

static struct neap_object *channel; /* between a test and its engine, or its thread */

static int make_channel(size_t capacity) { return neap_channel_create(capacity, &channel); }

static void give_channel(struct neap_engine *which, void *argument) {
    struct neap_value value = neap_object_value(channel);
    (void)argument;
    CHECK(neap_engine_set(which, "channel", &value) == 0);
}

/* Sends 1 .. 100 and receives the same, in turn. */
static void *bounce(void *argument) {
    (void)argument;
    for (int64_t i = 1; i <= 100; i++) {
        struct neap_value value = neap_integer(i);
        if (i % 10 == 0) usleep(500);
        CHECK(neap_channel_send(channel, &value, NEAP_NO_TIMEOUT) == 0);
        CHECK(neap_channel_recv(channel, &value, NEAP_NO_TIMEOUT) == 0 && value.as.integer == -i);
    }
    return NULL;
}

static const char answering[] = "local neap, channel = require 'neap', channel\n"
                                "for i = 1, 100 do\n"
                                "  local n = channel:recv()\n"
                                "  if n % 20 == 0 then neap.sleep(0.002) end\n"
                                "  channel:send(-n)\n"
                                "end\n"
                                "print('answered')";

static struct { int calls, code; } done;

static void on_done(void *argument, int code, const struct neap_value *results, size_t count) {
    (void)argument;
    (void)results;
    (void)count;
    done.calls++;
    done.code = code;
}

static void spawn_text(struct neap_engine *which, void *text) {
    neap_function function = 0;
    CHECK(neap_engine_load_string(which, text, &function) == 0);
    CHECK(neap_engine_spawn(which, function, NULL, 0, on_done, NULL) == 0);
    neap_engine_forget(which, function);
}

static void run_text(struct neap_engine *which, void *text) {
    int code = neap_engine_run_string(which, text);
    if (code != 0) print_message("%s\n", neap_engine_message(which));
    CHECK(code == 0);
}

static int drop(void **state) {
    (void)state;
    memset(&done, 0, sizeof done);
    return engine == NULL ? 0 : drop_engine();
}

/* --- a thread of its own --- */

static void by_a_thread(struct neap_config *changed) { changed->drive = NEAP_DRIVE_THREAD; }

static int make_threaded(void **state) {
    (void)state;
    memset(&done, 0, sizeof done);
    return make_engine(by_a_thread);
}

static void an_engine_on_its_own_thread_is_asked_from_elsewhere(void **state) {
    (void)state;
    assert_int_equal(make_channel(0), 0);
    assert_int_equal(neap_ask(engine, give_channel, NULL), 0);
    assert_int_equal(neap_ask(engine, spawn_text, (void *)(uintptr_t)answering), 0);
    bounce(NULL);
    assert_int_equal(neap_ask(engine, run_text, (void *)(uintptr_t) "require 'neap'.sleep(0.001)"), 0);
    assert_string_equal(told.output, "answered\n");
    assert_int_equal(done.calls, 1);
    neap_object_drop(channel);
}

static void it_is_freed_while_its_tasks_wait(void **state) {
    (void)state;
    assert_int_equal(neap_ask(engine, spawn_text, (void *)(uintptr_t) "require 'neap'.channel():recv()"), 0);
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(done.calls, 1);
    assert_int_equal(done.code, NEAP_E_CANCELLED);
}

static void it_winds_down_when_it_is_stopped(void **state) {
    struct neap_value value;
    (void)state;
    assert_int_equal(make_channel(0), 0);
    assert_int_equal(neap_ask(engine, give_channel, NULL), 0);
    assert_int_equal(neap_ask(engine, spawn_text,
                              (void *)(uintptr_t) "local channel = channel\n"
                                                  "local _ <close> = setmetatable({}, {__close = function() "
                                                  "channel:send('closing') end})\n"
                                                  "require 'neap'.sleep(1000)"),
                     0);
    assert_int_equal(neap_engine_stop(engine), 0);
    assert_int_equal(neap_channel_recv(channel, &value, NEAP_NO_TIMEOUT), 0);
    assert_string_equal(value.as.string, "closing");
    neap_value_clear(&value);
    neap_object_drop(channel);
}

static void several_threads_of_the_host_use_it(void **state) {
    (void)state;
    assert_int_equal(make_channel(0), 0);
    assert_int_equal(neap_ask(engine, give_channel, NULL), 0);
    static const char adding[] = "local channel = channel\n"
                                 "local sum = 0 for _ = 1, 300 do sum = sum + channel:recv() end\n"
                                 "channel:send(sum)";
    assert_int_equal(neap_ask(engine, spawn_text, (void *)(uintptr_t)adding), 0);
    for (int64_t i = 1; i <= 300; i++) {
        struct neap_value value = neap_integer(i);
        assert_int_equal(neap_channel_send(channel, &value, NEAP_NO_TIMEOUT), 0);
    }
    struct neap_value sum;
    assert_int_equal(neap_channel_recv(channel, &sum, NEAP_NO_TIMEOUT), 0);
    assert_int_equal(sum.as.integer, 45150);
    neap_object_drop(channel);
}

/* --- the host's libuv loop --- */

static uv_loop_t uv;

static void by_uv(struct neap_config *changed) {
    changed->drive = NEAP_DRIVE_UV;
    changed->uv_loop = &uv;
}

static int make_guest(void **state) {
    (void)state;
    memset(&done, 0, sizeof done);
    assert_int_equal(uv_loop_init(&uv), 0);
    return make_engine(by_uv);
}

static int drop_guest(void **state) {
    (void)state;
    int code = neap_engine_free(engine);
    engine = NULL;
    uv_run(&uv, UV_RUN_DEFAULT);
    if (uv_loop_close(&uv) != 0) return -1;
    return code;
}

static int ticks;

static void on_tick(uv_timer_t *timer) {
    if (++ticks == 5) uv_close((uv_handle_t *)timer, NULL);
}

static void it_turns_in_the_hosts_loop_beside_other_handles(void **state) {
    uv_timer_t timer;
    (void)state;
    ticks = 0;
    uv_timer_init(&uv, &timer);
    uv_timer_start(&timer, on_tick, 1, 1);
    assert_int_equal(make_channel(0), 0);
    give_channel(engine, NULL);
    spawn_text(engine, (void *)(uintptr_t)answering);
    pthread_t thread = begin(bounce, NULL);
    uv_run(&uv, UV_RUN_DEFAULT);
    pthread_join(thread, NULL);
    assert_string_equal(told.output, "answered\n");
    assert_int_equal(done.calls, 1);
    assert_int_equal(ticks, 5);
    neap_object_drop(channel);
}

static void the_hosts_loop_ends_when_only_daemons_are_left(void **state) {
    (void)state;
    spawn_text(engine, (void *)(uintptr_t) "local neap = require 'neap'\n"
                                           "neap.spawn({daemon = true}, function() neap.channel():recv() end)\n"
                                           "neap.thread(function() neap.sleep(0.01) end)\n"
                                           "neap.timer(0.005, print, 'timer')");
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_string_equal(told.output, "timer\n");
    assert_false(neap_engine_is_busy(engine));
}

static void outside_of_tasks_nothing_waits_in_the_hosts_loop(void **state) {
    (void)state;
    assert_int_equal(neap_engine_call(engine, load("require 'neap'.sleep(1)"), NULL, 0, NULL, 0), NEAP_E_FAILED);
    assert_non_null(strstr(neap_engine_message(engine), "cannot wait here: the host turns the loop"));
    assert_int_equal(neap_engine_call(engine, load("assert(require 'neap'.channel(1):send(1))"), NULL, 0, NULL, 0), 0);
    assert_int_equal(neap_engine_call(engine, load("require 'neap'.yield()"), NULL, 0, NULL, 0), 0);
}

static void on_call_time(uv_timer_t *timer) {
    neap_function *function = timer->data;
    CHECK(neap_engine_call(engine, *function, NULL, 0, NULL, 0) == 0);
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_call_from_a_callback_of_the_host_is_followed_by_a_turn(void **state) {
    uv_timer_t timer;
    (void)state;
    neap_function function = load("require 'neap'.spawn(print, 'spawned')");
    uv_timer_init(&uv, &timer);
    timer.data = &function;
    uv_timer_start(&timer, on_call_time, 1, 0);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_string_equal(told.output, "spawned\n");
}

static void two_engines_share_the_hosts_loop(void **state) {
    struct neap_engine *other;
    (void)state;
    assert_int_equal(neap_engine_new(&config, &other), 0);
    assert_int_equal(make_channel(0), 0);
    give_channel(engine, NULL);
    give_channel(other, NULL);
    spawn_text(engine,
               (void *)(uintptr_t) "local channel = channel for i = 1, 50 do channel:send(i) end channel:close()");
    spawn_text(other, (void *)(uintptr_t) "local s = 0 for n in channel:iter() do s = s + n end print(s)");
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_string_equal(told.output, "1275\n");
    assert_int_equal(neap_engine_free(other), 0);
    neap_object_drop(channel);
}

static void it_is_freed_with_work_left(void **state) {
    (void)state;
    spawn_text(engine, (void *)(uintptr_t) "local neap = require 'neap'\n"
                                           "local _ <close> = setmetatable({}, {__close = function() neap.sleep(0.002) "
                                           "print('closed') end})\n"
                                           "neap.thread(function() neap.channel():recv() end)\n"
                                           "neap.sleep(1000)");
    uv_run(&uv, UV_RUN_NOWAIT);
    uv_run(&uv, UV_RUN_NOWAIT);
    assert_int_equal(neap_engine_free(engine), 0);
    engine = NULL;
    assert_string_equal(told.output, "closed\n");
}

static int drop_freed_guest(void **state) {
    return engine == NULL ? (uv_run(&uv, UV_RUN_DEFAULT), uv_loop_close(&uv)) : drop_guest(state);
}

/* --- the host polls --- */

static void by_steps(struct neap_config *changed) { changed->drive = NEAP_DRIVE_STEPS; }

static int make_stepped(void **state) {
    (void)state;
    memset(&done, 0, sizeof done);
    return make_engine(by_steps);
}

/* As a host's own loop does; counts its turns. */
static int poll_until_idle(void) {
    struct pollfd descriptor = {.fd = neap_engine_descriptor(engine), .events = POLLIN};
    int turns = 0;
    while (neap_engine_is_busy(engine)) {
        double seconds = neap_engine_timeout(engine);
        int milliseconds = seconds > 1000 ? -1 : (int)(seconds * 1000 + 0.999);
        poll(&descriptor, 1, milliseconds);
        int code = neap_engine_step(engine);
        CHECK(code >= 0);
        turns++;
    }
    return turns;
}

static void the_host_polls_a_descriptor_and_steps(void **state) {
    (void)state;
    assert_int_equal(make_channel(0), 0);
    give_channel(engine, NULL);
    spawn_text(engine, (void *)(uintptr_t)answering);
    pthread_t thread = begin(bounce, NULL);
    int turns = poll_until_idle();
    pthread_join(thread, NULL);
    assert_string_equal(told.output, "answered\n");
    assert_int_equal(done.calls, 1);
    assert_true(turns < 2000); /* it did not spin */
    neap_object_drop(channel);
}

static void an_idle_engine_wants_no_step(void **state) {
    struct pollfd descriptor = {.fd = neap_engine_descriptor(engine), .events = POLLIN};
    (void)state;
    assert_true(neap_engine_timeout(engine) > 1e200);
    assert_int_equal(poll(&descriptor, 1, 0), 0);
    spawn_text(engine, (void *)(uintptr_t) "require 'neap'.sleep(0.05)");
    assert_true(neap_engine_timeout(engine) == 0);
    while (neap_engine_step(engine) == 1) continue;
    double seconds = neap_engine_timeout(engine);
    assert_true(seconds > 0 && seconds <= 0.05);
    poll_until_idle();
    assert_int_equal(poll(&descriptor, 1, 0), 0);
}

static void calls_and_steps_go_together(void **state) {
    (void)state;
    run("local neap = require 'neap' neap.sleep(0.001) neap.spawn({daemon = true}, function() neap.sleep(0.001) "
        "print('x') end)",
        0);
    run("require 'neap'.sleep(0.01)", 0);
    assert_string_equal(told.output, "x\n");
    assert_int_equal(make_channel(0), 0);
    give_channel(engine, NULL);
    spawn_text(engine, (void *)(uintptr_t)answering);
    pthread_t thread = begin(bounce, NULL);
    poll_until_idle();
    pthread_join(thread, NULL);
    neap_object_drop(channel);
}

static void a_stopped_engine_says_so_at_its_next_step(void **state) {
    (void)state;
    assert_int_equal(neap_engine_stop(engine), 0);
    assert_true(neap_engine_timeout(engine) == 0);
    assert_int_equal(neap_engine_step(engine), NEAP_E_CANCELLED);
}

static void a_drive_out_of_range_is_refused(void **state) {
    struct neap_config bad;
    struct neap_engine *other;
    (void)state;
    neap_config_init(&bad);
    bad.drive = NEAP_DRIVE_UV;
    assert_int_equal(neap_engine_new(&bad, &other), NEAP_E_INVALID);
    assert_non_null(strstr(neap_config_check(&bad), "uv_loop"));
}

#define TEST(function, make) cmocka_unit_test_setup_teardown(function, make, drop)
#define UV_TEST(function) cmocka_unit_test_setup_teardown(function, make_guest, drop_freed_guest)

int main(void) {
    const struct CMUnitTest drive_tests[] = {
        TEST(an_engine_on_its_own_thread_is_asked_from_elsewhere, make_threaded),
        TEST(it_is_freed_while_its_tasks_wait, make_threaded),
        TEST(it_winds_down_when_it_is_stopped, make_threaded),
        TEST(several_threads_of_the_host_use_it, make_threaded),
        UV_TEST(it_turns_in_the_hosts_loop_beside_other_handles),
        UV_TEST(the_hosts_loop_ends_when_only_daemons_are_left),
        UV_TEST(outside_of_tasks_nothing_waits_in_the_hosts_loop),
        UV_TEST(a_call_from_a_callback_of_the_host_is_followed_by_a_turn),
        UV_TEST(two_engines_share_the_hosts_loop),
        UV_TEST(it_is_freed_with_work_left),
        TEST(the_host_polls_a_descriptor_and_steps, make_stepped),
        TEST(an_idle_engine_wants_no_step, make_stepped),
        TEST(calls_and_steps_go_together, make_stepped),
        TEST(a_stopped_engine_says_so_at_its_next_step, make_stepped),
        TEST(a_drive_out_of_range_is_refused, NULL),
    };
    return cmocka_run_group_tests(drive_tests, NULL, NULL);
}
