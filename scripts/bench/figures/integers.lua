-- Small integers a second through a channel of capacity 1024; the argument says how many threads send and how many
-- receive.
local neap = require "neap"
local sides <const> = math.tointeger(tonumber(...))
local share <const> = 2000000 // sides

local channel = neap.channel(1024)
local ready = neap.barrier(2 * sides + 1)

local function send_all()
  ready:wait()
  for i = 1, share do channel:send(i) end
end

local function receive_all()
  ready:wait()
  for _ = 1, share do channel:recv() end
end

local threads = {}
for _ = 1, sides do
  threads[#threads + 1] = neap.thread(send_all)
  threads[#threads + 1] = neap.thread(receive_all)
end

ready:wait()
local start = neap.now()
for _, thread in ipairs(threads) do thread:join() end
print(sides * share / (neap.now() - start))
