local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local function full()
  local queue = neap.queue(1)
  queue:put("first")
  return queue
end

grid.ask("queue:get", { blocked = neap.queue, wait = function(q, timeout) return q:get(timeout) end,
  serve = function(q) q:put("a value") end, served = table.pack("a value") })
grid.ask("queue:put", { blocked = full, wait = function(q, timeout) return q:put("next", timeout) end,
  serve = function(q) assert(q:get()) end, served = table.pack(true) })
grid.ask("queue:join", { blocked = full, wait = function(q, timeout) return q:join(timeout) end,
  serve = function(q) q:task_done() end, served = table.pack(true), all = true })

local function drain(queue)
  local values = {}
  while true do
    local value = queue:get(0)
    if value == nil then return values end
    table.insert(values, value)
  end
end

describe("queue", function()
  it("gives its values out in the order of its kind", function()
    for order, expected in pairs({ fifo = { 1, 2, 3 }, lifo = { 3, 2, 1 } }) do
      local queue = neap.queue { order = order }
      for i = 1, 3 do queue:put(i) end
      assert.are.same(expected, drain(queue))
    end
    local queue = neap.lifo_queue()
    for i = 1, 3 do queue:put(i) end
    assert.are.same({ 3, 2, 1 }, drain(queue))
  end)

  it("gives out the lowest priority first, equals in the order of their coming", function()
    local queue = neap.priority_queue()
    for i, priority in ipairs({ 5, -1, 5, 0.5, 5, -math.huge }) do queue:put(i, nil, priority) end
    queue:put("none")
    local seen = {}
    for _ = 1, 7 do table.insert(seen, table.pack(queue:get(0))) end
    assert.are.same({ table.pack(6, -math.huge), table.pack(2, -1), table.pack("none", 0), table.pack(4, 0.5),
      table.pack(1, 5), table.pack(3, 5), table.pack(5, 5) }, seen)
    assert.are.equal("integer", math.type(seen[2][2]))
  end)

  it("keeps the priority of a value that had to wait for room", function()
    local queue = neap.queue { maxsize = 1, order = "priority" }
    queue:put("first", nil, 9)
    local tasks = {}
    for i, priority in ipairs({ 3, 1 }) do
      tasks[i] = grid.parked_task(function() return queue:put("waited " .. i, nil, priority) end)
    end
    local seen = {}
    for i = 1, 3 do seen[i] = table.pack(queue:get()) end
    assert.are.same({ table.pack("first", 9), table.pack("waited 1", 3), table.pack("waited 2", 1) }, seen)
    for _, task in ipairs(tasks) do assert.is_true((task:join())) end
  end)

  it("has no bound unless it is given one", function()
    local queue = neap.queue()
    assert.are.equal(0, queue.maxsize)
    for i = 1, 5000 do assert(queue:put(i, 0)) end
    assert.are.equal(5000, #queue)
    assert.is_false(queue:full())
    local bounded = neap.queue(2)
    assert.are.equal(2, bounded.maxsize)
    assert.is_true((bounded:put(1, 0)))
    assert.is_false(bounded:full())
    assert.is_true((bounded:put(2, 0)))
    assert.is_true(bounded:full())
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(bounded:put(3, 0)))
  end)

  it("can be asked without waiting", function()
    local queue = neap.queue(1)
    assert.are.same(table.pack(nil, "empty", "empty"), table.pack(queue:get_nowait()))
    assert.is_true(queue:empty())
    assert.are.same(table.pack(true), table.pack(queue:put_nowait("a")))
    assert.are.same(table.pack(nil, "full", "full"), table.pack(queue:put_nowait("b")))
    assert.is_false(queue:empty())
    assert.are.equal(1, queue:qsize())
    assert.are.same(table.pack("a"), table.pack(queue:get_nowait()))
    local by_priority = neap.priority_queue()
    assert.is_true((by_priority:put_nowait("b", 2)))
    assert.are.same(table.pack("b", 2), table.pack(by_priority:get_nowait()))
  end)

  it("copies its values", function()
    local queue, value = neap.queue(), { 1 }
    queue:put(value)
    value[1] = 2
    assert.are.same({ 1 }, queue:get(0))
    queue:put(false)
    assert.are.same(table.pack(false), table.pack(queue:get(0)))
  end)

  it("is as it was when a value cannot be put", function()
    local queue = neap.queue(2)
    for _, bad in ipairs({ coroutine.create(print), io.stdout }) do
      assert.has_error(function() queue:put({ bad }) end)
    end
    assert.has_error(function() queue:put() end)
    assert.has_error(function() queue:put(nil, 0) end)
    assert.has_error(function() queue:put(1, nil, 5) end)
    assert.has_error(function() queue:put_nowait(1, 5) end)
    assert.has_error(function() neap.priority_queue():put(1, nil, 0 / 0) end)
    assert.has_error(function() neap.priority_queue():put(1, nil, "x") end)
    assert.are.equal(0, queue:qsize())
    assert.is_true((queue:join(0)))
  end)

  it("gives out what is left after it was closed", function()
    local queue = neap.queue()
    queue:put(1)
    assert.is_false(queue:is_closed())
    assert.is_true(queue:close())
    assert.is_false(queue:close())
    assert.is_true(queue:is_closed())
    assert.are.same(table.pack(nil, "closed", "closed"), table.pack(queue:put(2)))
    assert.are.same(table.pack(nil, "closed", "closed"), table.pack(queue:put_nowait(2)))
    assert.are.equal(1, (queue:get()))
    assert.are.same(table.pack(nil, "closed", "closed"), table.pack(queue:get()))
    assert.are.same(table.pack(nil, "closed", "closed"), table.pack(queue:get_nowait()))
  end)

  it("tells those that wait that it was closed", function()
    for _, start in ipairs({ grid.parked_task, grid.parked_thread }) do
      local empty, filled = neap.queue(), full()
      local getter = start(function(q) return q:get() end, empty)
      local putter = start(function(q) return q:put(2) end, filled)
      empty:close()
      filled:close()
      assert.are.same(table.pack(nil, "closed", "closed"), table.pack(getter:join()))
      assert.are.same(table.pack(nil, "closed", "closed"), table.pack(putter:join()))
      assert.are.same({ "first" }, drain(filled))
    end
  end)

  it("says why it was closed", function()
    local queue = neap.queue()
    queue:close({ "no", "more" })
    queue:close("again")
    assert.are.same({ "no", "more" }, (select(4, queue:get())))
    assert.are.same({ "no", "more" }, (select(4, queue:put(1))))
  end)

  it("is iterated over until it is closed", function()
    local queue, seen = neap.queue(), {}
    for i = 1, 3 do queue:put(i) end
    local task = grid.parked_task(function()
      for value in queue:iter() do table.insert(seen, value) end
    end)
    queue:put(4)
    queue:close()
    task:join()
    assert.are.same({ 1, 2, 3, 4 }, seen)
  end)

  it("has an iterator that needs nothing but to be called", function()
    local queue = neap.queue()
    queue:put(1)
    local next_value = queue:iter()
    queue:close()
    assert.are.equal(1, (next_value()))
    assert.is_nil((next_value()))
  end)

  it("counts what is not done, whichever way a value came in", function()
    local queue = neap.queue(1)
    assert.is_true((queue:join(0)))
    local getter = grid.parked_task(queue.get, queue)
    queue:put("handed over")
    getter:join()
    queue:put("buffered")
    local putter = grid.parked_task(queue.put, queue, "waited for room")
    queue:get()
    putter:join()
    for _ = 1, 3 do
      assert.is_nil((queue:join(0)))
      queue:task_done()
    end
    assert.is_true((queue:join(0)))
    assert.has_error(function() queue:task_done() end, "task_done was called more often than values were put")
  end)

  it("does not count what was not put", function()
    local queue = full()
    assert.is_nil((queue:put(2, 0)))
    local putter = grid.parked_task(queue.put, queue, 3)
    putter:cancel()
    grid.assert_cancelled(putter)
    queue:task_done()
    assert.is_true((queue:join(0)))
  end)

  it_races("is joined when workers in other threads are done", function()
    local queue, sums = neap.queue(4), neap.queue()
    local threads = {}
    for i = 1, 2 do
      threads[i] = neap.thread(function(q, out)
        local sum = 0
        for value in q:iter() do
          sum = sum + value
          q:task_done()
        end
        out:put(sum)
      end, queue, sums)
    end
    local times, expected = 200 * support.stress, 0
    for i = 1, times do
      queue:put(i)
      expected = expected + i
    end
    assert.is_true((queue:join()))
    assert.is_true(queue:empty())
    queue:close()
    for _, thread in ipairs(threads) do thread:join() end
    assert.are.equal(expected, sums:get() + sums:get())
  end)

  it("says how it stands", function()
    local queue = full()
    assert.is_truthy(tostring(queue):find("^queue: .* %(1/1%)$"))
    queue:close()
    assert.is_truthy(tostring(queue):find("%(1/1, closed%)$"))
    assert.is_truthy(tostring(neap.queue()):find("%(0%)$"))
  end)

  it("takes its size as an option where its name says the order, too", function()
    for _, queue in ipairs { neap.lifo_queue { maxsize = 1 }, neap.priority_queue { maxsize = 1 } } do
      assert.is_true(queue:put_nowait(1))
      assert.is_true(queue:full())
    end
    assert.are.equal(0, neap.lifo_queue({}).maxsize)
  end)

  it("refuses what is no size, no order and no option", function()
    for _, bad in ipairs({ -1, 1.5, "x", { maxsize = -1 }, { maxsize = 1.5 }, { maxsize = "x" }, { order = "random" },
      { order = 1 }, { size = 3 } }) do
      assert.has_error(function() neap.queue(bad) end)
    end
    assert.has_error(function() neap.lifo_queue(-1) end)
    assert.has_error(function() neap.priority_queue({ order = "fifo" }) end)
    assert.has_error(function() neap.lifo_queue({ maxsize = "1" }) end)
    local ok, message = pcall(neap.queue, { size = 3 })
    assert.is_false(ok)
    assert.is_truthy(message:find("unknown option 'size'", 1, true))
  end)
end)
