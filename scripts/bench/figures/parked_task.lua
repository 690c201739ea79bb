-- Bytes that a task occupies while it waits for an event, when there are 100,000. With the argument "keep" the program
-- keeps their handles, in a table.
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "../../?.lua;" .. package.path
local neap = require "neap"
local resident = require "bench.resident"
local count <const> = 100000
local keep <const> = ... == "keep"

local finish = neap.event()
local parked = 0

local function park()
  parked = parked + 1
  finish:wait()
end

collectgarbage()
local before = resident()
local handles = {}
for i = 1, count do
  local handle = neap.spawn(park)
  if keep then handles[i] = handle end
end
while parked < count do neap.yield() end
collectgarbage()
print((resident() - before) / count)
finish:set()
for _, handle in ipairs(handles) do handle:join() end
