-- Values and errors on their way to another process and back, as to a thread: the same or an error, never a crash.

local neap = require "neap"
local support = require "spec.support"

-- What is sent to threads and processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local starters = { thread = neap.thread, process = neap.process }

--- An `it` for threads and for processes: test(start).
local function it_travels(name, test)
  for kind, start in pairs(starters) do
    it(("%s (%s)"):format(name, kind), function()
      test(function(...) return start({ quiet = true }, ...) end)
    end)
  end
end

local function echo(...) return ... end

local function there_and_back(start, ...) return start(echo, ...):join() end

--- Calls `fn` there with the values, and returns what it returned.
local function elsewhere(start, fn, ...) return start(fn, ...):join() end

describe("what travels", function()
  it_travels("is each plain value: as a value, a key, nested, in an upvalue, in an error", function(start)
    local values = {
      true, false, 0, 1, -1, math.maxinteger, math.mininteger, 0.5, 1e308, -1e-308, math.huge, -math.huge, "", "x",
      "a\0b\0", ("\xff\xfe"):rep(100), ("y"):rep(100000), neap.null,
    }
    for _, value in ipairs(values) do
      assert.are.equal(value, (there_and_back(start, value)))
      assert.are.same({ [value] = { value } }, (there_and_back(start, { [value] = { value } })))
      assert.are.equal(value, (elsewhere(start, function() return value end)))
      local failing = start(function() error(value, 0) end)
      assert.are.equal(value, select(2, pcall(failing.join, failing)))
    end
  end)

  it_travels("keeps integers and floats apart, -0 and NaN", function(start)
    local integer, float, minus, nan, nothing, last = there_and_back(start, 1, 1.0, -0.0, 0 / 0, nil, nil)
    assert.are.equal("integer", math.type(integer))
    assert.are.equal("float", math.type(float))
    assert.are.equal(-math.huge, 1 / minus)
    assert.are_not.equal(nan, nan)
    assert.are.same({ nil, nil }, { nothing, last })
    assert.are.equal(6, select("#", there_and_back(start, 1, 1.0, -0.0, 0 / 0, nil, nil)))
  end)

  it_travels("keeps cycles and shared references", function(start)
    local shared = {}
    local cycle = { shared, shared }
    cycle[cycle], cycle.self = cycle, cycle
    local back = there_and_back(start, cycle)
    assert.are.equal(back, back.self)
    assert.are.equal(back, back[back])
    assert.are.equal(back[1], back[2])
  end)

  it_travels("is deep or is refused, with its path", function(start)
    local function nest(depth)
      local table = {}
      for _ = 1, depth - 1 do table = { table } end
      return table
    end
    for _, depth in ipairs({ 33, 200, 100000 }) do
      local back, count = there_and_back(start, nest(depth)), 0
      while back do back, count = back[1], count + 1 end
      assert.are.equal(depth, count)
    end
    local ok, message = pcall(start, echo, nest(1000000))
    assert.is_false(ok)
    assert.matches("cannot send args%[1%]", message)
  end)

  it_travels("has a million keys", function(start)
    local keys = {}
    for i = 1, 1000000 do keys[i] = i end
    local count, last = elsewhere(start, function(t) return #t, t[#t] end, keys)
    assert.are.same({ 1000000, 1000000 }, { count, last })
  end)

  it_travels("are functions: with shared upvalues, recursive, with an _ENV of their own, of C", function(start)
    local count = 0
    local function up() count = count + 1 return count end
    local function get() return count end
    local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
    local sealed = load("return x", "sealed", "t", { x = 42 })
    local results = table.pack(elsewhere(start, function(a, b, c, d, e)
      a()
      a()
      return b(), c(10), d(), e("%d", 7)
    end, up, get, fib, sealed, string.format))
    assert.are.same({ 2, 55, 42, "7", n = 4 }, results)
    assert.are.equal(0, count)
    assert.are.equal(string.format, (there_and_back(start, string.format)))
  end)

  it_travels("is refused in the sender with its path, and nothing has started", function(start)
    for _, value in ipairs({ coroutine.create(print), io.stdout, coroutine.wrap(print) }) do
      local ok, message = pcall(start, echo, 1, { conn = value })
      assert.is_false(ok)
      assert.matches("cannot send args%[2%]%.conn: ", message)
    end
  end)

  it_travels("is refused as a result or an error where it ends, and the handle fails with that reason", function(start)
    local result = start(function() return { io.stdout } end)
    assert.matches("cannot send", select(2, pcall(result.join, result)))
    local failing = start(function() error({ coroutine.create(print) }) end)
    assert.is_false((pcall(failing.join, failing)))
    assert.are.equal("failed", failing:status())
  end)
end)

describe("an error", function()
  it_travels("is nil, a table, or a megabyte of text, and comes as it is", function(start)
    for _, value in ipairs({ { code = 7, { "nested" } }, ("z"):rep(1 << 20) }) do
      local failing = start(function(v) error(v, 0) end, value)
      assert.are.same(value, select(2, pcall(failing.join, failing)))
    end
    local failing = start(function() error(nil) end)
    local ok, err = pcall(failing.join, failing)
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  it_travels("whose __tostring throws does no harm", function(start)
    local failing = start(function()
      error(setmetatable({}, { __tostring = function() error("inner") end }))
    end)
    assert.is_false((pcall(failing.join, failing)))
    assert.are.equal("failed", failing:status())
  end)

  it("goes through three processes as it is, with a traceback through all of them", function()
    local function descend(depth, again)
      if depth == 0 then error({ code = 99 }) end
      require("neap").process({ quiet = true, name = "p" .. depth }, again, depth - 1, again):join()
    end
    local failing = neap.process({ quiet = true, name = "p3" }, descend, 2, descend)
    local ok, err = pcall(failing.join, failing)
    assert.is_false(ok)
    assert.are.same({ code = 99 }, err)
    local _, hops = failing:traceback():gsub("spawned at", "")
    assert.is_true(hops >= 3, failing:traceback())
  end)

  it("of a process that nobody joins is told whatever it is, and makes the status 1", function()
    for _, value in ipairs({ "nil", "{}", "setmetatable({}, { __tostring = function() error('inner') end })" }) do
      local result = support.run_script(("neap.process({ name = 'p1' }, function() error(%s) end)"):format(value))
      assert.are.equal(1, result.status)
      assert.matches("neap: process p1 failed: ", result.stderr)
    end
  end)
end)
