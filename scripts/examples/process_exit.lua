-- How a process may end, and what its parent sees of that.
--
-- Prints:
--   returned: done, 0
--   failed: failed, 1: no more paper
--   exited: failed, 7: process exited exited with status 7
--   cancelled: cancelled, 0: cancelled: enough
--   terminated: cancelled, -15: process terminated was killed by signal 15
--   killed: cancelled, -9: process killed was killed by signal 9
local neap = require "neap"

local function wait_for_ever() neap.event():wait() end

local function start(name, fn) return neap.process({name = name, quiet = true}, fn) end

local function show(process)
  local ok, message = pcall(process.join, process)
  local line = ("%s: %s, %d"):format(process.name, process:status(), process.exitcode)
  print(ok and line or line .. ": " .. tostring(message))
end

show(start("returned", function() end))
show(start("failed", function() error("no more paper", 0) end))
show(start("exited", function() os.exit(7) end))

local cancelled = start("cancelled", wait_for_ever)
cancelled:cancel("enough")
show(cancelled)

local terminated = start("terminated", wait_for_ever)
terminated:terminate()
show(terminated)

local killed = start("killed", wait_for_ever)
killed:kill()
show(killed)
