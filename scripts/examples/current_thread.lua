-- Who runs: the current thread, the main one, and all that are alive.
--
-- Prints:
--   in the thread: thread: helper (running), daemon false
--   alive: helper
--   2 threads are active, this is main
--   afterwards 1 is
local neap = require "neap"

local stop, says = neap.event(), neap.channel()

local thread = neap.Thread {
  name = "helper",
  target = function()
    local me = neap.current()
    says:send(("%s, daemon %s"):format(me, me.daemon))
    stop:wait()
  end,
}
thread:start()
print("in the thread: " .. says:recv())
for _, each in ipairs(neap.threads()) do print("alive: " .. each.name) end
print(("%d threads are active, this is %s"):format(neap.active_count(), neap.current().name))
stop:set()
thread:join()
print(("afterwards %d is"):format(neap.active_count()))
