-- Small integers a second through a channel of capacity 1024; the argument says how many threads send and how many
-- receive. Each thread notes when it began and when it had ended.
local neap = require "neap"
local sides <const> = math.tointeger(tonumber(...))
local share <const> = 2000000 // sides

local channel = neap.channel(1024)
local ready = neap.barrier(2 * sides)

local function send_all()
  ready:wait()
  local from = neap.now()
  for i = 1, share do channel:send(i) end
  return from, neap.now()
end

local function receive_all()
  ready:wait()
  local from = neap.now()
  for _ = 1, share do channel:recv() end
  return from, neap.now()
end

local threads = {}
for _ = 1, sides do
  threads[#threads + 1] = neap.thread(send_all)
  threads[#threads + 1] = neap.thread(receive_all)
end

local first, last = math.huge, 0
for _, thread in ipairs(threads) do
  local from, to = thread:join()
  first, last = math.min(first, from), math.max(last, to)
end
print(sides * share / (last - first))
