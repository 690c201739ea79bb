local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local function hold(lock) lock:acquire() end

-- Who was served gives the lock back, so that the next one is not told that it was abandoned.
local function acquire(lock, timeout)
  local results = table.pack(lock:acquire(timeout))
  if results[1] then lock:release() end
  return table.unpack(results, 1, results.n)
end

local function guard(lock, timeout)
  local held_by <close>, message, code = lock:guard(timeout)
  if not held_by then return nil, message, code end
  return true
end

-- The test holds the lock; it is released once, and then passes from one to the next.
local function release(lock)
  if lock:locked() then pcall(lock.release, lock) end
end

for _, kind in ipairs({ "lock", "rlock" }) do
  grid.ask(kind .. ":acquire", { make = neap[kind], block = hold, wait = acquire, serve = release,
    served = table.pack(true), all = true })
  grid.ask(kind .. ":guard", { make = neap[kind], block = hold, wait = guard, serve = release,
    served = table.pack(true), all = true })

  describe(kind, function()
    it("is acquired at once when it is free", function()
      local lock = neap[kind]()
      assert.is_false(lock:locked())
      assert.are.same(table.pack(true), table.pack(lock:acquire()))
      assert.is_true(lock:locked())
      lock:release()
      assert.are.same(table.pack(true), table.pack(lock:acquire(0)))
      lock:release()
      assert.is_false(lock:locked())
    end)

    it("goes to those that wait in the order of their coming", function()
      local lock, order, tasks = neap[kind](), {}, {}
      lock:acquire()
      for i = 1, 5 do
        tasks[i] = grid.parked_task(function()
          local _ <close> = lock:guard()
          table.insert(order, i)
          neap.yield()
        end)
      end
      lock:release()
      for _, task in ipairs(tasks) do task:join() end
      assert.are.same({ 1, 2, 3, 4, 5 }, order)
    end)

    it("is released by its holder only", function()
      local lock = neap[kind]()
      assert.has_error(function() lock:release() end, "the task does not hold this lock")
      lock:acquire()
      local task = neap.spawn(function() return pcall(lock.release, lock) end)
      assert.is_false((task:join()))
      assert.is_false((neap.thread(function(l) return pcall(l.release, l) end, lock):join()))
      assert.is_true(lock:locked())
      lock:release()
    end)

    it("tells the next one when its holder ended without releasing it", function()
      local lock = neap[kind]()
      neap.spawn(function() lock:acquire() end):join()
      assert.is_false(lock:locked())
      assert.are.same(table.pack(true, "abandoned"), table.pack(lock:acquire()))
      lock:release()
      assert.are.same(table.pack(true), table.pack(lock:acquire()))
      lock:release()
    end)

    it("tells one that waits when its holder failed, was cancelled, or was a thread", function()
      local lock = neap[kind]()
      local ways = {
        function() return neap.spawn({ quiet = true }, function()
          lock:acquire()
          neap.yield()
          error("on purpose")
        end) end,
        function()
          local task = grid.parked_task(function()
            lock:acquire()
            neap.event():wait()
          end)
          neap.spawn(function() task:cancel() end)
          return task
        end,
        function() return neap.thread(function(l) l:acquire() end, lock) end,
      }
      for _, way in ipairs(ways) do
        local holder = way()
        while not lock:locked() and holder:is_alive() do neap.yield() end
        assert.are.same(table.pack(true, "abandoned"), table.pack(lock:acquire()))
        lock:release()
        pcall(holder.join, holder)
      end
    end)

    it("is not left held by a wait that was cancelled just as it was served", function()
      local lock = neap[kind]()
      for _ = 1, 100 do
        lock:acquire()
        local task = grid.parked_task(acquire, lock)
        lock:release()
        task:cancel()
        pcall(task.join, task)
        assert.is_false(lock:locked())
      end
    end)

    it_races("excludes threads that take it in all ways", function()
      local lock, value, rounds = neap[kind](), neap.value("i64", 0), 300
      local threads = {}
      for i = 1, 3 do
        threads[i] = neap.thread(function()
          for round = 1, rounds do
            if round % 3 == 0 then
              lock:with(function() value:set(value:get() + 1) end)
            else
              repeat until lock:acquire(round % 3 == 1 and 0.00001 or nil)
              value:set(value:get() + 1)
              lock:release()
            end
          end
        end)
      end
      for _, thread in ipairs(threads) do thread:join() end
      assert.are.equal(3 * rounds, value:get())
      assert.is_false(lock:locked())
    end)

    it_races("is had in the end by who waits, however often another thread takes it", function()
      local lock, had, greedy = neap[kind](), neap.value("bool", false), neap.event()
      local thread = neap.thread(function()
        repeat
          lock:acquire()
          greedy:set()
          lock:release()
        until had:get()
      end)
      greedy:wait()
      for _ = 1, 10 do lock:with(function() end) end
      had:set(true)
      thread:join()
    end)

    it("calls a function while it holds", function()
      local lock = neap[kind]()
      local results = table.pack(lock:with(function(...) return lock:locked(), ... end, 1, nil, 3, nil))
      assert.are.same(table.pack(true, 1, nil, 3, nil), results)
      assert.is_false(lock:locked())
    end)

    it("is released when the function fails, with the traceback of the failure", function()
      local lock = neap[kind]()
      local function culprit() error({ reason = "on purpose" }) end
      local ok, traceback = xpcall(lock.with, debug.traceback, lock, function() culprit() end)
      assert.is_false(ok)
      assert.are.equal("on purpose", select(2, pcall(lock.with, lock, culprit)).reason)
      assert.is_truthy(type(traceback) == "table" or traceback:find("culprit"))
      assert.is_false(lock:locked())
    end)

    it("is released when the function is cancelled in a wait", function()
      local lock = neap[kind]()
      local task = grid.parked_task(function() lock:with(function() neap.event():wait() end) end)
      assert.is_true(lock:locked())
      task:cancel()
      grid.assert_cancelled(task)
      assert.are.same(table.pack(true), table.pack(lock:acquire(0)))
      lock:release()
    end)

    it("has guards that can be released early, once", function()
      local lock = neap[kind]()
      do
        local g <close> = lock:guard()
        assert.is_truthy(tostring(g):find("^guard: "))
        g:release()
        assert.is_false(lock:locked())
        assert.has_error(function() g:release() end, "this guard has been released already")
      end
      assert.is_false(lock:locked())
    end)

    it("has guards that do not hide an error", function()
      local lock = neap[kind]()
      local ok, message = pcall(function()
        local _ <close> = lock:guard()
        lock:release() -- the guard has nothing left to release
        error("the first", 0)
      end)
      assert.is_false(ok)
      assert.are.equal("the first", message)
      ok, message = pcall(function()
        local _ <close> = lock:guard()
        lock:release()
      end)
      assert.is_false(ok)
      assert.is_truthy(message:find("the task does not hold the lock of this guard", 1, true))
    end)

    it("tells the holder of a guard that it was abandoned", function()
      local lock = neap[kind]()
      neap.spawn(function() lock:acquire() end):join()
      local g <close>, note = lock:guard()
      assert.is_truthy(g)
      assert.are.equal("abandoned", note)
    end)

    it("says how it stands", function()
      local lock = neap[kind]()
      assert.is_truthy(tostring(lock):find("^" .. kind .. ": .* %(free%)$"))
      lock:acquire()
      assert.is_truthy(tostring(lock):find("^" .. kind .. ": .* %(locked%)$"))
      lock:release()
    end)

    it_races("excludes tasks of several threads from each other", function()
      local lock, turns, threads = neap[kind](), neap.channel(1), {}
      turns:send(0)
      for i = 1, 3 do
        threads[i] = neap.thread(function(l, counter, times)
          local function count()
            for _ = 1, times do
              local _ <close> = l:guard()
              counter:send(counter:recv(0) + 1, 0) -- always there, and never two at once
            end
          end
          local other = neap.spawn(count)
          count()
          other:join()
        end, lock, turns, 200 * support.stress)
      end
      for _, thread in ipairs(threads) do thread:join() end
      assert.are.equal(3 * 2 * 200 * support.stress, turns:recv(0))
      assert.is_false(lock:locked())
    end)

    it_races("excludes threads of another process from each other, and from this one", function()
      local lock, count, taken = neap[kind](), neap.value("i64", 0), neap.value("i64", 0)
      local function step(times, l, counted, all)
        local timeouts = { 0, 0.0003, 0.02 } -- what is not had at once is asked for, another time it is just taken
        for round = 1, times do
          if l:acquire(timeouts[round % 4]) then
            counted:set(counted:get() + 1)
            all:add(1)
            if round % 20 == 0 then neap.sleep(0.0005) end
            l:release()
          end
        end
      end
      local process = neap.process(function(...)
        neap.gather({ neap.thread(...), neap.thread(...), neap.thread(...) })
      end, step, 100 * support.stress, lock, count, taken)
      step(100 * support.stress, lock, count, taken)
      process:join()
      assert.are.equal(taken:get(), count:get())
      assert.is_true(taken:get() >= 4 * 25 * support.stress)
      assert.is_false(lock:locked())
    end)

    it("refuses what is not one", function()
      local lock = neap[kind]()
      assert.has_error(function() lock.acquire({}) end)
      assert.has_error(function() lock.release(neap.channel()) end)
      assert.has_error(function() lock:with() end)
    end)
  end)
end

describe("a lock", function()
  it("cannot be acquired again by its holder", function()
    local lock = neap.lock()
    lock:acquire()
    for _, again in ipairs({ function() lock:acquire() end, function() lock:acquire(0) end,
      function() lock:guard() end, function() lock:with(print) end }) do
      assert.has_error(again, "the task holds this lock already: it would wait for itself")
    end
    lock:release()
    assert.is_false(lock:locked())
  end)

  it("has guards that finalisers may still have when they have been collected", function()
    local result = support.run_script([[
      local lock = neap.lock()
      do
        local holder = setmetatable({}, { __gc = function(self)
          print(self.guard, pcall(self.guard.release, self.guard))
        end })
        holder.guard = lock:guard()
      end
      collectgarbage()
      print(lock:locked())]])
    assert.are.same({ 0, "" }, { result.status, result.stderr })
    assert.is_truthy(result.stdout:find(
      "^guard: %S+ %(released%)\tfalse\tthis guard has been released already\ntrue\n$"))
  end)

  it("is abandoned by a task whose last finaliser took it", function()
    local result = support.run_script(support.finalise_soon .. [[
      local lock = neap.lock()
      neap.spawn(function()
        finalise_soon(function() lock:acquire(0) end)
        return 1, 2, 3
      end):join()
      print(lock:acquire(1))]])
    assert.are.same({ status = 0, stdout = "true\tabandoned\n", stderr = "" }, result)
  end)
end)

describe("an rlock", function()
  it("counts how often its holder has acquired it", function()
    local lock = neap.rlock()
    for _ = 1, 3 do assert.is_true(lock:acquire()) end
    local task = grid.parked_task(acquire, lock)
    lock:release()
    lock:release()
    neap.yield()
    assert.are.equal("waiting", task:status())
    lock:release()
    assert.is_true((task:join()))
    assert.has_error(function() lock:release() end)
  end)

  it("is held by a task, not by a thread", function()
    local lock = neap.rlock()
    lock:acquire()
    assert.are.equal("timeout", select(3, neap.spawn(function() return lock:acquire(0) end):join()))
    lock:release()
  end)

  it("is abandoned with all its levels", function()
    local lock = neap.rlock()
    neap.spawn(function()
      lock:acquire()
      lock:acquire()
    end):join()
    assert.are.same(table.pack(true, "abandoned"), table.pack(lock:acquire(0)))
    lock:release()
    assert.is_false(lock:locked())
  end)
end)
