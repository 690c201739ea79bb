-- A listener that goes to other processes: each has its own over the same socket.

local neap = require "neap"
local servers = require "spec.servers"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads and processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local closed = table.pack(nil, "closed", "closed")

local function listen(options) return assert(neap.net.listen("127.0.0.1", 0, options)) end

--- What a client of that address reads; or nil, message, code.
local function ask(host, port)
  local stream <close>, message, code = neap.net.connect(host, port, { timeout = 60 })
  if not stream then return nil, message, code end
  return stream:read("all", 60)
end

--- Answers one connection with the number of its process.
local function answer(listener)
  local stream <close> = assert(listener:accept(60))
  stream:write(tostring(neap.getpid()))
end

--- Waits until nobody listens at that address any more.
local function wait_until_refused(host, port)
  local limit = neap.now() + 60
  local code
  repeat
    local stream, _
    stream, _, code = neap.net.connect(host, port, { timeout = 60 })
    if stream then stream:close() end
    neap.sleep(0.001)
  until code == "ECONNREFUSED" or neap.now() > limit
  assert.are.equal("ECONNREFUSED", code)
end

--- This process takes connections with it, and when it closes it nobody does.
local function assert_serves_here(listener)
  local host, port = listener:address()
  local client = neap.spawn(ask, host, port)
  answer(listener)
  assert.are.equal(tostring(neap.getpid()), client:join())
  listener:close()
  wait_until_refused(host, port)
end

--- A new certificate for "localhost", signed by itself, and its key: files in the folder.
local function make_identity(folder)
  local identity = { cert = folder.path .. "/cert.pem", key = folder.path .. "/key.pem" }
  local made = assert(neap.run({ "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
    "-nodes", "-keyout", identity.key, "-out", identity.cert, "-subj", "/CN=localhost", "-addext",
    "subjectAltName=DNS:localhost" }))
  assert.are.equal(0, made.code, made.stderr)
  return identity
end

local function count_descriptors()
  collectgarbage()
  collectgarbage()
  return #neap.fs.list("/proc/self/fd")
end

--- How many descriptors this process has when nothing goes on: what an ended process leaves is closed by and by.
local function least_descriptors()
  local least = math.huge
  for _ = 1, 50 do
    least = math.min(least, count_descriptors())
    neap.sleep(0.002)
  end
  return least
end

--- Waits until there are no more than `count`; how many there are then.
local function settle(count)
  local limit = neap.now() + 60
  local left
  repeat
    left = count_descriptors()
    neap.sleep(0.001)
  until left <= count or neap.now() > limit
  return left
end

describe("a listener in another process", function()
  -- Each starts a process that receives the listener, says so, and answers.
  local ways = {
    ["as an argument"] = function(listener, received)
      return neap.process(function(there)
        received:set()
        answer(there)
      end, listener)
    end,
    ["as an upvalue"] = function(listener, received)
      return neap.process(function()
        received:set()
        answer(listener)
      end)
    end,
    ["in a table among other things"] = function(listener, received)
      return neap.process(function(what)
        assert(what.text == "text" and what.list[1] == what.list[2])
        received:set()
        answer(what.list[1])
      end, { text = "text", list = { listener, listener } })
    end,
    ["over a channel"] = function(listener, received)
      local channel = neap.channel()
      local process = neap.process(function()
        local there = channel:recv()
        received:set()
        answer(there)
      end)
      assert.is_true(channel:send(listener))
      return process
    end,
    ["over a queue, ahead of the receiver"] = function(listener, received)
      local queue = neap.queue()
      queue:put("first")
      queue:put(listener)
      return neap.process(function()
        assert(queue:get() == "first")
        local there = queue:get()
        received:set()
        answer(there)
      end)
    end,
    ["over a pipe"] = function(listener, received)
      local near, far = neap.pipe()
      local process = neap.process(function()
        local there = far:recv()
        received:set()
        answer(there)
      end)
      near:send(listener)
      return process
    end,
    ["in a shared dict"] = function(listener, received)
      local dict = neap.dict { listener = listener }
      return neap.process(function()
        local there = dict:get("listener")
        received:set()
        answer(there)
      end)
    end,
    ["with more than goes into the ring at once"] = function(listener, received)
      local channel, block = neap.channel(), ("x"):rep(2 ^ 20)
      local process = neap.process(function()
        local message = channel:recv()
        assert(#message[1] == 2 ^ 20 and message[3] == message[1])
        received:set()
        answer(message[2])
      end)
      channel:send({ block, listener, block })
      return process
    end,
    ["to a grandchild"] = function(listener, received)
      return neap.process(function()
        return neap.process(function()
          received:set()
          answer(listener)
        end):join()
      end)
    end,
  }
  for way, start in pairs(ways) do
    it("takes connections, sent " .. way, function()
      local listener, received = listen(), neap.event()
      local host, port = listener:address()
      local process = start(listener, received)
      assert(received:wait(60))
      listener:close()
      local text = assert(ask(host, port))
      process:join()
      assert.is_truthy(tonumber(text))
      assert.are_not.equal(neap.getpid(), tonumber(text))
      wait_until_refused(host, port)
    end)
  end

  it("takes connections here, sent by a child", function()
    local listener = neap.process(function()
      return assert(neap.net.listen("127.0.0.1", 0))
    end):join()
    assert_serves_here(listener)
  end)

  it("takes connections in a sibling of the one that has made it", function()
    local listeners, addresses = neap.channel(), neap.channel()
    local maker = neap.process(function()
      local listener = assert(neap.net.listen("127.0.0.1", 0))
      addresses:send({ listener:address() })
      listeners:send(listener)
    end)
    local taker = neap.process(function() answer(listeners:recv()) end)
    local host, port = table.unpack(addresses:recv())
    maker:join()
    assert.is_truthy(tonumber((ask(host, port))))
    taker:join()
    wait_until_refused(host, port)
  end)

  it("knows its address and how it stands", function()
    local listener <close> = listen()
    local host, port = listener:address()
    local there_host, there_port, text = neap.process(function()
      local there_host, there_port = listener:address()
      return there_host, there_port, tostring(listener)
    end):join()
    assert.are.same({ host, port }, { there_host, there_port })
    assert.is_truthy(text:find("^listener: 0x%x+ %(127.0.0.1 port " .. port .. "%)$"))
  end)

  it("is closed by each for itself", function()
    local listener = listen()
    local host, port = listener:address()
    assert.are.same(table.pack(true, nil, "closed", "closed"), table.pack(neap.process(function()
      return listener:close(), listener:accept()
    end):join()))
    local client = neap.spawn(ask, host, port)
    answer(listener)
    assert.are.equal(tostring(neap.getpid()), client:join())

    local taken = neap.channel()
    local process = neap.process(function()
      taken:send(true)
      answer(listener)
    end)
    taken:recv()
    local waits = neap.spawn(function() return listener:accept() end)
    neap.yield()
    listener:close()
    assert.are.same(closed, table.pack(waits:join()))
    assert.are.equal(tostring(process.pid), (ask(host, port)))
    process:join()
    wait_until_refused(host, port)
  end)

  it("is closed for all threads of its process", function()
    local channel = neap.channel()
    local process = neap.process(function(listener)
      local waits = neap.channel()
      local threads = {}
      for i = 1, 3 do
        threads[i] = neap.thread(function()
          waits:send(true)
          return listener:accept()
        end)
      end
      for _ = 1, 3 do waits:recv() end
      listener:close()
      local codes = {}
      for i, thread in ipairs(threads) do codes[i] = select(3, thread:join()) end
      channel:send(codes)
    end, listen())
    assert.are.same({ "closed", "closed", "closed" }, channel:recv())
    process:join()
  end)

  it("is served by a pool of processes, and goes on when this one has closed its own", function()
    local listener = listen()
    local host, port = listener:address()
    local serving, over = neap.channel(), neap.event()
    local pool <close> = neap.pool { workers = 3, kind = "process" }
    for _ = 1, 3 do
      pool:submit(function()
        local server = assert(neap.http.serve {
          listener = listener, handler = function() return tostring(neap.getpid()) end })
        serving:send(tostring(neap.getpid()))
        over:wait()
        server:close()
        listener:close()
      end)
    end
    local served = {}
    for _ = 1, 3 do served[serving:recv()] = true end
    listener:close()
    local url = ("http://%s:%d/"):format(host, port)
    for _ = 1, 20 do
      local response = assert(neap.http.get(url, { timeout = 60 }))
      assert.is_true(served[response.body])
    end
    over:set()
    pool:join()
    wait_until_refused(host, port)
  end)

  it("is served with TLS where each process brings the certificate", function()
    local folder <close> = servers.folder()
    local identity = make_identity(folder)
    local listener = listen()
    local _, port = listener:address()
    local serving, over = neap.channel(), neap.event()
    local processes = {}
    for i = 1, 2 do
      processes[i] = neap.process(function()
        local _ <close> = assert(neap.http.serve {
          listener = listener, tls = identity, handler = function() return tostring(neap.getpid()) end })
        serving:send(tostring(neap.getpid()))
        over:wait()
      end)
    end
    local served = { [serving:recv()] = true, [serving:recv()] = true }
    listener:close()
    for _ = 1, 5 do
      local response = assert(neap.http.get("https://localhost:" .. port, { ca = identity.cert, timeout = 60 }))
      assert.is_true(served[response.body])
    end
    local plain <close> = assert(neap.net.connect("127.0.0.1", port))
    plain:write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.is_nil((plain:read("line", 60) or ""):match("^HTTP"))
    over:set()
    for _, process in ipairs(processes) do process:join() end
  end)

  it("leaves its path to the other processes, and the next server takes its place", function()
    local folder <close> = servers.folder()
    local host = "unix:" .. folder.path .. "/socket"
    local listener = assert(neap.net.listen(host))
    local process = neap.process(answer, listener)
    listener:close()
    assert.are.equal(tostring(process.pid), (ask(host)))
    process:join()
    local limit = neap.now() + 60
    repeat
      local stream, _, code = neap.net.connect(host)
      if stream then stream:close() end
      neap.sleep(0.001)
    until code == "ECONNREFUSED" or neap.now() > limit
    local next_one = assert(neap.net.listen(host))
    next_one:close()
    assert.is_nil(neap.fs.stat(folder.path .. "/socket"))
  end)
end)

describe("a listener on its way", function()
  local function refuses(expected, ...)
    local ok, message = pcall(...)
    assert.is_false(ok)
    assert.is_truthy(message:find(expected, 1, true), message)
  end

  local function nothing() end

  it("is refused with its path when it has TLS, by whatever way it is sent to another process", function()
    local folder <close> = servers.folder()
    local identity = make_identity(folder)
    local listener <close> = listen { tls = identity }
    local reason = ": userdata whose TLS cannot go to another process (listener)"
    refuses("cannot send args[2].at[1]" .. reason, neap.process, nothing, 1, { at = { listener } })
    refuses("cannot send function:upvalue(listener)" .. reason, neap.process, function() return listener end)
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    refuses("cannot send args[1]" .. reason, pool.submit, pool, nothing, listener)
    refuses("initargs[1]" .. reason, neap.pool,
      { workers = 1, kind = "process", initializer = nothing, initargs = { listener } })
    assert.are.equal(1, pool:submit(function() return 1 end):result())

    -- an object of another process
    local objects, over = neap.channel(), neap.channel()
    local process = neap.process(function()
      local near, far = neap.pipe()
      objects:send({ channel = neap.channel(1), queue = neap.queue(), pipe = near, dict = neap.dict(),
        list = neap.list { 1 }, far = far })
      over:recv()
    end)
    local there = objects:recv()
    refuses("cannot send value" .. reason, there.channel.send, there.channel, listener)
    refuses("cannot send value.x" .. reason, there.queue.put, there.queue, { x = listener })
    refuses("cannot send value" .. reason, there.pipe.send, there.pipe, listener)
    refuses("cannot send value" .. reason, there.dict.set, there.dict, "key", listener)
    refuses("cannot send value" .. reason, there.list.append, there.list, listener)
    refuses("cannot send value" .. reason, there.list.extend, there.list, { listener })
    refuses("cannot send cases[1][2]" .. reason, neap.select, { { there.channel, listener } })
    assert.are.equal(0, #there.channel)
    over:send(true)
    process:join()

    -- to threads it goes as ever
    assert.are.equal(tostring(listener):match("%(.*%)"),
      neap.thread(function() return tostring(listener):match("%(.*%)") end):join())
  end)

  it("is refused with its path when it is closed", function()
    local listener = listen()
    listener:close()
    refuses("cannot send args[1].l: userdata that is closed (listener)", neap.process, nothing, { l = listener })
  end)

  it("is refused as a result when it has to stay, and the failure says so", function()
    local folder <close> = servers.folder()
    local identity = make_identity(folder)
    local function make()
      return assert(neap.net.listen("127.0.0.1", 0, { tls = identity }))
    end
    local process = neap.process({ quiet = true }, make)
    refuses("cannot send result: a handle in it cannot go to another process", process.join, process)
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    local future = pool:submit(make)
    refuses("cannot send result: a handle in it cannot go to another process", future.result, future)
  end)

  it("is refused together with more than 30 others", function()
    local function many(count)
      local list = {}
      for i = 1, count do list[i] = listen() end
      return list
    end
    local function addresses(list)
      local ports = {}
      for i, listener in ipairs(list) do ports[i] = select(2, listener:address()) end
      return ports
    end
    local some = many(31)
    assert.are.same(addresses(some), neap.process(addresses, some):join())
    some[32] = listen()
    refuses("cannot send args: more than 31 listeners", neap.process, nothing, some)
    local channel = neap.channel(1)
    local process = neap.process(function()
      local list = {}
      for i = 1, 32 do list[i] = assert(neap.net.listen("127.0.0.1", 0)) end
      local _, message = pcall(channel.send, channel, list)
      list[32] = nil
      assert(channel:send(list))
      return message
    end)
    assert.are.equal(31, #channel:recv())
    assert.is_truthy(process:join():find("cannot send value: more than 31 listeners$"))
  end)

  it("tells the receiver when it is one too many in a message that was sent long ago, which goes on", function()
    local queue, list = neap.queue(), {}
    for i = 1, 32 do list[i] = listen() end
    queue:put(list)
    queue:put("next")
    local message, next_one = neap.process(function()
      return select(2, pcall(queue.get, queue)), queue:get()
    end):join()
    assert.is_truthy(message:find("cannot receive a listener: .*EMSGSIZE"), message)
    assert.are.equal("next", next_one)
  end)

  it("arrives closed when it was closed before it was taken", function()
    local queue, listener = neap.queue(), listen()
    queue:put(listener)
    listener:close()
    assert.are.same(table.pack(true, nil, "closed", "closed"), table.pack(neap.process(function()
      local there = queue:get()
      return there:is_closed(), there:accept()
    end):join()))
  end)

  it("ends with the channel that nobody has taken it from", function()
    local before = least_descriptors()
    for _, closes in ipairs { true, false } do
      local host, port
      do
        local channel, listener = neap.channel(4), listen()
        host, port = listener:address()
        channel:send(listener)
        channel:send({ listener })
        if closes then channel:close() end
        channel, listener = nil, nil -- luacheck: ignore
      end
      assert.is_true(settle(before) <= before, "descriptors are left")
      wait_until_refused(host, port)
    end
  end)

  it("ends with a child that has a message with it and never takes it out", function()
    local listener = listen()
    local host, port = listener:address()
    local ready = neap.channel()
    local process = neap.process(function()
      local channel = neap.channel(4)
      ready:send(channel)
      ready:send(channel:is_closed())
    end)
    local channel = ready:recv()
    channel:send(listener)
    channel:send({ listener })
    listener:close()
    assert.is_false(ready:recv())
    process:join()
    wait_until_refused(host, port)
  end)

  it("leaves no descriptor behind when its receivers are killed at any moment", function()
    trial.seed()
    local listener, block = listen(), ("x"):rep(100000)
    local function round(spins)
      local channel = neap.channel(3)
      local process = neap.process({ quiet = true }, function(first)
        assert(first)
        while true do channel:recv() end
      end, listener)
      local sender = neap.spawn(function()
        for i = 1, 200 do
          if not channel:send(i % 3 == 0 and { block, listener } or listener, 0.01) then break end
        end
      end)
      for _ = 1, spins do neap.yield() end
      process:kill()
      process:wait()
      sender:cancel()
      sender:wait()
    end
    for _ = 1, 3 do round(10) end
    local before = least_descriptors()
    for _ = 1, 30 * support.stress do round(math.random(0, 400)) end
    assert.is_true(settle(before) <= before, "descriptors are left")
    assert_serves_here(listener)
  end)

  it("is an error of the receiver that has no descriptor for it, who then goes on", function()
    local result = support.run_with_few_descriptors([[
      local offered, told = neap.channel(), neap.channel()
      local process = neap.process(function()
        local held = {}
        offered:recv()
        for file in function() return (io.open("/dev/null")) end do held[#held + 1] = file end
        told:send(#held > 0)
        local ok, message = pcall(offered.recv, offered)
        for _, file in ipairs(held) do file:close() end
        told:send({ ok, message })
        local listener = offered:recv()
        told:send(tostring(listener))
      end)
      local listener = neap.net.listen("127.0.0.1", 0)
      offered:send(true)
      told:recv()
      offered:send({ "text", listener })
      local answer = told:recv()
      print(answer[1], answer[2])
      offered:send(listener)
      assert(told:recv():find("^listener"))
      process:join()
      print "well"]])
    assert.are.equal(0, result.status, result.stderr)
    assert.is_truthy(result.stdout:find("^false\tcannot receive a listener: too many open files %(EMFILE%)\nwell\n$"),
      result.stdout)
  end)

  it("is an error of the sender that has no descriptor for its copy, and nothing is sent", function()
    local result = support.run_with_few_descriptors([[
      local channels, told = neap.channel(), neap.channel()
      local process = neap.process(function()
        local neap = require "neap"
        local channel = neap.channel(4)
        channels:send(channel)
        told:recv()
        local count = #channel
        local listener = channel:recv()
        return count, tostring(listener)
      end)
      local channel = channels:recv()
      local listener, held = neap.net.listen("127.0.0.1", 0), {}
      channel:is_closed()
      for file in function() return (io.open("/dev/null")) end do held[#held + 1] = file end
      print(channel:send(listener))
      for _, file in ipairs(held) do file:close() end
      assert(channel:send(listener))
      told:send(true)
      local count, text = process:join()
      print(count, text:match("^listener"))]])
    assert.are.equal(0, result.status, result.stderr)
    assert.are.equal("nil\ttoo many open files\tEMFILE\n1\tlistener\n", result.stdout)
  end)
end)
