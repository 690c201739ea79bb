-- Two threads talk through the two ends of a pipe, each sending and receiving.
--
-- Prints:
--   first got 10 20 30
--   second got 0 1 2
local neap = require "neap"

local function receive(pipe)
  local got = {}
  for i = 1, 3 do got[i] = pipe:recv() end
  return table.concat(got, " ")
end

local function first(pipe)
  for i = 0, 2 do pipe:send(i) end
  return "first got " .. receive(pipe)
end

local function second(pipe)
  local got = receive(pipe)
  for i = 10, 30, 10 do pipe:send(i) end
  return "second got " .. got
end

local a, b = neap.pipe()
local t1, t2 = neap.thread(first, a), neap.thread(second, b)
print(t1:join())
print(t2:join())
