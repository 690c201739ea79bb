-- Functions and modules that are sent.

local neap = require "neap"
local support = require "spec.support"
local ways = require("spec.passage").ways

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

describe("a function that is sent", function()
  it("takes its upvalues along, and leaves those of the sender alone", function()
    local count, names = 1, { "a" }
    local function change()
      count = count + 1
      table.insert(names, "b")
      return count, #names
    end
    for _ = 1, 2 do assert.are.same({ 2, 2 }, { neap.thread(change):join() }) end
    assert.are.same({ 2, 2 }, { ways.channel(change)() })
    assert.are.same({ 1, { "a" } }, { count, names })
  end)

  it("shares upvalues with the other functions of the message", function()
    local count = 0
    local function increase() count = count + 1 end
    local function get() return count end
    for _, way in pairs(ways) do
      local arrived = way({ get, { increase = increase }, [increase] = { function() return count end } })
      arrived[2].increase()
      arrived[2].increase()
      assert.are.equal(2, arrived[1]())
      assert.are.equal(2, arrived[arrived[2].increase][1]())
    end
    assert.are.equal(0, count)
    assert.are.equal(1, neap.thread(function(i, g)
      i()
      return g()
    end, increase, get):join())
  end)

  it("calls itself, or another that calls it", function()
    local function factorial(n) return n < 2 and 1 or n * factorial(n - 1) end
    local is_even
    local function is_odd(n) return n ~= 0 and is_even(n - 1) end
    function is_even(n) return n == 0 or is_odd(n - 1) end
    assert.are.equal(3628800, neap.thread(factorial, 10):join())
    assert.are.same({ true, false }, { neap.thread(function(n) return is_even(n), is_odd(n) end, 10):join() })
    assert.are.equal(120, ways.channel(factorial)(5))
  end)

  it("is the same one wherever the message has it, and differs from others", function()
    for _, way in pairs(ways) do
      local function sent() return print end
      local arrived = way({ sent, { sent }, [sent] = true })
      assert.are.equal(arrived[1], arrived[2][1])
      assert.is_true(arrived[arrived[1]])
      local made = {}
      for i = 1, 3 do made[i] = function() return 1 end end
      made = way(made)
      assert.are_not.equal(made[1], made[2])
      assert.are_not.equal(made[2], made[3])
    end
  end)

  it("sees the globals of where it arrives", function()
    assert.are.equal(nil, VALUES_SPEC) -- luacheck: ignore 113
    local globals = _G
    assert.are.same({ "set", true }, { neap.thread(function()
      VALUES_SPEC = "set" -- luacheck: ignore 111
      return VALUES_SPEC, globals == _G and _G == _ENV -- luacheck: ignore 113
    end):join() })
    assert.are.equal(nil, VALUES_SPEC) -- luacheck: ignore 113
  end)

  it("keeps an _ENV of its own", function()
    local environment = { x = 5, type = type }
    local set = load("x = x + 1 return x, type(y)", "set", "t", environment)
    local get = load("return x", "get", "t", environment)
    assert.are.same({ 6, "nil" }, { neap.thread(set):join() })
    assert.are.equal(6, neap.thread(function(s, g)
      s()
      return g()
    end, set, get):join())
    assert.are.equal(5, environment.x)
  end)

  it("falls back on the globals if its _ENV has a metatable", function()
    local environment = setmetatable({ x = 5 }, { __index = _G })
    local sent = load("x = x + 1 return x, math.type(x)", "sent", "t", environment)
    assert.are.same({ 6, "integer" }, { neap.thread(sent):join() })
    assert.are.same({ 6, "integer" }, { ways.channel(sent)() })
    assert.are.equal(5, environment.x)
  end)

  it("has no harm from what its last run did to its _ENV", function()
    local function sent()
      local before = type(_ENV.print)
      _ENV = { type = type }
      return before
    end
    local inbox, outbox = neap.channel(), neap.channel()
    local thread = neap.thread(function() for f in inbox:iter() do outbox:send(f()) end end)
    for _ = 1, 3 do
      inbox:send(sent)
      assert.are.equal("function", outbox:recv())
    end
    inbox:close()
    thread:join()
  end)

  it("keeps its lines and names in errors", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local thread = neap.thread({ quiet = true }, function() local missing = nil; return missing.field end)
    local _, err = pcall(thread.join, thread)
    assert.matches("function_spec.lua:" .. line .. ": attempt to index a nil value %(local 'missing'%)", err)
  end)

  it("may be stripped", function()
    local stripped = load(string.dump(load("local a = ... return (a or 1) + (X or 1)"), true))
    assert.are.equal(6, neap.thread(stripped, 5):join())
  end)

  it("has as many upvalues as Lua allows", function()
    local text = {}
    for i = 1, 120 do table.insert(text, ("local a%d = %d"):format(i, i)) end
    table.insert(text, "return function() return 0")
    for i = 1, 120 do table.insert(text, "+ a" .. i) end
    table.insert(text, "end")
    local sum = load(table.concat(text, " "))()
    assert.are.equal(7260, neap.thread(sum):join())
  end)

  it("is made and sent anew, many times", function()
    local inbox, outbox = neap.channel(10), neap.channel(10)
    local thread = neap.thread(function() for f in inbox:iter() do outbox:send(f()) end end)
    for i = 1, 1000 do
      inbox:send(function() return i end)
      assert.are.equal(i, outbox:recv())
      inbox:send(load("return " .. i))
      assert.are.equal(i, outbox:recv())
    end
    inbox:close()
    thread:join()
  end)
end)

describe("a function of Lua that neap has replaced", function()
  it("goes by its name, where a script has kept it from before neap was loaded", function()
    local script <close> = support.temporary_file([[
      local print, pcall, write, traceback, yield = print, pcall, io.write, debug.traceback, coroutine.yield
      local neap = require "neap"
      neap.thread(function()
        print(print == _G.print, pcall == _G.pcall, write == io.write, traceback == debug.traceback,
          yield == coroutine.yield)
      end):join()]])
    local path = os.getenv("LUA_CPATH") or "./build/?.so;;"
    assert.are.same({ status = 0, stdout = "true\ttrue\ttrue\ttrue\ttrue\n", stderr = "" }, support.run_command(
      "env LUA_CPATH=" .. support.quote(path) .. " " .. support.lua .. " " .. support.quote(script.path)))
  end)
end)

describe("a module that is sent", function()
  it("is loaded where it arrives", function()
    local counter = require "spec.sample.counter"
    assert.are.same({ 1, 42 }, { neap.thread(function()
      return LOADED, counter.answer() -- luacheck: ignore 113
    end):join() })
  end)

  it("raises where it cannot be loaded, with its name", function()
    package.loaded["spec.sample.absent"] = { 1 }
    local absent = package.loaded["spec.sample.absent"]
    assert.are.equal(absent, ways.channel(absent))
    local thread = neap.thread({ quiet = true }, function() return absent end)
    local joined, err = pcall(thread.join, thread)
    package.loaded["spec.sample.absent"] = nil
    assert.is_false(joined)
    assert.matches("spec%.sample%.absent", tostring(err))
  end)

  it("is a table like any other once it is not loaded any more", function()
    package.loaded["spec.sample.absent"] = { 1 }
    local absent = package.loaded["spec.sample.absent"]
    assert.are.equal(absent, ways.channel(absent))
    package.loaded["spec.sample.absent"] = nil
    assert.are_not.equal(absent, ways.channel(absent))
    assert.are.same({ 1 }, ways.thread(absent))
  end)
end)
