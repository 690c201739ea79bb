-- Which ports of this machine somebody listens on. A pool of tasks tries so many at a time, each for a limited time.
--
--   neap port_scanner.lua [FIRST [LAST [HOST]]]     by default 1 to 1024 of 127.0.0.1
local neap = require "neap"

local AT_A_TIME, PATIENCE = 200, 2 -- connections; seconds

local first, last, host = ...
first = math.tointeger(first or 1)
last = math.tointeger(last or math.max(first, 1024))
host = host or "127.0.0.1"

local function probe(port)
  local stream = neap.net.connect(host, port, {timeout = PATIENCE})
  if not stream then return false end -- refused, or nobody has answered in time
  stream:close()
  return true
end

local ports = {}
for port = first, last do ports[#ports + 1] = port end

local pool <close> = neap.pool({kind = "task", workers = AT_A_TIME})
local open = 0
for is_open, index in neap.progress(pool:imap(probe, ports), {total = #ports, label = "ports", keep = false}) do
  if is_open then
    open = open + 1
    print(("port %d is open"):format(ports[index]))
  end
end
print(("%d of %d ports are open"):format(open, #ports))
