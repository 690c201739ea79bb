-- neap.signal: signals that are waited for. What the program does with those that nobody waits for: signal_spec.lua.

local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

local function kill(name, pid) assert(os.execute(("kill -%s %d"):format(name, pid or neap.getpid()))) end

local function timed_out(...) assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(...)) end

grid.ask("signal:wait", { blocked = function() return neap.signal("USR1") end,
  wait = function(signal, timeout) return signal:wait(timeout) end, serve = function() kill("USR1") end,
  served = table.pack(true), all = true, here_only = true })

describe("a signal that is waited for", function()
  it("is kept while nobody waits, once", function()
    local signal <close> = neap.signal("USR2")
    local other <close> = neap.signal("USR2")
    kill("USR2")
    assert.is_true((other:wait(60))) -- so it has come
    kill("USR2")
    assert.is_true((other:wait(60)))
    assert.are.same(table.pack(true), table.pack(signal:wait(0)))
    timed_out(signal:wait(0))
  end)

  it("has its name with and without SIG, or a number", function()
    for _, name in ipairs { "USR2", "SIGUSR2", 12 } do
      local signal <close> = neap.signal(name)
      kill("USR2")
      assert.is_true((signal:wait(60)))
      assert.is_truthy(tostring(signal):find("^signal: 0x%x+ %(SIGUSR2, open%)$"))
    end
  end)

  it("goes to all that are open, in tasks, threads and other processes", function()
    local here <close> = neap.signal("USR2")
    local there <close> = neap.signal("USR2")
    local wait = function(signal) return signal:wait(60) end
    local waiters = { grid.parked_task(wait, here), grid.parked_thread(wait, here), grid.parked_elsewhere(wait, here),
      grid.parked_task(wait, there),
      grid.parked_thread(function()
        local own <close> = require("neap").signal("USR2")
        return own:wait(60)
      end) }
    kill("USR2")
    for _, waiter in ipairs(waiters) do assert.is_true((waiter:join())) end
  end)

  it("is a case of a select", function()
    local signal <close> = neap.signal("USR2")
    timed_out(neap.select({ signal, neap.channel() }, 0))
    local waiter = grid.parked_task(neap.select, { neap.channel(), signal })
    kill("USR2")
    assert.are.same(table.pack(2), table.pack(waiter:join()))
    signal:close()
    assert.are.same(table.pack(1, nil, "closed", "closed"), table.pack(neap.select { signal }))
  end)

  it("is iterated over until it is closed", function()
    local signal = neap.signal("USR2")
    local came = neap.channel()
    local task = neap.spawn(function()
      local count = 0
      for here in signal:iter() do
        count = count + 1
        came:send(here)
      end
      return count
    end)
    for _ = 1, 3 do
      kill("USR2")
      assert.is_true(came:recv())
    end
    signal:close()
    assert.are.equal(3, task:join())
  end)

  it("that is closed answers who waits, here and elsewhere", function()
    local signal = neap.signal("USR2")
    local function wait(it_) return it_:wait() end
    local waiters = { grid.parked_task(wait, signal), grid.parked_thread(wait, signal),
      grid.parked_elsewhere(wait, signal) }
    assert.is_false(signal:is_closed())
    assert.is_true(grid.elsewhere(function(it_) return it_:close() end, signal))
    assert.is_false(signal:close())
    assert.is_true(signal:is_closed())
    for _, waiter in ipairs(waiters) do
      assert.are.same(table.pack(nil, "closed", "closed"), table.pack(waiter:join()))
    end
    assert.is_truthy(tostring(signal):find("closed", 1, true))
  end)

  it("refuses what cannot be waited for, and says why", function()
    for name, problem in pairs { KILL = "cannot be waited for", STOP = "cannot be waited for",
      SEGV = "cannot be waited for", NO = "no signal is named 'NO'", URG = "interrupts tasks that compute" } do
      local ok, message = pcall(neap.signal, name)
      assert.is_false(ok)
      assert.is_truthy(message:find(problem, 1, true), message)
    end
    for _, number in ipairs { 0, -1, 65, 1000 } do assert.has_error(function() neap.signal(number) end) end
    assert.has_error(function() neap.signal() end)
  end)

  it_races("is seen by who opens, waits and closes all the time", function()
    local stays <close> = neap.signal("USR2") -- what comes when none of the others is open ends nothing
    local threads = {}
    local enough = neap.event()
    for i = 1, 3 do
      threads[i] = neap.thread(function(over)
        local library = require "neap"
        while not over:is_set() do
          local signal <close> = library.signal("USR2")
          signal:wait(0.001)
        end
        return true
      end, enough)
    end
    for _ = 1, 20 * support.stress do
      kill("USR2")
      assert.is_true((stays:wait(60)))
    end
    enough:set()
    for _, thread in ipairs(threads) do assert.is_true((thread:join())) end
  end)
end)

describe("a signal that is open", function()
  local run = support.run_script

  it("does nothing else, however often it comes, until it is closed", function()
    local result = run [[
      local signal = neap.signal("INT")
      local function interrupt() io.popen("kill -INT " .. neap.getpid()):close() end
      for _ = 1, 3 do
        interrupt()
        print(signal:wait(60))
      end
      signal:close()
      interrupt()
      neap.sleep(60)
    ]]
    assert.are.same({ status = 130, stdout = "true\ntrue\ntrue\n", stderr = "" }, result)
  end)

  it("is closed when its last handle is collected", function()
    local result = run [[
      neap.signal("TERM")
      collectgarbage() collectgarbage()
      io.popen("kill -TERM " .. neap.getpid()):close()
      neap.sleep(60)
    ]]
    assert.are.same({ status = 143, stdout = "", stderr = "" }, result)
  end)

  it("that nobody waits for does not keep the program, nor a deadlock from being seen", function()
    assert.are.same({ status = 0, stdout = "", stderr = "" }, run [[signal = neap.signal("USR1")]])
    local result = run [[signal = neap.signal("USR1") neap.channel():recv()]]
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("deadlock", 1, true))
  end)

  it("that somebody waits for is no deadlock, and is one again once nobody does", function()
    local result = run [[
      local signal = neap.signal("USR1")
      local task = neap.spawn(function() return signal:wait(0.01) end)
      print(task:join())
      local waiting = neap.spawn(signal.wait, signal)
      neap.spawn(function() neap.sleep(0.01) signal:close() end)
      print(waiting:join())
      neap.channel():recv()
    ]]
    assert.are.equal("nil\ttimeout\ttimeout\nnil\tclosed\tclosed\n", result.stdout)
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("deadlock", 1, true), result.stderr)
  end)

  it("is cancelled with the program, after which signals do what they did", function()
    local result = run [[
      local signal = neap.signal("INT")
      neap.spawn({ daemon = true }, function()
        local _ <close> = setmetatable({}, { __close = function() print(signal:is_closed()) end })
        signal:wait()
      end)
      neap.yield()
    ]]
    assert.are.same({ status = 0, stdout = "true\n", stderr = "" }, result)
  end)

  it("works in a plain lua5.4", function()
    local result = support.run_plain [[
      local signal <close> = neap.signal("INT")
      neap.timer(0.01, function() io.popen("kill -INT " .. neap.getpid()):close() end)
      print(signal:wait(60))
    ]]
    assert.are.same({ status = 0, stdout = "true\n", stderr = "" }, result)
  end)

  it("in a child process takes what is sent to that", function()
    local result = run [[
      local ready = neap.channel()
      local child = neap.process(function(it)
        local library = require "neap"
        local signal <close> = library.signal("TERM")
        it:send(true)
        return signal:wait(60)
      end, ready)
      ready:recv()
      child:terminate()
      print(child:join(), child.exitcode)
    ]]
    assert.are.same({ status = 0, stdout = "true\t0\n", stderr = "" }, result)
  end)
end)
