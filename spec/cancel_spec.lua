local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local park, parked, finish = grid.park, grid.parked, grid.finish

--- Closes by calling `fn`.
local function closing(fn) return setmetatable({}, { __close = function(_, err) return fn(err) end }) end

local function fail_quietly(...) return neap.spawn({ quiet = true }, error, ...) end

local function wait_for_ever() neap.event():wait() end

--- Runs fn(...) in a task of its own.
local function in_task(fn, ...) return neap.spawn({ quiet = true }, fn, ...):join() end

-- Everything that waits; each is cancelled while it waits, and asked whether it has left a trace.
local waits = {
  ["channel:recv"] = function() neap.channel():recv() end,
  ["channel:send"] = function() neap.channel():send(1) end,
  ["channel:iter"] = function() for _ in neap.channel():iter() do error("a value") end end,
  ["queue:get"] = function() neap.queue():get() end,
  ["queue:put"] = function()
    local queue = neap.queue(1)
    queue:put(1)
    queue:put(2)
  end,
  ["queue:join"] = function()
    local queue = neap.queue()
    queue:put(1)
    queue:join()
  end,
  ["pipe:recv"] = function()
    local one, other = neap.pipe()
    one:recv()
    return other -- without it the end would be closed once it is collected
  end,
  ["pipe:poll"] = function()
    local one, other = neap.pipe()
    one:poll(math.huge)
    return other
  end,
  ["lock:acquire"] = function()
    local lock = neap.lock()
    neap.spawn({ daemon = true }, function() lock:with(wait_for_ever) end)
    neap.yield()
    lock:acquire()
  end,
  ["rwlock:acquire_read"] = function()
    local lock = neap.rwlock()
    neap.spawn({ daemon = true }, function()
      lock:acquire_write()
      wait_for_ever()
    end)
    neap.yield()
    lock:acquire_read()
  end,
  ["condition:wait"] = function()
    local condition = neap.condition()
    condition:acquire()
    condition:wait()
  end,
  ["semaphore:acquire"] = function() neap.semaphore(0):acquire() end,
  ["event:wait"] = wait_for_ever,
  ["barrier:wait"] = function() neap.barrier(2):wait() end,
  ["task:join"] = function() neap.spawn({ daemon = true }, wait_for_ever):join() end,
  ["task:wait"] = function() neap.spawn({ daemon = true }, wait_for_ever):wait() end,
  ["thread:join"] = function() neap.thread({ daemon = true }, function() neap.event():wait() end):join() end,
  sleep = function() neap.sleep(math.huge) end,
  timeout = function() neap.timeout(math.huge, wait_for_ever) end,
  ["a generator"] = function() coroutine.wrap(wait_for_ever)() end,
}

describe("a cancelled wait", function()
  for name, wait in pairs(waits) do
    it("raises in " .. name .. ", also when it has been asked before", function()
      local task = grid.parked_task(wait)
      assert.is_true(task:cancel("why"))
      grid.assert_cancelled(task)
      assert.are.equal("why", task:error().reason)
      local later = neap.spawn(function()
        neap.current():cancel()
        wait()
        error("it went on")
      end)
      grid.assert_cancelled(later)
    end)
  end

  it("raises although it would not have to wait", function()
    local full = neap.channel(1)
    full:send("kept")
    local task = neap.spawn(function()
      neap.current():cancel()
      full:recv()
    end)
    grid.assert_cancelled(task)
    assert.are.equal(1, #full)
  end)

  it("raises in neap.yield", function()
    local task = neap.spawn(function()
      while true do neap.yield() end
    end)
    neap.yield()
    assert.is_true(task:cancel())
    grid.assert_cancelled(task)
  end)

  it("cannot be swallowed by pcall, xpcall or a coroutine: the next wait raises again", function()
    local seen = {}
    local task = grid.parked_task(function()
      seen[1] = select(2, pcall(wait_for_ever))
      seen[2] = select(2, xpcall(wait_for_ever, function(e) return e end))
      seen[3] = select(2, coroutine.resume(coroutine.create(wait_for_ever)))
      seen[4] = select(2, pcall(coroutine.wrap(wait_for_ever)))
      seen[5] = select(2, pcall(pcall, wait_for_ever)) == false
      wait_for_ever()
    end)
    task:cancel()
    grid.assert_cancelled(task)
    for i = 1, 4 do assert.is_true(neap.is_cancelled(seen[i]), i) end
    assert.is_true(seen[5])
  end)

  it("cannot be swallowed by a pcall in a generator that was begun elsewhere", function()
    local count = 0
    local function swallow()
      while true do
        pcall(function()
          coroutine.yield()
          while true do
            wait_for_ever()
          end
        end)
        count = count + 1
        wait_for_ever()
      end
    end
    local function deeper(depth, fn, ...) -- under so many protected calls
      if depth == 0 then return fn(...) end
      return select(2, pcall(deeper, depth - 1, fn, ...))
    end
    for _, depths in ipairs({ { 0, 5 }, { 5, 0 }, { 3, 3 } }) do
      count = 0
      local after
      local task = grid.parked_task(function()
        local generator = coroutine.create(swallow)
        deeper(depths[1], coroutine.resume, generator)
        deeper(depths[2], coroutine.resume, generator)
        assert(coroutine.status(generator) == "dead")
        after = pcall(neap.yield)
      end)
      task:cancel()
      task:wait()
      assert.are.equal(1, count)
      assert.is_false(after)
    end
  end)

  it("leaves nothing behind in what it waited on", function()
    local channel = neap.channel()
    local receiver = grid.parked_task(channel.recv, channel)
    receiver:cancel()
    grid.assert_cancelled(receiver)
    assert.is_nil((channel:send("nobody", 0)))
    local sender = grid.parked_task(channel.send, channel, "lost")
    sender:cancel()
    grid.assert_cancelled(sender)
    assert.is_nil((channel:recv(0)))
  end)
end)

describe("cancel, when the wait has been served already,", function()
  it("raises at the next wait, and the value was received", function()
    local channel, received = neap.channel(), nil
    local task = grid.parked_task(function()
      received = channel:recv()
      neap.yield()
    end)
    channel:send("a value")
    assert.is_true(task:cancel())
    grid.assert_cancelled(task)
    assert.are.equal("a value", received)
  end)

  for kind, start in pairs({ task = neap.spawn, thread = neap.thread }) do
    it("has exactly one outcome, raced from a " .. kind, function()
      local seed = trial.seed()
      local rounds = (kind == "task" and 10000 or 2000) * (support.sanitizer and 0.2 or support.stress)
      local values, victims, done = neap.channel(), neap.channel(), neap.channel()
      -- the other side hands out values; it may time out with one, when nobody takes it
      local sender = start(function(channel, tasks, finished)
        for victim in tasks:iter() do
          local first = math.random(2) == 1
          local cancelled = first and victim:cancel()
          if math.random(2) == 1 then neap.yield() end
          local sent = channel:send("value", 0) == true
          if math.random(2) == 1 then neap.yield() end
          if not first then cancelled = victim:cancel() end
          finished:send({ sent = sent, cancelled = cancelled })
        end
      end, values, victims, done)
      for round = 1, rounds do
        local received
        local task = neap.spawn(function() received = values:recv() end)
        if math.random(4) > 1 then neap.yield() end
        victims:send(task)
        local outcome = done:recv()
        task:wait()
        local context = ("seed %d, round %d: %s"):format(seed, round, task:status())
        assert(outcome.sent == (received == "value"), context)
        assert(task:status() == (received and "done" or "cancelled"), context)
        assert(outcome.sent or outcome.cancelled, context)
      end
      victims:close()
      sender:join()
    end)
  end
end)

describe("shield", function()
  it("returns what the function returned, and raises what it raised", function()
    assert.are.same(table.pack(1, nil), table.pack(in_task(neap.shield, function(...) return ... end, 1, nil)))
    local err = {}
    assert.are.same(table.pack(false, err), table.pack(pcall(neap.shield, error, err)))
    assert.has_error(function() neap.shield() end)
  end)

  it("holds a cancellation off until the function has ended", function()
    local gate, finished, went_on = neap.event(), false, false
    local task = grid.parked_task(function()
      neap.shield(function()
        gate:wait()
        neap.yield()
        finished = true
      end)
      neap.yield()
      went_on = true
    end)
    task:cancel()
    neap.yield()
    assert.are.equal("waiting", task:status())
    gate:set()
    grid.assert_cancelled(task)
    assert.is_true(finished)
    assert.is_false(went_on)
  end)

  it("holds a timeout off as well", function()
    local finished = false
    local result = table.pack(in_task(neap.timeout, 0, function()
      neap.shield(function()
        neap.sleep(0.001)
        finished = true
      end)
      neap.yield()
    end))
    assert.is_true(finished)
    assert.are.same(table.pack(nil, "timeout", "timeout"), result)
  end)

  it("does not hold off a timeout within", function()
    local task = grid.parked_task(function()
      local gate = neap.event()
      neap.shield(function()
        gate:wait(0.001)
        assert(select(2, neap.timeout(0.001, gate.wait, gate)) == "timeout")
      end)
      neap.yield()
    end)
    task:cancel()
    grid.assert_cancelled(task)
  end)

  it("gives back the results of a task that was cancelled meanwhile and never waits again", function()
    local gate = neap.event()
    local task = grid.parked_task(function() return neap.shield(function() return gate:wait() end) end)
    task:cancel()
    gate:set()
    assert.is_true((task:join()))
    assert.are.equal("done", task:status())
  end)
end)

describe("a variable that is closed by a cancellation", function()
  it("may wait", function()
    local channel, got = neap.channel(), nil
    local task = grid.parked_task(function()
      local _ <close> = closing(function() got = channel:recv() end)
      wait_for_ever()
    end)
    task:cancel()
    park(task)
    channel:send("in time")
    grid.assert_cancelled(task)
    assert.are.equal("in time", got)
  end)

  it("may wait in each of several, from the inside out", function()
    local order = {}
    local task = grid.parked_task(function()
      local _ <close> = closing(function()
        neap.yield()
        table.insert(order, "outer")
      end)
      local function inner()
        local _ <close> = closing(function()
          neap.sleep(0)
          table.insert(order, "inner")
        end)
        wait_for_ever()
      end
      inner()
    end)
    task:cancel()
    grid.assert_cancelled(task)
    assert.are.same({ "inner", "outer" }, order)
  end)

  it("may fail: what it raises takes the place of the cancellation", function()
    local seen
    local task = neap.spawn({ quiet = true }, function()
      local _ <close> = closing(function(err) seen = err end)
      local _ <close> = closing(function()
        neap.yield()
        error("while closing", 0)
      end)
      wait_for_ever()
    end)
    park(task)
    task:cancel()
    local joined, err = pcall(task.join, task)
    assert.is_false(joined)
    assert.are.equal("while closing", err)
    assert.are.equal("while closing", seen)
    assert.are.equal("failed", task:status())
  end)

  it("may use pcall, timeout, generators and other tasks", function()
    local seen = {}
    local task = grid.parked_task(function()
      local _ <close> = closing(function()
        seen[1] = pcall(neap.yield)
        seen[2] = select(2, neap.timeout(0.001, wait_for_ever))
        seen[3] = coroutine.wrap(function()
          neap.yield()
          return "generated"
        end)()
        seen[4] = neap.spawn(function() return "joined" end):join()
        seen[5] = pcall(error, "x")
        neap.yield()
        seen[6] = true
      end)
      wait_for_ever()
    end)
    task:cancel()
    grid.assert_cancelled(task)
    assert.are.same({ true, "timeout", "generated", "joined", false, true }, seen)
  end)

  it("is followed by a cancellation at each wait of code that has swallowed the error", function()
    local again
    local task = grid.parked_task(function()
      pcall(function()
        local _ <close> = closing(neap.yield)
        wait_for_ever()
      end)
      again = pcall(neap.yield)
    end)
    task:cancel()
    task:wait()
    assert.is_false(again)
  end)

  it("is closed in a coroutine of a wrap that failed, and cannot wait there", function()
    local ok, message
    local task = grid.parked_task(function()
      coroutine.wrap(function()
        local _ <close> = closing(function()
          ok, message = pcall(neap.sleep, 1)
          neap.channel(1):send(1) -- what need not wait is done
        end)
        wait_for_ever()
      end)()
    end)
    task:cancel()
    grid.assert_cancelled(task)
    assert.is_false(ok)
    assert.is_truthy(tostring(message):find("cannot wait", 1, true), tostring(message))
  end)
end)

describe("is_cancelled", function()
  it("knows a cancellation of every origin", function()
    local inside
    assert.is_nil((in_task(neap.timeout, 0, function()
      local ok, err = pcall(wait_for_ever)
      inside = not ok and neap.is_cancelled(err)
      wait_for_ever()
    end)))
    assert.is_true(inside)
    local task = neap.spawn(print)
    task:cancel()
    grid.assert_cancelled(task)
    local thread = grid.parked_thread(function() neap.event():wait() end)
    thread:cancel()
    grid.assert_cancelled(thread)
  end)

  it("knows one that has travelled", function()
    local task = grid.parked_task(wait_for_ever)
    task:cancel("far")
    local _, err = pcall(task.join, task)
    local channel = neap.channel(1)
    channel:send(err)
    local arrived = channel:recv()
    assert.is_true(neap.is_cancelled(arrived))
    assert.are.equal("far", arrived.reason)
    assert.are.same({ true, "cancelled: far" },
      (neap.thread(function(e) return { neap.is_cancelled(e), tostring(e) } end, err):join()))
  end)
end)

describe("cancel", function()
  it("before the start lets the function never run", function()
    local ran = false
    local task = neap.spawn(function() ran = true end)
    assert.is_true(task:cancel("early"))
    finish(task)
    assert.is_false(ran)
    assert.are.equal("cancelled", task:status())
    assert.are.equal("early", task:error().reason)
  end)

  it("before the first wait raises there", function()
    local reached, passed = false, false
    local task
    task = neap.spawn(function()
      task:cancel()
      reached = true
      neap.yield()
      passed = true
    end)
    finish(task)
    assert.is_true(reached)
    assert.is_false(passed)
    assert.are.equal("cancelled", task:status())
  end)

  it("after the end is too late, and is so again", function()
    for _, task in ipairs({ neap.spawn(math.abs, 1), fail_quietly("x") }) do
      finish(task)
      local status = task:status()
      assert.is_false(task:cancel())
      assert.is_false(task:cancel("reason"))
      assert.are.equal(status, task:status())
    end
  end)

  it("is asked for once; the first reason stays", function()
    local task = parked()
    assert.is_true(task:cancel("first"))
    assert.is_false(task:cancel("second"))
    finish(task)
    assert.are.equal("first", task:error().reason)
  end)

  it("has a reason of every kind, or none", function()
    for _, reason in ipairs({ "text", 1, false, { "table" }, print }) do
      local task = parked()
      task:cancel(reason)
      finish(task)
      assert.are.equal(reason, task:error().reason)
      assert.are.equal("cancelled: " .. tostring(reason), tostring(task:error()))
    end
    local task = parked()
    task:cancel()
    finish(task)
    assert.is_nil(task:error().reason)
    assert.are.equal("cancelled", tostring(task:error()))
  end)

  it("of what waits for its results does not reach what it waits for", function()
    local task = parked()
    local joiner = grid.parked_task(task.join, task)
    joiner:cancel()
    finish(joiner)
    assert.are.equal("waiting", task:status())
    task:cancel()
  end)

  it("that was swallowed leaves a task that is done", function()
    local task = grid.parked_task(function()
      pcall(neap.sleep, math.huge)
      return "after all"
    end)
    assert.is_true(task:cancel())
    assert.are.equal("after all", (task:join()))
    assert.are.equal("done", task:status())
  end)

  it("does not hide a failure that followed", function()
    local task = neap.spawn({ quiet = true }, function()
      local ok = pcall(neap.sleep, math.huge)
      error("failed " .. tostring(ok), 0)
    end)
    park(task)
    task:cancel()
    finish(task)
    assert.are.equal("failed", task:status())
    assert.are.equal("failed false", task:error())
  end)

  it("of another that was joined is a failure of who joined", function()
    local other = parked()
    local task = neap.spawn({ quiet = true }, other.join, other)
    park(task)
    other:cancel()
    finish(task)
    assert.are.equal("failed", task:status())
    assert.is_true(neap.is_cancelled(task:error()))
  end)

  it("raises again in a task that goes on waiting", function()
    local times = 0
    local task = grid.parked_task(function()
      for _ = 1, 3 do
        if not pcall(neap.sleep, math.huge) then times = times + 1 end
      end
      neap.yield()
      times = 100
    end)
    task:cancel()
    finish(task)
    assert.are.equal(3, times)
    assert.are.equal("cancelled", task:status())
  end)

  it("knows no cancellation but its own", function()
    for _, value in ipairs({ "cancelled", {},
      setmetatable({ reason = 1 }, { __name = "neap.cancelled" }), 1, false }) do
      assert.is_false(neap.is_cancelled(value))
    end
    assert.is_false(neap.is_cancelled(nil))
    assert.has_error(function() neap.is_cancelled() end)
  end)
end)
