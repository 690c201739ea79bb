-- Three kinds of queues, and what a full and an empty one answer.
--
-- Prints:
--   first in, first out: 1 2 3
--   last in, first out: 3 2 1
--   by priority: now soon later
--   full: nil full
--   full after a while: nil timeout
--   empty: nil empty
local neap = require "neap"

local function take_all(queue)
  local taken = {}
  while not queue:empty() do taken[#taken + 1] = tostring((queue:get())) end
  return table.concat(taken, " ")
end

local fifo, lifo, priority = neap.queue(), neap.lifo_queue(), neap.priority_queue()
for i = 1, 3 do
  fifo:put(i)
  lifo:put(i)
end
priority:put("later", nil, 9)
priority:put("now", nil, 1)
priority:put("soon", nil, 5)
print("first in, first out: " .. take_all(fifo))
print("last in, first out: " .. take_all(lifo))
print("by priority: " .. take_all(priority))

local small = neap.queue(1)
small:put("apple")
local function say(what, value, message) print(what .. ": " .. tostring(value) .. " " .. message) end
say("full", small:put_nowait("pear"))
say("full after a while", small:put("pear", 0.01))
small:get()
say("empty", small:get_nowait())
