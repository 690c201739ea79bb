-- Two processes talk over a pipe. When one end is closed, the other one receives what is left, and then the end.
--
-- Prints:
--   sum of 1 2 3: 6
--   sum of 10 20: 30
--   the other side has closed its end
local neap = require "neap"

local here, there = neap.pipe()

local adder = neap.process(function()
  for _ = 1, 2 do
    local numbers, sum = there:recv(), 0
    for _, number in ipairs(numbers) do sum = sum + number end
    there:send({of = table.concat(numbers, " "), sum = sum})
  end
  there:close()
end)

here:send({1, 2, 3})
here:send({10, 20})
for _ = 1, 2 do
  local answer = here:recv()
  print("sum of " .. answer.of .. ": " .. answer.sum)
end
local nothing, why = here:recv()
assert(nothing == nil and why == "closed")
print("the other side has closed its end")
adder:join()
