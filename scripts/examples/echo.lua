-- A TCP server that gives back what it gets, a task for each connection; and its client.
--
--   neap echo.lua                         both of them here
--   neap echo.lua serve [HOST [PORT]]     the server alone; by default 127.0.0.1, and any free port
--   neap echo.lua connect HOST PORT       the client alone: sends the lines of its standard input
--
-- Prints:
--   ebb
--   neap
--   flow
local neap = require "neap"

local function serve(listener)
  while true do
    local connection = listener:accept()
    if not connection then return end -- closed
    neap.spawn(function()
      local stream <close> = connection
      for line in stream:lines() do stream:write(line .. "\n") end
    end)
  end
end

local function talk(host, port, lines)
  local stream <close> = assert(neap.net.connect(host, port, {timeout = 10}))
  for line in lines do
    stream:write(line .. "\n")
    print(stream:read("line"))
  end
end

local what, host, port = ...
if what == "connect" then
  talk(host, math.tointeger(port), io.lines())
else
  local listener <close> = assert(neap.net.listen(host or "127.0.0.1", math.tointeger(port or 0)))
  if what == "serve" then
    print(("listening on %s port %d"):format(listener:address()))
    serve(listener)
  else
    neap.spawn({daemon = true}, serve, listener)
    host, port = listener:address()
    talk(host, port, ("ebb neap flow"):gmatch("%a+"))
  end
end
