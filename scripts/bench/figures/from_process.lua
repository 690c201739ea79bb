-- Values a second from a child to this process: integers, or tables (capacity 1024).
local neap = require "neap"
local kind <const> = ...
local count <const> = ({ integers = 100000, tables = 50000 })[kind]

local value = ({ integers = 7, tables = { x = 1, y = 2, name = "a table" } })[kind]
local channel, go = neap.channel(1024), neap.event()
local sender = neap.process(function(to, signal, what, times)
  to:send(what)
  signal:wait()
  for _ = 1, times do to:send(what) end
  to:close()
end, channel, go, value, count)

channel:recv()
local start = neap.now()
go:set()
local received = 0
for _ in channel:iter() do received = received + 1 end
local took = neap.now() - start
sender:join()
assert(received == count)
print(count / took)
