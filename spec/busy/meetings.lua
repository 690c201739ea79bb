--- Where tasks of a busy run wait for each other, and what they change together.

local neap = require "neap"

local meetings = {}

--- A stock under a condition: some put into it, some take from it.
function meetings.stock()
  local shared = { condition = neap.condition(), stock = neap.value("i64"), made = neap.value("i64"),
    taken = neap.value("i64"), stopped = neap.value("bool") }
  local function give(each, run)
    while not run.over:get() do
      local acquired, _, code = each.condition:acquire()
      if not acquired then return assert(code == "broken", code) end
      local room
      room, _, code = each.condition:wait_for(function() return each.stock:get() < 8 or run.over:get() end, 600)
      if not room then return assert(code == "broken", code) end
      each.made:add(1)
      each.stock:add(1)
      each.condition:notify_all()
      each.condition:release()
      neap.yield()
    end
  end
  local function take(each)
    local function is_ready() return each.stock:get() > 0 or each.stopped:get() end
    while true do
      local acquired, _, code = each.condition:acquire()
      if not acquired then return assert(code == "broken", code) end
      local ready
      ready, _, code = each.condition:wait_for(is_ready, math.random() < 0.3 and 0.001 or nil)
      if not ready and code ~= "timeout" then return assert(code == "broken", code) end
      local taken = ready and each.stock:get() > 0
      if taken then
        each.stock:add(-1)
        each.taken:add(1)
        each.condition:notify_all()
      end
      each.condition:release()
      if ready and not taken then return end
    end
  end
  --- Who died between its change and its notification has told nobody.
  local function tell(each, run)
    repeat
      neap.sleep(0.005)
      each.condition:with(each.condition.notify_all, each.condition)
    until run.over:get()
  end
  local function stop(each)
    each.stopped:set(true)
    each.condition:with(each.condition.notify_all, each.condition)
  end
  local function account(each, deaths)
    local made, taken = each.made:get(), each.taken:get()
    if math.abs(made - taken - each.stock:get()) > 2 * deaths then return ("%d made, %d taken"):format(made, taken) end
    if not each.condition:acquire(10) then return "its lock cannot be acquired" end
    each.condition:release()
  end
  return { name = "stock", shared = shared, give = { give }, take = { take },
    at_home = { give = { give, tell }, take = { take } }, stop = stop, account = account }
end

--- Whoever dies, or gives up, while it waits breaks it, and somebody makes it whole.
function meetings.barrier()
  local function take(shared, run)
    while not run.over:get() do
      local index = shared.barrier:wait(math.random() < 0.1 and 0.001 or 1)
      if not index and not run.over:get() then
        neap.sleep(0.001)
        shared.barrier:reset()
      end
    end
  end
  return { name = "barrier", shared = { barrier = neap.barrier(2) }, give = {}, take = { take },
    at_home = { give = {}, take = { take } }, stop = function(shared) shared.barrier:abort() end,
    account = function(shared)
      if shared.barrier.waiting ~= 0 then return "somebody waits" end
    end }
end

function meetings.event()
  local function take(shared, run)
    while not run.over:get() do
      local set, _, code = shared.event:wait()
      if not set then return assert(code == "broken", code) end
      neap.sleep(0.001)
    end
  end
  local function toggle(shared, run)
    while not run.over:get() do
      shared.event:set()
      neap.sleep(0.0005)
      shared.event:clear()
      neap.sleep(0.002)
    end
  end
  return { name = "event", shared = { event = neap.event() }, give = {}, take = { take },
    at_home = { give = { toggle }, take = {} }, stop = function(shared) shared.event:set() end,
    account = function(shared)
      if not shared.event:is_set() then return "it is not set" end
    end }
end

--- Whoever died between two of the additions has made a difference of one.
function meetings.updates()
  local function give(shared, run, id)
    while not run.over:get() do
      shared.dict:update("count", function(n)
        if id % 3 == 0 then neap.yield() end
        return n + 1
      end)
      shared.value:add(1)
      shared.array:add(id % 4 + 1, 1)
      shared.updated:update(function(n) return n + 1 end)
      neap.yield()
    end
  end
  local function account(shared, deaths)
    local counts = { shared.dict.count, shared.value:get(), 0, shared.updated:get() }
    for _, n in ipairs(shared.array) do counts[3] = counts[3] + n end
    for i = 2, #counts do
      local difference = counts[i - 1] - counts[i]
      if difference < 0 or difference > deaths then return "counted " .. table.concat(counts, ", ") end
    end
  end
  local shared = { dict = neap.dict { count = 0 }, value = neap.value("i64"), array = neap.array("i64", 4),
    updated = neap.value("i64") }
  return { name = "updates", shared = shared, give = { give }, take = {}, at_home = { give = { give }, take = {} },
    account = account }
end

return meetings
