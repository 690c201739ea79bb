local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local closed = table.pack(nil, "closed", "closed")

--- A server on a free port; `options` may be its handler alone.
local function serve(options)
  if type(options) == "function" then options = { handler = options } end
  return assert(neap.http.serve(options))
end

local function hello() return "hello" end

local function connect(server) return assert(neap.net.connect(server:address())) end

--- Reads a response: { status, headers, body }. Without a length its body is what comes to the end.
local function read_response(stream, is_head)
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
local function ask(server, bytes)
  local stream <close> = connect(server)
  assert(stream:write(bytes))
  return read_response(stream)
end

local function get(server, target, headers)
  return ask(server, ("GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"):format(target or "/", headers or ""))
end

local function curl(server, words, path)
  local host, port = server:address()
  local command = { "curl", "--silent", "--show-error", "--max-time", "30", table.unpack(words) }
  command[#command + 1] = ("http://%s:%d%s"):format(host, port, path or "/")
  return assert(neap.run(command))
end

--- The server answers as it did before.
local function assert_goes_on(server)
  local response = get(server)
  assert.are.same({ 200, "hello" }, { response.status, response.body })
end

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

describe("a response in pieces", function()
  it("is what a function gives, one call after the other", function()
    local server <close> = serve(function()
      local count = 0
      return { headers = { ["Content-Type"] = "text/csv" }, body = function()
        count = count + 1
        neap.yield()
        if count <= 3 then return ("%d,"):format(count) end
      end }
    end)
    local response = get(server)
    assert.are.same({ "1,", "2,", "3," }, response.pieces)
    assert.are.equal("text/csv", response.headers["content-type"])
    assert.are.equal("1,2,3,", curl(server, {}).stdout)
    assert.are.equal("1,2,3,", curl(server, { "--http1.0" }).stdout)
  end)

  it("is what a writer is given", function()
    local server <close> = serve(function(request)
      local writer <close> = request:respond({ status = 202, headers = { ["X-Kind"] = "pieces" } })
      assert(writer:write("one "))
      assert(writer:write(""))
      assert(writer:write("two"))
    end)
    local stream <close> = connect(server)
    for _ = 1, 2 do
      stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      local response = read_response(stream)
      assert.are.same({ 202, "pieces", "one two" }, { response.status, response.headers["x-kind"], response.body })
      stream:write("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.are.equal("chunked", read_response(stream, true).headers["transfer-encoding"])
    end
  end)

  it("is cut off where the handler fails in the middle", function()
    local messages = {}
    local function handler(request)
      local writer <close> = request:respond()
      writer:write("part")
      error("in the middle", 0)
    end
    local server <close> = serve({ handler = handler, on_error = function(err) messages[#messages + 1] = err end })
    local result = curl(server, {})
    assert.are.equal("part", result.stdout)
    assert.are_not.equal(0, result.code)
    assert.are.same({ "in the middle" }, messages)
  end)

  it("is cut off also where the handler catches that failure, and nothing else is taken for its rest", function()
    local server <close> = serve(function(request)
      if request.path == "/next" then return "next" end
      pcall(function()
        local writer <close> = request:respond()
        if request.path == "/begun" then writer:write("a") end
        error("caught")
      end)
    end)
    for path, text in pairs({ ["/begun"] = "\r\n\r\n1\r\na\r\n$", ["/new"] = "^$" }) do
      local stream <close> = connect(server)
      stream:write(("GET %s HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n"):format(path))
      assert.matches(text, (assert(stream:read("all", 10))))
    end
    assert.are.equal("next", get(server, "/next").body)
  end)

  it("has nothing behind a piece that has not got through", function()
    local big = ("x"):rep(2 ^ 24)
    local function assert_cut(options, write)
      local begun, results = neap.event(), nil
      options.handler = function(request)
        local writer <close> = request:respond()
        write(writer, begun)
        results = { table.pack(writer:write("more")), table.pack(writer:close()) }
      end
      local server <close> = serve(options)
      local stream <close> = connect(server)
      stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      stream:read(1)
      begun:set()
      while not results do neap.yield() end
      local text = assert(stream:read("all", 10))
      assert.are.equal("x", text:sub(-1))
      assert.is_true(#text < #big)
      return results
    end
    local late = table.pack(nil, "timeout", "timeout")
    assert.are.same({ late, late }, assert_cut({ write_timeout = 0.05 }, function(writer)
      assert.are.same(late, table.pack(writer:write(big)))
    end))
    assert.are.same({ closed, closed }, assert_cut({}, function(writer, begun)
      local task = neap.spawn({ quiet = true }, writer.write, writer, big)
      begun:wait()
      task:cancel()
      task:wait()
    end))
  end)

  it("tells the handler that the client has gone", function()
    local codes = neap.channel(1)
    local server <close> = serve(function(request)
      local writer <close> = request:respond()
      local ok, message, code
      repeat ok, message, code = writer:write(("x"):rep(2 ^ 16)) until not ok
      assert(type(message) == "string")
      codes:send(code)
    end)
    local stream = connect(server)
    stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    stream:read(100)
    stream:close()
    local code = codes:recv()
    assert.is_truthy(code == "EPIPE" or code == "ECONNRESET", code)
  end)
end)

describe("a body that is read in pieces", function()
  local function count_lines(request)
    local count = 0
    while request:read("line") do count = count + 1 end
    return tostring(count)
  end

  it("is read by the handler, as from a stream", function()
    local server <close> = serve({ stream = true, handler = count_lines })
    local file <close> = support.temporary_file(("line\n"):rep(10000))
    assert.are.equal("10000", curl(server, { "--data-binary", "@" .. file.path }).stdout)
    assert.are.equal("10000", curl(server, { "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue",
      "--data-binary", "@" .. file.path }).stdout)
    assert.are.equal("0", curl(server, {}).stdout)
  end)

  it("is not called for in the middle of a response", function()
    local server <close> = serve({ stream = true, handler = function(request)
      local writer <close> = request:respond()
      if request.path == "/begun" then writer:write("got ") end
      writer:write(request:read("all"))
    end })
    local text = " HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\ntext"
    assert.are.same({ "got ", "text" }, ask(server, "POST /begun" .. text).pieces)
    local stream <close> = connect(server)
    stream:write("POST /new" .. text)
    assert.are.equal(100, read_response(stream).status)
    assert.are.equal("text", read_response(stream).body)
  end)

  it("ends the connection when it is not read", function()
    local server <close> = serve({ stream = true, handler = hello })
    local stream <close> = connect(server)
    stream:write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    local response = read_response(stream)
    assert.are.same({ "hello", "close" }, { response.body, response.headers.connection })
    assert.are.same(closed, table.pack(stream:read()))
  end)

  it("is not the next request's, for a task that still waits for it", function()
    local waits, seen = neap.event(), nil
    local server <close> = serve({ stream = true, handler = function(request)
      if request.target == "/next" then return request.headers.x end
      neap.spawn(function()
        waits:set()
        seen = table.pack(request:read())
      end)
      return request:read("all")
    end })
    local stream <close> = connect(server)
    stream:write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    waits:wait()
    neap.yield() -- and then it reads, behind the handler
    stream:write("helloGET /next HTTP/1.1\r\nHost: x\r\nX: ab")
    assert.are.equal("hello", read_response(stream).body)
    stream:write("c\r\n\r\n")
    assert.are.equal("abc", read_response(stream).body)
    assert.are.same(closed, seen)
  end)

  it("has its limit too", function()
    local seen
    local server <close> = serve({ stream = true, max_body = 10, handler = function(request)
      seen = table.pack(request:read("all"))
      return "hello"
    end })
    ask(server, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n")
    assert.are.same(table.pack(nil, "the body is too large", 413), seen)
  end)
end)

local function collecting_often()
  collectgarbage("incremental", 100, 1000)
  return setmetatable({}, { __close = function() collectgarbage("incremental", 200, 100) end })
end

describe("a handler that fails", function()
  it("is told what was wrong with its answer", function()
    local answer, told
    local server <close> = serve({ handler = function() return answer end, on_error = function(err) told = err end })
    for message, wrong in pairs({
      ["status: an integer between 200 and 999 expected, got 'ok'"] = { status = "ok" },
      ["status: an integer between 200 and 999 expected, got 103"] = { status = 103 },
      ["status: an integer between 200 and 999 expected, got '204'"] = { status = "204", body = function() end },
      ["the body's function: string or nil expected, got number"] = { body = function() return 1 end },
      ["headers: table expected, got string"] = { headers = "X: y" },
      ["header 'X': a value is one line"] = { headers = { X = "a\r\nb" } },
      ["header 'X': string or number expected, got boolean"] = { headers = { X = true } },
      ["'a b' is no name of a header"] = { headers = { ["a b"] = "c" } },
    }) do
      answer = wrong
      assert.are.equal(500, ask(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").status)
      assert.are.equal(message, told)
    end
  end)

  it("is told where it has answered in a wrong way", function()
    local told
    local server <close> = serve({ handler = function(request) request:respond({ status = 1 }) end,
      on_error = function(err) told = err end })
    assert.are.equal(500, ask(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").status)
    assert.matches("^[^[]+_spec%.lua:%d+: status: an integer between 200 and 999 expected, got 1$", told)
  end)

  it("is answered for with 500, and told to on_error, with its traceback", function()
    local told
    local server <close> = serve({ on_error = function(...) told = table.pack(...) end, handler = function(request)
      if request.path == "/fail" then error({ "a secret" }) end
      if request.path == "/nothing" then return end
      return "hello"
    end })
    local stream <close> = connect(server)
    stream:write("GET /fail HTTP/1.1\r\nHost: x\r\n\r\n")
    local response = read_response(stream)
    assert.are.same({ 500, "Internal Server Error\n" }, { response.status, response.body })
    assert.are.same({ "a secret" }, told[1])
    assert.is_truthy(told[2]:find("stack traceback"))
    assert.are.equal("/fail", told[3].path)
    stream:write("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.are.equal(500, read_response(stream).status)
    assert.is_truthy(told[1]:find("a handler returns a string or a table with a body, not nil", 1, true))
    assert_goes_on(server)
  end)

  it("is answered for even if on_error fails too, which is a failure of its task", function()
    local result = support.run_script([[
      local heard = neap.event()
      neap.on_error(function(_, err)
        print(err.told[1])
        heard:set()
      end)
      local server = neap.http.serve({ on_error = function(err) error({ told = err }) end, handler = function()
        error(setmetatable({ "first" }, { __tostring = function() error("second") end }))
      end })
      local host, port = server:address()
      local answer = neap.run({ "curl", "-s", ("http://%s:%d/"):format(host, port) }).stdout
      heard:wait()
      io.write(answer)
      server:close()]])
    assert.are.same({ status = 1, stdout = "first\nInternal Server Error\n", stderr = "" }, result)
  end)

  it("is told to the standard error of the program, not to the client", function()
    local result = support.run_script([[
      local server = neap.http.serve({ handler = function() error("a secret") end })
      local host, port = server:address()
      io.write(neap.run({ "curl", "-s", ("http://%s:%d/x"):format(host, port) }).stdout)
      server:close()]])
    assert.are.equal("Internal Server Error\n", result.stdout)
    assert.are.equal(1, (result.stderr:find("neap.http: GET /x: script:1: a secret\nstack traceback", 1, true)))
    assert.are.equal(0, result.status)
  end)

  it("may have a finaliser that changes its headers while they are composed", function()
    local headers, short, long = { x = "" }, "", ("x"):rep(100000)
    for i = 1, 2000 do headers["n" .. i] = i end
    local goes_on = true
    local function change()
      setmetatable({}, { __gc = function()
        headers.x = headers.x == short and long or short
        if goes_on then change() end
      end })
    end
    local told = {}
    local server <close> = serve({ handler = function() return { headers = headers, body = "hello" } end,
      on_error = function(err) told[#told + 1] = err end })
    local stream <close> = connect(server)
    change()
    local mode <close> = collecting_often() -- luacheck: ignore
    for _ = 1, 3 do
      stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
      local response = read_response(stream)
      assert.are.equal(response.status == 200 and "hello" or "Internal Server Error\n", response.body)
    end
    goes_on = false
    for _, err in ipairs(told) do assert.matches("the headers were changed by a finaliser", err, 1, true) end
  end)

  it("cannot smuggle in a header", function()
    local told
    local server <close> = serve({ on_error = function(err) told = err end, handler = function(request)
      return { headers = { [request.headers["x-name"]] = request.query.value }, body = "x" }
    end })
    for _, case in ipairs({ { "X-A", "one%0D%0AX-B:%20two" }, { "X A", "one" } }) do
      told = nil
      local response = get(server, "/?value=" .. case[2], "X-Name: " .. case[1] .. "\r\n")
      assert.are.equal(500, response.status)
      assert.is_truthy(told)
    end
  end)
end)

describe("bad input to a server:", function()
  it("a header of 1 MB is refused with 431", function()
    local server <close> = serve(hello)
    local stream <close> = connect(server)
    neap.spawn(function() stream:write("GET / HTTP/1.1\r\nHost: x\r\nX-Long: " .. ("x"):rep(2 ^ 20) .. "\r\n\r\n") end)
    assert.are.equal(431, read_response(stream).status)
    assert.are.equal(431, get(server, "/", ("X-Many: 1\r\n"):rep(500)).status)
    assert_goes_on(server)
  end)

  it("a body past its limit is refused with 413", function()
    local server <close> = serve({ max_body = 100, handler = hello })
    assert.are.equal(413, ask(server, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n").status)
    local chunk = "33\r\n" .. ("x"):rep(0x33) .. "\r\n"
    assert.are.equal(413, ask(server, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" ..
      chunk .. chunk).status)
    local exact = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" .. ("x"):rep(100)
    assert.are.equal(200, ask(server, exact).status)
    local asking = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n"
    assert.are.equal(413, ask(server, asking).status)
    assert_goes_on(server)
  end)

  it("what is no HTTP is refused with 400", function()
    local server <close> = serve(hello)
    local host = "Host: x\r\n"
    for _, bytes in ipairs({ "\22\3\1\2\0\1\0\1\252\3\3", "GET\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\n" .. host .. "HOST: y\r\n\r\n", "GET / HTTP/1.0\r\n" .. host .. host .. "\r\n",
      "GET / HTTP/1.1\r\n" .. host .. "no colon\r\n\r\n", "BREW / HTTP/1.1\r\n" .. host .. "\r\n",
      "GET / HTTP/1.1\r\n" .. host .. "X: a\r\n b\r\n\r\n",
      "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
      "POST / HTTP/1.1\r\n" .. host .. "Content-Length: -1\r\n\r\nx",
      "POST / HTTP/1.1\r\n" .. host .. "Content-Length : 1\r\n\r\nx",
      "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x y\r\n\r\n", "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n",
      "GET / HTTP/1.0\r\nHost: x/y\r\n\r\n",
      "CONNECT x:1 HTTP/1.1\r\n" .. host .. "Content-Length: 1\r\n\r\nx",
      "CONNECT x:1 HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked\r\n\r\nzz\r\n" }) do
      assert.are.equal(400, ask(server, bytes).status, bytes)
    end
    assert.are.equal(505, ask(server, "GET / HTTP/2.0\r\nHost: x\r\n\r\n").status)
    for _, coding in ipairs({ "gzip", "gzip, chunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked" }) do
      local head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " .. coding
      assert.are.equal(501, ask(server, head .. "\r\n\r\n0\r\n\r\n").status, coding)
    end
    local blanks = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:  Chunked \r\n\r\n0\r\n\r\n"
    assert.are.equal(200, ask(server, blanks).status)
    for _, name in ipairs({ "", "a_b.example:80", "[::1]:80", "xn--nxa.example \t" }) do
      assert.are.equal(200, ask(server, "GET / HTTP/1.1\r\nHost: " .. name .. "\r\n\r\n").status, name)
    end
    assert_goes_on(server)
  end)

  it("a request that is half sent, and goes no further, is refused with 408", function()
    local server <close> = serve({ head_timeout = 0.05, body_timeout = 0.05, handler = hello })
    assert.are.equal(408, ask(server, "GET / HTTP/1.1\r\nHost: x\r\n").status)
    assert.are.equal(408, ask(server, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345").status)
    assert_goes_on(server)
  end)

  it("a client that sends one byte now and then does not hold its connection", function()
    local server <close> = serve({ head_timeout = 0.2, handler = hello })
    local stream <close> = connect(server)
    local drip = neap.spawn(function()
      for byte in ("GET / HTTP/1.1\r\nX-Slow: " .. ("x"):rep(10000)):gmatch(".") do
        if not stream:write(byte) then break end
        neap.sleep(0.01)
      end
    end)
    assert.are.equal(408, read_response(stream).status)
    drip:cancel()
    assert_goes_on(server)
  end)

  it("a client that breaks off in the middle costs only its own request", function()
    local server <close> = serve(hello)
    for _, bytes in ipairs({ "GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123", "" }) do
      local stream = connect(server)
      stream:write(bytes)
      stream:shutdown()
      assert.are.same(closed, table.pack(stream:read()), bytes)
      stream:close()
    end
    assert_goes_on(server)
  end)

  it("a client that says nothing is closed", function()
    local server <close> = serve({ idle_timeout = 0.01, handler = hello })
    local stream <close> = connect(server)
    assert.are.same(closed, table.pack(stream:read()))
  end)

  it("a client that does not read is closed", function()
    local server <close> = serve({ write_timeout = 0.05, handler = function() return ("x"):rep(2 ^ 25) end })
    local stream <close> = connect(server)
    stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    while tostring(server):find("0 connections", 1, true) do neap.yield() end
    while tostring(server):find("1 connections", 1, true) do neap.sleep(0.001) end
    assert.is_true(#stream:read("some") > 0)
  end)

  it("descriptors run out: it goes on when there are some again", function()
    local result = support.run_script([[
      local server = neap.http.serve({ handler = function() return "hello" end })
      local clients = {}
      local function ask(stream)
        stream:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return stream:read("line")
      end
      local host, port = server:address()
      local first = neap.net.connect(host, port)
      assert(ask(first) == "HTTP/1.1 200 OK")
      local files = {}
      while true do
        local file = io.open("/dev/null")
        if not file then break end
        files[#files + 1] = file
      end
      table.remove(files):close()
      local second = neap.net.connect(host, port)
      local waiter = neap.spawn(ask, second)
      assert(ask(first):find("^Date") == 1)
      table.remove(files):close()
      print(waiter:join())
      server:close()]], nil, {})
    assert.are.same({ status = 0, stdout = "HTTP/1.1 200 OK\n", stderr = "" }, result)
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
