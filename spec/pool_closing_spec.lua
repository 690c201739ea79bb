-- Pools that are closed while somebody still gives them work: what was begun before goes on to its end.

local neap = require "neap"
local grid = require "spec.grid"
local trial = require "spec.trial"

-- What is sent to threads and processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_of_each_kind, raises = trial.it_of_each_kind, trial.raises
local numbers, squares = trial.numbers, trial.squares

local function square(x) return x * x end

--- The values that an iterator gives, sorted: imap_unordered gives them in any order.
local function drain(next_result)
  local results = {}
  for value in next_result do results[#results + 1] = value end
  table.sort(results)
  return results
end

--- Numbers up to `count`, one after the other: a source whose length nobody knows.
local function counter(count)
  local at = 0
  return function()
    at = at + 1
    if at <= count then return at end
  end
end

--- A pool of one worker that is held up, whose queue is full; and a function that lets it go on.
local function full_pool(new)
  local pool = new { workers = 1, queue_limit = 1 }
  local begun, gate = neap.event(), neap.event()
  pool:submit(function(b, g)
    b:set()
    g:wait()
  end, begun, gate)
  begun:wait()
  pool:submit(math.abs, 1)
  return pool, function() gate:set() end
end

describe("what was begun before close", function()
  for _, name in ipairs({ "imap", "imap_unordered" }) do
    it_of_each_kind(name .. " of a list is done to its end", function(new)
      local pool = new(2)
      local results = pool[name](pool, square, numbers(100))
      pool:close()
      assert.are.same(squares(1, 100), drain(results))
      pool:join()
    end)

    it_of_each_kind(name .. " of an iterator is done to its end", function(new)
      local pool = new(2)
      local results = pool[name](pool, square, counter(100), { chunksize = 3 })
      assert.are.equal("number", type((results())))
      pool:close()
      assert.are.equal(99, #drain(results))
      pool:join()
    end)
  end

  for _, name in ipairs({ "imap", "imap_unordered" }) do
    it_of_each_kind(name .. " is done before join returns, though nobody takes the results", function(new)
      local pool = new(1)
      local of_list, of_iterator = pool[name](pool, square, numbers(50)), pool[name](pool, square, counter(50))
      pool:join()
      assert.are.equal(100, pool:stats().done)
      assert.are.same(squares(1, 50), drain(of_list))
      assert.are.same(squares(1, 50), drain(of_iterator))
    end)

    it_of_each_kind(name .. " is done before the scope of the pool is left", function(new)
      local results, taken
      do
        local pool <close> = new(1)
        results = pool[name](pool, square, counter(50))
        taken = results()
      end
      assert.are.equal("number", type(taken))
      assert.are.equal(49, #drain(results))
    end)
  end

  it("imap is still not far ahead of who takes the results", function()
    local pool = neap.pool(2)
    local pulled = 0
    local results = pool:imap(function(x) return x end, function()
      pulled = pulled + 1
      return pulled
    end)
    pool:close()
    for value in results, nil, nil, select(4, results) do
      assert.is_true(pulled <= value + 5)
      if value == 100 then break end
    end
  end)

  for _, name in ipairs({ "map", "starmap", "map_async" }) do
    it_of_each_kind(name .. " that waits for places in the queue gets them", function(new)
      local pool, go_on = full_pool(new)
      local items = numbers(20)
      for i = 1, name == "starmap" and 20 or 0 do items[i] = { i } end
      local mapping = grid.parked_task(function()
        local results = pool[name](pool, square, items, { chunksize = 1 })
        return name == "map_async" and results:result() or results
      end)
      pool:close()
      go_on()
      assert.are.same(squares(1, 20), mapping:join())
      pool:join()
    end)
  end

  it_of_each_kind("submit and apply that wait for a place in the queue get it, the first one first", function(new)
    local pool, go_on = full_pool(new)
    local applying = grid.parked_task(pool.apply, pool, square, 3)
    local submitting = grid.parked_task(pool.submit, pool, square, 4)
    local called = neap.channel(1)
    local calling = grid.parked_task(pool.apply_async, pool, square, { 5 }, function(result) called:send(result) end)
    pool:close()
    go_on()
    assert.are.equal(9, applying:join())
    assert.are.equal(16, submitting:join():result())
    calling:join()
    assert.are.equal(25, (called:recv()))
    pool:join()
  end)

  it_of_each_kind("is done by workers that are replaced", function(new)
    local pool = new { workers = 1, max_tasks = 2 }
    local results = pool:imap(square, counter(9))
    pool:close()
    assert.are.same(squares(1, 9), drain(results))
    pool:join()
  end)

  it_of_each_kind("is done for others, too", function(new)
    for _, start in ipairs({ neap.thread, neap.process }) do
      local pool = new(1)
      local begun, closed = neap.event(), neap.event()
      local other = start(function(p, b, c)
        local at, count = 0, 0
        local results = p:imap(function(x) return x end, function()
          at = at + 1
          if at <= 20 then return at end
        end)
        b:set()
        c:wait()
        for _ in results do count = count + 1 end
        return count
      end, pool, begun, closed)
      begun:wait()
      pool:close()
      closed:set()
      assert.are.equal(20, (other:join()))
      pool:join()
    end
  end)

  it_of_each_kind("is done for work of the pool itself, which closes it", function(new)
    local pool = new { workers = 1, queue_limit = 1 }
    local mapped, count = pool:apply(function(p)
      local at, taken = 0, 0
      local results = p:imap(math.abs, function()
        at = at + 1
        if at <= 20 then return at end
      end)
      local mapping = p:map_async(math.abs, { 1, 2, 3, 4, 5 }, { chunksize = 1 })
      p:close()
      for _ in results do taken = taken + 1 end
      return #mapping:result(), taken
    end, pool)
    assert.are.same({ 5, 20 }, { mapped, count })
    pool:join()
  end)

  it_of_each_kind("does not let anything else in", function(new)
    local pool = new(1)
    local results = pool:imap(square, counter(20))
    pool:close()
    for _, name in ipairs({ "submit", "apply", "map", "starmap", "map_async", "imap", "imap_unordered" }) do
      raises("is closed: it takes no more work", pool[name], pool, square, { {} })
    end
    assert.are.same(squares(1, 20), drain(results))
    pool:join()
  end)
end)

describe("workers of a closed pool are let go", function()
  it_of_each_kind("when the loop over an iterator is left", function(new)
    local pool = new(2)
    for value in pool:imap(square, counter(1000)) do
      pool:close()
      if value == 9 then break end
    end
    pool:join()
  end)

  it_of_each_kind("when an iterator has been forgotten", function(new)
    local pool = new(2)
    local at = 0
    local function endless()
      at = at + 1
      return at
    end
    neap.spawn(function() return pool:imap(square, endless)() end):join()
    pool:join()
  end)

  it_of_each_kind("when the source has failed", function(new)
    local pool = new(2)
    local results = pool:imap(square, function() error("source", 0) end)
    pool:close()
    raises("^source$", results)
    pool:join()
  end)

  it_of_each_kind("when a map is cancelled in line", function(new)
    local pool, go_on = full_pool(new)
    local mapping = grid.parked_task(pool.map, pool, square, numbers(20), { chunksize = 1 })
    pool:close()
    mapping:cancel()
    grid.assert_cancelled(mapping)
    go_on()
    pool:join()
  end)

  it_of_each_kind("when the thread or process that goes on has ended", function(new)
    for _, start in ipairs({ neap.thread, neap.process }) do
      local pool = new(1)
      start(function(p)
        local at = 0
        _G.kept = p:imap(math.abs, function()
          at = at + 1
          return at
        end)
        _G.kept()
      end, pool):join()
      pool:join()
    end
  end)

  it_of_each_kind("though who has begun an iterator in another process waits for something else", function(new)
    local pool, lock = new(1), neap.lock()
    local begun = neap.event()
    lock:acquire()
    local other = neap.process(function(p, l, b)
      local results, count = p:imap(math.abs, { 1, 2, 3, 4, 5, 6, 7 }), 0
      b:set()
      l:acquire()
      for _ in results do count = count + 1 end
      return count
    end, pool, lock, begun)
    begun:wait()
    pool:join()
    lock:release()
    assert.are.equal(7, (other:join()))
  end)

  it("also where another process begins many while who has begun others there waits for something else", function()
    local pool, lock, begun = neap.pool(1), neap.lock(), neap.event()
    lock:acquire()
    local other = neap.process(function(p, l, b)
      local neap = require "neap" -- luacheck: ignore
      local function begin_many()
        for _ = 1, 10 do p:imap(math.abs, { 1 }) end
      end
      local waiting = neap.spawn(function()
        begin_many()
        l:acquire()
      end)
      for _ = 1, 20 do
        begin_many()
        collectgarbage()
      end
      b:set()
      waiting:join()
    end, pool, lock, begun)
    begun:wait()
    pool:join()
    lock:release()
    other:join()
  end)

  it_of_each_kind("when the process that goes on has been killed", function(new)
    local pool = new(1)
    local begun = neap.event()
    local other = neap.process({ quiet = true }, function(p, event)
      local at = 0
      local results = p:imap(math.abs, function()
        at = at + 1
        return at
      end)
      results()
      event:set()
      neap.sleep(3600)
    end, pool, begun)
    begun:wait()
    pool:close()
    other:kill()
    other:wait()
    pool:join()
  end)

  it_of_each_kind("when it is broken, and so is who would go on for ever", function(new)
    local pool = new { workers = 1, initializer = error }
    local results = pool:imap(square, counter(math.huge), { collect = true })
    assert.are.equal(neap.null, (results()))
    pool:join()
    raises("is closed: it takes no more work", function()
      for _ = 1, 1000 do results() end
    end)
  end)

  it_of_each_kind("by terminate, whatever has been begun", function(new)
    local pool = new(1)
    local results = pool:imap(square, counter(1000))
    results()
    pool:terminate()
    pool:join()
    assert.is_false(pcall(drain, results))
  end)
end)
