-- Seconds to spawn a task that does nothing and to join it.
local neap = require "neap"
local count <const> = 1000000

local function nothing() end

local start = os.clock()
for _ = 1, count do neap.spawn(nothing):join() end
print((os.clock() - start) / count)
