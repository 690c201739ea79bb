local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local not_held = "the task does not hold the lock of this condition"

local function wait(condition, timeout)
  local _ <close> = condition:guard()
  return condition:wait(timeout)
end

local function notify(condition)
  local _ <close> = condition:guard()
  condition:notify()
end

-- In the grid. In another process a task waits for the lock first, which cannot be told from waiting for the condition:
-- so those that wait are counted.

local function make() return { condition = neap.condition(), waiting = neap.value("i64") } end

local function make_of_lock() return { condition = neap.condition(neap.lock()), waiting = neap.value("i64") } end

local function count_waiting(o) return o.waiting:get() end

--- Calls `fn`, which waits, with the lock.
local function wait_counted(o, fn, ...)
  local _ <close> = o.condition:guard()
  local _ <close> = setmetatable({}, { __close = function() o.waiting:add(-1) end })
  o.waiting:add(1)
  return fn(o.condition, ...)
end

local function notify_one(o) notify(o.condition) end

for name, made in pairs { ["condition:wait"] = make, ["condition:wait, of a plain lock"] = make_of_lock } do
  grid.ask(name, { blocked = made, wait = function(o, timeout) return wait_counted(o, o.condition.wait, timeout) end,
    count = count_waiting, serve = notify_one, served = table.pack(true) })
end

grid.ask("condition:wait_for", {
  blocked = function()
    local o = make()
    o.store = neap.queue()
    return o
  end,
  wait = function(o, timeout)
    return wait_counted(o, o.condition.wait_for, function() return o.store:get(0) end, timeout)
  end,
  serve = function(o) -- with the lock: else one that has not looked yet might take it, and need no notification
    local _ <close> = o.condition:guard()
    o.store:put("a thing")
    o.condition:notify()
  end,
  count = count_waiting, served = table.pack("a thing"),
})

grid.ask("condition:acquire", { make = neap.condition, block = function(c) c:acquire() end, wait = function(c, timeout)
  local results = table.pack(c:acquire(timeout))
  if results[1] then c:release() end
  return table.unpack(results, 1, results.n)
end, serve = function(c) pcall(c.release, c) end, served = table.pack(true), all = true })

describe("condition", function()
  it("gives up the lock while it waits, and holds it after", function()
    local condition = neap.condition()
    local task = grid.parked_task(function()
      condition:acquire()
      condition:acquire() -- two levels
      assert(condition:wait())
      condition:release()
      local still_held = condition:locked()
      condition:release()
      return still_held
    end)
    assert.is_false(condition:locked())
    notify(condition)
    assert.is_true((task:join()))
    assert.is_false(condition:locked())
  end)

  it("holds the lock after a timeout, and after a wait that did not wait", function()
    local condition = neap.condition()
    condition:acquire()
    for _, timeout in ipairs({ 0, 0.001 }) do
      assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(condition:wait(timeout)))
      assert.is_nil((neap.spawn(condition.acquire, condition, 0):join()))
    end
    condition:release()
    assert.is_false(condition:locked())
  end)

  it("holds the lock when a cancellation is raised, so that it can be released", function()
    local condition = neap.condition()
    local seen = {}
    local task = grid.parked_task(function()
      local _ <close> = condition:guard() -- would fail if it did not hold
      local _ <close> = setmetatable({}, { __close = function() seen[1] = condition:locked() end })
      condition:wait()
    end)
    condition:acquire()
    task:cancel()
    neap.yield()
    assert.are.equal("waiting", task:status()) -- for the lock
    condition:release()
    grid.assert_cancelled(task)
    assert.are.same({ true }, seen)
    assert.are.same(table.pack(true), table.pack(condition:acquire(0)))
    condition:release()
  end)

  it("does not lose a notification to a cancellation that comes after it", function()
    local condition = neap.condition()
    local task = grid.parked_task(function()
      local _ <close> = condition:guard()
      local results = table.pack(condition:wait())
      return results[1], (pcall(condition.wait, condition))
    end)
    condition:acquire()
    condition:notify()
    neap.yield()
    task:cancel()
    condition:release()
    assert.are.same(table.pack(true, false), table.pack(task:join()))
  end)

  it("ends with the time of neap.timeout around it, and holds the lock until then", function()
    local condition = neap.condition()
    local results = table.pack(neap.timeout(0.001, function()
      local _ <close> = condition:guard()
      condition:wait()
    end))
    assert.are.same(table.pack(nil, "timeout", "timeout"), results)
    assert.is_false(condition:locked())
  end)

  it("can be waited in, notified and asked by holders only", function()
    local condition = neap.condition()
    for _, misuse in ipairs({ function() condition:wait() end, function() condition:wait(0) end,
      function() condition:wait_for(function() return true end) end, function() condition:notify() end,
      function() condition:notify_all() end }) do
      assert.has_error(misuse, not_held)
    end
    local task = grid.parked_task(function()
      condition:acquire()
      neap.event():wait()
    end)
    assert.has_error(function() condition:notify() end, not_held)
    task:cancel()
    grid.assert_cancelled(task)
  end)

  it("wakes as many as it is told to, in the order of their coming", function()
    local condition, order, tasks = neap.condition(), {}, {}
    for i = 1, 5 do
      tasks[i] = grid.parked_task(function()
        local _ <close> = condition:guard()
        condition:wait()
        table.insert(order, i)
      end)
    end
    condition:with(function() condition:notify(2) end)
    tasks[1]:join()
    tasks[2]:join()
    assert.are.same({ 1, 2 }, order)
    assert.are.equal("waiting", tasks[3]:status())
    condition:with(condition.notify_all, condition)
    for _, task in ipairs(tasks) do task:join() end
    assert.are.same({ 1, 2, 3, 4, 5 }, order)
    condition:with(condition.notify, condition) -- nobody is there
  end)

  it("tells who waited when the lock was abandoned meanwhile", function()
    local condition = neap.condition()
    local task = grid.parked_task(wait, condition)
    neap.spawn(function()
      condition:acquire()
      condition:notify()
    end):join()
    assert.are.same(table.pack(true, "abandoned"), table.pack(task:join()))
  end)

  it("is one of several for one lock", function()
    local lock = neap.lock()
    local full, empty, store = neap.condition(lock), neap.condition(lock), nil
    local consumer = grid.parked_task(function()
      local _ <close> = lock:guard()
      local sum = 0
      for _ = 1, 10 do
        full:wait_for(function() return store end)
        sum, store = sum + store, nil
        empty:notify()
      end
      return sum
    end)
    for i = 1, 10 do
      empty:with(function()
        empty:wait_for(function() return not store end)
        store = i
        full:notify()
      end)
    end
    assert.are.equal(55, (consumer:join()))
    assert.is_false(lock:locked())
  end)

  it("keeps the handle of its lock the same when both are sent", function()
    local lock = neap.lock()
    local condition = neap.condition(lock)
    local there, back = neap.thread(function(c, l) return c, l end, condition, lock):join()
    assert.are.equal(condition, there)
    assert.are.equal(lock, back)
    lock:acquire()
    assert.is_true(there:locked())
    lock:release()
  end)

  it("raises what the predicate raises, with the lock held", function()
    local condition = neap.condition()
    condition:acquire()
    assert.has_error(function() condition:wait_for(function() error("on purpose", 0) end) end, "on purpose")
    assert.is_true(condition:locked())
    condition:release()
  end)

  it("looks once more when the time of wait_for is over", function()
    local condition, looks = neap.condition(), 0
    condition:acquire()
    local function look()
      looks = looks + 1
      return looks == 2
    end
    assert.are.same(table.pack(true), table.pack(condition:wait_for(look, 0)))
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(condition:wait_for(function() end, 0.001)))
    condition:release()
  end)

  it("lets a predicate wait", function()
    local condition, ch = neap.condition(), neap.channel(4)
    local task = grid.parked_task(function()
      local _ <close> = condition:guard()
      return condition:wait_for(function() return ch:recv() == 2 end)
    end)
    ch:send(1)
    neap.yield()
    ch:send(2)
    notify(condition)
    assert.is_true((task:join()))
  end)

  it_races("passes a thing between threads, with many notifications", function()
    local condition, store, times = neap.condition(), neap.queue(), 300 * support.stress
    local threads = {}
    for i = 1, 2 do
      threads[i] = neap.thread(function(c, q, count)
        for _ = 1, count do
          local _ <close> = c:guard()
          c:wait_for(function() return q:qsize() > 0 end)
          q:get(0)
          c:notify_all()
        end
      end, condition, store, times)
    end
    for i = 1, 2 * times do
      local _ <close> = condition:guard()
      condition:wait_for(function() return store:qsize() < 2 end)
      store:put(i)
      condition:notify_all()
    end
    for _, thread in ipairs(threads) do thread:join() end
    assert.are.equal(0, store:qsize())
  end)

  it("says how it stands, and refuses what is no lock", function()
    local condition = neap.condition()
    assert.is_truthy(tostring(condition):find("^condition: .* %(free%)$"))
    condition:with(function() assert.is_truthy(tostring(condition):find("%(locked%)$")) end)
    for _, bad in ipairs({ 1, neap.event(), neap.rwlock() }) do
      assert.has_error(function() neap.condition(bad) end)
    end
    for _, bad in ipairs({ 0, -1, 1.5, "x" }) do
      assert.has_error(function() condition:with(condition.notify, condition, bad) end)
    end
  end)
end)
