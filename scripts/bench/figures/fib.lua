-- How many fib(30) a second. With the argument "threads" two threads share eight of them, with "alone" they are
-- computed one after the other.
local neap = require "neap"
local jobs <const> = 8

local function fib(n)
  if n < 2 then return n end
  return fib(n - 1) + fib(n - 2)
end

local channel = neap.channel(jobs)
for _ = 1, jobs do channel:send(30) end
channel:close()

local function work()
  for n in channel:iter() do fib(n) end
end

local start = neap.now()
if ... == "threads" then
  local one, other = neap.thread(work), neap.thread(work)
  one:join()
  other:join()
else
  work()
end
print(jobs / (neap.now() - start))
