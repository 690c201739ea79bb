/* Engines as a host uses them: made, run, freed; values in and out. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lua.h>
#include <pthread.h>

#include "core/memory.h"
#include "support.h"

static long live; /* blocks before the test */

static int make(void **state) {
    (void)state;
    live = neap_memory_live();
    return make_engine(NULL);
}

static int drop(void **state) {
    (void)state;
    return drop_engine();
}

/* --- running --- */

static void what_is_printed_goes_to_the_host(void **state) {
    (void)state;
    assert_int_equal(neap_engine_run_string(engine, "print('a', 1) io.write('b', 2.5, '\\n') io.stdout:write('c\\n')"),
                     0);
    assert_string_equal(told.output, "a\t1\nb2.5\nc\n");
}

static void there_are_no_streams_unless_the_host_gives_them(void **state) {
    (void)state;
    assert_int_equal(neap_engine_run_string(engine, "assert(io.stdin == nil and io.stderr == nil)\n"
                                                    "assert(not pcall(io.read))\n"
                                                    "assert(not pcall(io.lines))\n"
                                                    "warn('@on') warn('mind ', 'the gap')"),
                     0);
    assert_string_equal(told.log, "Lua warning: mind the gap\n");
}

static void a_run_ends_when_nothing_is_left(void **state) {
    (void)state;
    assert_int_equal(neap_engine_run_string(engine,
                                            "local neap = require 'neap'\n"
                                            "local words = neap.channel()\n"
                                            "neap.spawn(function() for word in words:iter() do print(word) end end)\n"
                                            "neap.thread(function() words:send('thread') words:close() end)\n"),
                     0);
    assert_string_equal(told.output, "thread\n");
}

static void a_failure_is_a_code_and_a_message_with_a_traceback(void **state) {
    (void)state;
    assert_int_equal(neap_engine_run_string(engine, "local function f() error('oops') end\nf()"), NEAP_E_FAILED);
    assert_non_null(strstr(neap_engine_message(engine), "string:1: oops\nstack traceback:"));
    assert_int_equal(neap_engine_run_string(engine, "x ="), NEAP_E_SYNTAX);
    assert_non_null(strstr(neap_engine_message(engine), "string:1: unexpected symbol near <eof>"));
    assert_int_equal(neap_engine_run_string(engine, "\033Lua"), NEAP_E_SYNTAX);
    assert_int_equal(neap_engine_run_file(engine, "no/such/file.lua"), -ENOENT);
    assert_non_null(strstr(neap_engine_message(engine), "no/such/file.lua"));
    assert_int_equal(told.failed, 0);
}

static void a_failure_that_nobody_awaits_reaches_the_error_sink(void **state) {
    (void)state;
    assert_int_equal(neap_engine_run_string(engine, "local neap = require 'neap'\n"
                                                    "neap.spawn({name = 'a'}, function() error('one', 0) end)"),
                     0);
    assert_non_null(strstr(told.failures, "task a (thread main): one\n"));
    assert_int_equal(told.failed, 1);
}

static void without_an_error_sink_it_is_logged(void **state) {
    struct neap_engine *other;
    (void)state;
    config.on_error = NULL;
    assert_int_equal(neap_engine_new(&config, &other), 0);
    assert_int_equal(neap_engine_run_string(other, "require 'neap'.spawn(error, 'one')"), 0);
    assert_non_null(strstr(told.log, " failed: one\n"));
    assert_int_equal(neap_engine_free(other), 0);
}

static void os_exit_ends_the_engine_and_not_the_process(void **state) {
    (void)state;
    assert_int_equal(neap_engine_status(engine), -1);
    assert_int_equal(neap_engine_run_string(engine, "local neap = require 'neap'\n"
                                                    "neap.spawn(function() neap.sleep(1000) end)\n"
                                                    "os.exit(7)"),
                     NEAP_E_CANCELLED);
    assert_int_equal(neap_engine_status(engine), 7);
    assert_int_equal(neap_engine_run_string(engine, "print('again')"), NEAP_E_CANCELLED);
    assert_string_equal(told.output, "");
}

static void freeing_cancels_and_closes_what_runs(void **state) {
    (void)state;
    neap_function function =
        load("local neap = require 'neap'\n"
             "neap.spawn(function()\n"
             "  local _ <close> = setmetatable({}, {__close = function() neap.sleep(0.001) print('closed') end})\n"
             "  neap.channel():recv()\n"
             "end)\n"
             "neap.yield()");
    assert_int_equal(neap_engine_await(engine, function, NULL, 0, NULL, 0), 0);
    assert_int_equal(neap_engine_free(engine), 0);
    assert_string_equal(told.output, "closed\n");
    assert_int_equal(neap_memory_live(), live);
    assert_int_equal(neap_engine_new(&config, &engine), 0);
}

static void *stop_from_elsewhere(void *argument) {
    assert_int_equal(neap_engine_stop(argument), 0);
    return NULL;
}

static void another_thread_can_stop_it(void **state) {
    pthread_t thread;
    (void)state;
    neap_function function = load("require 'neap'.channel():recv()");
    assert_int_equal(pthread_create(&thread, NULL, stop_from_elsewhere, engine), 0);
    assert_int_equal(neap_engine_await(engine, function, NULL, 0, NULL, 0), NEAP_E_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(neap_engine_run(engine), NEAP_E_CANCELLED);
    assert_int_equal(neap_engine_spawn(engine, function, NULL, 0, NULL, NULL), NEAP_E_CLOSED);
    assert_int_equal(neap_engine_call(engine, load("print('nor this')"), NULL, 0, NULL, 0), NEAP_E_CANCELLED);
    assert_string_equal(neap_engine_message(engine), "the engine was stopped");
    run("print('not any more')", NEAP_E_CANCELLED);
    assert_string_equal(told.output, "");
}

/* --- calls and values --- */

static void values_go_in_and_out(void **state) {
    struct neap_value arguments[6], results[6];
    (void)state;
    neap_function function = load("return ...");
    arguments[0] = neap_nil();
    arguments[1] = neap_boolean(true);
    arguments[2] = neap_integer(INT64_MIN);
    arguments[3] = neap_number(-0.5);
    arguments[4] = neap_bytes("a\0b", 3);
    arguments[5] = neap_string("a text that is too long to be inside of a message");
    assert_int_equal(neap_engine_call(engine, function, arguments, 6, results, 6), 0);
    assert_int_equal(results[0].kind, NEAP_NIL);
    assert_true(results[1].kind == NEAP_BOOLEAN && results[1].as.boolean);
    assert_true(results[2].kind == NEAP_INTEGER && results[2].as.integer == INT64_MIN);
    assert_true(results[3].kind == NEAP_NUMBER && results[3].as.number == -0.5);
    assert_true(results[4].kind == NEAP_STRING && results[4].length == 3);
    assert_memory_equal(results[4].as.string, "a\0b", 4);
    assert_string_equal(results[5].as.string, arguments[5].as.string);
    for (int i = 0; i < 6; i++) neap_value_clear(&results[i]);
}

static void tables_go_in_and_out(void **state) {
    struct neap_table *list, *table;
    struct neap_value value, key, result;
    (void)state;
    assert_int_equal(neap_table_new(&list), 0);
    assert_int_equal(neap_table_new(&table), 0);
    for (int64_t i = 1; i <= 20; i++) {
        value = neap_integer(i * i);
        assert_int_equal(neap_table_append(list, &value), 0);
    }
    value = neap_table_value(list);
    value.owned = true; /* taken over */
    key = neap_string("squares");
    assert_int_equal(neap_table_set(table, &key, &value), 0);
    assert_int_equal(value.kind, NEAP_NIL);
    for (int64_t i = 0; i < 40; i++) {
        key = neap_number((double)i + 0.5);
        value = neap_integer(i);
        assert_int_equal(neap_table_set(table, &key, &value), 0);
    }
    neap_function function = load("local t = ... t.squares[21], t[7.5] = 'last', nil\n"
                                  "t.inner = {deep = {t.squares[3]}} return t");
    value = neap_table_value(table);
    assert_int_equal(neap_engine_call(engine, function, &value, 1, &result, 1), 0);
    assert_int_equal(result.kind, NEAP_TABLE);
    const struct neap_table *squares = neap_table_field(result.as.table, "squares")->as.table;
    assert_int_equal(neap_table_length(squares), 21);
    assert_int_equal(neap_table_item(squares, 20)->as.integer, 400);
    assert_string_equal(neap_table_item(squares, 21)->as.string, "last");
    key = neap_number(7.5);
    assert_null(neap_table_get(result.as.table, &key));
    key = neap_number(8.5);
    assert_int_equal(neap_table_get(result.as.table, &key)->as.integer, 8);
    const struct neap_table *inner = neap_table_field(result.as.table, "inner")->as.table;
    assert_int_equal(neap_table_item(neap_table_field(inner, "deep")->as.table, 1)->as.integer, 9);
    neap_value_clear(&result);
    neap_table_free(table);
}

static void a_table_keeps_its_fields_whatever_the_order(void **state) {
    struct neap_table *table;
    struct neap_value key, value;
    const struct neap_value *found;
    size_t position = 0, count = 0;
    (void)state;
    assert_int_equal(neap_table_new(&table), 0);
    for (int64_t i = 100; i >= 1; i--) {
        key = neap_integer(i);
        value = neap_integer(-i);
        assert_int_equal(neap_table_set(table, &key, &value), 0);
    }
    assert_int_equal(neap_table_length(table), 100);
    key = neap_number(50.0);
    value = neap_nil();
    assert_int_equal(neap_table_set(table, &key, &value), 0);
    assert_int_equal(neap_table_length(table), 49);
    assert_int_equal(neap_table_item(table, 51)->as.integer, -51);
    while (neap_table_next(table, &position, &key, &found)) {
        assert_int_equal(key.as.integer, -found->as.integer);
        count++;
    }
    assert_int_equal(count, 99);
    value = neap_integer(-50);
    key = neap_integer(50);
    assert_int_equal(neap_table_set(table, &key, &value), 0);
    assert_int_equal(neap_table_length(table), 100);
    neap_table_free(table);
}

static void a_table_never_comes_to_contain_itself(void **state) {
    struct neap_table *table;
    struct neap_value key = neap_string("self"), value;
    (void)state;
    assert_int_equal(neap_table_new(&table), 0);
    value = neap_table_value(table);
    assert_int_equal(neap_table_set(table, &key, &value), NEAP_E_INVALID);
    key = neap_nil();
    assert_int_equal(neap_table_set(table, &key, &value), NEAP_E_INVALID);
    struct neap_value copy;
    assert_int_equal(neap_value_copy(&copy, &value), 0);
    key = neap_string("x");
    value = neap_integer(1);
    assert_int_equal(neap_table_set(table, &key, &value), NEAP_E_INVALID); /* constant now */
    neap_value_clear(&copy);
    assert_int_equal(neap_table_set(table, &key, &value), 0);
    neap_table_free(table);
}

static void what_c_cannot_look_into_can_be_passed_on(void **state) {
    struct neap_value value, result, key;
    struct neap_table *table;
    (void)state;
    neap_function make_one = load("local t = {} t.t = t t.f = function() return 5 end return t"),
                  use_one = load("local t = ... return t.t == t and t.f()");
    assert_int_equal(neap_engine_call(engine, make_one, NULL, 0, &value, 1), 0);
    assert_int_equal(value.kind, NEAP_PACKED);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(neap_engine_call(engine, use_one, &value, 1, &result, 1), 0);
        assert_int_equal(result.as.integer, 5);
    }
    assert_int_equal(neap_table_new(&table), 0);
    key = neap_string("packed");
    assert_int_equal(neap_table_set(table, &key, &value), 0);
    value = neap_table_value(table);
    assert_int_equal(neap_engine_call(engine, use_one, &value, 1, &result, 1), NEAP_E_FAILED);
    neap_table_free(table);
}

static void a_call_may_wait(void **state) {
    struct neap_value argument = neap_integer(20), result;
    (void)state;
    neap_function function =
        load("local neap, n = require 'neap', ...\n"
             "local c = neap.channel() neap.spawn(function() neap.sleep(0.001) c:send(n + 1) end)\n"
             "return c:recv()");
    assert_int_equal(neap_engine_call(engine, function, &argument, 1, &result, 1), 0);
    assert_int_equal(result.as.integer, 21);
    assert_int_equal(neap_engine_await(engine, function, &argument, 1, &result, 1), 0);
    assert_int_equal(result.as.integer, 21);
}

static void a_call_that_fails_leaves_no_result(void **state) {
    struct neap_value results[2] = {{.kind = NEAP_NIL}, {.kind = NEAP_NIL}};
    (void)state;
    assert_int_equal(neap_engine_call(engine, load("error({})"), NULL, 0, results, 2), NEAP_E_FAILED);
    assert_int_equal(neap_engine_call(engine, load("return 'a', coroutine.create(print)"), NULL, 0, results, 2),
                     NEAP_E_FAILED);
    assert_non_null(strstr(neap_engine_message(engine), "cannot send value: coroutine"));
    assert_int_equal(neap_engine_await(engine, load("return 'a', io"), NULL, 0, results, 1), 0);
    assert_string_equal(results[0].as.string, "a");
    neap_value_clear(&results[0]);
}

static void globals_and_fields_are_read_and_written(void **state) {
    struct neap_value value = neap_string("deep"), result;
    neap_function function;
    (void)state;
    assert_int_equal(neap_engine_set(engine, "a.b.c", &value), 0);
    assert_int_equal(neap_engine_get(engine, "a.b.c", &result), 0);
    assert_string_equal(result.as.string, "deep");
    neap_value_clear(&result);
    assert_int_equal(neap_engine_get(engine, "a.x.c", &result), NEAP_E_MISSING);
    assert_int_equal(neap_engine_set(engine, "print.x", &value), NEAP_E_MISSING);
    assert_int_equal(neap_engine_set(engine, "a.b.c.d", &value), NEAP_E_MISSING);
    assert_int_equal(neap_engine_find(engine, "print", &function), 0);
    neap_engine_forget(engine, function);
    assert_int_equal(neap_engine_find(engine, "string.upper", &function), 0);
    assert_int_equal(neap_engine_call(engine, function, &value, 1, &result, 1), 0);
    assert_string_equal(result.as.string, "DEEP");
    neap_value_clear(&result);
    neap_engine_forget(engine, function);
    assert_int_equal(neap_engine_find(engine, "string", &function), NEAP_E_MISSING);
}

static struct {
    int code, calls;
    int64_t sum;
} done;

static void on_done(void *argument, int code, const struct neap_value *results, size_t count) {
    assert_ptr_equal(argument, &done);
    done.calls++;
    done.code = code;
    for (size_t i = 0; i < count; i++) done.sum += results[i].as.integer;
}

static void a_spawned_task_tells_of_its_end(void **state) {
    struct neap_value arguments[2] = {neap_integer(2), neap_integer(3)};
    (void)state;
    memset(&done, 0, sizeof done);
    assert_int_equal(
        neap_engine_spawn(engine, load("require 'neap'.sleep(0.001) return ..."), arguments, 2, on_done, &done), 0);
    assert_int_equal(done.calls, 0);
    assert_int_equal(neap_engine_run(engine), 0);
    assert_int_equal(done.calls, 1);
    assert_int_equal(done.sum, 5);
    assert_int_equal(neap_engine_spawn(engine, load("error('no', 0)"), NULL, 0, on_done, &done), 0);
    assert_int_equal(neap_engine_run(engine), 0);
    assert_int_equal(done.calls, 2);
    assert_int_equal(done.code, NEAP_E_FAILED);
    assert_string_equal(neap_engine_message(engine), "no");
    assert_int_equal(told.failed, 0);
}

static void a_spawned_task_that_is_cut_off_tells_too(void **state) {
    (void)state;
    memset(&done, 0, sizeof done);
    assert_int_equal(neap_engine_spawn(engine, load("require 'neap'.sleep(1000)"), NULL, 0, on_done, &done), 0);
    assert_int_equal(neap_engine_free(engine), 0);
    assert_int_equal(done.calls, 1);
    assert_int_equal(done.code, NEAP_E_CANCELLED);
    assert_int_equal(neap_engine_new(&config, &engine), 0);
}

/* --- functions of the host --- */

static int sum(struct neap_native_call *call, void *argument) {
    int64_t total = *(int64_t *)argument;
    for (size_t i = 0; i < neap_call_count(call); i++) {
        if (neap_call_argument(call, i)->kind != NEAP_INTEGER) return neap_call_fail(call, "integers only");
        total += neap_call_argument(call, i)->as.integer;
    }
    struct neap_value value = neap_integer(total);
    return neap_call_return(call, &value);
}

static int give_back(struct neap_native_call *call, void *argument) {
    (void)argument;
    for (size_t i = 0; i < neap_call_count(call); i++) {
        struct neap_value value;
        int code = neap_value_copy(&value, neap_call_argument(call, i));
        if (code == 0) code = neap_call_return(call, &value);
        if (code != 0) return code;
    }
    return 0;
}

static void scripts_call_functions_of_the_host(void **state) {
    int64_t base = 100;
    (void)state;
    assert_int_equal(neap_engine_register(engine, "sum", sum, &base), 0);
    assert_int_equal(neap_engine_register(engine, "host.tools.give_back", give_back, NULL), 0);
    assert_int_equal(
        neap_engine_run_string(engine, "local neap, give_back = require 'neap', require 'host'.tools.give_back\n"
                                       "assert(sum(1, 2, 3) == 106 and sum() == 100)\n"
                                       "local ok, message = pcall(sum, 'x') assert(message == 'integers only')\n"
                                       "local t = give_back({1, {x = 'y'}}, nil)[2] assert(t.x == 'y')\n"
                                       "local f = give_back(function() return 9 end) assert(f() == 9)\n"
                                       "assert(select('#', give_back(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)) == 12)\n"
                                       "assert(neap.thread(function() return sum(1), give_back(7) end):join() == 101)\n"
                                       "assert(neap.thread(sum, 1):join() == 101)\n"
                                       "assert(not pcall(give_back, coroutine.create(print)))"),
        0);
}

static int call_back(struct neap_native_call *call, void *argument) {
    struct neap_value result;
    int code = neap_engine_call(neap_call_engine(call), *(neap_function *)argument, NULL, 0, &result, 1);
    if (code != 0) return neap_call_fail(call, neap_engine_message(neap_call_engine(call)));
    return neap_call_return(call, &result);
}

static void a_function_of_the_host_may_call_back(void **state) {
    neap_function inner = load("return 42"), waits = load("require 'neap'.sleep(0.01) return 43");
    (void)state;
    assert_int_equal(neap_engine_register(engine, "call_back", call_back, &inner), 0);
    assert_int_equal(neap_engine_register(engine, "call_waiting", call_back, &waits), 0);
    assert_int_equal(neap_engine_run_string(engine, "assert(call_back() == 42)\n"
                                                    "assert(call_waiting() == 43)"),
                     0);
}

static void what_stands_in_the_way_is_named_after_a_call_too(void **state) {
    neap_function inner = load("coroutine.wrap(function() pcall(coroutine.wrap(error)) end)() collectgarbage()");
    (void)state;
    assert_int_equal(neap_engine_register(engine, "call_back", call_back, &inner), 0);
    run("local neap = require 'neap'\n"
        "local function waits() call_back() neap.sleep(1) end\n"
        "local ok, message = pcall(table.sort, {1, 2}, function() coroutine.wrap(waits)() end)\n"
        "assert(not ok and message:find('cannot wait inside table.sort', 1, true), message)",
        0);
}

/* --- several engines --- */

static void two_engines_in_one_thread_do_not_meet(void **state) {
    struct neap_engine *other;
    struct neap_value result;
    (void)state;
    assert_int_equal(neap_engine_new(&config, &other), 0);
    assert_int_equal(neap_engine_run_string(engine, "x = 1"), 0);
    assert_int_equal(neap_engine_get(other, "x", &result), NEAP_E_MISSING);
    assert_int_equal(neap_engine_run_string(other, "x = 2 require 'neap'.sleep(0.001)"), 0);
    assert_int_equal(neap_engine_get(engine, "x", &result), 0);
    assert_int_equal(result.as.integer, 1);
    assert_int_equal(neap_engine_free(other), 0); /* one closed first */
    assert_int_equal(neap_engine_run_string(engine, "require 'neap'.sleep(0.001)"), 0);
}

static int run_other(struct neap_native_call *call, void *argument) {
    (void)call;
    return neap_engine_run_string(argument, "local neap = require 'neap'\n"
                                            "local c = neap.channel() neap.spawn(function() c:send(1) end)\n"
                                            "assert(c:recv() == 1) neap.sleep(0.001)");
}

static void one_engine_runs_inside_a_function_of_another(void **state) {
    struct neap_engine *other;
    (void)state;
    assert_int_equal(neap_engine_new(&config, &other), 0);
    assert_int_equal(neap_engine_register(engine, "run_other", run_other, other), 0);
    assert_int_equal(neap_engine_run_string(engine, "local neap = require 'neap'\n"
                                                    "local c = neap.channel(1)\n"
                                                    "for i = 1, 3 do run_other() c:send(i) assert(c:recv() == i) end\n"
                                                    "neap.spawn(function() run_other() c:send(4) end)\n"
                                                    "assert(c:recv() == 4)"),
                     0);
    assert_int_equal(neap_engine_free(other), 0);
}

static void *use_an_engine(void *argument) {
    struct neap_engine *own;
    (void)argument;
    for (int i = 0; i < 20; i++) {
        if (neap_engine_new(NULL, &own) != 0) return "cannot be made";
        if (neap_engine_run_string(own, "local neap = require 'neap'\n"
                                        "local c = neap.channel() neap.thread(function() c:send(1) end)\n"
                                        "assert(c:recv() == 1)") != 0)
            return "failed";
        if (neap_engine_free(own) != 0) return "cannot be freed";
    }
    return NULL;
}

static void engines_in_several_threads_do_not_meet(void **state) {
    pthread_t threads[2];
    void *trouble[2];
    (void)state;
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, use_an_engine, NULL), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], &trouble[i]);
    assert_null(trouble[0]);
    assert_null(trouble[1]);
}

/* In a folder below /proc/self. */
static int count_entries(const char *path) {
    int count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder) != NULL) count++;
    closedir(folder);
    return count;
}

static void engines_that_come_and_go_leave_nothing(void **state) {
    struct neap_engine *other;
    (void)state;
    long blocks = 0;
    int files = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(neap_engine_new(&config, &other), 0);
        assert_int_equal(neap_engine_run_string(other, "require 'neap'.spawn(function() end)"), 0);
        assert_int_equal(neap_engine_free(other), 0);
        if (i == 0) blocks = neap_memory_live();
    }
    assert_int_equal(neap_memory_live(), blocks);
    assert_true(count_entries("/proc/self/fd") <= files);
    assert_true(count_entries("/proc/self/task") <= threads);
}

/* --- the promise --- */

static void signals_and_masks_stay_as_they_are(void **state) {
    struct sigaction before[NSIG], after[NSIG];
    sigset_t mask_before, mask_after;
    (void)state;
    memset(before, 0, sizeof before);
    memset(after, 0, sizeof after);
    for (int i = 1; i < NSIG; i++) sigaction(i, NULL, &before[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_before);
    assert_int_equal(neap_engine_run_string(engine, "local neap = require 'neap'\n"
                                                    "neap.thread(function() neap.sleep(0.001) end):join()\n"
                                                    "local ok, message = pcall(neap.slice, 0.01)\n"
                                                    "assert(not ok and message:find('host'), message)\n"
                                                    "assert(neap.slice(0) == 0)"),
                     0);
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    assert_memory_equal(&mask_before, &mask_after, sizeof mask_before);
    for (int i = 1; i < NSIG; i++) {
        sigaction(i, NULL, &after[i]);
        assert_true(before[i].sa_handler == after[i].sa_handler && before[i].sa_flags == after[i].sa_flags);
    }
}

/* How many descriptors a program has that the host starts. */
static int count_inherited(void) {
    char text[32] = "";
    FILE *pipe = popen("ls /proc/self/fd | wc -l", "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    assert_int_equal(pclose(pipe), 0);
    return atoi(text);
}

static void the_host_may_fork_while_threads_run(void **state) {
    int before = count_inherited();
    (void)state;
    run("local neap = require 'neap'\n"
        "up, stop = neap.channel(), neap.event()\n"
        "t = neap.thread({daemon = true}, function(up, stop)\n"
        "    local neap = require 'neap'\n"
        "    while not stop:is_set() do up:send(1) neap.sleep(0) end\n"
        "    up:close()\n"
        "end, up, stop)\n"
        "assert(up:recv() == 1)",
        0);
    for (int i = 0; i < 20; i++) {
        int status;
        pid_t child = fork();
        if (child == 0) _exit(3);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
        run("assert(up:recv() == 1)", 0);
    }
    assert_int_equal(count_inherited(), before); /* nothing of the engine's goes to other programs */
    run("stop:set() while up:recv() do end t:join()", 0);
}

static void out_of_memory_is_a_code(void **state) {
    struct neap_engine *other = NULL;
    long after = 0;
    (void)state;
    for (int code = NEAP_E_MEMORY; code != 0; after++) {
        neap_memory_fail_after(after);
        code = neap_engine_new(&config, &other);
        neap_memory_fail_after(-1);
        assert_true(code == 0 || code == NEAP_E_MEMORY);
    }
    assert_true(after > 5);
    neap_function function = load("return {x = ...}");
    struct neap_value value = neap_string("a text that is too long to be inside of a message"), result;
    int code = NEAP_E_MEMORY;
    for (after = 0; code != 0; after++) {
        neap_memory_fail_after(after);
        code = neap_engine_call(engine, function, &value, 1, &result, 1);
        neap_memory_fail_after(-1);
        assert_true(code == 0 || code == NEAP_E_MEMORY);
    }
    neap_value_clear(&result);
    assert_int_equal(neap_engine_free(other), 0);
}

static void who_wants_it_gets_the_lua_state(void **state) {
    (void)state;
    lua_State *L = neap_engine_state(engine);
    lua_pushinteger(L, 5);
    lua_setglobal(L, "five");
    assert_int_equal(neap_engine_run_string(engine, "assert(five == 5)"), 0);
}

#define HOST_TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest engine_tests[] = {
        HOST_TEST(what_is_printed_goes_to_the_host),
        HOST_TEST(there_are_no_streams_unless_the_host_gives_them),
        HOST_TEST(a_run_ends_when_nothing_is_left),
        HOST_TEST(a_failure_is_a_code_and_a_message_with_a_traceback),
        HOST_TEST(a_failure_that_nobody_awaits_reaches_the_error_sink),
        HOST_TEST(without_an_error_sink_it_is_logged),
        HOST_TEST(os_exit_ends_the_engine_and_not_the_process),
        HOST_TEST(freeing_cancels_and_closes_what_runs),
        HOST_TEST(another_thread_can_stop_it),
        HOST_TEST(values_go_in_and_out),
        HOST_TEST(tables_go_in_and_out),
        HOST_TEST(a_table_keeps_its_fields_whatever_the_order),
        HOST_TEST(a_table_never_comes_to_contain_itself),
        HOST_TEST(what_c_cannot_look_into_can_be_passed_on),
        HOST_TEST(a_call_may_wait),
        HOST_TEST(a_call_that_fails_leaves_no_result),
        HOST_TEST(globals_and_fields_are_read_and_written),
        HOST_TEST(a_spawned_task_tells_of_its_end),
        HOST_TEST(a_spawned_task_that_is_cut_off_tells_too),
        HOST_TEST(scripts_call_functions_of_the_host),
        HOST_TEST(a_function_of_the_host_may_call_back),
        HOST_TEST(what_stands_in_the_way_is_named_after_a_call_too),
        HOST_TEST(two_engines_in_one_thread_do_not_meet),
        HOST_TEST(one_engine_runs_inside_a_function_of_another),
        HOST_TEST(engines_in_several_threads_do_not_meet),
        HOST_TEST(engines_that_come_and_go_leave_nothing),
        HOST_TEST(signals_and_masks_stay_as_they_are),
        HOST_TEST(the_host_may_fork_while_threads_run),
        HOST_TEST(out_of_memory_is_a_code),
        HOST_TEST(who_wants_it_gets_the_lua_state),
    };
    return cmocka_run_group_tests(engine_tests, NULL, NULL);
}
