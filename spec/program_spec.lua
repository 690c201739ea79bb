-- The life of a program: how long it lives, how it ends, and with which status.

local support = require "spec.support"
local trial = require "spec.trial"
local run_script, run_plain = support.run_script, support.run_plain

--- `code` after a variable that is closed at the end, after a wait, and says so.
local function with_close(name, code)
  return ([[
    local _ <close> = setmetatable({}, { __close = function() neap.sleep(0.001) print("closed %s") end })
    %s]]):format(name, code)
end

local function in_thread(options, code)
  return ("neap.thread(%s, function() local neap = require 'neap' %s end)"):format(options, code)
end

--- Tells `meet` that it has come so far; and waits.
local stay = "ready:release() neap.sleep(60)"

--- Waits for so many that stay; comes before they do.
local function meet(count)
  return "local ready = neap.semaphore(0) ", ("for _ = 1, %d do ready:acquire() end "):format(count)
end

local quietly = { status = 0, stdout = "", stderr = "" }

local function assert_result(status, stdout, result)
  assert.are.same({ status = status, stdout = stdout, stderr = "" }, result)
end

describe("a program", function()
  it("ends when its main chunk has returned", function() assert.are.same(quietly, run_script("return 7")) end)

  it("lives until every task that is not daemon has ended", function()
    assert_result(0, "main\ntask\n", run_script([[
      neap.spawn(function() neap.sleep(0.02) print "task" end)
      neap.spawn({ daemon = true }, function() neap.sleep(60) print "daemon" end)
      print "main"]]))
  end)

  it("lives until every thread that is not daemon has ended, and its tasks", function()
    local result = run_script([[
      local over = neap.event()
      neap.thread(function()
        local neap = require "neap"
        neap.spawn(function() over:wait() neap.sleep(0.02) print "task of the thread" end)
        neap.spawn({ daemon = true }, function() neap.sleep(60) print "daemon" end)
      end)
      neap.thread({ daemon = true }, function() require "neap".sleep(60) print "daemon" end)
      print "main"
      over:set()]])
    assert_result(0, "main\ntask of the thread\n", result)
  end)

  it("lives until its timers have gone off, but for daemons", function()
    assert_result(0, "timer\n", run_script([[
      neap.timer(0.02, print, "timer")
      neap.timer({ daemon = true }, 60, print, "daemon")
      neap.every({ daemon = true }, 60, print, "daemon")]]))
  end)

  it("cancels its daemons at the end, whose variables are closed", function()
    local before, after = meet(2)
    local result = run_script(before .. [[
      neap.spawn({ daemon = true }, function() ]] .. with_close("task", stay) .. [[ end)
      ]] .. in_thread("{ daemon = true }", with_close("thread", stay)) .. after)
    assert.are.equal(0, result.status)
    assert.is_truthy(result.stdout:find("closed task\n", 1, true))
    assert.is_truthy(result.stdout:find("closed thread\n", 1, true))
  end)

  it("closes its state at the end: finalisers run, and may print", function()
    assert_result(0, "main\nfinalised\n", run_script(
      [[kept = setmetatable({}, { __gc = function() print "finalised" end }) print "main"]]))
    assert_result(0, "finalised\n", run_script([[
      local t = neap.thread(function() kept = setmetatable({}, { __gc = function() print "finalised" end }) end)
      t:join()]]))
  end)

  it("ends with status 1, its error and a traceback when its main chunk fails; the rest is cancelled", function()
    local before, after = meet(2)
    local result = run_script(before .. [[
      neap.spawn(function() ]] .. with_close("task", stay) .. [[ end)
      ]] .. in_thread("{}", with_close("thread", stay)) .. after .. [[
      local function fail() error("boom") end
      fail()]])
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stdout:find("closed task\n", 1, true))
    assert.is_truthy(result.stdout:find("closed thread\n", 1, true))
    assert.is_truthy(result.stderr:find("^neap: script:%d+: boom\nstack traceback:\n"))
    assert.is_truthy(result.stderr:find("in local 'fail'", 1, true) or result.stderr:find("in upvalue 'fail'", 1, true))
    assert.are.equal(1, select(2, result.stderr:gsub("boom", "")))
  end)

  it("starts nothing more while it ends", function()
    local result = run_script([[
      neap.spawn({ daemon = true }, function()
        local _ <close> = setmetatable({}, { __close = function()
          print(pcall(neap.spawn, print))
          print(pcall(neap.thread, print))
        end })
        neap.sleep(60)
      end)
      neap.yield()]])
    assert_result(0, "false\tcannot spawn: the program is ending\n" ..
      "false\tcannot start a thread: the program is ending\n", result)
  end)

  it("does not count the cancellation of its main task as a failure", function()
    assert_result(0, "", run_script([[neap.timer(0.01, function() neap.main():cancel() end) neap.sleep(60)]]))
  end)

  it("takes more arguments than a task does", function()
    local arguments = {}
    for i = 1, 1000 do arguments[i] = i end
    assert_result(0, "1000\t1000\n", run_script([[print(select("#", ...), (select(1000, ...)))]], arguments))
  end)
end)

describe("os.exit", function()
  it("ends the program in order, with its status", function()
    assert_result(3, "closed main\n", run_script(with_close("main", "os.exit(3)")))
    assert_result(0, "closed main\n", run_script(with_close("main", "os.exit()")))
    assert_result(0, "closed main\n", run_script(with_close("main", "os.exit(true)")))
    assert_result(1, "closed main\n", run_script(with_close("main", "os.exit(false)")))
    assert_result(4, "closed main\n", run_script(with_close("main", "os.exit(4, true)")))
    assert_result(5, "closed main\n", run_script(with_close("main", "os.exit(256 + 5)")))
  end)

  it("does so in a task", function()
    assert_result(3, "closed task\nclosed main\n", run_script(with_close("main",
      "neap.spawn(function() " .. with_close("task", "os.exit(3)") .. " end) neap.sleep(60)")))
  end)

  it("does so in a thread, and in a task of a thread", function()
    local result = run_script(with_close("main",
      in_thread("{}", with_close("thread", "os.exit(3)")) .. "neap.sleep(60)"))
    assert.are.equal(3, result.status)
    assert.is_truthy(result.stdout:find("closed thread\n", 1, true))
    assert.is_truthy(result.stdout:find("closed main\n", 1, true))
    result = run_script(with_close("main", in_thread("{}", with_close("thread",
      "neap.spawn(function() os.exit(4) end) neap.sleep(60)")) .. "neap.sleep(60)"))
    assert.are.equal(4, result.status)
    assert.is_truthy(result.stdout:find("closed thread\n", 1, true))
  end)

  it("cannot be swallowed: each later wait raises again", function()
    assert_result(6, "false\tcancelled: exit\nfalse\tcancelled\nfalse\tcancelled\n", run_script([[
      print(pcall(os.exit, 6))
      print(pcall(neap.sleep, 1))
      print(pcall(neap.yield))
      neap.sleep(60)
      print "not here"]]))
  end)

  it("does so inside a coroutine, a shield, a timeout and a comparator", function()
    assert_result(7, "", run_script([[coroutine.wrap(function() os.exit(7) end)() print "not here"]]))
    assert_result(8, "", run_script([[coroutine.resume(coroutine.create(os.exit), 8) neap.sleep(60) print "not here"]]))
    assert_result(9, "", run_script([[neap.shield(function() os.exit(9) end) print "not here"]]))
    assert_result(10, "", run_script([[neap.timeout(1, function() os.exit(10) end) print "not here"]]))
    assert_result(11, "", run_script([[table.sort({ 3, 2, 1 }, function() os.exit(11) end) print "not here"]]))
    assert_result(12, "", run_script([[neap.scope(function(s) s:spawn(os.exit, 12) end) print "not here"]]))
  end)

  it("does so inside a finaliser", function()
    assert_result(13, "", run_script([[
      setmetatable({}, { __gc = function() os.exit(13) end })
      collectgarbage()
      neap.sleep(60)
      print "not here"]]))
  end)

  it("takes the status of the first to ask", function()
    assert_result(3, "", run_script([[
      neap.spawn(os.exit, 3)
      neap.spawn(os.exit, 4)
      neap.sleep(60)]]))
  end)

  it("raises for what is no status", function()
    assert_result(0, "false\tbad argument #1 to 'os.exit' (number expected, got string)\n",
      run_script([[print(pcall(os.exit, "x"))]]))
  end)

  it("reports what fails while the program ends", function()
    local result = run_script([[
      local _ <close> = setmetatable({}, { __close = function() error("while closing") end })
      os.exit(3)]])
    assert.are.equal(3, result.status)
    assert.is_truthy(result.stderr:find("^neap: script:%d+: while closing\n"))
  end)

  it("ends a program that computes #preempt", function()
    local before, after = meet(1)
    local result = run_script(with_close("main", before ..
      in_thread("{}", with_close("thread", "ready:release() neap.timer(0.01, os.exit, 3) while true do end")) ..
        after ..
      "while true do end"))
    assert.are.equal(3, result.status)
    assert.is_truthy(result.stdout:find("closed thread\n", 1, true))
    assert.is_truthy(result.stdout:find("closed main\n", 1, true))
  end)
end)

describe("the end of a program", function()
  it("comes although a task swallows its cancellation #preempt", function()
    assert.are.same(quietly, run_script([[
      neap.spawn({ daemon = true }, function() while true do pcall(neap.sleep, 1) end end)
      neap.yield()]]))
  end)

  it("comes although a task of a thread swallows its cancellation #preempt", function()
    local before, after = meet(1)
    assert.are.same(quietly, run_script(before .. [[
      neap.thread({ daemon = true }, function()
        local neap = require "neap"
        neap.spawn(function() while true do pcall(neap.sleep, 1) end end)
        ready:release()
        while true do pcall(neap.sleep, 1) end
      end) ]] .. after))
  end)

  it("finds tasks and threads parked in every primitive", function()
    assert.are.same(quietly, run_script([[
      local held, read, pipe = neap.lock(), neap.rwlock(), neap.pipe()
      held:acquire()
      read:acquire_write()
      local function park(name, held, read, channel, queue, pipe, semaphore, event, barrier, condition)
        local neap = require "neap"
        local waits = {
          recv = function() channel:recv() end,
          get = function() queue:get() end,
          pipe = function() pipe:recv() end,
          acquire = function() held:acquire() end,
          guard = function() local _ <close> = held:guard() end,
          read = function() read:acquire_read() end,
          write = function() read:acquire_write() end,
          semaphore = function() semaphore:acquire() end,
          event = function() event:wait() end,
          barrier = function() barrier:wait() end,
          condition = function() condition:acquire() condition:wait() end,
          select = function() neap.select { channel, queue, event } end,
          sleep = function() neap.sleep(60) end,
          join = function() neap.spawn(neap.sleep, 60):join() end,
          scope = function() neap.scope(function(s) s:spawn(neap.sleep, 60) end) end,
        }
        if name then return waits[name]() end
        local names = {}
        for each in pairs(waits) do names[#names + 1] = each end
        return names
      end
      local objects = { held, read, neap.channel(), neap.queue(), pipe, neap.semaphore(0), neap.event(),
        neap.barrier(2), neap.condition() }
      for _, name in ipairs(park(nil, table.unpack(objects))) do
        neap.spawn({ daemon = true }, park, name, table.unpack(objects))
        neap.thread({ daemon = true }, park, name, table.unpack(objects))
      end
      neap.sleep(0.1)
      os.exit(0)]]))
  end)

  it("comes at random moments, with everything alive #stress", function()
    trial.seed()
    for i = 1, 20 * support.stress do
      local way = math.random(4)
      local result = run_script([[
        local way, delay = tonumber(arg[1]), tonumber(arg[2])
        local channel, queue, lock = neap.channel(), neap.queue(4), neap.lock()
        local function work(channel, queue, lock, depth)
          local neap = require "neap"
          if depth > 0 then neap.thread({ quiet = true }, work, channel, queue, lock, depth - 1) end
          for _ = 1, 5 do
            neap.spawn({ quiet = true }, function()
              while true do
                local _ <close> = setmetatable({}, { __close = function() queue:put_nowait(1) end })
                channel:send({ "value" }, 0.001)
                channel:recv(0.001)
                lock:with(function() queue:put(1, 0.001) end)
                queue:get(0.001)
              end
            end)
          end
          neap.sleep(60)
        end
        for _ = 1, 3 do neap.thread(work, channel, queue, lock, 1) end
        neap.spawn(work, channel, queue, lock, 0)
        if way == 1 then
          neap.thread(function(delay) require "neap".sleep(delay) os.exit(3) end, delay)
        end
        neap.sleep(delay)
        if way == 2 then os.exit(3) end
        if way == 3 then neap.spawn(os.exit, 3) end
        if way == 4 then error("x") end
        neap.sleep(60)]], { way, math.random() * 0.01 })
      assert.are.equal(way == 4 and 1 or 3, result.status, ("way %d: %s"):format(way, result.stderr))
      if way ~= 4 then assert.are.equal("", result.stderr) end
    end
  end)
end)

describe("who does not end in time", function()
  -- Each takes as long as the time of grace: so they run side by side.
  local stubborn, unheard, asked, finalising, offloaded, offloaded_plainly

  setup(function()
    local before, after = meet(1)
    stubborn = support.start_script(before .. [[
      local function hold() neap.shield(neap.sleep, 60) end
      neap.spawn({ daemon = true, name = "stubborn" }, function() hold() end)
      neap.thread({ daemon = true, name = "worker" }, function()
        local neap = require "neap"
        neap.spawn({ name = "deaf" }, function() neap.shield(function() ]] .. stay .. [[ end) end)
        neap.sleep(60)
      end) ]] .. after)
    unheard = support.start_script([[
      local begun = neap.event()
      neap.thread({ daemon = true, name = "reader" }, function()
        begun:set()
        io.popen("exec sleep 9 >/dev/null"):close()
      end)
      begun:wait()]])
    finalising = support.start_script([[
      local begun = neap.event()
      neap.thread({ daemon = true, name = "closer" }, function()
        setmetatable({}, { __gc = function()
          begun:set()
          os.execute("exec sleep 9 >/dev/null")
        end })
      end)
      begun:wait()]])
    offloaded, offloaded_plainly = {}, {}
    for number, call in ipairs({
      "read(path)", "neap.thread({ daemon = true }, read, path):wait()", "neap.thread(read, path):wait()",
    }) do
      local code = [[
        local path = os.tmpname()
        assert(os.remove(path) and os.execute("mkfifo " .. path)) -- opened to be read, it waits for a writer
        local function read(name)
          local neap = require "neap"
          local reading = neap.spawn(neap.fs.read, name)
          neap.yield()
          neap.fs.stat(".") -- libuv's threads take this up after the other
          reading:cancel()
          reading:wait()
        end
        ]] .. call .. [[ os.remove(path) io.write("done")]]
      offloaded[number] = support.start_script(code)
      offloaded_plainly[number] = support.start_plain(code)
    end
    asked = support.start_script([[
      neap.spawn(function()
        neap.shield(function()
          neap.timer(0, os.exit, 0)
          neap.sleep(60)
        end)
      end)
      neap.sleep(60)]])
  end)

  it("is named, with its stack, in every thread", function()
    local result = stubborn()
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("neap: these were asked to end and have not:\n", 1, true))
    assert.is_truthy(result.stderr:find("task stubborn (thread main) has waited for ", 1, true))
    assert.is_truthy(result.stderr:find("in upvalue 'hold'", 1, true))
    assert.is_truthy(result.stderr:find("task deaf (thread worker) has waited for ", 1, true))
    assert.is_falsy(result.stderr:find("thread worker has waited", 1, true))
  end)

  it("is named where the thread cannot be interrupted", function()
    local result = unheard()
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find(
      "neap: thread reader was asked to end and does not answer: it runs what cannot be interrupted\n", 1, true))
  end)

  it("is named where it is a call that libuv's threads are to do, of any thread", function()
    local told = "neap: a call for a file or a name was given up: the system has not answered\n"
    for _, result in ipairs(offloaded) do
      assert.are.same({ status = 1, stdout = "done", stderr = told }, result())
    end
    for _, result in ipairs(offloaded_plainly) do -- the status is lua5.4's
      assert.are.same({ status = 0, stdout = "done", stderr = told }, result())
    end
  end)

  it("is named where it is a finaliser of a thread", function()
    local told = "neap: thread closer was asked to end and has not: it still runs finalisers\n"
    assert.are.same({ status = 1, stdout = "", stderr = told }, finalising())
  end)

  it("does not change the status that was asked for", function()
    local result = asked()
    assert.are.equal(0, result.status)
    assert.is_truthy(result.stderr:find("these were asked to end and have not", 1, true))
  end)
end)

describe("the module", function()
  it("is the same when it is taken out of package.loaded and required again", function()
    for _, run in ipairs { run_script, support.run_plain } do
      assert.are.same({ status = 0, stdout = "true\ttrue\n", stderr = "" }, run([[
        local gather = neap.gather
        package.loaded.neap = nil
        print(require "neap" == neap, require "neap".gather == gather)]]))
    end
  end)
end)

describe("in a plain lua5.4", function()
  it("works again when it is required again, after the globals were put back as they were", function()
    local path = os.getenv("LUA_CPATH") or "./build/?.so;;"
    local code = [[
      local kept = { pcall = pcall, xpcall = xpcall, print = print }
      require "neap"
      package.loaded.neap = nil
      for name, value in pairs(kept) do _G[name] = value end
      local neap = require "neap"
      local task = neap.spawn(function()
        pcall(neap.sleep, 60)
        pcall(neap.sleep, 60)
        print(pcall(neap.sleep, 60))
      end)
      neap.yield()
      task:cancel()
      task:wait()]]
    assert_result(0, "false\tcancelled\n", support.run_command("env LUA_CPATH=" .. support.quote(path) .. " "
      .. support.lua .. " -e " .. support.quote(code)))
  end)

  it("os.exit ends tasks and threads in order, and closes the state", function()
    local before, after = meet(2)
    local code = with_close("main", before .. "neap.spawn(function() " .. with_close("task", stay) .. [[ end)
      ]] .. in_thread("{}", with_close("thread", stay)) .. after .. "os.exit(3)")
    local result = run_plain(code)
    assert.are.equal(3, result.status)
    assert.are.equal("", result.stderr)
    for _, name in ipairs { "main", "task", "thread" } do
      assert.is_truthy(result.stdout:find("closed " .. name .. "\n", 1, true), name)
    end
  end)

  it("os.exit of a task or a thread takes effect where the main chunk waits", function()
    assert_result(3, "", run_plain([[neap.spawn(os.exit, 3) neap.sleep(60) print "not here"]]))
    assert_result(4, "", run_plain([[neap.thread(os.exit, 4) neap.sleep(60) print "not here"]]))
    assert_result(5, "", run_plain([[neap.thread(os.exit, 5):wait() neap.sleep(60) print "not here"]]))
  end)

  it("threads that are not daemon are waited for, and the others cancelled", function()
    local before, after = meet(1)
    local result = run_plain(before .. [[
      neap.thread(function() require "neap".sleep(0.02) print "thread" end)
      ]] .. in_thread("{ daemon = true }", with_close("daemon", stay)) .. after)
    assert_result(0, "thread\nclosed daemon\n", result)
  end)

  it("tasks that have not ended are dropped, which is said", function()
    assert.are.same({
      status = 0,
      stdout = "",
      stderr = "neap: the state was closed while a task had not ended: wait for it, or make it daemon\n",
    }, run_plain([[neap.spawn(neap.sleep, 60) neap.spawn({ daemon = true }, neap.sleep, 60)]]))
  end)

  it("so is work of pools, but what was to be dropped", function()
    for _, kind in ipairs({ "thread", "process", "task" }) do
      assert.are.same({
        status = 0,
        stdout = "",
        stderr = "neap: the state was closed while 3 jobs of pools had not ended: join the pools\n",
      }, run_plain(([[
        for count = 1, 2 do
          local pool, begun = neap.pool { workers = 1, kind = "%s" }, neap.event()
          for _ = 1, count do
            pool:submit(function(event)
              event:set()
              neap.sleep(60)
            end, begun)
          end
          begun:wait()
        end
        local terminated = neap.pool(1)
        for _ = 1, 2 do terminated:submit(neap.sleep, 60) end
        terminated:terminate()
        local asked, begun = neap.pool { workers = 1, kind = "%s" }, neap.event()
        local future = asked:submit(function(event)
          event:set()
          neap.sleep(60)
        end, begun)
        begun:wait()
        future:cancel()
      ]]):format(kind, kind)))
    end
  end)
end)
