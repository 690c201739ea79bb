-- What 10,000 idle connections cost the side that serves them, each with a task that reads: bytes of memory for one of
-- them, or seconds of processor time for all in a second. usage: idle_connections.lua memory|cpu
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "../../?.lua;" .. package.path
local neap = require "neap"
local resident = require "bench.resident"

local count <const>, batch <const>, watched <const> = 10000, 100, 5

--- Holds as many connections as are asked for; says so now and then, and ends when the channel is closed.
local function hold(port, said, go_on)
  local library = require "neap"
  local streams = {}
  for i = 1, count do
    streams[i] = assert(library.net.connect("127.0.0.1", port))
    if i % batch == 0 then
      said:send(i)
      go_on:recv()
    end
  end
  return go_on:recv() and streams
end

local listener = assert(neap.net.listen("127.0.0.1", 0))
local _, port = listener:address()

local function accept()
  local stream = assert(listener:accept())
  neap.spawn({ daemon = true }, function() return stream:read() end)
end

local said, go_on = neap.channel(1), neap.channel(1)
local holder = neap.process(hold, port, said, go_on)
local function accept_all()
  for _ = 1, count / batch do
    said:recv()
    for _ = 1, batch do accept() end
    go_on:send(true)
  end
  neap.sleep(0.1)
  collectgarbage()
end

local before = resident()
accept_all()
if arg[1] == "cpu" then
  local start = os.clock()
  neap.sleep(watched)
  print((os.clock() - start) / watched)
else
  print((resident() - before) / count)
end
holder:kill()
os.exit(0)
