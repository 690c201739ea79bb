/* Channels, queues, locks and the rest between threads of the host and tasks; calls that finish later. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static int make(void **state) {
    (void)state;
    return make_engine(NULL);
}

static int drop(void **state) {
    (void)state;
    return drop_engine();
}

static void give(const char *name, struct neap_object *object) {
    struct neap_value value = neap_object_value(object);
    assert_int_equal(neap_engine_set(engine, name, &value), 0);
}

static pthread_t begin(void *(*body)(void *argument), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

static void send_integer(struct neap_object *channel, int64_t integer) {
    struct neap_value value = neap_integer(integer);
    CHECK(neap_channel_send(channel, &value, NEAP_NO_TIMEOUT) == 0);
}

static int64_t receive_integer(struct neap_object *channel) {
    struct neap_value value;
    CHECK(neap_channel_recv(channel, &value, NEAP_NO_TIMEOUT) == 0 && value.kind == NEAP_INTEGER);
    return value.as.integer;
}

/* --- the grid --- */

static void each_blocking_call_times_out_and_tries_once(void **state) {
    struct neap_object *channel, *queue, *event, *lock, *rwlock, *semaphore, *barrier;
    struct neap_owner *owner, *other;
    struct neap_value value = neap_integer(1), got;
    (void)state;
    assert_int_equal(neap_channel_create(0, &channel), 0);
    assert_int_equal(neap_queue_create(1, NEAP_QUEUE_FIFO, &queue), 0);
    assert_int_equal(neap_event_create(&event), 0);
    assert_int_equal(neap_lock_create(false, &lock), 0);
    assert_int_equal(neap_rwlock_create(&rwlock), 0);
    assert_int_equal(neap_semaphore_create(0, false, &semaphore), 0);
    assert_int_equal(neap_barrier_create(2, &barrier), 0);
    assert_int_equal(neap_owner_new(&owner), 0);
    assert_int_equal(neap_owner_new(&other), 0);
    for (double timeout = 0; timeout < 0.003; timeout += 0.001) {
        assert_int_equal(neap_channel_send(channel, &value, timeout), NEAP_E_TIMEOUT);
        assert_int_equal(neap_channel_recv(channel, &got, timeout), NEAP_E_TIMEOUT);
        assert_int_equal(neap_queue_get(queue, &got, NULL, timeout), NEAP_E_TIMEOUT);
        assert_int_equal(neap_queue_put(queue, &value, 0, timeout), 0);
        assert_int_equal(neap_queue_put(queue, &value, 0, timeout), NEAP_E_TIMEOUT);
        assert_int_equal(neap_object_wait(queue, timeout), NEAP_E_TIMEOUT);
        assert_int_equal(neap_queue_get(queue, &got, NULL, timeout), 0);
        assert_int_equal(neap_object_task_done(queue), 0);
        assert_int_equal(neap_object_wait(queue, timeout), 0);
        assert_int_equal(neap_object_wait(event, timeout), NEAP_E_TIMEOUT);
        assert_int_equal(neap_object_acquire(lock, owner, timeout), 0);
        assert_int_equal(neap_object_acquire(lock, owner, timeout), NEAP_E_HELD);
        assert_int_equal(neap_object_acquire(lock, other, timeout), NEAP_E_TIMEOUT);
        assert_int_equal(neap_object_release(lock, other), NEAP_E_NOT_OWNER);
        assert_int_equal(neap_object_release(lock, owner), 0);
        assert_int_equal(neap_object_acquire_read(rwlock, owner, timeout), 0);
        assert_int_equal(neap_object_acquire_read(rwlock, other, timeout), 0);
        assert_int_equal(neap_object_acquire(rwlock, other, timeout), NEAP_E_HELD);
        assert_int_equal(neap_object_release(rwlock, other), 0);
        assert_int_equal(neap_object_acquire(rwlock, other, timeout), NEAP_E_TIMEOUT);
        assert_int_equal(neap_object_release(rwlock, owner), 0);
        assert_int_equal(neap_object_acquire(semaphore, NULL, timeout), NEAP_E_TIMEOUT);
    }
    assert_int_equal(neap_object_wait(barrier, 0.001), NEAP_E_TIMEOUT);
    assert_int_equal(neap_object_wait(barrier, 0.001), NEAP_E_BROKEN);
    assert_int_equal(neap_object_task_done(queue), NEAP_E_RANGE);
    neap_owner_free(owner);
    neap_owner_free(other);
    struct neap_object *all[] = {channel, queue, event, lock, rwlock, semaphore, barrier};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) neap_object_drop(all[i]);
}

static void *close_it(void *argument) {
    CHECK(neap_object_close(argument) == 0);
    CHECK(neap_object_close(argument) == 0);
    return NULL;
}

static void closing_ends_what_waits(void **state) {
    struct neap_object *channel;
    struct neap_value value = neap_integer(5), got;
    (void)state;
    assert_int_equal(neap_channel_create(1, &channel), 0);
    assert_int_equal(neap_channel_send(channel, &value, 0), 0);
    pthread_t thread = begin(close_it, channel);
    int code = neap_channel_send(channel, &value, NEAP_NO_TIMEOUT);
    assert_int_equal(code, NEAP_E_CLOSED);
    pthread_join(thread, NULL);
    assert_true(neap_object_is_closed(channel));
    assert_int_equal(neap_object_length(channel), 1);
    assert_int_equal(neap_channel_recv(channel, &got, NEAP_NO_TIMEOUT), 0);
    assert_int_equal(got.as.integer, 5);
    assert_int_equal(neap_channel_recv(channel, &got, NEAP_NO_TIMEOUT), NEAP_E_CLOSED);
    neap_object_drop(channel);
}

static void a_lock_whose_holder_is_freed_is_abandoned(void **state) {
    struct neap_object *lock;
    struct neap_owner *owner, *other;
    (void)state;
    assert_int_equal(neap_lock_create(true, &lock), 0);
    assert_int_equal(neap_owner_new(&owner), 0);
    assert_int_equal(neap_owner_new(&other), 0);
    assert_int_equal(neap_object_acquire(lock, owner, 0), 0);
    assert_int_equal(neap_object_acquire(lock, owner, 0), 0);
    neap_owner_free(owner);
    assert_int_equal(neap_object_acquire(lock, other, NEAP_NO_TIMEOUT), NEAP_E_ABANDONED);
    neap_owner_free(other);
    neap_object_drop(lock);
}

/* --- threads of the host and tasks --- */

struct ends {
    struct neap_object *to, *from;
    int rounds;
};

static void *bounce(void *argument) {
    struct ends *ends = argument;
    for (int64_t i = 0; i < ends->rounds; i++) {
        send_integer(ends->to, i);
        CHECK(receive_integer(ends->from) == i + 1);
    }
    CHECK(neap_object_close(ends->to) == 0);
    return NULL;
}

static void a_host_thread_and_a_task_exchange_values(void **state) {
    struct ends ends = {.rounds = 3000};
    (void)state;
    assert_int_equal(neap_channel_create(0, &ends.to), 0);
    assert_int_equal(neap_channel_create(0, &ends.from), 0);
    give("requests", ends.to);
    give("answers", ends.from);
    pthread_t thread = begin(bounce, &ends);
    run("for n in requests:iter() do answers:send(n + 1) end", 0);
    pthread_join(thread, NULL);
    neap_object_drop(ends.to);
    neap_object_drop(ends.from);
}

enum { SENDERS = 3, VALUES = 2000 };

static void *send_many(void *argument) {
    for (int64_t i = 1; i <= VALUES; i++) send_integer(argument, i);
    return NULL;
}

static void nothing_is_lost_nor_doubled(void **state) {
    struct neap_object *channel;
    pthread_t threads[SENDERS];
    struct neap_value sum;
    (void)state;
    assert_int_equal(neap_channel_create(16, &channel), 0);
    give("channel", channel);
    for (int i = 0; i < SENDERS; i++) threads[i] = begin(send_many, channel);
    neap_function function =
        load("local neap, channel = require 'neap', channel\n"
             "local function take(n) local sum = 0 for _ = 1, n do sum = sum + channel:recv() end return sum end\n"
             "local t, w = neap.spawn(take, 3000), neap.thread(take, 2000)\n"
             "return take(1000) + t:join() + w:join()");
    assert_int_equal(neap_engine_await(engine, function, NULL, 0, &sum, 1), 0);
    assert_int_equal(sum.as.integer, (int64_t)SENDERS * VALUES * (VALUES + 1) / 2);
    for (int i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    neap_object_drop(channel);
}

static void *take_jobs(void *argument) {
    struct neap_value job;
    int64_t *sum = calloc(1, sizeof *sum);
    while (neap_queue_get(argument, &job, NULL, NEAP_NO_TIMEOUT) == 0) {
        *sum += neap_table_field(job.as.table, "n")->as.integer;
        neap_value_clear(&job);
        CHECK(neap_object_task_done(argument) == 0);
    }
    return sum;
}

static void a_task_feeds_threads_of_the_host_through_a_queue(void **state) {
    struct neap_object *queue;
    pthread_t threads[2];
    int64_t total = 0;
    (void)state;
    assert_int_equal(neap_queue_create(0, NEAP_QUEUE_PRIORITY, &queue), 0);
    give("queue", queue);
    for (int i = 0; i < 2; i++) threads[i] = begin(take_jobs, queue);
    run("for i = 1, 1000 do queue:put({n = i, text = ('x'):rep(i)}, nil, -i) end queue:join() queue:close()", 0);
    for (int i = 0; i < 2; i++) {
        void *sum;
        pthread_join(threads[i], &sum);
        total += *(int64_t *)sum;
        free(sum);
    }
    assert_int_equal(total, 500500);
    neap_object_drop(queue);
}

struct guarded {
    struct neap_object *lock;
    int64_t counter; /* under lock */
};

static void *count_up(void *argument) {
    struct guarded *guarded = argument;
    struct neap_owner *owner;
    CHECK(neap_owner_new(&owner) == 0);
    for (int i = 0; i < 1000; i++) {
        CHECK(neap_object_acquire(guarded->lock, owner, NEAP_NO_TIMEOUT) == 0);
        guarded->counter++;
        CHECK(neap_object_release(guarded->lock, owner) == 0);
    }
    neap_owner_free(owner);
    return NULL;
}

static int count_one(struct neap_native_call *call, void *argument) {
    (void)call;
    ((struct guarded *)argument)->counter++;
    return 0;
}

static void a_lock_keeps_host_threads_and_tasks_apart(void **state) {
    struct guarded guarded = {.counter = 0};
    (void)state;
    assert_int_equal(neap_lock_create(false, &guarded.lock), 0);
    assert_int_equal(neap_engine_register(engine, "count_one", count_one, &guarded), 0);
    give("lock", guarded.lock);
    pthread_t thread = begin(count_up, &guarded);
    run("for i = 1, 1000 do lock:acquire() count_one() lock:release() end", 0);
    pthread_join(thread, NULL);
    assert_int_equal(guarded.counter, 2000);
    neap_object_drop(guarded.lock);
}

static void *notify_when_asked(void *argument) {
    struct neap_object **both = argument; /* condition, lock */
    struct neap_owner *owner;
    CHECK(neap_owner_new(&owner) == 0);
    CHECK(neap_object_acquire(both[1], owner, NEAP_NO_TIMEOUT) == 0);
    CHECK(neap_condition_wait(both[0], owner, NEAP_NO_TIMEOUT) == 0);
    CHECK(neap_object_notify(both[0], owner, 1) == 0);
    CHECK(neap_object_release(both[1], owner) == 0);
    neap_owner_free(owner);
    return NULL;
}

static void a_condition_wakes_both_ways(void **state) {
    struct neap_object *both[2];
    (void)state;
    assert_int_equal(neap_lock_create(true, &both[1]), 0);
    assert_int_equal(neap_condition_create(both[1], &both[0]), 0);
    give("condition", both[0]);
    pthread_t thread = begin(notify_when_asked, both);
    run("local c, neap = condition, require 'neap'\n"
        "c:acquire() local answered\n"
        "repeat c:notify() answered = c:wait(0.01) until answered\n"
        "c:release()",
        0);
    pthread_join(thread, NULL);
    neap_object_drop(both[0]);
    neap_object_drop(both[1]);
}

static void *meet(void *barrier) {
    CHECK(neap_object_wait(barrier, NEAP_NO_TIMEOUT) == 0);
    return NULL;
}

static void a_barrier_and_an_event_and_the_end_of_a_task_can_be_awaited(void **state) {
    struct neap_object *barrier, *event;
    struct neap_value task;
    (void)state;
    assert_int_equal(neap_barrier_create(2, &barrier), 0);
    assert_int_equal(neap_event_create(&event), 0);
    give("barrier", barrier);
    give("event", event);
    pthread_t thread = begin(meet, barrier);
    run("assert(barrier:wait()) event:set()", 0);
    pthread_join(thread, NULL);
    assert_true(neap_object_is_set(event));
    assert_int_equal(neap_object_wait(event, NEAP_NO_TIMEOUT), 0);
    assert_int_equal(neap_object_clear(event), 0);
    assert_int_equal(neap_object_wait(event, 0), NEAP_E_TIMEOUT);
    assert_int_equal(
        neap_engine_call(engine, load("local event = event return require 'neap'.thread(function() event:wait() end)"),
                         NULL, 0, &task, 1),
        0);
    assert_string_equal(neap_object_kind(task.as.object), "thread");
    assert_int_equal(neap_object_wait(task.as.object, 0), NEAP_E_TIMEOUT);
    assert_int_equal(neap_object_set(event), 0);
    assert_int_equal(neap_object_wait(task.as.object, NEAP_NO_TIMEOUT), 0);
    neap_value_clear(&task);
    neap_object_drop(barrier);
    neap_object_drop(event);
}

static void several_operations_wait_at_once_and_one_is_served(void **state) {
    struct neap_object *a, *b, *event;
    (void)state;
    assert_int_equal(neap_channel_create(1, &a), 0);
    assert_int_equal(neap_channel_create(1, &b), 0);
    assert_int_equal(neap_event_create(&event), 0);
    struct neap_operation operations[3] = {
        {.object = a, .verb = NEAP_RECV}, {.object = b, .verb = NEAP_RECV}, {.object = event, .verb = NEAP_WAIT}};
    assert_int_equal(neap_perform(NULL, operations, 3, 0.001), NEAP_E_TIMEOUT);
    send_integer(b, 7);
    assert_int_equal(neap_perform(NULL, operations, 3, NEAP_NO_TIMEOUT), 1);
    assert_int_equal(operations[1].result, 0);
    assert_int_equal(operations[1].value.as.integer, 7);
    assert_int_equal(neap_object_close(a), 0);
    assert_int_equal(neap_perform(NULL, operations, 3, NEAP_NO_TIMEOUT), 0);
    assert_int_equal(operations[0].result, NEAP_E_CLOSED);
    neap_object_drop(a);
    neap_object_drop(b);
    neap_object_drop(event);
}

/* --- with a function to be called --- */

static struct {
    int calls, served, result;
    int64_t value;
} performed;

static void on_performed(void *argument, int served, struct neap_operation *operations, size_t count) {
    (void)argument;
    (void)count;
    performed.calls++;
    performed.served = served;
    if (served < 0) return;
    performed.result = operations[served].result;
    if (operations[served].verb == NEAP_RECV) performed.value = operations[served].value.as.integer;
}

static void an_operation_may_be_begun_and_its_end_is_told(void **state) {
    struct neap_object *channel;
    (void)state;
    memset(&performed, 0, sizeof performed);
    assert_int_equal(neap_channel_create(0, &channel), 0);
    give("channel", channel);
    struct neap_operation receive = {.object = channel, .verb = NEAP_RECV},
                          send = {.object = channel, .verb = NEAP_SEND, .value = neap_string("hello")};
    assert_int_equal(neap_begin(engine, NULL, &receive, 1, NEAP_NO_TIMEOUT, on_performed, NULL), 0);
    run("channel:send(42)", 0);
    assert_int_equal(performed.calls, 1);
    assert_int_equal(performed.value, 42);
    assert_int_equal(neap_begin(engine, NULL, &send, 1, NEAP_NO_TIMEOUT, on_performed, NULL), 0);
    run("assert(channel:recv() == 'hello')", 0);
    assert_int_equal(performed.calls, 2);
    assert_int_equal(neap_begin(engine, NULL, &receive, 1, 0.001, on_performed, NULL), 0);
    run("require 'neap'.sleep(0.05)", 0);
    assert_int_equal(performed.calls, 3);
    assert_int_equal(performed.served, NEAP_E_TIMEOUT);
    assert_int_equal(neap_begin(engine, NULL, &receive, 1, NEAP_NO_TIMEOUT, on_performed, NULL), 0);
    assert_int_equal(neap_engine_free(engine), 0);
    assert_int_equal(performed.calls, 4);
    assert_int_equal(performed.served, NEAP_E_CANCELLED);
    neap_object_drop(channel);
    assert_int_equal(make_engine(NULL), 0);
}

static void post_one(struct neap_engine *which, void *argument) {
    CHECK(which == engine);
    struct neap_value one = neap_integer(1);
    CHECK(neap_channel_send(argument, &one, 0) == 0);
}

static void *post_many(void *argument) {
    for (int i = 0; i < 100; i++) CHECK(neap_post(engine, post_one, argument) == 0);
    return NULL;
}

static void posted_functions_run_on_the_engines_thread(void **state) {
    struct neap_object *channel;
    (void)state;
    assert_int_equal(neap_channel_create(200, &channel), 0);
    give("channel", channel);
    pthread_t threads[2] = {begin(post_many, channel), begin(post_many, channel)};
    run("for i = 1, 200 do assert(channel:recv() == 1) end", 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    neap_object_drop(channel);
}

/* --- functions that finish later --- */

struct later {
    struct neap_completion *completion;
    int64_t number;
};

static void *finish_it(void *argument) {
    struct later *later = argument;
    struct neap_value results[2] = {neap_integer(later->number * 2), neap_string("done")};
    usleep(1000);
    if (later->number < 0)
        neap_completion_fail(later->completion, "a number below zero is more than this function can bear");
    else
        CHECK(neap_completion_finish(later->completion, results, 2) == 0);
    free(later);
    return NULL;
}

enum { FINISHERS = 64 };

static pthread_t finishers[FINISHERS]; /* threads that finish a call */
static int finisher_count;

static int double_later(struct neap_native_call *call, void *argument) {
    struct later *later = malloc(sizeof *later);
    (void)argument;
    later->number = neap_call_argument(call, 0)->as.integer;
    CHECK(neap_call_defer(call, &later->completion) == 0);
    int at = __atomic_fetch_add(&finisher_count, 1, __ATOMIC_SEQ_CST);
    CHECK(at < FINISHERS);
    finishers[at] = begin(finish_it, later);
    return 0;
}

static void join_finishers(void) {
    for (int i = 0; i < finisher_count; i++) pthread_join(finishers[i], NULL);
    finisher_count = 0;
}

static struct neap_completion *kept;

static int keep_completion(struct neap_native_call *call, void *argument) {
    (void)argument;
    return neap_call_defer(call, &kept);
}

static int finish_kept(struct neap_native_call *call, void *argument) {
    struct neap_value result = neap_string("finished");
    (void)call;
    (void)argument;
    return neap_completion_finish(kept, &result, 1);
}

static void only_the_calling_task_waits_for_a_function_that_finishes_later(void **state) {
    (void)state;
    assert_int_equal(neap_engine_register(engine, "double", double_later, NULL), 0);
    assert_int_equal(neap_engine_register(engine, "never", keep_completion, NULL), 0);
    assert_int_equal(neap_engine_register(engine, "finish", finish_kept, NULL), 0);
    run("local neap, double = require 'neap', double\n"
        "neap.spawn(finish) assert(never() == 'finished')\n"
        "local n, word = double(21)\n"
        "assert(n == 42 and word == 'done')\n"
        "local ok, message = pcall(double, -1)\n"
        "assert(not ok and message:find('more than this function can bear'), message)\n"
        "local tasks = {} for i = 1, 20 do tasks[i] = neap.spawn(double, i) end\n"
        "for i = 1, 20 do assert(tasks[i]:join() == 2 * i) end\n"
        "assert(neap.thread(function() return (double(4)) end):join() == 8)\n"
        "assert(coroutine.wrap(function() coroutine.yield((double(5))) end)() == 10)\n",
        0);
    assert_int_equal(neap_engine_call(engine, load("assert(double(3) == 6)"), NULL, 0, NULL, 0), 0);
    join_finishers();
}

static void a_cancelled_call_waits_no_longer_and_the_result_is_dropped(void **state) {
    struct neap_value result = neap_string("a result that is too long to be inside of a message");
    (void)state;
    assert_int_equal(neap_engine_register(engine, "never", keep_completion, NULL), 0);
    run("local neap = require 'neap' assert(select(2, neap.timeout(0.001, never)) == 'timeout') collectgarbage()", 0);
    assert_false(neap_completion_is_awaited(kept));
    assert_int_equal(neap_completion_finish(kept, &result, 1), 0);
    run("require 'neap'.spawn({daemon = true}, never)", 0);
    assert_int_equal(neap_engine_free(engine), 0); /* the completion outlives the engine */
    neap_completion_fail(kept, "too late");
    assert_int_equal(make_engine(NULL), 0);
}

static int block_here(struct neap_native_call *call, void *argument) {
    struct neap_value value;
    (void)call;
    return neap_channel_recv(argument, &value, 0) == NEAP_E_TIMEOUT ? 0 : NEAP_E_FAILED;
}

static void inside_an_engine_one_may_try_without_blocking(void **state) {
    struct neap_object *channel;
    (void)state;
    assert_int_equal(neap_channel_create(0, &channel), 0);
    assert_int_equal(neap_engine_register(engine, "try", block_here, channel), 0);
    run("try()", 0);
    neap_object_drop(channel);
}

#define HOST_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest objects_tests[] = {
        HOST_TEST(each_blocking_call_times_out_and_tries_once),
        HOST_TEST(closing_ends_what_waits),
        HOST_TEST(a_lock_whose_holder_is_freed_is_abandoned),
        HOST_TEST(a_host_thread_and_a_task_exchange_values),
        HOST_TEST(nothing_is_lost_nor_doubled),
        HOST_TEST(a_task_feeds_threads_of_the_host_through_a_queue),
        HOST_TEST(a_lock_keeps_host_threads_and_tasks_apart),
        HOST_TEST(a_condition_wakes_both_ways),
        HOST_TEST(a_barrier_and_an_event_and_the_end_of_a_task_can_be_awaited),
        HOST_TEST(several_operations_wait_at_once_and_one_is_served),
        HOST_TEST(an_operation_may_be_begun_and_its_end_is_told),
        HOST_TEST(posted_functions_run_on_the_engines_thread),
        HOST_TEST(only_the_calling_task_waits_for_a_function_that_finishes_later),
        HOST_TEST(a_cancelled_call_waits_no_longer_and_the_result_is_dropped),
        HOST_TEST(inside_an_engine_one_may_try_without_blocking),
    };
    return cmocka_run_group_tests(objects_tests, NULL, NULL);
}
