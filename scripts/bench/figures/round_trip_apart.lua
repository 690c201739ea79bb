-- Round trips a second of one small value, over rendezvous channels: between two threads, or this process and a child.
-- usage: round_trip_apart.lua thread|process
local neap = require "neap"
local count <const> = arg[1] == "thread" and 300000 or 50000
local warm_up <const> = 1000

local there, back = neap.channel(), neap.channel()
local echo = neap[arg[1]](function(from, to)
  for value in from:iter() do to:send(value) end
end, there, back)

local function travel(times)
  for i = 1, times do
    there:send(i)
    back:recv()
  end
end

travel(warm_up)
local start = neap.now()
travel(count)
print(count / (neap.now() - start))
there:close()
echo:join()
