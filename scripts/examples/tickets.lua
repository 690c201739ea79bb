-- Five threads sell the last ten tickets. Looking whether one is left and taking it must be one step: the lock makes it
-- so, and no ticket is sold twice.
--
-- Prints:
--   sold 10 tickets, 0 twice
local neap = require "neap"

local function sell(lock, office, sold)
  while true do
    local _ <close> = lock:guard()
    local left = office:recv()
    office:send(left > 0 and left - 1 or 0)
    if left == 0 then return end
    sold:put(left)
  end
end

local lock, office, sold = neap.lock(), neap.channel(1), neap.queue()
office:send(10) -- the number of tickets that are left
local sellers = {}
for i = 1, 5 do sellers[i] = neap.thread(sell, lock, office, sold) end
neap.gather(sellers)

local seen, twice, count = {}, 0, sold:qsize()
for _ = 1, count do
  local ticket = sold:get()
  if seen[ticket] then twice = twice + 1 end
  seen[ticket] = true
end
print(("sold %d tickets, %d twice"):format(count, twice))
