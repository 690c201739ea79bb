local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local timed_out = table.pack(nil, "timeout", "timeout")
local closed = table.pack(nil, "closed", "closed")

local function listen(options) return assert(neap.net.listen("127.0.0.1", 0, options)) end

local function dial(listener, options)
  local host, port = listener:address()
  return assert(neap.net.connect(host, port, options))
end

--- The two ends of a new connection.
local function connected()
  local listener <close> = listen()
  local near = dial(listener)
  return near, assert(listener:accept())
end

local function both()
  local near, far = connected()
  return { near = near, far = far }
end

--- Ends, of which `near` has written as much as goes without the other's reading.
local function stuffed()
  local ends = both()
  local block = ("x"):rep(2 ^ 20)
  while ends.near:write(block, 0) do end
  return ends
end

grid.ask("stream:read", { blocked = both, wait = function(o, timeout) return o.near:read("line", timeout) end,
  serve = function(o) o.far:write("a line\n") end, served = table.pack("a line"), stays = true })

grid.ask("listener:accept", { blocked = listen,
  wait = function(o, timeout)
    local stream, message, code = o:accept(timeout)
    if not stream then return nil, message, code end
    return (stream:read())
  end,
  serve = function(o) dial(o):write("hello") end, served = table.pack("hello"),
  stays = true }) -- threads do not take connections in the order in which they came

grid.ask("datagram:recv", {
  blocked = function()
    local near, far = neap.net.udp("127.0.0.1"), neap.net.udp("127.0.0.1")
    return { near = near, far = far }
  end,
  wait = function(o, timeout)
    local bytes, message, code = o.near:recv(timeout)
    if not bytes then return nil, message, code end
    return bytes
  end,
  serve = function(o) o.far:send("a packet", o.near:address()) end, served = table.pack("a packet"), stays = true })

describe("a stream", function()
  it("carries bytes both ways", function()
    local near <close>, far = connected()
    assert.is_true((near:write("to you\0\r\n")))
    assert.are.equal("to you\0", (far:read("line")))
    assert.is_true((far:write("and back")))
    assert.are.equal("and back", (near:read(8)))
  end)

  it("reads what has come, a number of bytes, a line, or all", function()
    local near <close>, far = connected()
    near:write("12345one\ntwo\r\nthe rest")
    assert.are.equal("123", (far:read(3)))
    assert.are.equal("45", (far:read(2)))
    assert.are.equal("one", (far:read("line")))
    assert.are.equal("two", (far:read("line")))
    near:shutdown()
    assert.are.equal("the rest", (far:read("all")))
    assert.are.same(closed, table.pack(far:read()))
    assert.are.same(closed, table.pack(far:read("line")))
    assert.are.same(closed, table.pack(far:read(1)))
    assert.are.equal("", (far:read("all")))
  end)

  it("gives what is left when the end comes before all that was asked for", function()
    local near <close>, far = connected()
    near:write("last")
    near:shutdown()
    assert.are.equal("last", (far:read("line")))
    local other <close>, side = connected()
    other:write("1234")
    other:close()
    assert.are.equal("1234", (side:read(100)))
  end)

  it("reads nothing at once when nothing is asked for", function()
    local near <close>, far = connected()
    assert.are.equal("", (near:read(0)))
    assert.is_false(far:is_closed())
  end)

  it("keeps what had come when a read times out", function()
    local near <close>, far = connected()
    near:write("half")
    assert.are.same(timed_out, table.pack(far:read("line", 0.01)))
    assert.are.same(timed_out, table.pack(far:read(10, 0)))
    near:write(" a line\n")
    assert.are.equal("half a line", (far:read("line")))
  end)

  it("keeps what had come when a read is cancelled", function()
    local near <close>, far = connected()
    near:write("half")
    local reader = grid.parked_task(function() return far:read(8) end)
    reader:cancel()
    grid.assert_cancelled(reader)
    near:write(" all")
    assert.are.equal("half all", (far:read(8)))
  end)

  it("lists its lines", function()
    local near <close>, far = connected()
    near:write("one\n\ntwo\r\nthree")
    near:close()
    local lines = {}
    for line in far:lines() do lines[#lines + 1] = line end
    assert.are.same({ "one", "", "two", "three" }, lines)
  end)

  it("raises in the middle of its lines when they do not come in time", function()
    local near <close>, far = connected()
    near:write("one\n")
    local next_line = far:lines(0.01)
    assert.are.equal("one", next_line())
    local ok, message = pcall(next_line)
    assert.is_false(ok)
    assert.is_truthy(message:find("cannot read a line: timeout", 1, true))
  end)

  it("refuses a line without an end", function()
    local near <close>, far = connected()
    local writer = neap.spawn(function() return near:write(("x"):rep(3 * 2 ^ 20)) end)
    local line, message, code = far:read("line")
    assert.is_nil(line)
    assert.are.equal("EMSGSIZE", code)
    assert.is_truthy(message:find("more than 1048576 bytes", 1, true))
    writer:cancel()
  end)

  it("refuses a line of more than a mebibyte, and takes one that is as long, however they come", function()
    local near <close>, far = connected()
    local most = ("x"):rep(2 ^ 20)
    local writer = neap.spawn(function()
      near:write(most .. "\r\n")
      near:write(most .. "x\n")
      near:shutdown()
    end)
    assert.is_true(far:read("line") == most)
    assert.are.equal("EMSGSIZE", (select(3, far:read("line"))))
    assert.are.equal(2 ^ 20 + 2, #far:read("all"))
    writer:join()

    local path = os.tmpname()
    assert(neap.fs.write(path, most .. "\r\n" .. most .. "x\n"))
    local file <close> = assert(neap.fs.open(path))
    assert.is_true(file:read("line") == most)
    assert.are.equal("EMSGSIZE", (select(3, file:read("line"))))
    os.remove(path)
  end)

  it("waits with writing until the other side reads", function()
    local ends = stuffed()
    local writer = grid.parked_task(function() return ends.near:write("end") end)
    local count = 0
    while not writer:wait(0) do count = count + #ends.far:read() end
    assert.is_true((writer:join()))
    assert.is_true(count > 0)
  end)

  it("says how much was written when there was no time for more", function()
    local near <close>, far = connected()
    local ok, message, code, count = near:write(("x"):rep(2 ^ 26), 0.01)
    assert.are.same(timed_out, table.pack(ok, message, code))
    near:shutdown()
    assert.are.equal(count, #far:read("all"))
  end)

  it("does not mix what several tasks write", function()
    local near <close>, far = connected()
    local writers = {}
    for i = 1, 4 do
      writers[i] = neap.spawn(function() return near:write((tostring(i)):rep(2 ^ 21) .. "\n") end)
    end
    for _ = 1, 4 do
      local first = far:read(2 ^ 21)
      assert.are.equal(first:sub(1, 1):rep(2 ^ 21), first)
      assert.are.equal("\n", (far:read(1)))
    end
    neap.gather(writers)
  end)

  it("gives the turn of a write that is cancelled to the next one", function()
    local ends = stuffed()
    local first = grid.parked_task(function() return ends.near:write("first") end)
    local second = grid.parked_task(function() return ends.near:write("second") end)
    first:cancel()
    grid.assert_cancelled(first)
    while not second:wait(0) do ends.far:read() end
    assert.is_true((second:join()))
  end)

  it("answers who waits when it is closed", function()
    local near, far <close> = connected()
    local reader = grid.parked_task(function() return near:read() end)
    near:close()
    near:close()
    assert.are.same(closed, table.pack(reader:join()))
    assert.is_true(near:is_closed())
    assert.has_error(function() near:read() end, "the stream is closed")
    assert.has_error(function() near:write("x") end, "the stream is closed")
    assert.are.same(closed, table.pack(far:read()))
  end)

  it("tells that the other side has broken the connection", function()
    local near <close>, far = connected()
    near:write("never read")
    far:close()
    local _, message, code = near:read()
    assert.are.equal("ECONNRESET", code)
    assert.are.equal("connection reset by peer", message)
    local ok, _, written = near:write("x")
    assert.is_nil(ok)
    assert.is_truthy(written == "EPIPE" or written == "ECONNRESET")
  end)

  it("is closed with the variable that holds it", function()
    local outside, far <close> = connected()
    do local inside <close> = outside end -- luacheck: ignore
    assert.is_true(outside:is_closed())
    assert.are.same(closed, table.pack(far:read()))
  end)

  it("is closed when it is collected", function()
    local _, far <close> = connected()
    _ = nil
    collectgarbage()
    assert.are.same(closed, table.pack(far:read()))
  end)

  it("knows the addresses of both sides", function()
    local near <close>, far = connected()
    assert.are.same({ near:address() }, { far:peer() })
    assert.are.same({ near:peer() }, { far:address() })
  end)

  it("knows the address of the other side when the connection has ended", function()
    local near, far <close> = connected()
    local address = { near:address() }
    far:write("unread: closing resets the connection")
    near:close()
    assert.are.equal("ECONNRESET", select(3, far:read("all")))
    assert.are.same(address, { far:peer() })
  end)

  it("knows it when both sides have shut down", function()
    local near, far <close> = connected()
    near:shutdown()
    far:read("all")
    far:shutdown()
    near:read("all")
    assert.are.same({ far:address() }, { near:peer() })
    assert.are.same({ near:address() }, { far:peer() })
  end)

  it("cannot be sent", function()
    local near <close> = connected()
    local channel = neap.channel(1)
    assert.has_error(function() channel:send({ near }) end, "cannot send value[1]: userdata (stream)")
  end)

  it("says how it stands", function()
    local near, far <close> = connected()
    assert.is_truthy(tostring(near):find("^stream: 0x%x+ %(open%)$"))
    far:shutdown()
    near:read()
    assert.is_truthy(tostring(near):find("%(ended%)$"))
    near:close()
    assert.is_truthy(tostring(near):find("%(closed%)$"))
  end)

  it("refuses arguments that make no sense", function()
    local near <close> = connected()
    assert.has_error(function() near:read("word") end)
    assert.has_error(function() near:read(-1) end)
    assert.has_error(function() near:write(1) end)
    near:shutdown()
    assert.has_error(function() near:write("x") end, "the stream was shut down for writing")
  end)
end)

describe("neap.net.connect", function()
  it("resolves names", function()
    local listener <close> = listen()
    local _, port = listener:address()
    local stream <close> = assert(neap.net.connect("localhost", port))
    assert.are.equal(port, select(2, stream:peer()))
  end)

  it("tells why there is no connection", function()
    local listener = listen()
    local host, port = listener:address()
    listener:close()
    listener = nil -- luacheck: ignore
    collectgarbage()
    assert.are.same(table.pack(nil, ("cannot connect to 127.0.0.1 port %d: connection refused"):format(port),
      "ECONNREFUSED"), table.pack(neap.net.connect(host, port)))
    local _, message, code = neap.net.connect("unix:spec/none")
    assert.are.equal("ENOENT", code)
    assert.are.equal("cannot connect to unix:spec/none: no such file or directory", message)
  end)

  it("refuses arguments that make no sense", function()
    for _, bad in ipairs({ { "localhost" }, { "localhost", -1 }, { "localhost", 65536 }, { "localhost", "80" },
      { 1, 1 }, { "localhost", 1, { time = 1 } }, { "localhost", 1, { timeout = "x" } }, { "localhost\0.org", 1 },
      { "unix:" }, { "unix:/tmp\0/path" } }) do
      assert.has_error(function() neap.net.connect(table.unpack(bad)) end)
    end
    assert.has_error(function() neap.net.listen("unix:") end)
    assert.has_error(function() neap.dns.resolve("localhost\0.org") end)
  end)
end)

describe("a listener", function()
  it("takes connections in any thread that has it", function()
    local listener <close> = listen()
    local function serve(shared)
      local stream <close> = shared:accept()
      stream:write(stream:read("line"):upper() .. "\n")
    end
    local threads = { neap.thread(serve, listener), neap.thread(serve, listener) }
    for _, word in ipairs({ "one", "two" }) do
      local stream <close> = dial(listener)
      stream:write(word .. "\n")
      assert.are.equal(word:upper(), (stream:read("line")))
    end
    neap.gather(threads)
  end)

  it("is closed for all threads", function()
    local listener = listen()
    local thread = grid.parked_thread(function(shared) return shared:accept() end, listener)
    local task = grid.parked_task(function() return listener:accept() end)
    assert.is_true(listener:close())
    assert.is_false(listener:close())
    assert.are.same(closed, table.pack(thread:join()))
    assert.are.same(closed, table.pack(task:join()))
    assert.are.same(closed, table.pack(listener:accept()))
    assert.is_true(listener:is_closed())
  end)

  it("is what a task waits for that accepts", function()
    local listener <close> = listen()
    local task = grid.parked_task(function() return listener:accept() end)
    local found
    for _, report in ipairs(neap.inspect().tasks) do
      if report.id == task.id then found = report.waits_for end
    end
    assert.are.equal("accept of " .. tostring(listener):match("^(.-) %("), found)
    listener:close()
    assert.are.same(closed, table.pack(task:join()))
  end)

  it("ends its loop when it is closed", function()
    local listener, count = listen(), 0
    local server = neap.spawn(function()
      for stream in listener:iter() do
        count = count + 1
        stream:close()
      end
    end)
    for _ = 1, 3 do dial(listener):read() end
    listener:close()
    server:join()
    assert.are.equal(3, count)
  end)

  it("shares a port with others", function()
    local first <close> = listen({ reuseport = true })
    local host, port = first:address()
    local second <close> = assert(neap.net.listen(host, port, { reuseport = true }))
    assert.are.equal(port, select(2, second:address()))
    local _, message, code = neap.net.listen(host, port)
    assert.are.equal("EADDRINUSE", code)
    assert.are.equal(("cannot listen at 127.0.0.1 port %d: address already in use"):format(port), message)
  end)

  it("listens at a path, and removes it", function()
    local path = os.tmpname()
    os.remove(path)
    local listener = assert(neap.net.listen("unix:" .. path))
    local stream <close> = assert(neap.net.connect("unix:" .. path))
    stream:write("hi\n")
    assert.are.equal("hi", (listener:accept():read("line")))
    assert.are.equal(path, (listener:address()))
    listener:close()
    assert.is_nil(io.open(path))
  end)

  it("takes the place of a server that has died", function()
    local path = os.tmpname()
    os.remove(path)
    support.run_script([[neap.net.listen("unix:" .. ...) os.execute("kill -9 " .. neap.getpid())]], { path })
    local listener <close> = assert(neap.net.listen("unix:" .. path))
    local _, _, code = neap.net.listen("unix:" .. path)
    assert.are.equal("EADDRINUSE", code)
    assert.are.equal(path, (listener:address()))
  end)

  it("leaves files alone, and the paths of servers that are busy", function()
    local file <close> = support.temporary_file("precious")
    local _, _, code = neap.net.listen("unix:" .. file.path)
    assert.are.equal("EADDRINUSE", code)
    assert.are.equal("precious", support.read_file(file.path))
    local path = os.tmpname()
    os.remove(path)
    local listener = assert(neap.net.listen("unix:" .. path, { backlog = 1 }))
    local waiting = {}
    repeat
      local stream = neap.net.connect("unix:" .. path)
      waiting[#waiting + 1] = stream
    until not stream
    assert.are.equal("EADDRINUSE", select(3, neap.net.listen("unix:" .. path)))
    assert.are.equal(path, (waiting[1]:peer()))
    listener:close()
  end)

  it("goes on when there are descriptors again", function()
    local result = support.run_script([[
      local listener = neap.net.listen("127.0.0.1", 0)
      local host, port = listener:address()
      local client = neap.net.connect(host, port)
      neap.net.connect("127.0.0.1", 1) -- so that the loop has all that it needs
      local waiter = neap.spawn(function() return listener:accept() end)
      waiter:join()
      local files = {}
      while true do
        local file = io.open("/dev/null")
        if not file then break end
        files[#files + 1] = file
      end
      table.remove(files):close()
      local second = neap.net.connect(host, port)
      waiter = neap.spawn(function() return listener:accept() end)
      neap.yield()
      table.remove(files):close()
      local stream = waiter:join()
      second:write("through\n")
      print(stream:read("line"))]], nil, {})
    assert.are.same({ status = 0, stdout = "through\n", stderr = "" }, result)
  end)
end)

describe("neap.net.open", function()
  --- A command whose standard output is a pipe.
  local function run_piped(command) return support.run_command("sh -c " .. support.quote(command .. " | cat")) end

  --- The command that runs `code` in the runner.
  local function neap_command(code)
    return ("%s -e %s"):format(support.quote(support.runner), support.quote("local neap = require 'neap' " .. code))
  end

  it("reads a pipe that the program was given, and lets others run meanwhile", function()
    local printed <close> = support.temporary_file()
    os.remove(printed.path)
    local writer = ("(until [ -e %s ]; do sleep 0.01; done; echo one; echo two)"):format(printed.path)
    local result = run_piped(writer .. " | " .. neap_command(("local printed = %q"):format(printed.path) .. [[

      local input = assert(neap.net.open("stdin"))
      local reader = neap.spawn(function() for line in input:lines() do print(line) end end)
      neap.yield()
      print("meanwhile")
      io.open(printed, "w"):close()
      reader:join()
      io.stdout:flush()
      assert(neap.net.open("stdout")):write("three\n")]]))
    assert.are.same({ status = 0, stdout = "meanwhile\none\ntwo\nthree\n", stderr = "" }, result)
  end)

  it("reads and writes a terminal", function()
    local result = support.run_command(("script -qec %s /dev/null"):format(support.quote(neap_command([[
      local terminal = assert(neap.net.open(0))
      terminal:write("who?\n")
      terminal:write(assert(terminal:read("line")):upper() .. "\n")]]))), { input = "me\n" })
    assert.is_truthy(result.stdout:find("who?", 1, true))
    assert.is_truthy(result.stdout:find("ME\r\n", 1, true), result.stdout)
  end)

  it("leaves what it opens as others have it", function()
    local result = run_piped("{ " .. neap_command([[
      local stream = neap.net.open("stdout")
      stream:write("from neap\n")
      stream:close()
      io.write("from io\n")]]) .. "; grep -q '^flags:.*[4-7]...$' /proc/self/fdinfo/1 || echo blocking; }")
    assert.are.same({ status = 0, stdout = "from neap\nfrom io\nblocking\n", stderr = "" }, result)
  end)

  it("does not take files, nor what is none", function()
    local file <close> = support.temporary_file("text")
    local result = run_piped(neap_command([[
      print(select(2, neap.net.open("stdin")))
      print(select(3, neap.net.open(999)))]]) .. " <" .. file.path)
    assert.are.equal("cannot open stdin as a stream: it is a file, which neap.fs reads and writes\tEPERM\nEBADF\n",
      result.stdout)
    assert.has_error(function() neap.net.open("input") end)
    assert.has_error(function() neap.net.open(-1) end)
  end)
end)

describe("a datagram socket", function()
  it("sends to an address and tells where from", function()
    local a <close>, b = neap.net.udp("127.0.0.1"), neap.net.udp("127.0.0.1")
    assert.is_true((a:send("ping", b:address())))
    local bytes, host, port = b:recv()
    assert.are.equal("ping", bytes)
    assert.are.same({ a:address() }, { host, port })
  end)

  it("keeps packets apart, empty ones too", function()
    local a <close>, b = neap.net.udp("127.0.0.1"), neap.net.udp("127.0.0.1")
    local host, port = b:address()
    for _, packet in ipairs({ "one", "", "three" }) do a:send(packet, host, port) end
    assert.are.equal("one", (b:recv()))
    assert.are.equal("", (b:recv()))
    assert.are.equal("three", (b:recv()))
  end)

  it("sends to numeric hosts and to ports that there can be", function()
    local a <close> = neap.net.udp("127.0.0.1")
    assert.are.same(table.pack(nil, "cannot send to localhost: the host is not numeric", "EINVAL"),
      table.pack(a:send("x", "localhost", 1)))
    assert.has_error(function() a:send("x", "127.0.0.1\0", 1) end,
      "bad argument #2 to 'send' (a host has no zero bytes)")
    assert.has_error(function() a:send("x", "127.0.0.1", 65537) end,
      "bad argument #3 to 'send' (a port is between 0 and 65535)")
  end)

  it("tells that a packet is too large", function()
    local a <close> = neap.net.udp("127.0.0.1")
    local host, port = a:address()
    assert.are.equal("EMSGSIZE", (select(3, a:send(("x"):rep(70000), host, port))))
  end)

  it("answers who waits when it is closed", function()
    local a = neap.net.udp("127.0.0.1")
    local reader = grid.parked_task(function() return a:recv() end)
    a:close()
    assert.are.same(closed, table.pack(reader:join()))
    assert.has_error(function() a:recv() end, "the socket is closed")
  end)
end)

describe("neap.dns.resolve", function()
  it("lists the addresses of a name", function()
    local addresses = assert(neap.dns.resolve("localhost", { family = "ipv4" }))
    assert.are.same({ "127.0.0.1" }, addresses)
  end)

  it("knows that a name below localhost is this machine, whatever the system's files say", function()
    assert.are.same({ "127.0.0.1" }, neap.dns.resolve("Some.LOCALHOST", { family = "ipv4" }))
    assert.are.same({ "::1" }, neap.dns.resolve("some.localhost.", { family = "ipv6" }))
    assert.are.equal("127.0.0.1", neap.dns.resolve("some.localhost")[1])
    assert.is_nil((neap.dns.resolve("somelocalhost")))
  end)

  it("tells that there is no such name", function()
    local _, message, code = neap.dns.resolve("no.such.name.invalid")
    assert.is_truthy(code:find("^EAI_"))
    assert.is_truthy(message:find("cannot resolve no.such.name.invalid", 1, true))
  end)

  it("is cancelled while it waits", function()
    local waiter = grid.parked_task(neap.dns.resolve, "no.such.name.invalid")
    waiter:cancel()
    grid.assert_cancelled(waiter)
  end)
end)

describe("the sockets of a program", function()
  it("are closed with it, whatever waits on them", function()
    local result = support.run_script([[
      local listener = neap.net.listen("127.0.0.1", 0)
      neap.spawn({ daemon = true }, function() listener:accept() end)
      local stream = neap.net.connect(listener:address())
      neap.spawn({ daemon = true }, function() stream:read() end)
      neap.thread({ daemon = true }, function(shared) shared:accept() shared:accept():read() end, listener)
      neap.spawn({ daemon = true }, neap.dns.resolve, "no.such.name.invalid")
      neap.yield()
      print("end")]])
    assert.are.same({ status = 0, stdout = "end\n", stderr = "" }, result)
  end)

  it("keep it alive while a task waits on them", function()
    local result = support.run_script([[
      local listener = neap.net.listen("127.0.0.1", 0)
      neap.spawn(function() print(listener:accept():read("line")) end)
      neap.thread(function(host, port) neap.net.connect(host, port):write("from a thread\n") end, listener:address())]])
    assert.are.same({ status = 0, stdout = "from a thread\n", stderr = "" }, result)
  end)
end)
