local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local function release(semaphore) semaphore:release() end

local function guard(semaphore, timeout)
  local permit <close>, message, code = semaphore:guard(timeout)
  if not permit then return nil, message, code end
  return true
end

local function empty() return neap.semaphore(0) end

local function empty_bounded()
  local semaphore = neap.bounded_semaphore(2)
  semaphore:acquire()
  semaphore:acquire()
  return semaphore
end

grid.ask("semaphore:acquire", { blocked = empty, wait = function(s, timeout) return s:acquire(timeout) end,
  serve = release, served = table.pack(true) })
grid.ask("bounded_semaphore:acquire", { blocked = empty_bounded,
  wait = function(s, timeout) return s:acquire(timeout) end, serve = release, served = table.pack(true) })
grid.ask("semaphore:guard", { blocked = empty, wait = guard, serve = release, served = table.pack(true), all = true })

for _, kind in ipairs({ "semaphore", "bounded_semaphore" }) do
  describe(kind, function()
    it("has one permit by default, or as many as it is given", function()
      assert.are.equal(1, neap[kind]():value())
      assert.are.equal(0, neap[kind](0):value())
      local semaphore = neap[kind](3)
      for left = 2, 0, -1 do
        assert.are.same(table.pack(true), table.pack(semaphore:acquire()))
        assert.are.equal(left, semaphore:value())
      end
      assert.is_nil((semaphore:acquire(0)))
    end)

    it("refuses what is no number of permits", function()
      for _, bad in ipairs({ -1, 1.5, "x", {} }) do assert.has_error(function() neap[kind](bad) end) end
      local semaphore = neap[kind](1)
      for _, bad in ipairs({ 0, -1, 1.5, "x", {} }) do
        assert.has_error(function() semaphore:release(bad) end)
      end
      assert.are.equal(1, semaphore:value())
    end)

    it("holds a permit while a function runs, and gives back its results", function()
      local semaphore = neap[kind](2)
      local results = table.pack(semaphore:with(function(...) return semaphore:value(), ... end, nil, 2, nil))
      assert.are.same(table.pack(1, nil, 2, nil), results)
      assert.are.equal(2, semaphore:value())
    end)

    it("has the permit back when the function fails or is cancelled", function()
      local semaphore = neap[kind](1)
      assert.has_error(function() semaphore:with(error, "on purpose") end, "on purpose")
      assert.are.equal(1, semaphore:value())
      local task = grid.parked_task(function() semaphore:with(function() neap.event():wait() end) end)
      assert.are.equal(0, semaphore:value())
      task:cancel()
      grid.assert_cancelled(task)
      assert.are.equal(1, semaphore:value())
    end)

    it("has the permit of a guard back when its holder ends, however it ends", function()
      local semaphore = neap[kind](1)
      neap.spawn(function() return semaphore:guard() ~= nil end):join() -- no <close> variable
      assert.are.equal(1, semaphore:value())
      neap.thread(function(s) return s:guard() ~= nil end, semaphore):join()
      assert.are.equal(1, semaphore:value())
      local failing = neap.spawn({ quiet = true }, function()
        semaphore:guard()
        error("on purpose")
      end)
      assert.is_false((pcall(failing.join, failing)))
      assert.are.equal(1, semaphore:value())
    end)

    it("does not get back a permit that was acquired for nobody", function()
      local semaphore = neap[kind](1)
      neap.spawn(function() semaphore:acquire() end):join()
      assert.are.equal(0, semaphore:value())
    end)

    it("gets the permit of a lost guard back when that is collected", function()
      local semaphore = neap[kind](1)
      semaphore:guard()
      collectgarbage()
      collectgarbage()
      assert.are.equal(1, semaphore:value())
    end)

    it("gets a permit back once, early or at the end", function()
      local semaphore = neap[kind](2)
      do
        local permit <close> = semaphore:guard()
        assert.are.equal(1, semaphore:value())
        permit:release()
        assert.are.equal(2, semaphore:value())
        assert.has_error(function() permit:release() end, "this guard has been released already")
      end
      assert.are.equal(2, semaphore:value())
    end)

    it("gets a permit back from another process, though who took it waits for something else there", function()
      local semaphore, lock, released = neap[kind](1), neap.lock(), neap.event()
      lock:acquire()
      local other = neap.process(function(s, l, r)
        local neap = require "neap" -- luacheck: ignore
        local permit
        local task = neap.spawn(function()
          permit = s:guard()
          l:acquire()
        end)
        while not permit do neap.yield() end
        permit:release()
        r:set()
        task:join()
      end, semaphore, lock, released)
      released:wait()
      assert.is_true((semaphore:acquire()))
      lock:release()
      other:join()
    end)

    it("serves those that wait in the order of their coming", function()
      local semaphore, order, tasks = neap[kind](1), {}, {}
      semaphore:acquire()
      for i = 1, 4 do
        tasks[i] = grid.parked_task(function()
          local _ <close> = semaphore:guard()
          table.insert(order, i)
        end)
      end
      semaphore:release()
      for _, task in ipairs(tasks) do task:join() end
      assert.are.same({ 1, 2, 3, 4 }, order)
    end)

    it_races("lets no more in than it has permits, of whatever thread", function()
      local semaphore, inside, threads = neap[kind](2), neap.semaphore(2), {}
      for i = 1, 4 do
        threads[i] = neap.thread(function(s, places, times)
          for _ = 1, times do
            local _ <close> = s:guard()
            assert(places:acquire(0), "a third one is inside")
            neap.yield()
            places:release()
          end
        end, semaphore, inside, 200 * support.stress)
      end
      for _, thread in ipairs(threads) do thread:join() end
      assert.are.equal(2, semaphore:value())
    end)

    it("says how it stands", function()
      local semaphore = neap[kind](2)
      semaphore:acquire()
      local expected = kind == "semaphore" and "%(1%)" or "%(1/2%)"
      assert.is_truthy(tostring(semaphore):find("^" .. kind .. ": .* " .. expected .. "$"))
    end)
  end)
end

describe("semaphore", function()
  it("can have more permits than at first, many at once", function()
    local semaphore = neap.semaphore(0)
    local tasks = {}
    for i = 1, 3 do tasks[i] = grid.parked_task(semaphore.acquire, semaphore) end
    semaphore:release(5)
    for _, task in ipairs(tasks) do assert.is_true((task:join())) end
    assert.are.equal(2, semaphore:value())
  end)

  it("can be released by who never acquired", function()
    local semaphore = neap.semaphore(0)
    neap.thread(function(s) s:release() end, semaphore):join()
    assert.is_true((semaphore:acquire(0)))
  end)

  it("refuses more permits than can be counted", function()
    local semaphore = neap.semaphore(1)
    assert.has_error(function() semaphore:release(math.maxinteger) end)
    assert.are.equal(1, semaphore:value())
  end)
end)

describe("bounded_semaphore", function()
  it("refuses more permits than at first", function()
    local semaphore = neap.bounded_semaphore(2)
    assert.has_error(function() semaphore:release() end, "a semaphore cannot have more than 2 permits")
    semaphore:acquire()
    assert.has_error(function() semaphore:release(2) end)
    assert.are.equal(1, semaphore:value())
    semaphore:release()
    assert.are.equal(2, semaphore:value())
  end)
end)
