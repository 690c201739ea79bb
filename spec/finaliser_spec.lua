-- What a finaliser may do with channels, locks and their like: all but wait. A collection may come at any allocation,
-- so also in the middle of the very same operations.

local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

--- Runs `action` in a finaliser, now; raises what it raised.
local function finalise(action)
  local results
  setmetatable({}, { __gc = function() results = results or table.pack(pcall(action)) end })
  collectgarbage()
  collectgarbage()
  assert(results, "the finaliser has not run")
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

describe("a finaliser", function()
  it("does what can be done at once", function()
    local lock, semaphore, event, queue = neap.lock(), neap.semaphore(1), neap.event(), neap.queue()
    local rwlock, channel, a, b = neap.rwlock(), neap.channel(1), neap.pipe()
    finalise(function()
      lock:acquire()
      lock:release()
      lock:with(function() end)
      semaphore:acquire()
      event:set()
      event:wait()
      queue:put(1)
      rwlock:acquire_read()
      rwlock:release()
      channel:send({})
      channel:close()
      a:send(2)
    end)
    assert.is_false(lock:locked())
    assert.are.equal(0, semaphore:value())
    assert.is_true(event:is_set())
    assert.are.equal(1, (queue:get(0)))
    assert.are.equal(2, (b:recv(0)))
  end)

  it("wakes those that wait", function()
    local event = neap.event()
    local task, thread = grid.parked_task(event.wait, event), grid.parked_thread(function(e) return e:wait() end, event)
    finalise(function() event:set() end)
    assert.is_true((task:join()))
    assert.is_true((thread:join()))
  end)

  it("is told that it cannot wait", function()
    local lock, event = neap.lock(), neap.event()
    lock:acquire()
    neap.spawn(function()
      for _, wait in ipairs({ function() lock:acquire() end, function() event:wait() end,
        function() event:wait(5) end, function() neap.queue():get() end, function() neap.barrier(2):wait() end }) do
        local ok, message = pcall(finalise, wait)
        assert(not ok and message:find("cannot wait inside", 1, true), message)
      end
      assert(finalise(function() return event:wait(0) end) == nil)
    end):join()
    lock:release()
  end)

  it("may come in the middle of any operation", function()
    local queue, lock, event = neap.queue(), neap.lock(), neap.event()
    local runs = 0
    local function litter()
      setmetatable({}, { __gc = function()
        runs = runs + 1
        event:set()
        event:clear()
        queue:put({ "litter" }, 0)
        queue:get(0)
        if not lock:locked() then lock:with(function() return { "more" } end) end
      end })
    end
    local mode = collectgarbage("generational")
    for _ = 1, 500 do
      litter()
      queue:put({ 1, { 2 }, "three" })
      queue:get(0)
      local _ <close> = neap.semaphore():guard()
      neap.channel(1):send({ {} })
      neap.pipe()
      collectgarbage("step")
    end
    collectgarbage(mode)
    collectgarbage()
    assert.is_true(runs > 400)
    assert.is_false(lock:locked())
  end)
end)

describe("a finaliser of a state that is being closed", function()
  it("uses what it has, and gets nothing new", function()
    local function says(what) return "false\t" .. what .. "\n" end
    local new = says("cannot make a %s: the state is being closed")
    assert.are.same({
      status = 0,
      stdout = "true\t1\ttrue\n" .. new:format("channel") .. new:format("guard") .. new:format("thread")
        .. says("cannot spawn: the program is ending") .. says("cannot wait inside __gc: a finaliser must not wait"),
      stderr = "",
    }, support.run_script([[
      local lock, channel = neap.lock(), neap.channel(1)
      kept = setmetatable({}, { __gc = function()
        lock:acquire()
        channel:send(1)
        print(lock:locked(), channel:recv(), (pcall(lock.release, lock)))
        print(pcall(neap.channel))
        print(pcall(lock.guard, lock))
        print(pcall(neap.thread, print))
        print(pcall(neap.spawn, print))
        print(pcall(neap.sleep, 60))
      end })]]))
  end)

  it("may be older than the module", function()
    local path = os.getenv("LUA_CPATH") or "./build/?.so;;"
    local code = support.quote([[
      local late = {}
      older = setmetatable({}, { __gc = function()
        print(type(late.neap.now()), late.neap.is_cancelled(1), pcall(late.neap.channel))
      end })
      late.neap = require "neap"
      late.lock = late.neap.lock()]])
    for _, interpreter in ipairs({ support.quote(support.runner),
      "env LUA_CPATH=" .. support.quote(path) .. " " .. support.lua }) do
      assert.are.same({
        status = 0,
        stdout = "number\tfalse\tfalse\tcannot make a channel: the state is being closed\n",
        stderr = "",
      }, support.run_command(interpreter .. " -e " .. code))
    end
  end)

  it("leaves what it has taken abandoned", function()
    local lock, taken = neap.lock(), neap.channel(1)
    neap.thread(function()
      kept = setmetatable({}, { __gc = function() -- luacheck: ignore
        lock:acquire()
        taken:send(true)
      end })
    end):join()
    assert.is_true((taken:recv()))
    assert.are.same({ true, "abandoned" }, { lock:acquire() })
    lock:release()
  end)
end)
