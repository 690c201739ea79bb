-- A producer and a consumer take turns: each waits until the shelf is as it needs it.
--
-- Prints:
--   consumed 1 4 9 16 25
local neap = require "neap"

local function produce(condition, shelf)
  for i = 1, 5 do
    local _ <close> = condition:guard()
    condition:wait_for(function() return shelf:empty() end)
    shelf:put(i * i)
    condition:notify()
  end
end

local function consume(condition, shelf)
  local got = {}
  for i = 1, 5 do
    local _ <close> = condition:guard()
    condition:wait_for(function() return not shelf:empty() end)
    got[i] = shelf:get()
    condition:notify()
  end
  return got
end

local condition, shelf = neap.condition(), neap.queue()
local producer = neap.thread(produce, condition, shelf)
local consumer = neap.thread(consume, condition, shelf)
producer:join()
print("consumed " .. table.concat(consumer:join(), " "))
