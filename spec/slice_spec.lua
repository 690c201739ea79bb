-- Tasks that never wait, and take turns all the same: time slices. What stops them: stopping_spec.lua. Everything that
-- might hang if it failed is a program of its own, under a time limit.

local computing = require "spec.computing"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local check, prelude = computing.check, computing.prelude

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

  it("let a deep recursion come to its end beside others, also where Lua cannot yield", function()
    check("stack overflow\tstack overflow\tstack overflow\n", [[
      local function deep() return 1 + deep() end
      local function describe(ok, err) return not ok and err:match("stack overflow$") end
      local function compare() return error(describe(pcall(deep)), 0) end
      neap.timer({ daemon = true }, 3600, print)
      local alone = neap.spawn(function() return describe(pcall(deep)) end):join()
      local done = false
      local other = neap.spawn(function() while not done do end end)
      local beside = neap.spawn(function() return describe(pcall(deep)) end):join()
      local _, below = neap.spawn(function() return pcall(table.sort, { 1, 2 }, compare) end):join()
      done = true
      other:join()
      print(alone, beside, below)]])
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
