-- 100,000 tasks that each sleep for 1 to 1000 ms. With the argument "cost": the seconds of processor time that this
-- takes; with "lateness": the seconds by which 99 % of them are late at most.
local neap = require "neap"
local count <const> = 100000
local what <const> = ...

local now, sleep = neap.now, neap.sleep
local finished = neap.event()
local left = count
local lateness = {}

local function end_one()
  left = left - 1
  if left == 0 then finished:set() end
end

local function nap(seconds)
  sleep(seconds)
  end_one()
end

local function nap_and_note(seconds)
  local due = now() + seconds
  sleep(seconds)
  lateness[#lateness + 1] = now() - due
  end_one()
end

local body = what == "lateness" and nap_and_note or nap
local start = os.clock()
for i = 1, count do neap.spawn(body, (i * 7919 % 1000 + 1) / 1000) end
finished:wait()

if what == "cost" then
  print(os.clock() - start)
else
  table.sort(lateness)
  assert(lateness[1] >= 0, "a task woke up early")
  print(lateness[count * 99 // 100])
end
