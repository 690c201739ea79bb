-- How requests of the HTTP client fail, and what becomes of those that are cancelled.

local neap = require "neap"
local http_client = require "spec.http_client"
local servers = require "spec.servers"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local http = neap.http
local fails_with, run_beside = http_client.fails_with, http_client.run_beside

describe("what goes wrong", function()
  it("is nil, a message that says what was asked for, and a code", function()
    local listener = assert(neap.net.listen("127.0.0.1", 0))
    local _, port = listener:address()
    listener:close()
    local place = ("127.0.0.1:%d/"):format(port)
    local answer, message, code = http.get("http://" .. "me:secret@" .. place)
    assert.is_nil(answer)
    assert.are.equal(1, message:find("GET http://" .. place .. ": ", 1, true))
    assert.are.equal("ECONNREFUSED", code)
    fails_with("EAI_NONAME", http.get("http://nowhere.invalid/"))
    fails_with("EINVAL", http.get("gopher://127.0.0.1/"))
    fails_with("EINVAL", http.get("http://"))
  end)

  it("may be that there is no descriptor left", function()
    local result = support.run_with_few_descriptors([[
      local function try()
        local _, message, code = neap.http.get("http://127.0.0.1:1/")
        print(message, code)
      end
      try()
      local files = {}
      repeat
        local file = io.open("/dev/null")
        files[#files + 1] = file
      until not file
      try()
    ]])
    assert.are.equal("", result.stderr)
    local first, second = result.stdout:match("^([^\n]*)\n([^\n]*)\n$")
    assert.is_truthy(first:find("\tECONNREFUSED$"))
    assert.are.equal("GET http://127.0.0.1:1/: too many open files\tEMFILE", second)
  end)

  it("may be a connection that is reset", function()
    local server <close> = servers.raw(function(stream) stream:read("line") end, { unread = true })
    for _ = 1, 20 do fails_with("ECONNRESET", http.post(server.url, ("x"):rep(2 ^ 23))) end
  end)

  it("may be a connection that ends while TLS is begun", function()
    for _, unread in ipairs({ true, false }) do -- what is closed with bytes unread is reset
      local server <close> = servers.raw(function(stream)
        if not unread then stream:read() end
      end, { unread = true })
      local message = fails_with("ECONNRESET", http.get((server.url:gsub("http", "https")), { verify = false }))
      assert.matches("middle of TLS's handshake", message, 1, true)
    end
  end)

  it("may be an answer that ends before it is all there, or before it begins", function()
    local texts = {
      "", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf",
    }
    for _, text in ipairs(texts) do
      local server <close> = servers.raw(function(stream) stream:write(text) end)
      fails_with("EOF", http.get(server.url))
    end
  end)

  it("may be an answer that is no HTTP", function()
    for _, text in ipairs({ "220 welcome to mail\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n" }) do
      local server <close> = servers.raw(function(stream) stream:write(text) end)
      fails_with("EPROTO", http.get(server.url))
    end
  end)

  it("may be a body whose chunks are malformed", function()
    for _, chunks in ipairs({ "zz\r\nhello\r\n", "5\r\nhelloXX\r\n", ("f"):rep(40) .. "\r\nhello\r\n" }) do
      local server <close> = servers.raw(function(stream)
        stream:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" .. chunks .. "0\r\n\r\n")
      end)
      local _, message, code = http.get(server.url)
      assert.matches("chunk", message)
      assert.are.equal("EPROTO", code)
      fails_with("EPROTO", http.get(server.url, { to = function() end }))
    end
  end)

  --- That is how an answer with these lines in its head fails; `reason` is a pattern.
  local function is_refused_with(lines, reason)
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\n" .. lines .. "\r\n\r\nseven b")
    end)
    assert.matches(reason, fails_with("EPROTO", http.get(server.url)), lines)
  end

  it("may be an answer whose length is said in two ways, or is no number", function()
    for _, lengths in ipairs({ "Content-Length: 5\r\ncontent-length: 7", "Content-Length: 5, 7", "Content-Length: 5x",
      "Content-Length: +5", "Content-Length:", "Content-Length: 5,", "Content-Length: " .. ("9"):rep(20),
      "Content-Length: 7\r\nX: y\r\nContent-Length: 5" }) do
      is_refused_with(lengths, "[Ll]ength")
    end
  end)

  it("may be an answer with a blank behind the name of its length, which not everybody takes for one", function()
    for _, lines in ipairs({ "Content-Length : 7", "content-length\t: 7\r\nContent-Length: 5",
      "Content-Length: 5\r\nContent-Length \t: 5", "Transfer-Encoding : chunked\r\nContent-Length: 7" }) do
      is_refused_with(lines, "blank")
    end
  end)

  it("may be an answer that goes on in the next line with what ends its body, where not everybody looks", function()
    for _, lines in ipairs({ "Content-Length: 1\r\n 2", "Transfer-Encoding:\r\n\tchunked",
      "content-length: 7\r\n \t" }) do
      is_refused_with(lines, "two lines")
    end
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: a\r\n b\r\n\r\nbody")
    end)
    assert.are.equal("a b", assert(http.get(server.url)).headers.x)
  end)

  it("is no blank behind another name, nor in what begins like a length", function()
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nServer : old\r\nContent-Length-Of-Old : 9\r\nContent-Length: 4\r\n\r\nbody")
    end)
    local answer = assert(http.get(server.url))
    assert.are.equal("body", answer.body)
    assert.are.equal("old", answer.headers.server)
  end)

  it("is not a length that is said twice alike, nor one of another answer", function()
    local server <close> = servers.raw(function(stream, head)
      if head[1]:find("/there", 1, true) then
        stream:write("HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\nContent-Length: 4 \r\n\r\nbody")
      else
        stream:write("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
      end
    end)
    assert.are.equal("body", assert(http.get(server.url)).body)
  end)

  it("may be a proxy that does not lead on", function()
    local proxy <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    end)
    local _, message, code = http.get("https://127.0.0.1:9/", { proxy = proxy.url })
    assert.matches("403", message)
    assert.are.equal("ECONNREFUSED", code)
  end)

  it("may be a proxy that is none, whose password is not told", function()
    for scheme, password in pairs({ ftp = "secret", http = "se/cret" }) do
      local proxy = ("%s://%s:%s@127.0.0.1:1"):format(scheme, "me", password)
      local message = fails_with("EINVAL", http.get("http://127.0.0.1:1", { proxy = proxy }))
      assert.are.equal("GET http://127.0.0.1:1: there is no such proxy", message)
    end
  end)

  it("may be no answer in time", function()
    local server <close> = servers.raw(function(stream) stream:read() end)
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(http.get(server.url, { timeout = 0.05 })))
    fails_with("timeout", http.get(server.url, { timeout = 0 }))
    fails_with("timeout", neap.timeout(0.05, http.get, server.url))
  end)

  it("may be an answer that comes to a halt", function()
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
      stream:read()
    end)
    fails_with("timeout", http.get(server.url, { stall_timeout = 0.05 }))
    fails_with("timeout", http.get(server.url, { stall_timeout = 0.05, to = function() end }))
  end)

  it("may be a connection that takes too long to make", function()
    local server <close> = servers.raw(function(stream) -- which never answers the client's first word of TLS
      while stream:read() do end
    end, { unread = true })
    local url = server.url:gsub("http", "https")
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(http.get(url, { connect_timeout = 0.05 })))
  end)

  it("may be a body that is too large, whatever its length was said to be", function()
    local server <close> = servers.raw(function(stream) stream:write(servers.answer(("x"):rep(1001))) end)
    local _, message, code = http.get(server.url, { max_body = 1000 })
    assert.are.same({ ("GET %s: the body is larger than max_body"):format(server.url), "EMSGSIZE" }, { message, code })
    assert.are.equal(1001, #http.get(server.url, { max_body = 1001 }).body)
    local endless <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
      while stream:write("400\r\n" .. ("x"):rep(1024) .. "\r\n") do end
    end)
    fails_with("EMSGSIZE", http.get(endless.url, { max_body = 100000 }))
    fails_with("EMSGSIZE", http.get(endless.url, { max_body = 100000, to = function() end }))
  end)

  it("may be a body that is small until it is unpacked", function()
    local packed = neap.run { "sh", "-c", "head -c 10000000 /dev/zero | gzip -c" }.stdout
    local server <close> = servers.raw(function(stream)
      stream:write(servers.answer(packed, nil, "Content-Encoding: gzip"))
    end)
    fails_with("EMSGSIZE", http.get(server.url, { max_body = 1000000 }))
  end)

  it("may be a head that never ends", function()
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\n")
      while stream:write("X-More: of the same\r\n") do end
    end)
    fails_with("EMSGSIZE", http.get(server.url))
    local long <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nX-Long: " .. ("x"):rep(2 ^ 20) .. "\r\n\r\n")
    end)
    local _, message, code = http.get(long.url)
    assert.are.same({ ("GET %s: the head is too large"):format(long.url), "EMSGSIZE" }, { message, code })
  end)

  it("costs one request only, and neither the process nor its signals", function()
    local server <close> = servers.raw(function(stream) stream:read("line") end, { unread = true })
    local code = [[
      for _ = 1, 20 do
        local answer, message, code = neap.http.post((...), ("x"):rep(2 ^ 22))
        assert(code == "ECONNRESET", message)
      end
      print("alive")
    ]]
    assert.are.same({ status = 0, stdout = "alive\n", stderr = "" }, run_beside(code, server.url, nil, true))
  end)
end)

describe("cancelling a request", function()
  it("closes its connection, wherever it stands, and goes on with the others", function()
    local waiting, closed = neap.channel(3), neap.channel(3)
    local server <close> = servers.raw(function(stream, head)
      if head[1]:find("/good", 1, true) then return stream:write(servers.answer("good")) end
      if head[1]:find("/half", 1, true) then stream:write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") end
      waiting:send(true)
      while stream:read() do end
      closed:send(true)
    end)
    local never = neap.channel()
    local tasks = {
      neap.spawn(http.get, server.url .. "/none"), neap.spawn(http.get, server.url .. "/half"),
      neap.spawn(http.post, server.url .. "/body", function() return (never:recv()) end),
    }
    for _ = 1, 3 do waiting:recv() end
    for _, task in ipairs(tasks) do task:cancel() end
    for _, task in ipairs(tasks) do
      task:wait()
      assert.are.equal("cancelled", task:status())
    end
    for _ = 1, 3 do closed:recv() end
    assert.are.equal("good", http.get(server.url .. "/good").body)
  end)

  it("may come at any time #stress", function()
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" .. ("x"):rep(500000))
      neap.yield()
      stream:write(("x"):rep(500000))
    end)
    local seed = trial.seed()
    for _ = 1, 200 * support.stress do
      local task = neap.spawn({ quiet = true }, http.get, server.url, { to = function() end })
      for _ = 1, math.random(0, 12) do neap.yield() end
      if math.random() < 0.5 then neap.sleep(math.random() / 500) end
      task:cancel()
      task:wait()
      local status = task:status()
      assert.is_truthy(status == "cancelled" or status == "done", ("seed %d: %s"):format(seed, status))
    end
  end)
end)
