local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local finish = grid.finish
local raises = require "spec.trial".raises

local SIGKILL, SIGTERM = 9, 15

local function start_quietly(...) return neap.process({ quiet = true, name = "p1" }, ...) end

--- A process that waits for ever.
local function start_waiting(options)
  return grid.park(neap.process(options or {}, function() neap.event():wait() end))
end

--- Ends all that is left of other tests.
local function settle()
  for _, process in ipairs(neap.processes()) do
    process:kill()
    process:wait()
  end
end

--- How many descriptors this process has.
local function count_descriptors()
  local count = 0
  collectgarbage() -- files that nobody closed
  local pipe = io.popen(("ls /proc/%d/fd"):format(neap.getpid()))
  for _ in pipe:lines() do count = count + 1 end
  pipe:close()
  return count
end

--- That no more than `most` descriptors stay open. Whoever is being started holds those of the others until it runs,
--- and the hub closes a link when it hears of its end, which may be after the join.
local function assert_descriptors(most)
  local limit, left = neap.now() + 60
  repeat
    neap.yield()
    left = count_descriptors()
  until left <= most or neap.now() > limit
  assert.is_true(left <= most, ("%d descriptors, before %d"):format(left, most))
end

--- The processes that have this one for a parent and are dead, but not reaped.
local function count_zombies()
  local count = 0
  local pipe = io.popen(("ps -o stat= --ppid %d"):format(neap.getpid()))
  for line in pipe:lines() do
    if line:find("^Z") then count = count + 1 end
  end
  pipe:close()
  return count
end

describe("process", function()
  it("runs the function with copies of its arguments, of every number, with holes", function()
    for _, arguments in ipairs({ table.pack(), table.pack(nil), table.pack(1, nil, 3, nil),
      table.pack({ a = { 1 } }, false) }) do
      local process = neap.process(function(...) return ... end, table.unpack(arguments, 1, arguments.n))
      assert.are.same(arguments, table.pack(process:join()))
    end
    assert.are.equal(5000, (neap.process(select, "#", table.unpack({}, 1, 5000)):join()))
  end)

  it("returns what the function returned, of every number, each time", function()
    for _, count in ipairs({ 0, 1, 2, 20, 1000 }) do
      local process = neap.process(function(n) return table.unpack({}, 1, n) end, count)
      for _ = 1, 2 do assert.are.equal(count, select("#", process:join())) end
    end
  end)

  it("is another process, and a clean one", function()
    rawset(_G, "global_of_the_spec", "here")
    local process = neap.process(function() return neap.getpid(), neap.getppid(), rawget(_G, "global_of_the_spec") end)
    assert.are.same(table.pack(process.pid, neap.getpid(), nil), table.pack(process:join()))
    rawset(_G, "global_of_the_spec", nil)
    assert.are_not.equal(neap.getpid(), process.pid)
  end)

  it("copies functions with their upvalues, and big values both ways", function()
    local big, count = ("x"):rep(3 << 20), 2
    local process = neap.process(function(text)
      count = count + 1
      return text, big, count
    end, big)
    local text, same, counted = process:join()
    assert.is_true(text == big and same == big)
    assert.are.same({ 3, 2 }, { counted, count })
  end)

  it("keeps the class of what is registered", function()
    local Point = neap.register("Point of process_spec", { __index = { sum = function(p) return p.x + p.y end } })
    local sum, point = neap.process(function(p) return p:sum(), p end, setmetatable({ x = 1, y = 2 }, Point)):join()
    assert.are.equal(3, sum)
    assert.are.equal(Point, getmetatable(point))
    assert.are.equal(3, point:sum())
  end)

  it("is given what can be sent, or it is not started", function()
    assert.has_error(function() neap.process(function(...) return ... end, 1, { conn = coroutine.create(print) }) end,
      "cannot send args[2].conn: coroutine")
    assert.has_error(function() neap.process(1) end)
    assert.has_error(function() neap.process({ nmae = "x" }, print) end)
    assert.are.equal(0, #neap.processes())
  end)

  it("fails with the reason when its result cannot be sent", function()
    local ok, err = finish(start_quietly(function() return coroutine.create(print) end))
    assert.is_false(ok)
    assert.matches("cannot send result%[1%]: coroutine", err)
  end)

  it("raises in join what the function raised, with a traceback back to where it was spawned", function()
    local process = start_quietly(function() error({ code = 7 }) end)
    local ok, err = finish(process)
    assert.is_false(ok)
    assert.are.same({ code = 7 }, err)
    assert.are.same({ code = 7 }, process:error())
    assert.matches("spawned at .*process_spec.lua:%d+", process:traceback())
    assert.are.equal("failed", process:status())
  end)

  it("tells of a failure through every hop", function()
    local process = start_quietly(function()
      neap.process({ quiet = true }, function() error("deep") end):join()
    end)
    local ok, err = finish(process)
    assert.is_false(ok)
    assert.matches("deep$", err)
    local _, hops = process:traceback():gsub("spawned at [^\n]*process_spec", "")
    assert.is_true(hops >= 3, process:traceback())
  end)

  it("has the exit status 0, 1 after an error, N after os.exit(N)", function()
    local cases = { [0] = function() end, function() error("x") end, [7] = function() os.exit(7) end,
      [255] = function() neap.thread(function() os.exit(255) end) neap.event():wait() end }
    for status, fn in pairs(cases) do
      local process = start_quietly(fn)
      finish(process)
      assert.are.equal(status, process.exitcode)
    end
  end)

  it("says with which status it exited where that is all there is to say", function()
    local ok, err = finish(start_quietly(function() os.exit(3) end))
    assert.are.same({ false, "process p1 exited with status 3" }, { ok, err })
    assert.are.same(table.pack(true), table.pack(finish(start_quietly(function() os.exit(0) end))))
    assert.are.same(table.pack(true), table.pack(finish(start_quietly(function() os.exit(true) end))))
  end)

  it("has no exit code and no usage while it runs", function()
    local process = start_waiting({ quiet = true })
    assert.is_nil(process.exitcode)
    assert.is_nil(process:rusage())
    assert.is_true(process:kill())
    assert.is_true(process:wait())
    local usage = process:rusage()
    assert.is_true(usage.user >= 0 and usage.system >= 0 and usage.max_rss > 100000)
  end)

  it("closes all, as a program does, when its function has returned", function()
    local process = neap.process(function()
      neap.spawn(function()
        neap.sleep(0.01)
        print("a task of its own goes on")
      end)
      return 1
    end)
    assert.are.equal(1, process:join())
  end)

  it("sees in itself whether it is daemon, as it is seen", function()
    for _, daemon in ipairs({ true, false }) do
      local process = neap.process({ daemon = daemon }, function() return require "neap".current().daemon end)
      assert.are.equal(daemon, process.daemon)
      assert.are.equal(daemon, process:join())
    end
  end)

  it("has a name, an id and a pid, and shows them", function()
    local process = start_waiting({ name = "worker" })
    assert.are.equal("worker", process.name)
    assert.are.equal("process: worker (waiting)", tostring(process))
    assert.are.equal("integer", math.type(process.id))
    assert.is_true(support.is_running(process.pid))
    process.name = "other"
    assert.are.equal("other", process.name)
    assert.has_error(function() process.daemon = true end)
    process:kill()
    process:wait()
    assert.are.equal("process: other (cancelled)", tostring(process))
    process = neap.process(function() end)
    assert.matches("^process%-%d+$", process.name)
    process:join()
  end)

  it("is listed while it lives", function()
    settle()
    local process = start_waiting()
    local found = neap.processes()
    assert.are.equal(1, #found)
    assert.are.equal(process, found[1])
    assert.are.equal(1, neap.active_count()) -- threads
    process:kill()
    process:wait()
    assert.are.same({}, neap.processes())
  end)

  it("knows itself", function()
    local process = neap.process({ name = "me" }, function()
      local self = neap.current()
      return tostring(self), self.pid == neap.getpid(), neap.main() == self, self.exitcode, #neap.processes()
    end)
    assert.are.same(table.pack("process: me (running)", true, true, nil, 0), table.pack(process:join()))
  end)

  it("is the same handle, whether it is sent from here or sends itself", function()
    local handles = neap.channel(2)
    local process = neap.process({ name = "me" }, function(channel)
      channel:send(neap.current())
      return channel:recv() == neap.current(), channel:recv() == neap.current()
    end, handles)
    local got = handles:recv()
    assert.are.equal(process, got)
    local sibling = neap.process(function(channel, other) channel:send(other) end, handles, got)
    sibling:join()
    handles:send(process)
    assert.are.same(table.pack(true, true), table.pack(got:join()))
    assert.are.equal(0, got.exitcode)
  end)

  it("is the same handle in the processes above its parent, too, and has its result there", function()
    local handles, go = neap.channel(2), neap.event()
    local middle = neap.process(function()
      local child = neap.process(function()
        handles:send(neap.current())
        go:wait()
        return neap.current(), "result"
      end)
      handles:send(child)
      local self, result = child:join()
      return self == child, result
    end)
    local one, other = handles:recv(), handles:recv()
    assert.are.equal(one, other)
    go:set()
    assert.are.same(table.pack(true, "result"), table.pack(middle:join()))
  end)

  it("may name itself", function()
    local named = neap.channel()
    local process = neap.process({ name = "before" }, function()
      neap.current().name = "after"
      named:send(true)
      named:recv()
    end)
    named:recv()
    assert.are.equal("after", process.name)
    assert.matches("^process: after %(", tostring(process))
    process:kill()
    raises("^process after was killed by signal 9$", process.join, process)
  end)

  for _, how in ipairs({ "kill", "terminate" }) do
    it(("that ends itself through its handle by %s has not failed"):format(how), function()
      local process = neap.process(function(name)
        local self = neap.current()
        self[name](self)
        neap.sleep(60)
      end, how)
      process:wait()
      assert.are.equal("cancelled", process:status())
      assert.are.equal(how == "kill" and -9 or -15, process.exitcode)
    end)
  end

  it("is cancelled with itself for a reason", function()
    local process = neap.process(neap.sleep, 60)
    process:cancel({ process })
    process:wait()
    assert.are.equal("cancelled", process:status())
  end)

  it("cannot wait for itself by a handle that it was sent", function()
    local handles = neap.channel(1)
    local process = neap.process(function(channel)
      local self = channel:recv()
      local joined, problem = pcall(self.join, self)
      local waited = pcall(self.wait, self, 0)
      return joined, problem, waited, neap.spawn(function() return self:wait(0) end):join()
    end, handles)
    handles:send(process)
    local problem = "a task cannot join itself: it would never end"
    assert.are.same(table.pack(false, problem, false, nil, "timeout", "timeout"), table.pack(process:join()))
  end)

  it("has children of its own", function()
    local process = neap.process(function()
      local child = neap.process(function() return neap.getppid() end)
      return child:join() == neap.getpid(), child.pid
    end)
    local is_right, pid = process:join()
    assert.is_true(is_right)
    assert.is_false(support.is_running(pid))
  end)

  it("can be waited for in select, gather, race and as_completed", function()
    local function double(n) return 2 * n end
    assert.are.same({ 2, 4 }, neap.gather({ neap.process(double, 1), neap.process(double, 2) }))
    assert.are.equal(6, neap.race({ neap.process(double, 3), neap.process(function() neap.event():wait() end) }))
    assert.are.equal(2, (neap.select({ neap.event(), neap.process(double, 4) })))
    for handle in neap.as_completed({ neap.process(double, 5) }) do assert.are.equal(10, handle:join()) end
  end)
end)

grid.ask("process:wait", {
  blocked = function() return start_waiting({ daemon = true }) end,
  wait = function(process, timeout) return process:wait(timeout) end,
  serve = function(process) process:kill() end,
  served = table.pack(true),
  all = true,
})

describe("process:join", function()
  local function wait_for(process, timeout) return process:join(timeout) end

  it("gives up after its timeout", function()
    local process = start_waiting()
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(process:join(0)))
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(wait_for(process, 0.01)))
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(process:wait(0)))
    process:kill()
    assert.is_true(process:wait())
  end)

  it("serves all who wait, and who comes later", function()
    local process = start_waiting({ quiet = true })
    local joiners = {}
    for i = 1, 5 do joiners[i] = neap.spawn({ quiet = true }, process.wait, process) end
    neap.yield()
    process:kill()
    for i = 1, 5 do assert.is_true(joiners[i]:join()) end
    assert.is_true(process:wait())
  end)
end)

describe("process:cancel", function()
  it("interrupts a wait, with the reason, and lets close variables run", function()
    local process = neap.process(function()
      local _ <close> = setmetatable({}, { __close = function() neap.sleep(0.001) io.write("closed\n") end })
      neap.event():wait()
    end)
    grid.park(process)
    assert.is_true(process:cancel("enough"))
    assert.is_false(process:cancel())
    local ok, err = finish(process)
    assert.is_false(ok)
    assert.is_true(neap.is_cancelled(err))
    assert.matches("enough", tostring(err))
    assert.are.equal("cancelled", process:status())
    assert.are.equal(0, process.exitcode)
    assert.is_false(process:cancel())
  end)

  it("ends its other tasks, too", function()
    local ready = neap.channel()
    local process = neap.process(function()
      neap.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() ready:send("closed") end })
        ready:send("waiting")
        neap.event():wait()
      end)
      neap.event():wait()
    end)
    assert.are.equal("waiting", ready:recv())
    assert.is_true(process:cancel())
    assert.are.equal("closed", ready:recv())
    grid.assert_cancelled(process)
  end)

  it("interrupts a loop that does not wait #preempt", function()
    local process = neap.process(function() while true do pcall(function() while true do end end) end end)
    neap.yield()
    process:cancel()
    grid.assert_cancelled(process)
  end)

  it("reaches it at any moment of its start", function()
    for round = 1, 20 do
      local process = neap.process(function() neap.event():wait() end)
      for _ = 1, round % 5 * 1000 do neap.now() end
      assert.is_true(process:cancel())
      grid.assert_cancelled(process)
      assert.are.equal(0, process.exitcode)
    end
  end)

  it("may be called by who finds it in the list while it is being started", function()
    local starter = neap.thread(function()
      local function join() neap.process({ name = "listed" }, function() neap.event():wait() end):join() end
      for _ = 1, 10 do
        local ok, err = pcall(join)
        assert(not ok and neap.is_cancelled(err) and err.reason == "enough", err)
      end
    end)
    while starter:is_alive() do
      for _, process in ipairs(neap.processes()) do
        if process.name == "listed" then process:cancel("enough") end
      end
      neap.yield()
    end
    starter:join()
  end)
end)

describe("process:kill", function()
  it("ends it with SIGKILL, or another signal by number or name", function()
    for _, case in ipairs({ { nil, 9 }, { 9, 9 }, { "KILL", 9 }, { "SIGUSR1", 10 }, { 3, 3 } }) do
      local process = start_waiting({ name = "p1" })
      assert.is_true(process:kill(case[1]))
      local ok, err = finish(process)
      assert.are.same({ false, ("process p1 was killed by signal %d"):format(case[2]) }, { ok, err })
      assert.are.equal(-case[2], process.exitcode)
      assert.are.equal("cancelled", process:status()) -- it did not fail
      assert.is_false(process:kill())
    end
  end)

  it("raises for what is no signal", function()
    local process = start_waiting()
    for _, signal in ipairs({ 0, -1, 1000, "NONSENSE", 1.5 }) do
      assert.has_error(function() process:kill(signal) end)
    end
    process:kill()
    process:wait()
  end)

  it("in whatever it does: idle, computing, writing a large result, before it has begun", function()
    local cases = {
      function() neap.event():wait() end,
      function() while true do end end,
      function() return ("x"):rep(50 << 20) end,
      function() while true do io.open("/dev/null", "w"):write(("x"):rep(1000)) end end,
    }
    for round = 1, 3 * #cases do
      local process = start_quietly(cases[1 + round % #cases])
      if round > #cases then neap.sleep(round / 500) end
      process:kill()
      finish(process)
      assert.is_not_nil(process.exitcode)
    end
  end)
end)

describe("process:terminate", function()
  it("ends it in order: close variables run", function()
    local result = support.run_script([[
      local p = neap.process(function()
        local _ <close> = setmetatable({}, { __close = function() neap.sleep(0.01) print("closed") end })
        print("waiting")
        neap.event():wait()
      end)
      while p:status() ~= "waiting" do neap.yield() end
      print(p:terminate(), p:wait(), p.exitcode, p:status())
    ]])
    assert.are.same({ status = 0, stdout = "waiting\nclosed\ntrue\ttrue\t-15\tcancelled\n", stderr = "" }, result)
  end)

  it("also where it computes #preempt", function()
    local process = neap.process(function() while true do end end)
    neap.sleep(0.02)
    process:terminate()
    process:wait()
    assert.are.equal(-SIGTERM, process.exitcode)
  end)
end)

describe("a process that is killed by somebody else", function()
  it("has failed", function()
    local process = start_quietly(function()
      os.execute("kill -9 " .. neap.getpid())
      neap.event():wait()
    end)
    local ok, err = finish(process)
    assert.are.same({ false, "process p1 was killed by signal 9" }, { ok, err })
    assert.are.equal("failed", process:status())
    assert.are.equal(-SIGKILL, process.exitcode)
  end)
end)

describe("many processes", function()
  it("leave no zombie, no descriptor and no listing", function()
    local function nothing() end
    settle()
    for _ = 1, 5 do neap.process(nothing):join() end
    local before = count_descriptors()
    for _ = 1, 60 do
      local some = {}
      for i = 1, 5 do some[i] = neap.process(nothing) end
      neap.gather(some)
    end
    assert.are.equal(0, count_zombies())
    assert_descriptors(before)
    assert.are.same({}, neap.processes())
  end)

  it("a thousand quick ones: nor any memory #stress", function()
    local function nothing() end
    local function resident()
      collectgarbage()
      local file <close> = assert(io.open("/proc/self/statm"))
      return select(2, file:read("n", "n")) * 4096
    end
    for _ = 1, 200 do neap.process(nothing):join() end
    local descriptors, memory = count_descriptors(), resident()
    for _ = 1, 1000 do neap.process(nothing):join() end
    assert.are.equal(0, count_zombies())
    assert_descriptors(descriptors)
    assert.is_true(resident() - memory < 4 << 20, resident() - memory)
  end)

  it("may be started from several threads at once", function()
    local threads = {}
    for t = 1, 4 do
      threads[t] = neap.thread(function()
        local sum = 0
        for i = 1, 8 do sum = sum + neap.process(function(n) return n end, i):join() end
        return sum
      end)
    end
    assert.are.same({ 36, 36, 36, 36 }, neap.gather(threads))
  end)

  it("outlive the thread that started them", function()
    local process = neap.thread(function()
      return neap.process(function() neap.sleep(0.1) return "alive" end)
    end):join()
    assert.are.equal("alive", process:join())
  end)
end)

describe("scope:process", function()
  it("starts a child of the scope, which waits for it", function()
    local p
    neap.scope(function(s) p = s:process(function() neap.sleep(0.02) return 5 end) end)
    assert.are.equal("done", p:status())
    assert.are.equal(5, p:join())
  end)

  it("cancels the others when one fails, and raises its error", function()
    local other
    local ok, err = pcall(neap.scope, function(s)
      other = s:process(function() neap.event():wait() end)
      grid.park(other)
      s:process(function() error("bad", 0) end)
    end)
    assert.are.same({ false, "bad" }, { ok, err })
    assert.are.equal("cancelled", other:status())
  end)

  it("tells of one that dies", function()
    local ok, err = pcall(neap.scope, function(s)
      s:process({ name = "p1" }, function()
        os.execute("kill -9 " .. neap.getpid())
        neap.event():wait()
      end)
    end)
    assert.are.same({ false, "process p1 was killed by signal 9" }, { ok, err })
  end)
end)

describe("neap.Process", function()
  it("runs a target with arguments", function()
    local process = neap.Process({ target = function(a, b) return a + b end, args = { 1, 2 }, name = "adder" })
    assert.are.equal("new", process:status())
    assert.is_nil(process.pid)
    assert.has_error(function() process:join() end)
    process:start()
    assert.are.equal(3, process:join())
    assert.are.same({ "adder", 0, "done" }, { process.name, process.exitcode, process:status() })
    assert.is_true(process:rusage().user >= 0)
    assert.has_error(function() process:start() end)
  end)

  it("can be extended: run runs there, with a copy of the fields", function()
    local Worker = neap.Process:extend("Worker")
    function Worker:init(n) self.n = n end
    function Worker:run()
      self.n = self.n * 2
      return self.n, self.pid == neap.getpid(), self.name
    end
    local worker = Worker(21)
    worker.name = "w1"
    worker:start()
    assert.are.same(table.pack(42, true, "w1"), table.pack(worker:join()))
    assert.are.equal(21, worker.n)
    assert.has_error(function() worker.pid = 1 end)
  end)

  it("has fields that cannot be set, and says so where it was tried", function()
    local here = "^spec/process_spec.lua:%d+: "
    local process = neap.Process({ target = print })
    raises(here .. "the field 'id' cannot be set", function() process.id = 1 end)
    raises(here .. "the field 'pid' cannot be set", function() process.pid = 1 end)
    raises(here .. "name: string expected, got number", function() process.name = 1 end)
    process:start():join()
    raises(here .. "daemon can be set before the start only", function() process.daemon = true end)
  end)

  it("can be killed and terminated", function()
    for method, signal in pairs({ kill = SIGKILL, terminate = SIGTERM }) do
      local process = neap.Process({ target = function() neap.event():wait() end, daemon = true }):start()
      grid.park(process)
      process[method](process)
      assert.is_true(process:wait())
      assert.are.equal(-signal, process.exitcode)
    end
  end)

  it("that is cancelled before its start never runs", function()
    local process = neap.Process({ target = function() os.exit(9) end })
    process:cancel("no")
    process:start()
    grid.assert_cancelled(process)
  end)
end)
