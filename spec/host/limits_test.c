/* Limits and capabilities, as an attacker sees them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { MEMORY = 4 << 20 };

static int drop(void **state) {
    (void)state;
    return drop_engine();
}

static void limit_memory(struct neap_config *changed) { changed->memory_limit = MEMORY; }

static void limit_cpu(struct neap_config *changed) {
    changed->cpu_limit = 0.05;
    changed->memory_limit = 4 * MEMORY;
}

static void limit_counts(struct neap_config *changed) {
    changed->task_limit = 10;
    changed->thread_limit = 2;
}

static void deny_all(struct neap_config *changed) { changed->denied = NEAP_DENY_ALL; }

static int make_with(void (*adjust)(struct neap_config *)) { return make_engine(adjust); }

static int make_limited_memory(void **state) {
    (void)state;
    return make_with(limit_memory);
}

static int make_limited_cpu(void **state) {
    (void)state;
    return make_with(limit_cpu);
}

static int make_limited_counts(void **state) {
    (void)state;
    return make_with(limit_counts);
}

static int make_denied(void **state) {
    (void)state;
    return make_with(deny_all);
}

/* --- memory --- */

static void a_memory_bomb_fails_and_the_host_goes_on(void **state) {
    static const char *const bombs[] = {
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "return string.rep('x', 1e10)",
        "local function f(n) return 1 + f(n + 1) end return f(0)",
        "local neap, t = require 'neap', {} for i = 1, 1e9 do t[i] = neap.channel() end",
        "local q = require 'neap'.queue() for i = 1, 1e9 do q:put(i) end",
        "local q, s = require 'neap'.queue(), ('x'):rep(1e5) for i = 1, 1e9 do q:put(s) end",
        "local neap = require 'neap' for i = 1, 1e9 do neap.spawn(function() neap.channel():recv() end) end",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
        "assert(load(function() return ' x = 1 ' end))",
        "local t = {} for i = 1, 1e6 do t[i] = ('y'):rep(1000) end return table.concat(t)",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        int code = neap_engine_run_string(engine, bombs[i]);
        assert_true(code == NEAP_E_MEMORY || strstr(neap_engine_message(engine), "resulting string too large") != NULL);
        assert_int_equal(drop_engine(), 0);
        assert_int_equal(make_with(limit_memory), 0);
    }
    run("assert(#string.rep('x', 1e6) == 1e6)", 0);
}

static void only_the_task_that_is_at_fault_fails(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "local ticks, over = 0, false\n"
        "local ticker = neap.spawn(function() while not over do ticks = ticks + 1 neap.yield() end return 'fine' end)\n"
        "local bomb = neap.spawn({quiet = true}, function() local t = {} for i = 1, 1e9 do t[i] = {} if i % 1000 == 0 "
        "then neap.yield() end end end)\n"
        "assert(not pcall(bomb.join, bomb)) bomb = nil over = true\n"
        "assert(ticker:join() == 'fine' and ticks > 0)",
        0);
}

static void what_goes_away_can_be_used_again(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "local q, s = neap.queue(), ('x'):rep(1e5)\n"
        "for i = 1, 500 do q:put(s) assert(q:get() == s) end\n"
        "for i = 1, 30000 do local c = neap.channel(4) c:send(i) end\n"
        "for i = 1, 50 do local t = {} for j = 1, 5000 do t[j] = {} end end",
        0);
}

static void a_thread_has_the_same_limit(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "local t = neap.thread({quiet = true}, function() local t = {} for i = 1, 1e9 do t[i] = {} end end)\n"
        "local ok, message = pcall(t.join, t)\n"
        "assert(not ok and message:find('not enough memory'), message)",
        0);
}

/* --- processor time --- */

static void an_endless_loop_ends_however_it_is_written(void **state) {
    static const char *const loops[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return pcall(f) end while true do f() end",
        "repeat until xpcall(function() while true do end end, function() while true do end end) and false",
        "local co = coroutine.wrap(function()\n"
        "  local _ <close> = setmetatable({}, {__close = function() while true do end end})\n"
        "  while true do end\n"
        "end) while true do pcall(co) end",
        "local co = coroutine.create(function()\n"
        "  local _ <close> = setmetatable({}, {__close = function() while true do end end})\n"
        "  while true do end\n"
        "end) coroutine.resume(co) coroutine.close(co)",
        "local _ <close> = setmetatable({}, {__close = function() while true do end end}) while true do end",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "local neap = require 'neap' while true do pcall(neap.shield, function() while true do end end) end",
        "local neap = require 'neap' while true do neap.yield() end",
        "local neap = require 'neap' local function f() neap.spawn(f) neap.spawn(f) end f() while true do neap.yield() "
        "end",
        "for i = 1, math.huge do string.rep('x', 1000) end",
        "local s = ('x'):rep(4e6) while true do local _ = s:upper() end",
        "string.find(('a'):rep(1e5), ('.-'):rep(50) .. 'b')",
        "string.match(('a'):rep(1e4), '(.*)(.*)(.*)(.*)b')",
        "string.gsub(('a'):rep(1e5), 'a*a*a*b', '')",
        "string.find(('a'):rep(4e6), ('a'):rep(2e6) .. 'b', 1, true)",
        "string.find(('('):rep(1e6), '%b()')",
        "table.move({}, 1, math.maxinteger - 1, 2)",
        "table.insert(setmetatable({}, {__len = function() return 1 << 60 end}), 1, 1)",
        "table.remove(setmetatable({}, {__len = function() return 1 << 60 end, __index = tostring}), 1)",
        "table.sort(setmetatable({}, {__len = function() return 1 << 30 end, __index = tostring}))",
        "local t = {} for i = 1, 200000 do t[i] = 1 end table.sort(t, function() return true end)",
        "require 'neap'.spawn(function() while true do end end):join()",
        "require 'neap'.thread(function() while true do end end):join()",
        "setmetatable({}, {__index = function(t, k) while true do end end}).x()",
        "load(function() while true do end end)",
        "('x'):gsub('.', function() while true do end end)",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "require 'neap'.every(1e-9, function() for i = 1, 1e5 do end end)",
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
        "local neap = require 'neap' neap.main():cancel(setmetatable({}, {__tostring = function() while true do end "
        "end})) neap.yield()",
    };
    (void)state;
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++) {
        int code = neap_engine_run_string(engine, loops[i]);
        if (code != NEAP_E_CPU && code != NEAP_E_MEMORY && told.failed == 0)
            print_message("%s: %s %s\n", loops[i], neap_error_name(code), neap_engine_message(engine));
        assert_true(code == NEAP_E_CPU || code == NEAP_E_MEMORY || strstr(told.failures, "cpu: ") != NULL);
        assert_int_equal(drop_engine(), 0);
        assert_int_equal(make_with(limit_cpu), 0);
    }
}

static void no_finaliser_can_be_set(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "assert(not pcall(setmetatable, {}, {__gc = function() end}))\n"
        "assert(not pcall(setmetatable, {}, {__gc = true}))\n"
        "local mt = {} neap.register('C', mt) local c = neap.channel(9) c:send(setmetatable({}, mt))\n"
        "mt.__gc = function() while true do end end\n"
        "assert(not pcall(c.recv, c))\n"
        "assert(getmetatable(c) == false and getmetatable(io.stdout) == false)\n"
        "local t = neap.spawn(function() neap.sleep(100) end) t:cancel() t:wait()\n"
        "assert(getmetatable(t:error()) == false)\n"
        "assert(debug.setmetatable == nil and debug.getregistry == nil and debug.sethook == nil)",
        0);
}

static void a_spent_engine_stays_spent(void **state) {
    struct neap_value result;
    (void)state;
    run("while true do end", NEAP_E_CPU);
    assert_non_null(strstr(neap_engine_message(engine), "cpu: the limit of 0.05 s"));
    run("x = 1", NEAP_E_CPU);
    assert_int_equal(neap_engine_get(engine, "x", &result), NEAP_E_MISSING);
    assert_int_equal(neap_engine_call(engine, load("x = 1"), NULL, 0, NULL, 0), NEAP_E_CPU);
}

static void waiting_costs_no_processor_time(void **state) {
    (void)state;
    run("local neap = require 'neap' for i = 1, 20 do neap.sleep(0.01) end", 0);
}

static void a_call_from_the_host_is_limited_too(void **state) {
    (void)state;
    assert_int_equal(neap_engine_call(engine, load("while true do pcall(error) end"), NULL, 0, NULL, 0), NEAP_E_CPU);
}

static void note_code(void *argument, int code, const struct neap_value *results, size_t count) {
    (void)results;
    (void)count;
    *(int *)argument = code;
}

static void what_a_spawned_task_leaves_is_limited_too(void **state) {
    int code = 0;
    (void)state;
    neap_function function = load("error(setmetatable({}, {__tostring = function() while true do end end}))");
    assert_int_equal(neap_engine_spawn(engine, function, NULL, 0, note_code, &code), 0);
    assert_int_equal(neap_engine_run(engine), 0);
    assert_int_equal(code, NEAP_E_CPU);
}

static void functions_with_bounds_do_what_the_others_do(void **state) {
    (void)state;
    run("local t = {1, 2, 3, 4}\n"
        "table.insert(t, 5) table.insert(t, 1, 0) assert(table.concat(t, ',') == '0,1,2,3,4,5')\n"
        "assert(table.remove(t) == 5 and table.remove(t, 1) == 0 and #t == 4)\n"
        "assert(table.remove({}) == nil and table.remove({}, 0) == nil)\n"
        "assert(not pcall(table.insert, t, 9, 1) and not pcall(table.remove, t, 9) and not pcall(table.insert, t, 1, "
        "2, 3))\n"
        "assert(table.concat(table.move({1, 2, 3}, 1, 3, 2), ',') == '1,1,2,3')\n"
        "assert(table.concat(table.move({1, 2, 3}, 2, 3, 1), ',') == '2,3,3')\n"
        "assert(table.concat(table.move({1, 2}, 1, 2, 1, {}), ',') == '1,2')\n"
        "table.sort(t, function(a, b) return a > b end) assert(t[1] == 4)\n"
        "assert(('x'):rep(3, ',') == 'x,x,x' and (''):rep(math.maxinteger) == '' and ('x'):rep(-1) == '')\n"
        "assert(('key = value'):match('^(%w+)%s*=%s*(%w+)$') == 'key')\n"
        "assert(('hello world'):find('wor', 1, true) == 7 and ('a.b'):gsub('%.', '-') == 'a-b')\n"
        "local n = 0 for word in ('one two three'):gmatch('%a+') do n = n + 1 end assert(n == 3)\n"
        "assert(('THE (quick) fox'):find('%((%a+)%)') == 5 and ('f(a(b)c)'):match('%b()') == '(a(b)c)')\n"
        "assert(('THE'):find('%f[%a]%a+%f[%A]') == 1 and ('x=x'):match('(.)=%1') == 'x')\n"
        "assert(('[]]'):match('[]]') == ']' and ('a-z'):match('[a%-z]+') == 'a-z')\n"
        "assert(not pcall(string.find, 'a', '[a') and not pcall(string.find, 'a', '%'))",
        0);
}

/* --- counts --- */

static void tasks_and_threads_are_counted(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "local tasks, ok, message = {}\n"
        "for i = 1, 100 do\n"
        "  ok, message = pcall(neap.spawn, function() neap.sleep(1000) end)\n"
        "  if not ok then break end tasks[i] = message\n"
        "end\n"
        "assert(#tasks == 9 and message:find('denied: the host allows 10 tasks'), message)\n"
        "for _, task in ipairs(tasks) do task:cancel() task:wait() end\n"
        "neap.spawn(function() end):join()\n"
        "local gate = neap.event() local a = neap.thread(function() gate:wait() end) local b = neap.thread(function() "
        "gate:wait() end)\n"
        "ok, message = pcall(neap.thread, function() end)\n"
        "assert(not ok and message:find('denied: the host allows 2 threads'), message)\n"
        "gate:set() a:join() b:join()",
        0);
    run("local neap = require 'neap' for i = 1, 20 do neap.spawn(function() neap.sleep(1000) end) end", NEAP_E_DENIED);
}

/* --- capabilities --- */

static void nothing_that_is_denied_can_be_had(void **state) {
    static const char *const attempts[] = {
        "io.open('/etc/passwd')",
        "io.open('/var/tmp/x', 'w')",
        "io.lines('/etc/passwd')",
        "io.input('/etc/passwd')",
        "io.output('/var/tmp/x')",
        "io.tmpfile()",
        "io.popen('true')",
        "os.execute('true')",
        "os.remove('/var/tmp/x')",
        "os.rename('/var/tmp/x', '/var/tmp/y')",
        "os.tmpname()",
        "os.getenv('HOME')",
        "os.setlocale('C')",
        "dofile('/etc/passwd')",
        "loadfile('/etc/passwd')",
        "string.dump(function() end)",
        "package.loadlib('libm.so.6', '*')",
        "package.searchpath('x', '/etc/?')",
        "require 'neap'.thread(print)",
        "require 'neap'.Thread{target = print}",
        "require 'neap'.scope(function(s) s:thread(print) end)",
        "require 'neap'.array('i8', 10)",
        "require 'neap'.process(print)",
        "require 'neap'.pool(1)",
        "require 'neap'.scope(function(s) s:process(print) end)",
        "require 'neap'.run{'true'}",
        "require 'neap'.fs.read('/etc/passwd')",
        "require 'neap'.net.connect('localhost', 1)",
        "require 'neap'.getpid()",
    };
    (void)state;
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        int code = neap_engine_run_string(engine, attempts[i]);
        if (code != NEAP_E_DENIED)
            print_message("%s: %s %s\n", attempts[i], neap_error_name(code), neap_engine_message(engine));
        assert_int_equal(code, NEAP_E_DENIED);
    }
    run("assert(#package.searchers == 1)\n"
        "assert(load('\\27Lua') == nil and load('\\27Lua', 'x', 'b') == nil and load('return 1', 'x', 'b')() == 1)\n"
        "assert(load(function() return nil end, 'x', 'bt'))\n"
        "local n = 0 for name in pairs(debug) do n = n + 1 assert(name == 'traceback') end assert(n == 1)\n"
        "assert(package.loaded.debug == debug and package.loaded.io == io)\n"
        "assert(not pcall(require, 'socket.core') and not pcall(require, 'posix'))\n"
        "local env = load('return _ENV', 'x', 't', {})() assert(env.io == nil)",
        0);
}

static void what_is_left_works(void **state) {
    (void)state;
    run("local neap = require 'neap'\n"
        "local c = neap.channel() neap.spawn(function() c:send(('x'):upper()) end) assert(c:recv() == 'X')\n"
        "assert(select(2, neap.timeout(0.001, neap.sleep, 1)) == 'timeout')\n"
        "neap.gather{neap.spawn(print, os.time() > 0, os.clock() >= 0)}\n"
        "local T = neap.Task{target = print, args = {'task'}} T:start() T:join()\n"
        "local C = neap.Task:extend('C') function C:run() print('class') end local c = C() c:start() c:join()\n"
        "for name in pairs(neap) do assert(type(name) == 'string') end",
        0);
    assert_string_equal(told.output, "true\ttrue\ntask\nclass\n");
}

static void a_function_that_was_sent_gains_nothing(void **state) {
    struct neap_object *channel;
    struct neap_engine *trusted;
    struct neap_config all;
    struct neap_value value;
    (void)state;
    assert_int_equal(neap_channel_create(4, &channel), 0);
    value = neap_object_value(channel);
    neap_config_init(&all);
    assert_int_equal(neap_engine_new(&all, &trusted), 0);
    assert_int_equal(neap_engine_set(trusted, "channel", &value), 0);
    assert_int_equal(neap_engine_set(engine, "channel", &value), 0);
    assert_int_equal(neap_engine_run_string(trusted, "channel:send(function() return io.open('/etc/passwd') end)\n"
                                                     "channel:send{f = os.execute}\n"
                                                     "channel:send(function() return string.dump(print) end)"),
                     0);
    run("local f = channel:recv() local ok, message = pcall(f) assert(not ok and message:find('denied'), message)\n"
        "local t = channel:recv() ok, message = pcall(t.f, 'true') assert(not ok and message:find('denied'), message)\n"
        "assert(not pcall((channel:recv())))",
        0);
    assert_int_equal(neap_engine_free(trusted), 0);
    neap_object_drop(channel);
}

static void deny_some(struct neap_config *changed) {
    changed->denied = NEAP_DENY_WRITING | NEAP_DENY_BYTECODE | NEAP_DENY_C_MODULES;
}

static void what_is_denied_in_part_is_denied_in_threads_too(void **state) {
    char name[] = "/var/tmp/neap-limits-XXXXXX", script[512];
    (void)state;
    int file = mkstemp(name);
    assert_true(file >= 0);
    FILE *stream = fdopen(file, "w");
    fputs("return 42", stream);
    fclose(stream);
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(make_with(deny_some), 0);
    snprintf(
        script, sizeof script,
        "local neap, name = require 'neap', '%s'\n"
        "local function try()\n"
        "  assert(io.open(name):read('a') == 'return 42' and dofile(name) == 42 and loadfile(name)() == 42)\n"
        "  assert(not pcall(io.open, name, 'r+') and not pcall(io.open, name, 'a') and not pcall(os.remove, name))\n"
        "  assert(not pcall(string.dump, try) and #package.searchers == 2)\n"
        "  package.path = name assert(require 'anything' == 42)\n"
        "end\n"
        "try() neap.thread(try):join()",
        name);
    run(script, 0);
    remove(name);
}

static void deny_files(struct neap_config *changed) { changed->denied = NEAP_DENY_READING | NEAP_DENY_WRITING; }

static void what_may_ask_others_may_not_write_or_send_files(void **state) {
    (void)state;
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(make_with(deny_files), 0);
    run("local http = require('neap').http\n"
        "local function is_denied(...)\n"
        "  local ok, message = pcall(...)\n"
        "  assert(not ok and message:find('denied: %l+ing a file'), message)\n"
        "end\n"
        "local url = 'http://127.0.0.1:1/'\n"
        "is_denied(http.get, url, { to = '/var/tmp/neap-limits' })\n"
        "is_denied(http.post, url, { file = '/etc/hostname' })\n"
        "is_denied(http.get, url, { ca = '/etc/hostname' })\n"
        "local net = require('neap').net\n"
        "is_denied(net.connect, '127.0.0.1', 1, { tls = { ca = '/etc/hostname' } })\n"
        "is_denied(net.listen, '127.0.0.1', 0, { tls = { cert = '/etc/hostname' } })\n"
        "is_denied(net.listen, 'unix:/var/tmp/neap-limits.sock')\n"
        "is_denied(net.udp, 'unix:/var/tmp/neap-limits.sock')\n"
        "assert(net.udp('127.0.0.1')):close()\n"
        "is_denied(http.serve, { handler = print, host = 'unix:/var/tmp/neap-limits.sock' })\n"
        "is_denied(http.serve, { handler = print, tls = { cert = '/etc/hostname' } })\n"
        "local answer, message, code = http.get(url)\n"
        "assert(not answer and code == 'ECONNREFUSED', message)",
        0);
}

/* --- the network --- */

static void deny_network(struct neap_config *changed) { changed->denied = NEAP_DENY_NETWORK; }

static void without_the_network_there_are_no_sockets_and_no_http(void **state) {
    (void)state;
    run("neap = require('neap')\n"
        "local server = neap.http.serve({ handler = function() return '' end })\n"
        "assert(server and neap.net.open and neap.net.starttls)\n"
        "server:close()",
        0);
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(make_with(deny_network), 0);
    run("local neap = require('neap')\n"
        "for _, name in ipairs({ 'net', 'http', 'dns' }) do\n"
        "  local ok, message = pcall(function() return neap[name].anything end)\n"
        "  assert(not ok and message:find('denied'), message)\n"
        "end\n"
        "for _, name in ipairs({ 'serve', 'get' }) do\n"
        "  local ok, message = pcall(function() return neap.http[name]({}) end)\n"
        "  assert(not ok and message:find('denied'), message)\n"
        "end",
        0);
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(make_with(NULL), 0);
}

/* --- signals --- */

static void allow_signals(struct neap_config *changed) {
    changed->signals = true;
    changed->denied = NEAP_DENY_NETWORK;
}

static void no_signal_is_touched_unless_the_host_allows_it(void **state) {
    struct sigaction before;
    (void)state;
    run("local ok, message = pcall(require('neap').signal, 'USR1')\n"
        "assert(not ok and message:find('denied'), message)",
        0);
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(make_with(allow_signals), 0);
    run("signal = require('neap').signal('USR1')", 0);
    raise(SIGUSR1);
    run("assert(signal:wait(60))", 0);
    assert_int_equal(drop_engine(), 0);
    sigaction(SIGUSR1, NULL, &before);
    assert_true(before.sa_handler == SIG_DFL);
    assert_int_equal(make_with(NULL), 0);
}

/* --- the rest of the promise --- */

static struct { size_t used, most; /* bytes */ } account;

static void *count_bytes(void *argument, void *block, size_t old_size, size_t new_size) {
    (void)argument;
    if (new_size == 0) {
        free(block);
        account.used -= old_size;
        return NULL;
    }
    void *result = realloc(block, new_size);
    if (result == NULL) return NULL;
    account.used += new_size - old_size;
    if (account.used > account.most) account.most = account.used;
    return result;
}

static void use_allocator(struct neap_config *changed) { changed->allocate = count_bytes; }

static void the_hosts_allocator_is_used(void **state) {
    (void)state;
    memset(&account, 0, sizeof account);
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(make_with(use_allocator), 0);
    run("local s = ('x'):rep(1e6)", 0);
    assert_true(account.most > 1000000);
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(account.used, 0);
    assert_int_equal(make_with(limit_memory), 0);
}

static int opened, closed;

static void on_open(void *context, struct neap_engine *which, struct lua_State *L) {
    CHECK(context == &told && which != NULL && L != NULL);
    __atomic_add_fetch(&opened, 1, __ATOMIC_SEQ_CST);
}

static void on_close(void *context, struct neap_engine *which, struct lua_State *L) {
    CHECK(context == &told && which != NULL && L != NULL);
    __atomic_add_fetch(&closed, 1, __ATOMIC_SEQ_CST);
}

static void use_hooks(struct neap_config *changed) {
    changed->on_open = on_open;
    changed->on_close = on_close;
}

static void each_state_is_announced(void **state) {
    (void)state;
    opened = closed = 0;
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(make_with(use_hooks), 0);
    run("local neap = require 'neap' for i = 1, 3 do neap.thread(function() end):join() end", 0);
    assert_int_equal(drop_engine(), 0);
    assert_int_equal(opened, 4);
    assert_int_equal(closed, 4);
    assert_int_equal(make_with(limit_memory), 0);
}

static void limits_out_of_range_are_refused(void **state) {
    struct neap_config bad;
    struct neap_engine *other;
    (void)state;
    neap_config_init(&bad);
    bad.memory_limit = 1000;
    assert_int_equal(neap_engine_new(&bad, &other), NEAP_E_INVALID);
    assert_non_null(strstr(neap_config_check(&bad), "memory_limit"));
    neap_config_init(&bad);
    bad.cpu_limit = -1;
    assert_non_null(strstr(neap_config_check(&bad), "cpu_limit"));
    neap_config_init(&bad);
    bad.denied = ~(uint32_t)NEAP_DENY_ALL;
    assert_int_equal(neap_engine_new(&bad, &other), NEAP_E_INVALID);
    assert_non_null(strstr(neap_config_check(&bad), "denied"));
}

#define TEST(function, make) cmocka_unit_test_setup_teardown(function, make, drop)

int main(void) {
    const struct CMUnitTest limits_tests[] = {
        TEST(a_memory_bomb_fails_and_the_host_goes_on, make_limited_memory),
        TEST(only_the_task_that_is_at_fault_fails, make_limited_memory),
        TEST(what_goes_away_can_be_used_again, make_limited_memory),
        TEST(a_thread_has_the_same_limit, make_limited_memory),
        TEST(an_endless_loop_ends_however_it_is_written, make_limited_cpu),
        TEST(no_finaliser_can_be_set, make_limited_cpu),
        TEST(a_spent_engine_stays_spent, make_limited_cpu),
        TEST(waiting_costs_no_processor_time, make_limited_cpu),
        TEST(a_call_from_the_host_is_limited_too, make_limited_cpu),
        TEST(what_a_spawned_task_leaves_is_limited_too, make_limited_cpu),
        TEST(functions_with_bounds_do_what_the_others_do, make_limited_cpu),
        TEST(tasks_and_threads_are_counted, make_limited_counts),
        TEST(nothing_that_is_denied_can_be_had, make_denied),
        TEST(what_is_left_works, make_denied),
        TEST(a_function_that_was_sent_gains_nothing, make_denied),
        TEST(what_is_denied_in_part_is_denied_in_threads_too, make_denied),
        TEST(what_may_ask_others_may_not_write_or_send_files, make_limited_memory),
        TEST(without_the_network_there_are_no_sockets_and_no_http, make_limited_memory),
        TEST(no_signal_is_touched_unless_the_host_allows_it, make_limited_memory),
        TEST(the_hosts_allocator_is_used, make_limited_memory),
        TEST(each_state_is_announced, make_limited_memory),
        TEST(limits_out_of_range_are_refused, make_limited_memory),
    };
    return cmocka_run_group_tests(limits_tests, NULL, NULL);
}
