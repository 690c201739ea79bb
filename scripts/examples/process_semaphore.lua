-- Of five processes at most two are at work at a time.
--
-- Prints:
--   5 were here, never more than 2 at a time
local neap = require "neap"

local places, inside, most = neap.semaphore(2), neap.value("i32", 0), neap.value("i32", 0)

local function visit()
  places:with(function()
    local now = inside:add(1)
    most:update(function(seen) return math.max(seen, now) end)
    neap.sleep(0.005)
    inside:add(-1)
  end)
  return 1
end

local processes, count = {}, 0
for i = 1, 5 do processes[i] = neap.process(visit) end
for _, process in ipairs(processes) do count = count + process:join() end
assert(most:get() <= 2)
print(count .. " were here, never more than 2 at a time")
