-- Seconds for adding to a shared value when two threads, or two processes, do nothing else.
-- usage: shared_add.lua thread|process
local neap = require "neap"
local count <const> = 5000000

local start <const> = neap[arg[1]]
local value = neap.value("i64")
local ready = neap.barrier(2)

local function add()
  ready:wait()
  local from = neap.now()
  for _ = 1, count do value:add(1) end
  return from, neap.now()
end

local one, other = start(add), start(add)
local from, to = one:join()
local from_too, to_too = other:join()
assert(value:get() == 2 * count)
print((math.max(to, to_too) - math.min(from, from_too)) / (2 * count))
