-- What a process sends to channels of another one, most of it without asking: see engine/host/debtor.c.

local neap = require "neap"
local elsewhere = require "spec.elsewhere"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local start = elsewhere.start

--- Sends `count` numbers as {sender, number}, or what `make` makes of it.
local function send_numbers(to, sender, count)
  local send = to.send or to.put
  for number = 1, count do assert(send(to, { sender, number })) end
end

--- Receives until `count` have come from each: the numbers of each are in order.
local function receive_numbers(from, senders, count)
  local receive, last = from.recv or from.get, {}
  for _ = 1, senders * count do
    local sender, number = table.unpack(assert(receive(from)))
    assert.are.equal((last[sender] or 0) + 1, number)
    last[sender] = number
  end
  for sender = 1, senders do assert.are.equal(count, last[sender]) end
end

describe("what a process sends home", function()
  for _, capacity in ipairs { 0, 1, 2, 3, 64, 1024, "any" } do
    it(("arrives in order through a channel of %s"):format(capacity), function()
      local channel = capacity == "any" and neap.queue() or neap.channel(capacity)
      local process = start(send_numbers, channel, 1, 3000)
      receive_numbers(channel, 1, 3000)
      process:join()
      assert.are.equal(0, #channel)
    end)
  end

  it("is never more than fits", function()
    local channel, most = neap.channel(10), 0
    local process = start(send_numbers, channel, 1, 4000)
    for _ = 1, 4000 do
      most = math.max(most, #channel)
      channel:recv()
    end
    process:join()
    assert.is_true(most <= 10, ("%d at a time"):format(most))
  end)

  it("comes in order from each of two children, a grandchild and a thread of one", function()
    for _, capacity in ipairs { 2, 100 } do
      local channel = neap.channel(capacity)
      local processes = { start(send_numbers, channel, 1, 1000), start(send_numbers, channel, 2, 1000),
        start(function(to, send)
          local n = require("neap")
          local grandchild, thread = n.process(send, to, 3, 1000), n.thread(send, to, 4, 1000)
          grandchild:join()
          thread:join()
        end, channel, send_numbers) }
      receive_numbers(channel, 4, 1000)
      for _, process in ipairs(processes) do process:join() end
    end
  end)

  it("is shared by all who receive", function()
    local channel, sums = neap.channel(50), neap.channel(10)
    local function add_up(from, to)
      local sum = 0
      for value in from:iter() do sum = sum + value[2] end
      to:send(sum)
    end
    local receivers = { neap.spawn(add_up, channel, sums), neap.thread(add_up, channel, sums),
      start(add_up, channel, sums) }
    local process = start(send_numbers, channel, 1, 5000)
    process:join()
    channel:close()
    local sum = 0
    for _, receiver in ipairs(receivers) do
      receiver:join()
      sum = sum + sums:recv()
    end
    assert.are.equal(5000 * 5001 // 2, sum)
  end)

  it("keeps its order among large ones, handles and tables", function()
    local channel = neap.channel(40)
    local process = start(function(to)
      local n = require("neap")
      for i = 1, 600 do
        to:send(i % 7 == 0 and { i, ("x"):rep(40000) } or i % 5 == 0 and { i, n.event() } or i % 3 == 0 and i or { i })
      end
    end, channel)
    for i = 1, 600 do
      local value = channel:recv()
      assert.are.equal(i, type(value) == "table" and value[1] or value)
    end
    process:join()
  end)

  it("keeps the order of a queue's priorities, and its tasks", function()
    local queue = neap.queue { order = "priority", maxsize = 200 }
    local process = start(function(to)
      for i = 1, 100 do to:put(i, nil, (i * 37) % 101) end
    end, queue)
    process:join()
    local last = -1
    for _ = 1, 100 do
      local value = queue:get()
      assert.is_true((value * 37) % 101 > last)
      last = (value * 37) % 101
      queue:task_done()
    end
    assert.is_true(queue:join(10))
  end)

  it("is all there once its end is known", function()
    for _ = 1, 20 do
      local channel = neap.channel(1000)
      local process = start(send_numbers, channel, 1, 300)
      process:join()
      assert.are.equal(300, #channel)
      receive_numbers(channel, 1, 300)
    end
  end)

  it("is all there when it was killed after it had been sent", function()
    for _ = 1, 10 do
      local channel, said = neap.channel(1000), neap.value("i64")
      local process = start(function(to, sent)
        for i = 1, 300 do
          to:send(i)
          sent:set(i)
        end
        require("neap").sleep(math.huge)
      end, channel, said)
      while said:get() < 300 do neap.yield() end
      process:kill()
      process:wait()
      assert.are.equal(300, #channel)
      for i = 1, 300 do assert.are.equal(i, channel:recv()) end
    end
  end)

  it("is there for who has heard of it by other means", function()
    local channel, turn = neap.channel(1024), neap.value("i64")
    local process = start(function(to, said)
      for i = 1, 300 do
        to:send(i)
        said:set(i)
        while said:get() == i do require("neap").yield() end
      end
    end, channel, turn)
    for i = 1, 300 do
      while turn:get() ~= i do neap.yield() end
      if i % 2 == 0 then assert.are.equal(1, #channel) end
      assert.are.equal(i, channel:recv(0))
      turn:set(0)
    end
    process:join()
  end)

  it("is unfinished, though it is on its way", function()
    local queue, turn = neap.queue(), neap.value("i64")
    local process = start(function(to, said)
      for i = 1, 300 do
        while said:get() ~= i do require("neap").yield() end
        to:put(i)
        said:set(-i)
      end
    end, queue, turn)
    for i = 1, 300 do
      turn:set(i)
      while turn:get() ~= -i do neap.yield() end
      assert.are.equal("timeout", (select(2, queue:join(0))))
      assert.are.equal(i, queue:get(0))
      assert.are.equal("timeout", (select(2, queue:join(0))))
      queue:task_done()
      assert.is_true(queue:join(0))
    end
    process:join()
  end)

  it("arrives, or is refused, when the channel is closed meanwhile", function()
    for round = 1, 20 do
      local channel = neap.channel(64)
      local process = start(function(to)
        local count = 0
        while true do
          local sent, _, code = to:send(count + 1)
          if not sent then return count, code end
          count = count + 1
        end
      end, channel)
      local last = 0
      for _ = 1, round * 50 do last = channel:recv() end
      channel:close()
      for value in channel:iter() do
        assert.are.equal(last + 1, value)
        last = value
      end
      local count, code = process:join()
      assert.are.equal("closed", code)
      assert.are.equal(count, last)
    end
  end)

  it("is awaited, timed out and cancelled as anywhere when it is full", function()
    local channel = neap.channel(20)
    local process = start(function(to)
      local n = require("neap")
      local count = 0
      while to:send(count + 1, 0) do count = count + 1 end
      local sent, _, code = to:send("late", 0.001)
      assert(not sent and code == "timeout", code)
      local task = n.spawn(function() to:send("never") end)
      n.yield()
      task:cancel()
      task:wait()
      return count, task:status()
    end, channel)
    local count, status = process:join()
    assert.are.equal("cancelled", status)
    assert.is_true(count <= 20)
    assert.are.equal(count, #channel)
    for i = 1, count do assert.are.equal(i, channel:recv()) end
  end)

  it("is chosen by a select on either side", function()
    local channel, quit = neap.channel(8), neap.channel()
    local process = start(function(to, stop)
      local n = require("neap")
      local count = 0
      while true do
        local which = n.select { { to, count + 1 }, stop }
        if which == 2 then return count end
        count = count + 1
      end
    end, channel, quit)
    for i = 1, 500 do
      local _, value = neap.select { channel, neap.channel() }
      assert.are.equal(i, value)
    end
    quit:send(true)
    local count = process:join()
    for i = 501, count do assert.are.equal(i, channel:recv()) end
    assert.are.equal(0, #channel)
  end)

  it("goes over a pipe and back", function()
    local mine, theirs = neap.pipe(true)
    local process = start(function(pipe)
      local value = pipe:recv()
      while value do
        pipe:send(value + 1)
        value = pipe:recv()
      end
    end, theirs)
    for i = 1, 2000 do
      mine:send(i)
      if i % 100 == 0 then assert.is_true(mine:poll(10)) end
      assert.are.equal(i + 1, mine:recv())
    end
    mine:close()
    process:join()
  end)

  it("says what cannot be sent, and goes on", function()
    local channel = neap.channel(100)
    local process = start(function(to)
      for i = 1, 50 do to:send(i) end
      local done, message = pcall(to.send, to, { thing = coroutine.create(print) })
      for i = 51, 100 do to:send(i) end
      return done, message
    end, channel)
    local done, message = process:join()
    assert.is_false(done)
    assert.is_truthy(message:find("coroutine", 1, true), message)
    for i = 1, 100 do assert.are.equal(i, channel:recv()) end
  end)
end)

-- The bytes of these are lent by Lua for as long as the sender waits: see neap_encode_sent in bindings/codec/codec.h.
describe("a long string", function()
  --- One of `size` bytes that says everywhere which it is. What is garbage by now goes.
  local function make_text(number, size)
    collectgarbage()
    return ("%08d"):format(number):rep(size // 8)
  end

  local sizes = { 32 * 1024 - 8, 32 * 1024, 64 * 1024, 200 * 1024, 1 << 20, 3 << 20 }

  local function send_texts(to, make, count, all_sizes)
    local send = to.send or to.put
    for number = 1, count do assert(send(to, make(number, all_sizes[number % #all_sizes + 1]))) end
  end

  local function receive_texts(from, count)
    local receive = from.recv or from.get
    for number = 1, count do
      local text = receive(from)
      assert.is_true(text == make_text(number, sizes[number % #sizes + 1]), ("number %d has changed"):format(number))
    end
  end

  for name, make in pairs {
    ["a rendezvous"] = function() return neap.channel() end,
    ["a channel of 2"] = function() return neap.channel(2) end,
    ["a queue"] = neap.queue,
    ["a pipe"] = function() return neap.pipe() end,
  } do
    it("arrives as it was from and in another process through " .. name, function()
      local out, into = make()
      local process = start(send_texts, into or out, make_text, 12, sizes)
      receive_texts(out, 12)
      process:join()
      out, into = make()
      process = start(function(from, call, make_one, all_sizes)
        local receive = from.recv or from.get
        for number = 1, 12 do
          if receive(from) ~= make_one(number, all_sizes[number % #all_sizes + 1]) then return number end
        end
        return call
      end, out, "all", make_text, sizes)
      send_texts(into or out, make_text, 12, sizes)
      assert.are.equal("all", process:join())
    end)
  end

  it("that is given up, cancelled or sent to one that dies leaves nothing behind", function()
    local full = neap.channel(1)
    local process = start(function(to, make)
      local n = require("neap")
      to:send("first")
      local counts = { timeout = 0, cancelled = 0 }
      for number = 1, 20 do
        local sent, _, code = to:send(make(number, 1 << 17), number % 3 * 0.0005)
        if not sent then counts[code] = counts[code] + 1 end
        local task = n.spawn(function() to:send(make(number, 1 << 18)) end)
        n.yield()
        task:cancel()
        task:wait()
        counts[task:status()] = counts[task:status()] + 1
      end
      return counts
    end, full, make_text)
    assert.are.same({ timeout = 20, cancelled = 20 }, process:join())
    assert.are.equal("first", full:recv())
    assert.are.same({ nil, "timeout", "timeout" }, { full:recv(0) })

    local victim, theirs = elsewhere.start_with(function()
      local channel = require("neap").channel(1)
      channel:send("full")
      return channel
    end)
    local sender = neap.spawn(function() return theirs:send(make_text(1, 1 << 20)) end)
    neap.yield()
    elsewhere.kill(victim)
    assert.are.same(elsewhere.broken, table.pack(sender:join()))
    collectgarbage()
  end)
end)
