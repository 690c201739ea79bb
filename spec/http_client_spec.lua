local neap = require "neap"
local servers = require "spec.servers"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local http = neap.http

local function fails_with(code, ...)
  local answer, message, got = ...
  assert.is_nil(answer)
  assert.are.equal("string", type(message))
  assert.are.equal(code, got)
  return message
end

--- A server that answers with what it was asked: { lines =, body = } of the last request.
local function echo_server()
  local asked = {}
  local server = servers.raw(function(stream, head)
    asked.lines = head
    local text = table.concat(head, "\n")
    local length = text:match("\n[Cc]ontent%-[Ll]ength: (%d+)")
    if length then
      asked.body = length == "0" and "" or stream:read(tonumber(length))
    elseif text:find("chunked", 1, true) then
      local pieces = {}
      repeat
        local size = tonumber(stream:read("line"), 16)
        if size > 0 then pieces[#pieces + 1] = stream:read(size) end
        stream:read("line")
      until size == 0
      asked.body, asked.pieces = table.concat(pieces), pieces
    end
    stream:write(servers.answer("thanks"))
  end)
  return server, asked
end

local function header_of(asked, name)
  for _, line in ipairs(asked.lines) do
    local key, value = line:match("^([^:]+):%s*(.*)$")
    if key and key:lower() == name then return value end
  end
end

--- Runs a script as support.run_script does, while servers of ours go on; `plain` in a stock lua5.4.
local function run_beside(code, argument, environment, plain)
  local script <close> = support.temporary_file('local neap = require "neap"; ' .. code)
  environment = environment or {}
  environment.LUA_CPATH = os.getenv("LUA_CPATH") or "./build/?.so;;"
  local result = assert(neap.run { plain and support.lua or support.runner, script.path, argument, env = environment,
    timeout = 60 })
  return { status = result.code or 128 + result.signal, stdout = result.stdout, stderr = result.stderr }
end

local function is_empty(folder) return #neap.fs.list(folder.path) == 0 end

describe("an HTTP request", function()
  it("brings status, reason, headers, body and URL", function()
    local server <close> = servers.raw(function(stream)
      stream:write(servers.answer("a body\0", "404 Nothing Here", "X-One: 1"))
    end)
    local answer = assert(http.get(server.url .. "/path?query=1"))
    assert.are.equal(404, answer.status)
    assert.are.equal("Nothing Here", answer.reason)
    assert.are.equal("1", answer.headers["x-one"])
    assert.are.equal("a body\0", answer.body)
    assert.are.equal(server.url .. "/path?query=1", answer.url)
  end)

  it("finds headers however their names are written, and joins those that come more than once", function()
    local server <close> = servers.raw(function(stream)
      stream:write(servers.answer("", nil, "X-List: a", "x-list: b", "Set-Cookie: a=1, 2", "Set-Cookie: b=3"))
    end)
    local headers = http.get(server.url).headers
    assert.are.equal("a, b", headers["X-LIST"])
    assert.are.equal("a=1, 2\nb=3", headers["set-cookie"])
    assert.is_nil(headers["x-other"])
  end)

  it("sends method, path, headers and body as they are given", function()
    local server <close>, asked = echo_server()
    local headers = { ["X-Text"] = "some text", ["x-number"] = 12, ["X-Empty"] = "", ["X-Two"] = { "a", "b" } }
    local body = "bytes\0\r\n" .. ("x"):rep(100000)
    assert(http.request { method = "patch", url = server.url .. "/path?a=b", headers = headers, body = body })
    assert.are.equal("PATCH /path?a=b HTTP/1.1", asked.lines[1])
    assert.are.equal("some text", header_of(asked, "x-text"))
    assert.are.equal("12", header_of(asked, "x-number"))
    assert.are.equal("", header_of(asked, "x-empty"))
    assert.is_truthy(table.concat(asked.lines, "\n"):find("X-Two: a\nX-Two: b", 1, true))
    assert.are.equal(body, asked.body)
  end)

  it("has a function for each common method", function()
    local server <close>, asked = echo_server()
    local methods = { get = "GET", delete = "DELETE", post = "POST", put = "PUT", patch = "PATCH" }
    for name, method in pairs(methods) do
      local has_body = name:find("^p")
      asked.body = nil
      assert.are.equal("thanks", http[name](server.url, has_body and "" or nil).body)
      assert.are.equal(method .. " / HTTP/1.1", asked.lines[1])
      assert.are.equal(has_body and "" or nil, asked.body)
    end
  end)

  it("asks for the head alone", function()
    local server <close> = servers.raw(function(stream, head)
      assert(head[1]:find("^HEAD "))
      stream:write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    end)
    local answer = assert(http.head(server.url))
    assert.are.equal("1000", answer.headers["content-length"])
    assert.are.equal("", answer.body)
  end)

  it("adds no type of its own to a body, and says who asks", function()
    local server <close>, asked = echo_server()
    http.post(server.url, "text")
    assert.is_nil(header_of(asked, "content-type"))
    assert.is_nil(header_of(asked, "expect"))
    assert.are.equal("neap/" .. neap.version, header_of(asked, "user-agent"))
    http.post(server.url, "text", { headers = { ["content-type"] = "text/plain", ["User-Agent"] = "me" } })
    assert.are.equal("text/plain", header_of(asked, "content-type"))
    assert.are.equal("me", header_of(asked, "user-agent"))
  end)

  it("sends name and password", function()
    local server <close>, asked = echo_server()
    http.get(server.url, { auth = { "me", "open sesame" } })
    assert.are.equal("Basic bWU6b3BlbiBzZXNhbWU=", header_of(asked, "authorization"))
  end)

  it("tells no password when it fails, be it that the URL is none for it", function()
    local function assert_told(url, asked)
      local message = select(2, http.get(asked))
      assert.are.equal("GET " .. url .. ": ", message:sub(1, #url + 6))
    end
    local url = "http://127.0.0.1:1/a@b"
    for _, password in ipairs({ "secret", "p@secret", ":secret", "" }) do
      assert_told(url, (url:gsub("//", "//me:" .. password .. "@")))
    end
    url = "http://127.0.0.1:1?a@b"
    assert_told(url, url)
  end)

  it("goes through a proxy, or through none", function()
    local proxy <close>, asked = echo_server()
    assert(http.get("http://somewhere.invalid/path", { proxy = proxy.url }))
    assert.are.equal("GET http://somewhere.invalid/path HTTP/1.1", asked.lines[1])
    local server <close> = servers.raw(function(stream) stream:write(servers.answer("directly")) end)
    local result = run_beside([[
      local url = ...
      io.write(neap.http.get(url, { proxy = false }).body, " ", neap.http.get(url).body)
    ]], server.url, { http_proxy = proxy.url })
    assert.are.same({ status = 0, stdout = "directly thanks", stderr = "" }, result)
  end)

  it("unpacks what comes compressed, and can do without", function()
    local packed = assert(neap.run { "gzip", "-c", stdin = ("text "):rep(1000) }).stdout
    local asked
    local server <close> = servers.raw(function(stream, head)
      asked = table.concat(head, "\n"):lower()
      stream:write(servers.answer(packed, nil, "Content-Encoding: gzip"))
    end)
    assert.are.equal(("text "):rep(1000), http.get(server.url).body)
    assert.is_truthy(asked:find("accept%-encoding: [^\n]*gzip"))
    assert.are.equal(packed, http.get(server.url, { compressed = false }).body)
    assert.is_falsy(asked:find("accept-encoding", 1, true))
  end)

  it("raises for what cannot be", function()
    local url = "http://127.0.0.1/"
    local cases = {
      { http.get, nil, "bad argument #1 to 'get' %(URL: string" },
      { http.get, "http://a.invalid/\nb", "bad argument #1 to 'get' %(URL: string without line ends" },
      { http.get, url, 5, "bad argument #2 to 'get' %(table of options expected, got number" },
      { http.get, url, { tineout = 5 }, "unknown option 'tineout'" },
      { http.get, url, { timeout = -1 }, "option 'timeout': number of seconds that is not negative" },
      { http.get, url, { headers = { a = "b\r\nc" } }, "header 'a'" },
      { http.get, url, { headers = { ["a b"] = "c" } }, "'a b' is no name of a header" },
      { http.get, url, { headers = { a = true } }, "header 'a': string without line ends expected, got boolean" },
      { http.post, url, "bad argument #2 to 'post' %(body: string, function, open file" },
      { http.post, url, io.stdout and 5, "bad argument #2 to 'post' %(body" },
      { http.request, "url", "bad argument #1 to 'request' %(table expected, got string" },
      { http.request, { method = "GET" }, "option 'url' is needed" },
      { http.request, { url = url, method = "GET / HTTP/1.1" }, "option 'method': a word such as 'GET' expected" },
      { http.request, { url = url, method = "head", body = "b" }, "option 'body': a HEAD request has none" },
    }
    for number, case in ipairs(cases) do
      local ok, problem = pcall(case[1], table.unpack(case, 2, #case - 1))
      assert.is_false(ok, "case " .. number)
      assert.is_truthy(tostring(problem):find(case[#case]), ("case %d: %s"):format(number, problem))
    end
  end)

  it("runs in each thread, and its answer may be sent", function()
    local server <close> = servers.raw(function(stream) stream:write(servers.answer("hello", nil, "X-A: b")) end)
    local threads = {}
    for number = 1, 4 do
      threads[number] = neap.thread(function(url) return require("neap").http.get(url) end, server.url)
    end
    for _, answer in ipairs(neap.gather(threads)) do
      assert.are.equal("hello", answer.body)
      assert.are.equal("b", answer.headers["x-a"])
    end
  end)

  it("lets its program end while connections are kept", function()
    local server <close> = servers.nginx("location / { return 200 yes; }")
    local code = [[ io.write(neap.http.get(...).body) ]]
    assert.are.same({ status = 0, stdout = "yes", stderr = "" }, run_beside(code, server.url))
    assert.are.same({ status = 0, stdout = "yes", stderr = "" }, run_beside(code, server.url, nil, true))
  end)

  it("loads libcurl when it is first used, and says what is missing where there is none", function()
    local server <close> = servers.raw(function(stream) stream:write(servers.answer("")) end)
    local code = [[
      local function loaded()
        local maps <close> = io.open("/proc/self/maps")
        return maps:read("a"):find("libcurl", 1, true) ~= nil
      end
      local before = loaded()
      neap.http.get(...)
      print(before, loaded())
    ]]
    assert.are.equal("false\ttrue\n", run_beside(code, server.url).stdout)
    local folder <close> = servers.folder()
    support.write_file(folder.path .. "/libcurl.so.4", "no library")
    local result = run_beside([[ print(pcall(neap.http.get, ...)) ]], server.url, { LD_LIBRARY_PATH = folder.path })
    local message = "the HTTP client needs libcurl (libcurl.so.4; in Debian the package libcurl4)"
    assert.are.equal("false\t" .. message .. "\n", result.stdout)
  end)

  it("tells that there is no descriptor left to load libcurl with, and loads it when there is one", function()
    local server <close> = servers.raw(function(stream) stream:write(servers.answer("yes")) end)
    local script <close> = support.temporary_file([[
      local neap = require "neap"
      local files = {}
      repeat
        local file = io.open("/dev/null")
        files[#files + 1] = file
      until not file
      print(neap.http.get(...))
      for _, open in ipairs(files) do open:close() end
      print(neap.http.get(...).body)
    ]])
    local command = 'ulimit -n 64; exec "$0" "$@"'
    local result = assert(neap.run { "sh", "-c", command, support.runner, script.path, server.url, timeout = 60 })
    local message = ("GET %s: cannot load libcurl.so.4: too many open files"):format(server.url)
    assert.are.equal("nil\t" .. message .. "\tEMFILE\nyes\n", result.stdout .. result.stderr)
  end)
end)

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

--- Answers with a redirect to each path in turn.
local function redirecting(status, to)
  local asked = {}
  local server
  server = servers.raw(function(stream, head)
    asked[#asked + 1] = head[1]
    local length = table.concat(head, "\n"):match("Content%-Length: (%d+)")
    if length and length ~= "0" then asked[#asked] = asked[#asked] .. " " .. stream:read(tonumber(length)) end
    local place = to(head[1]:match("^%S+ (%S+)"))
    if place then
      stream:write(servers.answer("moved", status .. " Moved", "Location: " .. place))
    else
      stream:write(servers.answer("here"))
    end
  end)
  return server, asked
end

local function once(path) return path == "/from" and "/to" or nil end

describe("a redirect", function()
  it("is followed, and the answer says where it came from", function()
    local server <close>, asked = redirecting(302, once)
    local answer = assert(http.get(server.url .. "/from"))
    assert.are.equal("here", answer.body)
    assert.are.equal(server.url .. "/to", answer.url)
    assert.is_nil(answer.headers.location)
    assert.are.same({ "GET /from HTTP/1.1", "GET /to HTTP/1.1" }, asked)
  end)

  it("takes along the cookies that it has set, and nothing keeps them after that", function()
    local cookies = {}
    local server <close> = servers.raw(function(stream, head)
      cookies[#cookies + 1] = table.concat(head, "\n"):match("\nCookie: ([^\n]*)") or "none"
      if #cookies > 1 then return stream:write(servers.answer("here")) end
      stream:write(servers.answer("", "302 Found", "Set-Cookie: name=value", "Location: /to"))
    end)
    assert(http.get(server.url))
    assert(http.get(server.url))
    assert.are.same({ "none", "name=value", "none" }, cookies)
  end)

  it("is the answer where none are to be followed", function()
    local server <close>, asked = redirecting(302, once)
    local answer = assert(http.get(server.url .. "/from", { redirects = 0 }))
    assert.are.equal(302, answer.status)
    assert.are.equal("/to", answer.headers.location)
    assert.are.equal("moved", answer.body)
    assert.are.equal(1, #asked)
  end)

  it("that leads in a circle ends", function()
    local server <close>, asked = redirecting(301, function() return "/again" end)
    fails_with("ELOOP", http.get(server.url .. "/again", { redirects = 3 }))
    assert.are.equal(4, #asked)
  end)

  it("to see something else is got, whatever the method was", function()
    for _, method in ipairs { "POST", "PUT", "DELETE", "PATCH" } do
      local server <close>, asked = redirecting(303, once)
      local body = method ~= "DELETE" and "body" or nil
      assert(http.request { method = method, url = server.url .. "/from", body = body })
      local first = method .. " /from HTTP/1.1" .. (body and " body" or "")
      assert.are.same({ first, "GET /to HTTP/1.1" }, asked)
    end
  end)

  it("to see something else leaves behind a body in pieces, and that it was one", function()
    local server <close> = neap.http.serve({ handler = function(request)
      if request.path == "/to" then return request.method .. tostring(request.headers["transfer-encoding"]) end
      return { status = tonumber(request.path:sub(2)), headers = { Location = "/to" } }
    end })
    local url = ("http://%s:%d/"):format(server:address())
    for _, way in ipairs({ { "POST", 303 }, { "PUT", 303 }, { "PATCH", 303 }, { "POST", 301 }, { "POST", 302 } }) do
      local given = { "x", "y" }
      local function give() return table.remove(given, 1) end
      local answer = assert(http.request({ method = way[1], url = url .. way[2], body = give, timeout = 10 }))
      assert.are.equal("GETnil", answer.body)
      assert.are.equal(0, #given)
    end
  end)

  it("that keeps the method sends a body once more, if it can be", function()
    local server <close>, asked = redirecting(307, once)
    assert(http.post(server.url .. "/from", "body"))
    assert.are.same({ "POST /from HTTP/1.1 body", "POST /to HTTP/1.1 body" }, asked)
    local given = { "x", "y" }
    local headers = { ["Content-Length"] = 2 }
    local function give() return table.remove(given, 1) end
    fails_with("EPROTO", http.post(server.url .. "/from", give, { headers = headers }))
  end)

  it("does not lead to anything but HTTP", function()
    local server <close> = redirecting(302, function() return "file:///etc/passwd" end)
    fails_with("EPROTO", http.get(server.url))
  end)
end)

describe("connections", function()
  it("are used again", function()
    local server <close> = servers.nginx("location / { return 200 $connection; }")
    local first = http.get(server.url).body
    for _ = 1, 5 do assert.are.equal(first, http.get(server.url).body) end
  end)

  it("are as many as there are requests at once, and only the tasks that ask wait", function()
    local arrived, release = 0, neap.event()
    local server <close> = servers.raw(function(stream)
      arrived = arrived + 1
      if arrived == 200 then release:set() end
      release:wait()
      stream:write(servers.answer("all are here"))
    end)
    local tasks = {}
    for number = 1, 200 do tasks[number] = neap.spawn(function() return assert(http.get(server.url)).body end) end
    for _, body in ipairs(neap.gather(tasks)) do assert.are.equal("all are here", body) end
  end)

  it("are made anew where the other side has closed one that was kept", function()
    local server <close> = servers.raw(function(stream) stream:write(servers.answer("once")) end)
    for _ = 1, 5 do assert.are.equal("once", http.get(server.url).body) end
    assert.are.equal(5, server.count)
  end)

  it("leave no descriptor behind that programs would have", function()
    local server <close> = servers.raw(function(stream) stream:write(servers.answer("yes")) end)
    local result = run_beside([[
      local function list() return neap.run({ "ls", "/proc/self/fd" }).stdout end
      local before = list()
      assert(neap.http.get(...).status == 200)
      assert(neap.thread(function(url) return require "neap".http.get(url).status end, ...):join() == 200)
      print(before == list() or before .. "then " .. list())]], server.url)
    assert.are.same({ status = 0, stdout = "true\n", stderr = "" }, result)
  end)

  it("are not left to programs that are started meanwhile", function()
    local server <close> = servers.raw(function(stream)
      stream:write(servers.answer("yes"))
      stream:read("all")
    end)
    assert.are.equal("yes", http.get(server.url).body)
    -- the line of our end: where it leads to, that it is established, five columns, its inode
    local pattern = (":%04X 01 %%S+ %%S+ %%S+ +%%d+ +%%d+ (%%d+)"):format(server.port)
    local ours = neap.fs.read("/proc/self/net/tcp"):match(pattern)
    local theirs = neap.run({ "ls", "-l", "/proc/self/fd" }).stdout
    assert.is_truthy(ours)
    assert.is_nil(theirs:find(("socket:[%s]"):format(ours), 1, true))
  end)

  it("reach python's server, whose backlog is small", function()
    local server <close> = servers.python()
    support.write_file(server.path .. "/file", ("line\n"):rep(20000))
    local tasks = {}
    for number = 1, 4 do tasks[number] = neap.spawn(function() return http.get(server.url .. "/file").body end) end
    for _, body in ipairs(neap.gather(tasks)) do assert.are.equal(("line\n"):rep(20000), body) end
  end)
end)

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

describe("TLS", function()
  it("verifies who answers", function()
    local server <close> = servers.nginx("location / { return 200 secret; }", true)
    fails_with("certificate", http.get(server.url))
    assert.are.equal("secret", http.get(server.url, { ca = server.ca }).body)
    assert.are.equal("secret", http.get(server.url, { verify = false }).body)
    local other = server.url:gsub("127.0.0.1", "localhost")
    fails_with("certificate", http.get(other, { ca = server.ca }))
    fails_with("certificate", http.get(server.url, { ca = "/nowhere" }))
  end)
end)
