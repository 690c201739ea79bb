-- A piece of work that a pool is given: submit, apply, apply_async, and the traceback of one that fails. For each item
-- of a list: pool_map_spec.lua. Work that waits for more of it: pool_nested_spec.lua.

local neap = require "neap"
local grid = require "spec.grid"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local raises, it_of_each_kind = trial.raises, trial.it_of_each_kind

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
        raises("^spec/pool_submit_spec.lua:%d+: shop is closed: it takes no more work", function()
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
    assert.matches("pool_submit_spec.lua:%d+: in upvalue 'fail'\n" ..
      "\t[^\n]*pool_submit_spec.lua:%d+: in function <[^\n]*>\n" ..
      "\tspawned at [^\n]*pool_submit_spec.lua:" .. line, traceback)
    assert.is_nil(traceback:find("[neap.", 1, true), traceback)
  end)

  --- The last line of a stack: a function of this file, which is what the script gave the pool.
  local own = "[^\n]*pool_submit_spec.lua:%d+: in function <[^\n]*>"

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
    assert.matches("\n\t[^\n]*pool_submit_spec.lua:%d+: in upvalue 'work'\n\t" .. own .. "$", pool:apply(work, 1))
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
    message = "bad argument #2 to 'apply_async' %(list of arguments expected, got a table whose length is no integer%)"
    raises(message, pool.apply_async, pool, print, setmetatable({}, { __len = function() end }))
    raises("too many results to unpack$", pool.apply_async, pool, print, { n = math.maxinteger })
    message = "bad argument #3 to 'apply_async' %(function expected, got number%)"
    raises(message, pool.apply_async, pool, print, {}, 1)
  end)

  it("says what is wrong with the place of whoever calls it", function()
    local pool <close> = neap.pool(1)
    local file = io.stdout
    local here = "^spec/pool_submit_spec.lua:%d+: "
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
