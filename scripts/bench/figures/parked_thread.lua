-- Bytes that a thread occupies while it waits for an event, when there are 1,000.
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "../../?.lua;" .. package.path
local neap = require "neap"
local resident = require "bench.resident"
local count <const> = 1000

local arrived, finish = neap.channel(), neap.event()

local function park()
  arrived:send(true)
  finish:wait()
end

collectgarbage()
local before = resident()
local threads = {}
for i = 1, count do threads[i] = neap.thread(park) end
for _ = 1, count do arrived:recv() end
neap.sleep(0.2) -- The last to arrive still have to park.
print((resident() - before) / #threads)
finish:set()
