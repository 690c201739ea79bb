-- HTTP requests a second that wrk gets answered over 50 connections: by a server of ours in a process of its own, or by
-- nginx with one worker and the same body. usage: http.lua neap|nginx
local neap = require "neap"

local body <const> = "hello, world"
local load <const> = { "wrk", "-t1", "-c50", "-d2s" }

local function measure(port)
  local words = table.move(load, 1, #load, 1, {})
  words[#words + 1] = ("http://127.0.0.1:%d/"):format(port)
  local result = assert(neap.run(words))
  return assert(result.stdout:match("Requests/sec:%s*([%d.]+)"), result.stdout .. result.stderr)
end

local function with_neap()
  local ports = neap.channel(1)
  local server = neap.process(function()
    local here = require "neap"
    local server <close> = here.http.serve({ handler = function() return body end })
    ports:send((select(2, server:address())))
    here.sleep(math.huge)
  end)
  local rate = measure(ports:recv())
  server:kill()
  return rate
end

local with_nginx = dofile((arg[0]:gsub("figures/[^/]*$", "nginx.lua")))

print(arg[1] == "nginx" and with_nginx(body, measure) or with_neap())
