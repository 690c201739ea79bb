-- How busy other programs keep the processors while something is measured. Two threads that find one core taken share
-- the other, and what they then do to each other costs a fraction or a multiple of what it costs across cores.

local disturbance = {}

local function read(path, form)
  local file <close> = io.open(path)
  return file and file:read(form)
end

-- Processor time, in ticks, of the whole machine; nil where the kernel does not tell.
local function machine_ticks()
  local user, nice, system, _, _, interrupts, soft =
    (read("/proc/stat", "l") or ""):match("^cpu%s+(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)")
  return user and user + nice + system + interrupts + soft
end

-- Processor time, in ticks, of this process and of its children that have ended.
local function own_ticks()
  local text = (read("/proc/self/stat", "a") or ""):match(".*%) (.*)")
  if not text then return nil end
  local sum, field = 0, 2
  for word in text:gmatch("%S+") do
    field = field + 1
    if field >= 14 and field <= 17 then sum = sum + math.tointeger(word) end
  end
  return sum
end

--- How many processors there are; 1 where that is unknown.
function disturbance.processors()
  local file <close> = io.open("/proc/stat")
  local count = 0
  for line in file and file:lines() or function() end do
    if line:match("^cpu%d") then count = count + 1 end
  end
  return math.max(count, 1)
end

--- Calls fn: how many processors other programs kept busy meanwhile, 0 where that is unknown, then fn's results.
function disturbance.during(fn, ...)
  local machine, own, start = machine_ticks(), own_ticks(), read("/proc/uptime", "n")
  local results = table.pack(fn(...))
  if not machine or not own then return 0, table.unpack(results, 1, results.n) end
  local others = (machine_ticks() - machine) - (own_ticks() - own)
  local elapsed = (read("/proc/uptime", "n") - start) * 100 -- a tick is 10 ms on Linux, wherever it is asked
  return elapsed > 0 and others / elapsed or 0, table.unpack(results, 1, results.n)
end

return disturbance
