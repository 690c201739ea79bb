-- A daemon does not keep the program: when everything else has ended it is cancelled, and closes what it has to close.
--
-- Prints:
--   main has ended
--   the daemon is closed
local neap = require "neap"

local started = neap.event()

neap.thread({daemon = true, name = "server"}, function(event)
  local _ <close> = setmetatable({}, {__close = function() print("the daemon is closed") end})
  event:set()
  while true do neap.sleep(3600) end -- serves for ever
end, started)

started:wait()
print("main has ended")
