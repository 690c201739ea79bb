--- The questions that are put to everything that waits.
--
--   grid("lock:acquire", {
--     blocked = function() return object end,        -- an object on which it has to wait
--     wait = function(object, timeout) ... end,      -- waits; is sent to threads, so it has no upvalues but neap
--     serve = function(object) ... end,              -- lets one that waits go on
--     served = table.pack(true),                     -- what wait returns then
--     timed_out = table.pack(nil, "timeout", "timeout"), -- what it returns when its time is over (default: this)
--     all = true,                                    -- serve lets all go on, not just the first
--     count = function(object) return n end,         -- how many wait, where one waits for something else first
--     fragile = true,                                -- a timeout or cancellation of one ends the waiting of all
--     stays = true,                                  -- only tasks wait on it: it cannot be sent to a thread
--     make = function() return object end,           -- and then block(object): what blocked does, in two steps, the
--     block = function(object) ... end,              -- first of which another process can take
--     one_process = true,                            -- the object cannot be sent to another one
--     here_only = true,                              -- blocked works in this process only
--   })

local assert = require "luassert"
local busted = require "busted"
local neap = require "neap"

local describe, it = busted.describe, busted.it

local grid = {}

--- Lets others run until the task or thread waits. Returns it.
function grid.park(handle)
  while handle:status() ~= "waiting" do
    assert(handle:is_alive(), "it ended instead of waiting")
    neap.yield()
  end
  return handle
end

local park = grid.park

--- Spawns a task, a thread, and lets it come to where it waits.
function grid.parked_task(...) return park(neap.spawn(...)) end

--- A task that waits until it is cancelled, and then returns what it was given.
function grid.parked(...)
  return grid.parked_task(function(...)
    neap.event():wait()
    return ...
  end, ...)
end

--- Lets it end, and takes note of how: a failure that nobody joined would make the status of this run 1.
function grid.finish(handle) return pcall(handle.join, handle) end

function grid.parked_thread(...) return park(neap.thread(...)) end

-- A child process that does for us what we ask it to.
local servant

local function serve_orders(orders)
  for order in orders:iter() do
    local called = table.pack(pcall(order.call, table.unpack(order, 1, order.n)))
    order.answer:send(called)
  end
end

--- Calls a function in another process; what it returns, or raises, comes back.
function grid.elsewhere(call, ...)
  if not servant then
    servant = neap.channel()
    neap.process({ daemon = true, name = "servant" }, serve_orders, servant)
  end
  local order = table.pack(...)
  order.call, order.answer = call, neap.channel(1)
  servant:send(order)
  local answer = order.answer:recv()
  if not answer[1] then error(answer[2], 0) end
  return table.unpack(answer, 2, answer.n)
end

--- Spawns a task in another process, and lets it come to where it waits.
function grid.parked_elsewhere(...) return park(grid.elsewhere(neap.spawn, ...)) end

--- What a cancelled handle ended with is a cancellation.
function grid.assert_cancelled(handle)
  local joined, err = pcall(handle.join, handle)
  assert.is_false(joined)
  assert.is_true(neap.is_cancelled(err))
end

local function ask_waiter(case, start)
  local function begin(object, ...)
    local before = case.count and case.count(object)
    local waiter = start(case.wait, object, ...)
    while before and case.count(object) == before do neap.yield() end
    return waiter
  end

  it("waits until it is served", function()
    local object = case.blocked()
    local waiter = begin(object)
    case.serve(object)
    assert.are.same(case.served, table.pack(waiter:join()))
  end)

  it("waits with a timeout that is long enough", function()
    for _, timeout in ipairs({ 3600, 2 ^ 31, 2 ^ 53, math.maxinteger, math.huge }) do
      local object = case.blocked()
      local waiter = begin(object, timeout)
      case.serve(object)
      assert.are.same(case.served, table.pack(waiter:join()))
    end
  end)

  it("times out", function()
    local object = case.blocked()
    assert.are.same(case.timed_out, table.pack(neap.spawn(case.wait, object, 0.001):join()))
  end)

  it("is cancelled while it waits", function()
    local object = case.blocked()
    local waiter = begin(object)
    assert.is_true(waiter:cancel())
    grid.assert_cancelled(waiter)
    if case.fragile then return end
    local next_one = begin(object)
    case.serve(object)
    assert.are.same(case.served, table.pack(next_one:join()))
  end)

  if case.fragile then return end

  it("passes over those that were cancelled", function()
    local object = case.blocked()
    local first, second = begin(object), begin(object)
    first:cancel()
    if start ~= grid.parked_task then first:wait() end -- another thread is asked, and may be served before it looks
    case.serve(object)
    grid.assert_cancelled(first)
    assert.are.same(case.served, table.pack(second:join()))
  end)

  it(case.all and "serves all" or "serves the first that came", function()
    local object = case.blocked()
    local first, second = begin(object), begin(object)
    case.serve(object)
    assert.are.same(case.served, table.pack(first:join()))
    if not case.all then
      assert.are.equal("waiting", park(second):status())
      case.serve(object)
    end
    assert.are.same(case.served, table.pack(second:join()))
  end)
end

local function ask_task(case)
  it("with timeout 0 does not wait", function()
    assert.are.same(case.timed_out, table.pack(neap.spawn(case.wait, case.blocked(), 0):join()))
  end)

  it("refuses what is no timeout", function()
    local object = case.blocked()
    for _, bad in ipairs({ -1, 0 / 0, -math.huge, "1", {} }) do
      local ok, message = pcall(case.wait, object, bad)
      assert.is_false(ok)
      assert.is_truthy(tostring(message):find("timeout") or tostring(message):find("number of seconds expected"))
    end
  end)

  it("ends with the time of neap.timeout around it", function()
    local object = case.blocked()
    local waiter = neap.spawn(neap.timeout, 0.001, case.wait, object)
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(waiter:join()))
  end)

  it("waits inside a coroutine and inside pcall", function()
    local object = case.blocked()
    local waiter = grid.parked_task(function()
      return coroutine.wrap(function() return select(2, pcall(case.wait, object)) end)()
    end)
    case.serve(object)
    assert.are.equal(case.served[1], (waiter:join()))
  end)

  it("names what it cannot wait in", function()
    local object = case.blocked()
    local waiter = neap.spawn(function()
      table.sort({ 1, 2, 3 }, function() return case.wait(object) ~= nil end)
    end)
    local ok, message = pcall(waiter.join, waiter)
    assert.is_false(ok)
    assert.is_truthy(message:find("cannot wait inside table.sort", 1, true))
  end)

  it("keeps what it waits on", function()
    local object = case.blocked()
    local kept = setmetatable({ object }, { __mode = "v" })
    local waiter = grid.parked_task(function(o) return case.wait(o) end, object)
    object = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    case.serve(kept[1])
    assert.are.same(case.served, table.pack(waiter:join()))
  end)
end

--- Describes `name` by the answers.
function grid.ask(name, case)
  case.timed_out = case.timed_out or table.pack(nil, "timeout", "timeout")
  case.blocked = case.blocked or function()
    local object = case.make()
    case.block(object)
    return object
  end
  describe(name, function()
    ask_task(case)
    describe("in a task", function() ask_waiter(case, grid.parked_task) end)
    if case.stays then return end
    describe("in a thread", function() ask_waiter(case, grid.parked_thread) end)
    if case.one_process then return end
    describe("in another process", function() ask_waiter(case, grid.parked_elsewhere) end)
    if case.here_only then return end
    local there = setmetatable({}, { __index = case })
    function there.blocked()
      local object = grid.elsewhere(case.make or case.blocked)
      if case.block then case.block(object) end
      return object
    end
    describe("on what is in another process", function() ask_waiter(there, grid.parked_task) end)
    describe("in another process, on what is there, through this one", function()
      ask_waiter(there, grid.parked_elsewhere)
    end)
  end)
end

return grid
