-- A function as a thread. Both threads run at once, on two cores if there are; join waits for what they return.
--
-- Prints:
--   t1 counted to 3
--   t2 counted to 5
local neap = require "neap"

local function count(name, last)
  local at = 0
  for i = 1, last do
    at = i
    neap.sleep(0.001)
  end
  return ("%s counted to %d"):format(name, at)
end

local t1 = neap.Thread {target = count, args = {"t1", 3}}
local t2 = neap.Thread {target = count, args = {"t2", 5}}
t1:start()
t2:start()
print(t1:join())
print(t2:join())
