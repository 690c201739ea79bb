-- Tasks that never wait. Everything that might hang if it failed is a program of its own, under a time limit.

local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

--- Runs a program; it must print `expected` and end with `status` (default: 0).
local function check(expected, code, status, run)
  local result = (run or support.run_script)(code)
  assert.are.same({ status = status or 0, stdout = expected, stderr = "" }, result)
end

-- A program can use these.
local prelude = [[
  local function loop() while true do end end
  local function closing(fn) return setmetatable({}, { __close = fn }) end
  --- Computes until `seconds` of processor time are used up.
  local function compute(seconds)
    local limit = os.clock() + seconds
    while os.clock() < limit do end
  end
]]

describe("time slices #preempt", function()
  it("let tasks that never wait share their thread", function()
    check("shared\n", [[
      local turns, last = { 0, 0, 0 }, 0
      local function compete(me)
        while math.min(table.unpack(turns)) < 3 do
          if last ~= me then
            last = me
            turns[me] = turns[me] + 1
          end
        end
      end
      local tasks = {}
      for i = 1, 3 do tasks[i] = neap.spawn(compete, i) end
      for i = 1, 3 do tasks[i]:join() end
      print("shared")]])
  end)

  it("let a ticker tick beside many that compute, between any two of them", function()
    check("ticked\n", [[
      local done, switches, last = false, 0, nil
      for i = 1, 4 do
        neap.spawn(function()
          while not done do
            if last ~= i then
              last = i
              switches = switches + 1
            end
          end
        end)
      end
      local ticks = 0
      neap.sleep(0.001) -- all have begun when it comes back
      for _ = 1, 20 do
        local before = switches
        neap.sleep(0.0001)
        if switches - before <= 2 then ticks = ticks + 1 end
      end
      done = true
      print(ticks == 20 and "ticked" or ticks)]])
  end)

  it("let messages of another thread through", function()
    check("4950\n", [[
      local channel, busy = neap.channel(10), true
      for _ = 1, 2 do neap.spawn(function() while busy do end end) end
      neap.thread(function(c)
        for i = 1, 99 do c:send(i) end
        c:close()
      end, channel)
      local sum = 0
      for value in channel:iter() do sum = sum + value end
      busy = false
      print(sum)]])
  end)

  -- Wherever Lua runs, and can yield.
  local places = {
    ["a generator"] = "for _ in coroutine.wrap(busy) do end",
    ["a generator in a generator"] = "coroutine.wrap(function() for _ in coroutine.wrap(busy) do end end)()",
    ["coroutine.resume"] = "assert(coroutine.resume(coroutine.create(busy)))",
    ["pcall"] = "assert(pcall(busy))",
    ["xpcall"] = "assert(xpcall(busy, print))",
    ["__index"] = "return setmetatable({}, { __index = busy }).x",
    ["__add"] = "return setmetatable({}, { __add = busy }) + 1",
    ["an iterator"] = "for _ in busy do end",
    ["a `<close>` handler"] = "local _ <close> = setmetatable({}, { __close = busy })",
    ["dofile"] = [[
      local path = os.tmpname()
      local file = io.open(path, "w")
      file:write("busy()")
      file:close()
      _G.busy = busy
      dofile(path)
      os.remove(path)]],
    ["neap.timeout"] = "neap.timeout(100, busy)",
    ["neap.shield"] = "neap.shield(busy)",
    ["neap.scope"] = "neap.scope(busy)",
  }
  for name, code in pairs(places) do
    it("interrupt what computes in " .. name, function()
      check("interrupted\n", ([[
        local interrupted = 0
        local function busy() while interrupted < 3 do end end
        local task = neap.spawn(function() %s end)
        while interrupted < 3 do
          neap.yield()
          interrupted = interrupted + 1
        end
        task:join()
        print("interrupted")]]):format(code))
    end)
  end

  -- Where Lua cannot yield.
  local obstacles = {
    ["the comparator of table.sort"] = "table.sort({ 3, 2, 1 }, function(a, b) busy() return a < b end)",
    ["the function of string.gsub"] = "('abc'):gsub('.', busy)",
    ["a function in a coroutine in a comparator"] =
      "table.sort({ 3, 2, 1 }, function(a, b) coroutine.wrap(busy)() return a < b end)",
    ["a finaliser"] = "setmetatable({}, { __gc = busy }) collectgarbage()",
    ["a reader of load"] = "load(function() busy() end)",
  }
  for name, code in pairs(obstacles) do
    it("do not interrupt " .. name .. ", but what comes after it", function()
      check("after\n", prelude .. ([[
        local inside, found, ran, after = false, false, false, false
        local function busy()
          inside = true
          compute(0.03)
          inside = false
        end
        local task = neap.spawn(function()
          %s
          after = true
          while not ran do end
        end)
        repeat
          neap.yield()
          found = found or inside
        until after
        ran = true
        task:join()
        print(found and "inside" or "after")]]):format(code))
    end)
  end

  it("do not disturb a finaliser that runs a coroutine", function()
    check("finalised\n", prelude .. [[
      local task = neap.spawn({ quiet = true }, function()
        setmetatable({}, { __gc = function()
          neap.current():cancel()
          coroutine.wrap(function() compute(0.05) end)()
          print("finalised")
        end })
        collectgarbage()
        loop()
      end)
      pcall(task.join, task)]])
  end)

  for title, count in pairs({ [""] = 60, [", interrupted a thousand times #stress"] = 100 * support.stress }) do
    it("change no result" .. title, function()
      local result = support.run_script(support.read_file("spec/sample/compute.lua"), { count }, { limit = 100 })
      assert.are.same({ status = 0, stdout = "same\n", stderr = "" }, result)
    end)
  end

  it("keep a task that is cancelled meanwhile, and one that fails", function()
    check("false\tcancelled: enough\nfalse\toops\n", prelude .. [[
      local first = neap.spawn(loop)
      local second = neap.spawn({ quiet = true }, function()
        compute(0.05)
        error("oops", 0)
      end)
      neap.yield()
      first:cancel("enough")
      print(pcall(first.join, first))
      print(pcall(second.join, second))]], 0)
  end)
end)

describe("a hook of debug.sethook #preempt", function()
  --- The same work alone, and beside one that computes: both must see the same events.
  local function compare(mask)
    check("same\n", ([[
      local function work()
        local events, sum = 0, 0
        debug.sethook(function(_, line)
          events = events + 1
          sum = sum + (line or 0)
        end, %q)
        local x = 0
        for i = 1, 600000 do
          x = x + math.max(i, 3)
          x = x %% 17
        end
        local hook, mask = debug.gethook()
        debug.sethook()
        return events, sum, type(hook), mask
      end
      local alone = table.pack(neap.spawn(work):join())
      local interrupted, done = 0, false
      local busy = neap.spawn(function()
        while not done do
          interrupted = interrupted + 1
          neap.yield()
        end
      end)
      local beside = table.pack(neap.spawn(work):join())
      done = true
      assert(interrupted > 1)
      for i = 1, alone.n do assert(alone[i] == beside[i], alone[i] .. " " .. beside[i]) end
      print("same")]]):format(mask))
  end

  it("sees every line", function() compare("l") end)
  it("sees every call", function() compare("c") end)
  it("sees every call, line and return", function() compare("clr") end)

  it("counts to the end, be it a long time", function()
    check("counted\n", [[
      local count, done = 0, false
      neap.spawn(function() while not done do neap.yield() end end)
      debug.sethook(function() count = count + 1 end, "", 3000000)
      while count < 2 do end
      debug.sethook()
      done = true
      print("counted")]])
  end)

  it("goes on after interruptions when it counts briefly", function()
    check("counted\n", [[
      local interrupted, count, done = 0, 0, false
      neap.spawn(function()
        while not done do
          interrupted = interrupted + 1
          neap.yield()
        end
      end)
      debug.sethook(function() count = count + 1 end, "", 1000)
      local before = 0
      repeat
        if interrupted > 3 and before == 0 then before = count end
      until before > 0 and count > before + 10
      debug.sethook()
      done = true
      print("counted")]])
  end)

  it("may raise, and stop a task that swallows cancellations", function()
    check("false\tstopped by the hook\nfalse\tcancelled\n", prelude .. [[
      local neighbour = neap.spawn({ daemon = true }, loop)
      local task = neap.spawn({ quiet = true }, function()
        debug.sethook(function() error("stopped by the hook", 0) end, "", 5000000)
        loop()
      end)
      print(pcall(task.join, task))
      task = neap.spawn({ quiet = true }, function()
        debug.sethook(function() end, "l")
        while true do pcall(loop) end
      end)
      neap.sleep(0)
      task:cancel()
      print(pcall(task.join, task))]])
  end)

  it("ends with its task", function()
    check("nil\n", [[
      neap.spawn(function() debug.sethook(function() end, "l") end):join()
      neap.spawn(function() print((debug.gethook())) end):join()]])
  end)
end)

describe("neap.slice #preempt", function()
  it("tells and sets the length, in seconds", function()
    check("0.01\n0.01\n0.002\n0.002\t0.0\n", [[
      print(neap.slice())
      print(neap.slice(0.002))
      print(neap.slice(nil))
      print(neap.slice(0), neap.slice())]])
  end)

  it("refuses what is no length", function()
    for _, wrong in ipairs({ "-1", "0/0", "'1'", "{}" }) do
      local result = support.run_script(("print(pcall(neap.slice, %s))"):format(wrong))
      assert.is_truthy(result.stdout:find("^false\tbad argument #1 to 'neap.slice' %("), result.stdout)
    end
    check("0.01\tinf\n", "print(neap.slice(math.huge), neap.slice())")
  end)

  it("counts for the thread, and those that it starts later", function()
    check("0.01\t0.003\n0.01\n", [[
      local ready, go = neap.event(), neap.event()
      local function tell(begun, asked)
        begun:set()
        asked:wait()
        return neap.slice()
      end
      local before = neap.thread(tell, ready, go)
      ready:wait()
      neap.slice(0.003)
      local after = neap.thread(tell, ready, go)
      go:set()
      print(before:join(), after:join())
      print(neap.thread(function()
        neap.slice(0.01)
        return neap.slice()
      end):join())]])
  end)

  it("of 0 lets a task run until it waits", function()
    check("alone\n", prelude .. [[
      neap.slice(0)
      local ran = false
      neap.spawn(function() ran = true end)
      neap.timer(0.001, function() ran = true end)
      compute(0.1)
      print(ran and "interrupted" or "alone")]])
  end)

  it("that is long does not keep a request to stop from coming", function()
    check("false\tcancelled\n", prelude .. [[
      neap.slice(3600)
      local thread = neap.thread(loop)
      thread:cancel()
      print(pcall(thread.join, thread))]])
  end)

  it("is 0.01 in a plain lua5.4, too", function()
    check("0.01\n0.01\t0.0\n", "print(neap.slice()) print(neap.slice(0), neap.slice())", 0, support.run_plain)
  end)

  it("lets nobody interrupt the main chunk of a plain lua5.4 once it is 0", function()
    check("alone\n", prelude .. [[
      local ran = false
      neap.slice(0)
      neap.spawn({ daemon = true }, function() ran = true end)
      compute(0.1)
      print(ran and "interrupted" or "alone")]], 0, support.run_plain)
  end)

  it("lets the tasks of a plain lua5.4 run beside its main chunk", function()
    check("shared\n", prelude .. [[
      local count = 0
      neap.spawn({ daemon = true }, function()
        while true do
          count = count + 1
          neap.yield()
        end
      end)
      neap.every({ daemon = true }, 0.001, function() count = count + 1 end)
      while count < 4 do end
      for _ in coroutine.wrap(function() while count < 8 do end end) do end
      table.sort({ 3, 2, 1 }, function(a, b)
        while count < 12 do end
        return a < b
      end)
      neap.spawn({ daemon = true }, loop)
      neap.yield()
      print("shared")]], 0, support.run_plain)
  end)

  it("lets a plain lua5.4 cancel what computes", function()
    check("false\tcancelled\nfalse\tcancelled\n", prelude .. [[
      local task = neap.spawn(function() while true do pcall(loop) end end)
      neap.yield()
      task:cancel()
      print(pcall(task.join, task))
      local thread = neap.thread(loop)
      thread:cancel()
      print(pcall(thread.join, thread))]], 0, support.run_plain)
  end)
end)

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
