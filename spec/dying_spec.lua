-- What a process that dies leaves behind: who waits for it, what it held, and what it had been handed and had not
-- received, which goes back to where it came from.

local neap = require "neap"
local elsewhere = require "spec.elsewhere"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local broken, start, start_with, stop, kill, await_arrivals =
  elsewhere.broken, elsewhere.start, elsewhere.start_with, elsewhere.stop, elsewhere.kill, elsewhere.await_arrivals

--- Runs `ask(...)` in `tasks` tasks of a child. When all of them wait the child is stopped, `give` is called, and the
-- child is killed.
local function die_with(ask, arguments, give, tasks)
  local asked = neap.channel(1)
  local child = neap.process({ name = "victim" }, function()
    for _ = 1, tasks or 1 do neap.spawn(ask, table.unpack(arguments)) end
    neap.yield()
    asked:send(true)
    neap.sleep(600)
  end)
  assert.is_true(asked:recv(60))
  stop(child.pid)
  give()
  child:kill(9)
  assert.is_true(child:wait(60))
end

--- The same for what lives in a third process, and is given at once: that process stands still until it has been asked.
local function die_asking(make, ask, is_given)
  local owner, object = start_with(make)
  stop(owner.pid)
  die_with(ask, { object }, function()
    assert(os.execute("kill -CONT " .. owner.pid))
    is_given(object) -- which is answered after what was asked before
  end)
  return object, owner
end

--- Runs `ask(...)` in a task of a grandchild: when that waits, the process in between, the pid of the grandchild, and a
-- channel on which the former says that it has learned of the latter's death.
local function start_below(ask, arguments)
  local asked, news = neap.channel(1), neap.channel(2)
  local middle = neap.process({ name = "middle" }, function()
    local victim = neap.process({ name = "victim", quiet = true }, function()
      neap.spawn(ask, table.unpack(arguments))
      neap.yield()
      asked:send(true)
      neap.sleep(600)
    end)
    news:send(victim.pid)
    victim:wait()
    news:send("dead")
    neap.sleep(600)
  end)
  local victim = news:recv(60)
  assert.is_true(asked:recv(60))
  return middle, victim, news
end

local function receive(channel) channel:recv() end
local function get(queue) queue:get() end

describe("what a process was given and had not received when it was killed", function()
  it("is in the channel again, before all that came later and in order", function()
    local channel = neap.channel(4)
    die_with(receive, { channel }, function()
      for i = 1, 4 do channel:send(i) end
      assert.are.equal(2, #channel)
    end, 2)
    assert.are.equal(4, #channel)
    for i = 1, 4 do assert.are.equal(i, (channel:recv(60))) end
    assert.are.equal(0, #channel)
  end)

  it("goes to who waits", function()
    local channel = neap.channel(1)
    local waiting
    die_with(receive, { channel }, function()
      channel:send("mine")
      waiting = neap.spawn(function() return channel:recv(60) end)
      neap.yield()
    end)
    assert.are.equal("mine", waiting:join(60))
  end)

  it("goes to the next receiver of a rendezvous, whose sender has long gone on", function()
    local channel = neap.channel()
    die_with(receive, { channel }, function() assert.is_true(channel:send("met", 10)) end)
    assert.are.equal(1, #channel)
    assert.are.same({ nil, "timeout", "timeout" }, { channel:send("later", 0) })
    assert.are.equal("met", channel:recv(60))
  end)

  it("is received from a closed channel before that is at its end", function()
    local channel = neap.channel(1)
    die_with(receive, { channel }, function()
      channel:send("last")
      channel:close()
    end)
    assert.are.equal("last", channel:recv(60))
    assert.are.same({ nil, "closed", "closed" }, { channel:recv(60) })
  end)

  it("may be large", function()
    local channel = neap.channel(1)
    local text = ("x"):rep(1 << 20)
    die_with(receive, { channel }, function() channel:send(text) end)
    assert.is_true(channel:recv(60) == text)
  end)

  it("may refer to handles", function()
    local channel, event = neap.channel(1), neap.event()
    die_with(receive, { channel }, function() channel:send { event = event } end)
    channel:recv(60).event:set()
    assert.is_true(event:is_set())
  end)

  it("is in the queue again, in its place, and is counted once", function()
    local queue = neap.priority_queue()
    die_with(get, { queue }, function()
      queue:put("second", nil, 2)
      queue:put("third", nil, 3)
      queue:put("first", nil, 1)
    end)
    assert.are.equal(3, queue:qsize())
    for i, word in ipairs { "first", "second", "third" } do
      assert.are.same({ word, i }, { queue:get(60) })
      queue:task_done()
    end
    assert.is_true(queue:join(60))
    assert.has_error(function() queue:task_done() end)
  end)

  it("is in the pipe again", function()
    local reader, writer = neap.pipe(false)
    die_with(receive, { reader }, function() writer:send("through") end)
    assert.is_true(reader:poll(60))
    assert.are.equal("through", reader:recv(60))
  end)

  it("is where the select had taken it from", function()
    local one, other = neap.channel(1), neap.channel(1)
    die_with(function(...) neap.select { ... } end, { one, other }, function()
      other:send("chosen")
      assert.are.equal(0, #other)
    end)
    assert.are.equal("chosen", other:recv(60))
    assert.are.equal(0, #one)
  end)

  it("is in the process that the select had taken it from, of three", function()
    local owners, channels = {}, {}
    for i = 1, 3 do
      owners[i], channels[i] = start_with(function(capacity) return require "neap".channel(capacity) end, i - 1)
    end
    die_with(function(...) neap.select { ... } end, channels, function()
      assert.is_true(channels[2]:send("chosen", 60))
    end)
    assert.are.equal("chosen", channels[2]:recv(60))
    for _, channel in ipairs(channels) do assert.are.same({ nil, "timeout", "timeout" }, { channel:recv(0) }) end
    for _, owner in ipairs(owners) do kill(owner) end
  end)

  it("is free again if it was a permit", function()
    local semaphore = neap.semaphore(0)
    die_with(function(each) each:acquire() end, { semaphore }, function()
      semaphore:release()
      assert.are.equal(0, semaphore:value())
    end)
    assert.is_true(semaphore:acquire(60))
    assert.are.equal(0, semaphore:value())
  end)

  it("wakes the next one if it was a notification", function()
    local condition = neap.condition()
    local second
    die_with(function(each)
      each:acquire()
      each:wait()
    end, { condition }, function()
      second = neap.spawn(function()
        condition:acquire()
        local notified = condition:wait(60)
        condition:release()
        return notified
      end)
      neap.yield()
      condition:acquire()
      condition:notify(1)
      condition:release()
    end)
    assert.is_true(second:join(60))
  end)

  it("is in the list again, in its place", function()
    local list, owner = die_asking(function() return require "neap".list { "first", "second", "third" } end,
      function(each) return each:pop(2) end,
      function(each) assert.are.equal(2, #each) end)
    assert.are.same({ "first", "second", "third" }, list:snapshot())
    kill(owner)
  end)

  it("is in the dict again", function()
    local dict, owner = die_asking(function() return require "neap".dict { key = "value", other = 1 } end,
      function(each) return each:remove("key") end,
      function(each) assert.are.equal(1, #each) end)
    assert.are.same({ key = "value", other = 1 }, dict:snapshot())
    kill(owner)
  end)

  it("comes back from a grandchild, whoever of the two dies", function()
    local channel = neap.channel(1)
    for victim = 1, 2 do
      local child, grandchild, news = start_below(receive, { channel })
      stop(grandchild)
      channel:send(victim)
      if victim == 1 then
        assert(os.execute("kill -9 " .. grandchild))
        assert.are.equal("dead", news:recv(60))
      end
      child:kill(9)
      assert.is_true(child:wait(60))
      assert.are.equal(victim, (channel:recv(60)))
    end
  end)
end)

--- Runs `ask(...)` in a task of a grandchild. When that waits the child is stopped, the grandchild is killed, `give` is
-- called, and the child goes on, and learns of both. Returns it when it knows.
local function die_below(ask, arguments, give)
  local middle, victim, news = start_below(ask, arguments)
  stop(middle.pid)
  assert(os.execute("kill -9 " .. victim))
  give()
  assert(os.execute("kill -CONT " .. middle.pid))
  assert.are.equal("dead", news:recv(60))
  return middle
end

describe("what a process in between passes on to one that is dead", function()
  local function it_comes_back(name, make, ask, give, check)
    it(name, function()
      for _ = 1, 3 do
        local object = make()
        local middle = die_below(ask, { object }, function() give(object) end)
        check(object)
        middle:kill()
        middle:wait()
      end
    end)
  end

  local function make_held(kind, acquire)
    return function()
      local lock = neap[kind]()
      lock[acquire](lock)
      return lock
    end
  end

  for _, kind in ipairs { "lock", "rlock", "condition" } do
    it_comes_back(("is abandoned if it is a turn at a %s"):format(kind), make_held(kind, "acquire"),
      function(lock) lock:acquire() end, function(lock) lock:release() end,
      function(lock) assert.are.same({ true, "abandoned" }, { lock:acquire(10) }) end)
  end

  it_comes_back("is abandoned if it is a turn at writing", make_held("rwlock", "acquire_write"),
    function(lock) lock:acquire_write() end, function(lock) lock:release() end,
    function(lock) assert.are.same({ true, "abandoned" }, { lock:acquire_write(10) }) end)

  it_comes_back("is over if it is a turn at reading", make_held("rwlock", "acquire_write"),
    function(lock) lock:acquire_read() end, function(lock) lock:release() end,
    function(lock) assert.is_true(lock:acquire_write(10)) end)

  it_comes_back("is free again if it is a permit", function() return neap.semaphore(0) end,
    function(semaphore) semaphore:acquire() end, function(semaphore) semaphore:release() end,
    function(semaphore) assert.is_true(semaphore:acquire(10)) end)

  it_comes_back("is free again if it is a permit that a guard holds", function() return neap.semaphore(0) end,
    function(semaphore) semaphore:guard() end, function(semaphore) semaphore:release() end,
    function(semaphore) assert.is_true(semaphore:acquire(10)) end)

  it_comes_back("is in its channel if it is a message", function() return neap.channel(1) end, receive,
    function(channel) channel:send("mine") end, function(channel) assert.are.equal("mine", channel:recv(10)) end)

  it("passes on if it is a turn to update", function()
    for _, make in ipairs { function() return neap.dict { [1] = 1 } end, function() return neap.list { 1 } end } do
      local shared, inside, go = make(), neap.event(), neap.event()
      local updating = neap.spawn(shared.update, shared, 1, function(n)
        inside:set()
        go:wait()
        return n + 1
      end)
      inside:wait()
      local middle = die_below(function(object) object:update(1, function() return 100 end) end, { shared }, function()
        go:set()
        updating:join()
      end)
      assert.are.equal(3, neap.timeout(10, shared.update, shared, 1, function(n) return n + 1 end))
      middle:kill()
      middle:wait()
    end
  end)
end)

describe("a barrier whose action is run by a process that is killed", function()
  it("is broken for the others, and for who comes", function()
    local running, go = neap.event(), neap.event()
    local barrier = neap.barrier(3, function()
      running:set()
      go:wait()
    end)
    local first = neap.spawn(function() return table.pack(barrier:wait(60)) end)
    local second = neap.thread(function() return table.pack(barrier:wait(60)) end)
    while barrier.waiting < 2 do neap.sleep(0.001) end
    local child = neap.process({ quiet = true }, function() barrier:wait() end)
    assert.is_true(running:wait(60))
    child:kill(9)
    assert.is_true(child:wait(60))
    assert.are.same(broken, first:join(60))
    assert.are.same(broken, second:join(60))
    assert.are.same(broken, table.pack(barrier:wait(60)))
    barrier:reset()
    assert.is_false(barrier:is_broken())
  end)

  it("goes on when it had been reset meanwhile", function()
    local runs, running, go = neap.value("i64"), neap.event(), neap.event()
    local barrier = neap.barrier(2, function()
      if runs:add(1) > 1 then return end
      running:set()
      go:wait()
    end)
    local first = neap.spawn(function() return barrier:wait(60) end)
    neap.yield()
    local child = neap.process({ quiet = true }, function() barrier:wait() end)
    assert.is_true(running:wait(60))
    barrier:reset()
    assert.is_nil(first:join(60))
    first = neap.spawn(function() return barrier:wait(60) end)
    neap.yield()
    child:kill(9)
    assert.is_true(child:wait(60))
    assert.are.equal(2, barrier:wait(60))
    assert.are.equal(1, first:join(60))
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

  it("others write what it was reading, and nothing is abandoned", function()
    local lock = neap.rwlock()
    local process = start_with(function(l)
      return l:acquire_read(), l:acquire_read()
    end, lock)
    local writer = grid.parked_task(lock.acquire_write, lock)
    kill(process)
    assert.are.same(table.pack(true), table.pack(writer:join()))
  end)

  it("the next one is notified in its place", function()
    local condition, inside = neap.condition(), neap.channel(1)
    local process = start(function(c, i)
      c:acquire()
      i:send(true)
      c:wait()
    end, condition, inside)
    inside:recv()
    condition:acquire() -- which it has let go of, to wait
    local waiter = neap.spawn(function()
      condition:acquire()
      return condition:wait(60)
    end)
    condition:release()
    grid.park(waiter)
    kill(process)
    condition:acquire()
    condition:notify(1)
    condition:release()
    assert.is_true(waiter:join())
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

describe("a process that writes nonsense into the memory that it shares with its parent", function()
  it("costs itself at most", function()
    local result = support.run_script([[
      local function write_nonsense(seed)
        math.randomseed(seed)
        local files, channel = {}, neap.channel(4)
        for _, name in ipairs(neap.fs.list("/proc/self/fd")) do
          local path = "/proc/self/fd/" .. name
          local link = io.popen("readlink /proc/" .. neap.getpid() .. "/fd/" .. name):read("l") or ""
          if link:find("^/memfd") then files[#files + 1] = assert(io.open(path, "r+b")) end
        end
        for n = 1, 30 do
          local file = files[math.random(#files)]
          local size = file:seek("end")
          file:seek("set", math.random(3) == 1 and math.random(0, 255) or math.random(0, math.min(size, 1 << 19) - 1))
          for _ = 1, math.random(16) do file:write(string.char(math.random(0, 255))) end
          file:flush()
          if n % 3 == 0 then
            print("so far")
            channel:send(n, 0)
          end
        end
      end
      for i = 1, 15 do
        local process = neap.process({ quiet = true }, write_nonsense, tonumber((...)) + i)
        if not process:wait(1) then process:kill() end
        assert(process:wait(60))
        pcall(process.join, process)
      end
      assert(neap.process(function() return "well" end):join() == "well")
      os.exit(0)]], { trial.seed() })
    assert.are.equal(0, result.status, result.stderr)
  end)
end)
