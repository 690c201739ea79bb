-- Work for a pool, as one list and one by one.
--
-- Prints:
--   map: 4950 499500 49995000
--   submit: 4950 499500 49995000
--   as they are done: 3 of 3
local neap = require "neap"

local function sum(total)
  local result = 0
  for i = 0, total - 1 do result = result + i end
  return result
end

local sizes = {100, 1000, 10000}
local pool <close> = neap.pool {workers = 5}
print("map: " .. table.concat(pool:map(sum, sizes), " "))

local futures = {}
for i, size in ipairs(sizes) do futures[i] = pool:submit(sum, size) end
local results = {}
for i, future in ipairs(futures) do results[i] = future:result() end
print("submit: " .. table.concat(results, " "))

local done = 0
for future in neap.as_completed(futures) do
  if future:done() then done = done + 1 end
end
print(("as they are done: %d of %d"):format(done, #futures))
