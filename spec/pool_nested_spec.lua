-- Work that has its own pool do more, and waits for that.

local neap = require "neap"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races, raises, it_of_each_kind = trial.it_races, trial.raises, trial.it_of_each_kind
local squares = trial.squares

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
