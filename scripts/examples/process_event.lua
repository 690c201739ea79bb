-- Processes wait for an event; setting it lets all of them go on at once.
--
-- Prints:
--   nobody has started
--   3 processes have started
local neap = require "neap"

local go, started = neap.event(), neap.semaphore(0)

local function run()
  go:wait()
  started:release()
end

local runners = {}
for i = 1, 3 do runners[i] = neap.process(run) end
assert(not started:acquire(0))
print("nobody has started")
go:set()
for _ = 1, 3 do started:acquire() end
print("3 processes have started")
for _, runner in ipairs(runners) do runner:join() end
