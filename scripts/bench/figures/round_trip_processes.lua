-- Round trips a second of one small value between this process and a child, over rendezvous channels.
local neap = require "neap"
local count <const> = 50000
local warm_up <const> = 1000

local there, back = neap.channel(), neap.channel()
local echo = neap.process(function(from, to)
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
