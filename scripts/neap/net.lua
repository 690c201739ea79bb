-- Sockets and names: neap.net, neap.dns. The streams, listeners and datagram sockets themselves are in C
-- (bindings/io/stream.c and its neighbours); here are the options, and what takes several steps.

local neap, internal = ...

local net, dns = {}, {}
neap.net, neap.dns = net, dns

local BACKLOG = 511

local check = internal.load("neap.check")
local tls -- neap.tls, once it is used
local refuse = check.refuse

local function is_local(host) return host:sub(1, 5) == "unix:" end

local function check_host(host, name)
  if type(host) ~= "string" then refuse(1, name, "string expected, got " .. type(host)) end
  if host:find("\0", 1, true) then refuse(1, name, "a host has no zero bytes") end
end

--- A host that is a path in the file system has no port, and the options stand in its place.
local function check_place(host, port, options, name, lowest)
  check_host(host, name)
  if host == "unix:" then refuse(1, name, "a path is needed behind 'unix:'") end
  if is_local(host) then return nil, port == nil and options or port, options == nil and 2 or 3 end
  if math.type(port) ~= "integer" then refuse(2, name, "port: integer expected, got " .. type(port)) end
  if port < lowest or port > 65535 then refuse(2, name, ("a port is between %d and 65535"):format(lowest)) end
  return port, options, 3
end

--- What says the same of a remaining time as `timeout` did when it was asked for.
local function countdown(timeout)
  if timeout == nil then return function() end end
  local deadline = neap.now() + timeout
  return function() return math.max(0, deadline - neap.now()) end
end

local function is_numeric(host) return host:find("^%d+%.%d+%.%d+%.%d+$") or host:find(":", 1, true) end

local loopback = { any = { "127.0.0.1", "::1" }, ipv4 = { "127.0.0.1" }, ipv6 = { "::1" } }

--- As dns.resolve. What is named localhost is this machine, also where the system has no list that says so.
local function resolve(host, family, timeout)
  local found, message, code = internal.net.resolve(host, family, timeout)
  if code ~= "EAI_NONAME" or not ("." .. host:lower()):find("%.localhost%.?$") then return found, message, code end
  return { table.unpack(loopback[family]) }
end

--- Numeric hosts for `host`.
local function addresses_of(host, timeout)
  if is_local(host) or is_numeric(host) then return { host } end
  return resolve(host, "any", timeout)
end

local function at(host, port) return is_local(host) and host or ("%s port %d"):format(host, port) end

--- nil, message, code: the engine's own words stay as they are.
local function tell(what, message, code)
  if message == code then return nil, message, code end
  return nil, ("%s: %s"):format(what, message), code
end

local function tls_option(value)
  tls = tls or internal.load("neap.tls")
  return tls.option(value)
end

local Undoing = { __close = function(undoing, problem)
  if problem ~= nil then undoing.stream:close() end
end }

--- Makes a new stream one that speaks TLS, or closes it. `name` is whom a client wants to talk to.
local function secure(stream, context, name, timeout)
  local undoing <close> = setmetatable({ stream = stream }, Undoing) -- luacheck: ignore
  local ok, message, code = internal.tls.secure(stream, context, name)
  if ok then ok, message, code = stream:handshake(timeout) end
  if ok then return stream end
  stream:close()
  return nil, message, code
end

local connect_options = { timeout = check.seconds, nodelay = check.boolean, tls = tls_option }

function net.connect(host, port, options)
  local position
  port, options, position = check_place(host, port, options, "connect", 1)
  options = check.options(options, connect_options, position, "connect")
  local remaining = countdown(options.timeout)
  local context, tls_options, failure
  if options.tls then
    context, tls_options, failure = tls.client(options.tls, position, "connect")
    if not context then return nil, tls_options, failure end
  end
  local hosts, message, code = addresses_of(host, options.timeout)
  if not hosts then return nil, message, code end
  local stream
  for _, each in ipairs(hosts) do
    stream, message, code = internal.net.dial(each, port, remaining())
    if stream then
      stream:nodelay(options.nodelay ~= false)
      if not context then return stream end
      local name = tls_options.server_name
      name = name or not is_local(host) and host:gsub("%.$", "") or nil -- a certificate has no dot at its end
      stream, message, code = secure(stream, context, name, remaining())
      if stream then return stream end
      break
    end
    if code == "timeout" then break end
  end
  return tell("cannot connect to " .. at(host, port), message, code)
end

local listen_options = { backlog = check.count, reuseport = check.boolean, tls = tls_option }

function net.listen(host, port, options)
  local position
  port, options, position = check_place(host, port, options, "listen", 0)
  options = check.options(options, listen_options, position, "listen")
  local context, hosts, message, code
  if options.tls then
    context, message, code = tls.server(options.tls, position, "listen")
    if not context then return nil, message, code end
  end
  hosts, message, code = addresses_of(host)
  if not hosts then return nil, message, code end
  local listener
  listener, message, code = internal.net.listen(hosts[1], port, options.backlog or BACKLOG, options.reuseport, context)
  if listener then return listener end
  return tell("cannot listen at " .. at(host, port), message, code)
end

--- Those of TLS are left to be checked with the context.
local function starttls_options(options)
  local own = {}
  for key, value in pairs(options) do own[key] = value end
  local others = { timeout = own.timeout, server = own.server }
  own.timeout, own.server = nil, nil
  check.options(others, { timeout = check.seconds, server = check.boolean }, 2, "starttls")
  return own, others.timeout, others.server
end

local function is_stream(value) return type(value) == "userdata" and tostring(value):find("^stream: ") ~= nil end

function net.starttls(stream, options)
  if not is_stream(stream) then refuse(1, "starttls", "stream expected, got " .. type(stream)) end
  if type(options) ~= "table" then refuse(2, "starttls", "table of options expected, got " .. type(options)) end
  tls = tls or internal.load("neap.tls")
  local own, timeout, server = starttls_options(options)
  local make = server and tls.server or tls.client
  local context, checked, code = make(own, 2, "starttls")
  if not context then return nil, checked, code end
  if not server and checked.verify ~= false and not checked.server_name then
    refuse(2, "starttls", "option 'server_name': whom to talk to is needed, or verify = false")
  end
  return secure(stream, context, checked.server_name, timeout)
end

local standard = { stdin = 0, stdout = 1, stderr = 2 }

function net.open(which)
  local fd = standard[which] or which
  if math.type(fd) ~= "integer" or fd < 0 then
    refuse(1, "open", "'stdin', 'stdout', 'stderr' or the number of a descriptor expected", -1)
  end
  local stream, message, code = internal.net.reopen(fd)
  if stream then return stream end
  if code == "EPERM" then message = "it is a file, which neap.fs reads and writes" end
  return tell(("cannot open %s as a stream"):format(which), message, code)
end

local udp_options = { reuseport = check.boolean }

function net.udp(host, port, options)
  host = host or "0.0.0.0"
  check_host(host, "udp")
  port = port or not is_local(host) and 0 or nil
  local position
  port, options, position = check_place(host, port, options, "udp", 0)
  options = check.options(options, udp_options, position, "udp")
  local hosts, message, code = addresses_of(host)
  if not hosts then return nil, message, code end
  local socket
  socket, message, code = internal.net.datagram(hosts[1], port, options.reuseport)
  if socket then return socket end
  return tell("cannot bind " .. at(host, port), message, code)
end

local resolve_options = { family = check.one_of("any", "ipv4", "ipv6"), timeout = check.seconds }

function dns.resolve(host, options)
  check_host(host, "resolve")
  options = check.options(options, resolve_options, 2, "resolve")
  return resolve(host, options.family or "any", options.timeout)
end
