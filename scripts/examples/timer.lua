-- A function that is called later, and one that is called again and again.
--
-- Prints:
--   tick
--   tick
--   tick
--   time is up
--   cancelled in time: true
local neap = require "neap"

local ticked = neap.semaphore(0)
local ticker = neap.every(0.01, function()
  if ticked:value() < 3 then print("tick") end
  ticked:release()
end)
for _ = 1, 3 do ticked:acquire() end
ticker:cancel()

local timer = neap.timer(0.01, print, "time is up")
timer:wait()

local never = neap.timer(3600, print, "an hour later")
print("cancelled in time: " .. tostring(never:cancel()))
