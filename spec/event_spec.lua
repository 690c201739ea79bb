local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races = trial.it_races

grid.ask("event:wait", { blocked = neap.event, wait = function(e, timeout) return e:wait(timeout) end,
  serve = function(e)
    e:set()
    e:clear() -- those that wait go on all the same
  end, served = table.pack(true), all = true })

describe("event", function()
  it("is not set at first", function()
    local event = neap.event()
    assert.is_false(event:is_set())
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(event:wait(0)))
  end)

  it("is set until it is cleared", function()
    local event = neap.event()
    event:set()
    event:set()
    assert.is_true(event:is_set())
    assert.are.same(table.pack(true), table.pack(event:wait()))
    assert.are.same(table.pack(true), table.pack(event:wait(0)))
    event:clear()
    event:clear()
    assert.is_false(event:is_set())
    assert.is_nil((event:wait(0)))
  end)

  it("wakes tasks of all threads", function()
    local event, waiters = neap.event(), {}
    for i = 1, 4 do
      waiters[i] = (i % 2 == 0 and grid.parked_task or grid.parked_thread)(function(e) return e:wait() end, event)
    end
    event:set()
    for _, waiter in ipairs(waiters) do assert.is_true((waiter:join())) end
  end)

  it("is set from another thread", function()
    local event = neap.event()
    local thread = neap.thread(function(e) e:set() end, event)
    assert.is_true((event:wait()))
    thread:join()
  end)

  it_races("is never slept through", function()
    local there, back = neap.event(), neap.event()
    local times = 500 * support.stress
    local thread = neap.thread(function(a, b, count)
      for _ = 1, count do
        a:wait()
        a:clear()
        b:set()
      end
    end, there, back, times)
    for _ = 1, times do
      there:set()
      assert(back:wait())
      back:clear()
    end
    thread:join()
  end)

  it("says how it stands", function()
    local event = neap.event()
    assert.is_truthy(tostring(event):find("^event: .* %(not set%)$"))
    event:set()
    assert.is_truthy(tostring(event):find("^event: .* %(set%)$"))
  end)

  it("refuses what is not one", function()
    local event = neap.event()
    assert.has_error(function() event.wait(neap.lock()) end)
    assert.has_error(function() event.set() end)
  end)
end)
