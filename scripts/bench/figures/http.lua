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

local configuration <const> = [[
daemon off; worker_processes 1; pid %s/pid; error_log %s/log;
events { worker_connections 256; }
http {
  access_log off; keepalive_requests 1000000000; client_body_temp_path %s/a; proxy_temp_path %s/b;
  fastcgi_temp_path %s/c; uwsgi_temp_path %s/d; scgi_temp_path %s/e;
  server { listen 127.0.0.1:%d; location / { default_type text/plain; return 200 "%s"; } }
}
]]

local function free_port()
  local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
  return select(2, listener:address())
end

local function with_nginx()
  local folder, port = os.tmpname() .. ".d", free_port()
  assert(neap.fs.mkdir(folder))
  local text = configuration:gsub("%%s/", folder .. "/"):format(port, body)
  assert(neap.fs.write(folder .. "/conf", text))
  local server = assert(neap.popen({ "nginx", "-c", folder .. "/conf", "-e", folder .. "/log", stderr = "null" }))
  while not neap.net.connect("127.0.0.1", port) do neap.sleep(0.01) end
  local rate = measure(port)
  server:kill("TERM") -- its worker ends with it
  server:wait()
  neap.fs.remove(folder, { recursive = true })
  return rate
end

print(arg[1] == "nginx" and with_nginx() or with_neap())
