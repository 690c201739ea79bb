-- Bytes a second from one thread to another in strings of 1 MiB.
local neap = require "neap"
local size <const> = 1 << 20
local count <const> = 5000

local channel = neap.channel(2)
local begin = neap.event()
local sender = neap.thread(function()
  local text = ("x"):rep(size)
  begin:wait()
  for _ = 1, count do channel:send(text) end
end)

local start = neap.now()
begin:set()
for _ = 1, count do channel:recv() end
print(count * size / (neap.now() - start))
sender:join()
