-- A process waits until there is enough of something that others make. A condition is a lock, and a place to wait
-- for a change of what it protects.
--
-- Prints:
--   taken: 10 of 12
local neap = require "neap"

local made, changed = neap.value("i64", 0), neap.condition()

local function make()
  for _ = 1, 4 do
    changed:with(function()
      made:add(1)
      changed:notify()
    end)
  end
end

local taker = neap.process(function()
  local _ <close> = changed:guard()
  changed:wait_for(function() return made:get() >= 10 end)
  made:add(-10)
  return 10
end)

local makers = {}
for i = 1, 3 do makers[i] = neap.process(make) end
for _, maker in ipairs(makers) do maker:join() end
print(("taken: %d of 12"):format(taker:join()))
assert(made:get() == 2)
