-- A pool of processes: map gives each item to one of them and returns the results in order.
--
-- Prints:
--   1 4 9 16 25 36 49 64
--   the work was done by at most 4 other processes
local neap = require "neap"

local function square(n) return n * n, neap.getpid() end

local pool <close> = neap.pool {kind = "process", workers = 4}
print(table.concat(pool:map(function(n) return n * n end, {1, 2, 3, 4, 5, 6, 7, 8}), " "))

local pids, count = {}, 0
for _ = 1, 8 do
  local _, pid = pool:apply(square, 2)
  assert(pid ~= neap.getpid())
  if not pids[pid] then count = count + 1 end
  pids[pid] = true
end
assert(count <= 4)
print("the work was done by at most 4 other processes")
