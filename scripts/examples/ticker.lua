-- A clock that ticks while the same thread computes: CPU-bound tasks get slices of the thread's time, and what is due
-- comes between them. Then a select that waits for whichever comes first.
--
-- Where tasks get slices it prints:
--   results: 196418 317811 514229 832040
--   message 1
--   message 2
--   message 3
local neap = require "neap"

local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end

local ticks = 0
local ticker = neap.every(0.02, function() ticks = ticks + 1 end)
local tasks = {}
for i = 1, 4 do tasks[i] = neap.spawn(fib, 26 + i) end
local results = neap.gather(tasks)
while ticks == 0 do fib(20) end -- never waits, and is interrupted all the same
ticker:cancel()
print("results: " .. table.concat(results, " "))

local news, quit = neap.channel(), neap.event()
neap.spawn(function()
  for i = 1, 3 do news:send("message " .. i) end
  quit:set()
end)
repeat
  local case, message = neap.select({news, quit}, 5)
  if case == 1 then print(message) end
until case ~= 1
