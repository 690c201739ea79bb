local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local after_each, assert, describe, it = after_each, assert, describe, it
local setup, teardown = setup, teardown
local _ENV = _G -- luacheck: ignore

-- --- futures that end when they are told ---

local pool
local gates = {}

setup(function() pool = neap.pool(8) end)
teardown(function() pool:join() end)

local function let_all_end()
  for _, gate in pairs(gates) do gate:set() end
  gates = {}
end

after_each(let_all_end)

local function new_future()
  local gate = neap.event()
  local future = pool:submit(function(event) return event:wait() end, gate)
  gates[future] = gate
  return future
end

local function running_future()
  local future = new_future()
  while not future:running() do neap.yield() end
  return future
end

--- One that no worker has taken yet.
local function queued_future()
  for _ = 1, 8 do running_future() end
  return pool:submit(function() return "late" end)
end

local function let_end(future) gates[future]:set() end

local function raised_by(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local function fail_with(err, level)
  return pool:submit(function(e, l) error(e, l) end, err, level)
end

describe("in the grid", function()
  grid.ask("future:result", {
    blocked = new_future,
    here_only = true,
    wait = function(future, timeout) return future:result(timeout) end,
    serve = let_end,
    served = table.pack(true),
    all = true,
  })

  grid.ask("future:wait", {
    blocked = new_future,
    here_only = true,
    wait = function(future, timeout) return future:wait(timeout) end,
    serve = let_end,
    served = table.pack(true),
    all = true,
  })

  grid.ask("neap.select of a future", {
    blocked = new_future,
    here_only = true,
    wait = function(future, timeout) return neap.select({ future }, timeout) end,
    serve = let_end,
    served = table.pack(1),
    all = true,
  })
end)

describe("a future", function()
  it("tells how it stands", function()
    local queued = queued_future()
    assert.are.same({ "new", false, false, false, true },
      { queued:status(), queued:done(), queued:running(), queued:cancelled(), queued:is_alive() })
    assert.matches("^future: 0x%x+ %(pool%-%d+ #%d+, queued%)$", tostring(queued))
    let_all_end()
    assert.are.equal("late", queued:result())
    assert.are.same({ "done", true, false, false, false },
      { queued:status(), queued:done(), queued:running(), queued:cancelled(), queued:is_alive() })
    local running = running_future()
    assert.are.same({ "running", false, true, false, true },
      { running:status(), running:done(), running:running(), running:cancelled(), running:is_alive() })
    assert.matches("running%)$", tostring(running))
  end)

  it("tells in another process how it stands", function()
    local function ask(future) return { future:status(), future:done(), future:running(), future:is_alive() } end
    local queued = queued_future()
    assert.are.same({ "new", false, false, true }, neap.process(ask, queued):join())
    local running = next(gates)
    assert.are.same({ "running", false, true, true }, neap.process(ask, running):join())
    let_all_end()
    queued:wait()
    assert.are.same({ "done", true, false, false }, neap.process(ask, queued):join())
  end)

  it("has its result as often as it is asked for", function()
    local future = pool:submit(function() return 1, { 2 } end)
    assert.are.same({ 1, { 2 } }, { future:result() })
    assert.are.same({ 1, { 2 } }, { future:join() })
    assert.are.same({ 1, { 2 } }, { future:result(0) })
  end)

  it("raises what its function raised, the original value, and has it as error", function()
    for _, err in ipairs({ "text", { code = 5 }, 17, true }) do
      local future = fail_with(err, 0)
      assert.are.same(err, raised_by(future.result, future))
      assert.are.same(err, future:error())
      assert.are.equal("failed", future:status())
    end
    local future = fail_with(nil)
    assert.is_nil(raised_by(future.result, future))
  end)

  it("has no error while it runs, or when it returned", function()
    local future = running_future()
    assert.is_nil(future:error())
    let_end(future)
    future:wait()
    assert.is_nil(future:error())
    assert.is_nil(future:traceback())
  end)

  it("has a traceback that leads to the line", function()
    local function deep() error("here") end
    local future = pool:submit(function() deep() end)
    future:wait()
    assert.matches("future_spec.lua:%d+: in upvalue 'deep'", future:traceback())
    future:error()
  end)

  it("shows its traceback below that of who raised it again", function()
    local result = support.run_script([[
      local pool <close> = neap.pool(1)
      local function fail() error("deep down") end
      pool:submit(function() fail() end):result()
    ]])
    assert.are.equal(1, result.status)
    assert.matches("deep down.*in method 'result'.*caused by:.*in upvalue 'fail'", result.stderr)
  end)

  it("outlives its pool", function()
    local future
    do
      local short_lived <close> = neap.pool(1)
      future = short_lived:submit(function() return "still" end)
    end
    collectgarbage()
    assert.are.equal("still", future:result())
  end)

  it("does its work though nobody keeps it", function()
    local channel = neap.channel(1)
    pool:submit(function(ch) ch:send("done") end, channel)
    collectgarbage()
    assert.are.equal("done", channel:recv())
  end)
end)

describe("future:cancel", function()
  it("before the work has begun: it never begins", function()
    local future = queued_future()
    assert.is_true(future:cancel("no need"))
    assert.is_false(future:cancel())
    assert.is_true(future:cancelled())
    assert.is_true(future:done())
    local err = raised_by(future.result, future)
    assert.is_true(neap.is_cancelled(err))
    assert.are.equal("no need", err.reason)
    assert.are.equal("cancelled: no need", tostring(future:error()))
  end)

  it("interrupts a wait of the work, whose variables are closed", function()
    local closed = neap.event()
    local future = pool:submit(function(event)
      local _ <close> = setmetatable({}, { __close = function()
        neap.sleep(0.001)
        event:set()
      end })
      neap.sleep(3600)
    end, closed)
    while not future:running() do neap.yield() end
    assert.is_true(future:cancel("stop"))
    assert.are.equal("cancelled: stop", tostring(raised_by(future.result, future)))
    assert.is_true(closed:is_set())
    assert.is_true(future:cancelled())
  end)

  it("of a future that has ended does nothing", function()
    local future = pool:submit(function() end)
    future:wait()
    assert.is_false(future:cancel())
    assert.are.equal("done", future:status())
  end)

  it("is swallowed by work that returns all the same", function()
    local future = pool:submit(function()
      pcall(neap.sleep, 3600)
      return "swallowed"
    end)
    while not future:running() do neap.yield() end
    future:cancel()
    assert.are.equal("swallowed", future:result())
  end)

  it("leaves the worker in working order", function()
    for _ = 1, 10 do -- a new worker, too, may be told of the end of what it has not begun
      local single <close> = neap.pool(1)
      for _ = 1, 4 do
        local future = single:submit(neap.sleep, 3600)
        if math.random(2) == 1 then
          while not future:running() do neap.yield() end
        end
        future:cancel()
        assert.is_true(future:wait())
        assert.are.equal(1, single:apply(function() return 1 end))
      end
      assert.are.equal(0, single:stats().lost)
    end
  end)

  if neap.slice() > 0 and not support.sanitizer and arg[-1] ~= nil then
    it("interrupts work that never waits", function()
      local result = support.run_script([[
        local pool <close> = neap.pool(1)
        local future = pool:submit(function() while true do end end)
        while not future:running() do neap.yield() end
        future:cancel()
        future:wait()
        print(future:status(), pool:apply(function() return "alive" end))
      ]])
      assert.are.same({ status = 0, stdout = "cancelled\talive\n", stderr = "" }, result)
    end)
  end
end)

describe("future:on_done", function()
  it("calls the function with the future, in a task", function()
    local future = new_future()
    local called = neap.channel(1)
    future:on_done(function(ended) called:send({ ended, ended:done(), neap.current() ~= neap.main() }) end)
    assert.are.same({ nil, "timeout", "timeout" }, { called:recv(0) })
    let_end(future)
    local seen = called:recv()
    assert.are.equal(future, seen[1])
    assert.are.same({ true, true }, { seen[2], seen[3] })
  end)

  it("calls it soon when the future has ended", function()
    local future = pool:submit(function() end)
    future:wait()
    local called = neap.channel(1)
    future:on_done(function() called:send(true) end)
    assert.is_true(called:recv())
  end)

  it("calls all that were given", function()
    local future = new_future()
    local called = neap.semaphore(0)
    for _ = 1, 5 do future:on_done(function() called:release() end) end
    let_end(future)
    for _ = 1, 5 do called:acquire() end
  end)

  it("calls it after a failure and a cancellation, too", function()
    local statuses = neap.queue()
    local failing = fail_with("x")
    failing:on_done(function(future) statuses:put(future:status()) end)
    assert.are.equal("failed", (statuses:get()))
    failing:error()
    local queued = queued_future()
    queued:on_done(function(future) statuses:put(future:status()) end)
    queued:cancel()
    assert.are.equal("cancelled", (statuses:get()))
  end)

  it("refuses what is no function", function()
    local future = new_future()
    assert.matches("function expected", raised_by(future.on_done, future, 1))
    assert.matches("future expected", raised_by(future.on_done, nil, print))
  end)
end)

describe("futures among tasks and threads", function()
  it("are gathered", function()
    local results = neap.gather({
      pool:submit(function() return 1 end),
      neap.spawn(function() return 2 end),
      neap.thread(function() return 3 end),
    })
    assert.are.same({ 1, 2, 3 }, results)
    local failing = fail_with("bad", 0)
    assert.are.equal("bad", raised_by(neap.gather, { new_future(), failing }))
  end)

  it("race, and the rest is cancelled", function()
    local slow = running_future()
    assert.are.equal("fast", neap.race({ slow, pool:submit(function() return "fast" end) }))
    slow:wait()
    assert.is_true(slow:cancelled())
  end)

  it("are waited for", function()
    local slow, fast = new_future(), pool:submit(function() end)
    fast:wait()
    local done, pending = neap.wait({ slow, fast }, { when = "first" })
    assert.are.same({ { fast }, { slow } }, { done, pending })
    local failing = fail_with("x")
    done = neap.wait({ slow, failing }, { when = "first_error" })
    assert.are.same({ failing }, done)
    failing:error()
  end)

  it("come as they are completed", function()
    local futures = { new_future(), new_future(), new_future() }
    local order = {}
    let_end(futures[2])
    for future in neap.as_completed(futures) do
      order[#order + 1] = future
      if #order == 1 then let_end(futures[3]) end
      if #order == 2 then let_end(futures[1]) end
    end
    assert.are.same({ futures[2], futures[3], futures[1] }, order)
  end)

  it("are cases of a select", function()
    local slow, fast = new_future(), pool:submit(function() end)
    assert.are.same({ 2 }, { neap.select({ slow, fast, neap.channel() }) })
  end)
end)

describe("a failed future", function()
  local function run(code) return support.run_script("local pool <close> = neap.pool(1)\n" .. code) end
  local failing = "local f = pool:submit(function() error('oh', 0) end) f:wait() "

  it("that was only waited for, or called back, is reported at the end", function()
    for _, code in ipairs({ "", "f:on_done(function() end)", "print(f:status())" }) do
      local result = run(failing .. code)
      assert.are.equal(1, result.status)
      assert.matches("nobody has asked: oh", result.stderr)
    end
  end)

  it("that was joined, gathered, raced or asked for its error is not", function()
    for _, code in ipairs({
      "pcall(f.result, f)", "f:error()", "pcall(neap.gather, {f})", "pcall(neap.race, {f})",
      "neap.thread(function(g) return g:error() end, f):join()",
    }) do
      assert.are.same({ status = 0, stdout = "", stderr = "" }, run(failing .. code))
    end
  end)

  it("is reported in a plain lua5.4", function()
    local result = support.run_plain("local pool <close> = neap.pool(1)\n" .. failing)
    assert.matches("nobody has asked: oh", result.stderr)
  end)
end)
