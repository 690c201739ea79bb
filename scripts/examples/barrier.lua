-- Three threads meet at a barrier: none goes on before all have come. The last one to come also runs the action.
--
-- Prints:
--   all are here
--   arrived as 1, 2 and 3
local neap = require "neap"

local barrier = neap.barrier(3, function() print("all are here") end)

local threads = {}
for i = 1, 3 do threads[i] = neap.thread(function() return barrier:wait() end) end
local places = neap.gather(threads)
table.sort(places)
print(("arrived as %d, %d and %d"):format(table.unpack(places)))
