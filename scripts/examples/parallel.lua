-- The same sum three times: one after the other, then in three threads. Threads use all cores.
--
-- Prints:
--   alone:   1499998500000
--   threads: 1499998500000
local neap = require "neap"

local function sum(count)
  local result = 0
  for i = 0, count - 1 do result = result + i end
  return result
end

local count = 1000000
print("alone:   " .. sum(count) + sum(count) + sum(count))

local threads = {}
for i = 1, 3 do threads[i] = neap.thread({name = "T" .. i}, sum, count) end
local total = 0
for _, result in ipairs(neap.gather(threads)) do total = total + result end
print("threads: " .. total)
