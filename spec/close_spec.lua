-- Handles of what runs, as to-be-closed variables.

local neap = require "neap"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

--- Leaves a scope that has `handle` as its variable: well, or by the error.
local function leave(handle, err)
  local _ <close> = handle
  if err ~= nil then error(err, 0) end
end

local classes = { spawn = neap.Task, thread = neap.Thread, process = neap.Process }

for kind, class in pairs(classes) do
  describe("a to-be-closed handle of neap." .. kind, function()
    local start = neap[kind]

    it("is waited for where its scope is left well", function()
      local gate = neap.event()
      local handle = start(function(event)
        event:wait()
        return "all of it"
      end, gate)
      neap.timer(0.001, gate.set, gate)
      leave(handle)
      assert.are.equal("done", handle:status())
      assert.are.equal("all of it", handle:join())
    end)

    it("is cancelled, and waited for, where its scope is left by an error", function()
      local closed, gate = neap.channel(1), neap.event()
      local handle = start(function(channel, event)
        local _ <close> = setmetatable({}, { __close = function() channel:send("closed") end })
        event:set()
        neap.sleep(3600)
      end, closed, gate)
      gate:wait()
      assert.are.same({ false, "by an error" }, { pcall(leave, handle, "by an error") })
      assert.are.equal("cancelled", handle:status())
      assert.are.equal("closed", (closed:recv(0)))
    end)

    it("is cancelled if it is a daemon", function()
      local handle = start({ daemon = true }, function() neap.sleep(3600) end)
      leave(handle)
      assert.are.equal("cancelled", handle:status())
    end)

    it("keeps its failure for who joins it", function()
      local handle = start({ quiet = true }, function() error("on purpose", 0) end)
      leave(handle)
      assert.are.same({ false, "on purpose" }, { pcall(handle.join, handle) })
    end)

    it("may have been made by its class", function()
      local gate = neap.event()
      local object = class { target = gate.wait, args = { gate } }
      leave(object) -- nothing has started
      assert.are.equal("new", object:status())
      object:start()
      neap.timer(0.001, gate.set, gate)
      leave(object)
      assert.are.equal("done", object:status())
    end)

    it("may be held by another process", function()
      local handle = start(function() neap.sleep(3600) end)
      local left = neap.process({ quiet = true }, function(held)
        local _ <close> = held
        error("in the child", 0)
      end, handle)
      assert.are.same({ false, "in the child" }, { pcall(left.join, left) })
      assert.are.equal("cancelled", handle:status())
    end)
  end)
end

--- A timer whose function has begun, and ends when the event that is returned too is set.
local function running_timer()
  local begun, gate = neap.event(), neap.event()
  local timer = neap.timer(0, function()
    begun:set()
    gate:wait()
    return "to the end"
  end)
  begun:wait()
  return timer, gate
end

describe("a to-be-closed timer", function()
  it("is cancelled where its scope is left", function()
    local beats = neap.semaphore(0)
    for _, timer in ipairs { neap.timer(3600, error, "too late"), neap.every(0.001, beats.release, beats) } do
      beats:acquire()
      leave(timer)
      assert.are.equal("cancelled", timer:status())
      beats:release()
    end
  end)

  for name, start in pairs { thread = neap.thread, process = neap.process } do
    it("is cancelled where its scope in another " .. name .. " is left", function()
      local beats = neap.semaphore(0)
      for _, timer in ipairs { neap.timer(3600, error, "too late"), neap.every(0.001, beats.release, beats) } do
        start(leave, timer):join()
        assert.are.equal("cancelled", timer:status())
      end
    end)

    it("whose function runs is waited for, and not cancelled, by another " .. name, function()
      local timer, gate = running_timer()
      local asked = start(function(held, event)
        local asked = held:cancel()
        event:set()
        local _ <close> = held
        return asked
      end, timer, gate):join()
      assert.is_false(asked)
      assert.are.equal("done", timer:status())
      assert.are.equal("to the end", timer:join())
    end)
  end

  it("is waited for if its function runs", function()
    local timer, gate = running_timer()
    neap.timer(0.001, gate.set, gate)
    leave(timer)
    assert.are.equal("to the end", timer:join())
  end)
end)

it("what failed and is only closed is told at the end of the program", function()
  local result = support.run_script([[
    local _ <close> = neap.spawn({ name = "worker" }, error, "on purpose", 0)]])
  assert.are.equal(1, result.status)
  assert.matches("worker.-on purpose", result.stderr)
end)
