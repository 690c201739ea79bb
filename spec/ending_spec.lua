-- What ends by force, or will not end: workers of pools of each kind, and processes.

local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads and processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_of_each_kind, kinds, seed = trial.it_of_each_kind, trial.pool_kinds, trial.seed

local function failure(handle)
  local ok, err = pcall(handle.join, handle)
  assert.is_false(ok, "it has not failed")
  return err
end

--- Waits until none of them is running any more.
local function assert_gone(pids, how)
  local deadline = neap.now() + 60
  for _, pid in ipairs(pids) do
    while support.is_running(pid) and neap.now() < deadline do neap.sleep(0.01) end
    assert.is_false(support.is_running(pid), ("process %d is left (%s)"):format(pid, how or ""))
  end
end

local function list_pids(text)
  local pids = {}
  for pid in text:gmatch("pid (%d+)\n") do pids[#pids + 1] = math.tointeger(pid) end
  return pids
end

local killed = "^process pool%-%d+ worker %d+ was killed by signal 9$"

local function wait_for_loss(pool, count)
  while pool:stats().lost < count do neap.sleep(0.001) end
end

describe("SIGKILL of a worker process", function()
  it("that is idle costs nothing", function()
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    for round = 1, 5 do
      os.execute("kill -9 " .. pool:apply(neap.getpid))
      wait_for_loss(pool, round)
    end
    assert.are.equal(1, pool:apply(function() return 1 end))
  end)

  it("that receives its work costs that work at most", function()
    seed()
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    local big = ("x"):rep(10 << 20)
    for _ = 1, 5 * support.stress do
      local first = pool:submit(neap.getpid)
      first:wait()
      local victim = first:error() == nil and first:result() or pool:apply(neap.getpid)
      local receiving, next_one = pool:submit(function(s) return #s end, big), pool:submit(function() return "next" end)
      local clock = neap.now() + math.random() * 0.01
      while neap.now() < clock do neap.yield() end
      os.execute("kill -9 " .. victim)
      receiving:wait()
      next_one:wait()
      local errors = { receiving:error(), next_one:error() }
      for _, err in pairs(errors) do assert.matches(killed, err) end
      assert.is_true(receiving:error() == nil or next_one:error() == nil)
      if receiving:error() == nil then assert.are.equal(#big, receiving:result()) end
      if next_one:error() == nil then assert.are.equal("next", next_one:result()) end
    end
  end)

  it("in mid-task costs that task", function()
    local pool <close> = neap.pool { workers = 2, kind = "process" }
    local began = neap.channel(1)
    for _ = 1, 5 do
      local victim = pool:submit(function(channel)
        channel:send(neap.getpid())
        while true do end
      end, began)
      local others = {}
      for i = 1, 20 do others[i] = pool:submit(function(n) return n end, i) end
      os.execute("kill -9 " .. began:recv())
      assert.matches(killed, failure(victim))
      for i = 1, 20 do assert.are.equal(i, others[i]:result()) end
    end
  end)

  it("that writes a result of 10 MB costs that result", function()
    seed()
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    local began, size = neap.channel(1), 10 << 20
    for _ = 1, 5 * support.stress do
      local writing = pool:submit(function(channel, length)
        channel:send(neap.getpid())
        return ("x"):rep(length)
      end, began, size)
      local victim = began:recv()
      local clock = neap.now() + math.random() * 0.02
      while neap.now() < clock do neap.yield() end
      os.execute("kill -9 " .. victim)
      writing:wait()
      if writing:error() == nil then
        assert.are.equal(size, #writing:result())
        wait_for_loss(pool, 1)
      else
        assert.matches(killed, writing:error())
      end
      local next_one = pool:submit(function() return "next" end)
      next_one:wait() -- it may have been handed to who was dead already
      if next_one:error() ~= nil then assert.matches(killed, next_one:error()) end
    end
    assert.are.equal("alive", pool:apply(function() return "alive" end))
  end)
end)

describe("work that ends its worker", function()
  it("by abort costs that work (process)", function()
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    local victim = pool:submit(function()
      os.execute("kill -ABRT " .. neap.getpid())
      neap.sleep(60)
    end)
    assert.matches("was killed by signal 6$", failure(victim))
    assert.are.equal(1, pool:apply(function() return 1 end))
  end)

  it("by os.exit ends the program where worker and program are one process (thread, task)", function()
    for _, kind in ipairs({ "thread", "task" }) do
      local result = support.run_script([[
        local pool <close> = neap.pool { workers = 2, kind = ... }
        pool:submit(function() os.exit(7) end)
        for _ = 1, 20 do pool:submit(neap.sleep, 60) end
        neap.sleep(60)]], { kind })
      assert.are.same({ status = 7, stdout = "", stderr = "" }, result)
    end
  end)

  it_of_each_kind("by no means: an endless loop is cancelled, and the pool goes on #preempt", function(new)
    local pool <close> = new { workers = 1 }
    local loop = pool:submit(function() while true do pcall(function() while true do end end) end end)
    while loop:status() ~= "running" do neap.sleep(0.001) end
    loop:cancel()
    assert.is_true(loop:wait())
    assert.are.equal("alive", pool:apply(function() return "alive" end))
  end)

  it_of_each_kind("by no means: an endless loop is ended with its pool #preempt", function(new)
    local pool = new { workers = 2 }
    for _ = 1, 4 do pool:submit(function() while true do pcall(neap.sleep, 1) end end) end
    for _ = 1, 4 do pool:submit(function() while true do end end) end
    neap.sleep(0.02)
    pool:terminate()
    assert.is_true(pool:join())
  end)
end)

describe("an initializer", function()
  it_of_each_kind("that fails breaks the pool: what was submitted fails with its error", function(new)
    local pool = new { workers = 2, initializer = function() error("no database", 0) end }
    local futures = {}
    for i = 1, 10 do futures[i] = pool:submit(print) end
    for i = 1, 10 do assert.are.equal("no database", failure(futures[i])) end
    assert.is_true(pool:join())
  end)

  for _, case in ipairs({
    { "that calls os.exit", function() os.exit(0) end, "exited with status 0$" },
    { "that calls os.exit with a status", function() os.exit(3) end, "exited with status 3$" },
    { "that aborts", function() os.execute("kill -ABRT " .. neap.getpid()) neap.sleep(60) end, "killed by signal 6$" },
    { "that is killed", function() os.execute("kill -9 " .. neap.getpid()) neap.sleep(60) end, "killed by signal 9$" },
  }) do
    it(case[1] .. " breaks the pool, and is not tried for ever (process)", function()
      local pool = neap.pool { workers = 2, kind = "process", initializer = case[2] }
      assert.matches(case[3], failure(pool:submit(print)))
      assert.is_true(pool:join())
    end)
  end

  it("that calls os.exit ends the program where worker and program are one process (thread, task)", function()
    for _, kind in ipairs({ "thread", "task" }) do
      local result = support.run_script([[
        local pool = neap.pool { workers = 2, kind = ..., initializer = function() os.exit(7) end }
        pool:submit(neap.sleep, 60):wait()]], { kind })
      assert.are.same({ status = 7, stdout = "", stderr = "" }, result)
    end
  end)

  for name, code in pairs({
    ["that loops for ever"] = "while true do end",
    ["that swallows its cancellation for ever"] = "while true do pcall(require 'neap'.sleep, 1) end",
    ["that waits for ever"] = "require 'neap'.event():wait()",
  }) do
    it_of_each_kind(name .. " is ended with its pool #preempt", function(new)
      local pool = new { workers = 2, initializer = load(code) }
      local future = pool:submit(print)
      assert.are.same({ nil, "timeout", "timeout" }, { future:wait(0.02) })
      pool:terminate()
      assert.is_true(pool:join())
      assert.is_true(future:cancelled())
    end)

    it(name .. " is ended with the program, in a pool of any kind #preempt", function()
      for _, kind in ipairs(kinds) do
        local result = support.run_script([[
          local kind, code = ...
          local pool = neap.pool { workers = 2, kind = kind, initializer = load(code) }
          pool:submit(print)
          neap.sleep(0.02)
          os.exit(0)]], { kind, code })
        assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
      end
    end)
  end
end)

describe("a pool", function()
  it_of_each_kind("of one, recycled after each few pieces of work with a backlog, does it all", function(new)
    for _, count in ipairs({ 1, 3 }) do
      local pool, futures = new { workers = 1, max_tasks = count }, {}
      for i = 1, 20 do futures[i] = pool:submit(function(n) return n end, i) end
      pool:close()
      for i = 1, 20 do assert.are.equal(i, futures[i]:result()) end
      assert.is_true(pool:join())
    end
  end)

  it_of_each_kind("takes a burst of ten times its size, also where its queue is bounded", function(new)
    for _, limit in ipairs({ 1, 1000 }) do
      local pool <close> = new { workers = 3, queue_limit = limit }
      local futures = {}
      for i = 1, 30 do
        futures[i] = pool:submit(function(n)
          neap.sleep(0.0005)
          return n * n
        end, i)
      end
      for i = 1, 30 do assert.are.equal(i * i, futures[i]:result()) end
    end
  end)

  it_of_each_kind("whose workers all submit to its full queue and wait goes on", function(new)
    local pool <close> = new { workers = 2, queue_limit = 1 }
    local futures = {}
    for i = 1, 20 do
      futures[i] = pool:submit(function(p, n)
        local inner = {}
        for k = 1, 5 do inner[k] = p:submit(function(m) return m end, n * k) end
        local sum = 0
        for k = 1, 5 do sum = sum + inner[k]:result() end
        return sum
      end, pool, i)
    end
    for i = 1, 20 do assert.are.equal(15 * i, futures[i]:result()) end
  end)
end)

describe("what has failed and is then cancelled reports its failure", function()
  for name, start in pairs({
    process = function(...) return neap.process({ quiet = true }, ...) end,
    thread = function(...) return neap.thread({ quiet = true }, ...) end,
  }) do
    it("(" .. name .. ")", function()
      local handle = start(function() error("first", 0) end)
      handle:wait()
      assert.is_false(handle:cancel())
      assert.are.equal("failed", handle:status())
      assert.are.equal("first", failure(handle))
    end)
  end

  it_of_each_kind("(future)", function(new)
    local pool <close> = new { workers = 1 }
    local future = pool:submit(function() error("first", 0) end)
    future:wait()
    assert.is_false(future:cancel())
    assert.are.equal("failed", future:status())
    assert.are.equal("first", failure(future))
  end)
end)

describe("a process that is cancelled", function()
  it("before its function begins, before its first wait, and after its end", function()
    for round = 1, 10 do
      local process = neap.process({ quiet = true }, function()
        local sum = 0
        for i = 1, 1e5 do sum = sum + i end
        neap.event():wait()
      end)
      if round % 2 == 0 then neap.sleep(round / 2000) end
      assert.is_true(process:cancel("enough"))
      grid.assert_cancelled(process)
      assert.is_false(process:cancel())
      assert.are.equal("cancelled", process:status())
    end
    local ended = neap.process(function() return 1 end)
    assert.are.equal(1, ended:join())
    assert.is_false(ended:cancel())
    assert.are.equal("done", ended:status())
  end)

  it("closes its variables, which may wait and may fail, from the inside out", function()
    local said = neap.queue()
    local process = neap.process({ quiet = true }, function(queue)
      local function closing(name, fails)
        return setmetatable({}, { __close = function()
          neap.sleep(0.001)
          queue:put(name)
          if fails then error(name .. " failed", 0) end
        end })
      end
      local _ <close> = closing("outer")
      local _ <close> = closing("middle", true)
      local _ <close> = closing("inner")
      neap.event():wait()
    end, said)
    grid.park(process)
    process:cancel()
    assert.are.equal("middle failed", failure(process))
    assert.are.same({ "inner", "middle", "outer" }, { (said:get(0)), (said:get(0)), (said:get(0)) })
  end)

  it("ends although it swallows its cancellation, at the end of the program too #preempt", function()
    local process = neap.process(function() while true do pcall(neap.sleep, 1) end end)
    grid.park(process)
    process:cancel()
    assert.is_true(process:wait())
    assert.are.same({ status = 0, stdout = "", stderr = "" }, support.run_script([[
      local p = neap.process({ daemon = true }, function() while true do pcall(neap.sleep, 1) end end)
      while p:status() ~= "waiting" do neap.yield() end]]))
  end)
end)

describe("many joiners", function()
  local function ask(start)
    seed()
    for _ = 1, 10 * support.stress do
      local gate = neap.event()
      local handle = start(function(event)
        event:wait()
        return "its result"
      end, gate)
      local joiners = {}
      for i = 1, 20 do
        local spawn = i % 2 == 0 and neap.spawn or neap.thread
        joiners[i] = spawn({ quiet = true }, function(h) return h:join() end, handle)
      end
      handle = nil -- luacheck: ignore
      local victim = table.remove(joiners, math.random(#joiners))
      if math.random(2) == 1 then neap.yield() end
      if math.random(2) == 1 then collectgarbage() end
      victim:cancel()
      gate:set()
      for _, joiner in ipairs(joiners) do assert.are.equal("its result", joiner:join()) end
      pcall(victim.join, victim)
    end
  end

  it("of a thread, of which one is cancelled and the handle is collected, all get its result", function()
    ask(neap.thread)
  end)

  it("of a process, of which one is cancelled and the handle is collected, all get its result", function()
    ask(neap.process)
  end)

  it("of a future, of which one is cancelled and the handle is collected, all get its result", function()
    local pool <close> = neap.pool(1)
    ask(function(...) return pool:submit(...) end)
  end)
end)

describe("300 lines that a worker prints are 300 lines", function()
  local ways = {
    ["when it fails"] = "error('x')",
    ["when it exits"] = "os.exit(0)",
    ["when it is cancelled"] = "neap.event():wait()",
    ["when it is killed"] = "io.flush() neap.event():wait()",
  }

  for how, last in pairs(ways) do
    it(how .. " (process)", function()
      local result = support.run_script(([[
        local p = neap.process({ quiet = true }, function()
          for i = 1, 300 do print("line " .. i) end
          %s
        end)
        local how = ...
        if how:find("cancelled") or how:find("killed") then
          while p:status() ~= "waiting" do neap.yield() end
          p[how:find("killed") and "kill" or "cancel"](p)
        end
        p:wait()
        io.stderr:write(p:status(), "\n")
        pcall(p.join, p)]]):format(last), { how })
      local _, lines = result.stdout:gsub("line %d+\n", "")
      assert.are.equal(300, lines)
    end)
  end

  for _, kind in ipairs(kinds) do
    it("when its work fails, and when it is cancelled (pool of one " .. kind .. ")", function()
      local result = support.run_script([[
        local pool <close> = neap.pool { workers = 1, kind = ... }
        local ready = neap.event()
        local failing = pool:submit(function()
          for i = 1, 300 do print("line " .. i) end
          error("x")
        end)
        pcall(failing.result, failing)
        local cancelled = pool:submit(function(event)
          for i = 1, 300 do print("line " .. i) end
          event:set()
          neap.event():wait()
        end, ready)
        ready:wait()
        cancelled:cancel()
        cancelled:wait()]], { kind })
      assert.are.equal("", result.stderr)
      local _, lines = result.stdout:gsub("line %d+\n", "")
      assert.are.equal(600, lines)
    end)
  end
end)

describe("when the parent is killed with SIGKILL", function()
  it("its processes end, those of its pools and theirs too, whatever they do", function()
    local result = support.run_script([[
      local said, gate = neap.channel(), neap.lock()
      gate:acquire()
      local function say(channel) channel:send(neap.getpid()) end
      local lives = {
        function(lock) lock:acquire() end, -- waits for its parent
        function() neap.event():wait() end,
        function() while true do end end,
        function() while true do pcall(neap.sleep, 1) end end,
        function() while true do io.open("/dev/null", "w"):write(("x"):rep(1000)) end end,
      }
      local function live(channel, lock, life) say(channel) life(lock) end
      local function breed(channel, lock, life, again)
        neap.process(again, channel, lock, life)
        again(channel, lock, life)
      end
      local pool = neap.pool { workers = 2, kind = "process" }
      for _, life in ipairs(lives) do neap.process(breed, said, gate, life, live) end
      for i = 2, 3 do pool:submit(breed, said, gate, lives[i], live) end
      for _ = 1, 2 * (#lives + 2) do io.write("pid ", said:recv(), "\n") end
      io.flush()
      io.popen("kill -9 " .. neap.getpid()):close()
      neap.event():wait()]])
    local pids = list_pids(result.stdout)
    assert.are.equal(14, #pids)
    assert_gone(pids)
  end)
end)

describe("the end of a program", function()
  local everything = [[
    local way, delay = tonumber(arg[1]), tonumber(arg[2])
    local held, channel, queue, event = neap.lock(), neap.channel(), neap.queue(), neap.event()
    local semaphore, barrier, condition = neap.semaphore(0), neap.barrier(99), neap.condition()
    local rwlock, dict, a, b = neap.rwlock(), neap.dict(), neap.pipe()
    held:acquire()
    rwlock:acquire_write()
    local waits = {
      function() held:acquire() end, function() channel:recv() end, function() channel:send(1, 60) end,
      function() queue:get() end, function() event:wait() end, function() semaphore:guard() end,
      function() barrier:wait() end, function() condition:with(function() condition:wait() end) end,
      function() rwlock:acquire_read() end, function() b:recv() end,
      function() neap.select({ channel, queue, event }) end,
      function() dict:update("x", function() neap.sleep(60) end) end, function() neap.sleep(60) end,
      function() neap.thread(neap.sleep, 60):join() end, function() neap.run({ "sleep", "60" }) end,
    }
    local function live()
      print("pid " .. neap.getpid())
      for _, wait in ipairs(waits) do neap.spawn({ daemon = true, quiet = true }, wait) end
      neap.sleep(60)
    end
    local function busy()
      print("pid " .. neap.getpid())
      while true do
        channel:send({ "x" }, 0.001)
        channel:recv(0.001)
        queue:put_nowait(1)
      end
    end
    local function breed() print("pid " .. neap.getpid()) neap.process({ quiet = true }, live) neap.sleep(60) end
    local options = { daemon = true, quiet = true }
    for _, life in ipairs({ live, busy, breed }) do
      neap.process(options, life)
      neap.thread(options, life)
      neap.spawn(options, life)
    end
    for _, kind in ipairs({ "thread", "process", "task" }) do
      local pool = neap.pool { workers = 2, kind = kind }
      for _ = 1, 3 do pool:submit(live) pool:submit(busy) end
    end
    if way == 1 then neap.thread(options, function() neap.sleep(delay) os.exit(3) end) end
    if way == 2 then neap.spawn(options, function() neap.sleep(delay) os.exit(3) end) end
    neap.sleep(way > 2 and delay or 60)
    if way == 3 then os.exit(3) end
    if way == 4 then error("over") end
    if way == 5 then io.popen("kill -TERM " .. neap.getpid()):close() neap.sleep(60) end
  ]]
  local statuses = { 3, 3, 3, 1, 143 }

  it("comes at random moments, with everything alive: processes, pools, remote waits #preempt #stress", function()
    seed()
    for _ = 1, 5 * support.stress do
      local way, delay = math.random(#statuses), math.random() * 0.1
      local result = support.run_script(everything, { way, delay })
      local how = ("way %d after %f s: %s"):format(way, delay, result.stderr)
      assert.are.equal(statuses[way], result.status, how)
      if way ~= 4 then assert.are.equal("", result.stderr, how) end
      assert_gone(list_pids(result.stdout), how)
    end
  end)

  it("finds processes that are parked in everything that is elsewhere", function()
    local result = support.run_script(everything, { 3, 0.3 })
    assert.are.equal(3, result.status, result.stderr)
    assert.are.equal("", result.stderr)
    assert_gone(list_pids(result.stdout))
  end)
end)
