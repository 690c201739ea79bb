-- A class as a process: its objects run their method run in a process of their own. The fields of an object are copied
-- to it when it starts.
--
-- Prints:
--   A-1 sums up to 10: 55
--   A-2 sums up to 100: 5050
local neap = require "neap"

local A = neap.Process:extend("A")

function A:init(last) self.last = last end

function A:run()
  local sum = 0
  for i = 1, self.last do sum = sum + i end
  return ("%s sums up to %d: %d"):format(self.name, self.last, sum)
end

local processes = {A(10), A(100)}
for _, process in ipairs(processes) do process:start() end
for _, process in ipairs(processes) do print(process:join()) end
