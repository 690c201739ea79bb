-- Four threads put what they have computed into a queue. A thread can also just return it.
--
-- Prints:
--   from the queue: 1 4 9 9 16 9 25 25 25 16 25 36
--   returned: 1 4 9 16 25 36 9 16 9 25 25 25
local neap = require "neap"

local data = {{1, 2, 3}, {4, 5, 6}, {3, 4, 3}, {5, 5, 5}}

local function squares(list)
  local result = {}
  for i, number in ipairs(list) do result[i] = number * number end
  return result
end

local function flatten(lists)
  local all = {}
  for _, list in ipairs(lists) do table.move(list, 1, #list, #all + 1, all) end
  return table.concat(all, " ")
end

local queue, threads = neap.queue(), {}
for i, list in ipairs(data) do threads[i] = neap.thread(function() queue:put(squares(list)) end) end
neap.gather(threads)
local results = {}
for i = 1, #data do results[i] = queue:get() end
table.sort(results, function(a, b) return a[1] + a[2] + a[3] < b[1] + b[2] + b[3] end)
print("from the queue: " .. flatten(results))

for i, list in ipairs(data) do threads[i] = neap.thread(squares, list) end
print("returned: " .. flatten(neap.gather(threads)))
