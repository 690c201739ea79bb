-- Seconds a hop when a token goes round a ring of 503 tasks, over rendezvous channels.
local neap = require "neap"
local size <const> = 503
local hops <const> = 2000000

local channels = {}
for i = 1, size do channels[i] = neap.channel() end

local finished = neap.event()
for i = 1, size do
  local from, to = channels[i], channels[i % size + 1]
  neap.spawn(function()
    for left in from:iter() do
      if left == 0 then finished:set() else to:send(left - 1) end
    end
  end)
end

local start = os.clock()
channels[1]:send(hops)
finished:wait()
print((os.clock() - start) / hops)
for i = 1, size do channels[i]:close() end
