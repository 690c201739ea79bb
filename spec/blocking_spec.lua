local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

describe("neap.blocking", function()
  it("returns what the function returns, in order and with its nils", function()
    local function echo(...) return ... end
    assert.are.same(table.pack(1, nil, "a", nil), table.pack(neap.blocking(echo, 1, nil, "a", nil)))
    assert.are.same(table.pack(), table.pack(neap.blocking(function() end)))
    assert.are.equal(5, neap.blocking(math.abs, -5))
  end)

  it("calls it in another thread, whose globals are its own", function()
    local id = neap.current().id
    assert.are_not.equal(id, neap.blocking(function() return require("neap").current().id end))
    neap.blocking(function() blocking_leak = 1 end) -- luacheck: ignore
    assert.is_nil(rawget(_G, "blocking_leak"))
  end)

  it("lets the other tasks of the thread go on", function()
    local there, back = neap.channel(), neap.channel()
    local task = grid.parked_task(neap.blocking, function(a, b)
      a:send("here")
      return b:recv()
    end, there, back)
    assert.are.equal("here", there:recv())
    back:send("go on")
    assert.are.equal("go on", task:join())
  end)

  it("runs as many at once as there are calls", function()
    local barrier = neap.barrier(12)
    local tasks = {}
    for i = 1, 12 do tasks[i] = neap.spawn(neap.blocking, function(it_) return it_:wait(60) ~= nil end, barrier) end
    for _, task in ipairs(tasks) do assert.is_true((task:join())) end
  end)

  it("uses a helper again, from any thread", function()
    local function who() return require("neap").current().name end
    local function id()
      local library = require "neap"
      return library.blocking(function() helper_mark = (helper_mark or 0) + 1 return helper_mark end) -- luacheck: ignore
    end
    assert.is_truthy(neap.blocking(who))
    local most = 0
    for _ = 1, 20 do most = math.max(most, id(), neap.thread(id):join()) end
    assert.is_true(most > 1)
  end)

  it("raises what the function raises, the original value", function()
    assert.has_error(function() neap.blocking(error, "text", 0) end, "text")
    local ok, err = pcall(neap.blocking, function() error({ code = 7 }) end)
    assert.is_false(ok)
    assert.are.same({ code = 7 }, err)
    ok, err = pcall(neap.blocking, error)
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  it("shows where in the function it was raised", function()
    local task = neap.spawn({ quiet = true }, function()
      neap.blocking(function()
        local function deep_inside() error("lost") end
        deep_inside()
      end)
    end)
    assert.is_false((pcall(task.join, task)))
    assert.matches("caused by:\nstack traceback:.*deep_inside", task:traceback())
  end)

  it("refuses what cannot be sent, before anything is called", function()
    local called = neap.channel(1)
    local ok, message = pcall(neap.blocking, function(it_) it_:send(1) end, called, { conn = io.stdout })
    assert.is_false(ok)
    assert.is_truthy(message:find("cannot send args[2].conn: userdata", 1, true), message)
    assert.are.equal(0, #called)
    local file = io.stdout
    ok, message = pcall(neap.blocking, function() return file end)
    assert.is_false(ok)
    assert.is_truthy(message:find("cannot send function", 1, true), message)
    assert.has_error(function() neap.blocking(5) end, "bad argument #1 to 'blocking' (function expected, got number)")
  end)

  it("says when a result or an error cannot be sent", function()
    local ok, message = pcall(neap.blocking, function() return 1, io.stdout end)
    assert.is_false(ok)
    assert.is_truthy(message:find("cannot send results[2]: userdata", 1, true), message)
    ok, message = pcall(neap.blocking, function() error(coroutine.create(print)) end)
    assert.is_false(ok)
    assert.is_truthy(message:find("cannot send the error: coroutine", 1, true), message)
    ok, message = pcall(neap.blocking, function()
      error(setmetatable({ code = 7 }, { __tostring = function(err) return "problem " .. err.code end }))
    end)
    assert.is_false(ok)
    assert.matches("^problem 7 %(cannot send the error: table whose metatable", message)
  end)

  it("says what an error that cannot be sent says, as a thread does, whatever its metatable shows", function()
    local function fail()
      error(setmetatable({}, { __metatable = {}, __tostring = function() return "locked" end }))
    end
    for _, call in ipairs({ neap.blocking, function(fn) return neap.thread({ quiet = true }, fn):join() end }) do
      local ok, message = pcall(call, fail)
      assert.is_false(ok)
      assert.matches("^locked %(cannot send [%l ]*error: table whose metatable", message)
    end
  end)

  it("stops waiting when it is cancelled or its time is over, and the call goes on", function()
    local go, went = neap.channel(), neap.channel(2)
    local function call(it_, after)
      it_:recv()
      after:send("went on")
      return "dropped"
    end
    local task = grid.parked_task(neap.blocking, call, go, went)
    task:cancel()
    grid.assert_cancelled(task)
    assert.are.same(table.pack(nil, "timeout", "timeout"),
      table.pack(neap.timeout(0.001, neap.blocking, call, go, went)))
    go:send(1)
    go:send(2)
    assert.are.equal("went on", went:recv())
    assert.are.equal("went on", went:recv())
    assert.are.equal("mine", neap.blocking(function() return "mine" end))
  end)

  it("abandons what the function has locked and not released", function()
    local lock = neap.lock()
    neap.blocking(function(it_) it_:acquire() end, lock)
    assert.are.same(table.pack(true, "abandoned"), table.pack(lock:acquire(60)))
  end)

  it("works in the main chunk of a plain lua5.4, and in a child process", function()
    assert.are.same({ status = 0, stdout = "3\n", stderr = "" },
      support.run_plain [[print(neap.blocking(function(a, b) return a + b end, 1, 2))]])
    assert.are.equal(6, grid.elsewhere(function() return require("neap").blocking(math.max, 6, 5) end))
  end)

  it("keeps no program alive, and hides no deadlock", function()
    assert.are.same({ status = 0, stdout = "", stderr = "" }, support.run_script [[neap.blocking(math.abs, 1)]])
    local result = support.run_script [[neap.blocking(math.abs, 1) neap.channel():recv()]]
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("deadlock", 1, true))
  end)

  it("answers at the end of the program, too, when its helpers are cancelled", function()
    local result = support.run_script [[
      local ready = neap.event()
      neap.spawn({ daemon = true }, function()
        local _ <close> = setmetatable({}, { __close = function() pcall(neap.blocking, math.abs, -1) end })
        neap.blocking(math.abs, -1)
        ready:set()
        neap.event():wait()
      end)
      ready:wait()
      neap.sleep(0.01) -- the helper waits for more, most likely]]
    assert.are.same({ status = 0, stdout = "", stderr = "" }, result)
  end)

  it("loses no call when many threads call at once #stress", function()
    local threads = {}
    for i = 1, 4 do
      threads[i] = neap.thread(function(times)
        local library, sum = require "neap", 0
        for n = 1, times do sum = sum + library.blocking(math.abs, -n) end
        return sum
      end, 200 * support.stress)
    end
    local times = 200 * support.stress
    for _, thread in ipairs(threads) do assert.are.equal(times * (times + 1) // 2, thread:join()) end
  end)
end)
