-- What never waits is stopped all the same: by a timeout, a cancel, and the end of the program. Everything that might
-- hang if it failed is a program of its own, under a time limit.

local computing = require "spec.computing"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local check, prelude = computing.check, computing.prelude

-- Each never ends by itself.
local endless = {
  ["a loop"] = "loop()",
  ["a loop in pcall"] = "while true do pcall(loop) end",
  ["a loop in pcall in pcall"] = "while true do pcall(function() while true do pcall(loop) end end) end",
  ["a loop in xpcall"] = "while true do xpcall(loop, function(e) return e end) end",
  ["sleep in pcall"] = "while true do pcall(neap.sleep, 1) end",
  ["a function that sleeps in pcall"] = "while true do pcall(function() neap.sleep(1) end) end",
  ["a generator"] = "for _ in coroutine.wrap(loop) do end",
  ["a generator in pcall"] = "while true do pcall(coroutine.wrap(loop)) end",
  ["coroutine.resume"] = "while true do coroutine.resume(coroutine.create(loop)) end",
  ["a generator that goes on"] = [[
    local generate = coroutine.wrap(function() while true do pcall(loop) coroutine.yield() end end)
    while true do pcall(generate) end]],
  ["a metamethod"] = "return setmetatable({}, { __index = loop }).x",
  ["short comparators"] = [[
    local list = {}
    for i = 1, 100 do list[i] = i end
    while true do table.sort(list, function(a, b) return a > b end) end]],
  ["calls of C"] = "while true do (('x'):rep(100)):find('y', 1, true) end",
  ["`<close>` handlers that wait"] = [[
    while true do
      pcall(function()
        local _ <close> = closing(function() neap.sleep(0.001) end)
        loop()
      end)
    end]],
  ["shields, one after the other"] = "while true do neap.shield(compute, 0.002) end",
  ["waits in shields"] = [[
    local queue = neap.queue()
    while true do
      neap.shield(function()
        queue:put(1)
        queue:get()
      end)
      compute(0.002)
    end]],
  ["a scope whose tasks fail"] = [[
    while true do
      pcall(neap.scope, function(scope)
        scope:spawn(error, "x")
        loop()
      end)
    end]],
}

-- Lua cannot yield there: so only another thread can cancel it.
local blocked = {
  ["a comparator that never returns"] = "table.sort({ 3, 2, 1 }, loop)",
  ["a function of string.gsub that never returns, in pcall"] = "while true do pcall(string.gsub, 'abc', '.', loop) end",
  ["a coroutine in a comparator"] = "table.sort({ 3, 2, 1 }, function() coroutine.wrap(loop)() end)",
}

describe("timeout #preempt", function()
  for name, code in pairs(endless) do
    it("stops what never waits: " .. name, function()
      local script = prelude .. ("print(neap.timeout(0.001, function() %s end))"):format(code)
      check("nil\ttimeout\ttimeout\n", script)
      check("nil\ttimeout\ttimeout\n", script, 0, support.run_plain)
    end)
  end

  for name, code in pairs(blocked) do
    it("stops what never waits: " .. name, function()
      check("nil\ttimeout\ttimeout\n", prelude .. ("print(neap.timeout(0.001, function() %s end))"):format(code))
    end)
  end

  it("ends at the nearest, also where slices are off, and stops nothing outside", function()
    check("nil\ttimeout\ttimeout\ntrue\n", prelude .. [[
      neap.slice(0)
      local outer
      outer = neap.timeout(3600, function()
        print(neap.timeout(0.001, function() neap.timeout(3600, loop) end))
        local till = neap.now() + 0.05
        while neap.now() < till do end
        return true
      end)
      print(outer)]])
  end)

  it("leaves what a shield protects alone, and then stops", function()
    check("protected\nnil\ttimeout\ttimeout\n", prelude .. [[
      print(neap.timeout(0.001, function()
        neap.shield(function()
          local till = neap.now() + 0.05
          while neap.now() < till do end
          print("protected")
        end)
        loop()
      end))]])
  end)

  it("leaves what a shield has returned, if nothing is to be waited for after it", function()
    local script = prelude .. [[
      print(neap.timeout(0.001, function()
        local result = neap.shield(function()
          compute(0.05)
          return "committed"
        end)
        return result
      end))]]
    check("committed\n", script)
    check("committed\n", script, 0, support.run_plain)
  end)

  -- `send` begins in time, and takes long to copy the table.
  it("leaves who has sent something the time to take note of that", function()
    check("true\ttrue\n", prelude .. [[
      local big = {}
      for i = 1, 400000 do big[i] = i end
      local reader, writer = neap.pipe(false)
      local all_noted, some_late = true, false
      for _ = 1, 5 do
        local noted
        local began = neap.now()
        neap.timeout(0.005, function()
          writer:send(big)
          some_late = some_late or neap.now() > began + 0.005
          noted = true
          loop()
        end)
        if reader:poll() then
          reader:recv()
          all_noted = all_noted and noted
        end
      end
      print(all_noted, some_late)]])
  end)

  it("leaves that time again at each deadline", function()
    check("0\n", prelude .. [[
      local large = {}
      for i = 1, 20000 do large[i] = { i } end
      local reader, writer = neap.pipe(false)
      local unnoted = 0
      for _ = 1, 20 do
        neap.timeout(0.001, compute, 0.008) -- ends by itself, once it has been looked at
        local noted = false
        neap.timeout(0.002, function()
          writer:send(large)
          noted = true
          loop()
        end)
        if reader:poll() then
          reader:recv()
          unnoted = unnoted + (noted and 0 or 1)
        end
      end
      print(unnoted)]])
  end)

  it("does not work where it could not be taken back: in a coroutine that was resumed past neap", function()
    local script <close> = support.temporary_file([[
      local resume = coroutine.resume
      local neap = require "neap"
      for _, call in ipairs({ function() neap.timeout(0.001, print) end, function() neap.shield(print) end }) do
        local ok, message = resume(coroutine.create(call))
        print(ok, message:match("neap%.%l+ does not work here"))
      end]])
    local path = os.getenv("LUA_CPATH") or "./build/?.so;;"
    local expected = "false\tneap.timeout does not work here\nfalse\tneap.shield does not work here\n"
    assert.are.same({ status = 0, stdout = expected, stderr = "" }, support.run_command(
      ("env LUA_CPATH=%s %s %s"):format(support.quote(path), support.lua, support.quote(script.path))))
  end)

  it("stops a generator that another has begun, and the one who goes on with it stays as he was", function()
    check("1\nnil\ttimeout\ttimeout\ndead\n", prelude .. [[
      local generator = coroutine.create(function()
        coroutine.yield(1)
        loop()
      end)
      print(select(2, coroutine.resume(generator)))
      print(neap.timeout(0.001, function() coroutine.resume(generator) neap.yield() end))
      print(coroutine.status(generator))]])
  end)
end)

describe("cancel #preempt", function()
  -- To copy what it is takes longer than the time that a task gets to stop.
  local make_large = [[
    local function make_large()
      local large = {}
      for i = 1, 200000 do large[i] = { i } end
      return large
    end
  ]]

  it("leaves who has waited for something the time to take note of that, however long that takes to arrive", function()
    check("true\n", prelude .. make_large .. [[
      local reader, writer = neap.pipe(false)
      local all_noted = true
      for _ = 1, 3 do
        local noted = false
        local task = neap.spawn(function()
          reader:recv()
          noted = true
          loop()
        end)
        neap.yield()
        neap.thread(function()
          writer:send(make_large())
          task:cancel()
        end)
        task:wait()
        all_noted = all_noted and noted
      end
      print(all_noted)]])
  end)

  it("leaves who has taken something out of a dict or list the time to take note of that", function()
    check("true\ntrue\n", prelude .. make_large .. [[
      local large = make_large()
      for _, shared in ipairs({ neap.dict({ large }), neap.list({ large }) }) do
        local noted = false
        neap.spawn(function()
          local take = shared.remove or shared.pop
          neap.current():cancel()
          take(shared, 1)
          noted = true
          loop()
        end):wait()
        print(noted and #shared == 0)
      end]])
  end)

  it("leaves who has updated something the time to take note of that", function()
    check("true\n200000\ntrue\n200000\n", prelude .. make_large .. [[
      local large = make_large()
      for _, shared in ipairs({ neap.dict(), neap.list({ 0 }) }) do
        local noted = false
        neap.spawn(function()
          shared:update(1, function()
            neap.yield()
            compute(0.02) -- as long as it takes to be looked at after that
            neap.current():cancel()
            return large
          end)
          noted = true
          loop()
        end):wait()
        print(noted)
        print(#shared[1])
      end]])
  end)

  -- However long it has been computing before, with others waiting.
  it("leaves a task the time of two beats to wait, or to end", function()
    check("true\n", prelude .. [[
      neap.slice(3600)
      local shortest, tasks = math.huge, {}
      local function be_stopped()
        local began
        compute(0.03)
        pcall(function()
          neap.current():cancel()
          began = os.clock()
          loop()
        end)
        shortest = math.min(shortest, os.clock() - began)
      end
      for i = 1, 10 do tasks[i] = neap.spawn(be_stopped) end
      for _, task in ipairs(tasks) do task:wait() end
      print(shortest > 0.002)
    ]])
  end)

  for name, code in pairs(endless) do
    it("stops a task: " .. name, function()
      check("false\tcancelled: enough\tcancelled\n", prelude .. ([[
        local task = neap.spawn(function() %s end)
        neap.sleep(0.001)
        task:cancel("enough")
        local ok, err = pcall(task.join, task)
        print(ok, err, task:status())]]):format(code))
    end)

    it("stops a thread: " .. name, function()
      check("false\tcancelled: enough\tcancelled\n", prelude .. ([[
        local begun = neap.event()
        local thread = neap.thread(function()
          begun:set()
          %s
        end)
        begun:wait()
        thread:cancel("enough")
        local ok, err = pcall(thread.join, thread)
        print(ok, err, thread:status())]]):format(code))
    end)
  end

  for name, code in pairs(blocked) do
    it("stops a thread: " .. name, function()
      check("false\tcancelled: enough\n", prelude .. ([[
        local begun = neap.event()
        local thread = neap.thread(function()
          begun:set()
          %s
        end)
        begun:wait()
        thread:cancel("enough")
        print(pcall(thread.join, thread))]]):format(code))
    end)
  end

  for where, call in pairs({
    ["the body of a scope"] = [[
      pcall(neap.scope, function(scope)
        scope:spawn({ quiet = true }, error, "no")
        neap.yield()
        %s
      end)]],
    ["the body of a timeout"] = [[
      neap.timeout(0.001, function()
        pcall(neap.sleep, 1)
        %s
      end)]],
  }) do
    for _, name in ipairs({
      "a loop in pcall", "sleep in pcall", "a generator in pcall", "`<close>` handlers that wait",
    }) do
      local code = endless[name]
      local body = prelude .. call:format(code) .. [[
        -- what comes after it is left alone
        compute(0.03)
        neap.sleep(0.001)]]

      it(("stops %s in a main task: %s"):format(where, name), function() check("on\n", body .. " print('on')") end)

      it(("stops %s in a thread: %s"):format(where, name), function()
        check("on\n", ("neap.thread(function() %s end):join() print('on')"):format(body))
      end)

      it(("stops %s in the main chunk of a plain lua5.4: %s"):format(where, name), function()
        check("on\n", body .. " print('on')", 0, support.run_plain)
      end)
    end
  end

  it("stops a task of another thread, and only that", function()
    check("false\tcancelled: enough\n1\n", prelude .. [[
      local tasks = neap.channel()
      local thread = neap.thread(function()
        local _ <close> = closing(function() end)
        tasks:send(neap.spawn(loop))
        neap.sleep(0.01)
        return 1
      end)
      local task = tasks:recv()
      task:cancel("enough")
      print(pcall(task.join, task))
      print(thread:join())]])
  end)

  it("of oneself stops the loop that follows", function()
    check("false\tcancelled\n", prelude .. [[
      local thread = neap.thread(function()
        neap.current():cancel()
        loop()
      end)
      print(pcall(thread.join, thread))]])
  end)

  it("works where slices are off", function()
    check("false\tcancelled\n", prelude .. [[
      neap.slice(0)
      local thread = neap.thread(loop)
      thread:cancel()
      print(pcall(thread.join, thread))]])
  end)

  it("lets `<close>` handlers compute, and wait", function()
    check("closed\nfalse\tcancelled\n", prelude .. [[
      local task = neap.spawn(function()
        local _ <close> = closing(function()
          compute(0.05)
          neap.sleep(0.001)
          compute(0.05)
          print("closed")
        end)
        loop()
      end)
      neap.sleep(0.001)
      task:cancel()
      print(pcall(task.join, task))]])
  end)

  it("leaves what catches it once the time to tidy up, and to return", function()
    check("true\tdone\n", prelude .. [[
      local task = neap.spawn(function()
        local ok, err = pcall(loop)
        return neap.is_cancelled(err)
      end)
      neap.sleep(0.001)
      task:cancel()
      print(task:join(), task:status())]])
  end)

  it("is held off by a shield, for as long as that takes", function()
    check("tidy\nfalse\tcancelled\n", prelude .. [[
      local task = neap.spawn(function()
        neap.shield(function()
          compute(0.1)
          print("tidy")
        end)
        loop()
      end)
      neap.sleep(0.001)
      task:cancel()
      print(pcall(task.join, task))]])
  end)

  it("by a failing scope stops its body, its tasks and its threads", function()
    check("false\toops\n", prelude .. [[
      print(pcall(neap.scope, function(scope)
        scope:spawn(loop)
        scope:thread(loop)
        scope:spawn(error, "oops", 0)
        loop()
      end))]])
  end)
end)

describe("the end of the program #preempt", function()
  -- Each on its own: all together need much of the time of grace on a machine that is busy with other things.
  for name, code in pairs(endless) do
    it("stops a task that is a daemon: " .. name, function()
      local start = ("neap.spawn({ daemon = true }, function() %s end)\n"):format(code)
      check("end\n", prelude .. start .. "neap.sleep(0.001) print('end')")
    end)
  end

  for name, code in pairs({
    ["a loop in pcall"] = endless["a loop in pcall"],
    ["sleep in pcall"] = endless["sleep in pcall"],
    ["a coroutine in a comparator"] = blocked["a coroutine in a comparator"],
    ["a task of its own"] = "neap.spawn(loop) neap.sleep(3600)",
  }) do
    it("stops a thread that is a daemon: " .. name, function()
      local start = ("neap.thread({ daemon = true }, function() %s end)\n"):format(code)
      check("end\n", prelude .. start .. "neap.sleep(0.001) print('end')")
    end)
  end

  it("stops a daemon that is alone, and where slices are off", function()
    check("closed\n", prelude .. [[
      neap.slice(0)
      neap.spawn({ daemon = true }, function()
        local _ <close> = closing(function() print("closed") end)
        loop()
      end)]])
  end)

  it("stops what computes beside a main chunk that fails", function()
    local result = support.run_script(prelude .. [[
      neap.spawn(loop)
      neap.yield()
      error("oops")]])
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("oops", 1, true))
  end)

  it("stops what computes beside the main task of a thread that has failed", function()
    check("false\toops\n", prelude .. [[
      local thread = neap.thread({ quiet = true }, function()
        neap.spawn(loop)
        neap.yield()
        error("oops", 0)
      end)
      print(pcall(thread.join, thread))]])
  end)

  it("is asked for by os.exit, of a task or of a thread, while the main chunk computes", function()
    for _, start in ipairs({ "spawn", "thread" }) do
      check("closed\n", prelude .. ([[
        local _ <close> = closing(function() print("closed") end)
        neap.%s(function() os.exit(7) end)
        loop()]]):format(start), 7)
    end
    check("", prelude .. [[
      neap.thread(function() os.exit(7) end)
      table.sort({ 3, 2, 1 }, loop)]], 7)
  end)

  for name, code in pairs({ ["a loop"] = "loop()", ["a loop in pcall"] = "while true do pcall(loop) end",
    ["a comparator that never returns"] = "table.sort({ 3, 2, 1 }, loop)" }) do
    it("is asked for by a signal, while the main chunk computes: " .. name, function()
      check("closed\n", prelude .. ([[
        local _ <close> = closing(function() print("closed") end)
        neap.thread(function() io.popen("kill -INT " .. neap.getpid()):close() end)
        %s]]):format(code), 130)
    end)
  end

  it("comes by force to `<close>` handlers and shields that never end #stress", function()
    check("end\n", prelude .. [[
      neap.spawn({ daemon = true }, function()
        local _ <close> = closing(loop)
        loop()
      end)
      neap.spawn({ daemon = true }, function() neap.shield(loop) end)
      neap.thread({ daemon = true }, function() neap.shield(loop) end)
      neap.sleep(0.05)
      print("end")]])
  end)

  it("comes when nothing can interrupt the main thread, too #stress", function()
    local result = support.run_script(prelude .. [[
      neap.spawn({ daemon = true }, function() xpcall(loop, loop) end)
      neap.yield()]], {}, { limit = 60 })
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("runs what cannot be interrupted", 1, true))
  end)
end)
