-- Handles in other processes. That each of them waits there as it does here is asked by the grid, in its own spec.

local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local broken = table.pack(nil, "broken", "broken")

local function start(...) return neap.process({ quiet = true, name = "p1" }, ...) end

--- A process that calls `make`, sends what that returned, and waits for ever. Returns it, and what came.
local function start_with(make, ...)
  local made = neap.channel(1)
  local process = start(function(channel, call, ...)
    channel:send(table.pack(call(...)))
    require("neap").event():wait()
  end, made, make, ...)
  local values = made:recv()
  return process, table.unpack(values, 1, values.n)
end

--- Kills it, and returns when everything that it had here is gone.
local function kill(process)
  process:kill()
  process:wait()
end

local function await_arrivals(barrier, count)
  while barrier.waiting < count do neap.yield() end
end

describe("a handle in another process", function()
  it("is the same however it came, and comes home as itself", function()
    local channel, event, answers = neap.channel(), neap.event(), neap.queue()
    local process = start(function(a, b, event_there, answers_there)
      answers_there:put(rawequal(a, b))
      answers_there:put({ a, event_there })
    end, channel, channel, event, answers)
    assert.is_true(answers:get())
    local back = answers:get()
    assert.are.equal(channel, back[1])
    assert.are.equal(event, back[2])
    process:join()
  end)

  it("says what it is and how it stands", function()
    local channel, lock, event = neap.channel(3), neap.lock(), neap.event()
    channel:send(1)
    lock:acquire()
    event:set()
    local process = start(function(...)
      local texts = {}
      for i = 1, select("#", ...) do texts[i] = tostring((select(i, ...))):gsub("0x%x+", "0x") end
      return texts
    end, channel, lock, event, neap.semaphore(5), neap.rwlock(), neap.queue(), neap.barrier(3))
    assert.are.same({ "channel: 0x (1/3)", "lock: 0x (locked)", "event: 0x (set)", "semaphore: 0x (5)",
      "rwlock: 0x (free)", "queue: 0x (0)", "barrier: 0x (0/3)" }, (process:join()))
  end)

  it("has its constants", function()
    local process = start(function(channel, queue, barrier)
      return channel.capacity, queue.maxsize, barrier.parties, barrier.waiting
    end, neap.channel(3), neap.queue(7), neap.barrier(2))
    assert.are.same({ 3, 7, 2, 0 }, { process:join() })
  end)

  it("does what does not wait where Lua cannot yield", function()
    local event, queue = neap.event(), neap.queue()
    local process = start(function(e, q)
      q:put("x")
      local seen
      table.sort({ 1, 2 }, function()
        e:set()
        seen = #q
        return false
      end)
      return seen, e:is_set()
    end, event, queue)
    assert.are.same({ 1, true }, { process:join() })
    assert.is_true(event:is_set())
  end)

  it("carries values of every kind, with handles in them", function()
    local to, from = neap.channel(), neap.channel()
    local process = start(function(a, b)
      for value in a:iter() do b:send(value) end
    end, to, from)
    local shared = { neap.null }
    local long = { ("long"):rep(100), ("x"):rep(200000) }
    for _, value in ipairs({ 1, 1.5, true, "short", long[1], long[2], { shared, shared, to = to } }) do
      to:send(value)
      assert.are.same(value, (from:recv()))
    end
    to:send(function(x) return x + 1 end)
    assert.are.equal(42, from:recv()(41))
    to:close()
    process:join()
  end)

  it("is closed with a reason that is told there", function()
    local channel = neap.channel()
    local process = grid.park(start(function(c) return c:recv() end, channel))
    channel:close("enough")
    assert.are.same(table.pack(nil, "closed", "closed", "enough"), table.pack(process:join()))
    local close, there = neap.channel(), neap.channel()
    process = start(function(c) return c:close("reason") end, close)
    assert.is_true((process:join()))
    assert.are.same(table.pack(nil, "closed", "closed", "reason"), table.pack(close:recv()))
    there:close()
  end)

  it("raises for misuse as it does at home", function()
    local messages = { start(function(lock, semaphore, queue, rwlock, condition)
      local list = {}
      for i, call in ipairs({ function() lock:release() end, function() semaphore:release() end,
        function() queue:task_done() end, function() rwlock:release() end, function() condition:notify() end }) do
        list[i] = select(2, pcall(call)):gsub("^.-:%d+: ", "")
      end
      return table.unpack(list)
    end, neap.lock(), neap.bounded_semaphore(1), neap.queue(), neap.rwlock(), neap.condition()):join() }
    assert.are.same({ "the task does not hold this lock", "a semaphore cannot have more than 1 permits",
      "task_done was called more often than values were put", "the task does not hold this lock",
      "the task does not hold the lock of this condition" }, messages)
  end)

  it("waits for several at once, of here and of there", function()
    local here, ready = neap.channel(), neap.event()
    local process = start(function(channel, ready_there)
      local n = require "neap"
      local own, event = n.channel(1), n.event()
      local order = { n.select({ own, channel, event }, 0) }
      own:send("own")
      order[4] = n.select({ own, channel }, 0)
      ready_there:set()
      order[5] = select(2, n.select({ channel, event }))
      n.spawn(function() event:set() end)
      order[6] = n.select({ channel, event })
      order[7] = n.select({ channel, { channel, "x" } }, 0)
      return order
    end, here, ready)
    ready:wait()
    here:send("here")
    local order = process:join()
    assert.are.same({ [2] = "timeout", [3] = "timeout", [4] = 1, [5] = "here", [6] = 2 }, order)
  end)

  it("takes part in a condition whose lock is elsewhere", function()
    local lock, ready = neap.lock(), neap.channel()
    local process = start(function(l, r)
      local n = require "neap"
      local condition = n.condition(l)
      r:send(condition)
      return condition:with(function() return condition:wait() end)
    end, lock, ready)
    local condition = ready:recv()
    while process:status() ~= "waiting" do neap.yield() end
    repeat condition:with(function() condition:notify() end) until process:wait(0.01)
    assert.is_true((process:join()))
  end)

  it("runs the action of a barrier wherever the last one comes", function()
    local ran = neap.queue()
    local barrier = neap.barrier(2, function() ran:put(require("neap").getpid()) end)
    local process = start(function(b) return b:wait(), require("neap").getpid() end, barrier)
    await_arrivals(barrier, 1)
    assert.are.equal(2, barrier:wait())
    assert.are.equal(neap.getpid(), ran:get())
    assert.are.equal(1, (process:join()))
    local waiter = grid.parked_task(function() return barrier:wait() end)
    local pid = start(function(b)
      assert(b:wait() == 2)
      return require("neap").getpid()
    end, barrier):join()
    assert.are.equal(pid, ran:get())
    assert.are.equal(1, (waiter:join()))
  end)

  it("is used through a process in between, and by a sibling", function()
    local channel, answers = neap.channel(), neap.channel()
    local function echo(from, to)
      for value in from:iter() do to:send(value + 1) end
    end
    local process = start(function(call, from, to)
      local n = require "neap"
      local middle = n.channel()
      local child = n.process(call, from, middle)
      local sibling = n.process(call, middle, to)
      child:wait()
      middle:close()
      sibling:wait()
    end, echo, channel, answers)
    for i = 1, 20 do
      channel:send(i)
      assert.are.equal(i + 2, (answers:recv()))
    end
    channel:close()
    process:join()
  end)
end)

describe("shared data in another process", function()
  it("is the same memory, in a child and in its child", function()
    local value, array = neap.value("i64", 5), neap.array("f64", { 1, 2, 3 })
    local process = start(function(v, a)
      v:add(10)
      a[2] = 7.5
      return require("neap").process(function(vv, aa)
        vv:add(100)
        return aa[2], #aa
      end, v, a):join()
    end, value, array)
    assert.are.same({ 7.5, 3 }, { process:join() })
    assert.are.equal(115, value:get())
    assert.are.equal(7.5, array[2])
  end)

  it("comes home as itself", function()
    local value, buffer = neap.value("u8"), neap.buffer("text")
    local back = start(function(...) return { ... } end, value, buffer):join()
    assert.are.equal(value, back[1])
    assert.are.equal(buffer, back[2])
  end)

  it("outlives the process that made it", function()
    local process, value = start_with(function() return require("neap").value("i32", 7) end)
    kill(process)
    assert.are.equal(8, value:add(1))
  end)

  it("is given back when nobody refers to it", function()
    local process = start(function(channel)
      for buffer in channel:iter() do assert(#buffer == 100000) end
      collectgarbage()
      collectgarbage()
      assert(channel:is_closed()) -- this has been there, and what came of our letting go is here
      local count = 0
      for _ in io.popen("ls /proc/" .. require("neap").getpid() .. "/fd"):lines() do count = count + 1 end
      return count
    end, (function()
      local channel = neap.channel()
      neap.spawn(function()
        for _ = 1, 300 do
          channel:send(neap.buffer(100000))
          collectgarbage()
        end
        channel:close()
      end)
      return channel
    end)())
    assert.is_true(process:join() < 150)
  end)
end)

describe("a task, thread or process elsewhere", function()
  it("is joined, and says how it stands", function()
    local gate = neap.event()
    local thread = neap.thread({ name = "w1" }, function(g)
      g:wait()
      return "a", { "b" }
    end, gate)
    local process = start(function(t, g)
      local before = { t.name, t:is_alive(), t:join(0) }
      g:set()
      return before, t:join()
    end, thread, gate)
    local before, a, b = process:join()
    assert.are.same({ "w1", true, nil, "timeout", "timeout" }, before)
    assert.are.same({ "a", { "b" } }, { a, b })
  end)

  it("raises what it raised, and is then seen", function()
    local result = support.run_script([[
      local neap = require "neap"
      local gate = neap.event()
      local task = neap.spawn(function() gate:wait() error({ code = 7 }) end)
      local process = neap.process(function(t, g)
        require("neap").spawn(function() g:set() end)
        local ok, err = pcall(t.join, t)
        return ok, err.code, t:status(), t:traceback() ~= nil
      end, task, gate)
      print(process:join())
    ]])
    assert.are.same({ status = 0, stdout = "false\t7\tfailed\ttrue\n", stderr = "" }, result)
  end)

  it("is cancelled", function()
    local task = grid.parked_task(function() neap.event():wait() end)
    assert.are.same({ true, false }, { start(function(t) return t:cancel("why"), t:cancel() end, task):join() })
    local ok, err = pcall(task.join, task)
    assert.is_false(ok)
    assert.are.equal("why", err.reason)
  end)

  it("is killed, and tells its exit status", function()
    local victim = start(function() require("neap").event():wait() end)
    local process = start(function(p)
      local pid, killed = p.pid, p:kill()
      p:wait()
      return pid, killed, p.exitcode, select(2, pcall(p.join, p))
    end, victim)
    assert.are.same({ victim.pid, true, -9, "process p1 was killed by signal 9" }, { process:join() })
    pcall(victim.join, victim)
  end)

  it("is found to have ended by those that wait for several", function()
    local process, task = start_with(function()
      return require("neap").spawn(function() return "done" end)
    end)
    assert.are.same({ "done" }, neap.gather({ task }))
    assert.are.equal(1, (neap.select({ task }, 0)))
    kill(process)
    assert.are.equal("done", (task:join()))
  end)
end)

describe("a future of a pool elsewhere", function()
  it("has its result, and says how it stands", function()
    local pool <close> = neap.pool(1)
    local gate = neap.event()
    local future = pool:submit(function(g)
      g:wait()
      return "result", 2
    end, gate)
    local process = start(function(f, g)
      local before = { f:done(), f:cancelled(), f:result(0) }
      g:set()
      return before, f:result()
    end, future, gate)
    assert.are.same({ { false, false, nil, "timeout", "timeout" }, "result", 2 }, { process:join() })
  end)

  it("raises what it failed with, and is cancelled", function()
    local pool <close> = neap.pool(1)
    local failing = pool:submit(error, "boom", 0)
    local hanging = pool:submit(function() require("neap").event():wait() end)
    local process = start(function(f, h) return select(2, pcall(f.result, f)), h:cancel(), h:wait(), h:cancelled() end,
      failing, hanging)
    assert.are.same({ "boom", true, true, true }, { process:join() })
  end)
end)

describe("when a process dies", function()
  it("what waits for it is broken", function()
    local process, channel, full, lock = start_with(function()
      local n = require "neap"
      local held = n.lock()
      held:acquire()
      return n.channel(), n.channel(), held
    end)
    local waiters = { grid.parked_task(channel.recv, channel), grid.parked_task(full.send, full, 1),
      grid.parked_task(lock.acquire, lock), grid.parked_thread(function(c) return c:recv() end, channel),
      grid.parked_elsewhere(function(c) return c:recv() end, channel) }
    local selecting = grid.parked_task(neap.select, { neap.channel(), channel })
    kill(process)
    for _, waiter in ipairs(waiters) do assert.are.same(broken, table.pack(waiter:join())) end
    assert.are.same(table.pack(2, nil, "broken", "broken"), table.pack(selecting:join()))
    assert.are.same(broken, table.pack(channel:recv()))
    assert.are.same(broken, table.pack(channel:send(1, 0)))
    assert.are.same(broken, table.pack(channel:close()))
    assert.are.same(broken, table.pack(lock:locked()))
  end)

  it("its tasks have failed, for that reason", function()
    local process, task = start_with(function()
      local n = require "neap"
      return n.spawn(function() n.event():wait() end)
    end)
    local waiter = grid.parked_task(function() return pcall(task.join, task) end)
    kill(process)
    assert.are.same({ false, "process p1 was killed by signal 9" }, { waiter:join() })
    assert.are.equal("failed", task:status())
  end)

  it("it waits for nothing any more", function()
    local channel, semaphore, lock = neap.channel(), neap.semaphore(0), neap.lock()
    lock:acquire()
    local process = start(function(c, s, l)
      local n = require "neap"
      n.spawn(s.acquire, s)
      n.spawn(l.acquire, l)
      return c:recv()
    end, channel, semaphore, lock)
    grid.park(process)
    kill(process)
    local receiver = grid.parked_task(channel.recv, channel)
    assert.is_true((channel:send("for the living")))
    assert.are.equal("for the living", (receiver:join()))
    semaphore:release()
    assert.is_true((semaphore:acquire(0)))
    lock:release()
    assert.are.same(table.pack(true), table.pack(lock:acquire(0)))
    lock:release()
  end)

  it("its locks are abandoned, and the permits of its guards return", function()
    local lock, rlock, rwlock, condition = neap.lock(), neap.rlock(), neap.rwlock(), neap.condition()
    local semaphore = neap.semaphore(3)
    local process = start_with(function(a, b, c, d, s)
      a:acquire()
      b:acquire()
      b:acquire()
      c:acquire_write()
      d:acquire()
      local guard = s:guard()
      s:acquire()
      assert(guard)
      _G.kept = guard
      return true
    end, lock, rlock, rwlock, condition, semaphore)
    assert.are.equal(1, semaphore:value())
    local waiter = grid.parked_task(function()
      local results = table.pack(lock:acquire())
      lock:release()
      return table.unpack(results)
    end)
    kill(process)
    assert.are.same({ true, "abandoned" }, { waiter:join() })
    assert.are.same(table.pack(true, "abandoned"), table.pack(rlock:acquire(0)))
    assert.are.same(table.pack(true, "abandoned"), table.pack(rwlock:acquire_write(0)))
    assert.are.same(table.pack(true, "abandoned"), table.pack(condition:acquire(0)))
    assert.are.equal(2, semaphore:value())
  end)

  it("a barrier that it waits at breaks", function()
    local barrier = neap.barrier(3)
    local process = start(function(b) b:wait() end, barrier)
    await_arrivals(barrier, 1)
    local waiter = grid.parked_task(barrier.wait, barrier)
    kill(process)
    assert.are.same(broken, table.pack(waiter:join()))
  end)

  it("with it what it had from others is gone for its children too", function()
    local channel, ready = neap.channel(), neap.channel()
    local process = start(function(c, r)
      local n = require "neap"
      local child = n.process(function(cc, rr)
        rr:send(require("neap").getpid())
        cc:recv()
      end, c, r)
      child:wait()
    end, channel, ready)
    ready:recv()
    kill(process)
    local receiver = grid.parked_task(channel.recv, channel)
    channel:send("x")
    assert.are.equal("x", (receiver:join()))
  end)

  it("a pipe's end that only it had is closed", function()
    local a, b = neap.pipe()
    local process = start(function(there)
      there:send("last words")
      require("neap").event():wait()
    end, b)
    b = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.are.equal("last words", (a:recv()))
    kill(process)
    assert.are.same(table.pack(nil, "closed", "closed"), table.pack(a:recv()))
  end)
end)

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
end)

describe("a lock that several processes want", function()
  local function add(lock, value, times)
    for i = 1, times do
      if i % 2 == 0 then
        lock:with(function() value:set(value:get() + 1) end)
      else
        lock:acquire()
        value:set(value:get() + 1)
        lock:release()
      end
    end
  end

  it("is had by one at a time: here, in a thread, in two children, in the child of one", function()
    for _, kind in ipairs { "lock", "rlock" } do
      local lock, value, times = neap[kind](), neap.value("i64"), 500
      local adders = {
        neap.thread(add, lock, value, times),
        start(add, lock, value, times),
        start(function(f, ...)
          local child = require("neap").process(f, ...)
          f(...)
          child:join()
        end, add, lock, value, times),
      }
      add(lock, value, times)
      for _, adder in ipairs(adders) do adder:join() end
      assert.are.equal(5 * times, value:get())
    end
  end)

  it("belongs to a child, is used here, and goes with it", function()
    local process, lock, value = start_with(function()
      local n = require "neap"
      local lock, value = n.lock(), n.value("i64")
      n.spawn(function()
        for _ = 1, 500 do lock:with(function() value:set(value:get() + 1) end) end
      end)
      return lock, value
    end)
    add(lock, value, 500)
    while value:get() < 1000 do neap.sleep(0.001) end
    lock:acquire()
    kill(process)
    lock:release()
    assert.are.same(broken, table.pack(lock:acquire()))
  end)

  it("is abandoned by a child that is killed while it has it, also if nobody waits yet", function()
    local lock, held = neap.lock(), neap.channel()
    local process = start(function(l, h)
      l:acquire()
      h:send(true)
      require("neap").event():wait()
    end, lock, held)
    held:recv()
    assert.is_true(lock:locked())
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(lock:acquire(0)))
    kill(process)
    assert.are.same({ true, "abandoned" }, { lock:acquire(0) })
    lock:release()
  end)

  it("is that of a condition, held there without asking: its notifications and its waits are seen", function()
    local condition, count = neap.condition(), neap.value("i64")
    local function play(c, v, parity)
      for i = 1, 100 do
        c:with(function()
          c:wait_for(function() return v:get() % 2 == parity end)
          v:add(1)
          c:notify_all()
        end)
        if i % 10 == 0 then -- and just so
          c:acquire()
          c:notify()
          c:release()
        end
      end
    end
    local players = { start(play, condition, count, 0), start(play, condition, count, 1) }
    for _, player in ipairs(players) do player:join() end
    assert.are.equal(200, count:get())
  end)
end)

-- Processes that lock and release all the time are killed at random instants: the lock goes on, and says so.
local function kill_holders_at_random(kills)
  trial.seed()
  local lock, inside, turns = neap.lock(), neap.value("i64"), neap.value("i64")
  local function work(l, i, t)
    while true do
      l:acquire()
      i:set(require("neap").getpid())
      t:add(1)
      i:set(0)
      l:release()
    end
  end
  local workers = { start(work, lock, inside, turns), start(work, lock, inside, turns) }
  while turns:get() == 0 do neap.yield() end -- a process takes its time to begin
  for _ = 1, kills do
    local i = math.random(2)
    neap.sleep(math.random() * 0.003)
    kill(workers[i])
    local ok, how = lock:acquire()
    assert.is_true(ok)
    assert.is_true(inside:get() == 0 or how == "abandoned", "somebody is inside, and the lock was free")
    inside:set(0)
    lock:release()
    workers[i] = start(work, lock, inside, turns)
  end
  for i = 1, 2 do kill(workers[i]) end
end

-- Work that is handed out and answered through channels, under a lock, by processes that are killed at random instants.
local function kill_at_random(kills, capacity)
  trial.seed()
  local jobs, done, lock, count = neap.channel(capacity), neap.queue(), neap.lock(), neap.channel(1)
  count:send(0)
  local function work(j, d, l, c)
    for job in j:iter() do
      l:acquire()
      local n = c:recv(0)
      if n then c:send(n + 1) end
      l:release()
      d:put(job)
    end
  end
  local given, lost, workers = 0, 0, {}
  local giver = neap.spawn(function()
    while true do
      jobs:send(given + 1)
      given = given + 1
    end
  end)
  for i = 1, 2 do workers[i] = start(work, jobs, done, lock, count) end
  for _ = 1, kills do
    local i = math.random(2)
    neap.sleep(math.random() * 0.005)
    kill(workers[i])
    lost = lost + 1
    workers[i] = start(work, jobs, done, lock, count)
    if not count:recv(0) then -- it died with the count in its hand: somebody gives it back
      lock:acquire()
      count:recv(0)
      count:send(0)
      lock:release()
    else
      count:send(0)
    end
  end
  giver:cancel()
  giver:wait()
  jobs:close()
  for i = 1, 2 do workers[i]:join() end
  local seen = {}
  while true do
    local job = done:get(0)
    if not job then break end
    assert.is_nil(seen[job], "a job was done twice")
    seen[job] = true
  end
  local missing = 0
  for job = 1, given do
    if not seen[job] then missing = missing + 1 end
  end
  assert.is_true(missing <= lost, ("%d jobs of %d are missing after %d kills"):format(missing, given, lost))
end

describe("kill -9 at random instants", function()
  it("loses nothing but what the dead had in hand", function() kill_at_random(15, 4) end)
  it("loses nothing of what was under way to them", function() kill_at_random(15, 64) end)
  it("leaves no lock with the dead", function() kill_holders_at_random(15) end)
  it("leaves no lock with the dead, often #stress", function() kill_holders_at_random(500) end)
  it("loses nothing but what the dead had in hand, often #stress", function() kill_at_random(500, 4) end)
  it("loses nothing of what was under way to them, often #stress", function() kill_at_random(500, 64) end)
end)
