-- Two threads take two locks in opposite order, and would wait for each other for ever: unless they take a timeout, and
-- the one that did not get its second lock gives the first one back.
--
-- Prints:
--   both got both locks
local neap = require "neap"

local function take_both(first, second, name)
  while true do
    local _ <close> = first:guard()
    local guard <close> = second:guard(0.01)
    if guard then return name end
    -- given up: the first lock is released at the end of this turn
  end
end

local a, b = neap.lock(), neap.lock()
local t1, t2 = neap.thread(take_both, a, b, "t1"), neap.thread(take_both, b, a, "t2")
assert(t1:join() == "t1" and t2:join() == "t2")
print("both got both locks")
