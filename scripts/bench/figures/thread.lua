-- Seconds to spawn a thread with an empty function and to join it.
local neap = require "neap"
local count <const> = 5000

local function nothing() end

local start = neap.now()
for _ = 1, count do neap.thread(nothing):join() end
print((neap.now() - start) / count)
