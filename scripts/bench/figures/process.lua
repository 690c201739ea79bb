-- Seconds to start a process with an empty function and to join it; the median of many, as for its yardstick.
local neap = require "neap"
local count <const> = 101

local function nothing() end

local times = {}
neap.process(nothing):join()
for i = 1, count do
  local start = neap.now()
  neap.process(nothing):join()
  times[i] = neap.now() - start
end
table.sort(times)
print(times[count // 2 + 1])
