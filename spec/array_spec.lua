local neap = require "neap"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races, raises = trial.it_races, trial.raises

local types = { "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64" }

describe("array", function()
  it("has as many zeros as it is asked for", function()
    for _, type_name in ipairs(types) do
      for _, length in ipairs({ 0, 1, 100, 10000 }) do
        local array = neap.array(type_name, length)
        assert.are.equal(length, #array)
        for i = 1, length do assert(array[i] == 0) end
      end
    end
    assert.is_false(neap.array("bool", 1)[1])
  end)

  it("has the elements of a list", function()
    for _, type_name in ipairs(types) do
      local array = neap.array(type_name, { 5, 6, 7 })
      assert.are.same({ 5, 6, 7 }, array:slice())
    end
    assert.are.same({ true, false }, neap.array("bool", { true, false }):slice())
    assert.are.same({ 1, 2 }, neap.array("u8", neap.array("i64", { 1, 2 })):slice())
    assert.are.equal(0, #neap.array("u8", {}))
  end)

  it("refuses what is no list and no length", function()
    raises("length or list expected, got nil", neap.array, "u8", nil)
    raises("length or list expected, got no value", neap.array, "u8")
    raises("length or list expected, got string", neap.array, "u8", "3")
    raises("length or list expected, got a table with the key 'a'", neap.array, "u8", { a = 1 })
    raises("must not be negative", neap.array, "u8", -1)
    raises("no integer representation", neap.array, "u8", 1.5)
    raises("unknown type 'byte'", neap.array, "byte", 3)
    raises("element 2: u8 expected, got string", neap.array, "u8", { 1, "2" })
    raises("element 3: 256 is out of the range of u8, 0 to 255", neap.array, "u8", { 1, 2, 256 })
  end)

  it("is refused when there is no memory for it", function()
    for _, length in ipairs({ 1 << 50, 1 << 60, math.maxinteger }) do
      raises("not enough memory", neap.array, "i64", length)
    end
  end)

  it("sets and gives its elements by index", function()
    local array = neap.array("i16", 3)
    array[1], array[3] = -1, 32767
    assert.are.same({ -1, 0, 32767 }, array:slice())
    array[2.0] = 5.0
    assert.are.equal(5, array[2])
  end)

  it("raises beyond its bounds, with the index and the length", function()
    local array = neap.array("i16", 3)
    for _, index in ipairs({ 0, -1, 4, 5, math.mininteger, math.maxinteger }) do
      local message = ("index %d is out of bounds: the array has 3 elements"):format(index):gsub("%-", "%%-")
      raises(message, function() return array[index] end)
      raises(message, function() array[index] = 1 end)
      raises(message, function() array:add(index, 1) end)
      raises(message, function() array:cas(index, 0, 1) end)
      raises(message, function() array:update(index, function() return 1 end) end)
    end
    raises("index 0", function() array:slice(0) end)
    raises("index 4", function() array:slice(2, 4) end)
    raises("index 4", function() array:fill(1, 4, 5) end)
    assert.are.same({ 0, 0, 0 }, array:slice())
  end)

  it("has no other fields", function()
    local array = neap.array("i16", 3)
    assert.is_nil(array.size)
    assert.is_nil(array["1"])
    raises("an array has no field 'size' to set", function() array.size = 3 end)
    raises("an array has no field '1.5' to set", function() array[1.5] = 3 end)
    raises("index 1.5 is no integer", function() return array[1.5] end)
  end)

  it("refuses elements that are beyond its type", function()
    local array = neap.array("u8", { 1 })
    raises("element 1: 256 is out of the range of u8, 0 to 255", function() array[1] = 256 end)
    raises("element 1: u8 expected, got nil", function() array[1] = nil end)
    raises("element 1: u8 expected, 1.5 is no integer", function() array[1] = 1.5 end)
    raises("overflow", function() array:add(1, 255) end)
    raises("array expected, got table", array.add, {}, 1, 1)
    assert.are.equal(1, array[1])
  end)

  it("adds to an element, swaps it, updates it", function()
    local array = neap.array("i32", { 1, 2, 3 })
    assert.are.equal(12, array:add(2, 10))
    assert.is_true(array:cas(2, 12, -5))
    assert.is_false(array:cas(2, 12, 0))
    assert.are.equal(9, array:update(3, function(old) return old * old end))
    assert.are.same({ 1, -5, 9 }, array:slice())
  end)

  it("updates an element with a function that waits, and again when it was changed", function()
    local array, go = neap.array("i32", { 1, 2 }), neap.channel()
    local updating = neap.spawn(function()
      return array:update(2, function(old) return old + go:recv() end)
    end)
    neap.yield()
    array[2] = 100
    go:send(1)
    go:send(2)
    assert.are.equal(102, updating:join())
    assert.are.same({ 1, 102 }, array:slice())
  end)

  it("gives a part of it as a table", function()
    local array = neap.array("f64", { 1, 2, 3, 4 })
    assert.are.same({ 1, 2, 3, 4 }, array:slice())
    assert.are.same({ 2, 3, 4 }, array:slice(2))
    assert.are.same({ 2, 3 }, array:slice(2, 3))
    assert.are.same({}, array:slice(3, 2))
    assert.are.same({}, array:slice(5, 4))
    assert.are.same({}, neap.array("f64", 0):slice())
  end)

  it("is filled, whole or in part", function()
    local array = neap.array("u32", 5)
    array:fill(7)
    assert.are.same({ 7, 7, 7, 7, 7 }, array:slice())
    array:fill(0, 4)
    array:fill(1, 2, 3)
    assert.are.same({ 7, 1, 1, 0, 0 }, array:slice())
    raises("out of the range of u32", array.fill, array, -1)
  end)

  it("is iterated over by ipairs, pairs and unpack", function()
    local array = neap.array("i32", { 5, 6, 7 })
    for _, iterate in ipairs({ ipairs, pairs }) do
      local seen = {}
      for i, element in iterate(array) do seen[#seen + 1] = i * 10 + element end
      assert.are.same({ 15, 26, 37 }, seen)
    end
    assert.are.same({ 5, 6, 7 }, { table.unpack(array) })
    assert.are.equal("5,6,7", table.concat(array, ","))
    for _ in ipairs(neap.array("i32", 0)) do error("there is none") end
  end)

  it("is sorted and moved by the functions for tables", function()
    local array = neap.array("i32", { 3, 1, 2 })
    table.sort(array)
    assert.are.same({ 1, 2, 3 }, array:slice())
    table.move({ 8, 9 }, 1, 2, 2, array)
    assert.are.same({ 1, 8, 9 }, array:slice())
  end)

  it("says what it is", function()
    assert.is_truthy(tostring(neap.array("f64", 3)):find("^array: 0x%x+ %(f64, 3%)$"))
  end)

  it("travels by reference: as an argument, an upvalue, a result, through a channel", function()
    local array, ch = neap.array("i32", 4), neap.channel(1)
    ch:send({ array })
    local result = neap.thread(function(argument)
      argument[1] = 1
      array[2] = 2
      ch:recv()[1][3] = 3
      return argument
    end, array):join()
    assert.are.same({ 1, 2, 3, 0 }, array:slice())
    assert.are.equal(array, result)
  end)

  it("outlives the thread that made it", function()
    for _, length in ipairs({ 3, 100000 }) do
      local array = neap.thread(function(n)
        local made = neap.array("u16", n)
        made:fill(9)
        return made
      end, length):join()
      collectgarbage()
      assert.are.equal(9, array[length])
    end
  end)

  it_races("loses nothing when threads add to the same elements", function()
    local each, length = 500 * support.stress, 8
    local array = neap.array("i32", length)
    local function add()
      for _ = 1, each do
        for i = 1, length do array:add(i, i) end
      end
    end
    local threads = { neap.thread(add), neap.thread(add) }
    add()
    neap.gather(threads)
    for i = 1, length do assert.are.equal(3 * each * i, array[i]) end
  end)

  it("gives its memory back when it is collected", function()
    for _ = 1, 2000 do neap.array("f64", 1 << 20):fill(1, 1, 100) end -- 16 GB, if none went
  end)
end)
