local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local after_each, assert, describe, it = after_each, assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local timed_out = table.pack(nil, "timeout", "timeout")

-- --- tasks that end when they are told ---

local gates = {}

local function new_task()
  local gate = neap.event()
  local task = neap.spawn(gate.wait, gate)
  gates[task] = gate
  return task
end

local function new_thread()
  local gate = neap.event()
  local thread = neap.thread(function(event) return event:wait() end, gate)
  gates[thread] = gate
  return thread
end

local function let_end(handle) gates[handle]:set() end

local function let_all_end()
  for _, gate in pairs(gates) do gate:set() end
  gates = {}
end

local waits = {
  gather = {
    wait = function(handle, timeout)
      local results, message, code = neap.gather({ handle }, timeout)
      if not results then return nil, message, code end
      return results[1]
    end,
    served = table.pack(true),
  },
  race = {
    wait = function(handle, timeout) return neap.race({ handle }, timeout) end,
    served = table.pack(true),
  },
  wait = {
    wait = function(handle, timeout)
      local done, pending = neap.wait({ handle }, { timeout = timeout })
      return #done, #pending
    end,
    served = table.pack(1, 0),
    timed_out = table.pack(0, 1),
  },
  as_completed = {
    wait = function(handle, timeout)
      local next_one = neap.as_completed({ handle }, timeout)
      if timeout == nil then return next_one() == handle end
      local ok, result = pcall(next_one)
      if ok then return result == handle end
      if result == "timeout" then return nil, "timeout", "timeout" end
      error(result, 0)
    end,
    served = table.pack(true),
  },
}

for name, case in pairs(waits) do
  describe(name, function()
    after_each(let_all_end)
    for kind, make in pairs({ ["of a task"] = new_task, ["of a thread"] = new_thread }) do
      grid.ask(kind, {
        blocked = make,
        wait = case.wait,
        serve = let_end,
        here_only = true,
        served = case.served,
        timed_out = case.timed_out,
        all = true,
      })
    end

    it("refuses what is no list of tasks and threads", function()
      local function says(expected, list)
        local ok, message = pcall(function() return neap[name](list), nil end)
        assert.is_false(ok)
        assert.is_truthy(message:find("^[^%s]*spec/gather_spec.lua:%d+: bad argument #1 to '" .. name .. "' "), message)
        assert.is_truthy(message:find(expected, 1, true), message)
      end
      says("(list of tasks, threads, processes or futures expected, got nil)")
      says("(list of tasks, threads, processes or futures expected, got task)", neap.current())
      says("(list of tasks, threads, processes or futures expected, got a table with the key 'timeout')",
        { neap.spawn(print), timeout = 1 })
      says("(list[1]: task, thread, process or future expected, got number)", { 1 })
      says("(list[2]: task, thread, process or future expected, got channel)", { neap.spawn(print), neap.channel() })
      says("(list[1] is the task itself: it would never end)", { neap.current() })
      says("(list[1] has not been started)", { neap.Task { target = print } })
    end)
  end)
end

describe("gather", function()
  after_each(let_all_end)

  it("returns the first result of each, in their order", function()
    local list = {}
    for i = 1, 20 do
      list[i] = (i % 3 == 0 and neap.thread or neap.spawn)(function(n)
        if n % 2 == 0 then neap.yield() end
        return n * n, "more"
      end, i)
    end
    local results = neap.gather(list)
    assert.are.equal(20, #results)
    for i = 1, 20 do assert.are.equal(i * i, results[i]) end
    assert.are.same(results, neap.gather(list)) -- again, at once
  end)

  it("gives nil for what returned nothing, and an empty list for an empty one", function()
    assert.are.same({ nil, 2 }, neap.gather({ neap.spawn(function() end), neap.spawn(function() return 2 end) }))
    assert.are.same({}, neap.gather({}))
    assert.are.same({}, neap.gather({}, 0))
  end)

  it("raises the first failure at once; the others go on", function()
    local problem = { code = 7 }
    local slow = new_task()
    local late = neap.spawn({ quiet = true }, function()
      neap.sleep(0.001)
      error("late", 0)
    end)
    local thread = neap.thread({ quiet = true }, error, problem)
    local ok, err = pcall(neap.gather, { slow, late, thread })
    assert.is_false(ok)
    assert.is_true(err == "late" or err.code == 7)
    ok, err = pcall(neap.gather, { slow, neap.spawn({ quiet = true }, error, problem) })
    assert.is_false(ok)
    assert.are.equal(problem, err)
    assert.are.equal("waiting", slow:status())
    pcall(late.join, late) -- what nobody has joined makes the status 1
    pcall(thread.join, thread)
  end)

  it("raises a cancellation as join does", function()
    local slow, gone = new_task(), new_task()
    local waiter = grid.parked_task(pcall, neap.gather, { slow, gone })
    gone:cancel()
    local ok, err = waiter:join()
    assert.is_false(ok)
    assert.is_true(neap.is_cancelled(err))
    assert.are.equal("waiting", slow:status())
  end)

  it("cancels none of the list when it is cancelled, or out of time", function()
    local first, second = new_task(), new_thread()
    local waiter = grid.parked_task(neap.gather, { first, second })
    waiter:cancel()
    grid.assert_cancelled(waiter)
    assert.are.same(timed_out, table.pack(neap.gather({ first, second }, 0.001)))
    let_all_end()
    assert.are.same({ true, true }, neap.gather({ first, second }))
  end)

  it("goes by the list as it was", function()
    local first, second = new_task(), new_task()
    local list = { first, second }
    local waiter = grid.parked_task(neap.gather, list)
    list[1], list[2] = nil, nil
    collectgarbage()
    let_all_end()
    assert.are.same({ true, true }, waiter:join())
  end)

  it("takes 10,000 handles", function()
    local list, sum = {}, 0
    for i = 1, 10000 do
      list[i] = neap.spawn(function()
        for _ = 1, i % 3 do neap.yield() end
        return i
      end)
    end
    for _, value in ipairs(neap.gather(list)) do sum = sum + value end
    assert.are.equal(50005000, sum)
  end)

  it("takes one handle many times, and objects of the class form", function()
    local task = neap.Task { target = function() return "result" end }
    task:start()
    assert.are.same({ "result", "result", "result" }, neap.gather({ task, task, task }))
  end)
end)

describe("race", function()
  after_each(let_all_end)

  it("returns what the first returned, and cancels the rest", function()
    local slow = { new_task(), new_thread(), new_task() }
    local fast = neap.thread(function() return "fast", nil, 3 end)
    assert.are.same(table.pack("fast", nil, 3), table.pack(neap.race({ slow[1], fast, slow[2], slow[3] })))
    for _, handle in ipairs(slow) do
      handle:wait()
      assert.are.equal("cancelled", handle:status())
    end
  end)

  it("raises what the first raised, and cancels the rest", function()
    local slow, problem = new_task(), { code = 8 }
    local ok, err = pcall(neap.race, { slow, neap.spawn({ quiet = true }, error, problem) })
    assert.is_false(ok)
    assert.are.equal(problem, err)
    slow:wait()
    assert.are.equal("cancelled", slow:status())
  end)

  it("cancels none when it is cancelled, or out of time", function()
    local first, second = new_task(), new_thread()
    local waiter = grid.parked_task(neap.race, { first, second })
    waiter:cancel()
    grid.assert_cancelled(waiter)
    assert.are.same(timed_out, table.pack(neap.race({ first, second }, 0)))
    let_all_end()
    assert.is_true(neap.race({ first, second }))
  end)

  it("cancels none, or returns what the first returned, whenever it is cancelled", function()
    local never = neap.channel()
    trial.cancel_at_each_instruction(function(call)
      local first, second = neap.spawn(neap.yield), neap.spawn({ quiet = true }, never.recv, never)
      local won, err = call(neap.race, { first, second })
      if not won then assert.is_true(neap.is_cancelled(err)) end
      assert.are.equal(not won, second:cancel())
      first:join()
    end)
  end)

  it("refuses an empty list", function()
    local ok, message = pcall(neap.race, {})
    assert.is_false(ok)
    assert.is_truthy(message:find("bad argument #1 to 'race' (at least one expected)", 1, true))
  end)
end)

describe("wait", function()
  after_each(let_all_end)

  local function fails() return neap.spawn({ quiet = true }, error, "on purpose") end

  it("waits for all, and says which have ended, in their order", function()
    local first, second, third = new_task(), fails(), new_thread()
    local waiter = grid.parked_task(neap.wait, { first, second, third })
    let_end(third)
    third:wait()
    assert.are.equal("waiting", waiter:status())
    let_end(first)
    local done, pending = waiter:join()
    assert.are.same({ first, second, third }, done)
    assert.are.same({}, pending)
    pcall(second.join, second)
  end)

  it("waits for the first", function()
    local first, second = new_task(), new_thread()
    local waiter = grid.parked_task(neap.wait, { first, second }, { when = "first" })
    let_end(second)
    local done, pending = waiter:join()
    assert.are.same({ second }, done)
    assert.are.same({ first }, pending)
  end)

  it("waits for the first failure, or the end of all", function()
    local first, second, third = new_task(), new_task(), new_task()
    local waiter = grid.parked_task(neap.wait, { first, second, third }, { when = "first_error" })
    let_end(first)
    third:cancel()
    for _ = 1, 3 do neap.yield() end
    assert.are.equal("waiting", waiter:status())
    let_end(second)
    assert.are.same({ first, second, third }, (waiter:join()))

    local failed, pending = fails(), new_task()
    local done, rest = neap.wait({ pending, failed }, { when = "first_error" })
    assert.are.same({ failed }, done)
    assert.are.same({ pending }, rest)
    pcall(failed.join, failed)
  end)

  it("has no special result for the end of its time", function()
    local first, second = new_task(), neap.spawn(function() end)
    second:wait()
    for _, when in ipairs({ "all", "first_error" }) do
      local done, pending = neap.wait({ first, second }, { timeout = 0, when = when })
      assert.are.same({ second }, done)
      assert.are.same({ first }, pending)
    end
  end)

  it("takes an empty list", function()
    for _, when in ipairs({ "all", "first", "first_error" }) do
      assert.are.same(table.pack({}, {}), table.pack(neap.wait({}, { when = when })))
    end
  end)

  it("hands out the objects that it was given", function()
    local object = neap.Task { target = function() end }
    object:start()
    assert.are.equal(object, neap.wait({ object })[1])
  end)

  it("refuses options that it does not know", function()
    for expected, options in pairs({
      ["unknown option 'tiemout' (known: timeout, when)"] = { tiemout = 1 },
      ["option 'when': one of 'all', 'first', 'first_error' expected, got 'some'"] = { when = "some" },
      ["table of options expected, got number"] = 5,
      ["option 'timeout': number of seconds that is not negative or NaN expected, got -1"] = { timeout = -1 },
      ["option 'timeout': number of seconds expected, got '1'"] = { timeout = "1" },
    }) do
      local ok, message = pcall(function() return neap.wait({}, options), nil end)
      assert.is_false(ok)
      assert.is_truthy(message:find("spec/gather_spec.lua:%d+: bad argument #2 to 'wait' "), message)
      assert.is_truthy(message:find(expected, 1, true), message)
    end
  end)
end)

describe("as_completed", function()
  after_each(let_all_end)

  it("iterates in the order of the ends", function()
    local a, b, c = new_task(), new_thread(), new_task()
    local order = {}
    let_end(b)
    for handle in neap.as_completed({ a, b, c }) do
      order[#order + 1] = handle
      if handle == b then let_end(c) end
      if handle == c then let_end(a) end
    end
    assert.are.same({ b, c, a }, order)
  end)

  it("begins with those that have ended, and ends after the last", function()
    local tasks = { neap.spawn(function() end), neap.spawn(function() end) }
    neap.wait(tasks)
    local seen = {}
    for handle in neap.as_completed(tasks, 0) do seen[#seen + 1] = handle end
    assert.are.same(tasks, seen)
    for _ in neap.as_completed({}) do error("there is nothing") end
  end)

  it("raises no failures", function()
    local failed = neap.spawn({ quiet = true }, error, "on purpose")
    for handle in neap.as_completed({ failed }) do assert.are.equal("on purpose", handle:error()) end
  end)

  it("raises 'timeout', counted from the call", function()
    local a, b, seen = new_task(), new_task(), 0
    let_end(a)
    local ok, err = pcall(function()
      for _ in neap.as_completed({ a, b }, 0.005) do
        seen = seen + 1
        neap.sleep(0.005)
      end
    end)
    assert.is_false(ok)
    assert.are.equal("timeout", err)
    assert.are.equal(1, seen)
  end)

  it("finds at the end of its time what has ended meanwhile", function()
    local thread = new_thread()
    local next_one = neap.as_completed({ thread }, 0)
    let_end(thread)
    while thread:is_alive() do end -- luacheck: ignore
    assert.are.equal(thread, next_one())
    assert.is_nil(next_one())
  end)

  it("may be asked by several tasks", function()
    local list, seen = {}, 0
    for i = 1, 50 do list[i] = (i % 10 == 0 and new_thread or new_task)() end
    local next_one = neap.as_completed(list)
    local askers = {}
    for i = 1, 5 do
      askers[i] = neap.spawn(function()
        while next_one() do seen = seen + 1 end
      end)
    end
    neap.yield()
    let_all_end()
    neap.gather(askers)
    assert.are.equal(50, seen)
  end)

  it_races("is collected while its handles end, here and elsewhere", function()
    trial.seed()
    for _ = 1, 30 * support.stress do
      local list = {}
      for i = 1, 20 do
        list[i] = i % 7 == 0 and neap.thread(function() end) or neap.spawn(function()
          for _ = 1, i % 3 do neap.yield() end
        end)
      end
      local next_one = neap.as_completed(list)
      for _ = 1, math.random(0, 20) do next_one() end
      next_one = nil -- luacheck: ignore
      collectgarbage()
      neap.wait(list)
    end
  end)

  it("leaves a failure that it no longer waits for to be reported", function()
    local result = support.run_script([[
      local gate, done = neap.event(), neap.spawn(function() end)
      local failing = neap.spawn({name = "culprit"}, function()
        gate:wait()
        error("on purpose", 0)
      end)
      for _ in neap.as_completed({done, failing}) do break end
      assert(not neap.gather({failing}, 0))
      assert(#neap.wait({failing}, {timeout = 0}) == 0)
      assert(not neap.race({failing}, 0))
      gate:set()
    ]])
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("culprit[^\n]* failed: on purpose\n"), result.stderr)
  end)
end)
