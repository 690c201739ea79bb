-- A number that two processes add to. Reading and writing it are two steps, so they take a lock around both; without it
-- some additions would be lost. (total:add(1) would be one step, and need no lock.)
--
-- Prints:
--   2000
local neap = require "neap"

local total, lock = neap.value("i64", 0), neap.lock()

local function add()
  for _ = 1, 1000 do
    local _ <close> = lock:guard()
    total:set(total:get() + 1)
  end
end

local processes = {neap.process(add), neap.process(add)}
for _, process in ipairs(processes) do process:join() end
print(total:get())
