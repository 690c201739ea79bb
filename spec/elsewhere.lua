--- What specs of handles in other processes share.
--
--   local elsewhere = require "spec.elsewhere"
--   local start, kill = elsewhere.start, elsewhere.kill

local neap = require "neap"

local elsewhere = {}

--- What a wait returns whose other side has died.
elsewhere.broken = table.pack(nil, "broken", "broken")

--- A process whose failure is nobody's concern.
function elsewhere.start(...) return neap.process({ quiet = true, name = "p1" }, ...) end

--- A process that calls `make`, sends what that returned, and waits for ever. Returns it, and what came.
function elsewhere.start_with(make, ...)
  local made = neap.channel(1)
  local process = elsewhere.start(function(channel, call, ...)
    channel:send(table.pack(call(...)))
    require("neap").event():wait()
  end, made, make, ...)
  local values = made:recv()
  return process, table.unpack(values, 1, values.n)
end

--- Kills it, and returns when everything that it had here is gone.
function elsewhere.kill(process)
  process:kill()
  process:wait()
end

--- Stops all threads of a process, as they are.
function elsewhere.stop(pid)
  assert(os.execute(([[kill -STOP %d
    while grep -h '^State:' /proc/%d/task/*/status | grep -qv 'T (stopped)'; do :; done]]):format(pid, pid)))
end

function elsewhere.await_arrivals(barrier, count)
  while barrier.waiting < count do neap.yield() end
end

return elsewhere
