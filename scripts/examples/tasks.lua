-- Two tasks of one thread: while one sleeps the other goes on.
--
-- Prints:
--   first begins
--   second begins
--   second ends
--   first ends
local neap = require "neap"

local function first()
  print("first begins")
  neap.sleep(0.04)
  print("first ends")
end

local function second()
  print("second begins")
  print("second ends")
end

neap.gather({neap.spawn(first), neap.spawn(second)})
