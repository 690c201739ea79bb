--- Servers for specs, on free ports of 127.0.0.1: real ones, and one that behaves as badly as it is told to. Each is
-- stopped when the variable that holds it is closed.

local neap = require "neap"
local support = require "spec.support"

local servers = {}

--- A folder that goes when the variable is closed.
function servers.folder()
  local path = os.tmpname()
  os.remove(path)
  assert(neap.fs.mkdir(path))
  return setmetatable({ path = path }, { __close = function() neap.fs.remove(path, { recursive = true }) end })
end

--- Answers connections as `handle(stream, head)` does; head: the lines of a request up to its empty line. With the
-- option `unread` nothing is read before. `count` is how many connections have come.
function servers.raw(handle, options)
  local listener = assert(neap.net.listen("127.0.0.1", 0))
  local host, port = listener:address()
  local server = { port = port, url = ("http://%s:%d"):format(host, port), count = 0 }
  local function serve(stream)
    local closing <close> = stream -- luacheck: ignore
    local head = {}
    if not (options and options.unread) then
      for line in stream:lines() do
        if line == "" then break end
        head[#head + 1] = line
      end
      if not head[1] then return end
    end
    handle(stream, head)
  end
  local acceptor = neap.spawn({ daemon = true, quiet = true }, function()
    neap.scope(function(scope)
      for stream in listener:iter() do
        server.count = server.count + 1
        scope:spawn(function() pcall(serve, stream) end)
      end
    end)
  end)
  return setmetatable(server, { __close = function()
    listener:close()
    acceptor:cancel()
    acceptor:wait()
  end })
end

--- The text of an answer.
function servers.answer(body, status, ...)
  local lines = { "HTTP/1.1 " .. (status or "200 OK"), "Content-Length: " .. #body, ... }
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

local function free_port()
  local listener <close> = assert(neap.net.listen("127.0.0.1", 0))
  return select(2, listener:address())
end

--- Starts a command; its output is read up to a line that has `ready` in it. Nil if it ends before.
local function start(command, stream_name, ready)
  command[stream_name] = "pipe"
  local program = assert(neap.popen(command))
  for line in program[stream_name]:lines(60) do
    if line:find(ready, 1, true) then return program, line end
  end
  program:wait()
end

local function stopping(server, program, folder)
  return setmetatable(server, { __close = function()
    program:kill("TERM")
    program:close()
    getmetatable(folder).__close(folder)
  end })
end

local nginx_text = [[
daemon off;
master_process off;
error_log stderr notice;
pid %s/pid;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s;
  keepalive_requests 1000000;
  server {
    listen 127.0.0.1:%d backlog=511 %s;
    root %s;
    %s
  }
}
]]

local function try_nginx(folder, locations, tls)
  local path, port = folder.path, free_port()
  local text = nginx_text:format(path, path, path, path, path, path, port, tls and "ssl" or "", path, locations or "")
  support.write_file(path .. "/nginx.conf", text)
  local command = { "/usr/sbin/nginx", "-p", path, "-c", path .. "/nginx.conf", stdin = "null", stdout = "null" }
  local program = start(command, "stderr", "OS: ")
  return program, port
end

--- nginx over a folder of its own (server.path), with these `location` blocks. `tls`: with a certificate of its own
-- (server.ca) for 127.0.0.1.
function servers.nginx(locations, tls)
  local folder = servers.folder()
  local path = folder.path
  if tls then
    assert(neap.run { "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=spec",
      "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path .. "/key.pem", "-out", path .. "/cert.pem" }.code == 0)
    locations = ("ssl_certificate %s/cert.pem; ssl_certificate_key %s/key.pem;"):format(path, path) .. (locations or "")
  end
  local program, port
  for _ = 1, 10 do -- somebody else may have taken the port
    program, port = try_nginx(folder, locations, tls)
    if program then break end
  end
  assert(program, "nginx does not start")
  local url = ("%s://127.0.0.1:%d"):format(tls and "https" or "http", port)
  return stopping({ port = port, url = url, path = path, ca = path .. "/cert.pem" }, program, folder)
end

--- python3 -m http.server over a folder of its own.
function servers.python()
  local folder = servers.folder()
  local program, line = start({ "python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", cwd = folder.path,
    stdin = "null", stderr = "null" }, "stdout", "Serving")
  local port = tonumber(assert(line):match("port (%d+)"))
  return stopping({ port = port, url = "http://127.0.0.1:" .. port, path = folder.path }, program, folder)
end

return servers
