-- Handles in other processes. That each of them waits there as it does here is asked by the grid, in its own spec.

local neap = require "neap"
local elsewhere = require "spec.elsewhere"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local broken, start, start_with, kill, await_arrivals =
  elsewhere.broken, elsewhere.start, elsewhere.start_with, elsewhere.kill, elsewhere.await_arrivals

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
  trial.it_races("ends once here, whoever waits for it, looks at it or gives up at that moment", function()
    local ways = {
      function(task) return task:join() end,
      function(task) return task:join() end,
      function(task)
        while task:status() ~= "done" do end
        return task:join()
      end,
      function(task)
        local result
        repeat result = task:join(0.0001) until result
        return result
      end,
    }
    local rounds, tasks, answers, over = 200 * support.stress, neap.channel(), neap.channel(#ways), neap.event()
    local process = start(function(out, count, told)
      for i = 1, count do
        local go = neap.event()
        local task = neap.spawn(function()
          go:wait()
          return i
        end)
        out:send({ task, go })
        task:wait()
      end
      told:wait()
    end, tasks, rounds, over)
    local asked, threads = {}, {}
    for i, way in ipairs(ways) do
      asked[i] = neap.channel(1)
      threads[i] = neap.thread(function(from, to)
        for task in from:iter() do to:send(way(task)) end
      end, asked[i], answers)
    end
    for round = 1, rounds do
      local task, go = table.unpack(tasks:recv())
      for i = 1, #ways do
        if i == 1 + round % #ways then go:set() end
        asked[i]:send(task)
      end
      for _ = 1, #ways do assert.are.equal(round, answers:recv()) end
    end
    for i = 1, #ways do asked[i]:close() end
    neap.gather(threads)
    over:set()
    process:join()
  end)

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
