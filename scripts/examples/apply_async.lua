-- A pool that calls back when a result is there. Callbacks run as tasks of the thread that asked.
--
-- Prints:
--   end
--   10 results: 101 102 103 104 105 106 107 108 109 110
--   one failed: no such thing
local neap = require "neap"

local function work(i)
  neap.sleep(0.01)
  return i + 100
end

local pool <close> = neap.pool(5)
local results, errors = neap.queue(), neap.channel(1)
for i = 1, 10 do
  pool:apply_async(work, {i}, function(result) results:put(result) end)
end
pool:apply_async(error, {"no such thing", 0}, nil, function(err) errors:send(err) end)
print("end")
pool:close()
pool:join()

local list = {}
for i = 1, 10 do list[i] = results:get() end
table.sort(list)
print("10 results: " .. table.concat(list, " "))
print("one failed: " .. errors:recv())
