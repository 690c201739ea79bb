-- Seconds for lock, add, release when two threads want the same lock all the time. Each adds to a counter of its own.
local neap = require "neap"
local count <const> = 1000000

local lock = neap.lock()
local ready = neap.barrier(3)

local function add()
  local counter = 0
  ready:wait()
  for _ = 1, count do
    lock:acquire()
    counter = counter + 1
    lock:release()
  end
  return counter
end

local one, other = neap.thread(add), neap.thread(add)
ready:wait()
local start = neap.now()
local total = one:join() + other:join()
print((neap.now() - start) / total)
