-- A task queue with a fixed number of worker threads: functions with their arguments go in, and join waits for all.
--
-- Prints:
--   all done: 10 tasks, 55 in all
local neap = require "neap"

local TaskQueue = {}
TaskQueue.__index = TaskQueue

local function work(queue)
  for task in queue:iter() do
    task.fn(table.unpack(task.args, 1, task.args.n))
    queue:task_done()
  end
end

local function new_task_queue(workers)
  local self = setmetatable({queue = neap.queue()}, TaskQueue)
  for i = 1, workers do neap.thread({name = "worker " .. i, daemon = true}, work, self.queue) end
  return self
end

function TaskQueue:add_task(fn, ...) self.queue:put({fn = fn, args = table.pack(...)}) end

function TaskQueue:join() return self.queue:join() end

local results = neap.queue()
local tasks = new_task_queue(5)
for i = 1, 10 do
  tasks:add_task(function(out, number)
    neap.sleep(0.001) -- something slow
    out:put(number)
  end, results, i)
end
tasks:join()

local count, total = results:qsize(), 0
for _ = 1, count do total = total + results:get() end
print(("all done: %d tasks, %d in all"):format(count, total))
