-- nginx with one worker, which answers everything with the same body. with(body, fn) -> what fn(port) returns
local neap = require "neap"

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

return function(body, fn)
  local folder, port = os.tmpname() .. ".d", free_port()
  assert(neap.fs.mkdir(folder))
  local text = configuration:gsub("%%s/", folder .. "/"):format(port, body)
  assert(neap.fs.write(folder .. "/conf", text))
  local server = assert(neap.popen({ "nginx", "-c", folder .. "/conf", "-e", folder .. "/log", stderr = "null" }))
  while not neap.net.connect("127.0.0.1", port) do neap.sleep(0.01) end
  local result = fn(port)
  server:kill("TERM") -- its worker ends with it
  server:wait()
  neap.fs.remove(folder, { recursive = true })
  return result
end
