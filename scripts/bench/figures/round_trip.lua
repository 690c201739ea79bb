-- Round trips a second of one value between two tasks, over rendezvous channels.
local neap = require "neap"
local count <const> = 2000000

local there, back = neap.channel(), neap.channel()
neap.spawn(function()
  for value in there:iter() do back:send(value) end
end)

local start = os.clock()
for i = 1, count do
  there:send(i)
  back:recv()
end
print(count / (os.clock() - start))
there:close()
