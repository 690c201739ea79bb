-- What goes wrong at a server of HTTP: handlers that fail, and clients that send what they should not.

local neap = require "neap"
local http_server = require "spec.http_server"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local serve, hello, connect = http_server.serve, http_server.hello, http_server.connect
local read_response, ask, get = http_server.read_response, http_server.ask, http_server.get
local assert_goes_on, closed = http_server.assert_goes_on, http_server.closed

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
