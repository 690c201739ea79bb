-- join waits for the end of a thread: what follows it is printed last, however long the threads take.
--
-- Prints:
--   T1 start
--   T2 start
--   T2 finish
--   T1 finish
--   all done
local neap = require "neap"

local started, finished = neap.event(), neap.event()

local function first()
  print("T1 start")
  started:set()
  finished:wait() -- takes longer than the other
  print("T1 finish")
end

local function second()
  started:wait()
  print("T2 start")
  print("T2 finish")
  finished:set()
end

local t1, t2 = neap.thread(first), neap.thread(second)
t1:join()
t2:join()
print("all done")
