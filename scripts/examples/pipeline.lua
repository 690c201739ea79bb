-- Three stages with bounded channels between them: a fast stage waits for a slow one, so nothing piles up.
-- The middle stage is CPU-bound and runs on all cores; the others are tasks of the main thread.
--
-- Prints:
--   303 primes up to 2000, the largest is 1999
local neap = require "neap"

local last = math.tointeger(tonumber(... or 2000))
if not last then error("usage: neap pipeline.lua [largest number]", 0) end
local numbers, primes = neap.channel(16), neap.channel(16)

local function generate()
  for number = 2, last do numbers:send(number) end
  numbers:close()
end

local function is_prime(number)
  for divisor = 2, math.tointeger(number ^ 0.5 // 1) do
    if number % divisor == 0 then return false end
  end
  return true
end

-- Runs in a thread. It finds `numbers`, `primes` and `is_prime` there: channels are shared, functions are copied.
local function sift()
  for number in numbers:iter() do
    if is_prime(number) then primes:send(number) end
  end
end

local function collect()
  local count, largest = 0, 0
  for prime in primes:iter() do count, largest = count + 1, math.max(largest, prime) end
  return count, largest
end

local collector = neap.spawn(collect)
neap.scope(function(stages)
  stages:spawn(generate)
  for _ = 1, neap.cpu_count() do stages:thread(sift) end
end)
primes:close()
local count, largest = collector:join()
print(("%d primes up to %d, the largest is %d"):format(count, last, largest))
