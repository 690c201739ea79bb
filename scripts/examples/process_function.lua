-- A function as a process. Each process has a number of its own, and memory of its own: what it changes stays there.
--
-- Prints:
--   p1 counted to 3 in a process of its own
--   p2 counted to 5 in a process of its own
--   here it is still 0
local neap = require "neap"

local total = 0

local function count(name, last)
  for _ = 1, last do total = total + 1 end
  return ("%s counted to %d"):format(name, total), neap.getpid()
end

local p1 = neap.Process {target = count, args = {"p1", 3}}
local p2 = neap.Process {target = count, args = {"p2", 5}}
for _, process in ipairs {p1, p2} do process:start() end
for _, process in ipairs {p1, p2} do
  local text, pid = process:join()
  assert(pid == process.pid and pid ~= neap.getpid())
  print(text .. " in a process of its own")
end
print("here it is still " .. total)
