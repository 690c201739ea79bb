local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local closed = table.pack(nil, "closed", "closed")

-- Both ends in one, as the questions have it.
local function both()
  local here, there = neap.pipe()
  return { here = here, there = there }
end

local function filled()
  local ends = both()
  while ends.here:send("x", 0) do end
  return ends
end

grid.ask("pipe:recv", { blocked = both, wait = function(o, timeout) return o.here:recv(timeout) end,
  serve = function(o) o.there:send("a value") end, served = table.pack("a value") })
grid.ask("pipe:send", { blocked = filled, wait = function(o, timeout) return o.here:send("next", timeout) end,
  serve = function(o) assert(o.there:recv()) end, served = table.pack(true) })
grid.ask("pipe:poll", { blocked = both, wait = function(o, timeout) return o.here:poll(timeout or math.huge) end,
  serve = function(o) o.there:send("a value") end,
  served = table.pack(true), timed_out = table.pack(false), all = true })

describe("pipe", function()
  it("has two ends that send and receive", function()
    local a, b = neap.pipe()
    assert.is_true((a:send({ 1 })))
    assert.is_true((b:send("back")))
    assert.are.same({ 1 }, (b:recv()))
    assert.are.equal("back", (a:recv()))
    a:send(false)
    assert.are.same(table.pack(false), table.pack(b:recv()))
  end)

  it("has a reader and a writer when it goes one way", function()
    local reader, writer = neap.pipe(false)
    writer:send(1)
    assert.are.equal(1, (reader:recv()))
    assert.has_error(function() reader:send(1) end, "the reader of a pipe cannot send")
    assert.has_error(function() writer:recv() end, "the writer of a pipe cannot receive")
    assert.has_error(function() writer:poll() end, "the writer of a pipe cannot receive")
  end)

  it("keeps what was sent until it is received, in order", function()
    local a, b = neap.pipe()
    for i = 1, 1000 do assert(a:send(i, 0)) end
    for i = 1, 1000 do assert.are.equal(i, (b:recv(0))) end
  end)

  it("gives out what is left after the other end was closed", function()
    local a, b = neap.pipe()
    a:send(1)
    a:close()
    a:close()
    assert.is_true(b:poll())
    assert.are.equal(1, (b:recv()))
    assert.is_true(b:poll()) -- recv would not wait
    assert.are.same(closed, table.pack(b:recv()))
    assert.are.same(closed, table.pack(b:send(1)))
  end)

  it("is not to be used through an end that was closed", function()
    local a, b = neap.pipe()
    b:send(1)
    a:close()
    for _, use in ipairs({ function() a:send(1) end, function() a:recv() end, function() a:poll() end }) do
      assert.has_error(use, "this end of the pipe is closed")
    end
  end)

  it("tells those that wait at either end that it was closed", function()
    for _, start in ipairs({ grid.parked_task, grid.parked_thread }) do
      for _, closing in ipairs({ "here", "there" }) do
        local ends, full = both(), filled()
        local waiters = {
          start(function(e) return e:recv() end, ends.here),
          start(function(e) return e:send("x") end, full.here),
        }
        local poller = start(function(e) return e:poll(math.huge) end, ends.here)
        ends[closing]:close()
        full[closing]:close()
        for _, waiter in ipairs(waiters) do assert.are.same(closed, table.pack(waiter:join())) end
        assert.is_true((poller:join()))
      end
    end
  end)

  it("closes an end when its <close> variable is left, and when nobody has it any more", function()
    local a, b = neap.pipe()
    do local _ <close> = a end
    assert.are.same(closed, table.pack(b:recv()))
    local c = neap.pipe()
    collectgarbage()
    collectgarbage()
    assert.are.same(closed, table.pack(c:recv()))
  end)

  it("polls without taking anything", function()
    local a, b = neap.pipe()
    assert.is_false(b:poll())
    assert.is_false(b:poll(0.001))
    a:send(1)
    assert.is_true(b:poll())
    assert.is_true(b:poll(5))
    assert.are.equal(1, (b:recv(0)))
    assert.is_false(b:poll(0))
  end)

  it_races("talks with a thread, whose end closes with it", function()
    local here, there = neap.pipe()
    local thread = neap.thread(function(conn)
      local _ <close> = conn
      while true do
        local value = conn:recv()
        if value == "enough" then return end
        conn:send(value * 2)
      end
    end, there)
    for i = 1, 200 * support.stress do
      here:send(i)
      assert.are.equal(i * 2, (here:recv()))
    end
    here:send("enough")
    assert.are.same(closed, table.pack(here:recv()))
    thread:join()
  end)

  it("can be sent through itself and through others", function()
    local a, b = neap.pipe()
    local c, d = neap.pipe()
    a:send(d)
    b:recv():send("through the second")
    assert.are.equal("through the second", (c:recv(0)))
    a:send(b)
    assert.are.equal(b, (b:recv(0)))
  end)

  it("is as it was when a value cannot be sent", function()
    local a, b = neap.pipe()
    for _, bad in ipairs({ coroutine.create(print), io.stdout }) do assert.has_error(function() a:send(bad) end) end
    assert.has_error(function() a:send() end)
    assert.is_false(b:poll())
  end)

  it("says how it stands", function()
    local reader, writer = neap.pipe(false)
    assert.is_truthy(tostring(reader):find("^pipe: .* %(reader%)$"))
    assert.is_truthy(tostring(writer):find("%(writer%)$"))
    assert.is_truthy(tostring(neap.pipe()):find("%(duplex%)$"))
    writer:close()
    assert.is_truthy(tostring(writer):find("%(closed%)$"))
  end)

  it("refuses what does not say whether it is duplex", function()
    assert.has_error(function() neap.pipe("yes") end)
    assert.has_error(function() neap.pipe(1) end)
  end)
end)
