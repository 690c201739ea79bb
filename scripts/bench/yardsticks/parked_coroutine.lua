-- Bytes that a parked coroutine occupies, when there are 100,000 and a table holds them.
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "../../?.lua;" .. package.path
local resident = require "bench.resident"
local count <const> = 100000

local function park() coroutine.yield() end

collectgarbage()
local before = resident()
local parked = {}
for i = 1, count do
  local one = coroutine.create(park)
  coroutine.resume(one)
  parked[i] = one
end
collectgarbage()
print((resident() - before) / #parked)
