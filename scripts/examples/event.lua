-- Threads that wait for a signal to begin.
--
-- Prints:
--   three threads are ready
--   go!
--   1 ran
--   2 ran
--   3 ran
local neap = require "neap"

local ready, go = neap.semaphore(0), neap.event()

local function run(number)
  ready:release()
  go:wait()
  return number .. " ran"
end

local threads = {}
for i = 1, 3 do threads[i] = neap.thread(run, i) end
for _ = 1, 3 do ready:acquire() end
print("three threads are ready")
print("go!")
go:set()
for _, line in ipairs(neap.gather(threads)) do print(line) end
