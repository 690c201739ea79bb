-- Where the bodies of requests come from, and where those of answers go.

local neap = require "neap"
local http_client = require "spec.http_client"
local servers = require "spec.servers"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local http = neap.http
local fails_with, echo_server, header_of = http_client.fails_with, http_client.echo_server, http_client.header_of

describe("a request's body", function()
  it("comes from a function, piece by piece, which may wait", function()
    local server <close>, asked = echo_server()
    local pieces = neap.channel()
    neap.spawn(function()
      for number = 1, 3 do pieces:send(("piece %d "):format(number)) end
      pieces:close()
    end)
    local task = neap.current()
    local answer = assert(http.post(server.url, function()
      assert.are.equal(task, neap.current())
      return (pieces:recv())
    end))
    assert.are.equal("thanks", answer.body)
    assert.are.equal("piece 1 piece 2 piece 3 ", asked.body)
    assert.are.equal("chunked", header_of(asked, "transfer-encoding"))
  end)

  it("may still be waited for when the answer begins to come", function()
    local written, pieces, received = neap.event(), 0, {}
    local server <close> = servers.raw(function(stream)
      assert(stream:read(#"5\r\npiece\r\n"))
      stream:write(servers.answer("no", nil, "Connection: close"))
      written:set()
      stream:read("all")
    end)
    local answer = assert(http.post(server.url, function()
      pieces = pieces + 1
      if pieces == 2 then
        written:wait()
        for _ = 1, 5 do neap.sleep(0.001) end -- turns of the loop
      end
      return pieces <= 2 and "piece" or nil
    end, { to = function(piece) received[#received + 1] = piece end }))
    assert.are.equal(200, answer.status)
    assert.are.equal("no", table.concat(received))
  end)

  it("is sent anew where a redirect comes while its function waits for the second piece", function()
    local asked_again, received = neap.event(), nil
    local server <close> = servers.raw(function(stream, head)
      if head[1]:find("/from", 1, true) then
        stream:write(servers.answer("moved", "307 Moved", "Location: /to", "Connection: close"))
        stream:shutdown()
        stream:read("all")
        return
      end
      asked_again:set()
      local pieces = {}
      for line in stream:lines() do
        if line == "0" then break end
        pieces[#pieces + 1] = stream:read(tonumber(line, 16))
        stream:read("line")
      end
      received = table.concat(pieces)
      stream:write(servers.answer("here", nil, "Connection: close"))
    end)
    local given = { "first ", "second" }
    local answer = assert(http.post(server.url .. "/from", function()
      if #given == 1 then asked_again:wait() end
      return table.remove(given, 1)
    end))
    assert.are.equal("here", answer.body)
    assert.are.equal("first second", received)
  end)

  it("is sent anew where a redirect comes after its function has begun to wait", function()
    local asking, asked_again, received = neap.event(), neap.event(), nil
    local server <close> = servers.raw(function(stream, head)
      if head[1]:find("/from", 1, true) then
        asking:wait()
        stream:write(servers.answer("moved", "307 Moved", "Location: /to", "Connection: close"))
        stream:shutdown()
        stream:read("all")
        return
      end
      asked_again:set()
      received = {}
      for line in stream:lines() do
        if line == "0" then break end
        received[#received + 1] = stream:read(tonumber(line, 16))
        stream:read("line")
      end
      stream:write(servers.answer("here", nil, "Connection: close"))
    end)
    local given = { "first ", "second" }
    local answer = assert(http.post(server.url .. "/from", function()
      if #given == 1 then
        asking:set()
        asked_again:wait()
      end
      return table.remove(given, 1)
    end))
    assert.are.equal("here", answer.body)
    assert.are.equal("first second", table.concat(received))
  end)

  it("of a known length is not sent in chunks", function()
    local server <close>, asked = echo_server()
    local left = { "abc", "", "de" }
    assert(http.put(server.url, function() return table.remove(left, 1) end, { headers = { ["Content-Length"] = 5 } }))
    assert.are.equal("5", header_of(asked, "content-length"))
    assert.are.equal("abcde", asked.body)
  end)

  it("that is not as long as it was said to be fails the request", function()
    local server <close> = echo_server()
    for given, problem in pairs({
      abc = "the body has ended after 3 of 5 bytes",
      abcdef = "the body is longer than the 5 bytes that were said",
    }) do
      local left = { given }
      local options = { headers = { ["Content-Length"] = 5 } }
      local message = fails_with("EINVAL", http.put(server.url, function() return table.remove(left, 1) end, options))
      assert.is_truthy(message:find(problem, 1, true), message)
    end
  end)

  it("comes from a file, by its path or open, from where it stands", function()
    local server <close>, asked = echo_server()
    local bytes = ("0123456789"):rep(50000)
    local file <close> = support.temporary_file(bytes)
    assert(http.put(server.url, { file = file.path }))
    assert.are.equal(tostring(#bytes), header_of(asked, "content-length"))
    assert.is_true(asked.body == bytes)
    local open <close> = neap.fs.open(file.path)
    open:read(4)
    assert(http.put(server.url, open))
    assert.is_true(asked.body == bytes:sub(5))
    assert.is_false(open:is_closed())
    fails_with("ENOENT", http.put(server.url, { file = file.path .. ".missing" }))
  end)

  it("comes from another stream", function()
    local server <close>, asked = echo_server()
    local program <close> = assert(neap.popen { "sh", "-c", "echo one; echo two", stdout = "pipe" })
    assert(http.post(server.url, program.stdout))
    assert.are.equal("one\ntwo\n", asked.body)
  end)

  it("that fails, fails the request", function()
    local server <close> = echo_server()
    fails_with("EIO", http.post(server.url, function() return nil, "broken disk", "EIO" end))
    local ok, problem = pcall(http.post, server.url, function() error("no more", 0) end)
    assert.is_false(ok)
    assert.are.equal("no more", problem)
    ok, problem = pcall(http.post, server.url, function() return {} end)
    assert.is_false(ok)
    assert.is_truthy(problem:find("string or nil expected, got table", 1, true))
  end)
end)

local function is_empty(folder) return #neap.fs.list(folder.path) == 0 end

describe("an answer", function()
  it("goes to a file, which has its name when it is whole", function()
    local folder <close> = servers.folder()
    local path = folder.path .. "/file"
    local half, whole = neap.event(), neap.event()
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" .. ("x"):rep(100000))
      half:set()
      whole:wait()
      stream:write(("y"):rep(100000))
    end)
    local task = neap.spawn(http.get, server.url, { to = path })
    half:wait()
    assert.is_nil(neap.fs.stat(path))
    whole:set()
    local answer = task:join()
    assert.are.equal(200, answer.status)
    assert.is_nil(answer.body)
    assert.are.equal(("x"):rep(100000) .. ("y"):rep(100000), neap.fs.read(path))
    assert.are.same({ "file" }, neap.fs.list(folder.path))
  end)

  it("without a body makes an empty file", function()
    local folder <close> = servers.folder()
    local server <close> = servers.raw(function(stream) stream:write(servers.answer("")) end)
    assert(http.get(server.url, { to = folder.path .. "/file" }))
    assert.are.equal("", neap.fs.read(folder.path .. "/file"))
  end)

  it("that is not all there leaves the file as it was", function()
    local folder <close> = servers.folder()
    local path = folder.path .. "/file"
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" .. ("x"):rep(100000))
    end)
    fails_with("EOF", http.get(server.url, { to = path }))
    assert.is_true(is_empty(folder))
    support.write_file(path, "as it was")
    fails_with("EOF", http.get(server.url, { to = path }))
    assert.are.equal("as it was", neap.fs.read(path))
    assert.are.same({ "file" }, neap.fs.list(folder.path))
  end)

  it("of a request that is cancelled leaves nothing behind", function()
    local folder <close> = servers.folder()
    local half, closed = neap.event(), neap.channel(1)
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" .. ("x"):rep(1000000))
      half:set()
      local _, _, code = stream:read()
      closed:send(code)
    end)
    local task = neap.spawn(http.get, server.url, { to = folder.path .. "/file" })
    half:wait()
    task:cancel()
    task:wait()
    assert.are.equal("cancelled", task:status())
    assert.is_truthy(closed:recv()) -- the connection is closed at once
    while not is_empty(folder) do neap.sleep(0.001) end -- the file may just be being made: it goes when it is there
  end)

  it("that says it failed is not written to the file", function()
    local folder <close> = servers.folder()
    local server <close> = servers.raw(function(stream)
      stream:write(servers.answer("no such thing", "404 Not Found"))
    end)
    local answer = assert(http.get(server.url, { to = folder.path .. "/file" }))
    assert.are.equal(404, answer.status)
    assert.are.equal("no such thing", answer.body)
    assert.is_true(is_empty(folder))
  end)

  it("cannot go where nothing can be written", function()
    local server <close> = servers.raw(function(stream) stream:write(servers.answer("body")) end)
    fails_with("ENOENT", http.get(server.url, { to = "/proc/nowhere/file" }))
    local message = fails_with("ENOSPC", http.get(server.url, { to = "/dev/full" }))
    assert.are.equal(("GET %s: cannot write /dev/full: no space left on device"):format(server.url), message)
  end)

  it("goes to a function, piece by piece, in the task that asks", function()
    local bytes = {}
    for number = 1, 100000 do bytes[number] = ("%09d\n"):format(number) end
    local server <close> = servers.nginx()
    local whole = table.concat(bytes)
    support.write_file(server.path .. "/file", whole)
    local pieces, task = {}, neap.current()
    local answer = assert(http.get(server.url .. "/file", { to = function(piece)
      assert.are.equal(task, neap.current())
      neap.yield()
      pieces[#pieces + 1] = piece
    end }))
    assert.is_nil(answer.body)
    assert.is_true(#pieces > 1)
    assert.is_true(table.concat(pieces) == whole)
    local ok, problem = pcall(http.get, server.url .. "/file", { to = function() error("enough", 0) end })
    assert.is_false(ok)
    assert.are.equal("enough", problem)
  end)

  it("waits for who takes it: the other side feels it", function()
    local stuck, release = neap.event(), neap.event()
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n")
      local block = ("x"):rep(2 ^ 20)
      for _ = 1, 256 do
        local done, _, _, written = stream:write(block, 0.5)
        if not done then
          stuck:set()
          release:wait()
          stream:write(block:sub(written + 1))
        end
      end
    end)
    local size = 0
    local task = neap.spawn(http.get, server.url, { to = function(piece)
      if size == 0 then stuck:wait() end
      release:set()
      size = size + #piece
    end })
    task:join()
    assert.are.equal(2 ^ 28, size)
  end)

  it("tells how far it is, in the task that asks", function()
    local go_on = neap.event()
    local server <close> = servers.raw(function(stream)
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" .. ("x"):rep(1000))
      go_on:wait()
      stream:write(("x"):rep(1000))
    end)
    local told, task = {}, neap.current()
    assert(http.get(server.url, { progress = function(received, expected, sent)
      assert.are.equal(task, neap.current())
      told[#told + 1] = { received, expected, sent }
      go_on:set()
    end }))
    assert.are.same({ 1000, 2000, 0 }, told[1])
    assert.are.same({ 2000, 2000, 0 }, told[#told])
  end)
end)
