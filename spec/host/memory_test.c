/* Allocations that fail, one after the other, in what scripts do: whatever is refused, the script is told or does not
 * notice, the state goes on, and nothing is lost. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "support.h"

enum { ALLOCATIONS_MAX = 20000 };

/* fail_after(n): the allocation of this thread after the next n fails; negative: none. True
 * when the last one to fail has. */
static int fail_after(struct neap_native_call *call, void *argument) {
    const struct neap_value *count = neap_call_argument(call, 0);
    (void)argument;
    struct neap_value has_failed = neap_boolean(neap_memory_fail_after(-1) < 0);
    int code = neap_call_return(call, &has_failed);
    neap_memory_fail_after((long)count->as.integer);
    return code;
}

static const struct {
    const char *name, *body;
} uses[] = {
    {"channel", "local c = neap.channel(2) c:send({1, {2}, 'x'}) c:send(('y'):rep(1000)) c:recv() c:recv() "
                "c:close('done') c:recv()"},
    {"rendezvous", "local c = neap.channel() local t = neap.spawn(function() return c:recv() end) c:send({}) t:join()"},
    {"queue",
     "for _, order in ipairs { 'fifo', 'lifo', 'priority' } do local q = neap.queue { order = order, maxsize = 3 }"
     " for i = 1, 3 do q:put({ i }) end for i = 1, 3 do q:get() q:task_done() end q:join() end"},
    {"pipe", "local a, b = neap.pipe() a:send({ 'x' }) b:poll() b:recv() a:close() b:recv()"},
    {"lock", "local l = neap.lock() local t = neap.spawn(function() l:acquire() l:release() end)"
             " l:with(neap.yield) local g <close> = l:guard() t:cancel()"},
    {"rlock", "local l = neap.rlock() l:acquire() l:with(function() end) l:release()"},
    {"rwlock", "local l = neap.rwlock() l:acquire_read() l:release() local g <close> = l:guard_write()"},
    {"condition", "local c = neap.condition() c:with(function() c:wait(0) c:notify() end)"},
    {"semaphore",
     "local s = neap.semaphore(2) s:acquire() s:release() s:with(function() end) local g <close> = s:guard()"},
    {"event", "local e = neap.event() local t = neap.spawn(e.wait, e) neap.yield() e:set() t:join()"},
    {"barrier", "local b = neap.barrier(2, function() end) local t = neap.spawn(b.wait, b) b:wait() t:join()"},
    {"select", "local a, b, e = neap.channel(1), neap.channel(), neap.event() neap.select({ { a, { 1 } }, b, e })"
               " neap.select({ b, e, neap.spawn(function() end) })"},
    {"spawn", "local t = {} for i = 1, 20 do t[i] = neap.spawn(function(...) neap.yield() return ... end, i, {}) end"
              " for i = 1, 20 do t[i]:join() end"},
    {"failure", "local t = neap.spawn(function() error({ 'x' }) end) pcall(t.join, t) t:traceback()"},
    {"task that is sent",
     "local c = neap.channel(1) c:send({ neap.spawn(function() return { 1 } end) }) c:recv()[1]:join()"},
    {"scope", "neap.scope(function(s) s:spawn(function() neap.yield() end) s:spawn(function() return {} end) end)"},
    {"timeout", "neap.timeout(0.001, function() neap.sleep(60) end) neap.timeout(60, function() end)"},
    {"timer", "local t = neap.timer(60, function() end) t:cancel() neap.timer(0, function() end):join()"},
    {"gather", "neap.gather({ neap.spawn(function() end), neap.spawn(function() return 1 end) })"
               " for _ in neap.as_completed({ neap.spawn(function() end) }) do end"},
    {"cancel",
     "local t = neap.spawn(function() local _ <close> = setmetatable({}, { __close = function() neap.yield() end })"
     " neap.sleep(60) end) neap.yield() t:cancel({ 'why' }) t:wait()"},
    {"generator", "for _ in coroutine.wrap(function() neap.yield() coroutine.yield(1) neap.yield() end) do end"},
    {"thread", "local t = neap.thread(function(a) return a, function() return a end end, { 1, 2 }) t:join()"},
    {"value", "local v = neap.value('i64', 1) v:add(1) v:update(function(n) return n + 1 end)"
              " local a = neap.array('f64', { 1, 2 }) a:slice(1, 2) a:fill(0)"},
    {"dict",
     "local d = neap.dict({ a = { 1 }, b = neap.dict() }) d.c = { 2 } d:update('c', function(c) c[2] = 1 return c end)"
     " for k, v in pairs(d) do d:remove(k) end"},
    {"list", "local l = neap.list({ 1, { 2 } }) l:append({ 3 }) for i, v in ipairs(l) do end l:pop() l:clear()"},
    {"buffer", "local b = neap.buffer(100) b:write(1, 'abc') local s = b:sub(1, 3) b:seal() neap.buffer('text')"},
    {"pool",
     "local p <close> = neap.pool { workers = 2, kind = 'task' } p:submit(function(x) return { x } end, 1):result()"
     " p:map(function(x) return x end, { 1, 2, 3, 4, 5 }) for _ in p:imap(function(x) return x end, { 1, 2 }) do end"},
    {"functions", "local up = { 1 } local function f() return up, f end local c = neap.channel(1) c:send({ f, f, up }) "
                  "c:recv()[1]()"},
    {"class", "local w = neap.Task { target = function() return 1 end } w:start() w:join()"},
    {"inspect", "neap.spawn(function() neap.sleep(0.001) end) neap.inspect('tasks')"},
    {"files", "local path = os.tmpname() neap.fs.write(path, 'text') neap.fs.read(path) os.remove(path)"},
    {"open file", "local path = os.tmpname() local file = assert(neap.fs.open(path, 'w')) pcall(file.write, file, 'a')"
                  " file:write('b', 60) file:close() os.remove(path)"},
    {"sockets", "local path = os.tmpname() os.remove(path) local l <close> = neap.net.listen('unix:' .. path)"
                " local t = neap.spawn(function() return l:accept(1) end) local s = neap.net.connect('unix:' .. path)"
                " local c = t:join() s:write('x\\n') c:read('line') s:close() c:close()"},
    {"process", "local p, why = neap.process(function(a) return a end, { 1, 2 }) if p then p:join() end"},
    {"remote", "local c, d = neap.channel(), neap.dict() local p = neap.process(function(c, d) d.x = 1 c:send({ 1 }) "
               "return c, d end, c, d)"
               " if p then c:recv(10) p:join() end"},
};

static const char sweep[] = "local neap = require 'neap'\n"
                            "local function body() %s end\n"
                            "pcall(body) collectgarbage()\n"
                            "local n = 0\n"
                            "repeat\n"
                            "  fail_after(n)\n"
                            "  local ok, err = pcall(body)\n"
                            "  local reached = fail_after(-1)\n"
                            "  if not ok then reasons[tostring(err)] = true end\n"
                            "  for _, t in ipairs(neap.tasks()) do\n"
                            "    if t ~= neap.current() and t.name ~= 'main' then t:cancel() t:wait() end\n"
                            "  end\n"
                            "  n = n + 1\n"
                            "until not reached or n > 20000\n"
                            "assert(n < 20000)\n"
                            "assert(pcall(body))\n";

static void each_refused_allocation_is_told_or_not_noticed(void **state) {
    const char *runner = getenv("NEAP");
    (void)state;
    if (runner != NULL) setenv("NEAP_RUNNER", runner, 1);
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        char text[8192];
        assert_int_equal(make_engine(NULL), 0);
        assert_int_equal(neap_engine_register(engine, "fail_after", fail_after, NULL), 0);
        int length = snprintf(text, sizeof text, sweep, uses[i].body);
        assert_true(length > 0 && (size_t)length < sizeof text);
        run("reasons = {}", 0);
        run(text, 0);
        run("for reason in pairs(reasons) do assert(reason:find('memory'), reason) end", 0);
        assert_int_equal(drop_engine(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_refused_allocation_is_told_or_not_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
