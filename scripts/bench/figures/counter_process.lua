-- Seconds for lock, add to a shared value, release when two processes do nothing else.
local neap = require "neap"
local count <const> = 100000

local lock, value, ready = neap.lock(), neap.value("i64"), neap.barrier(2)

local function add(l, v, r, times)
  local now = require("neap").now
  r:wait()
  local from = now()
  for _ = 1, times do
    l:acquire()
    v:add(1)
    l:release()
  end
  return from, now()
end

local one = neap.process(add, lock, value, ready, count)
local other = neap.process(add, lock, value, ready, count)
local from, to = one:join()
local from_too, to_too = other:join()
assert(value:get() == 2 * count)
print((math.max(to, to_too) - math.min(from, from_too)) / (2 * count))
