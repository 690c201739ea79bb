-- Bodies that are not there at once: responses that a server sends in pieces, requests that it reads so.

local neap = require "neap"
local http_server = require "spec.http_server"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local serve, hello, connect = http_server.serve, http_server.hello, http_server.connect
local read_response, ask, get = http_server.read_response, http_server.ask, http_server.get
local curl, closed = http_server.curl, http_server.closed

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

  it("is called for once, also when the one who reads it is cancelled, and goes on", function()
    local server <close> = serve({ stream = true, handler = function(request)
      for _ = 1, 3 do
        if neap.timeout(0, request.read, request) then return "too early" end
      end
      return request:read("all")
    end })
    local stream <close> = connect(server)
    stream:write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert.are.equal("HTTP/1.1 100 Continue", (stream:read("line", 60)))
    assert.are.equal("", (stream:read("line")))
    stream:write("text")
    assert.are.equal("text", read_response(stream).body)
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

  it("is nothing more once it was refused, and the connection ends", function()
    local seen, count = {}, 0
    local server <close> = serve({ stream = true, max_body = 10, handler = function(request)
      count = count + 1
      for _ = 1, 8 do seen[#seen + 1] = table.pack(request:read("all")) end
      return "hello"
    end })
    for status, size in pairs({ [400] = "zz", [413] = "b" }) do
      local stream <close> = connect(server)
      stream:write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" .. size ..
        "\r\n01234567890\r\n3\r\nabc\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.are.equal("hello", read_response(stream).body)
      assert.is_nil(stream:read("some"))
      assert.are.equal(8, #seen)
      for _, result in ipairs(seen) do assert.are.same({ nil, status }, { result[1], result[3] }) end
      seen = {}
    end
    assert.are.equal(2, count)
  end)
end)
