local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local function full(capacity)
  local channel = neap.channel(capacity)
  for i = 1, capacity do channel:send("value " .. i) end
  return channel
end

local function recv(channel, timeout) return channel:recv(timeout) end
local function send(channel, timeout) return channel:send("sent", timeout) end

for _, capacity in ipairs({ 0, 1, 5 }) do
  local name = " (capacity " .. capacity .. ")"
  grid.ask("channel:recv" .. name, { blocked = function() return neap.channel(capacity) end, wait = recv,
    serve = function(channel) channel:send("a value") end, served = table.pack("a value") })
  grid.ask("channel:send" .. name, { blocked = function() return full(capacity) end, wait = send,
    serve = function(channel) assert(channel:recv()) end, served = table.pack(true) })
end

grid.ask("channel:recv, closed while it waits", { blocked = neap.channel, wait = recv,
  serve = function(channel) channel:close() end, served = table.pack(nil, "closed", "closed"), all = true })
grid.ask("channel:send, closed while it waits", { blocked = function() return full(2) end, wait = send,
  serve = function(channel) channel:close() end, served = table.pack(nil, "closed", "closed"), all = true })

describe("a channel", function()
  it("is a rendezvous by default, and has the capacity that it was given", function()
    assert.are.equal(0, neap.channel().capacity)
    for _, capacity in ipairs({ 0, 1, 2, 1000 }) do assert.are.equal(capacity, neap.channel(capacity).capacity) end
  end)

  it("refuses what is no capacity", function()
    for _, bad in ipairs({ -1, 1.5, "x", {}, math.mininteger, 0 / 0, math.huge }) do
      assert.has_error(function() neap.channel(bad) end)
    end
    assert.has_error(function() neap.channel().capacity = 5 end)
  end)

  it("keeps as many values as it has room for, in order", function()
    for _, capacity in ipairs({ 1, 3, 100 }) do
      local channel = neap.channel(capacity)
      for round = 1, 3 do
        for i = 1, capacity do
          assert.are.equal(i - 1, #channel)
          assert.is_true((channel:send(round * i, 0)))
        end
        assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(channel:send("no room", 0)))
        for i = 1, capacity do assert.are.equal(round * i, (channel:recv(0))) end
        assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(channel:recv(0)))
      end
    end
  end)

  it("keeps what it has when a thread gets it", function()
    for held = 0, 9 do
      local channel = neap.channel(100)
      for i = 1, 5 do channel:send(i) end
      for _ = 1, 5 do channel:recv() end
      for i = 1, held do channel:send(i) end
      channel:close()
      local thread = neap.thread(function(from)
        local values = {}
        for value in from:iter() do values[#values + 1] = value end
        return values
      end, channel)
      local expected = {}
      for i = 1, held do expected[i] = i end
      assert.are.same(expected, (thread:join()))
    end
  end)

  it("of capacity 0 gives a value to who waits, and keeps none", function()
    local channel = neap.channel()
    assert.is_nil((channel:send(1, 0)))
    assert.are.equal(0, #channel)
    local receiver = grid.parked_task(recv, channel)
    assert.are.equal(0, #channel)
    assert.is_true((channel:send(1, 0)))
    assert.is_nil((channel:send(2, 0)))
    assert.are.equal(1, (receiver:join()))
    local sender = grid.parked_task(send, channel)
    assert.are.equal("sent", (channel:recv(0)))
    assert.is_true((sender:join()))
  end)

  it("refuses nil, and says what to send instead", function()
    local channel = neap.channel(1)
    for _, call in ipairs({ function() channel:send() end, function() channel:send(nil) end,
      function() channel:send(nil, 0) end }) do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.is_truthy(message:find("nil cannot be sent (send neap.null, or a table)", 1, true))
    end
    assert.are.equal(0, #channel)
    assert.is_true((channel:send(false)))
    assert.is_false((channel:recv()))
    channel:send(neap.null)
    assert.are.equal(neap.null, (channel:recv()))
  end)

  it("refuses what is none", function()
    local channel = neap.channel()
    for _, bad in ipairs({ {}, 1, "x", neap.queue(), neap.lock(), io.stdout }) do
      for _, verb in ipairs({ "send", "recv", "close", "iter", "is_closed" }) do
        local ok, message = pcall(channel[verb], bad, 1)
        assert.is_false(ok)
        assert.is_truthy(message:find("channel expected", 1, true), message)
      end
    end
  end)

  it("copies what is sent", function()
    local channel, sent = neap.channel(1), { 1, { 2 } }
    channel:send(sent)
    sent[1] = "changed"
    local arrived = channel:recv()
    assert.are.same({ 1, { 2 } }, arrived)
  end)

  it("says how it stands", function()
    local channel = neap.channel(3)
    channel:send(1)
    assert.is_truthy(tostring(channel):find("^channel: .* %(1/3%)$"))
    channel:close()
    assert.is_truthy(tostring(channel):find("^channel: .* %(1/3, closed%)$"))
  end)

  it("is equal to itself alone, and a key of a table, wherever it went", function()
    local channel, carrier = neap.channel(), neap.channel(1)
    carrier:send({ channel })
    local arrived = carrier:recv()[1]
    assert.are.equal(channel, arrived)
    assert.are.equal(1, ({ [channel] = 1 })[arrived])
    assert.are.equal(channel, (neap.thread(function(c) return c end, channel):join()))
    assert.are_not.equal(channel, carrier)
  end)

  it("has its capacity in other threads", function()
    assert.are.equal(7, (neap.thread(function(c) return c.capacity end, neap.channel(7)):join()))
  end)
end)

describe("closing a channel", function()
  it("tells who closed it, once", function()
    local channel = neap.channel()
    assert.is_false(channel:is_closed())
    assert.is_true(channel:close())
    assert.is_false(channel:close())
    assert.is_false(channel:close("again"))
    assert.is_true(channel:is_closed())
  end)

  it("leaves what it keeps to be received", function()
    local channel = full(3)
    channel:close()
    for i = 1, 3 do assert.are.equal("value " .. i, (channel:recv())) end
    for _ = 1, 2 do assert.are.same(table.pack(nil, "closed", "closed"), table.pack(channel:recv())) end
  end)

  it("lets nothing be sent any more", function()
    for capacity = 0, 1 do
      local channel = neap.channel(capacity)
      channel:close()
      for _, timeout in ipairs({ 0, 1, math.huge }) do
        assert.are.same(table.pack(nil, "closed", "closed"), table.pack(channel:send(1, timeout)))
      end
      assert.are.same(table.pack(nil, "closed", "closed"), table.pack(channel:send(1)))
    end
  end)

  it("turns waiting senders away: what they had is not received", function()
    local channel = full(1)
    local senders = { grid.parked_task(send, channel), grid.parked_thread(send, channel) }
    channel:close()
    for _, sender in ipairs(senders) do
      assert.are.same(table.pack(nil, "closed", "closed"), table.pack(sender:join()))
    end
    assert.are.equal("value 1", (channel:recv()))
    assert.are.equal("closed", select(3, channel:recv()))
  end)

  it("gives the reason to all who come to know of it", function()
    local channel = full(1)
    local sender = grid.parked_task(send, channel)
    channel:close({ why = "done" })
    assert.are.same(table.pack(nil, "closed", "closed", { why = "done" }), table.pack(sender:join()))
    channel:recv()
    for _ = 1, 2 do
      assert.are.same(table.pack(nil, "closed", "closed", { why = "done" }), table.pack(channel:recv()))
      assert.are.same(table.pack(nil, "closed", "closed", { why = "done" }), table.pack(channel:send(1)))
    end
    assert.are.same(table.pack(nil, "closed", "closed", { why = "done" }),
      table.pack(neap.thread(recv, channel):join()))
    channel = neap.channel()
    local receiver = grid.parked_thread(recv, channel)
    channel:close("text")
    channel:close("another")
    assert.are.same(table.pack(nil, "closed", "closed", "text"), table.pack(receiver:join()))
  end)

  it("with a reason that cannot be sent raises, and does not close", function()
    local channel = neap.channel()
    assert.has_error(function() channel:close(coroutine.create(print)) end)
    assert.is_false(channel:is_closed())
  end)

  it("works from another thread", function()
    local channel = neap.channel()
    local receiver = grid.parked_task(recv, channel)
    assert.is_true((neap.thread(function(c) return c:close() end, channel):join()))
    assert.are.equal("closed", select(3, receiver:join()))
  end)
end)

describe("iter", function()
  it("gives the values until the channel is closed", function()
    local channel, seen = neap.channel(2), {}
    local producer = neap.spawn(function()
      for i = 1, 10 do channel:send(i) end
      channel:close()
    end)
    for value in channel:iter() do table.insert(seen, value) end
    producer:join()
    assert.are.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, seen)
  end)

  it("gives false as well", function()
    local channel, count = full(1), 0
    channel:recv()
    channel:send(false)
    channel:close()
    for value in channel:iter() do
      assert.is_false(value)
      count = count + 1
    end
    assert.are.equal(1, count)
  end)

  it("may be left and begun again", function()
    local channel = full(3)
    for value in channel:iter() do
      if value == "value 1" then break end
    end
    channel:close()
    local rest = {}
    for value in channel:iter() do table.insert(rest, value) end
    assert.are.same({ "value 2", "value 3" }, rest)
    for _ in channel:iter() do error("nothing is left") end
  end)

  it("returns a function that needs nothing but to be called", function()
    local channel = full(2)
    local next_value = channel:iter()
    channel:close()
    assert.are.equal("value 1", next_value())
    assert.are.equal("value 2", next_value())
    assert.is_nil((next_value()))
  end)
end)

describe("senders and receivers", function()
  it("are served in the order of their coming", function()
    for _, capacity in ipairs({ 0, 2 }) do
      local channel, tasks = full(capacity), {}
      for i = 1, 5 do tasks[i] = grid.parked_task(channel.send, channel, i) end
      for i = 1, capacity do assert.are.equal("value " .. i, (channel:recv())) end
      for i = 1, 5 do assert.are.equal(i, (channel:recv())) end
      for i = 1, 5 do tasks[i] = grid.parked_task(recv, channel) end
      for i = 1, 5 do channel:send(i * 10) end
      for i = 1, 5 do assert.are.equal(i * 10, (tasks[i]:join())) end
    end
  end)

  -- Each is one that waits in a way of its own, and returns what it received.
  local ways = {
    recv,
    function(channel) return channel:recv(3600) end,
    function(channel) return select(2, neap.select({ channel })) end,
    function(channel) return select(2, neap.select({ neap.channel(), channel }, 3600)) end,
    function(channel) return neap.timeout(3600, recv, channel) end,
    function(channel) return coroutine.wrap(recv)(channel) end,
    function(channel) return (channel:iter())(channel) end,
  }

  it("are served in the order of their coming, in whatever way they wait", function()
    local channel, tasks = neap.channel(), {}
    for i = 1, #ways * 3 do tasks[i] = grid.parked_task(ways[i % #ways + 1], channel) end
    for i = 1, #tasks do
      if i % 2 == 0 then neap.select({ { channel, i } }) else channel:send(i) end
    end
    for i = 1, #tasks do assert.are.equal(i, (tasks[i]:join())) end
  end)

  it("are served in the order of their coming, whichever of them are cancelled meanwhile", function()
    local channel, tasks, rest = neap.channel(), {}, {}
    for i = 1, #ways * 3 do tasks[i] = grid.parked_task(ways[i % #ways + 1], channel) end
    for i = 1, #tasks do
      if i % 3 == 0 then tasks[i]:cancel() else rest[#rest + 1] = tasks[i] end
    end
    for i = 1, #rest do channel:send(i) end
    for i = 1, #rest do assert.are.equal(i, (rest[i]:join())) end
  end)

  it("that wait are served from another thread as well, once that has the channel", function()
    local channel, tasks = neap.channel(), {}
    for i = 1, #ways do tasks[i] = grid.parked_task(ways[i], channel) end
    channel:send(1)
    local thread = neap.thread(function(c, first, last)
      for i = first, last do c:send(i) end
    end, channel, 2, #ways)
    for i = 1, #ways do assert.are.equal(i, (tasks[i]:join())) end
    thread:join()
  end)

  it("of several threads are served in the order of their coming", function()
    local channel, threads = neap.channel(), {}
    for i = 1, 4 do threads[i] = grid.parked_thread(recv, channel) end
    for i = 1, 4 do channel:send(i) end
    for i = 1, 4 do assert.are.equal(i, (threads[i]:join())) end
  end)

  it("get values in the order of sending, from one to one", function()
    local channel = neap.channel(3)
    local thread = neap.thread(function(c, count)
      for i = 1, count do
        local value = c:recv()
        if value ~= i then error(("%d instead of %d"):format(value, i)) end
      end
      return true
    end, channel, 20000)
    for i = 1, 20000 do channel:send(i) end
    assert.is_true((thread:join()))
  end)
end)

describe("values", function()
  local function race(producers, consumers, capacity, count, start)
    local seed = trial.seed()
    local channel = neap.channel(capacity)
    local senders, receivers = {}, {}
    for i = 1, producers do
      senders[i] = start(function(c, from, to, random)
        math.randomseed(random)
        local sent = 0
        for value = from, to do
          if math.random(8) == 1 then -- in vain, perhaps, but then nothing was sent
            while not c:send(value, math.random(2) == 1 and 0 or 0.00001) do neap.yield() end
          else
            assert(c:send(value))
          end
          sent = sent + value
        end
        return sent
      end, channel, (i - 1) * count + 1, i * count, math.random(1 << 30))
    end
    for i = 1, consumers do
      receivers[i] = start(function(c, random)
        math.randomseed(random)
        local sum, got = 0, 0
        while true do
          local timeout
          if math.random(8) == 1 then timeout = math.random(2) == 1 and 0 or 0.00001 end
          local value, _, code = c:recv(timeout)
          if code == "closed" then return sum, got end
          if value then
            sum, got = sum + value, got + 1
          else
            neap.yield()
          end
        end
      end, channel, math.random(1 << 30))
    end
    local sent, received, number = 0, 0, 0
    for _, sender in ipairs(senders) do sent = sent + sender:join() end
    channel:close()
    for _, receiver in ipairs(receivers) do
      local sum, got = receiver:join()
      received, number = received + sum, number + got
    end
    local context = ("seed %d, %d to %d by %d"):format(seed, producers, consumers, capacity)
    assert.are.equal(producers * count, number, context)
    assert.are.equal(sent, received, context)
    assert.are.equal(producers * count * (producers * count + 1) // 2, received, context)
  end

  for kind, start in pairs({ tasks = neap.spawn, threads = neap.thread }) do
    for _, numbers in ipairs({ { 1, 1 }, { 1, 4 }, { 4, 1 }, { 3, 3 } }) do
      it(("are never lost nor doubled from %d to %d %s"):format(numbers[1], numbers[2], kind), function()
        for _, capacity in ipairs({ 0, 1, 16 }) do
          race(numbers[1], numbers[2], capacity, (support.sanitizer and 100 or 500) * support.stress, start)
        end
      end)
    end
  end

  it("are never lost nor doubled when those that wait are cancelled", function()
    local seed = trial.seed()
    local channel, received = neap.channel(1), {}
    local producer = neap.thread(function(c, count)
      for i = 1, count do c:send(i) end
      c:close()
    end, channel, 2000 * support.stress)
    local total = 2000 * support.stress
    local closed = false
    while not closed do
      local task = neap.spawn(function()
        local value = channel:recv()
        if value then table.insert(received, value) else closed = true end -- nothing here waits
      end)
      if math.random(2) == 1 then neap.yield() end
      if math.random(2) == 1 then neap.yield() end
      if math.random(3) == 1 then task:cancel() end
      task:wait()
    end
    producer:join()
    assert.are.equal(total, #received, "seed " .. seed)
    for i = 1, total do assert.are.equal(i, received[i], "seed " .. seed) end
  end)

  it("arrive whole when the collector runs inside every operation", function()
    local pause = collectgarbage("setpause", 0)
    local channel = neap.channel(2)
    local consumer = neap.spawn(function()
      for value in channel:iter() do
        collectgarbage()
        assert(#value.text == 1000 and value.list[3].deep == "x" and value.self == value and value.channel == channel)
      end
    end)
    for _ = 1, 50 do
      local value = { text = ("t"):rep(1000), list = { 1, 2, { deep = "x" } }, channel = channel }
      value.self = value
      channel:send(value)
      collectgarbage("step")
      value = nil -- luacheck: ignore
      collectgarbage()
    end
    channel:close()
    consumer:join()
    collectgarbage("setpause", pause)
  end)
end)

describe("a send that fails", function()
  local function deep(depth) return depth == 0 and coroutine.create(print) or { "before", deep(depth - 1), "after" } end

  local bad = {
    ["a coroutine"] = coroutine.create(print),
    ["a file"] = { 1, { file = io.stdout } },
    ["a coroutine deep inside"] = deep(30),
    ["a key"] = { [coroutine.create(print)] = 1 },
    ["an upvalue"] = (function()
      local co = coroutine.create(print)
      return function() return co end
    end)(),
  }
  for name, value in pairs(bad) do
    it("because of " .. name .. " names it and leaves the channel unchanged", function()
      for _, capacity in ipairs({ 0, 2 }) do
        local channel = neap.channel(capacity)
        local ok, message = pcall(channel.send, channel, value)
        assert.is_false(ok)
        assert.is_truthy(tostring(message):find("cannot send value", 1, true), message)
        assert.are.equal(0, #channel)
        local receiver = grid.parked_task(recv, channel)
        assert.is_false((pcall(channel.send, channel, value)))
        assert.are.equal("waiting", receiver:status())
        channel:send("after all")
        assert.are.equal("after all", (receiver:join()))
      end
    end)
  end

  it("at whatever step leaves the channel unchanged", function()
    local parts = { 1, 2.5, "text", ("long"):rep(1000), true, { 1, { 2 } }, neap.channel(1),
      function() return neap end, print,
      neap.lock(), neap.null, { [1.5] = "x" } }
    for position = 1, #parts do
      local value, inner = { table.unpack(parts) }, neap.channel(1)
      value[position] = { inner, coroutine.create(print) }
      local channel = neap.channel(1)
      local ok, message = pcall(channel.send, channel, { here = value })
      assert.is_false(ok)
      assert.is_truthy(message:find("cannot send value.here[" .. position .. "]", 1, true), message)
      assert.are.equal(0, #channel)
      value[position] = inner
      channel:send({ here = value })
      assert.are.equal(inner, channel:recv().here[position])
    end
  end)

  it("is followed by one that succeeds, as if nothing had been", function()
    local channel = full(3)
    for _ = 1, 100 do pcall(channel.send, channel, { coroutine.create(print) }, 0) end
    assert.are.equal(3, #channel)
    for i = 1, 3 do assert.are.equal("value " .. i, (channel:recv(0))) end
  end)

  it("because its timeout is none sends nothing", function()
    local channel = neap.channel(1)
    assert.is_false((pcall(channel.send, channel, 1, -1)))
    assert.is_false((pcall(channel.send, channel, 1, "x")))
    assert.are.equal(0, #channel)
  end)
end)

describe("the life of a channel", function()
  it("may hold itself, and two may hold each other", function()
    local channel, first, second = neap.channel(2), neap.channel(1), neap.channel(1)
    channel:send(channel)
    channel:send({ channel, { channel } })
    first:send(second)
    second:send(first)
    collectgarbage()
    collectgarbage()
    assert.are.equal(channel, (channel:recv()))
    assert.are.equal(channel, channel:recv()[2][1])
    assert.are.equal(first, (first:recv():recv()))
  end)

  -- Objects are counted, so what is left of such a ring is not freed before the process ends.
  it("may be left behind with itself inside, and two with each other", function()
    local result = support.run_script([[
      for _ = 1, 100 do
        local channel, first, second = neap.channel(1), neap.channel(1), neap.channel(1)
        channel:send({ channel })
        first:send(second)
        second:send(first)
      end
      collectgarbage()
      print("done")]], nil, { environment = { ASAN_OPTIONS = "detect_leaks=0" } })
    assert.are.same({ status = 0, stdout = "done\n", stderr = "" }, result)
  end)

  it("that waits for itself in vain can be left behind", function()
    local task = grid.parked_task(function()
      local channel = neap.channel()
      channel:send(channel)
    end)
    task:cancel()
    grid.assert_cancelled(task)
  end)

  it("goes on while a value of it is on its way", function()
    local carrier = neap.channel(1)
    do
      local inner = neap.channel(1)
      inner:send("inside")
      carrier:send(inner)
    end
    collectgarbage()
    collectgarbage()
    assert.are.equal("inside", (carrier:recv():recv(0)))
  end)

  it("goes on while a thread waits on it alone", function()
    local results = neap.channel(1)
    local thread = neap.thread(function(back)
      local channel = neap.channel()
      local task = neap.spawn(function(c) return c:recv() end, channel)
      back:send({ channel })
      neap.yield()
      channel = nil -- luacheck: ignore
      collectgarbage()
      return task:join()
    end, results)
    results:recv()[1]:send("found")
    assert.are.equal("found", (thread:join()))
  end)

  it("ends in the thread that has its last handle", function()
    for _ = 1, 20 do
      local threads = {}
      for i = 1, 3 do
        local channel = neap.channel(10)
        for _ = 1, 10 do channel:send({ ("x"):rep(100), neap.channel() }) end
        threads[i] = neap.thread(function(c)
          c:recv()
          collectgarbage()
        end, channel)
      end
      collectgarbage()
      for _, thread in ipairs(threads) do thread:join() end
    end
  end)

  it("can be used by finalisers, which send, receive and close", function()
    local channel = neap.channel(10)
    local outcome = {}
    for i = 1, 3 do
      setmetatable({}, { __gc = function()
        outcome[i] = { pcall(channel.send, channel, "from __gc " .. i, 0) }
        pcall(channel.recv, channel, 0)
        pcall(channel.send, channel, "again " .. i, 0)
      end })
    end
    collectgarbage()
    collectgarbage()
    assert.are.equal(3, #channel)
    for i = 1, 3 do assert.are.same({ true, true }, outcome[i]) end
    setmetatable({}, { __gc = function() channel:close("by __gc") end })
    collectgarbage()
    collectgarbage()
    assert.is_true(channel:is_closed())
    for _ = 1, 3 do assert.is_truthy(channel:recv():find("%d$")) end
    assert.are.same(table.pack(nil, "closed", "closed", "by __gc"), table.pack(channel:recv()))
  end)

  it("can be used by finalisers while others wait and values are on their way", function()
    local channel, other = neap.channel(), neap.channel(1000)
    local receiver = neap.spawn(function()
      local sum = 0
      for value in channel:iter() do sum = sum + #value.list end
      return sum
    end)
    for i = 1, 200 do
      setmetatable({}, { __gc = function() other:send({ "from a finaliser", i }, 0) end })
      channel:send({ list = { 1, 2, 3 }, text = ("x"):rep(i * 10) })
      if i % 10 == 0 then collectgarbage() end
    end
    channel:close()
    collectgarbage()
    collectgarbage()
    assert.are.equal(600, (receiver:join()))
    assert.are.equal(200, #other)
  end)

  it("is refused when it has been collected and a finaliser still has it", function()
    assert.are.same({ status = 0, stdout = ("false\n"):rep(6), stderr = "" }, support.run_script([[
      for _, make in ipairs { function() return neap.channel(1) end, neap.pipe } do
        local holder = setmetatable({}, { __gc = function(self)
          print((pcall(neap.select, { self.handle }, 0)))
          print((pcall(neap.select, { { self.handle, 1 } }, 0)))
          print((pcall(self.handle.recv, self.handle)))
        end })
        holder.handle = make() -- made later, so it is finalised first
        holder = nil
        collectgarbage()
      end]]))
  end)

  it("is short for very many without filling the memory #stress", function()
    local result = support.run_script(support.resident .. [[
      local function run(count)
        for i = 1, count do
          local channel = neap.channel(i % 3)
          channel:send(i, 0)
          if i % 7 == 0 then channel:close() end
          channel:recv(0)
        end
        collectgarbage()
        return resident()
      end
      local before = run(1000000)
      print(run(1000000) < before * 1.3)]], nil, { limit = 100 })
    assert.are.same({ status = 0, stdout = "true\n", stderr = "" }, result)
  end)
end)

describe("at the end of the program", function()
  it("those that wait on a channel for ever are named", function()
    local result = support.run_script("neap.channel():recv()")
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("recv of channel", 1, true), result.stderr)
  end)

  it("values that nobody received are dropped", function()
    local result = support.run_script([[
      local channel = neap.channel(100)
      for i = 1, 100 do channel:send({ i, neap.channel(), ("x"):rep(1000) }) end]])
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)
end)
