-- Ten threads, and never more than four of them inside.
--
-- Prints:
--   ten threads were inside, never more than four at once
local neap = require "neap"

local function enter(door, inside, most)
  local _ <close> = door:guard()
  inside:release()
  most:put(inside:value())
  neap.sleep(0.01)
  inside:acquire()
end

local door, inside, most = neap.semaphore(4), neap.semaphore(0), neap.queue()
local threads = {}
for i = 1, 10 do threads[i] = neap.thread(enter, door, inside, most) end
neap.gather(threads)

for _ = 1, 10 do assert(most:get() <= 4) end
print("ten threads were inside, never more than four at once")
