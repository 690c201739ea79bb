-- A logger in a thread of its own: whoever logs only puts a line into its queue and goes on.
--
-- Prints:
--   [INFO] main: begins
--   [WARN] main: 3 workers at once
--   [INFO] main: ends
--   and 30 lines of the workers
local neap = require "neap"

local function log_lines(queue)
  local others = 0
  for record in queue:iter() do
    if record.from == "main" then
      print(("[%s] %s: %s"):format(record.level, record.from, record.text))
    else
      others = others + 1
    end
  end
  print(("and %d lines of the workers"):format(others))
end

local queue = neap.queue()
local logger = neap.thread({name = "logger"}, log_lines, queue)

local function log(level, from, text) queue:put({level = level, from = from, text = text}) end

log("INFO", "main", "begins")
local threads = {}
for i = 1, 3 do
  threads[i] = neap.thread(function()
    for j = 1, 10 do log("DEBUG", "worker " .. i, "step " .. j) end
  end)
end
log("WARN", "main", "3 workers at once")
neap.gather(threads)
log("INFO", "main", "ends")
queue:close()
logger:join()
