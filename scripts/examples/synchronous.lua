-- The same work one after the other, and all at once: asynchronously it takes as long as the longest.
--
-- Prints:
--   synchronous: 1 2 3 4 5 6 7 8 9 10
--   asynchronous: 10, faster
local neap = require "neap"

local function task(id)
  neap.sleep(0.02)
  return id
end

local start, done = neap.now(), {}
for i = 1, 10 do done[i] = task(i) end
local one_by_one = neap.now() - start
print("synchronous: " .. table.concat(done, " "))

start = neap.now()
local tasks = {}
for i = 1, 10 do tasks[i] = neap.spawn(task, i) end
local results = neap.gather(tasks)
print(("asynchronous: %d, %s"):format(#results, neap.now() - start < one_by_one and "faster" or "not faster"))
