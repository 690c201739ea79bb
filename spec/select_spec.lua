local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local after_each, assert, describe, it = after_each, assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local function pack_select(...) return table.pack(neap.select(...)) end

local function assert_refuses(expected, ...)
  local ok, message = pcall(neap.select, ...)
  assert.is_false(ok)
  assert.is_truthy(message:find(expected, 1, true), message)
end

grid.ask("select: a channel", {
  blocked = function() return neap.channel(2) end,
  wait = function(ch, timeout) return neap.select({ neap.event(), ch }, timeout) end,
  serve = function(ch) ch:send("value") end,
  served = table.pack(2, "value"),
})

grid.ask("select: one case", {
  blocked = neap.channel,
  wait = function(ch, timeout) return neap.select({ ch }, timeout) end,
  serve = function(ch) ch:send("value") end,
  served = table.pack(1, "value"),
})

grid.ask("select: a send", {
  blocked = neap.channel,
  wait = function(ch, timeout) return neap.select({ neap.event(), { ch, { 7 } } }, timeout) end,
  serve = function(ch) assert.are.same({ 7 }, ch:recv()) end,
  served = table.pack(2, true),
})

grid.ask("select: a queue", {
  blocked = neap.priority_queue,
  wait = function(q, timeout) return neap.select({ neap.event(), q }, timeout) end,
  serve = function(q) q:put("value", nil, 3) end,
  served = table.pack(2, "value", 3),
})

do
  local others = setmetatable({}, { __mode = "k" })
  grid.ask("select: a pipe", {
    blocked = function()
      local a, b = neap.pipe()
      others[a] = b
      return a
    end,
    wait = function(a, timeout) return neap.select({ neap.event(), a }, timeout) end,
    serve = function(a) others[a]:send("value") end,
    served = table.pack(2, "value"),
    here_only = true,
  })
end

describe("of ends", function()
  local gates = {}

  after_each(function()
    for _, gate in pairs(gates) do gate:set() end
    gates = {}
  end)

  grid.ask("select: a task", {
    blocked = function()
      local gate = neap.event()
      local task = neap.spawn(gate.wait, gate)
      gates[task] = gate
      return task
    end,
    wait = function(task, timeout) return neap.select({ neap.event(), task }, timeout) end,
    serve = function(task) gates[task]:set() end,
    served = table.pack(2),
    all = true,
    here_only = true,
  })

  grid.ask("select: a thread", {
    blocked = function()
      local gate = neap.event()
      local thread = neap.thread(function(event) event:wait() end, gate)
      gates[thread] = gate
      return thread
    end,
    wait = function(thread, timeout) return neap.select({ neap.event(), thread }, timeout) end,
    serve = function(thread) gates[thread]:set() end,
    served = table.pack(2),
    all = true,
    here_only = true,
  })
end)

grid.ask("select: an event", {
  blocked = neap.event,
  wait = function(event, timeout) return neap.select({ neap.channel(), event }, timeout) end,
  serve = function(event)
    event:set()
    event:clear()
  end,
  served = table.pack(2),
  all = true,
})

describe("select", function()
  describe("at once", function()
    it("receives", function()
      local ch, queue, a, b = neap.channel(1), neap.queue(), neap.pipe()
      ch:send(neap.null)
      assert.are.same(table.pack(2, neap.null), pack_select({ neap.event(), ch }))
      queue:put(false)
      assert.are.same(table.pack(2, false), pack_select({ ch, queue }))
      b:send({ 1 })
      assert.are.same(table.pack(1, { 1 }), pack_select({ a, queue }, 0))
    end)

    it("receives from a waiting sender", function()
      local ch = neap.channel()
      local sender = grid.parked_task(ch.send, ch, 1)
      assert.are.same(table.pack(2, 1), pack_select({ neap.event(), ch }, 0))
      assert.is_true((sender:join()))
    end)

    it("sends", function()
      local ch, queue, a, b = neap.channel(1), neap.priority_queue(), neap.pipe()
      assert.are.same(table.pack(1, true), pack_select({ { ch, 1 }, neap.event() }, 0))
      assert.are.same(table.pack(2, true), pack_select({ neap.event(), { queue, "late", 7 } }, 0))
      assert.are.same(table.pack(1, true), pack_select({ { queue, "soon" } }, 0))
      assert.are.same(table.pack(1, true), pack_select({ { a, "x" } }, 0))
      assert.are.equal(1, ch:recv())
      assert.are.same({ "soon", 0 }, { queue:get() })
      assert.are.same({ "late", 7 }, { queue:get() })
      assert.are.equal("x", b:recv())
    end)

    it("sends to a waiting receiver", function()
      local ch = neap.channel()
      local receiver = grid.parked_task(ch.recv, ch)
      assert.are.same(table.pack(1, true), pack_select({ { ch, 1 }, neap.event() }, 0))
      assert.are.equal(1, receiver:join())
    end)

    it("sees events and ends", function()
      local event, done = neap.event(), neap.spawn(function() end)
      local failed = neap.spawn({ quiet = true }, error, "broken")
      done:wait()
      assert.are.same(table.pack(2), pack_select({ event, done }, 0))
      assert.are.same(table.pack(2), pack_select({ event, failed }, 0))
      assert.is_false((pcall(failed.join, failed)))
      event:set()
      assert.are.same(table.pack(1), pack_select({ event }, 0))
    end)
  end)

  describe("of what is closed", function()
    it("is ready, with the reason", function()
      local ch, queue, a, b = neap.channel(), neap.queue(), neap.pipe()
      ch:close("enough")
      queue:close()
      b:close()
      local never = neap.event()
      assert.are.same(table.pack(2, nil, "closed", "closed", "enough"), pack_select({ never, ch }))
      assert.are.same(table.pack(2, nil, "closed", "closed", "enough"), pack_select({ never, { ch, 1 } }))
      assert.are.same(table.pack(2, nil, "closed", "closed"), pack_select({ never, queue }))
      assert.are.same(table.pack(2, nil, "closed", "closed"), pack_select({ never, { queue, 1 } }))
      assert.are.same(table.pack(1, nil, "closed", "closed"), pack_select({ a }))
      assert.are.same(table.pack(1, nil, "closed", "closed"), pack_select({ { a, 1 } }))
    end)

    it("receives first what is left", function()
      local ch = neap.channel(1)
      ch:send(1)
      ch:close()
      assert.are.same(table.pack(1, 1), pack_select({ ch }))
      assert.are.same(table.pack(1, nil, "closed", "closed"), pack_select({ ch }))
    end)

    it("is woken by the closing, in tasks and threads", function()
      local ch, other = neap.channel(), neap.channel()
      local function receive(a, b) return neap.select({ a, b }) end
      local waiters = {}
      for i = 1, 4 do waiters[i] = (i % 2 == 0 and grid.parked_task or grid.parked_thread)(receive, other, ch) end
      ch:close("over")
      for _, waiter in ipairs(waiters) do
        assert.are.same(table.pack(2, nil, "closed", "closed", "over"), table.pack(waiter:join()))
      end
    end)

    it_races("is woken by a closing in another thread, many times", function()
      local function close_all(list, random)
        for ch in list:iter() do
          for _ = 1, random(0, 50) do end -- luacheck: ignore
          ch:close()
          ch:close()
        end
      end
      local list, other = neap.channel(8), neap.channel()
      local closers = { neap.thread(close_all, list, math.random), neap.thread(close_all, list, math.random) }
      for _ = 1, 500 * support.stress do
        local ch = neap.channel()
        list:send(ch)
        assert.are.same(table.pack(2, nil, "closed", "closed"), pack_select({ other, ch }))
      end
      list:close()
      neap.gather(closers)
    end)
  end)

  it("leaves the losers untouched", function()
    local a, b, full = neap.channel(1), neap.channel(1), neap.channel()
    a:send("a")
    b:send("b")
    local index = neap.select({ a, b, { full, 1 } })
    assert.are.equal(1, #a + #b)
    assert.are.equal(index == 1 and "b" or "a", (index == 1 and b or a):recv(0))
    assert.is_nil((full:recv(0)))
  end)

  it("is not disturbed by a loser that completes later", function()
    local a, b, other = neap.channel(), neap.channel(), neap.channel()
    local waiter = neap.spawn(function()
      local first = pack_select({ a, b })
      local meanwhile = table.pack(other:recv(0.005)) -- b is served now
      return first, meanwhile, b:recv()
    end)
    grid.park(waiter)
    a:send(1)
    local sender = neap.spawn(b.send, b, 2)
    local first, meanwhile, last = waiter:join()
    assert.are.same(table.pack(1, 1), first)
    assert.are.same(table.pack(nil, "timeout", "timeout"), meanwhile)
    assert.are.equal(2, last)
    assert.is_true((sender:join()))
  end)

  it("chooses fairly, wherever the ready cases stand", function()
    local cases = {}
    for i = 1, 10 do cases[i] = neap.event() end
    cases[1]:set()
    cases[2]:set()
    cases[10]:set()
    local chosen = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
    for _ = 1, 3000 do
      local index = neap.select(cases)
      chosen[index] = chosen[index] + 1
    end
    for _, index in ipairs({ 1, 2, 10 }) do assert.is_true(math.abs(chosen[index] - 1000) < 150, chosen[index]) end
  end)

  it("takes both sides of one channel", function()
    local ch = neap.channel()
    local function either(i) return pack_select({ { ch, i }, ch }) end
    local first = grid.parked_task(either, 1)
    assert.are.equal("timeout", select(2, neap.select({ neap.event() }, 0)))
    local second = neap.spawn(either, 2)
    local outcomes = { first:join(), second:join() }
    table.sort(outcomes, function(x, y) return x[1] < y[1] end)
    assert.are.equal(1, outcomes[1][1])
    assert.are.equal(2, outcomes[2][1])
    assert.is_true(outcomes[2][2] == 1 or outcomes[2][2] == 2)
  end)

  it("takes one handle many times", function()
    local ch = neap.channel(3)
    ch:send(1)
    local index, value = neap.select({ ch, ch, ch })
    assert.is_true(index >= 1 and index <= 3)
    assert.are.equal(1, value)
    assert.are.equal(0, #ch)
    assert.are.same(table.pack(nil, "timeout", "timeout"), pack_select({ ch, ch }, 0.001))
    local waiter = grid.parked_task(pack_select, { ch, ch })
    ch:send(2)
    ch:send(3)
    assert.are.equal(2, waiter:join()[2])
    assert.are.equal(3, ch:recv(0))
  end)

  it("takes 1,000 cases, local and shared ones", function()
    local cases = {}
    for i = 1, 1000 do cases[i] = neap.channel(1) end
    local thread = neap.thread(function(list, go)
      go:recv()
      list[250]:send("from a thread")
    end, { table.unpack(cases, 1, 500) }, cases[500])
    for i = 1, 50 do
      local waiter = grid.parked_task(neap.select, cases)
      cases[i * 20 + 1 > 1000 and 1 or i * 20 + 1]:send(i)
      assert.are.equal(i, select(2, waiter:join()))
    end
    cases[500]:send(true)
    while #cases[250] == 0 do neap.yield() end
    assert.are.same(table.pack(250, "from a thread"), pack_select(cases))
    thread:join()
    assert.are.same(table.pack(nil, "timeout", "timeout"), pack_select(cases, 0))
  end)

  it("goes by the list as it was", function()
    local ch, cases = neap.channel(), {}
    cases[1], cases[2] = neap.event(), ch
    local waiter = grid.parked_task(pack_select, cases)
    cases[1], cases[2] = nil, nil
    collectgarbage()
    collectgarbage()
    ch:send(1)
    assert.are.same(table.pack(2, 1), waiter:join())
  end)

  it("delivers nothing that was cancelled", function()
    local ch = neap.channel()
    local sender = grid.parked_task(neap.select, { neap.event(), { ch, { "lost" } } })
    sender:cancel()
    assert.is_nil((ch:recv(0)))
    grid.assert_cancelled(sender)
    assert.is_nil((ch:recv(0)))
  end)

  it("has one outcome when it is served and then cancelled", function()
    local a, b = neap.channel(), neap.channel()
    local receiver = grid.parked_task(pack_select, { a, b })
    assert.is_true((b:send(5, 0))) -- it has been claimed, but has not run
    receiver:cancel()
    assert.are.same(table.pack(2, 5), receiver:join())
  end)

  it_races("neither loses nor doubles a value", function()
    local seed = trial.seed()
    local function produce(channels, first, last)
      local cancelled = neap.event()
      for value = first, last do
        local cases = {}
        for i, ch in ipairs(channels) do cases[i] = { ch, value } end
        repeat until neap.select(cases, value % 7 == 0 and 0.00001 or nil)
        if value % 100 == 0 then cancelled:set() end
      end
    end
    local function consume(channels, results, salt)
      local seen, count = {}, 0
      while true do
        count = count + 1
        local index, value = neap.select(channels, (count + salt) % 5 == 0 and 0 or 0.001)
        if index and value == nil then break end -- closed
        if index then seen[#seen + 1] = value end
      end
      results:send(seen)
    end
    local channels = { neap.channel(), neap.channel(1), neap.channel(5) }
    local results, each = neap.channel(4), 300 * support.stress
    local consumers, producers = {}, {}
    for i = 1, 4 do consumers[i] = (i % 2 == 0 and neap.spawn or neap.thread)(consume, channels, results, i) end
    for i = 1, 4 do
      producers[i] = (i % 2 == 0 and neap.spawn or neap.thread)(produce, channels, (i - 1) * each + 1, i * each)
    end
    neap.gather(producers)
    for _, ch in ipairs(channels) do ch:close() end
    neap.gather(consumers)
    local times = {}
    for _ = 1, 4 do
      for _, value in ipairs(results:recv()) do times[value] = (times[value] or 0) + 1 end
    end
    for value = 1, 4 * each do assert.are.equal(1, times[value], "seed " .. seed .. ": " .. value) end
  end)

  it_races("loses no value to a cancellation", function()
    local ch, times = neap.channel(), 1000 * support.stress
    local thread = neap.thread(function(values, count)
      for i = 1, count do values:send(i) end
      values:close()
    end, ch, times)
    local got, closed = 0, false
    while not closed do
      local index, value
      local waiter = neap.spawn(function() index, value = neap.select({ ch, neap.event() }) end)
      neap.yield()
      waiter:cancel()
      waiter:wait()
      if value then
        got = got + 1
        assert.are.equal(got, value)
      end
      closed = index and not value
    end
    thread:join()
    assert.are.equal(times, got)
  end)

  describe("refuses", function()
    it("an empty list", function()
      assert_refuses("bad argument #1 to 'neap.select' (at least one case expected)", {})
    end)

    it("a timeout among the cases", function()
      local cases = { neap.channel(), timeout = 0 }
      assert_refuses("a list of cases expected, without 'timeout': that is argument #2", cases)
    end)

    it("what is no list", function()
      assert_refuses("table expected, got no value")
      assert_refuses("table expected, got channel", neap.channel())
    end)

    it("what is no case, with its position", function()
      local ch = neap.channel(1)
      local expected = "channel, queue, pipe, event, signal, watch, task, thread, process or future expected, got "
      assert_refuses("case 2: " .. expected .. "nil", { ch, nil, ch })
      assert_refuses("case 1: " .. expected .. "number", { 5 })
      assert_refuses("case 1: " .. expected .. "lock", { neap.lock() })
      assert_refuses("case 1: " .. expected .. "FILE*", { io.stdout })
      expected = "{channel, queue or pipe, value}: one of these expected, got "
      assert_refuses("case 2: " .. expected .. "event", { ch, { neap.event(), 1 } })
      assert_refuses("case 1: " .. expected .. "nil", { {} })
      assert_refuses("case 2: nil cannot be sent", { ch, { ch } })
      assert_refuses("case 1: only a priority queue has priorities", { { neap.queue(), 1, 1 } })
      assert_refuses("case 1: a priority is a number, and not NaN", { { neap.priority_queue(), 1, 0 / 0 } })
      assert_refuses("case 2: it has not been started", { ch, neap.Task { target = print } })
    end)

    it("an end of a pipe that cannot", function()
      local reader, writer = neap.pipe(false)
      assert_refuses("case 1: the writer of a pipe cannot receive", { writer })
      assert_refuses("case 1: the reader of a pipe cannot send", { { reader, 1 } })
      reader:close()
      assert_refuses("case 1: this end of the pipe is closed", { reader })
    end)

    it("waiting for itself", function()
      assert_refuses("case 1: a task cannot wait for itself", { neap.current() })
      local thread = neap.thread(function() return select(2, pcall(neap.select, { neap.current() })) end)
      assert.is_truthy(thread:join():find("a task cannot wait for itself", 1, true))
    end)

    it("what cannot be sent, before anything is", function()
      local ch = neap.channel(2)
      assert_refuses("cannot send cases[2][2].file: userdata", { { ch, 1 }, { ch, { file = io.stdout } } })
      assert.are.equal(0, #ch)
    end)
  end)
end)
