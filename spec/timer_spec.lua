local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local not_times = { -1, -0.001, -math.huge, 0 / 0, "1", "x", {}, true }
local long_times = { 3600, 2 ^ 31, 2 ^ 32, 2 ^ 53, 2 ^ 63, 1e300, math.maxinteger, math.huge }

describe("sleep", function()
  it("returns nothing", function()
    assert.are.equal(0, select("#", neap.sleep(0)))
    assert.are.equal(0, select("#", neap.sleep(0.0001)))
  end)

  it("never ends early", function()
    for _, seconds in ipairs({ 0.0001, 0.001, 0.0015, 0.01 }) do
      local before = neap.now()
      neap.sleep(seconds)
      assert.is_true(neap.now() - before >= seconds)
    end
  end)

  it("of many never ends early", function()
    local tasks = {}
    for i = 1, 500 do
      tasks[i] = neap.spawn(function()
        local before = neap.now()
        neap.sleep(i / 50000)
        return neap.now() - before >= i / 50000
      end)
    end
    for _, task in ipairs(tasks) do assert.is_true((task:join())) end
  end)

  it("of nothing lets others run once", function()
    local order = {}
    local task = neap.spawn(function() table.insert(order, "other") end)
    neap.sleep(0)
    table.insert(order, "self")
    task:join()
    assert.are.same({ "other", "self" }, order)
  end)

  it("ends in the order of the deadlines", function()
    local order, at_once
    repeat
      order = {}
      local before, tasks = neap.now(), {}
      for i, seconds in ipairs({ 0.03, 0.01, 0.02 }) do
        tasks[i] = neap.spawn(function()
          neap.sleep(seconds)
          table.insert(order, i)
        end)
      end
      neap.yield() -- they sleep
      at_once = neap.now() - before < 0.01 -- or the last deadline may not be that of the first
      for _, task in ipairs(tasks) do task:join() end
    until at_once
    assert.are.same({ 2, 3, 1 }, order)
  end)

  it("refuses what is no time", function()
    for _, bad in ipairs(not_times) do assert.has_error(function() neap.sleep(bad) end) end
    assert.has_error(function() neap.sleep() end)
    assert.has_error(function() neap.sleep(nil) end)
  end)

  it("can be as long as one likes", function()
    for _, seconds in ipairs(long_times) do
      local task = grid.parked_task(neap.sleep, seconds)
      task:cancel()
      grid.assert_cancelled(task)
    end
  end)
end)

describe("a timeout", function()
  local waits = {
    recv = function(timeout) return neap.channel():recv(timeout) end,
    send = function(timeout) return neap.channel():send(1, timeout) end,
    get = function(timeout) return neap.queue():get(timeout) end,
    wait = function(timeout) return neap.event():wait(timeout) end,
    join = function(timeout)
      local task = grid.parked_task(neap.sleep, math.huge)
      local _ <close> = setmetatable({}, { __close = function() task:cancel() end })
      return task:join(timeout)
    end,
  }
  for name, wait in pairs(waits) do
    it("of " .. name .. " that is no time raises", function()
      for _, bad in ipairs(not_times) do
        local ok, message = pcall(wait, bad)
        assert.is_false(ok)
        assert.is_truthy(message:find("number of seconds expected", 1, true)
          or message:find("timeout must not be", 1, true))
      end
    end)

    it("of " .. name .. " that is 0 does not let others run", name ~= "join" and function()
      local ran = false
      local task = neap.spawn(function() ran = true end)
      assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(wait(0)))
      assert.is_false(ran)
      task:join()
    end or function() -- its own preparation lets others run
      assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(wait(0)))
    end)

    it("of " .. name .. " is never over early", function()
      for _, seconds in ipairs({ 0.0001, 0.003 }) do
        local before = neap.now()
        assert.are.equal("timeout", select(3, wait(seconds)))
        assert.is_true(neap.now() - before >= seconds)
      end
    end)

    it("of " .. name .. " may be long", function()
      for _, seconds in ipairs(long_times) do
        local task = grid.parked_task(wait, seconds)
        task:cancel()
        grid.assert_cancelled(task)
      end
    end)
  end
end)

describe("timer", function()
  it("calls the function with its arguments, and has its results", function()
    local timer = neap.timer(0.001, function(...) return select("#", ...), ... end, 1, nil)
    assert.are.same(table.pack(2, 1, nil), table.pack(timer:join()))
    assert.are.equal("done", timer:status())
  end)

  it("of zero runs at the next turn, never inside", function()
    local ran = false
    local timer = neap.timer(0, function() ran = true end)
    assert.is_false(ran)
    timer:join()
    assert.is_true(ran)
  end)

  it("never fires early", function()
    for _, seconds in ipairs({ 0.0005, 0.002, 0.01 }) do
      local before = neap.now()
      local after = neap.timer(seconds, neap.now):join()
      assert.is_true(after - before >= seconds)
    end
  end)

  it("never fires early when its turn of the loop was long", function()
    local wrong = 0
    local timers = {}
    for i = 1, 2000 do
      local due = neap.now() + 0.002
      timers[i] = neap.timer(0.002, function() if neap.now() < due then wrong = wrong + 1 end end)
    end
    for _, timer in ipairs(timers) do timer:join() end
    assert.are.equal(0, wrong)
  end)

  it("that is cancelled in time has won: it never runs", function()
    local ran = false
    local timer = neap.timer(0.001, function() ran = true end)
    assert.are.equal("new", timer:status())
    assert.is_true(timer:cancel())
    assert.is_false(timer:cancel())
    neap.sleep(0.005)
    assert.is_false(ran)
    assert.are.equal("cancelled", timer:status())
  end)

  it("that is cancelled too late has lost: it goes on", function()
    local gate, answers = neap.event(), {}
    local timer = neap.timer(0, function()
      gate:wait()
      return "its result"
    end)
    grid.park(timer)
    answers[1] = timer:cancel()
    gate:set()
    assert.are.equal("its result", (timer:join()))
    answers[2] = timer:cancel()
    assert.are.same({ false, false }, answers)
  end)

  it("either runs or is cancelled, whoever races", function()
    local seed = trial.seed()
    for _ = 1, 500 * support.stress do
      local ran = 0
      local timer = neap.timer(math.random(3) == 1 and 0 or math.random() / 5000, function() ran = ran + 1 end)
      if math.random(2) == 1 then neap.yield() end
      if math.random(2) == 1 then neap.sleep(math.random() / 5000) end
      local won = timer:cancel()
      timer:wait()
      assert.are.equal(won and 0 or 1, ran, "seed " .. seed)
      assert.are.equal(won and "cancelled" or "done", timer:status(), "seed " .. seed)
    end
  end)

  it("is cancelled from another thread, and either runs or not", function()
    local timers, answers = neap.channel(), neap.channel()
    local _ <close> = neap.thread({ daemon = true }, function(from, to)
      for timer in from:iter() do to:send(timer:cancel()) end
    end, timers, answers)
    for _ = 1, 500 * support.stress do
      local ran = 0
      local timer = neap.timer(0.00001, function() ran = ran + 1 end)
      timers:send(timer)
      timer:wait()
      local won = answers:recv()
      assert.are.equal(won and 0 or 1, ran)
      assert.are.equal(won and "cancelled" or "done", timer:status())
    end
  end)

  it("tells the task that waits for it of a failure", function()
    local timer = neap.timer({ quiet = true }, 0, error, "on purpose", 0)
    assert.are.same(table.pack(false, "on purpose"), table.pack(pcall(timer.join, timer)))
  end)

  it("has a name, and options as a task", function()
    local timer = neap.timer({ name = "alarm", daemon = true }, math.huge, print)
    assert.are.equal("alarm", timer.name)
    assert.is_true(timer.daemon)
    assert.is_true(timer:cancel())
  end)

  it("can be far in the future", function()
    for _, seconds in ipairs(long_times) do
      local timer = neap.timer(seconds, print)
      assert.are.equal("new", timer:status())
      assert.is_true(timer:cancel())
    end
  end)

  it("refuses what is no time and no function", function()
    for _, bad in ipairs(not_times) do
      if type(bad) ~= "table" then assert.has_error(function() neap.timer(bad, print) end) end
    end
    assert.has_error(function() neap.timer() end)
    assert.has_error(function() neap.timer(nil, print) end)
    assert.has_error(function() neap.timer(1) end)
    assert.has_error(function() neap.timer(1, "print") end)
    assert.has_error(function() neap.timer({ name = "x" }, print) end)
    assert.has_error(function() neap.timer({ period = 1 }, 1, print) end)
  end)

  it("keeps the program alive, unless it is daemon", function()
    local result = support.run_script([[
      neap.timer(0.001, print, "fired")
      neap.timer({ daemon = true }, math.huge, print, "never")
      neap.every({ daemon = true }, 3600, print, "never")
      print("main")]])
    assert.are.same({ status = 0, stdout = "main\nfired\n", stderr = "" }, result)
  end)

  it("in great numbers fires once each", function()
    local fired, timers = 0, {}
    for i = 1, 10000 do timers[i] = neap.timer((i * 7919 % 1000) / 100000, function() fired = fired + 1 end) end
    for _, timer in ipairs(timers) do timer:join() end
    assert.are.equal(10000, fired)
  end)

  it("in great numbers is cancelled", function()
    local fired, timers = 0, {}
    for i = 1, 10000 do timers[i] = neap.timer(3600 + i * 7919 % 1000, function() fired = fired + 1 end) end
    for i = 1, 10000 do assert(timers[i * 7919 % 10000 + 1]:cancel()) end
    for _, timer in ipairs(timers) do timer:wait() end
    assert.are.equal(0, fired)
  end)
end)

describe("every", function()
  it("calls the function again and again, until it is cancelled", function()
    local beats, event = {}, neap.event()
    local timer = neap.every(0.001, function(...)
      table.insert(beats, table.pack(...))
      if #beats == 5 then event:set() end
    end, "a", nil)
    event:wait()
    assert.is_true(timer:cancel())
    grid.assert_cancelled(timer)
    local count = #beats
    neap.sleep(0.003)
    assert.are.equal(count, #beats)
    for _, beat in ipairs(beats) do assert.are.same(table.pack("a", nil), beat) end
  end)

  it("begins after its first period, never early", function()
    local before, first = neap.now(), neap.channel(1)
    local timer = neap.every(0.003, function() first:send(neap.now(), 0) end)
    assert.is_true(first:recv() - before >= 0.003)
    timer:cancel()
  end)

  it("never beats twice at once, and leaves out what it missed", function()
    local inside, worst, beats, done = 0, 0, 0, neap.event()
    local timer = neap.every(0.001, function()
      inside = inside + 1
      worst = math.max(worst, inside)
      neap.sleep(0.003)
      inside = inside - 1
      beats = beats + 1
      if beats == 3 then done:set() end
    end)
    done:wait()
    timer:cancel()
    timer:wait()
    assert.are.equal(1, worst)
  end)

  it("ends with the error of its function", function()
    local timer = neap.every({ quiet = true }, 0.0001, error, "on purpose", 0)
    assert.are.same(table.pack(false, "on purpose"), table.pack(pcall(timer.join, timer)))
  end)

  it("can cancel itself", function()
    local beats, timer = 0, nil
    timer = neap.every(0.0001, function()
      beats = beats + 1
      if beats == 2 then timer:cancel() end
    end)
    grid.assert_cancelled(timer)
    assert.are.equal(2, beats)
  end)

  it("refuses a period that is none", function()
    for _, bad in ipairs({ 0, -1, 0 / 0, math.huge, "1" }) do
      assert.has_error(function() neap.every(bad, print) end)
    end
    assert.has_error(function() neap.every(1) end)
    assert.has_error(function() neap.every({}, 1) end)
  end)
end)

describe("now", function()
  it("never goes back", function()
    local last = neap.now()
    for _ = 1, 1000 do
      local now = neap.now()
      assert(now >= last)
      last = now
    end
  end)

  it("is the same clock in every thread", function()
    local before = neap.now()
    local between = neap.thread(neap.now):join()
    assert.is_true(before <= between and between <= neap.now())
  end)
end)
