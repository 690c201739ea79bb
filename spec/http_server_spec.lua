-- What a server of HTTP answers to whom, and its life. Bodies in pieces: http_server_body_spec.lua; what goes wrong:
-- http_server_failure_spec.lua.

local neap = require "neap"
local grid = require "spec.grid"
local http_server = require "spec.http_server"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local serve, hello, connect = http_server.serve, http_server.hello, http_server.connect
local read_response, ask, get = http_server.read_response, http_server.ask, http_server.get
local curl, closed = http_server.curl, http_server.closed

describe("neap.http.serve", function()
  it("answers with what the handler returns", function()
    local server <close> = serve(hello)
    local result = curl(server, { "--include" })
    assert.are.equal("", result.stderr)
    assert.is_truthy(result.stdout:find("^HTTP/1%.1 200 OK\r\n"))
    assert.is_truthy(result.stdout:find("\r\nContent%-Type: text/plain; charset=utf%-8\r\n"))
    assert.is_truthy(result.stdout:find("\r\nContent%-Length: 5\r\n"))
    assert.is_truthy(result.stdout:find("\r\nDate: %a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT\r\n"))
    assert.is_truthy(result.stdout:find("\r\n\r\nhello$"))
  end)

  it("gives the handler method, target, path, query, headers and body", function()
    local seen
    local server <close> = serve(function(request)
      seen = request
      return { status = 201, body = request.body:upper() }
    end)
    local result = curl(server, { "--data", "some text", "--header", "X-Word:  one ", "--header", "x-word: two",
      "--write-out", "|%{http_code}" }, "/a%20b/c?name=J%C3%BCrgen+X&empty=&flag")
    assert.are.equal("SOME TEXT|201", result.stdout)
    assert.are.equal("POST", seen.method)
    assert.are.equal("/a%20b/c?name=J%C3%BCrgen+X&empty=&flag", seen.target)
    assert.are.equal("/a b/c", seen.path)
    assert.are.same({ name = "Jürgen X", empty = "", flag = "" }, seen.query)
    assert.are.equal("one, two", seen.headers["X-Word"])
    assert.are.equal("one, two", seen.headers["x-word"])
    assert.is_nil(seen.headers.none)
    assert.are.equal("some text", seen.body)
  end)

  it("gives headers and query that may be sent to other threads and processes", function()
    local server <close> = serve(function(request)
      local function join(headers, query) return headers["X-Name"] .. headers.host .. query.a end
      return neap.thread(join, request.headers, request.query):join() ..
        neap.process(join, request.headers, request.query):join()
    end)
    assert.are.equal("vx1vx1", get(server, "/?a=1", "x-NAME: v\r\n").body)
  end)

  it("sends the status and headers of a table, and each of a list", function()
    local server <close> = serve(function()
      return { status = 404, headers = { ["Content-Type"] = "text/html", ["X-N"] = 5, ["Set-Cookie"] = { "a=1", "b=2" },
        ["Content-Length"] = 99 }, body = "<p>none" }
    end)
    local result = curl(server, { "--include" })
    assert.is_truthy(result.stdout:find("^HTTP/1%.1 404 Not Found\r\n"))
    for _, line in ipairs({ "Content-Type: text/html", "X-N: 5", "Set-Cookie: a=1", "Set-Cookie: b=2",
      "Content-Length: 7" }) do
      assert.is_truthy(result.stdout:find("\r\n" .. line .. "\r\n", 1, true), line)
    end
    assert.is_falsy(result.stdout:find("99", 1, true))
  end)

  it("keeps a connection for more requests, unless the client does not want that", function()
    local server <close> = serve(hello)
    local stream <close> = connect(server)
    for _ = 1, 3 do
      stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.are.equal("hello", read_response(stream).body)
    end
    stream:write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert.are.equal("close", read_response(stream).headers.connection)
    assert.are.same(closed, table.pack(stream:read()))
    local old <close> = connect(server)
    old:write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert.are.equal("keep-alive", read_response(old).headers.connection)
    old:write("GET / HTTP/1.0\r\n\r\n")
    assert.are.equal("close", read_response(old).headers.connection)
    assert.are.same(closed, table.pack(old:read()))
  end)

  it("answers requests that came at once in their order", function()
    local server <close> = serve(function(request)
      if request.path == "/0" then neap.sleep(0.01) end
      return request.path .. request.body
    end)
    local stream <close> = connect(server)
    local requests = {}
    for i = 0, 9 do
      requests[#requests + 1] = ("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nb%02d"):format(i, i)
    end
    stream:write(table.concat(requests))
    for i = 0, 9 do assert.are.equal(("/%db%02d"):format(i, i), read_response(stream).body) end
  end)

  it("ends the connection behind its last answer, whatever the client has sent besides", function()
    local server <close> = serve(function(request)
      return { headers = { Connection = request.path == "/last" and "close" or nil }, body = ("b"):rep(100000) }
    end)
    local asks = "GET / HTTP/1.1\r\nConnection: close\r\n"
    for _, head in ipairs({ "GET /last HTTP/1.1\r\n", asks, "GET / HTTP/1.0\r\n" }) do
      local stream <close> = connect(server)
      stream:write(head .. "Host: x\r\n\r\n" .. ("GET / HTTP/1.1\r\nHost: x\r\n\r\n"):rep(10000))
      assert.are.equal(100000, #read_response(stream).body)
      assert.are.same(closed, table.pack(stream:read()))
    end
  end)

  it("takes a request in whatever pieces it comes", function()
    local server <close> = serve(function(request) return request.headers["X-Long"] .. request.body end)
    local stream <close> = connect(server)
    local bytes = "POST /path HTTP/1.1\r\nHost: x\r\nX-Long: a  b\r\nTransfer-Encoding: chunked\r\n\r\n" ..
      "3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nX-Trailer: t\r\n\r\n"
    for i = 1, #bytes do stream:write(bytes:sub(i, i)) end
    assert.are.equal("a  babc0123456789abcdef", read_response(stream).body)
    stream:write(bytes)
    assert.are.equal("a  babc0123456789abcdef", read_response(stream).body)
  end)

  it("takes bodies with zeros and of many reads", function()
    local server <close> = serve(function(request) return tostring(#request.body) end)
    local body = ("\0\1x"):rep(2 ^ 20)
    local file <close> = support.temporary_file(body)
    local source = "@" .. file.path
    assert.are.equal(tostring(#body), curl(server, { "--data-binary", source }).stdout)
    local result = curl(server, { "--data-binary", source, "--header", "Transfer-Encoding: chunked" })
    assert.are.equal(tostring(#body), result.stdout)
  end)

  it("says of HEAD what it would say of GET, without a body", function()
    local server <close> = serve(function(request)
      assert(request.method == "HEAD")
      return "hello"
    end)
    local stream <close> = connect(server)
    for _ = 1, 2 do
      stream:write("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.are.equal("5", read_response(stream, true).headers["content-length"])
    end
  end)

  it("sends no body where there is none", function()
    local server <close> = serve(function(request)
      return { status = tonumber(request.path:sub(2)), body = "not sent" }
    end)
    local stream <close> = connect(server)
    for _, status in ipairs({ 204, 304, 204 }) do
      stream:write(("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(status))
      local response = read_response(stream, true)
      assert.are.equal(status, response.status)
      assert.is_nil(response.headers["content-length"])
    end
  end)

  it("calls no function for a body that is not sent", function()
    local calls = 0
    local server <close> = serve(function(request)
      return { status = tonumber(request.path:sub(2)), body = function() -- has no end
        calls = calls + 1
        return "piece"
      end }
    end)
    local stream <close> = connect(server)
    for _, line in ipairs({ "GET /204", "HEAD /200", "GET /304" }) do
      stream:write(line .. " HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.are.equal(line:sub(-3), tostring(read_response(stream, true).status))
    end
    assert.are.equal(0, calls)
  end)

  it("gives leave to send a body to who waits for it", function()
    local server <close> = serve(function(request) return request.body end)
    local stream <close> = connect(server)
    stream:write("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert.are.equal(100, read_response(stream).status)
    stream:write("text")
    assert.are.equal("text", read_response(stream).body)
  end)

  it("sends no leave to a client of HTTP/1.0, which would take it for the answer", function()
    local server <close> = serve(function(request) return request.body end)
    local head = "PUT / HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    assert.are.equal("text", ask(server, head .. "text").body)
  end)

  it("listens at a path", function()
    local path = os.tmpname()
    os.remove(path)
    local server <close> = serve({ host = "unix:" .. path, handler = hello })
    local result = assert(neap.run({ "curl", "-s", "--unix-socket", path, "http://localhost/" }))
    assert.are.equal("hello", result.stdout)
    assert.are.equal(path, (server:address()))
  end)

  it("tells why it cannot listen", function()
    local server <close> = serve(hello)
    local host, port = server:address()
    local _, message, code = neap.http.serve({ host = host, port = port, handler = hello })
    assert.are.equal("EADDRINUSE", code)
    assert.are.equal(("cannot listen at %s port %d: address already in use"):format(host, port), message)
  end)

  it("refuses options that make no sense", function()
    for _, bad in ipairs({ {}, { handler = 1 }, { handler = hello, port = 70000 }, { handler = hello, nonsense = true },
      { handler = hello, max_head = 2 ^ 20 },
      { handler = hello, listener = io.stdout }, { handler = hello, idle_timeout = -1 } }) do
      assert.has_error(function() neap.http.serve(bad) end)
    end
    assert.has_error(function() neap.http.serve() end,
      "bad argument #1 to 'serve' (option 'handler': function expected, got nil)")
  end)
end)

describe("a server", function()
  it("lets requests end when it is closed, and takes no more", function()
    local entered, leave = neap.event(), neap.event()
    local server = serve(function()
      entered:set()
      leave:wait()
      return "hello"
    end)
    local busy <close> = connect(server)
    local idle <close> = connect(server)
    busy:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    entered:wait()
    local host, port = server:address()
    local closer = grid.parked_task(server.close, server)
    assert.are.same(closed, table.pack(idle:read()))
    assert.is_nil(neap.net.connect(host, port))
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(server:wait(0)))
    leave:set()
    local response = read_response(busy)
    assert.are.same({ "hello", "close" }, { response.body, response.headers.connection })
    assert.is_true(closer:join())
    assert.is_true(server:wait())
    assert.is_true(server:close())
    assert.is_truthy(tostring(server):find("%(closed%)$"))
  end)

  it("cancels what has not ended within the grace", function()
    local entered, state = neap.event(), "new"
    local server = serve(function()
      local _ <close> = setmetatable({}, { __close = function() state = "closed" end })
      entered:set()
      neap.sleep(1000)
    end)
    local stream <close> = connect(server)
    stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    entered:wait()
    assert.is_true(server:close(0.01))
    assert.are.equal("closed", state)
    assert.are.same(closed, table.pack(stream:read()))
  end)

  it("can be closed by a handler", function()
    local server
    server = serve(function()
      assert(server:close())
      return "bye"
    end)
    assert.are.equal("bye", get(server).body)
    assert.is_true(server:wait())
  end)

  it("keeps the program alive until it is closed", function()
    local result = support.run_script([[
      local server
      server = neap.http.serve({ handler = function() server:close() return "bye" end })
      neap.thread(function(host, port)
        print(neap.run({ "curl", "-s", ("http://%s:%d/"):format(host, port) }).stdout)
      end, server:address())]])
    assert.are.same({ status = 0, stdout = "bye\n", stderr = "" }, result)
  end)

  it("takes no more connections at once than it may", function()
    local server <close> = serve({ max_connections = 1, handler = hello })
    local first <close> = connect(server)
    local second <close> = connect(server)
    first:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    read_response(first)
    second:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    local reader = grid.parked_task(read_response, second)
    first:close()
    assert.are.equal("hello", reader:join().body)
  end)

  it("shares a port, or a listener, with those of other threads", function()
    local function serve_one(where, answered)
      local here = require "neap"
      local options = type(where) == "number" and { port = where, reuseport = true } or { listener = where }
      options.handler = function()
        answered:set()
        return "hello"
      end
      local _ <close> = here.http.serve(options)
      answered:wait()
    end
    local first <close> = assert(neap.net.listen("127.0.0.1", 0, { reuseport = true }))
    local _, port = first:address()
    local function connect_until(event)
      repeat
        local stream <close> = neap.net.connect("127.0.0.1", port)
        if stream then
          stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
          stream:read("line", 0.2)
        end
      until event:wait(0)
    end
    for _, where in ipairs({ port, first }) do
      local answered = neap.event()
      local thread = neap.thread(serve_one, where, answered)
      connect_until(answered)
      thread:join()
    end
  end)
end)
