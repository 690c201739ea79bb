-- Processes that take work from a queue and put results into another. task_done and join tell when all has been done;
-- then the queue is closed, and the workers end.
--
-- Prints:
--   1 4 9 16 25 36 49 64 81 100
local neap = require "neap"

local tasks, results = neap.queue(), neap.queue()

local function work()
  for n in tasks:iter() do
    results:put(n * n)
    tasks:task_done()
  end
end

local workers = {}
for i = 1, 3 do workers[i] = neap.process(work) end
for n = 1, 10 do tasks:put(n) end
tasks:join()
tasks:close()
for _, worker in ipairs(workers) do worker:join() end

local squares = {}
for i = 1, results:qsize() do squares[i] = results:get() end
table.sort(squares)
print(table.concat(squares, " "))
