-- Five philosophers at a round table, a fork between each two, and nobody starves: who gets one fork but not the other
-- in time puts the first one back and thinks on.
--
-- Prints, in the order in which they have eaten:
--   Aspasia ate 3 times
--   Diotima ate 3 times
--   Hypatia ate 3 times
--   Ban Zhao ate 3 times
--   Gargi ate 3 times
local neap = require "neap"

local SEATS <const>, MEALS <const> = 5, 3
local forks, names = {}, {"Aspasia", "Diotima", "Hypatia", "Ban Zhao", "Gargi"}
for seat = 1, SEATS do forks[seat] = neap.lock() end

-- One attempt to eat: true if both forks were there. Both guards are left, and the forks free, in any case.
local function try_to_eat(left, right)
  local _ <close> = left:guard()
  local other <close> = right:guard(0.001)
  if not other then return false end
  neap.yield() -- eats; the neighbours try meanwhile
  return true
end

local function dine(seat)
  local left, right = forks[seat], forks[seat % SEATS + 1]
  local meals = 0
  while meals < MEALS do
    if try_to_eat(left, right) then meals = meals + 1 end
    neap.sleep(math.random() / 1000) -- thinks
  end
  return meals
end

neap.scope(function(table)
  local guests = {}
  for seat = 1, SEATS do guests[seat] = table:spawn({name = names[seat]}, dine, seat) end
  for guest in neap.as_completed(guests) do print(guest.name .. " ate " .. guest:join() .. " times") end
end)
