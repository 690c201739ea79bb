local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local finish = grid.finish

local function fail_quietly(...) return neap.thread({ quiet = true }, error, ...) end

describe("thread", function()
  it("runs the function with copies of its arguments, of every number, with holes", function()
    for _, arguments in ipairs({ table.pack(), table.pack(nil), table.pack(1, nil, 3, nil),
      table.pack({ a = { 1 } }, false) }) do
      local thread = neap.thread(function(...) return ... end, table.unpack(arguments, 1, arguments.n))
      assert.are.same(arguments, table.pack(thread:join()))
    end
    assert.are.equal(5000, (neap.thread(select, "#", table.unpack({}, 1, 5000)):join()))
    local own = {}
    assert.are_not.equal(own, (neap.thread(function(v) return v end, own):join()))
  end)

  it("returns what the function returned, of every number, each time", function()
    for _, count in ipairs({ 0, 1, 2, 20, 1000 }) do
      local thread = neap.thread(function(n) return table.unpack({}, 1, n) end, count)
      for _ = 1, 2 do assert.are.equal(count, select("#", thread:join())) end
    end
  end)

  it("copies upvalues: what either side changes the other does not see", function()
    local count, list = 1, { 1 }
    local thread = neap.thread(function()
      count = count + 1
      list[1] = list[1] + 1
      return count, list[1]
    end)
    count = 10
    assert.are.same(table.pack(2, 2), table.pack(thread:join()))
    assert.are.equal(10, count)
    assert.are.same({ 1 }, list)
  end)

  it("keeps upvalues shared that were shared", function()
    local count = 0
    local function add() count = count + 1 end
    local function get() return count end
    assert.are.equal(2, (neap.thread(function()
      add()
      add()
      return get()
    end):join()))
    assert.are.equal(0, count)
  end)

  it("has globals of its own", function()
    rawset(_G, "global_of_the_spec", "here")
    local there = neap.thread(function()
      local before = rawget(_G, "global_of_the_spec")
      rawset(_G, "global_of_the_spec", "there")
      return before
    end):join()
    assert.is_nil(there)
    assert.are.equal("here", rawget(_G, "global_of_the_spec"))
    rawset(_G, "global_of_the_spec", nil)
  end)

  it("can require what the spawner can", function()
    local thread = neap.thread(function() return type(require("spec.sample.shape")), package.path, package.cpath end)
    local kind, path, cpath = thread:join()
    assert.are.equal("table", kind)
    assert.are.same({ package.path, package.cpath }, { path, cpath })
  end)

  it("refuses what cannot be sent, in the spawner, and starts nothing", function()
    local before, co = neap.active_count(), coroutine.create(print)
    for expected, call in pairs({
      ["cannot send args[2].conn"] = function() neap.thread(print, 1, { conn = co }) end,
      ["cannot send function"] = function() neap.thread(function() return co end) end,
    }) do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.is_truthy(message:find(expected, 1, true), message)
    end
    assert.are.equal(before, neap.active_count())
  end)

  it("refuses what is no function, and options that it does not know", function()
    for _, arguments in ipairs({ { n = 0 }, { 1 }, { {} }, { {}, 1 }, { { nome = "a" }, print },
      { { name = 1 }, print } }) do
      local ok, message = pcall(neap.thread, table.unpack(arguments))
      assert.is_false(ok)
      assert.is_truthy(message:find("thread", 1, true) or message:find("option", 1, true), message)
    end
  end)

  it("has a name, an id and whether it is daemon", function()
    local thread = neap.thread({ name = "w1", daemon = true }, function()
      local me = neap.current()
      return me.name, me.id, me.daemon, tostring(me)
    end)
    assert.are.same(table.pack("w1", thread.id, true, "thread: w1 (running)"), table.pack(thread:join()))
    assert.are.equal("thread: w1 (done)", tostring(thread))
    thread.name = "w2"
    assert.are.equal("w2", thread.name)
    local nameless = neap.thread(print == nil and error or function() end)
    assert.are.equal("thread-" .. nameless.id, nameless.name)
    assert.is_false(nameless.daemon)
    assert.has_error(function() nameless.daemon = true end)
    nameless:join()
  end)

  it("tells its status", function()
    local waiting = grid.parked_thread(function() neap.event():wait() end)
    assert.are.equal("waiting", waiting:status())
    assert.is_true(waiting:is_alive())
    waiting:cancel()
    grid.assert_cancelled(waiting)
    assert.are.equal("cancelled", waiting:status())
    assert.is_false(waiting:is_alive())
    local done, failed = neap.thread(math.abs, 1), fail_quietly("x")
    finish(done)
    finish(failed)
    assert.are.equal("done", done:status())
    assert.are.equal("failed", failed:status())
    assert.is_nil(done:error())
    assert.is_nil(done:traceback())
    assert.are.equal("x", failed:error())
  end)

  it("is the same handle wherever it is known", function()
    local thread = neap.thread(function() return neap.current() end)
    assert.are.equal(thread, (thread:join()))
    assert.are.equal(thread, (neap.thread(function(t) return t end, thread):join()))
    assert.are.equal("x", ({ [thread] = "x" })[thread:join()])
  end)

  it("cannot join itself", function()
    local ok, message = neap.thread(function() return pcall(neap.current().join, neap.current()) end):join()
    assert.is_false(ok)
    assert.is_truthy(message:find("a task cannot join itself", 1, true))
  end)

  it("is joined by many, of several threads", function()
    local gate = neap.event()
    local thread = neap.thread(function(event)
      event:wait()
      return "for all"
    end, gate)
    local joiners = {}
    for i = 1, 4 do
      joiners[i] = grid.parked_task(thread.join, thread)
      joiners[i + 4] = grid.parked_thread(function(t) return t:join() end, thread)
    end
    gate:set()
    for _, joiner in ipairs(joiners) do assert.are.equal("for all", (joiner:join())) end
  end)

  it("has data for its own tasks only", function()
    local thread = grid.parked_thread(function()
      neap.current().data.x = 1
      neap.event():wait()
    end)
    assert.has_error(function() return thread.data end)
    thread:cancel()
    finish(thread)
  end)
end)

describe("a thread that fails", function()
  it("raises in join what it raised, by value", function()
    for _, err in ipairs({ "text", 42, { code = 1, list = { 2 } }, false }) do
      local thread = fail_quietly(err, 0)
      for _ = 1, 2 do
        local joined, raised = pcall(thread.join, thread)
        assert.is_false(joined)
        assert.are.same(err, raised)
      end
      assert.are.same(err, thread:error())
    end
  end)

  it("raises an object whose class both know", function()
    neap.register("spec.Problem", { __tostring = function(p) return "problem " .. p.text end })
    local thread = neap.thread({ quiet = true }, function()
      local meta = { __tostring = function(p) return "own " .. p.text end }
      neap.register("spec.Problem", meta)
      error(setmetatable({ text = "x" }, meta))
    end)
    local _, err = finish(thread)
    assert.are.equal("problem x", tostring(err))
  end)

  it("with what cannot be sent fails with its text", function()
    local _, err = finish(neap.thread({ quiet = true }, function() error(io.stdout) end))
    assert.are.equal("string", type(err))
    assert.is_truthy(err:find("cannot send error", 1, true) or err:find("file", 1, true), err)
  end)

  it("with results that cannot be sent fails with the reason", function()
    local _, err = finish(neap.thread({ quiet = true }, function() return 1, coroutine.create(print) end))
    assert.is_truthy(tostring(err):find("cannot send result", 1, true), tostring(err))
  end)

  it("has a traceback through every hop, back to where it was spawned", function()
    local line = debug.getinfo(1, "l").currentline
    local outer = neap.thread({ quiet = true }, function()
      local middle = neap.spawn({ quiet = true }, function()
        local inner = neap.thread({ quiet = true }, function()
          local function fail() error("deep") end
          fail()
        end)
        inner:join()
      end)
      middle:join()
    end)
    finish(outer)
    local traceback = outer:traceback()
    assert.is_truthy(traceback:find("'fail'", 1, true), traceback)
    for _, spawned in ipairs({ line + 1, line + 2, line + 3 }) do
      assert.is_truthy(traceback:find("spawned at [^\n]*thread_spec.lua:" .. spawned), traceback)
    end
    assert.are.equal(2, select(2, traceback:gsub("caused by", "")))
  end)

  it("while nobody waits is told once, and makes the status 1", function()
    local result = support.run_script([[
      neap.thread({ name = "w" }, function() error("lost") end):wait(0)
      print("main")]])
    assert.are.equal(1, result.status)
    assert.are.equal("main\n", result.stdout)
    assert.are.equal(1, select(2, result.stderr:gsub("thread w failed: script:1: lost", "")), result.stderr)
    assert.is_truthy(result.stderr:find("spawned at script:1", 1, true))
  end)

  it("and is joined is not told", function()
    local result = support.run_script([[
      local gate = neap.channel()
      local thread = neap.thread(function() gate:recv() error("seen", 0) end)
      neap.spawn(function() gate:send(1) end)
      print(pcall(thread.join, thread))]])
    assert.are.same({ status = 0, stdout = "false\tseen\n", stderr = "" }, result)
  end)

  it("and is quiet is not told", function()
    local result = support.run_script([[ neap.thread({ quiet = true }, error, "x") ]])
    assert.are.same({ status = 1, stdout = "", stderr = "" }, result)
  end)

  it("is told to on_error of the main thread", function()
    local result = support.run_script([[
      neap.on_error(function(thread, err, traceback) print(thread.name, err, traceback:sub(1, 16)) end)
      neap.thread({ name = "w" }, function() error("told", 0) end)]])
    assert.are.same({ status = 1, stdout = "w\ttold\tstack traceback:\n", stderr = "" }, result)
  end)

  it("cancels its tasks, and waits for them", function()
    local closed = neap.channel(1)
    local thread = neap.thread({ quiet = true }, function(back)
      neap.spawn(function()
        local _ <close> = setmetatable({}, { __close = function()
          neap.sleep(0.001)
          back:send("closed")
        end })
        neap.event():wait()
      end)
      neap.yield()
      error("fails")
    end, closed)
    finish(thread)
    assert.are.equal("closed", (closed:recv(0)))
  end)
end)

describe("a thread and its tasks", function()
  it("ends when all of them have ended", function()
    local gate, ended = neap.event(), neap.channel(1)
    local thread = neap.thread(function(event, back)
      neap.spawn(function()
        event:wait()
        back:send("task")
      end)
      return "main"
    end, gate, ended)
    local joiner = grid.parked_task(thread.join, thread)
    gate:set()
    assert.are.equal("main", (joiner:join()))
    assert.are.equal("task", (ended:recv(0)))
  end)

  it("does not wait for those that are daemon, but cancels them", function()
    local ended = neap.channel(1)
    local thread = neap.thread(function(back)
      neap.spawn({ daemon = true }, function()
        local _ <close> = setmetatable({}, { __close = function(_, e) back:send(neap.is_cancelled(e)) end })
        neap.event():wait()
      end)
      neap.yield()
      return "main"
    end, ended)
    assert.are.equal("main", (thread:join()))
    assert.is_true((ended:recv(0)))
  end)

  it("leaves the locks that it held abandoned", function()
    local lock = neap.lock()
    neap.thread(function(l) l:acquire() end, lock):join()
    assert.are.same(table.pack(true, "abandoned"), table.pack(lock:acquire(0)))
    lock:release()
    local failed = neap.thread({ quiet = true }, function(l)
      l:acquire()
      error("holding")
    end, lock)
    finish(failed)
    assert.are.same(table.pack(true, "abandoned"), table.pack(lock:acquire(0)))
    lock:release()
  end)

  it("spawns threads of its own, that outlive it", function()
    local gate = neap.event()
    local inner = neap.thread(function(event)
      return neap.thread(function(e)
        e:wait()
        return "inner"
      end, event)
    end, gate):join()
    gate:set()
    assert.are.equal("inner", (inner:join()))
  end)
end)

describe("cancelling a thread", function()
  it("raises where it waits, with the reason, by value", function()
    local thread = grid.parked_thread(function() neap.event():wait() end)
    assert.is_true(thread:cancel({ why = "enough" }))
    assert.is_false(thread:cancel("again"))
    grid.assert_cancelled(thread)
    assert.are.same({ why = "enough" }, thread:error().reason)
    assert.is_false(thread:cancel())
    assert.is_nil(thread:traceback())
  end)

  it("at once after its start ends it as cancelled, or it was quicker", function()
    for _ = 1, 20 * support.stress do
      local thread = neap.thread(function()
        neap.yield()
        return "ran"
      end)
      local asked = thread:cancel("early")
      local joined, value = finish(thread)
      if joined then
        assert.are.equal("ran", value)
      else
        assert.is_true(asked)
        assert.is_true(neap.is_cancelled(value))
        assert.are.equal("early", value.reason)
      end
    end
  end)

  it("lets its variables be closed, which may wait", function()
    local channel = neap.channel(1)
    local thread = grid.parked_thread(function(back)
      local _ <close> = setmetatable({}, { __close = function()
        neap.sleep(0.001)
        back:send("closed")
      end })
      neap.event():wait()
    end, channel)
    thread:cancel()
    grid.assert_cancelled(thread)
    assert.are.equal("closed", (channel:recv(0)))
  end)

  it("that was swallowed leaves it done", function()
    local thread = grid.parked_thread(function()
      pcall(neap.sleep, math.huge)
      return "after all"
    end)
    thread:cancel()
    assert.are.equal("after all", (thread:join()))
  end)

  it("from inside is a cancellation as well", function()
    local thread = neap.thread(function()
      local asked = neap.current():cancel("myself")
      assert(asked)
      neap.yield()
      error("it went on")
    end)
    grid.assert_cancelled(thread)
    assert.are.equal("myself", thread:error().reason)
  end)

  it("happens once, however many ask", function()
    for _ = 1, 10 * support.stress do
      local victim, barrier = grid.parked_thread(function() neap.event():wait() end), neap.barrier(3)
      local askers = {}
      for i = 1, 3 do
        askers[i] = neap.thread(function(v, b)
          b:wait()
          return v:cancel()
        end, victim, barrier)
      end
      local asked = 0
      for _, asker in ipairs(askers) do asked = asked + (asker:join() and 1 or 0) end
      assert.are.equal(1, asked)
      grid.assert_cancelled(victim)
    end
  end)

  it("cancels its tasks, too", function()
    local channel = neap.channel(1)
    local thread = grid.parked_thread(function(back)
      neap.spawn(function()
        local _ <close> = setmetatable({}, { __close = function(_, e) back:send(neap.is_cancelled(e)) end })
        neap.event():wait()
      end)
      neap.event():wait()
    end, channel)
    neap.thread(function(h) h:cancel() end, thread):join()
    grid.assert_cancelled(thread)
    assert.is_true((channel:recv(0)))
  end)
end)

describe("threads and active_count", function()
  it("list those that are alive", function()
    local function contains(thread)
      for _, other in ipairs(neap.threads()) do
        if other == thread then return true end
      end
      return false
    end
    local before = neap.active_count()
    local thread = grid.parked_thread(function() neap.event():wait() end)
    assert.is_true(contains(thread))
    assert.are.equal(before + 1, neap.active_count())
    assert.are.equal(before, #neap.threads())
    thread:cancel()
    finish(thread)
    assert.is_false(contains(thread))
    assert.are.equal(before, neap.active_count())
  end)

  it("are the same in every thread", function()
    local found = neap.thread(function()
      for _, other in ipairs(neap.threads()) do
        if other == neap.current() then return true end
      end
      return false
    end):join()
    assert.is_true(found)
  end)
end)

describe("many threads", function()
  it("are alive at once, and meet", function()
    local count = support.sanitizer and 40 or 200
    local barrier, threads, sum = neap.barrier(count + 1), {}, 0
    for i = 1, count do
      threads[i] = neap.thread(function(b, n)
        b:wait()
        return n
      end, barrier, i)
    end
    barrier:wait()
    for _, thread in ipairs(threads) do sum = sum + thread:join() end
    assert.are.equal(count * (count + 1) // 2, sum)
  end)

  it("are spawned from several threads at once", function()
    local outer = {}
    for i = 1, 4 do
      outer[i] = neap.thread(function(n)
        local inner, sum = {}, 0
        for k = 1, 10 do inner[k] = neap.thread(function(a, b) return a * b end, n, k) end
        for _, thread in ipairs(inner) do sum = sum + thread:join() end
        return sum
      end, i)
    end
    for i = 1, 4 do assert.are.equal(55 * i, (outer[i]:join())) end
  end)

  it("that spawn each other in a chain come back", function()
    local function chain(depth)
      if depth == 0 then return "the end" end
      return neap.thread(chain, depth - 1):join()
    end
    assert.are.equal("the end", chain(20))
  end)

  it("one after the other keep nothing", function()
    local result = support.run_script(support.resident .. [[
      local function run(count)
        for i = 1, count do neap.thread(function(t) return #t end, { ("x"):rep(1000), i }):join() end
        collectgarbage()
        return resident()
      end
      local before = run(200)
      local count, factor = ...
      print(run(tonumber(count)) < before * tonumber(factor) + 2048)]],
      support.sanitizer and { 200, 10 } or { 1000, 1.3 }) -- sanitizers keep what was freed
    assert.are.same({ status = 0, stdout = "true\n", stderr = "" }, result)
  end)
end)

describe("the end of the program", function()
  local parked = {
    recv = "neap.channel():recv()",
    send = "neap.channel():send(1)",
    get = "neap.queue():get()",
    lock = "local l = neap.lock() neap.spawn(function() l:acquire() neap.event():wait() end) neap.yield() l:acquire()",
    condition = "local c = neap.condition() c:acquire() c:wait()",
    semaphore = "neap.semaphore(0):acquire()",
    event = "neap.event():wait()",
    barrier = "neap.barrier(2):wait()",
    join = "neap.spawn(function() neap.event():wait() end):join()",
    ["join of a thread"] = "neap.thread({ daemon = true }, function() neap.event():wait() end):join()",
    sleep = "neap.sleep(math.huge)",
    pipe = "neap.pipe():recv()",
    timeout = "neap.timeout(3600, function() neap.event():wait() end)",
  }
  for name, code in pairs(parked) do
    it("comes while daemon threads are parked in " .. name, function()
      local result = support.run_script(([[
        local ready = neap.channel()
        for _ = 1, 3 do
          neap.thread({ daemon = true }, function(r)
            neap.spawn(function() r:send(1) end)
            local _ <close> = setmetatable({}, { __close = function() io.write("closed\n") end })
            %s
          end, ready)
        end
        for _ = 1, 3 do ready:recv() end
        print("main")]]):format(code))
      assert.are.same({ status = 0, stdout = "main\nclosed\nclosed\nclosed\n", stderr = "" }, result)
    end)
  end

  it("waits for threads that are not daemon", function()
    local result = support.run_script([[
      local over = neap.event()
      neap.thread(function() over:wait() neap.sleep(0.01) print("thread") end)
      print("main")
      over:set()]])
    assert.are.same({ status = 0, stdout = "main\nthread\n", stderr = "" }, result)
  end)

  it("by os.exit in a thread ends all, with its status", function()
    local result = support.run_script([[
      neap.thread({ daemon = true }, function() neap.event():wait() end)
      neap.thread(function() os.exit(7) end)
      neap.event():wait()]])
    assert.are.same({ status = 7, stdout = "", stderr = "" }, result)
  end)

  it("lets nothing be started any more", function()
    local result = support.run_script([[
      neap.spawn({ daemon = true }, function()
        local _ <close> = setmetatable({}, { __close = function()
          print(pcall(neap.thread, print))
          print(pcall(neap.spawn, print))
        end })
        neap.event():wait()
      end)
      neap.yield()]])
    assert.are.equal(0, result.status)
    assert.are.equal(2, select(2, result.stdout:gsub("false\t[^\n]*the program is ending", "")), result.stdout)
  end)

  it("in a plain lua5.4 waits for threads, too", function()
    local result = support.run_plain([[
      local over = neap.event()
      neap.thread({ daemon = true }, function() neap.event():wait() end)
      neap.thread(function() over:wait() neap.sleep(0.01) print("thread") end)
      print("main")
      over:set()]])
    assert.are.same({ status = 0, stdout = "main\nthread\n", stderr = "" }, result)
  end)
end)
