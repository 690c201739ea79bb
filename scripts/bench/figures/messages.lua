-- Messages a second from one thread to another; each is a new table with a table in it.
local neap = require "neap"
local count <const> = 1000000

local channel = neap.channel(1024)
local begin = neap.event()
local sender = neap.thread(function()
  begin:wait()
  for i = 1, count do channel:send { id = i, name = "x", tags = { 1, 2, 3 } } end
end)

local start = neap.now()
begin:set()
for _ = 1, count do channel:recv() end
print(count / (neap.now() - start))
sender:join()
