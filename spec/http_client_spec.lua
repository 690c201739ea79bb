-- Requests of the HTTP client, redirects and connections. Their bodies: http_client_body_spec.lua; what goes wrong:
-- http_client_failure_spec.lua.

local neap = require "neap"
local http_client = require "spec.http_client"
local servers = require "spec.servers"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local http = neap.http
local fails_with, echo_server, header_of = http_client.fails_with, http_client.echo_server, http_client.header_of
local run_beside = http_client.run_beside

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
    for _, password in ipairs({ "pass/word", "pass?w@rd", "p#", "/", "/word", "pass/wo:rd/" }) do
      assert_told("http://127.0.0.1:1", "http://" .. "me:" .. password .. "@127.0.0.1:1")
    end
    for _, scheme in ipairs({ "", "http:/", "http:\\\\", "http:///" }) do
      assert_told(scheme .. "127.0.0.1:1/a", scheme .. "me:secret@127.0.0.1:1/a")
    end
    for _, asked in ipairs({ "http://[::1]:1/a@b", "http://[::1:1/a@b", "http://127.0.0.1:1/a:b@c" }) do
      assert_told(asked, asked)
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
      { http.get, url, { auth = { "me", "pass\0word" } }, "option 'auth': { name, password }, strings without zero" },
      { http.get, url, { ca = "ca\0.pem" }, "option 'ca': string without zero bytes expected" },
      { http.get, url, { to = "file\0" }, "option 'to': string without zero bytes or function expected" },
      { http.post, url, { file = "file\0" }, "bad argument #2 to 'post' %(body" },
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

  it("is no other answer that names a place", function()
    for _, status in ipairs({ 201, 300, 304, 305 }) do
      local server <close>, asked = redirecting(status, once)
      local answer = assert(http.get(server.url .. "/from"))
      assert.are.equal(status, answer.status)
      assert.are.equal("/to", answer.headers.location)
      assert.are.equal(1, #asked)
    end
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
