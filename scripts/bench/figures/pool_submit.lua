-- How often a second pool:submit(f):result() goes to a worker thread and back, one at a time.
local neap = require "neap"
local count <const> = 200000
local warm_up <const> = 1000

local function empty() end
local pool <close> = neap.pool(1)

local function submit(times)
  for _ = 1, times do pool:submit(empty):result() end
end

submit(warm_up)
local start = neap.now()
submit(count)
print(count / (neap.now() - start))
