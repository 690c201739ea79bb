-- Seconds by which 99 % of the ticks of a 1 ms ticker are late at most, beside four tasks on the same thread that never
-- wait.
local neap = require "neap"
local ticks <const> = 200
local interval <const> = 0.001

local finished = false

local function compute()
  local sum = 0
  while not finished do sum = sum + 1 end
end

for _ = 1, 4 do neap.spawn(compute) end

local lateness = {}
for i = 1, ticks do
  local due = neap.now() + interval
  neap.sleep(interval)
  lateness[i] = neap.now() - due
end
finished = true

table.sort(lateness)
print(lateness[ticks * 99 // 100])
