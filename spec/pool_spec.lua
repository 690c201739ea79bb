local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local after_each, assert, describe, it = after_each, assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races, raises, it_of_each_kind = trial.it_races, trial.raises, trial.it_of_each_kind
local numbers, squares = trial.numbers, trial.squares

describe("neap.pool", function()
  it("has as many threads as there are processors", function()
    local pool <close> = neap.pool()
    assert.are.equal(neap.cpu_count(), pool:stats().workers)
    assert.matches("^pool: pool%-%d+ %(" .. neap.cpu_count() .. " threads?, open%)$", tostring(pool))
  end)

  it("has as many workers as it is told", function()
    local pool <close> = neap.pool(3)
    assert.are.equal(3, pool:stats().workers)
    local other <close> = neap.pool { workers = 1, kind = "task", name = "small" }
    assert.are.equal("pool: small (1 task, open)", tostring(other))
  end)

  it("runs its work in threads that bear its name", function()
    local pool <close> = neap.pool { workers = 1, name = "ovens" }
    local name, is_thread = pool:apply(function() return neap.current().name, neap.current() ~= neap.main() end)
    assert.are.equal("ovens worker 1", name)
    assert.is_true(is_thread)
  end)

  it("refuses what it does not know or cannot be", function()
    raises("bad argument #2 to 'pool' %(options go into the one table", neap.pool, 2, { kind = "process" })
    raises("bad argument #1 to 'pool' %(unknown option 'wokers' %(known: initargs, initializer, kind,", neap.pool,
      { wokers = 1 })
    for _, bad in ipairs({ 0, -1, 1.5, 10001, 0 / 0 }) do raises("a number of workers", neap.pool, bad) end
    raises("option 'kind': one of 'thread', 'process', 'task' expected", neap.pool, { kind = "fiber" })
    raises("option 'max_tasks': a number of tasks", neap.pool, { max_tasks = 0 })
    raises("option 'queue_limit': a number of tasks", neap.pool, { queue_limit = "many" })
    raises("option 'initializer': function expected, got 'x'", neap.pool, { initializer = "x" })
    raises("table of options expected, got string", neap.pool, "2")
  end)

  it("waits for its work when its scope is left well", function()
    local done = neap.event()
    do
      local pool <close> = neap.pool(1)
      pool:submit(function(event)
        neap.sleep(0.02)
        event:set()
      end, done)
    end
    assert.is_true(done:is_set())
  end)

  it("cancels its work when its scope is left by an error, and waits", function()
    local started, cleaned = neap.event(), neap.event()
    local future, queued
    raises("out", function()
      local pool <close> = neap.pool(1)
      future = pool:submit(function(began, ended)
        local _ <close> = setmetatable({}, { __close = function() ended:set() end })
        began:set()
        neap.sleep(3600)
      end, started, cleaned)
      queued = pool:submit(print)
      started:wait()
      error("out")
    end)
    assert.is_true(cleaned:is_set())
    assert.are.equal("cancelled", future:status())
    assert.are.equal("cancelled", queued:status())
  end)

  it("works in a plain lua5.4", function()
    local result = support.run_plain([[
      local pool <close> = neap.pool(2)
      print(table.concat(pool:map(function(x) return x * x end, {1, 2, 3}), " "))
    ]])
    assert.are.same({ status = 0, stdout = "1 4 9\n", stderr = "" }, result)
  end)
end)

describe("pool:submit", function()
  it_of_each_kind("returns a future with the results", function(new)
    local pool <close> = new(2)
    local future = pool:submit(function(...) return select("#", ...), ... end, 1, nil, "x")
    assert.are.same(table.pack(3, 1, nil, "x"), table.pack(future:result()))
    assert.are.same(table.pack(), table.pack(pool:submit(function() end):result()))
    assert.are.same(table.pack(nil), table.pack(pool:submit(function() return nil end):result()))
  end)

  it_of_each_kind("does a burst of ten times its size", function(new)
    local pool <close> = new(2)
    local futures = {}
    for i = 1, 20 do futures[i] = pool:submit(function(x) return x end, i) end
    for i = 1, 20 do assert.are.equal(i, futures[i]:result()) end
  end)

  it_of_each_kind("begins the work in the order in which it came", function(new)
    local pool <close> = new(1)
    local order = neap.queue()
    for i = 1, 50 do pool:submit(order.put, order, i) end
    for i = 1, 50 do assert.are.equal(i, (order:get())) end
  end)

  it_of_each_kind("does no more at once than there are workers", function(new)
    local pool <close> = new(2)
    local active, most = neap.semaphore(0), neap.queue()
    local futures = {}
    for i = 1, 8 do
      futures[i] = pool:submit(function()
        active:release()
        most:put(active:value())
        neap.sleep(0.001)
        active:acquire()
      end)
    end
    neap.gather(futures)
    for _ = 1, 8 do assert.is_true(most:get() <= 2) end
  end)

  it("copies what it sends, and raises in the sender what cannot be sent", function()
    local pool <close> = neap.pool(1)
    raises("cannot send args%[2%]%.conn: userdata", pool.submit, pool, print, 1, { conn = io.stdout })
    local file = io.stdout
    raises("cannot send function:upvalue%(file%): userdata", pool.submit, pool, function() return file end)
    raises("function expected", pool.submit, pool, 5)
    raises("function expected", pool.submit, pool)
    assert.are.equal(0, pool:stats().submitted)
  end)

  it("makes a result that cannot be sent the failure of that future, and goes on", function()
    local pool <close> = neap.pool(1)
    local future = pool:submit(function() return { x = coroutine.create(print) } end)
    raises("cannot send result%[1%]%.x: coroutine", future.result, future)
    local failing = pool:submit(function() error({ conn = io.stdout }) end)
    raises("cannot send error%.conn: userdata", failing.result, failing)
    assert.are.equal(7, pool:apply(function() return 7 end))
  end)

  it("sends pools and futures", function()
    local pool <close> = neap.pool(2)
    local future = pool:submit(function(p) return p, p:submit(function() return "inner" end) end, pool)
    local same, inner = future:result()
    assert.are.equal(pool, same)
    assert.are.equal("inner", inner:result())
    local thread = neap.thread(function(p, f)
      return f:result(), p:apply(function() return "there" end), f
    end, pool, inner)
    local a, b, c = thread:join()
    assert.are.equal("inner", a)
    assert.are.equal("there", b)
    assert.are.equal(inner, c)
  end)

  it("waits while the queue is full", function()
    local pool <close> = neap.pool { workers = 1, queue_limit = 2 }
    local gate = neap.event()
    local held = pool:submit(gate.wait, gate)
    while held:status() == "new" do neap.yield() end
    pool:submit(function() end)
    pool:submit(function() end)
    local submitter = grid.parked_task(pool.submit, pool, function() return "late" end)
    assert.are.equal(2, pool:stats().queued)
    gate:set()
    assert.are.equal("late", submitter:join():result())
  end)

  it("takes nothing when it is cancelled while it waits for a place", function()
    local pool <close> = neap.pool { workers = 1, queue_limit = 1 }
    local gate = neap.event()
    local held = pool:submit(gate.wait, gate)
    while held:status() == "new" do neap.yield() end
    pool:submit(function() end)
    local submitter = grid.parked_task(pool.submit, pool, function() end)
    submitter:cancel()
    grid.assert_cancelled(submitter)
    gate:set()
    pool:join()
    assert.are.equal(2, pool:stats().submitted)
  end)

  it("raises once the pool is closed", function()
    local pool = neap.pool { workers = 1, name = "shop" }
    pool:close()
    pool:close()
    assert.is_true(pool:is_closed())
    raises("shop is closed: it takes no more work", pool.submit, pool, print)
    pool:join()
    for _, name in ipairs({ "map", "starmap", "map_async", "imap", "imap_unordered" }) do
      for _, list in ipairs({ { { 1 } }, {} }) do
        raises("^spec/pool_spec.lua:%d+: shop is closed: it takes no more work", function()
          pool[name](pool, print, list)
        end)
      end
    end
  end)

  it("abandons what the work has locked and not released", function()
    local pool <close> = neap.pool(1)
    local lock = neap.lock()
    pool:apply(function(l) l:acquire() end, lock)
    assert.are.same({ true, "abandoned" }, { lock:acquire() })
    lock:release()
  end)
end)

describe("the traceback of work", function()
  it_of_each_kind("goes from the error to the function, and on to where the pool was made", function(_, kind)
    local pool, line = neap.pool { workers = 1, kind = kind }, debug.getinfo(1, "l").currentline
    local _ <close> = pool
    local function fail() error("x") end
    local function work() fail() end
    local future = pool:submit(work)
    assert.is_false(pcall(future.result, future))
    local traceback = future:traceback()
    assert.matches("pool_spec.lua:%d+: in upvalue 'fail'\n\t[^\n]*pool_spec.lua:%d+: in function <[^\n]*>\n" ..
      "\tspawned at [^\n]*pool_spec.lua:" .. line, traceback)
    assert.is_nil(traceback:find("[neap.", 1, true), traceback)
  end)

  --- The last line of a stack: a function of this file, which is what the script gave the pool.
  local own = "[^\n]*pool_spec.lua:%d+: in function <[^\n]*>"

  it_of_each_kind("ends with the function of a map, too", function(new)
    local pool <close> = new(1)
    local function work() error("x") end
    local future = pool:map_async(work, { 1 })
    assert.is_false(pcall(future.result, future))
    local traceback = future:traceback()
    assert.matches("^stack traceback:\n\t%[C%]: in function 'error'\n\t" .. own .. "\n\tspawned at [^\n]*$", traceback)
    local outer = pool:submit(function(p, f) return (p:map(f, { 1 })) end, pool, work)
    assert.is_false(pcall(outer.result, outer))
    local stack, cause = outer:traceback():match("^(.*)\ncaused by:\n(.*)$")
    assert.matches("\n\t" .. own .. "\n\tspawned at [^\n]*$", stack)
    assert.matches("^stack traceback:\n\t%[C%]: in function 'error'\n\t" .. own .. "\n\tspawned at ", cause)
  end)

  it_of_each_kind("of an initializer ends with that", function(_, kind)
    local pool = neap.pool { workers = 1, kind = kind, initializer = function() error("x") end }
    local future = pool:submit(function() end)
    assert.is_false(pcall(future.result, future))
    assert.matches("^stack traceback:\n\t%[C%]: in function 'error'\n\t" .. own .. "$", future:traceback())
  end)

  it_of_each_kind("ends there where it is asked for, too", function(new)
    local pool <close> = new(1)
    local function work(depth)
      if depth > 0 then return (work(depth - 1)) end
      return debug.traceback("a\n\tmessage", 1)
    end
    local once = "^a\n\tmessage\nstack traceback:\n\t" .. own .. "$"
    assert.matches(once, pool:apply(work, 0))
    assert.matches(once, pool:map(work, { 0 })[1])
    assert.matches("\n\t[^\n]*pool_spec.lua:%d+: in upvalue 'work'\n\t" .. own .. "$", pool:apply(work, 1))
    assert.matches("skipping %d+ levels.*" .. own .. "$", pool:apply(work, 100))
    local function past() return debug.traceback("m", 50), (debug.traceback({})) end
    local text, value = pool:apply(past)
    assert.are.same({ "m\nstack traceback:", {} }, { text, value })
    local _, caught = pool:apply(xpcall, error, debug.traceback, "c")
    assert.matches("^c\nstack traceback:\n\t%[C%]: in function 'error'\n\t%[C%]: in function 'xpcall'$", caught)
  end)

  it_of_each_kind("of a coroutine is that of Lua", function(new)
    local pool <close> = new(1)
    local function work()
      local co = coroutine.create(function() coroutine.yield() end)
      coroutine.resume(co)
      return debug.traceback(co), debug.traceback(co, "m"), debug.traceback(co, nil, 1)
    end
    assert.are.same({ work() }, { pool:apply(work) })
  end)
end)

describe("work that waits for its own pool", function()
  it_of_each_kind("gets what it waits for, however deep", function(new)
    local pool <close> = new(1)
    local function descend(p, depth, again)
      if depth == 0 then return 0 end
      return 1 + p:submit(again, p, depth - 1, again):result()
    end
    assert.are.equal(20, pool:submit(descend, pool, 20, descend):result())
  end)

  it_of_each_kind("may map, gather, select, wait and submit to a full queue", function(new)
    local pool <close> = new { workers = 1, queue_limit = 1 }
    local result = pool:apply(function(p)
      local function one() return 1 end
      local sum = #p:map(one, { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, { chunksize = 1 })
      sum = sum + neap.gather({ p:submit(one), p:submit(one) })[2]
      sum = sum + neap.select({ p:submit(one) })
      sum = sum + #neap.wait({ p:submit(one), p:submit(one), p:submit(one) })
      for value in p:imap(one, { 1, 2, 3, 4 }) do sum = sum + value end
      return sum
    end, pool)
    assert.are.equal(9 + 1 + 1 + 3 + 4, result)
  end)

  for name, max_tasks in pairs({ ["the pool is closed"] = false, ["its worker has done its duty"] = 1 }) do
    it_of_each_kind("may end before what it has waited for, though " .. name, function(new)
      local pool = new { workers = 1, max_tasks = max_tasks or nil }
      local begun, gate = neap.event(), neap.event()
      local future = pool:apply(function(p, e, g)
        local slow = p:submit(function()
          e:set()
          g:wait()
          return "kept"
        end)
        neap.select({ slow, e })
        if not max_tasks then p:close() end
        return slow
      end, pool, begun, gate)
      gate:set()
      assert.are.equal("kept", future:result())
      pool:join()
    end)
  end

  it_of_each_kind("does not look again and again for more of a pool that is closed", function(new)
    local pool = new(2)
    local submitted, closed = neap.event(), neap.event()
    local future = pool:submit(function(p, s, c)
      local function number() return neap.spawn(function() end).id end
      local slow = p:submit(function()
        c:wait()
        neap.sleep(0.02)
      end)
      s:set()
      c:wait()
      for _ = 1, 64 do number() end -- a thread is given them by the lot, and the last lot may be old
      local before = number()
      slow:wait()
      return number() - before
    end, pool, submitted, closed)
    submitted:wait()
    pool:close()
    closed:set()
    local spawned = future:result()
    assert.is_true(spawned < 500, "tasks since then: " .. spawned)
  end)

  it_of_each_kind("is told when that has cancelled its own task", function(new)
    local pool <close> = new(1)
    local status = pool:apply(function(p)
      local future = p:submit(function()
        neap.current():cancel()
        neap.yield()
      end)
      future:wait(30)
      return future:status()
    end, pool)
    assert.are.equal("cancelled", status)
  end)

  it("is not told of a wait that had begun under the worker before", function()
    local pool <close> = neap.pool { workers = 1, kind = "task" }
    local events = {}
    for _, name in ipairs { "taken", "waiting", "over", "ended" } do events[name] = neap.event() end

    -- Two pieces, of which the one extra runner does the second after the first. Meanwhile the wait of before ends.
    local function wait_for_two(p, e)
      local first = p:submit(function(each)
        each.over:set()
        each.ended:wait()
        return 1
      end, e)
      local second = p:submit(function() return 2 end)
      e.waiting:set()
      return second:result() + first:result()
    end
    -- Its worker dies with what it and its extra runner do; what its task waits for is for the next one.
    local function die(p, e, wait)
      p:submit(function(each)
        each.taken:set()
        neap.sleep(600)
      end, e)
      local left = p:submit(wait, p, e)
      neap.spawn({ daemon = true }, function()
        neap.select { left, e.over }
        e.ended:set()
      end)
      e.taken:wait()
      neap.current():cancel()
      neap.yield()
      return left
    end

    pool:submit(die, pool, events, wait_for_two)
    assert.is_true(events.waiting:wait(60))
    assert.is_true(events.ended:wait(60))
    assert.are.equal(3, pool:submit(function() return 3 end):result(60))
    assert.are.equal(4, pool:stats().done)
  end)

  it_of_each_kind("may wait in tasks that it spawns", function(new)
    local pool <close> = new(1)
    local results = pool:apply(function(p)
      local tasks = {}
      for i = 1, 5 do
        tasks[i] = neap.spawn(function() return p:submit(function(x) return x * x end, i):result() end)
      end
      return neap.gather(tasks)
    end, pool)
    assert.are.same(squares(1, 5), results)
  end)

  it_of_each_kind("may wait for what another process has promised of it", function(new)
    local pool <close> = new(1)
    local started, promised = neap.event(), neap.channel(1)
    local process <close> = neap.process(function(p)
      started:wait()
      local future = p:map_async(function(x) return x * x end, { 1, 2, 3 })
      promised:send(future)
      future:wait()
    end, pool)
    local work = pool:submit(function()
      started:set()
      return promised:recv():result()
    end)
    assert.are.same({ 1, 4, 9 }, work:result())
    process:join()
  end)

  it("does not let its worker do more at once than before, when the wait is over", function()
    local pool <close> = neap.pool(1)
    local active, most = neap.semaphore(0), neap.queue()
    local function work()
      active:release()
      most:put(active:value())
      neap.sleep(0.001)
      active:acquire()
    end
    for _ = 1, 3 do pool:apply(function(p) for _ = 1, 3 do p:apply(function() end) end end, pool) end
    local futures = {}
    for i = 1, 6 do futures[i] = pool:submit(work) end
    neap.gather(futures)
    for _ = 1, 6 do assert.are.equal(1, (most:get())) end
  end)

  --- Work that has its worker do something else meanwhile, and ends first; then the worker might end, too. What else
  -- it does calls last(pool) in the end.
  local function assert_done(pool, closes, last)
    local go, began, gate = neap.event(), neap.event(), neap.event()
    local first = pool:submit(function(p, event, ...)
      local other = p:submit(...)
      neap.select({ other, event })
      return other
    end, pool, go, function(p, b, g, call)
      b:set()
      g:wait()
      return call(p)
    end, pool, began, gate, last)
    began:wait()
    if closes then pool:close() end
    go:set()
    local other = first:result()
    for _ = 1, 1000 do neap.yield() end
    gate:set()
    assert.are.equal("done", other:result())
    assert.is_true(pool:join())
    assert.are.equal(0, pool:stats().lost)
  end

  it_of_each_kind("does not end what its worker does meanwhile when the pool is closed", function(new)
    assert_done(new(1), true, function() return "done" end)
  end)

  it_of_each_kind("nor when it was the last that its worker was to do", function(new)
    assert_done(new { workers = 1, max_tasks = 1 }, false, function() return "done" end)
  end)

  it_of_each_kind("which may wait for the pool even then", function(new)
    assert_done(new { workers = 1, max_tasks = 1 }, false, function(p)
      return p:apply(function() return p:apply(function() return "done" end) end)
    end)
  end)

  it("cannot join it", function()
    local pool <close> = neap.pool(1)
    raises("the work of a pool cannot join it", pool.apply, pool, function(p) p:join() end, pool)
  end)

  it_races("gets it while others submit", function()
    local pool <close> = neap.pool(2)
    local rounds = 20 * support.stress
    local function count(p, depth, again)
      if depth == 0 then return 1 end
      local a, b = p:submit(again, p, depth - 1, again), p:submit(again, p, depth - 1, again)
      return a:result() + b:result()
    end
    for _ = 1, rounds do
      local futures = {}
      for i = 1, 4 do futures[i] = pool:submit(count, pool, 4, count) end
      for i = 1, 4 do assert.are.equal(16, futures[i]:result()) end
    end
  end)
end)

describe("pool:apply", function()
  it_of_each_kind("returns what the function returns", function(new)
    local pool <close> = new(1)
    assert.are.same({ 1, 2, 3 }, { pool:apply(function(...) return ... end, 1, 2, 3) })
  end)

  it_of_each_kind("raises what the function raises, the original value", function(new)
    local pool <close> = new(1)
    local ok, err = pcall(pool.apply, pool, function() error({ code = 404 }) end)
    assert.is_false(ok)
    assert.are.same({ code = 404 }, err)
  end)
end)

describe("pool:apply_async", function()
  it_of_each_kind("calls back with the results", function(new)
    local pool <close> = new(1)
    local results = neap.channel(1)
    local function work(a, b) return a + b, a * b end
    local future = pool:apply_async(work, { 3, 4 }, function(...) results:send({ ... }) end)
    assert.are.same({ 7, 12 }, results:recv())
    assert.are.equal(7, future:result())
  end)

  it_of_each_kind("calls back with the error", function(new)
    local pool <close> = new(1)
    local errors = neap.channel(1)
    local called = false
    pool:apply_async(error, { { code = 5 } }, function() called = true end, function(err) errors:send(err) end)
    assert.are.same({ code = 5 }, errors:recv())
    assert.is_false(called)
  end)

  it("takes what table.pack has packed", function()
    local pool <close> = neap.pool(1)
    assert.are.equal(3, pool:apply_async(function(...) return select("#", ...) end, table.pack(1, nil, nil)):result())
  end)

  it("refuses what is no list, and what is no function", function()
    local pool <close> = neap.pool(1)
    local message = "bad argument #2 to 'apply_async' %(table of arguments expected, got number%)"
    raises(message, pool.apply_async, pool, print, 1)
    message = "bad argument #2 to 'apply_async' %(list of arguments expected, got a table with the key 'a'%)"
    raises(message, pool.apply_async, pool, print, { 1, a = 2 })
    raises("too many results to unpack$", pool.apply_async, pool, print, { n = math.maxinteger })
    message = "bad argument #3 to 'apply_async' %(function expected, got number%)"
    raises(message, pool.apply_async, pool, print, {}, 1)
  end)

  it("says what is wrong with the place of whoever calls it", function()
    local pool <close> = neap.pool(1)
    local file = io.stdout
    local here = "^spec/pool_spec.lua:%d+: "
    raises(here .. "bad argument #1 to 'apply_async' %(function expected, got nil%)", function()
      return pool:apply_async(nil, {}), nil
    end)
    raises(here .. "cannot send args%[2%]%.a: userdata", function()
      return pool:apply_async(print, { 1, { a = file } }), nil
    end)
    pool:close()
    raises(here .. ".* is closed", function() return pool:apply_async(print), nil end)
  end)

  it("runs the callbacks as tasks, which may wait", function()
    local pool <close> = neap.pool(1)
    local result = neap.channel()
    pool:apply_async(function() return 1 end, {}, function(value)
      neap.sleep(0.001)
      result:send(value)
    end)
    assert.are.equal(1, result:recv())
  end)
end)

describe("an initializer", function()
  it("that cannot be sent is named in the words of who makes the pool", function()
    local file = io.stdout
    local here = "^spec/pool_spec.lua:%d+: cannot send "
    for _, kind in ipairs({ "thread", "process" }) do
      raises(here .. "initargs%[2%]%.conn: userdata", function()
        neap.pool { workers = 1, kind = kind, initializer = print, initargs = { 1, { conn = file } } }
      end)
      raises(here .. "initializer:upvalue%(file%): userdata", function()
        neap.pool { workers = 1, kind = kind, initializer = function() return file end }
      end)
    end
  end)

  it("is given a list of arguments", function()
    for _, args in ipairs({ { a = 1 }, { n = -1 }, { 1, 2, n = 1 } }) do
      raises("bad argument #1 to 'pool' %(option 'initargs': list of arguments expected, got table%)", neap.pool,
        { workers = 1, initializer = print, initargs = args })
    end
  end)

  it("runs in each worker before its work", function()
    local pool <close> = neap.pool {
      workers = 2,
      initializer = function(a, b) PREPARED = { a, b } end, -- luacheck: ignore
      initargs = { 1, "two" },
    }
    for _, value in ipairs(pool:map(function() return PREPARED end, numbers(16), { chunksize = 1 })) do -- luacheck: ignore
      assert.are.same({ 1, "two" }, value)
    end
  end)

  it_of_each_kind("that fails breaks the pool: its work fails with that error", function(new)
    local pool = new { workers = 2, initializer = function() error({ broken = true }) end }
    local early = pool:submit(print)
    local ok, err = pcall(early.result, early)
    assert.is_false(ok)
    assert.are.same({ broken = true }, err)
    assert.are.same({ broken = true }, select(2, pcall(pool.map, pool, print, { 1, 2, 3 })))
    assert.matches("broken%)$", tostring(pool))
    assert.is_true(pool:join())
    raises("is closed", pool.submit, pool, print)
  end)
end)

describe("max_tasks", function()
  it("gives each worker so much work and no more", function()
    local pool <close> = neap.pool { workers = 1, max_tasks = 3 }
    local counts = {}
    for i = 1, 10 do
      counts[i] = pool:apply(function()
        COUNT = (COUNT or 0) + 1 -- luacheck: ignore
        return COUNT -- luacheck: ignore
      end)
    end
    assert.are.same({ 1, 2, 3, 1, 2, 3, 1, 2, 3, 1 }, counts)
    assert.are.equal(0, pool:stats().lost)
  end)

  it_of_each_kind("does not stop a pool of one with a backlog", function(new)
    local pool = new { workers = 1, max_tasks = 1 }
    local future = pool:map_async(function(x) return x end, numbers(30), { chunksize = 1 })
    pool:close()
    assert.are.same(numbers(30), future:result())
    assert.is_true(pool:join())
  end)

  it_of_each_kind("does not stop work that waits for its own pool", function(new)
    local pool <close> = new { workers = 1, max_tasks = 1 }
    for i = 1, 5 do
      local nested = pool:submit(function(p, x)
        return p:apply(function(y) return y end, x) + p:apply(function(y) return y end, x)
      end, pool, i)
      assert.are.equal(2 * i, nested:result())
    end
  end)
end)

describe("pool:join", function()
  it("closes the pool, and waits for its work and its workers", function()
    local before = #neap.threads()
    local pool = neap.pool(2)
    local done = neap.semaphore(0)
    for _ = 1, 10 do
      pool:submit(function()
        neap.yield()
        done:release()
      end)
    end
    assert.is_true(pool:join())
    assert.are.equal(10, done:value())
    assert.are.equal(before, #neap.threads())
    assert.is_true(pool:join())
    assert.matches("ended%)$", tostring(pool))
  end)

  it("times out, and goes on with the work", function()
    local pool = neap.pool(1)
    local gate = neap.event()
    local future = pool:submit(gate.wait, gate)
    assert.are.same({ nil, "timeout", "timeout" }, { pool:join(0.001) })
    assert.are.same({ nil, "timeout", "timeout" }, { pool:join(0) })
    gate:set()
    assert.is_true(pool:join())
    assert.is_true(future:result())
  end)
end)

local waiting = {} -- pools whose work waits

describe("in the grid", function()
  after_each(function()
    for _, pool in ipairs(waiting) do pool:terminate() end
    waiting = {}
  end)

  grid.ask("pool:join", {
    blocked = function()
      local pool = neap.pool(1)
      pool:submit(neap.sleep, 3600)
      table.insert(waiting, pool)
      return pool
    end,
    wait = function(pool, timeout) return pool:join(timeout) end,
    serve = function(pool) pool:terminate() end,
    served = table.pack(true),
    all = true, here_only = true,
  })
end)

describe("pool:terminate", function()
  it_of_each_kind("cancels what is queued and what runs", function(new)
    local pool = new(1)
    local started = neap.event()
    local running = pool:submit(function(event)
      event:set()
      neap.sleep(3600)
    end, started)
    local queued = pool:submit(function() end)
    started:wait()
    pool:terminate()
    assert.is_true(queued:cancelled())
    assert.is_true(pool:join())
    assert.is_true(running:cancelled())
    assert.is_true(neap.is_cancelled(running:error()))
    raises("is closed", pool.submit, pool, print)
  end)

  it("cancels a map that is under way", function()
    local pool = neap.pool(1)
    local future = pool:map_async(function() neap.sleep(3600) end, numbers(4))
    pool:terminate()
    assert.is_true(pool:join())
    assert.is_true(future:wait())
    assert.are.equal("cancelled", future:status())
  end)
end)

describe("pool:stats", function()
  it("counts, and tells how long work waited and took", function()
    local pool = neap.pool(1)
    local gate = neap.event()
    local running = pool:submit(gate.wait, gate)
    while not running:running() do neap.yield() end
    local queued = pool:submit(print)
    local stats = pool:stats()
    assert.are.same({ 1, 1, 2, 0 }, { stats.running, stats.queued, stats.submitted, stats.done })
    queued:cancel()
    gate:set()
    pcall(pool.apply, pool, error, "x")
    pool:join()
    stats = pool:stats()
    assert.are.same({ 0, 0, 3, 1, 1, 1 },
      { stats.running, stats.queued, stats.submitted, stats.done, stats.failed, stats.cancelled })
    for _, times in ipairs({ stats.wait, stats.run }) do
      assert.are.equal(2, times.count)
      assert.is_true(0 <= times.p50 and times.p50 <= times.p90 and times.p90 <= times.p99 and times.p99 <= times.max)
    end
  end)
end)

describe("a bar", function()
  it("is not drawn where stderr is no terminal", function()
    local result = support.run_script([[
      local pool <close> = neap.pool(2)
      print(#pool:map(function(x) return x end, { 1, 2, 3 }, { progress = true }))
    ]])
    assert.are.same({ status = 0, stdout = "3\n", stderr = "" }, result)
  end)

  it("shows on a terminal how far the work has come", function()
    local code = [[
      local neap = require "neap"
      local pool <close> = neap.pool(2)
      pool:map(function(x) return x end, { 1, 2, 3 }, { progress = true })
      for _ in pool:imap(function(x) return x end, { 1, 2 }, { progress = true }) do end
    ]]
    local file <close> = support.temporary_file(code)
    local command = ("script -qec %s /dev/null"):format(support.quote(support.runner .. " " .. file.path))
    local result = support.run_command(command)
    assert.are.equal(0, result.status)
    assert.matches("%[" .. ("#"):rep(30) .. "%] 100%% 3/3", result.stdout)
    assert.matches("100%% 2/2", result.stdout)
  end)
end)
