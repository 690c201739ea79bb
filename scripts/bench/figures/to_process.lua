-- Values a second from this process to a child: integers, tables (capacity 1024), or strings of 1 MiB (2; bytes).
local neap = require "neap"
local kind <const> = ...
local count <const> = ({ integers = 100000, tables = 50000, strings = 2000 })[kind]

local value = ({ integers = 7, tables = { x = 1, y = 2, name = "a table" }, strings = ("x"):rep(1 << 20) })[kind]
local channel, ready = neap.channel(kind == "strings" and 2 or 1024), neap.channel()
local receiver = neap.process(function(from, to)
  to:send(true)
  local received = 0
  for _ in from:iter() do received = received + 1 end
  return received
end, channel, ready)

ready:recv()
local start = neap.now()
for _ = 1, count do channel:send(value) end
channel:close()
assert(receiver:join() == count)
print(count * (kind == "strings" and #value or 1) / (neap.now() - start))
