/* What the functions of neap.h say to misuse: each of them, with each null pointer that it may not be given, on a wrong
 * thread, and with what is out of range. In the test build each ends the process and names the rule; in others the code
 * is looked at: this is run in both. */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bindings/neap.h"
#include "support.h"

static struct neap_object *channel, *event, *lock, *condition, *barrier;
static struct neap_owner *owner;
static struct neap_table *table;
static struct neap_native_call *native; /* of a call that is under way; NULL: none is */

static int make(void **state) {
    (void)state;
    if (neap_channel_create(1, &channel) != 0 || neap_event_create(&event) != 0 ||
        neap_lock_create(false, &lock) != 0 || neap_condition_create(lock, &condition) != 0 ||
        neap_barrier_create(1, &barrier) != 0 || neap_owner_new(&owner) != 0 || neap_table_new(&table) != 0)
        return -1;
    return make_engine(NULL);
}

static int drop(void **state) {
    struct neap_object *all[] = {condition, channel, event, lock, barrier};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) neap_object_drop(all[i]);
    neap_owner_free(owner);
    neap_table_free(table);
    return neap_engine_free(engine);
}

/* --- the calls --- */

/* One call of a list: number `number`, its name in *name; NULL: the list is over. Returns the code of the call. */
typedef int (*calls)(int number, const char **name);

/* Cases of a switch, numbered by themselves. THAT: one whose result is no code, and must be `result`. */
#define FIRST_CASE(list) enum { list = __COUNTER__ + 1 }
#define CALL(list, function, ...) \
    case __COUNTER__ - (list):    \
        *name = #function;        \
        return function(__VA_ARGS__)
#define CALL_THAT(list, expected, wrong, function, ...) \
    case __COUNTER__ - (list): *name = #function; return function(__VA_ARGS__) == (expected) ? (wrong) : 0

static void posted(struct neap_engine *here, void *argument) {
    (void)here;
    (void)argument;
}

static void performed(void *argument, int served, struct neap_operation *operations, size_t count) {
    (void)argument;
    (void)served;
    (void)operations;
    (void)count;
}

static int nothing(struct neap_native_call *call, void *argument) {
    (void)call;
    (void)argument;
    return 0;
}

#define NULLS(...) CALL(nulls, __VA_ARGS__)

/* A null pointer where there may be none. */
static int with_null(int number, const char **name) {
    struct neap_value value = neap_integer(1);
    struct neap_operation operation = {.object = event, .verb = NEAP_WAIT};
    neap_function function;
    FIRST_CASE(nulls);
    switch (number) {
        NULLS(neap_value_copy, NULL, &value);
        NULLS(neap_value_copy, &value, NULL);
        NULLS(neap_table_new, NULL);
        NULLS(neap_table_set, NULL, &value, &value);
        NULLS(neap_table_set, table, NULL, &value);
        NULLS(neap_table_set, table, &value, NULL);
        NULLS(neap_table_append, NULL, &value);
        NULLS(neap_table_append, table, NULL);
        NULLS(neap_channel_create, 1, NULL);
        NULLS(neap_queue_create, 1, NEAP_QUEUE_FIFO, NULL);
        NULLS(neap_event_create, NULL);
        NULLS(neap_lock_create, true, NULL);
        NULLS(neap_rwlock_create, NULL);
        NULLS(neap_condition_create, NULL, &channel);
        NULLS(neap_condition_create, lock, NULL);
        NULLS(neap_semaphore_create, 1, true, NULL);
        NULLS(neap_barrier_create, 1, NULL);
        NULLS(neap_owner_new, NULL);
        NULLS(neap_channel_send, NULL, &value, 0);
        NULLS(neap_channel_send, channel, NULL, 0);
        NULLS(neap_channel_recv, NULL, &value, 0);
        NULLS(neap_channel_recv, channel, NULL, 0);
        NULLS(neap_queue_put, NULL, &value, 0, 0);
        NULLS(neap_queue_put, channel, NULL, 0, 0);
        NULLS(neap_queue_get, NULL, &value, NULL, 0);
        NULLS(neap_queue_get, channel, NULL, NULL, 0);
        NULLS(neap_object_wait, NULL, 0);
        NULLS(neap_object_acquire, NULL, owner, 0);
        NULLS(neap_object_acquire, lock, NULL, 0);
        NULLS(neap_object_acquire_read, NULL, owner, 0);
        NULLS(neap_condition_wait, NULL, owner, 0);
        NULLS(neap_condition_wait, condition, NULL, 0);
        NULLS(neap_object_close, NULL);
        NULLS(neap_object_set, NULL);
        NULLS(neap_object_clear, NULL);
        NULLS(neap_object_task_done, NULL);
        NULLS(neap_object_release, NULL, owner);
        NULLS(neap_object_release, lock, NULL);
        NULLS(neap_object_notify, NULL, owner, 1);
        NULLS(neap_object_notify, condition, NULL, 1);
        NULLS(neap_object_abort, NULL);
        NULLS(neap_perform, owner, NULL, 1, 0);
        NULLS(neap_begin, NULL, owner, &operation, 1, 0, performed, NULL);
        NULLS(neap_begin, engine, owner, NULL, 1, 0, performed, NULL);
        NULLS(neap_begin, engine, owner, &operation, 1, 0, NULL, NULL);
        NULLS(neap_engine_new, NULL, NULL);
        NULLS(neap_engine_stop, NULL);
        NULLS(neap_post, NULL, posted, NULL);
        NULLS(neap_post, engine, NULL, NULL);
        NULLS(neap_ask, NULL, posted, NULL);
        NULLS(neap_ask, engine, NULL, NULL);
        NULLS(neap_engine_descriptor, NULL);
        NULLS(neap_engine_step, NULL);
        NULLS(neap_engine_load_file, NULL, "/dev/null", &function);
        NULLS(neap_engine_load_file, engine, NULL, &function);
        NULLS(neap_engine_load_file, engine, "/dev/null", NULL);
        NULLS(neap_engine_load_string, NULL, "", &function);
        NULLS(neap_engine_load_string, engine, NULL, &function);
        NULLS(neap_engine_load_string, engine, "", NULL);
        NULLS(neap_engine_load_buffer, NULL, "", 0, "name", &function);
        NULLS(neap_engine_load_buffer, engine, NULL, 0, "name", &function);
        NULLS(neap_engine_load_buffer, engine, "", 0, NULL, &function);
        NULLS(neap_engine_load_buffer, engine, "", 0, "name", NULL);
        NULLS(neap_engine_find, NULL, "print", &function);
        NULLS(neap_engine_find, engine, NULL, &function);
        NULLS(neap_engine_find, engine, "print", NULL);
        NULLS(neap_engine_call, NULL, 1, NULL, 0, NULL, 0);
        NULLS(neap_engine_call, engine, 1, NULL, 1, NULL, 0);
        NULLS(neap_engine_call, engine, 1, NULL, 0, NULL, 1);
        NULLS(neap_engine_await, NULL, 1, NULL, 0, NULL, 0);
        NULLS(neap_engine_await, engine, 1, NULL, 1, NULL, 0);
        NULLS(neap_engine_await, engine, 1, NULL, 0, NULL, 1);
        NULLS(neap_engine_run_file, NULL, "/dev/null");
        NULLS(neap_engine_run_file, engine, NULL);
        NULLS(neap_engine_run_string, NULL, "");
        NULLS(neap_engine_run_string, engine, NULL);
        NULLS(neap_engine_spawn, NULL, 1, NULL, 0, NULL, NULL);
        NULLS(neap_engine_spawn, engine, 1, NULL, 1, NULL, NULL);
        NULLS(neap_engine_run, NULL);
        NULLS(neap_engine_get, NULL, "x", &value);
        NULLS(neap_engine_get, engine, NULL, &value);
        NULLS(neap_engine_get, engine, "x", NULL);
        NULLS(neap_engine_set, NULL, "x", &value);
        NULLS(neap_engine_set, engine, NULL, &value);
        NULLS(neap_engine_set, engine, "x", NULL);
        NULLS(neap_engine_register, NULL, "x", nothing, NULL);
        NULLS(neap_engine_register, engine, NULL, nothing, NULL);
        NULLS(neap_engine_register, engine, "x", NULL, NULL);
        NULLS(neap_call_return, NULL, &value);
        NULLS(neap_call_return, native, NULL);
        NULLS(neap_call_fail, NULL, "message");
        NULLS(neap_call_defer, NULL, NULL);
        NULLS(neap_call_defer, native, NULL);
        NULLS(neap_completion_finish, NULL, NULL, 0);
        default: *name = NULL; return 0;
    }
}

#define THREADS(...) CALL(threads, __VA_ARGS__)
#define THREADS_THAT(expected, ...) CALL_THAT(threads, expected, NEAP_E_THREAD, __VA_ARGS__)

/* Run on a thread that is not the engine's. */
static int elsewhere(int number, const char **name) {
    struct neap_value value = neap_integer(1);
    neap_function function;
    FIRST_CASE(threads);
    switch (number) {
        THREADS(neap_engine_free, engine);
        THREADS(neap_engine_descriptor, engine);
        THREADS(neap_engine_step, engine);
        THREADS(neap_engine_load_file, engine, "/dev/null", &function);
        THREADS(neap_engine_load_string, engine, "", &function);
        THREADS(neap_engine_load_buffer, engine, "", 0, "name", &function);
        THREADS(neap_engine_find, engine, "print", &function);
        THREADS(neap_engine_call, engine, 1, NULL, 0, NULL, 0);
        THREADS(neap_engine_await, engine, 1, NULL, 0, NULL, 0);
        THREADS(neap_engine_run_file, engine, "/dev/null");
        THREADS(neap_engine_run_string, engine, "");
        THREADS(neap_engine_spawn, engine, 1, NULL, 0, NULL, NULL);
        THREADS(neap_engine_run, engine);
        THREADS(neap_engine_get, engine, "x", &value);
        THREADS(neap_engine_set, engine, "x", &value);
        THREADS(neap_engine_register, engine, "x", nothing, NULL);
        THREADS_THAT(NULL, neap_engine_state, engine);
        THREADS_THAT(NEAP_NO_TIMEOUT, neap_engine_timeout, engine);
        THREADS_THAT(false, neap_engine_is_busy, engine);
        THREADS_THAT('\0', *neap_engine_message, engine);
        default: *name = NULL; return 0;
    }
}

#define RANGES(...) CALL(ranges, __VA_ARGS__)

/* Numbers out of range, and wrong kinds of objects and engines. */
static int out_of_range(int number, const char **name) {
    struct neap_value value = neap_integer(1), nil = neap_nil(), hollow = neap_bytes(NULL, 5), odd = neap_nil();
    struct neap_operation operation = {.object = event, .verb = NEAP_WAIT};
    odd.kind = (enum neap_value_kind)99;
    FIRST_CASE(ranges);
    switch (number) {
        RANGES(neap_value_copy, &value, &hollow);
        RANGES(neap_value_copy, &value, &odd);
        RANGES(neap_table_set, table, &value, &hollow);
        RANGES(neap_table_append, table, &odd);
        RANGES(neap_channel_send, channel, &hollow, 0);
        RANGES(neap_channel_send, channel, &odd, 0);
        RANGES(neap_engine_set, engine, "x", &hollow);
        RANGES(neap_engine_call, engine, 1, &hollow, 1, NULL, 0);
        RANGES(neap_engine_await, engine, 1, &odd, 1, NULL, 0);
        RANGES(neap_queue_create, 1, (enum neap_queue_order)7, &channel);
        RANGES(neap_condition_create, channel, &condition);
        RANGES(neap_semaphore_create, -1, false, &channel);
        RANGES(neap_barrier_create, 0, &channel);
        RANGES(neap_channel_send, channel, &value, -1);
        RANGES(neap_channel_send, channel, &value, (double)NAN);
        RANGES(neap_channel_send, channel, &nil, 0);
        RANGES(neap_channel_send, event, &value, 0);
        RANGES(neap_channel_recv, channel, &value, -0.5);
        RANGES(neap_channel_recv, lock, &value, 0);
        RANGES(neap_queue_put, channel, &value, (double)NAN, 0);
        RANGES(neap_queue_get, event, &value, NULL, 0);
        RANGES(neap_object_wait, lock, 0);
        RANGES(neap_object_wait, event, -1);
        RANGES(neap_object_acquire, event, owner, 0);
        RANGES(neap_object_acquire_read, lock, owner, 0);
        RANGES(neap_condition_wait, lock, owner, 0);
        RANGES(neap_condition_wait, condition, owner, -1);
        RANGES(neap_object_close, event);
        RANGES(neap_object_set, channel);
        RANGES(neap_object_clear, channel);
        RANGES(neap_object_task_done, channel);
        RANGES(neap_object_release, channel, owner);
        RANGES(neap_object_notify, lock, owner, 1);
        RANGES(neap_object_abort, lock);
        RANGES(neap_perform, owner, &operation, 0, 0);
        RANGES(neap_perform, owner, &operation, 1001, 0);
        RANGES(neap_perform, owner, &operation, 1, -1);
        RANGES(neap_begin, engine, owner, &operation, 0, 0, performed, NULL);
        RANGES(neap_begin, engine, owner, &operation, 1, (double)NAN, performed, NULL);
        RANGES(neap_engine_descriptor, engine);
        RANGES(neap_engine_step, engine);
        RANGES(neap_engine_call, engine, 12345678, NULL, 0, NULL, 0);
        RANGES(neap_engine_call, engine, 1, &value, 201, NULL, 0);
        RANGES(neap_engine_await, engine, 12345678, NULL, 0, NULL, 0);
        RANGES(neap_engine_await, engine, 1, NULL, 0, &value, 201);
        RANGES(neap_engine_spawn, engine, 12345678, NULL, 0, NULL, NULL);
        RANGES(neap_engine_register, engine, "a..b", nothing, NULL);
        RANGES(neap_engine_register, engine, "", nothing, NULL);
        default: *name = NULL; return 0;
    }
}

#define FROM_TASK(...) CALL(from_task, __VA_ARGS__)

/* What a task would wait for that only ends after it. */
static int of_a_task(int number, const char **name) {
    FIRST_CASE(from_task);
    switch (number) {
        FROM_TASK(neap_engine_run, engine);
        FROM_TASK(neap_engine_run_string, engine, "");
        FROM_TASK(neap_engine_run_file, engine, "/dev/null");
        FROM_TASK(neap_engine_free, engine);
        default: *name = NULL; return 0;
    }
}

/* --- looking at what comes of them --- */

struct errand {
    calls list;
    int number;
    const char *name;
    int code;
};

static void *run_errand(void *argument) {
    struct errand *errand = argument;
    errand->code = errand->list(errand->number, &errand->name);
    return NULL;
}

static void run_elsewhere(struct errand *errand) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run_errand, errand) == 0);
    pthread_join(thread, NULL);
}

static void run_here(struct errand *errand) { run_errand(errand); }

#ifdef NEAP_CHECK

/* The process must end, and name a rule of neap.h. */
static void check_call(struct errand *errand, void (*run_it)(struct errand *errand), int expected) {
    char text[1024] = "";
    int ends[2], status;
    (void)expected;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        run_it(errand);
        _exit(errand->name == NULL ? 77 : 0);
    }
    close(ends[1]);
    ssize_t length = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    waitpid(child, &status, 0);
    errand->name = WIFEXITED(status) && WEXITSTATUS(status) == 77 ? NULL : "a call";
    if (errand->name == NULL) return;
    if (length <= 0 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(text, "neap.h") == NULL)
        fail_msg("call %d does not end the process: status %x, \"%s\"", errand->number, (unsigned)status, text);
}

#else

static void check_call(struct errand *errand, void (*run_it)(struct errand *errand), int expected) {
    run_it(errand);
    if (errand->name != NULL && errand->code != expected)
        fail_msg("call %d, %s: %s", errand->number, errand->name, neap_error_name(errand->code));
}

#endif

static int check_all(calls list, void (*run_it)(struct errand *errand), int expected) {
    struct errand errand = {list, 0, "", 0};
    for (; errand.name != NULL; errand.number++) check_call(&errand, run_it, expected);
    return errand.number - 1;
}

static int check_inside(struct neap_native_call *call, void *argument) {
    native = call;
    *(int *)argument = check_all(with_null, run_here, NEAP_E_INVALID);
    native = NULL;
    return 0;
}

static void a_null_pointer_is_refused(void **state) {
    int count = 0;
    (void)state;
    assert_int_equal(neap_engine_register(engine, "check", check_inside, &count), 0);
    run("check()", 0);
    assert_true(count > 80);
}

static void a_wrong_thread_is_refused(void **state) {
    (void)state;
    assert_true(check_all(elsewhere, run_elsewhere, NEAP_E_THREAD) >= 20);
    run("", 0); /* it is unharmed */
}

static int check_task(struct neap_native_call *call, void *argument) {
    (void)call;
    *(int *)argument = check_all(of_a_task, run_here, NEAP_E_INVALID);
    return 0;
}

static void a_task_does_not_run_its_engine(void **state) {
    int count = 0;
    (void)state;
    assert_int_equal(neap_engine_register(engine, "check", check_task, &count), 0);
    run("check()", 0);
    assert_int_equal(count, 4);
}

static void what_is_out_of_range_is_refused(void **state) {
    (void)state;
    assert_true(check_all(out_of_range, run_here, NEAP_E_INVALID) > 30);
    run("", 0);
}

/* Functions that return no code: they do nothing, and return nothing. */
static void where_nothing_is_needed_a_null_pointer_is_nothing(void **state) {
    size_t position = 0;
    (void)state;
    assert_string_equal(neap_error_name(NEAP_E_GONE), "gone");
    assert_string_equal(neap_error_name(-987654), "unknown");
    assert_string_equal(neap_error_name(-2), "ENOENT");
    assert_non_null(neap_version());
    neap_value_clear(NULL);
    neap_table_free(NULL);
    assert_null(neap_table_get(NULL, NULL));
    assert_null(neap_table_get(table, NULL));
    assert_null(neap_table_field(NULL, "x"));
    assert_null(neap_table_field(table, NULL));
    assert_null(neap_table_item(NULL, 1));
    assert_int_equal(neap_table_length(NULL), 0);
    assert_false(neap_table_next(NULL, &position, NULL, NULL));
    assert_false(neap_table_next(table, NULL, NULL, NULL));
    assert_null(neap_object_keep(NULL));
    neap_object_drop(NULL);
    assert_string_equal(neap_object_kind(NULL), "nothing");
    neap_owner_free(NULL);
    assert_false(neap_object_is_closed(NULL));
    assert_int_equal(neap_object_length(NULL), 0);
    assert_int_equal(neap_object_length(event), 0);
    assert_false(neap_object_is_set(NULL));
    assert_false(neap_object_is_set(channel));
    neap_config_init_sized(NULL, 8);
    assert_null(neap_config_check(NULL));
    assert_int_equal(neap_engine_free(NULL), 0);
    assert_int_equal(neap_engine_status(NULL), -1);
    assert_null(neap_engine_context(NULL));
    assert_string_equal(neap_engine_message(NULL), "");
    assert_true(neap_engine_timeout(NULL) == NEAP_NO_TIMEOUT);
    assert_false(neap_engine_is_busy(NULL));
    neap_engine_forget(NULL, 1);
    neap_engine_forget(engine, 0);
    assert_null(neap_engine_state(NULL));
    assert_null(neap_call_engine(NULL));
    assert_int_equal(neap_call_count(NULL), 0);
    assert_int_equal(neap_call_argument(NULL, 0)->kind, NEAP_NIL);
    assert_null(neap_call_state(NULL));
    neap_completion_fail(NULL, "message");
    assert_false(neap_completion_is_awaited(NULL));
    assert_int_equal(neap_child_main(3, NULL), -1);
}

/* --- configs --- */

#define BAD(name, assignment) \
    static void bad_##name(struct neap_config *changed) { assignment; }

BAD(size, changed->size = 3)
BAD(drive, changed->drive = (enum neap_drive)9)
BAD(no_loop, changed->drive = NEAP_DRIVE_UV)
BAD(a_loop, changed->uv_loop = changed)
BAD(signal, changed->slice_signal = SIGKILL)
BAD(a_signal, changed->slice_signal = -1)
BAD(no_signal, changed->slice_signal = 1000)
BAD(slice, changed->slice_seconds = -1)
BAD(a_slice, changed->slice_seconds = (double)NAN)
BAD(memory, changed->memory_limit = 1000)
BAD(cpu, changed->cpu_limit = -1)
BAD(a_cpu, changed->cpu_limit = (double)NAN)
BAD(child, changed->child_program = "")

static const struct {
    void (*spoil)(struct neap_config *changed);
    const char *field; /* that the message names */
} configs[] = {
    {bad_size, "size"},           {bad_drive, "drive"},         {bad_no_loop, "uv_loop"},
    {bad_a_loop, "uv_loop"},      {bad_signal, "slice_signal"}, {bad_a_signal, "slice_signal"},
    {bad_no_signal, "slice_sig"}, {bad_slice, "slice_seconds"}, {bad_a_slice, "slice_seconds"},
    {bad_memory, "memory_limit"}, {bad_cpu, "cpu_limit"},       {bad_a_cpu, "cpu_limit"},
    {bad_child, "child_program"},
};

static void a_config_out_of_range_is_a_code_and_a_message(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        struct neap_engine *other = NULL;
        struct neap_config bad;
        neap_config_init(&bad);
        assert_null(neap_config_check(&bad));
        configs[i].spoil(&bad);
        const char *message = neap_config_check(&bad);
        assert_non_null(message);
        assert_int_equal(strncmp(message, configs[i].field, strlen(configs[i].field)), 0);
        assert_int_equal(neap_engine_new(&bad, &other), NEAP_E_INVALID);
        assert_null(other);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest misuse_tests[] = {
        TEST(a_null_pointer_is_refused),
        TEST(a_wrong_thread_is_refused),
        TEST(what_is_out_of_range_is_refused),
        TEST(a_task_does_not_run_its_engine),
        TEST(where_nothing_is_needed_a_null_pointer_is_nothing),
        TEST(a_config_out_of_range_is_a_code_and_a_message),
    };
    return cmocka_run_group_tests(misuse_tests, NULL, NULL);
}
