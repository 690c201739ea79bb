-- Seconds an item: pool:map of an empty function over 100,000 items, two workers of the kind that the argument names.
local neap = require "neap"
local kind <const> = ... or "thread"
local count <const> = 100000
local rounds <const> = 20

local list = {}
for i = 1, count do list[i] = i end
local function empty() end

local pool <close> = neap.pool {workers = 2, kind = kind}
pool:map(empty, list)
local best = math.huge
for _ = 1, rounds do
  local start = neap.now()
  pool:map(empty, list)
  best = math.min(best, (neap.now() - start) / count)
end
print(best)
