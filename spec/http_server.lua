--- What specs of the HTTP server share: servers, and clients that say what bytes they like.
--
--   local http_server = require "spec.http_server"
--   local serve, get = http_server.serve, http_server.get

local assert = require "luassert"
local neap = require "neap"

local http_server = {}

--- What a client reads at the end of a connection.
http_server.closed = table.pack(nil, "closed", "closed")

--- A server on a free port; `options` may be its handler alone.
function http_server.serve(options)
  if type(options) == "function" then options = { handler = options } end
  return assert(neap.http.serve(options))
end

function http_server.hello() return "hello" end

function http_server.connect(server) return assert(neap.net.connect(server:address())) end

--- Reads a response: { status, headers, body }. Without a length its body is what comes to the end.
function http_server.read_response(stream, is_head)
  local line = assert(stream:read("line"))
  local response = { status = tonumber(line:match("^HTTP/1%.1 (%d+) ")), headers = {} }
  for header in stream:lines() do
    if header == "" then break end
    local name, value = header:match("^(.-): (.*)$")
    response.headers[name:lower()] = value
  end
  local size = tonumber(response.headers["content-length"])
  if is_head or response.status < 200 then return response end
  if response.headers["transfer-encoding"] == "chunked" then
    local pieces = {}
    repeat
      local length = tonumber((assert(stream:read("line"))), 16)
      pieces[#pieces + 1] = length > 0 and stream:read(length) or nil
      assert(stream:read("line") == "")
    until length == 0
    response.body, response.pieces = table.concat(pieces), pieces
  else
    response.body = stream:read(size or "all")
  end
  return response
end

--- The response to bytes that are sent on a connection of their own.
function http_server.ask(server, bytes)
  local stream <close> = http_server.connect(server)
  assert(stream:write(bytes))
  return http_server.read_response(stream)
end

function http_server.get(server, target, headers)
  return http_server.ask(server, ("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"):format(target or "/", headers or ""))
end

function http_server.curl(server, words, path)
  local host, port = server:address()
  local command = { "curl", "--silent", "--show-error", "--max-time", "30", table.unpack(words) }
  command[#command + 1] = ("http://%s:%d%s"):format(host, port, path or "/")
  return assert(neap.run(command))
end

--- The server answers as it did before.
function http_server.assert_goes_on(server)
  local response = http_server.get(server)
  assert.are.same({ 200, "hello" }, { response.status, response.body })
end

return http_server
