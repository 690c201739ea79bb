-- Tasks of one thread, spawned and then awaited together: each sleep lets the others go on.
--
-- Prints:
--   first works
--   second works
--   second has slept
--   first has slept
local neap = require "neap"

local function sleeper(name, seconds)
  print(name .. " works")
  neap.sleep(seconds)
  print(name .. " has slept")
end

neap.gather({neap.spawn(sleeper, "first", 0.2), neap.spawn(sleeper, "second", 0.1)})
