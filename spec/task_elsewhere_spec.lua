-- A task whose handle is in another thread.

local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local parked, finish = grid.parked, grid.finish

local function fail_quietly(...) return neap.spawn({ quiet = true }, error, ...) end

describe("a task seen from another thread", function()
  it("is joined there when a finaliser sent it while it was ending", function()
    assert.are.same({ status = 0, stdout = "1\t2\t3\n", stderr = "" }, support.run_script(support.finalise_soon .. [[
      local sent = neap.channel(1)
      local thread = neap.thread(function(channel) return channel:recv():join() end, sent)
      neap.spawn(function()
        finalise_soon(function() sent:send(neap.current(), 0) end)
        return 1, 2, 3
      end)
      print(thread:join())]]))
  end)

  it("is one, also when a finaliser sends it while it is being sent", function()
    assert.are.same({ status = 0, stdout = "true\t1\n", stderr = "" }, support.run_script(support.finalise_soon .. [[
      local sent = neap.channel(2)
      local thread = neap.thread(function(channel)
        local first, second = channel:recv(), channel:recv()
        return first == second, first:wait(5) and first:join()
      end, sent)
      neap.spawn(function()
        finalise_soon(function() sent:send(neap.current(), 0) end)
        sent:send(neap.current())
        return 1
      end)
      print(thread:join())]]))
  end)

  it("has ended when its thread has, although it did not do so in time", function()
    local result = support.run_script([[
      local sent = neap.channel(1)
      local thread = neap.thread(function(channel)
        local hang = neap.event()
        channel:send(neap.spawn({ daemon = true }, neap.shield, function() hang:wait() end))
        neap.yield()
      end, sent)
      local task = sent:recv()
      thread:join()
      print(task:status(), task:cancel(), task:wait(1), pcall(task.join, task))]])
    assert.are.same({ 0, "cancelled\tfalse\ttrue\tfalse\tits thread ended before it did\n" },
      { result.status, result.stdout })
  end)

  it("is joined there", function()
    local task = grid.parked_task(function(gate) return gate:recv(), nil, { 2 } end, neap.channel())
    task:cancel()
    local gate = neap.channel()
    task = grid.parked_task(function() return gate:recv(), nil, { 2 }, nil end)
    local thread = grid.parked_thread(function(h) return h:join() end, task)
    gate:send(1)
    assert.are.same(table.pack(1, nil, { 2 }, nil), table.pack(thread:join()))
  end)

  it("is joined there when it had ended before", function()
    local done, failed, cancelled = neap.spawn(function() return 1, nil end), fail_quietly({ code = 7 }), parked()
    cancelled:cancel("over")
    for _, task in ipairs({ done, failed, cancelled }) do finish(task) end
    local results = neap.thread(function(d, f, c)
      local _, err = pcall(f.join, f)
      local _, cancellation = pcall(c.join, c)
      return { table.pack(d:join()), err, neap.is_cancelled(cancellation), cancellation.reason, f:traceback() ~= nil,
        d:status(), f:status(), c:status(), d:is_alive(), f:error().code, d:error() }
    end, done, failed, cancelled):join()
    assert.are.same({ table.pack(1, nil), { code = 7 },
      true, "over", true, "done", "failed", "cancelled", false, 7 }, results)
  end)

  it("raises there what it raised, by value, with its traceback", function()
    local gate = neap.event()
    local task = grid.parked_task(function()
      gate:wait()
      error({ code = 9 })
    end)
    local thread = grid.parked_thread(function(h)
      local joined, err = pcall(h.join, h)
      return joined, err.code, h:traceback()
    end, task)
    gate:set()
    local joined, code, traceback = thread:join()
    assert.is_false(joined)
    assert.are.equal(9, code)
    assert.is_truthy(traceback:find("task_elsewhere_spec.lua", 1, true))
  end)

  it("fails there when its result cannot be sent, and is done at home", function()
    local gate = neap.event()
    local task = grid.parked_task(function()
      gate:wait()
      return coroutine.create(print)
    end)
    local thread = grid.parked_thread(function(h) return pcall(h.join, h) end, task)
    gate:set()
    local joined, message = thread:join()
    assert.is_false(joined)
    assert.is_truthy(message:find("cannot send result", 1, true), message)
    assert.are.equal("thread", type(task:join()))
  end)

  it("is cancelled from there, with the reason", function()
    local task = parked()
    assert.is_true((neap.thread(function(h) return h:cancel({ why = "afar" }) end, task):join()))
    finish(task)
    assert.are.same({ why = "afar" }, task:error().reason)
    assert.is_false(task:cancel())
    assert.is_false((neap.thread(function(h) return h:cancel() end, task):join()))
  end)

  it("is cancelled once, from there or from here", function()
    local going_on = neap.event()
    local task = grid.parked_task(function()
      pcall(neap.sleep, math.huge)
      neap.shield(going_on.wait, going_on)
      neap.yield()
    end)
    assert.is_true(task:cancel("here"))
    assert.is_false((neap.thread(function(h) return h:cancel("there") end, task):join()))
    going_on:set()
    finish(task)
    assert.are.equal("here", task:error().reason)
  end)

  it("is cancelled from there before its start", function()
    local ran = false
    local task = neap.timer(math.huge, function() ran = true end)
    assert.is_true((neap.thread(function(h) return h:cancel("early") end, task):join()))
    finish(task)
    assert.is_false(ran)
    assert.are.equal("cancelled", task:status())
    assert.are.equal("early", task:error().reason)
  end)

  it("has its status, name and id, and is named from there", function()
    local task = grid.parked_task(function() neap.event():wait() end)
    local results = neap.thread(function(h)
      local before = { h.name, h.id, h.daemon, h:status(), h:is_alive(), h:error(), tostring(h) }
      h.name = "renamed"
      return before
    end, task):join()
    assert.are.same({ "task-" .. task.id, task.id, false, "waiting", true, nil,
      "task: task-" .. task.id .. " (waiting)" }, results)
    assert.are.equal("renamed", task.name)
    task:cancel()
  end)

  it("has no data there", function()
    local task = parked()
    local ok, message = neap.thread(function(h) return pcall(function() return h.data end) end, task):join()
    assert.is_false(ok)
    assert.is_truthy(message:find("data of a task can be used in its own thread only", 1, true))
    task:cancel()
  end)
end)
