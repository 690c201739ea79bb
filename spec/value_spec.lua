local neap = require "neap"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races, raises = trial.it_races, trial.raises

--- Least and greatest of the types that are integers.
local ranges = {
  i8 = { -0x80, 0x7f }, i16 = { -0x8000, 0x7fff }, i32 = { -0x80000000, 0x7fffffff },
  i64 = { math.mininteger, math.maxinteger },
  u8 = { 0, 0xff }, u16 = { 0, 0xffff }, u32 = { 0, 0xffffffff }, u64 = { 0, math.maxinteger },
}

describe("value", function()
  it("is zero, or what it is given", function()
    for type_name, range in pairs(ranges) do
      assert.are.equal(0, neap.value(type_name):get())
      assert.are.equal(range[1], neap.value(type_name, range[1]):get())
      assert.are.equal(range[2], neap.value(type_name, range[2]):get())
    end
    assert.is_false(neap.value("bool"):get())
    assert.is_true(neap.value("bool", true):get())
    assert.are.equal("float", math.type(neap.value("f64"):get()))
    assert.are.equal(0.5, neap.value("f32", 0.5):get())
  end)

  it("refuses a type that is none", function()
    raises("unknown type 'i7' %(known: i8, i16, i32, i64, u8, u16, u32, u64, bool, f32, f64%)", neap.value, "i7")
    raises("string expected, got no value", neap.value)
    raises("string expected, got table", neap.value, {})
  end)

  it("refuses what is beyond its type, and keeps what it has", function()
    for type_name, range in pairs(ranges) do
      local value = neap.value(type_name, 1)
      for _, beyond in ipairs({ range[1] - 1.0, range[2] + 1.0, -2.0 ^ 70, 2.0 ^ 70 }) do
        if beyond < range[1] or beyond > range[2] then
          raises("out of the range of " .. type_name, value.set, value, beyond)
          raises("out of the range of " .. type_name, neap.value, type_name, beyond)
          raises("out of the range of " .. type_name, value.cas, value, 1, beyond)
        end
      end
      assert.are.equal(1, value:get())
    end
    raises("3.5e%+38 is too large for f32", neap.value, "f32", 3.5e38)
  end)

  it("says what it wants and what it got", function()
    local value = neap.value("i32", 7)
    raises("#1 to 'set' %(i32 expected, got string%)", function() value:set("7") end)
    raises("#1 to 'set' %(i32 expected, got no value%)", function() value:set() end)
    raises("#1 to 'set' %(i32 expected, got boolean%)", function() value:set(true) end)
    raises("#1 to 'set' %(i32 expected, 1.5 is no integer%)", function() value:set(1.5) end)
    raises("#1 to 'set' %(300 is out of the range of u8, 0 to 255%)", function() neap.value("u8"):set(300) end)
    raises("#2 to 'cas' %(i32 expected, got nil%)", function() value:cas(7, nil) end)
    raises("bool expected, got number", neap.value, "bool", 1)
    raises("f64 expected, got string", neap.value, "f64", "1")
    raises("value expected, got table", value.get, {})
    raises("value expected, got lock", value.get, neap.lock())
    assert.are.equal(7, value:get())
  end)

  it("takes a float without a fraction for an integer", function()
    local value = neap.value("i32", 3.0)
    assert.are.equal("integer", math.type(value:get()))
    value:set(-0.0)
    assert.are.equal(0, value:get())
    raises("inf is out of the range", value.set, value, math.huge)
    raises("nan", value.set, value, 0 / 0)
  end)

  it("rounds to f32", function()
    local value = neap.value("f32", 0.1)
    assert.are.equal(string.unpack("f", string.pack("f", 0.1)), value:get())
    assert.is_true(value:cas(0.1, 0.25))
    value:set(-math.huge)
    assert.are.equal(-math.huge, value:get())
  end)

  it("adds, and gives the sum", function()
    local value = neap.value("i16", 5)
    assert.are.equal(12, value:add(7))
    assert.are.equal(-88, value:add(-100))
    assert.are.equal(-88, value:get())
    assert.are.equal(2.75, neap.value("f64", 2):add(0.75))
    assert.are.equal(100, neap.value("i8", -100):add(200))
    assert.are.equal(0, neap.value("u32", 9):add(-9))
  end)

  it("raises on overflow, and keeps what it has", function()
    for type_name, range in pairs(ranges) do
      local least, most = neap.value(type_name, range[1]), neap.value(type_name, range[2])
      raises("overflow: with 1 added it would be out of the range of " .. type_name, most.add, most, 1)
      raises("overflow", most.add, most, math.maxinteger)
      raises("overflow", least.add, least, -1)
      raises("overflow", least.add, least, math.mininteger)
      assert.are.equal(range[1], least:get())
      assert.are.equal(range[2], most:get())
    end
    local number = neap.value("f64", 1.5e308)
    raises("overflow", number.add, number, 1.5e308)
    assert.are.equal(1.5e308, number:get())
    assert.are.equal(math.huge, number:add(math.huge))
  end)

  it("does not add booleans", function()
    raises("booleans cannot be added", neap.value("bool").add, neap.value("bool"), true)
  end)

  it("is set by cas only if it is what was expected", function()
    local value = neap.value("i32", 1)
    assert.is_true(value:cas(1, 2))
    assert.is_false(value:cas(1, 3))
    assert.are.equal(2, value:get())
    local flag = neap.value("bool")
    assert.is_true(flag:cas(false, true))
    assert.is_false(flag:cas(false, true))
    local number = neap.value("f64", 0 / 0)
    assert.is_false(number:cas(0, 1))
    assert.is_true(number:cas(0 / 0, -0.0))
    assert.is_true(number:cas(0, 1))
  end)

  describe("update", function()
    it("sets what the function makes of it, and returns that", function()
      local value = neap.value("i32", 20)
      assert.are.equal(41, value:update(function(old) return 2 * old + 1 end))
      assert.are.equal(41, value:get())
    end)

    it("leaves it alone when the function fails or returns no such number", function()
      local value = neap.value("u8", 20)
      assert.has_error(function() value:update(function() error("no", 0) end) end, "no")
      raises("function of an update returns: u8 expected, got nil", function() value:update(function() end) end)
      raises("function of an update returns: 256 is out of the range", function()
        value:update(function() return 256 end)
      end)
      raises("function expected, got number", function() value:update(3) end)
      raises("function expected, got no value", function() value:update() end)
      assert.are.equal(20, value:get())
    end)

    it("calls the function again when somebody has changed it meanwhile", function()
      local value, seen = neap.value("i32", 1), {}
      local result = value:update(function(old)
        table.insert(seen, old)
        if old < 3 then value:add(1) end
        return 10 * old
      end)
      assert.are.same({ 1, 2, 3 }, seen)
      assert.are.equal(30, result)
    end)

    it("calls the function again however often somebody has changed it", function()
      local value, calls = neap.value("i32"), 0
      value:update(function(old)
        calls = calls + 1
        if calls <= 200000 then value:add(1) end
        return old
      end)
      assert.are.equal(200001, calls)
      assert.are.equal(200000, value:get())
    end)

    it("takes a function that waits", function()
      local value, go = neap.value("i32", 5), neap.channel()
      local updating = neap.spawn(function()
        return value:update(function(old) return old + go:recv() end)
      end)
      go:send(1)
      assert.are.equal(6, updating:join())
      updating = neap.spawn(function()
        return value:update(function(old) return old + go:recv() end)
      end)
      neap.yield()
      value:set(100)
      go:send(1) -- it starts again
      go:send(2)
      assert.are.equal(102, updating:join())
    end)

    it("changes nothing when its task is cancelled", function()
      local value = neap.value("i32", 5)
      local updating = neap.spawn(function()
        value:update(function() return neap.channel():recv() end)
      end)
      neap.yield()
      updating:cancel()
      updating:wait()
      assert.are.equal(5, value:get())
    end)

    it("ends when the value is not a number", function()
      assert.are.equal(1, neap.value("f32", 0 / 0):update(function() return 1 end))
    end)
  end)

  it("says what it is and how it stands", function()
    assert.is_truthy(tostring(neap.value("i32", -7)):find("^value: 0x%x+ %(i32 %-7%)$"))
    assert.is_truthy(tostring(neap.value("f64", 0.5)):find("%(f64 0.5%)$"))
    assert.is_truthy(tostring(neap.value("bool", true)):find("%(bool true%)$"))
  end)

  it("travels by reference: as an argument, an upvalue, a result, through a channel", function()
    local value, ch = neap.value("i32"), neap.channel(1)
    ch:send({ inside = value })
    local result = neap.thread(function(argument)
      argument:add(1)
      value:add(10)
      ch:recv().inside:add(100)
      ch:send(argument)
      return { value }
    end, value):join()
    assert.are.equal(111, value:get())
    assert.are.equal(value, result[1])
    assert.are.equal(value, ch:recv())
    assert.are_not.equal(value, neap.value("i32", 111))
  end)

  it("outlives the thread that made it", function()
    local value = neap.thread(function() return neap.value("u16", 500) end):join()
    collectgarbage()
    assert.are.equal(501, value:add(1))
  end)

  it("is no channel: it cannot be selected", function()
    assert.has_error(function() neap.select({ neap.value("i32") }, 0) end)
  end)

  it_races("loses nothing when threads add, swap and update at once", function()
    local each = 2000 * support.stress
    for _, type_name in ipairs({ "i32", "u64", "f64" }) do
      local value = neap.value(type_name)
      local function add() for _ = 1, each do value:add(1) end end
      local function update() for _ = 1, each do value:update(function(old) return old + 1 end) end end
      local function swap()
        for _ = 1, each do
          local old
          repeat old = value:get() until value:cas(old, old + 1)
        end
      end
      local threads = { neap.thread(add), neap.thread(update), neap.thread(swap) }
      add()
      neap.gather(threads)
      assert.are.equal(4 * each, value:get())
    end
  end)

  it("takes no descriptor of its own: there may be very many", function()
    for _ = 1, 2 do -- the second time their places are used again
      local values = {}
      for i = 1, 20000 do values[i] = neap.value("i32", i) end
      for i = 1, 20000 do assert(values[i]:get() == i) end
    end
  end)
end)
