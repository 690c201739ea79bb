-- Round trips a second of one small value between two threads, over rendezvous channels.
local neap = require "neap"
local count <const> = 300000
local warm_up <const> = 1000

local there, back = neap.channel(), neap.channel()
local echo = neap.thread(function()
  for value in there:iter() do back:send(value) end
end)

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
