-- Messages a second that one thread makes, encodes and decodes: it sends each to itself.
local neap = require "neap"
local count <const> = 1000000

local channel = neap.channel(1)

local start = neap.now()
for i = 1, count do
  channel:send { id = i, name = "x", tags = { 1, 2, 3 } }
  channel:recv()
end
print(count / (neap.now() - start))
