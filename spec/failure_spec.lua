-- Failures are never silent: who hears of them, what is said, and what becomes of the exit status.

local support = require "spec.support"
local run_script = support.run_script

local function assert_find(text, part)
  assert.is_truthy(text:find(part, 1, true), part .. "\n--- is not in ---\n" .. text)
end

local function count(text, part) return select(2, text:gsub(part:gsub("%p", "%%%0"), "")) end

describe("a task or thread that fails while nobody waits for it", function()
  it("is reported at once, with a traceback that tells where it was spawned, and makes the status 1", function()
    local result = run_script([[
      neap.spawn({ name = "worker" }, function()
        error("boom")
      end)
      neap.yield()
      io.stderr:write("still here\n")]])
    assert.are.equal(1, result.status)
    assert.are.equal([[
neap: task worker (thread main) failed: script:2: boom
stack traceback:
	[C]: in function 'error'
	script:2: in function <script:1>
	[C]: in ?
	spawned at script:1
still here
]], result.stderr)
  end)

  it("is reported when it is a thread", function()
    local result = run_script([[
      neap.thread({ name = "worker" }, function()
        error("boom")
      end)]])
    assert.are.equal(1, result.status)
    assert_find(result.stderr, "neap: thread worker failed: script:2: boom\nstack traceback:\n")
    assert_find(result.stderr, "\n\tspawned at script:1\n")
  end)

  it("is reported when it is a task of a thread: with all the places where something was spawned", function()
    local result = run_script([[
      neap.thread({ name = "worker" }, function()
        local neap = require "neap"
        neap.spawn(function()
          neap.spawn({ name = "inner" }, function() error("boom") end)
        end)
      end)]])
    assert.are.equal(1, result.status)
    assert_find(result.stderr, "neap: task inner (thread worker) failed: script:4: boom\n")
    assert_find(result.stderr, "\n\tspawned at script:4\n\tspawned at script:3\n\tspawned at script:1\n")
  end)

  it("is told at the end when somebody has waited for it, and nobody has joined it", function()
    local ways = { "h:wait()", "neap.wait({ h })", "neap.select({ h })", "for _ in neap.as_completed({ h }) do end" }
    for _, start in ipairs { "spawn", "thread", "process" } do
      for _, way in ipairs(ways) do
        local code = ([[
          local gate = neap.channel()
          local h = neap.%s({ name = "h1" }, function(g) g:recv() error("boom", 0) end, gate)
          neap.spawn(function() -- it fails once somebody waits for it
            while neap.main():status() ~= "waiting" do neap.yield() end
            gate:send(1)
          end)
          %s
          io.stderr:write("still here\n") ]]):format(start, way)
        local result = run_script(code)
        assert.are.equal(1, result.status)
        assert.matches("^still here\nneap: %l+ h1[^\n]* failed, and nobody has joined it: boom\n", result.stderr)
        for _, look in ipairs { "pcall(h.join, h)", "h:error()" } do
          assert.are.same({ status = 0, stdout = "", stderr = "still here\n" }, run_script(code .. look))
        end
      end
    end
  end)

  it("is not reported when it is quiet, but counts", function()
    for _, start in ipairs { "spawn", "thread" } do
      assert.are.same({ status = 1, stdout = "", stderr = "" },
        run_script(("neap.%s({ quiet = true }, error, 'boom')"):format(start)))
    end
  end)

  it("did not fail for the exit status when it is joined later", function()
    for _, start in ipairs { "spawn", "thread" } do
      local result = run_script(([[
        local h = neap.%s({ quiet = true, name = "h" }, function() error("boom", 0) end)
        h:wait()
        print(pcall(h.join, h))
        print(h:error(), h:status())]]):format(start))
      assert.are.same({ status = 0, stdout = "false\tboom\nboom\tfailed\n", stderr = "" }, result)
    end
  end)

  it("did not fail when it was cancelled through its handle", function()
    for _, start in ipairs { "spawn", "thread" } do
      assert.are.same({ status = 0, stdout = "true\nfalse\tcancelled: enough\n", stderr = "" }, run_script(([[
        local ready = neap.event()
        local h = neap.%s(function() ready:set() require "neap".sleep(60) end)
        ready:wait()
        print(h:cancel("enough"))
        print(pcall(h.join, h))]]):format(start)))
      assert.are.same({ status = 0, stdout = "", stderr = "" }, run_script(([[
        local ready = neap.event()
        local h = neap.%s(function() ready:set() require "neap".sleep(60) end)
        ready:wait()
        h:cancel()]]):format(start)))
    end
  end)

  it("failed when it was cancelled after it had failed", function()
    local result = run_script([[
      local h = neap.spawn({ name = "h" }, function() error("boom", 0) end)
      neap.yield()
      print(h:cancel(), h:status(), pcall(h.join, h))]])
    assert.are.equal(0, result.status)
    assert.are.equal("false\tfailed\tfalse\tboom\n", result.stdout)
    assert_find(result.stderr, "neap: task h (thread main) failed: boom\n")
  end)

  it("fails, too, as a thread whose results cannot be sent", function()
    local result = run_script([[neap.thread({ name = "t1" }, function() return coroutine.create(print) end)]])
    assert.are.equal(1, result.status)
    assert_find(result.stderr, "thread t1 failed: cannot send result[1]: coroutine")
  end)

  it("fails elsewhere only, as a task whose results cannot be sent, and that does not count", function()
    local code = [[
      local task = neap.spawn(function() return coroutine.create(print) end)
      if ... == "late" then task:join() end
      local joined, message = neap.thread(function(h) return pcall(h.join, h) end, task):join()
      print(joined, message, type(task:join()))
    ]]
    local told = "false\tcannot send result[1]: coroutine\tthread\n"
    for _, when in ipairs({ "early", "late" }) do
      assert.are.same({ status = 0, stdout = told, stderr = "" }, run_script(code, { when }))
      local another = "neap.spawn({ quiet = true }, error) neap.yield()" .. code
      assert.are.same({ status = 1, stdout = told, stderr = "" }, run_script(another, { when }))
    end
  end)

  it("raises in who waits for it, and is not reported", function()
    for _, start in ipairs { "spawn", "thread" } do
      assert.are.same({ status = 0, stdout = "false\tboom\n", stderr = "" }, run_script(([[
        local h = neap.%s(function() require "neap".sleep(0.01) error("boom", 0) end)
        print(pcall(h.join, h))]]):format(start)))
    end
  end)
end)

describe("the main chunk", function()
  it("prints its error and traceback once, with every hop", function()
    local result = run_script([[
      local go = neap.event() local thread = neap.thread({ name = "worker" }, function()
        local neap = require "neap"
        local task = neap.spawn({ name = "inner" }, function()
          local function deep() error("boom") end
          deep(go:wait())
        end)
        task:join()
      end)
      local task = neap.spawn(function() thread:join() end) neap.yield() go:set()
      task:join()]])
    assert.are.equal(1, result.status)
    assert.are.equal(1, count(result.stderr, "boom"))
    assert_find(result.stderr, "neap: script:4: boom\nstack traceback:\n")
    assert.are.equal(3, count(result.stderr, "\ncaused by:\nstack traceback:\n"))
    local positions = {}
    for _, part in ipairs {
      "script:10: in main chunk",
      "script:9: in function <script:9>",
      "script:7: in function <script:1>",
      "in local 'deep'",
      "script:5: in function <script:3>",
      "\tspawned at script:3\n\tspawned at script:1\n",
    } do
      positions[#positions + 1] = assert(result.stderr:find(part, 1, true), part .. "\n" .. result.stderr)
    end
    for i = 2, #positions do assert.is_true(positions[i - 1] < positions[i]) end
  end)

  it("may return anything: nobody asks for it", function()
    local code = [[neap.spawn(function() neap.sleep(0.01) print("done") end) return coroutine.create(print), io.stdout]]
    assert.are.same({ status = 0, stdout = "done\n", stderr = "" }, run_script(code))
  end)

  it("prints errors of any kind", function()
    local function message_of(code)
      local result = run_script(code)
      assert.are.equal(1, result.status)
      assert_find(result.stderr, "\nstack traceback:\n")
      return (result.stderr:match("^(.-)\n"))
    end
    assert.are.equal("neap: (error object is a nil value)", message_of("error(nil)"))
    assert.are.equal("neap: (error object is a table value)", message_of("error({})"))
    assert.are.equal("neap: (error object is a boolean value)", message_of("error(false)"))
    assert.are.equal("neap: 42", message_of("error(42)"))
    assert.are.equal("neap: object",
      message_of("error(setmetatable({}, { __tostring = function() return 'object' end }))"))
    assert.are.equal("neap: (error object is a table value)",
      message_of("error(setmetatable({}, { __tostring = function() error('no') end }))"))
    assert.are.equal("neap: (error object is a table value)",
      message_of("error(setmetatable({}, { __tostring = function() return {} end }))"))
    assert.are.equal("neap: (error object is a thread value)", message_of("error(coroutine.create(print))"))
    assert.are.equal("neap: " .. ("x"):rep(1 << 20), message_of("error(('x'):rep(1 << 20), 0)"))
  end)

  it("prints an uncaught cancellation of something that it joined", function()
    local result = run_script([[
      local task = neap.spawn(function() neap.sleep(60) end)
      neap.yield()
      task:cancel("enough")
      task:join()]])
    assert.are.equal(1, result.status)
    assert_find(result.stderr, "neap: cancelled: enough\nstack traceback:\n")
  end)

  it("does not parse: the message says where", function()
    assert.are.same({ status = 1, stdout = "", stderr = "neap: script:1: unexpected symbol near '='\n" },
      run_script("x = = 1"))
  end)
end)

describe("errors of tasks and threads", function()
  it("of any kind are reported", function()
    for _, start in ipairs { "spawn", "thread" } do
      local result = run_script(([[
        local function fail(kind)
          local errors = {
            none = nil, table = {}, object = setmetatable({}, { __tostring = function() return "object" end }),
            thrower = setmetatable({}, { __tostring = function() error("no") end }), long = ("x"):rep(1 << 20),
          }
          error(errors[kind], 0)
        end
        for _, kind in ipairs { "none", "table", "object", "thrower", "long" } do
          neap.%s({ name = kind }, fail, kind)
        end]]):format(start))
      assert.are.equal(1, result.status)
      for kind, text in pairs {
        none = "(error object is a nil value)",
        table = "(error object is a table value)",
        object = "object",
        thrower = "(error object is a table value)",
        long = ("x"):rep(1 << 20),
      } do
        local who = start == "thread" and "thread " .. kind or ("task %s (thread main)"):format(kind)
        assert_find(result.stderr, ("neap: %s failed: %s\nstack traceback:\n"):format(who, text))
      end
    end
  end)

  it("that neap.timeout or neap.shield passes on still tell where they were raised", function()
    for _, call in ipairs({
      "neap.timeout(60, deep)", "neap.shield(deep)",
      "neap.timeout(60, function() neap.shield(function() neap.timeout(60, deep) end) end)",
      "neap.timeout(60, function() neap.sleep(0.001) deep() end)",
    }) do
      local result = run_script(([[
        local function deep() error({}) end
        local task = neap.spawn({ quiet = true }, function() %s end)
        task:wait()
        print(task:traceback())
        pcall(task.join, task)]]):format(call))
      assert.are.same({ 0, "" }, { result.status, result.stderr })
      assert_find(result.stdout, "stack traceback:\n\t[C]: in function 'error'\n\tscript:1: in ")
      assert_find(result.stdout, "\n\t[C]: in function 'neap.")
      assert.are.equal(1, count(result.stdout, "stack traceback:"))
    end
  end)

  it("that were passed on, and caught, are not kept", function()
    local result = run_script([[
      local weak = setmetatable({}, { __mode = "v" })
      local function fail()
        weak[1] = {}
        error(weak[1])
      end
      local function catch() pcall(neap.timeout, 60, fail) end
      catch()
      neap.yield()
      collectgarbage()
      print(weak[1])]])
    assert.are.equal("nil\n", result.stdout)
  end)

  it("that were passed on, and caught, are not taken for equal ones that are raised later", function()
    local result = run_script([[
      local function first() error("same", 0) end
      local function second() error("same", 0) end
      local task = neap.spawn({ quiet = true }, function()
        pcall(neap.timeout, 60, first)
        second()
      end)
      task:wait()
      print(task:traceback())
      pcall(task.join, task)]])
    assert_find(result.stdout, "stack traceback:\n\t[C]: in function 'error'\n\tscript:2: in ")
  end)

  it("go through three threads as they are", function()
    assert.are.same({ status = 0, stdout = "false\ttable\tdeep\ttrue\n", stderr = "" }, run_script([[
      local function level(depth)
        local neap = require "neap"
        if depth == 0 then error({ message = "deep", list = { true } }) end
        neap.thread({ quiet = true }, debug.getinfo(1, "f").func, depth - 1):join()
      end
      local ok, err = pcall(function() neap.thread({ quiet = true }, level, 3):join() end)
      print(ok, type(err), err.message, err.list[1])]]))
  end)

  it("that cannot be sent are replaced by the reason", function()
    assert.are.same({ status = 0, stdout = "false\ttrue\n", stderr = "" }, run_script([[
      local ok, err = pcall(function()
        neap.thread({ quiet = true }, function() error({ inner = coroutine.create(print) }) end):join()
      end)
      print(ok, tostring(err):find("cannot send", 1, true) ~= nil)]]))
  end)
end)

describe("neap.on_error", function()
  it("is told of the handle, the error and the traceback, at once; nothing is printed", function()
    assert.are.same({ status = 1, stdout = "task: worker (failed)\ttable\tboom\ttrue\n", stderr = "" }, run_script([[
      neap.on_error(function(handle, err, traceback)
        print(handle, type(err), err.message, traceback:find("\tspawned at ", 1, true) ~= nil)
      end)
      neap.spawn({ name = "worker" }, function() error({ message = "boom" }) end)
      neap.yield()]]))
  end)

  it("of the main state is told of failures in threads, and of their tasks", function()
    local result = run_script([[
      neap.on_error(function(handle, err, traceback)
        print(handle, err.message, traceback:find("\tspawned at ", 1, true) ~= nil)
      end)
      neap.thread({ name = "w" }, function()
        local neap = require "neap"
        neap.spawn({ name = "t" }, function() error({ message = "task" }) end)
        neap.yield()
      end):join()
      neap.yield()]])
    assert.are.equal(1, result.status)
    assert.are.equal("task: t (failed)\ttask\ttrue\n", result.stdout)
    result = run_script([[
      local seen = neap.event()
      neap.on_error(function(handle, err, traceback)
        print(handle.name, err.message, traceback:find("\tspawned at ", 1, true) ~= nil)
        seen:set()
      end)
      neap.thread({ name = "w" }, function() error({ message = "thread" }) end)
      seen:wait()]])
    assert.are.same({ status = 1, stdout = "w\tthread\ttrue\n", stderr = "" }, result)
  end)

  it("of a thread comes before that of the main state", function()
    assert.are.same({ status = 1, stdout = "thread's\n", stderr = "" }, run_script([[
      neap.on_error(function() print "main's" end)
      neap.thread(function()
        local neap = require "neap"
        neap.on_error(function() print "thread's" end)
        neap.spawn(error, "boom")
      end)]]))
  end)

  it("is told the text of an error that cannot be sent", function()
    assert.are.same({ status = 1, stdout = "object\n", stderr = "" }, run_script([[
      local seen = neap.event()
      neap.on_error(function(handle, err) print(err) seen:set() end)
      neap.thread(function()
        local inner = coroutine.create(print)
        error(setmetatable({ inner }, { __tostring = function() return "object" end }))
      end)
      seen:wait()]]))
  end)

  it("may wait, and its own failure is printed, as is what it was told of", function()
    local result = run_script([[
      neap.on_error(function(handle, err) neap.sleep(0.01) print(err) error("handler", 0) end)
      neap.spawn({ name = "t" }, error, "boom")]])
    assert.are.equal(1, result.status)
    assert.are.equal("boom\n", result.stdout)
    assert_find(result.stderr, "neap: the function of on_error failed: handler\n" ..
      "neap: task t (thread main) failed: boom\nstack traceback:\n")
  end)

  it("returns what was set before, and nil takes it away", function()
    local result = run_script([[
      print(neap.on_error(print), neap.on_error(nil) == print, neap.on_error(nil))
      neap.spawn(error, "boom")]])
    assert.are.equal("nil\ttrue\tnil\n", result.stdout)
    assert_find(result.stderr, "failed: boom\n")
  end)

  it("is told while the program ends, too", function()
    assert.are.same({ status = 1, stdout = "d\tlate\n", stderr = "" }, run_script([[
      neap.on_error(function(handle, err) print(handle.name, err) end)
      neap.spawn({ daemon = true, name = "d" }, function()
        local _ <close> = setmetatable({}, { __close = function() error("late", 0) end })
        neap.sleep(60)
      end)
      neap.yield()]]))
  end)

  it("is told of a daemon thread that fails while the program ends", function()
    assert.are.same({ status = 1, stdout = "d\tlate\n", stderr = "" }, run_script([[
      neap.on_error(function(handle, err) print(handle.name, err) end)
      local ready = neap.event()
      neap.thread({ daemon = true, name = "d" }, function()
        local _ <close> = setmetatable({}, { __close = function() error("late", 0) end })
        ready:set()
        neap.sleep(60)
      end)
      ready:wait()]]))
  end)

  it("is told of what failed just before the main chunk, or a thread's function, failed", function()
    local result = run_script([[
      neap.on_error(function(handle, err) print(handle.name, err) end)
      neap.spawn({ name = "t" }, error, "lost", 0)
      neap.yield()
      error("main", 0)]])
    assert.are.same({ 1, "t\tlost\n" }, { result.status, result.stdout })
    assert_find(result.stderr, "neap: main\n")
    assert.are.same({ status = 1, stdout = "t\tlost\nw\tthread\n", stderr = "" }, run_script([[
      neap.thread({ name = "w" }, function()
        neap.on_error(function(handle, err) print(handle.name, err) end)
        neap.spawn({ name = "t" }, error, "lost", 0)
        neap.yield()
        error("thread", 0)
      end)]]))
  end)

  it("has its failure printed if it is cancelled while it waits", function()
    local result = run_script([[
      local called = neap.event()
      neap.on_error(function(handle, err) called:set() neap.sleep(60) end)
      neap.spawn({ name = "t" }, error, "lost", 0)
      called:wait()
      os.exit(3)]])
    assert.are.same({ 3, "" }, { result.status, result.stdout })
    assert_find(result.stderr, "neap: task t (thread main) failed: lost\n")
  end)

  it("has its failure printed if a plain lua5.4 ends before it was called", function()
    local result = support.run_plain([[
      neap.on_error(function(handle, err) print(handle.name, err) end)
      neap.spawn({ name = "t" }, error, "lost", 0)
      neap.yield()]])
    assert.are.same({ 0, "" }, { result.status, result.stdout })
    assert.are.equal(1, (result.stderr:find("neap: task t (thread main) failed: lost\n", 1, true)))
    assert.is_nil(result.stderr:find("had not ended", 1, true))
  end)
end)

describe("neap.threads", function()
  it("lists all that are alive, however many", function()
    assert.are.same({ status = 0, stdout = "300\t301\n0\t1\n", stderr = "" }, run_script([[
      local event, ready = neap.event(), neap.semaphore(0)
      local threads = {}
      for i = 1, 300 do
        threads[i] = neap.thread(function(event, ready) ready:release() event:wait() end, event, ready)
      end
      for _ = 1, 300 do ready:acquire() end
      local listed = {}
      for _, thread in ipairs(neap.threads()) do listed[thread] = true end
      for _, thread in ipairs(threads) do assert(listed[thread]) end
      print(#neap.threads(), neap.active_count())
      event:set()
      for _, thread in ipairs(threads) do thread:join() end
      print(#neap.threads(), neap.active_count())]]))
  end)
end)

describe("a failure", function()
  it("that nobody waits for is told once, with its traceback, and makes the status 1", function()
    local result = support.run_script([[
      neap.spawn(function() error("lost") end)
      neap.sleep(0)
      neap.sleep(0)
      print("after")]])
    assert.are.equal(1, result.status)
    assert.are.equal("after\n", result.stdout)
    assert.are.equal(1, select(2, result.stderr:gsub("script:1: lost", "")))
    assert.is_truthy(result.stderr:find("stack traceback:.*spawned at script:1"))
  end)

  it("that is joined is not told, and leaves status 0", function()
    local result = support.run_script([[
      local task = neap.spawn(function() error("seen") end)
      print(pcall(task.join, task))]])
    assert.are.same({ status = 0, stdout = "false\tscript:1: seen\n", stderr = "" }, result)
  end)

  it("can be told to a function that spawns, also when finalisers spawn while the task ends", function()
    local result = support.run_script([[
      local ran = 0
      local function count(...) ran = ran + select("#", ...) end
      local function fail(litter) error("failed", #litter) end
      neap.on_error(function() for i = 1, 20 do neap.spawn(count, i, i) end end)
      for _ = 1, 100 do
        neap.spawn(fail, setmetatable({}, { __gc = function() neap.spawn(count, 1) end }))
        neap.sleep(0)
        collectgarbage()
      end
      while #neap.tasks() > 1 do neap.sleep(0) end
      print(ran >= 100 * 40)
      os.exit(0)]])
    assert.are.same({ status = 0, stdout = "true\n", stderr = "" }, result)
  end)

  it("that is quiet is not told, and makes the status 1 unless it was joined", function()
    local result = support.run_script([[ neap.spawn({ quiet = true }, error, "x") ]])
    assert.are.same({ status = 1, stdout = "", stderr = "" }, result)
    result = support.run_script([[ local t = neap.spawn({ quiet = true }, error, "x") pcall(t.join, t) ]])
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)

  it("goes to the function of on_error", function()
    local result = support.run_script([[
      neap.on_error(function(task, err, traceback)
        print(task.name, err, (traceback:gsub("\n.*", "")), task:status())
      end)
      neap.spawn({ name = "w" }, function() error("told", 0) end)]])
    assert.are.same({ status = 1, stdout = "w\ttold\tstack traceback:\tfailed\n", stderr = "" }, result)
  end)

  it("is no failure when it was cancelled", function()
    local result = support.run_script([[
      local task = neap.spawn(function() neap.sleep(math.huge) end)
      neap.yield()
      task:cancel()]])
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)
end)
