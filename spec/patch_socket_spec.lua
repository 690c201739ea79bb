-- neap.patch_all: Debian's LuaSocket in tasks.

local support = require "spec.support"

local run_script, run_plain = support.run_script, support.run_plain

local function runs(name, code, stdout, options)
  it(name, function()
    local expected = { status = 0, stdout = stdout, stderr = "" }
    assert.are.same(expected, run_script("neap.patch_all() " .. code, nil, options))
    local in_task = "neap.patch_all() neap.spawn(function() " .. code .. " end):join()"
    assert.are.same(expected, run_plain(in_task, nil, options))
  end)
end

-- An HTTP server in tasks, which answers each request when `count` of them are there at once, and knows how many were.
local server = [[
  local most, here = 0, 0
  local function serve(count)
    local listener, together = neap.net.listen("127.0.0.1", 0), neap.barrier(count)
    neap.spawn({ daemon = true }, function()
      for stream in listener:iter() do
        neap.spawn({ daemon = true }, function()
          local path = stream:read("line"):match("^%u+ (%S+)")
          while stream:read("line") ~= "" do end
          here = here + 1
          most = math.max(most, here)
          together:wait()
          here = here - 1
          local body = ("%s "):format(path):rep(20000)
          stream:write(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"):format(#body, body))
          stream:close()
        end)
      end
    end)
    local _, port = listener:address()
    return port
  end
]]

describe("neap.patch_all, LuaSocket:", function()
  it("misuse is told with the place of who called, in the words of the originals", function()
    local calls = [==[
      socket = require "socket"
      server = socket.bind("127.0.0.1", 0)
      client = socket.connect("127.0.0.1", (select(2, server:getsockname())))
      udp = socket.udp()
      for _, code in ipairs {
        "client:receive({})", "client:receive('x')", "client:send({})", "client:settimeout({})",
        "client:settimeout(1, 'x')", "client.settimeout(5)", "client.close(5)", "socket.tcp():connect({})",
        "socket.tcp():connect('127.0.0.1', {})", "socket.tcp():bind({}, 1)", "udp:sendto({})", "udp:sendto('x', {})",
        "udp:setsockname({}, 1)", "udp:setpeername({}, 1)", "udp:receivefrom({})", "udp:receive({})",
        "socket.sleep({})", "socket.select({}, {}, {})", "socket.dns.toip({})", "socket.connect({}, 1)",
        "socket.connect('127.0.0.1', 1, nil, nil, 'x')",
      } do print(code, select(2, pcall(assert(load(code, "=user"))))) end
    ]==]
    local patched, original = run_script("neap.patch_all() " .. calls), run_script(calls)
    assert.are.same(original, patched)
    assert.are.equal(21, select(2, patched.stdout:gsub("\tuser:1: ", "")))
  end)

  runs("twenty requests at once of socket.http are twenty at the server", server .. [[
    local http = require "socket.http"
    local port, tasks = serve(20), {}
    for i = 1, 20 do
      tasks[i] = neap.spawn(function()
        local body, code = http.request(("http://localhost:%d/%d"):format(port, i))
        assert(code == 200 and body == ("/" .. i .. " "):rep(20000))
      end)
    end
    for _, task in ipairs(tasks) do task:join() end
    print(most)
  ]], "20\n")

  it("socket.http fetches files from python3's server, several at once", function()
    local result = run_script [[
      neap.patch_all()
      local http = require "socket.http"
      local ltn12 = require "ltn12"
      local folder = os.tmpname()
      os.remove(folder)
      assert(neap.fs.mkdir(folder))
      for i = 1, 4 do assert(neap.fs.write(folder .. "/" .. i, ("%d\n"):format(i):rep(50000))) end
      local python = neap.popen { "python3", "-u", "-m", "http.server", "-b", "127.0.0.1", "-d", folder, "0",
        stdout = "pipe", stderr = "null" }
      local port = assert(python.stdout:read("line", 60)):match("port (%d+)")
      local tasks = {}
      for i = 1, 4 do
        tasks[i] = neap.spawn(function()
          local parts = {}
          local ok, code, headers = http.request { url = ("http://127.0.0.1:%d/%d"):format(port, i),
            sink = ltn12.sink.table(parts) }
          return ok, code, tonumber(headers["content-length"]), table.concat(parts) == ("%d\n"):format(i):rep(50000)
        end)
      end
      for _, task in ipairs(tasks) do print(task:join()) end
      print(http.request(("http://127.0.0.1:%d/none"):format(port)):match("404"))
      python:kill()
      neap.fs.remove(folder, { recursive = true })
    ]]
    assert.are.same({ status = 0, stderr = "", stdout = ("1\t200\t100000\ttrue\n"):rep(4) .. "404\n" }, result)
  end)

  runs("streams read by pattern, with prefixes and partial results, as LuaSocket says", [[
    local socket = require "socket"
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local go = neap.channel()
    neap.spawn(function()
      local peer = listener:accept()
      for _, piece in ipairs { "he", "llo\r\nsec", "ond\nnumb", "er of bytes", "part", "the ", "rest" } do
        go:recv()
        peer:send(piece)
      end
      go:recv()
      peer:close()
    end)
    local client = assert(socket.connect("127.0.0.1", port))
    local function show(...)
      local texts = table.pack(...)
      for i = 1, texts.n do texts[i] = ("[%s]"):format(texts[i]) end
      print(table.concat(texts, " "))
    end
    local function feed(count) neap.spawn(function() for _ = 1, count do go:send(true) end end) end
    feed(2)
    show(client:receive())
    feed(1)
    show(client:receive("*l", "prefix "))
    feed(1)
    show(client:receive(8, "a "))
    show(client:receive(3, "long enough"))
    show(client:receive(9))
    feed(1)
    socket.select({ client })
    client:settimeout(0.02)
    show(client:receive(10))
    show(client:receive("*a", "kept "))
    show(client:receive("*l"))
    client:settimeout()
    feed(3)
    show(client:receive("*a"))
    show(client:receive("*a"))
    show(client:receive("*l"))
    client:close()
    show(client:receive())
    show(client:send("x"))
    show((select(2, pcall(client.receive, client, "nonsense")):match("invalid receive pattern")))
  ]], [[
[hello] [nil] [nil]
[prefix second] [nil] [nil]
[a number] [nil] [nil]
[long enough] [nil] [nil]
[ of bytes] [nil] [nil]
[nil] [timeout] [part]
[nil] [timeout] [kept ]
[nil] [timeout] []
[the rest] [nil] [nil]
[nil] [closed] []
[nil] [closed] []
[nil] [closed] []
[nil] [closed] [0.0]
[invalid receive pattern]
]])

  runs("a send waits for whom it sends to, and says how far it came", [[
    local socket = require "socket"
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local read = neap.event()
    local size = 20000000
    local reader = neap.spawn(function()
      local peer = listener:accept()
      read:wait()
      return #peer:receive("*a")
    end)
    local client = assert(socket.connect("127.0.0.1", port))
    client:settimeout(0.05)
    local data = ("0123456789"):rep(size // 10)
    local ok, problem, reached = client:send(data, 11)
    print(ok, problem, reached > 11 and reached < size)
    client:settimeout(nil)
    read:set()
    print(client:send(data, reached + 1))
    print(client:send(data, -3, -2))
    client:close()
    print(reader:join() == size - 10 + 2)
  ]], "nil\ttimeout\ttrue\n20000000.0\tnil\tnil\n19999999.0\tnil\tnil\ntrue\n")

  runs("timeouts are per wait or for all of an operation, and can be asked for", [[
    local socket = require "socket"
    local listener = assert(socket.bind("127.0.0.1", 0))
    print(listener:settimeout(0.02), listener:gettimeout())
    print(listener:accept())
    print(listener:settimeout(0), listener:accept())
    print(listener:settimeout(-1), listener:settimeout(0.02, "t"), listener:gettimeout())
    print(listener:accept())
    print(neap.timeout(0.02, function() listener:settimeout(nil, "t") return listener:accept() end))
    print((select(2, pcall(listener.settimeout, listener, 1, "x")):match("invalid timeout mode")))
  ]], [[
1.0	0.02	-1.0
nil	timeout
1.0	nil	timeout
1.0	1.0	-1.0	0.02
nil	timeout
nil	timeout	timeout
invalid timeout mode
]])

  runs("who cannot be reached is told as LuaSocket tells it", [[
    local socket = require "socket"
    local free = assert(socket.bind("127.0.0.1", 0))
    local _, port = free:getsockname()
    free:close()
    print(socket.connect("127.0.0.1", port))
    print(socket.connect("localhost", port))
    local tcp = socket.tcp()
    print(tcp:connect("127.0.0.1", port))
    print(socket.tcp4():connect("nowhere.invalid", 1))
    print(socket.connect("", 1))
    print(socket.connect(("a"):rep(300), 1))
    print(socket.tcp():bind("nowhere.invalid", 1))
    print(socket.udp4():setpeername("nowhere.invalid", 1))
    local http = require "socket.http"
    print(http.request(("http://127.0.0.1:%d/"):format(port)))
  ]], ("nil\tconnection refused\n"):rep(3) .. ("nil\thost or service not provided, or not known\n"):rep(5) ..
    "nil\tconnection refused\n")

  runs("select and sleep suspend the task alone", [[
    local socket = require "socket"
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local ready, writable, problem = socket.select({ listener }, nil, 0.02)
    print(#ready, #writable, problem)
    print(select(3, socket.select({ listener }, {}, 0)))
    print(select(3, socket.select(nil, nil, 0.01)))
    local waiter = neap.spawn(socket.select, { listener }, nil)
    neap.yield()
    local client = socket.connect("127.0.0.1", port)
    ready, writable, problem = waiter:join()
    print(ready[1] == listener, ready[listener], #writable, problem)
    local peer = listener:accept()
    ready, writable, problem = socket.select({ client, peer }, { client })
    print(#ready, writable[1] == client, problem)
    peer:send("one\ntwo\n")
    client:receive()
    ready = socket.select({ client }) -- what is in its buffer counts
    print(ready[1] == client, client:dirty())
    local sleeper = neap.spawn(function() socket.sleep(60) end)
    neap.yield()
    print(sleeper:status(), sleeper:cancel())
    print(neap.spawn(function() socket.sleep(0.001) return "slept" end):join())
    socket.sleep(-1)
  ]], "0\t0\ttimeout\ntimeout\ntimeout\ntrue\t1.0\t0\tnil\n0\ttrue\tnil\ntrue\ttrue\nwaiting\ttrue\nslept\n")

  runs("packets go to and fro", [[
    local socket = require "socket"
    local a, b = socket.udp(), socket.udp()
    assert(a:setsockname("127.0.0.1", 0))
    assert(b:setsockname("127.0.0.1", 0))
    local _, port_a = a:getsockname()
    local _, port_b = b:getsockname()
    a:settimeout(0.02)
    print(a:receive())
    print(a:receivefrom())
    a:settimeout(nil)
    local waiter = neap.spawn(function() return a:receivefrom() end)
    neap.yield()
    print(b:sendto("ping", "127.0.0.1", port_a))
    local bytes, host, port = waiter:join()
    print(bytes, host, port == tonumber(port_b))
    print(a:setpeername("localhost", port_b))
    print(a:send("pong"))
    print(b:receive(2))
  ]], "nil\ttimeout\nnil\ttimeout\n4.0\nping\t127.0.0.1\ttrue\n1.0\n4.0\npo\n")

  runs("names are looked up in the meantime", [[
    local socket = require "socket"
    print(socket.dns.getaddrinfo("127.0.0.1")[1].addr)
    print((socket.dns.toip("nowhere.invalid")))
    print(type(socket.dns.gethostname()))
  ]], "127.0.0.1\nnil\nstring\n")

  runs("exceptions pass through waits: protect, newtry, finalisers", [[
    local socket = require "socket"
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(0.01)
    local try = socket.newtry(function() print "finalised" end)
    local accept = socket.protect(function()
      local peer = try(listener:accept())
      return peer
    end)
    print(accept())
    print(socket.protect(function() neap.sleep(0.001) return 1, 2 end)())
    print(pcall(socket.protect(function() neap.sleep(0.001) error("mine", 0) end)))
    local task = neap.spawn(socket.protect(function() neap.sleep(60) end))
    neap.yield()
    task:cancel()
    print(select(2, pcall(task.join, task)))
  ]], "finalised\nnil\ttimeout\n1\t2\nfalse\tmine\ncancelled\n")

  runs("a wait ends when another task closes the socket, and when it is cancelled", [[
    local socket = require "socket"
    local listener = assert(socket.bind("127.0.0.1", 0))
    local waiter = neap.spawn(function() return listener:accept() end)
    neap.sleep(0.001)
    waiter:cancel()
    waiter:wait()
    print(waiter:status())
    waiter = neap.spawn(function() return listener:accept() end)
    neap.sleep(0.001)
    listener:close()
    print(waiter:join())
  ]], "cancelled\nnil\tclosed\n")

  runs("a receive that is cancelled has taken nothing", [[
    local socket = require "socket"
    local listener = assert(socket.bind("127.0.0.1", 0))
    local host, port = listener:getsockname()
    local client = assert(socket.connect(host, port))
    local peer = listener:accept()
    local function be_cancelled(...)
      local cancelled = neap.spawn(client.receive, client, ...)
      neap.sleep(0.001)
      cancelled:cancel()
      cancelled:wait()
    end
    for _, part in ipairs({ "one", " ", "line\nan" }) do
      be_cancelled()
      peer:send(part)
    end
    print(client:receive("*l", "this is "))
    peer:send("d\r")
    be_cancelled(9)
    peer:send("\nan")
    print(client:receive())
    be_cancelled(10)
    be_cancelled("*a")
    print(client:receive(1))
    peer:send("d another\r\nthe rest\n")
    be_cancelled(100)
    print(client:receive())
    print(client:receive(2), client:receive(5, "123"))
    peer:close()
    print(client:receive("*a"))
    print(client:receive("*a"))
  ]], "this is one line\tnil\tnil\nand\tnil\tnil\na\tnil\tnil\nnd another\tnil\tnil\nth\t123e \tnil\tnil\n" ..
    "rest\n\tnil\tnil\nnil\tclosed\t\n")

  it("outside of tasks a socket blocks as ever, also one that tasks have used", function()
    local result = run_plain [[
      neap.patch_all()
      local socket = require "socket"
      local listener = assert(socket.bind("127.0.0.1", 0))
      local _, port = listener:getsockname()
      listener:settimeout(0.02)
      print(listener:accept())
      print(neap.spawn(function() return listener:accept() end):join())
      print(listener:gettimeout())
      print(listener:accept())
      local ticks = 0
      neap.every({ daemon = true }, 0.001, function() ticks = ticks + 1 end)
      print(listener:accept(), ticks)
      local client = socket.connect("127.0.0.1", port)
      print(client:send("x"), (listener:accept():receive(1)))
      listener:settimeout(nil)
      neap.spawn(function() return neap.timeout(0.01, listener.accept, listener) end):join()
      local thread = neap.thread(function(where)
        local plain = require "socket"
        plain.sleep(0.02)
        plain.connect("127.0.0.1", where):close()
      end, port)
      print(listener:accept() ~= nil)
      thread:join()
    ]]
    assert.are.same({ status = 0, stderr = "",
      stdout = "nil\ttimeout\nnil\ttimeout\n0.02\t-1.0\nnil\ttimeout\nnil\t0\n1.0\tx\ntrue\n" }, result)
  end)

  runs("sockets of socket.unix wait, too, though it is loaded afterwards", [[
    local unix = require "socket.unix"
    local path = os.tmpname()
    os.remove(path)
    local listener = unix.stream and unix.stream() or unix()
    assert(listener:bind(path))
    assert(listener:listen())
    local server = neap.spawn(function()
      local peer = listener:accept()
      peer:send((peer:receive():upper() .. "\n"))
      peer:close()
    end)
    local client = unix.stream and unix.stream() or unix()
    assert(client:connect(path))
    client:send("over a path\n")
    print(client:receive())
    server:join()
    os.remove(path)
  ]], "OVER A PATH\tnil\tnil\n")

  -- Both sides in tasks of one thread.
  it("connections of LuaSec wait, and ssl.https on them", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    local make_key = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 " ..
      "-subj /CN=localhost -keyout %s/key -out %s/certificate 2> /dev/null"
    assert(os.execute(make_key:format(folder, folder)))
    local result = run_script([[
      neap.patch_all()
      local folder = ...
      local socket, ssl, https = require "socket", require "ssl", require "ssl.https"
      local listener = assert(socket.bind("127.0.0.1", 0))
      local _, port = listener:getsockname()
      local context = assert(ssl.newcontext { mode = "server", protocol = "any", key = folder .. "/key",
        certificate = folder .. "/certificate" })
      local body = ("0123456789"):rep(50000)
      local together = neap.barrier(3)
      neap.spawn({ daemon = true }, function()
        while true do
          local plain = listener:accept()
          neap.spawn({ daemon = true }, function()
            local peer = assert(ssl.wrap(plain, context))
            assert(peer:dohandshake())
            while peer:receive() ~= "" do end
            together:wait()
            peer:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"):format(#body))
            peer:send(body)
            peer:close()
          end)
        end
      end)
      local tasks = {}
      for i = 1, 3 do
        tasks[i] = neap.spawn(function()
          local got, code = https.request(("https://localhost:%d/"):format(port))
          return got == body, code
        end)
      end
      for _, task in ipairs(tasks) do print(task:join()) end
    ]], { folder })
    os.execute("rm -r " .. folder)
    assert.are.same({ status = 0, stdout = ("true\t200\n"):rep(3), stderr = "" }, result)
  end)

  runs("sockets leave no descriptors behind", [[
    local socket = require "socket"
    local function count() return #neap.fs.list("/proc/self/fd") end
    local function once()
      local listener = assert(socket.bind("127.0.0.1", 0))
      local _, port = listener:getsockname()
      local client = neap.spawn(function()
        local client = socket.connect("127.0.0.1", port)
        local line = client:receive()
        client:close()
        return line
      end)
      local peer = listener:accept()
      neap.yield()
      peer:send("line\n")
      local line = client:join()
      peer:close()
      listener:close()
      return line
    end
    once()
    neap.sleep(0.01)
    local before = count()
    for _ = 1, 20 do once() end
    neap.sleep(0.01)
    print(count() <= before)
  ]], "true\n")
end)
