-- The HTTP server: neap.http.serve. Requests are parsed and responses composed in C (bindings/io/http.c and
-- http_response.c); here is what happens between the two, and what ends a connection.
--
-- A connection is a task, which reads a request, calls the handler, writes what it returns, and so on: so requests of
-- one connection are answered in their order, and from who does not read the answers nothing more is read.

local neap, internal = ...

local http = neap.http
local check, tls = internal.load("neap.check"), internal.load("neap.tls")
internal.load("neap.http_headers") -- what the tables of headers are
local compose, decode = internal.http.response, internal.http.decode

local KIB <const>, MIB <const> = 1024, 1024 * 1024
local HEAD_MAX <const> = 64 * KIB -- of the parser

-- How long, and for how many bytes, a connection that is given up is still listened to.
local LINGER_SECONDS <const>, LINGER_BYTES <const> = 2, 4 * MIB
-- Before the next try, when a connection could not be accepted.
local PAUSE_SECONDS <const> = 0.05

local defaults = {
  max_head = 16 * KIB, max_body = 8 * MIB,
  idle_timeout = 60, head_timeout = 10, body_timeout = 60, write_timeout = 60, grace = 10,
}

-- --- requests ---

local Request = {}

local function parse_query(target)
  local query = {}
  for pair in (target:match("%?([^#]*)") or ""):gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    query[decode(name)] = decode(value)
  end
  return query
end

local request_metatable = {
  __name = "neap.HttpRequest",
  __index = function(request, key)
    if key ~= "query" then return Request[key] end
    local query = parse_query(request.target)
    request.query = query
    return query
  end,
}

local connection_of <const> = {} -- the key of a request's connection; no script has it

--- The client that waits for leave to send its body is given it, unless it is being answered already.
local function call_for_body(connection)
  local writer = connection.writer
  if not connection.waits then return end
  connection.waits = false
  if writer and writer.begun then return end
  -- whole, and be it that who reads is cancelled: who goes on reading does not call for it again
  neap.shield(connection.stream.write, connection.stream, "HTTP/1.1 100 Continue\r\n\r\n",
    connection.server.write_timeout)
end

function Request:read(what, timeout)
  local connection = self[connection_of]
  if connection.request ~= self then error("the request was answered", 2) end
  call_for_body(connection)
  return connection.incoming:read(what, timeout or connection.server.body_timeout)
end

function Request:peer() return self[connection_of].stream:peer() end

-- --- responses in pieces ---

local Writer = {}
Writer.__index, Writer.__name = Writer, "neap.HttpWriter"

--- Of a write that has failed or was cancelled a part may have gone out: nothing may follow it.
local attempt_metatable = { __close = function(attempt)
  if attempt.done then return end
  local writer = attempt.writer
  if not writer.problem then writer.problem, writer.code = "closed", "closed" end
  writer.connection.closes, writer.connection.cut = true, true
end }

local function write(writer, bytes)
  if writer.problem then return nil, writer.problem, writer.code end
  local connection = writer.connection
  local attempt <close> = setmetatable({ writer = writer, done = false }, attempt_metatable)
  if writer.head then bytes, writer.head = writer.head .. bytes, nil end
  writer.begun = true
  local ok, message, code = connection.stream:write(bytes, connection.server.write_timeout)
  attempt.done = ok
  if not ok then writer.problem, writer.code = message, code end
  return ok, message, code
end

function Writer:write(bytes)
  if self.ended then error("the response has ended", 2) end
  if type(bytes) ~= "string" then
    error(("bad argument #1 to 'write' (string expected, got %s)"):format(type(bytes)), 2)
  end
  if self.is_head or bytes == "" then return true end
  if self.is_chunked then bytes = ("%x\r\n"):format(#bytes) .. bytes .. "\r\n" end
  return write(self, bytes)
end

function Writer:close()
  if self.ended then return true end
  self.ended = true
  return write(self, self.is_chunked and not self.is_head and "0\r\n\r\n" or "")
end

--- What fails in the middle does not end well: the client is to see that, even if the handler goes on.
function Writer:__close(err)
  if err == nil then self:close() end
  if not self.ended then self.connection.closes, self.connection.cut = true, true end
  self.ended = true
end

--- The bytes of a response, or of its head if there is no body; and whether the connection ends with it.
local function compose_for(connection, status, headers, body)
  local request, server = connection.request, connection.server
  local closes = not request.keeps_alive or server.closing
  if server.stream and body and not connection.incoming:is_done() then closes = true end -- its rest is in the way
  return compose(status, headers, body, request.minor, request.method == "HEAD", closes)
end

function Request:respond(response)
  local connection = self[connection_of]
  if connection.request ~= self or connection.writer then error("the request was answered", 2) end
  response = response or {}
  local status = response.status or 200
  local head, closes = compose_for(connection, status, response.headers)
  connection.closes = closes
  local has_body = status ~= 204 and status ~= 304
  connection.writer = setmetatable({ connection = connection, head = head, is_chunked = self.minor > 0 and has_body,
    is_head = self.method == "HEAD" or not has_body }, Writer)
  return connection.writer
end

-- --- one request ---

--- What the handler has made of the request, as bytes to be written; nil when it has written them.
local function produce(connection, request)
  local response = connection.server.handler(request)
  local status, headers, body = 200, nil, response
  if connection.writer then
    connection.writer:close()
    return
  elseif type(response) == "table" then
    status, headers, body = response.status or 200, response.headers, response.body or ""
  end
  local kind = type(body)
  if kind == "function" then
    local writer <close> = request:respond(response)
    if writer.is_head then return end
    for piece in body do
      if type(piece) ~= "string" then
        error(("the body's function: string or nil expected, got %s"):format(type(piece)), 0)
      end
      if not writer:write(piece) then return end
    end
  elseif kind == "string" then
    return compose_for(connection, status, headers, body)
  else
    error(("a handler returns a string or a table with a body, not %s"):format(
      response == body and kind or "a body that is a " .. kind), 0)
  end
end

local function with_traceback(err)
  local told, text = pcall(tostring, err)
  return { err = err, traceback = debug.traceback(told and text or type(err) .. " (its __tostring failed)", 2) }
end

local function tell(_, traceback, request)
  io.stderr:write(("neap.http: %s %s: %s\n"):format(request.method, request.target, traceback))
end

--- Answers for a handler that has failed. True: the connection is good for another request.
local function apologise(connection)
  local writer = connection.writer
  connection.cut = writer and writer.begun
  if connection.cut then return false end -- the client sees that
  connection.writer = nil
  local bytes, closes = compose_for(connection, 500, nil, "Internal Server Error\n")
  return connection.stream:write(bytes, connection.server.write_timeout) and not closes
end

--- The handler has failed. Raises what is none of its failures.
local function fail(connection, request, failure)
  if neap.is_cancelled(failure.err) then error(failure.err, 0) end
  local told, problem = pcall(connection.server.on_error, failure.err, failure.traceback, request)
  local goes_on = apologise(connection)
  if not told then error(problem, 0) end
  return goes_on
end

--- True: the connection is good for another request.
local function answer(connection, request)
  local ok, bytes, closes = xpcall(produce, with_traceback, connection, request)
  if not ok then return fail(connection, request, bytes) end
  if not bytes then return not connection.closes end
  return connection.stream:write(bytes, connection.server.write_timeout) and not closes
end

-- --- one connection ---

--- What is closed with bytes unread is reset, and the other side may never see the answer: so it is given time.
local function linger(stream)
  if stream:is_closed() or not stream:shutdown() then return end
  local deadline, count = neap.now() + LINGER_SECONDS, 0
  repeat
    local bytes = stream:read("some", math.max(0, deadline - neap.now()))
    count = count + #(bytes or "")
  until not bytes or count > LINGER_BYTES
end

local reasons = {
  [400] = "Bad Request", [408] = "Request Timeout", [413] = "Payload Too Large",
  [431] = "Request Header Fields Too Large", [501] = "Not Implemented", [505] = "HTTP Version Not Supported",
}

local function refuse(connection, status)
  local body = ("%d %s\n"):format(status, reasons[status])
  local bytes = compose(status, nil, body, 1, false, true)
  if connection.stream:write(bytes, connection.server.write_timeout) then linger(connection.stream) end
end

--- Reads the body, or leaves it to the handler. False: the request was refused, or is no more.
local function take_body(connection, request, more)
  connection.waits = more == "continue"
  if not more then
    request.body = ""
  elseif not connection.server.stream then
    call_for_body(connection)
    local body, _, status = connection.incoming:read("all", connection.server.body_timeout)
    if not body then
      if status == "timeout" then status = 408 end
      if math.type(status) then refuse(connection, status) end
      return false
    end
    request.body = body
  end
  return true
end

local function serve_requests(connection)
  local server, stream, incoming = connection.server, connection.stream, connection.incoming
  local idle_timeout, head_timeout = server.idle_timeout, server.head_timeout
  while not server.closing do
    connection.busy = false
    local request, more = incoming:receive(idle_timeout, head_timeout)
    connection.busy = true
    if not request then
      if more then refuse(connection, more) end
      return
    end
    request[connection_of] = connection
    setmetatable(request, request_metatable)
    connection.request, connection.writer, connection.closes = request, nil, false
    if more then
      if not take_body(connection, request, more) then return end
    else
      request.body = ""
    end
    local goes_on = answer(connection, request)
    connection.request = nil
    if more and not incoming:is_done() then return linger(stream) end
    if not goes_on then
      local ends_well = not connection.cut and not stream:is_closed()
      if ends_well and stream:read("some", 0) then linger(stream) end -- there is more, and nobody answers it
      return
    end
  end
end

local connection_metatable = { __close = function(connection)
  local server = connection.server
  connection.incoming:close()
  connection.stream:close()
  server.connections[connection] = nil
  server.count = server.count - 1
  if server.room then server.room:release() end
  if server.closing and server.count == 0 then server.ended:set() end
end }

local function serve_connection(server, stream)
  local incoming = internal.http.incoming(stream, server.max_head, server.max_body)
  local connection <close> = setmetatable({ server = server, stream = stream, incoming = incoming, busy = true },
    connection_metatable)
  server.connections[connection] = neap.current()
  serve_requests(connection)
end

-- --- the server ---

local Server = {}
Server.__index, Server.__name = Server, "neap.HttpServer"

--- The next connection. One of a listener that was given may have to be encrypted here; its task makes the handshake.
local function accept(server)
  local stream, message, code = server.listener:accept()
  if not stream or not server.context then return stream, message, code end
  local encrypted, reason = internal.tls.secure(stream, server.context)
  if encrypted then return stream end
  stream:close()
  error("cannot encrypt what the listener accepts (has it TLS of its own?): " .. reason, 0)
end

local function accept_all(server)
  repeat
    if server.room then server.room:acquire() end
    local stream, _, code = accept(server)
    if stream then
      stream:nodelay(true)
      internal.spawn_surely(server.task_options, serve_connection, server, stream)
      server.count = server.count + 1
    else
      if server.room then server.room:release() end
      if code ~= "closed" then neap.sleep(PAUSE_SECONDS) end
    end
  until server.closing or code == "closed"
  server.closing = true
  if server.count == 0 then server.ended:set() end
end

--- No connection is accepted any more, and those without a request are closed.
local function stop(server)
  if server.closing then return end
  server.closing = true
  if server.owns_listener then server.listener:close() end
  server.acceptor:cancel()
  for connection in pairs(server.connections) do
    if not connection.busy then connection.stream:close() end
  end
  if server.count == 0 then server.ended:set() end
end

function Server:close(grace)
  check.timeout(grace, 1, "close")
  stop(self)
  local current = neap.current()
  for _, task in pairs(self.connections) do
    if task == current then return true end -- a handler cannot wait for its own end
  end
  if not self.ended:wait(grace or self.grace) then
    for _, task in pairs(self.connections) do task:cancel() end
    self.ended:wait()
  end
  return self.acceptor:wait()
end
Server.__close = function(server) server:close() end

function Server:wait(timeout) return self.ended:wait(timeout) end

function Server:address() return self.listener:address() end

function Server:__tostring()
  local how = self.ended:is_set() and "closed" or self.closing and "closing" or self.count .. " connections"
  return ("http server: %p (%s)"):format(self, how)
end

local function port_number(value)
  return math.type(value) == "integer" and value >= 0 and value <= 65535 or "a port between 0 and 65535"
end

local function head_size(value)
  return math.type(value) == "integer" and value > 0 and value <= HEAD_MAX or
    ("a number of bytes between 1 and %d"):format(HEAD_MAX)
end

local function is_listener(value)
  local metatable = type(value) == "userdata" and getmetatable(value)
  return type(metatable) == "table" and metatable.__name == "listener" or "listener"
end

local serve_options = {
  handler = check.callable, host = check.string, port = port_number, backlog = check.count, reuseport = check.boolean,
  tls = tls.option,
  listener = is_listener,
  max_head = head_size, max_body = check.count, max_connections = check.count, stream = check.boolean,
  idle_timeout = check.seconds, head_timeout = check.seconds, body_timeout = check.seconds,
  write_timeout = check.seconds, grace = check.seconds, on_error = check.callable,
}

local function listen(options)
  local host, port = options.host or "127.0.0.1", options.port
  local how = { backlog = options.backlog, reuseport = options.reuseport, tls = options.tls }
  if host:sub(1, 5) == "unix:" then return neap.net.listen(host, how) end
  return neap.net.listen(host, port or 0, how)
end

function http.serve(options)
  options = check.options(options, serve_options, 1, "serve")
  if not options.handler then check.refuse(1, "serve", "option 'handler': function expected, got nil", -1) end
  local listener, context = options.listener, nil
  local message, code
  if not listener then
    listener, message, code = listen(options)
    if not listener then return nil, message, code end
  elseif options.tls then
    context, message, code = tls.server(options.tls, 1, "serve")
    if not context then return nil, message, code end
  end
  local server = {
    handler = options.handler, stream = options.stream, on_error = options.on_error or tell,
    listener = listener, owns_listener = listener ~= options.listener, context = context,
    room = options.max_connections and neap.semaphore(options.max_connections),
    connections = {}, -- their tasks, by connection
    count = 0, -- connections that were accepted and have not ended
    closing = false, ended = neap.event(),
    task_options = { name = "http connection" },
  }
  for name, value in pairs(defaults) do server[name] = options[name] or value end
  setmetatable(server, Server)
  server.acceptor = neap.spawn({ name = "http server" }, accept_all, server)
  return server
end
