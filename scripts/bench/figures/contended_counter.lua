-- Seconds for lock, add, release when two threads want the same lock all the time. Each adds to a counter of its own,
-- and notes when it began and when it had ended.
local neap = require "neap"
local count <const> = 1000000

local lock = neap.lock()
local ready = neap.barrier(2)

local function add()
  local counter = 0
  ready:wait()
  local from = neap.now()
  for _ = 1, count do
    lock:acquire()
    counter = counter + 1
    lock:release()
  end
  return counter, from, neap.now()
end

local one, other = neap.thread(add), neap.thread(add)
local counted, from, to = one:join()
local counted_too, from_too, to_too = other:join()
print((math.max(to, to_too) - math.min(from, from_too)) / (counted + counted_too))
