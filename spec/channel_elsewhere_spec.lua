-- What channels carry between processes: all of it, in order, once.

local neap = require "neap"
local elsewhere = require "spec.elsewhere"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local start, start_with, stop, kill = elsewhere.start, elsewhere.start_with, elsewhere.stop, elsewhere.kill

describe("what is sent to another process", function()
  it("arrives in order, however much is under way", function()
    for _, kind in ipairs { "channel", "queue", "pipe" } do
      local reader, writer = neap[kind](kind ~= "pipe" and 64 or nil)
      local send = writer or reader
      local process = start(function(from)
        local receive = from.recv or from.get
        local last = 0
        while true do
          local n = receive(from)
          if not n then return last end
          if n ~= last + 1 then error(("%d after %d"):format(n, last)) end
          last = n
        end
      end, reader)
      for i = 1, 3000 do (send.send or send.put)(send, i) end
      send:close()
      assert.are.equal(3000, (process:join()))
    end
  end)

  it("arrives whole, however large, in both directions", function()
    local there, back = neap.channel(3), neap.queue()
    local process = start(function(from, to)
      for value in from:iter() do to:put(value) end
    end, there, back)
    local sizes = { 10, 20000, 33000, 70000, 1 << 20, 5 << 20, 33000, 2 << 20, 100000, 40 }
    local values = {}
    for i, size in ipairs(sizes) do
      local text = string.char(64 + i):rep(size)
      values[2 * i - 1], values[2 * i] = text, { text, i, text .. i }
    end
    local sender = neap.spawn(function()
      for _, value in ipairs(values) do there:send(value) end
      there:close()
    end)
    for i, value in ipairs(values) do
      local got = back:get()
      local same = type(value) == "string" and got == value
        or type(value) == "table" and got[1] == value[1] and got[2] == value[2] and got[3] == value[3]
      assert.is_true(same, ("value %d has changed on its way"):format(i))
    end
    sender:join()
    process:join()
  end)

  it("lies whole in a queue of another process, however large, while others come and go", function()
    local back = neap.channel()
    local process = start(function(to)
      local n = require("neap")
      local kept, passing = n.queue(), n.channel()
      to:send(kept)
      to:send(passing)
      local sum = 0
      for text in passing:iter() do sum = sum + #text end
      return sum
    end, back)
    local kept, passing = back:recv(), back:recv()
    for i = 1, 12 do
      kept:put(string.char(64 + i):rep(70000 * i))
      passing:send(("p"):rep(80000))
    end
    for i = 1, 12 do
      assert.is_true(kept:get() == string.char(64 + i):rep(70000 * i), ("value %d has changed on its way"):format(i))
    end
    passing:close()
    assert.are.equal(12 * 80000, (process:join()))
  end)

  it("is received once, by whoever comes first: here, in a child, in its child, from a select", function()
    local values, received = neap.channel(32), neap.queue()
    local function take(from, to)
      for value in from:iter() do to:put(value) end
    end
    local function take_one_of_two(from, to)
      local n = require("neap")
      local other = n.channel()
      while true do
        local _, value = n.select { from, other }
        if value == nil then return end
        to:put(value)
      end
    end
    local takers = {
      start(take, values, received),
      start(take_one_of_two, values, received),
      start(function(call, ...) require("neap").process(call, ...):join() end, take, values, received),
      neap.spawn(take, values, received),
      neap.thread(take, values, received),
    }
    for i = 1, 2000 do values:send(i) end
    values:close()
    for _, taker in ipairs(takers) do taker:join() end
    local seen = {}
    for _ = 1, 2000 do
      local value = received:get(0)
      assert.is_nil(seen[value])
      seen[value] = true
    end
    assert.are.equal(2000, #seen)
  end)

  it("counts in the channel until it is received", function()
    local values, go = neap.channel(16), neap.channel()
    local process = start(function(from, gate)
      local sum = 0
      while gate:recv() do sum = sum + from:recv() end
      return sum
    end, values, go)
    for _ = 1, 20 do
      values:send(1)
      go:send(true)
    end
    repeat neap.yield() until #values == 0
    for _ = 1, 16 do assert.is_true(values:send(1, 0)) end
    assert.are.equal(16, #values)
    assert.are.same({ nil, "timeout", "timeout" }, { values:send(1, 0) })
    go:send(true)
    assert.is_true(values:send(1))
    assert.are.equal(16, #values)
    go:close()
    assert.are.equal(21, (process:join()))
    assert.are.equal(16, #values)
    for _ = 1, 16 do assert.are.equal(1, (values:recv(0))) end
  end)

  -- The home of the channel stands still meanwhile, and hears of the one who tries before it hears of what was sent.
  local function it_is_found(what, make, send, receive, try, found)
    it("is found by a third process that " .. what, function()
      local turn = neap.value("i32", 0)
      local home, object, other = start_with(function(new, put, get, said)
        local n = require("neap")
        local into, out = new(n)
        local function sender(to, call, value)
          local neap_there = require("neap")
          for i = 1, 6 do call(to, i) end -- by now it need not ask any more
          value:set(1)
          repeat neap_there.yield() until value:get() == 2
          call(to, "late")
          value:set(3)
          neap_there.event():wait()
        end
        n.process(sender, into, put, said)
        for _ = 1, 6 do get(out or into) end
        return out or into, n.queue()
      end, make, send, receive, turn)
      repeat neap.yield() until turn:get() == 1
      stop(home.pid)
      neap.spawn(function() other:put("asked before") end)
      neap.yield()
      turn:set(2)
      repeat neap.yield() until turn:get() == 3
      local tries = neap.spawn(try, object)
      neap.yield()
      assert(os.execute("kill -CONT " .. home.pid))
      assert.are.same(found, table.pack(tries:join()))
      kill(home)
    end)
  end

  local function new_queue(n) return n.queue() end
  local function new_pipe(n)
    local reader, writer = n.pipe(false)
    return writer, reader
  end
  local function put(q, value) assert(q:put(value)) end
  local function get(q) return q:get() end
  local function send(ch, value) assert(ch:send(value)) end
  local function receive(ch) return ch:recv() end

  local packed, late = table.pack, "late"
  it_is_found("tries to receive", function(n) return n.channel(64) end, send, receive,
    function(ch) return ch:recv(0) end, packed(late))
  it_is_found("tries to get it from a queue", new_queue, put, get,
    function(q) return q:get_nowait() end, packed(late))
  it_is_found("tries to receive from a pipe", new_pipe, send, receive,
    function(reader) return reader:recv(0) end, packed(late))
  it_is_found("polls", new_pipe, send, receive,
    function(reader) return reader:poll() end, packed(true))
  it_is_found("tries a select", new_queue, put, get,
    function(q) return neap.select({ neap.channel(), q }, 0) end, packed(2, late))
end)
