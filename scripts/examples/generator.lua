-- Coroutines of one's own work beside tasks: a producer feeds two consumers, each a coroutine that waits for what it is
-- given. A wait inside a coroutine suspends the whole task, not the coroutine.
--
-- Prints:
--   the producer has made 1
--   c1 eats 1
--   c2 eats 1
--   the producer has made 2
--   c1 eats 2
--   c2 eats 2
local neap = require "neap"

local function consumer(name)
  return coroutine.wrap(function()
    while true do
      local bun = coroutine.yield()
      neap.sleep(0.001)
      print(("%s eats %d"):format(name, bun))
    end
  end)
end

local c1, c2 = consumer("c1"), consumer("c2")
c1()
c2()
for n = 1, 2 do
  print("the producer has made " .. n)
  c1(n)
  c2(n)
end
