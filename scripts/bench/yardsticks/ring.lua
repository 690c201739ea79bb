-- Seconds a hop when a token goes round a ring of 503 tasks of the scheduler written by hand.
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path
local scheduler = require "scheduler"
local size <const> = 503
local hops <const> = 2000000

local channels = {}
for i = 1, size do channels[i] = scheduler.channel() end

for i = 1, size do
  local from, to = channels[i], channels[i % size + 1]
  scheduler.spawn(function()
    while true do
      local left = from:recv()
      if left == 0 then break end
      to:send(left - 1)
    end
  end)
end
scheduler.spawn(function() channels[1]:send(hops) end)

local start = os.clock()
scheduler.run()
print((os.clock() - start) / hops)
