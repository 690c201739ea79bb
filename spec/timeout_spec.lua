-- neap.timeout: what it covers, and what ends when its time is over.

local neap = require "neap"
local grid = require "spec.grid"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local park = grid.park

--- Closes by calling `fn`.
local function closing(fn) return setmetatable({}, { __close = function(_, err) return fn(err) end }) end

local function wait_for_ever() neap.event():wait() end

--- Runs fn(...) in a task of its own.
local function in_task(fn, ...) return neap.spawn({ quiet = true }, fn, ...):join() end

describe("timeout", function()
  it("returns what the function returned", function()
    assert.are.same(table.pack(1, nil, 3, nil),
      table.pack(in_task(neap.timeout, math.huge, function(...) return ... end, 1, nil, 3, nil)))
    assert.are.same(table.pack(), table.pack(neap.timeout(0, function() end)))
  end)

  it("returns nil and timeout when its time is over at a wait", function()
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(neap.timeout(0.001, wait_for_ever)))
  end)

  it("of zero ends at the first wait, not before", function()
    local began, went_on = false, false
    local result = table.pack(in_task(neap.timeout, 0, function()
      began = true
      wait_for_ever()
      went_on = true
    end))
    assert.are.same(table.pack(nil, "timeout", "timeout"), result)
    assert.is_true(began)
    assert.is_false(went_on)
    assert.are.equal("no wait", (neap.timeout(0, function() return "no wait" end)))
  end)

  it("refuses what is no time, and what is no function", function()
    for _, bad in ipairs({ -1, 0 / 0, -math.huge, "1", {}, false }) do
      assert.has_error(function() neap.timeout(bad, print) end)
    end
    assert.has_error(function() neap.timeout(1) end)
    assert.has_error(function() neap.timeout(1, {}) end)
  end)

  it("lets errors pass, the value itself", function()
    local err = {}
    local ok, raised = pcall(neap.timeout, math.huge, error, err)
    assert.is_false(ok)
    assert.are.equal(err, raised)
  end)

  it("ends at the nearest when nested", function()
    local function nested(outer, inner)
      return in_task(neap.timeout, outer, function()
        return "outer", neap.timeout(inner, wait_for_ever)
      end)
    end
    assert.are.same(table.pack("outer", nil, "timeout", "timeout"), table.pack(nested(math.huge, 0.001)))
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(nested(0.001, math.huge)))
    assert.are.same(table.pack("outer", nil, "timeout", "timeout"), table.pack(nested(3600, 0)))
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(nested(0, 3600)))
  end)

  it("goes on outside when an inner one is over", function()
    local values = in_task(neap.timeout, 3600, function()
      local seen = {}
      for i = 1, 10 do seen[i] = select(2, neap.timeout(0.0001, wait_for_ever)) end
      neap.yield()
      return seen
    end)
    assert.are.same({ "timeout", "timeout", "timeout", "timeout", "timeout", "timeout", "timeout", "timeout", "timeout",
      "timeout" }, values)
  end)

  it("that is swallowed raises again at the next wait within, and no more outside", function()
    local seen = {}
    local result = table.pack(in_task(neap.timeout, 0.001, function()
      for i = 1, 3 do seen[i] = neap.is_cancelled(select(2, pcall(wait_for_ever))) end
      return "the function's own result"
    end))
    assert.are.same({ true, true, true }, seen)
    assert.are.same(table.pack("the function's own result"), result)
    assert.is_true(in_task(function()
      neap.timeout(0.001, wait_for_ever)
      neap.yield()
      return true
    end))
  end)

  it("does not catch the cancellation of the task", function()
    local task = grid.parked_task(neap.timeout, math.huge, wait_for_ever)
    task:cancel()
    grid.assert_cancelled(task)
  end)

  it("does not catch another's cancellation", function()
    local other = grid.parked_task(wait_for_ever)
    local task = neap.spawn({ quiet = true }, neap.timeout, math.huge, other.join, other)
    park(task)
    other:cancel()
    grid.assert_cancelled(task)
    assert.are.equal("failed", task:status())
  end)

  it("leaves a wait with a shorter timeout its own", function()
    assert.are.same(table.pack("own", nil, "timeout", "timeout"),
      table.pack(neap.timeout(3600, function() return "own", neap.channel():recv(0.001) end)))
  end)

  it("reaches waits inside generators", function()
    local result = table.pack(in_task(neap.timeout, 0.001, function()
      for value in coroutine.wrap(function()
        coroutine.yield(1)
        wait_for_ever()
      end) do
        assert(value == 1)
      end
    end))
    assert.are.same(table.pack(nil, "timeout", "timeout"), result)
  end)

  it("in a generator counts only while its code runs", function()
    in_task(function()
      local generator = coroutine.wrap(function()
        return neap.timeout(0, function()
          coroutine.yield("out")
          wait_for_ever()
        end)
      end)
      assert(generator() == "out")
      neap.yield() -- not within
      local value, code = generator()
      assert(value == nil and code == "timeout")
      neap.yield()
    end)
  end)

  it("in a generator ends at the nearest of its own and those of who goes on with it", function()
    in_task(function()
      local generator = coroutine.wrap(function()
        return neap.timeout(3600, function()
          coroutine.yield("out")
          wait_for_ever()
        end)
      end)
      generator()
      assert(select(2, neap.timeout(0.001, generator)) == "timeout")
      generator = coroutine.wrap(function()
        return "inner", neap.timeout(0.001, function()
          coroutine.yield("out")
          wait_for_ever()
        end)
      end)
      neap.timeout(7200, generator)
      local which, _, code = neap.timeout(3600, generator)
      assert(which == "inner" and code == "timeout")
    end)
  end)

  it("around a generator that another has begun counts as well", function()
    in_task(function()
      local generator = coroutine.wrap(function()
        coroutine.yield("first")
        wait_for_ever()
      end)
      assert(generator() == "first")
      assert(select(2, neap.timeout(0.001, generator)) == "timeout")
    end)
  end)

  it("waits for the variables that are closed", function()
    local closed = false
    local result = table.pack(in_task(neap.timeout, 0, function()
      local _ <close> = closing(function(err)
        neap.sleep(0.001)
        neap.yield()
        closed = neap.is_cancelled(err)
      end)
      wait_for_ever()
    end))
    assert.is_true(closed)
    assert.are.same(table.pack(nil, "timeout", "timeout"), result)
  end)

  it("has the reason timeout", function()
    local reason = in_task(neap.timeout, 0, function() return select(2, pcall(wait_for_ever)).reason end)
    assert.are.equal("timeout", reason)
  end)

  it("nests deeply", function()
    local function nest(depth)
      if depth == 0 then return wait_for_ever() end
      return neap.timeout(depth == 50 and 0 or 3600, nest, depth - 1)
    end
    assert.are.same(table.pack(nil, "timeout", "timeout"), table.pack(in_task(nest, 100)))
  end)
end)
