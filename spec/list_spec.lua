local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races, raises = trial.it_races, trial.raises

--- An update of element 1 that has begun and goes on when the channel gets a value, which it sets.
local function begin_update(list)
  local go = neap.channel()
  return grid.parked_task(function() return list:update(1, function() return go:recv() end) end), go
end

describe("list", function()
  it("is empty, or has what a list has", function()
    assert.are.equal(0, #neap.list())
    assert.are.equal(0, #neap.list({}))
    assert.are.same({ 1, "two", { 3 } }, neap.list({ 1, "two", { 3 } }):snapshot())
    assert.are.same({ 1, 2 }, neap.list(neap.list({ 1, 2 })):snapshot())
    assert.are.same({ 1, 2 }, neap.list(neap.array("u8", { 1, 2 })):snapshot())
  end)

  it("refuses to be made of anything else", function()
    raises("list expected, got number", neap.list, 5)
    raises("list expected, got a table with the key 'a'", neap.list, { a = 1 })
    raises("list expected, got a table with the key '5'", neap.list, { 1, 2, [5] = 5 })
    raises("list expected, got a table with the key '1.5'", neap.list, { 1, 2, [1.5] = 5 })
    raises("list expected, got a table with the key 'n'", neap.list, table.pack(1, nil))
    assert.are.same({ 1, 2 }, neap.list(table.pack(1, 2)):snapshot())
    raises("cannot send value.x: coroutine", neap.list, { { x = coroutine.create(print) } })
  end)

  it("refuses a length that cannot be", function()
    local function of_length(length) return setmetatable({}, { __len = function() return length end }) end
    for _, length in ipairs({ -1, math.mininteger }) do
      raises("a length must not be negative", neap.list, of_length(length))
      raises("a length must not be negative", function() neap.list():extend(of_length(length)) end)
    end
    for _, length in ipairs({ 1 << 58, 1 << 59, (1 << 59) - 1, 1 << 60, math.maxinteger }) do
      raises("not enough memory", neap.list, of_length(length))
      raises("not enough memory", function() neap.list():extend(of_length(length)) end)
    end
  end)

  it("sets and gives elements by index", function()
    local list = neap.list({ 1, 2, 3 })
    list[2] = "two"
    assert.are.equal("two", list[2])
    assert.are.equal("two", list[2.0])
    list[4] = "next"
    assert.are.same({ 1, "two", 3, "next" }, list:snapshot())
  end)

  it("has nothing where no element is, and takes nothing there", function()
    local list = neap.list({ 1, 2, 3 })
    for _, index in ipairs({ 0, -1, 4, 5, math.maxinteger }) do assert.is_nil(list[index]) end
    for _, index in ipairs({ 0, -1, 5, math.maxinteger, math.mininteger }) do
      local message = ("index %d is out of bounds: the list has 3 elements"):format(index):gsub("%-", "%%-")
      raises(message, function() list[index] = 1 end)
      raises(message, function() list:insert(index, 1) end)
      raises(message, function() list:update(index, print) end)
      raises(message, function() list:pop(index) end)
    end
    raises("index 4", function() list:pop(4) end)
    raises("index 4", function() list:update(4, print) end)
    assert.are.same({ 1, 2, 3 }, list:snapshot())
  end)

  it("has no other fields", function()
    local list = neap.list({ 1 })
    assert.is_nil(list.size)
    assert.is_nil(list[1.5])
    raises("a list has no field 'size' to set", function() list.size = 1 end)
    raises("a list has no field '1.5' to set", function() list[1.5] = 1 end)
  end)

  it("has no holes", function()
    local list = neap.list({ 1, 2, 3 })
    raises("no place for nil", function() list:append(nil) end)
    raises("no place for nil", function() list:append() end)
    raises("no place for nil", function() list:insert(1, nil) end)
    raises("would leave a hole: use l:pop%(1%)", function() list[1] = nil end)
    raises("element 2 is nil", function() list:extend(setmetatable({ 1 }, { __len = function() return 2 end })) end)
    list[3] = nil
    assert.are.same({ 1, 2 }, list:snapshot())
  end)

  it("appends, inserts, extends", function()
    local list = neap.list()
    list:append("b")
    list:insert(1, "a")
    list:insert(3, "d")
    list:insert(3, "c")
    list:extend({ "e", { "f" } })
    list:extend({})
    assert.are.same({ "a", "b", "c", "d", "e", { "f" } }, list:snapshot())
    list:clear()
    list:extend(list)
    assert.are.equal(0, #list)
    list:append(1)
    list:extend(list)
    assert.are.same({ 1, 1 }, list:snapshot())
    raises("list expected, got number", function() list:extend(5) end)
    raises("list expected, got a table with the key 'a'", function() list:extend({ 1, a = 1 }) end)
    raises("cannot send value", function() list:extend({ 1, coroutine.create(print) }) end)
    raises("cannot send value", function() list:append(coroutine.create(print)) end)
    assert.are.equal(2, #list)
  end)

  it("pops the last one, or any", function()
    local list = neap.list({ "a", "b", { "c" } })
    assert.are.same({ "c" }, list:pop())
    assert.are.equal("a", list:pop(1))
    assert.are.equal("b", list:pop())
    assert.are.same(table.pack(nil, "empty", "empty"), table.pack(list:pop()))
    assert.are.equal(0, #list)
  end)

  it("has values of any kind that can be sent, tables as copies", function()
    local list, table_ = neap.list(), { 1 }
    list:append(table_)
    table_[1] = 2
    list[1][1] = 3
    assert.are.same({ 1 }, list[1])
    list:append(false)
    list:append(neap.null)
    list:append(function() return "called" end)
    assert.is_false(list[2])
    assert.are.equal(neap.null, list[3])
    assert.are.equal("called", list[4]())
  end)

  it("is iterated over element by element by ipairs, and by pairs as it was at first", function()
    local list, seen = neap.list({ 1, 2, 3 }), {}
    for i, value in ipairs(list) do
      seen[i] = value
      if i == 1 then list[3] = 33 end
      if i == 3 then list:append(4) end
    end
    assert.are.same({ 1, 2, 33, 4 }, seen)
    seen = {}
    for i, value in pairs(list) do
      seen[i] = value
      list:pop()
    end
    assert.are.same({ 1, 2, 33, 4 }, seen)
    assert.are.equal(0, #list)
  end)

  it("is used by the functions for tables", function()
    local list = neap.list({ 3, 1, 2 })
    table.sort(list)
    table.insert(list, 4)
    table.insert(list, 1, 0)
    assert.are.equal("0,1,2,3,4", table.concat(list, ","))
    assert.are.equal(4, table.remove(list))
    assert.are.equal(0, table.remove(list, 1))
    assert.are.same({ 1, 2, 3 }, { table.unpack(list) })
  end)

  it("says what it is and how long", function()
    assert.is_truthy(tostring(neap.list({ 1, 2 })):find("^list: 0x%x+ %(2%)$"))
  end)

  it("stays shared inside of another one", function()
    local outer, inner = neap.list(), neap.list()
    outer:append(inner)
    outer:append(neap.dict())
    neap.thread(function()
      outer[1]:append("seen")
      outer[2].x = 1
    end):join()
    assert.are.equal("seen", inner[1])
    assert.are.equal(inner, outer[1])
    assert.are.equal(1, outer[2].x)
  end)

  it("travels by reference: as an argument, an upvalue, a result, through a channel", function()
    local list, ch = neap.list(), neap.channel(1)
    ch:send({ list })
    local result = neap.thread(function(argument)
      argument:append(1)
      list:append(2)
      ch:recv()[1]:append(3)
      return argument
    end, list):join()
    assert.are.same({ 1, 2, 3 }, list:snapshot())
    assert.are.equal(list, result)
  end)

  it("goes with its last handle, whoever has it", function()
    local list = neap.thread(function() return neap.list({ { 1 }, neap.lock(), ("x"):rep(1000) }) end):join()
    collectgarbage()
    assert.are.equal(3, #list)
    neap.thread(function() collectgarbage() end):join()
  end)
end)

describe("list:update", function()
  it("sets what the function makes of an element, and returns that", function()
    local list = neap.list({ 1, { 2 } })
    assert.are.equal(10, list:update(1, function(old) return old * 10 end))
    assert.are.same({ 2, 3 }, list:update(2, function(old) return { old[1], 3 } end))
    assert.are.same({ 10, { 2, 3 } }, list:snapshot())
  end)

  it("changes nothing when the function fails, or returns nothing", function()
    local list = neap.list({ 1 })
    assert.has_error(function() list:update(1, function() error("no", 0) end) end, "no")
    raises("returned nil", function() list:update(1, function() end) end)
    raises("cannot send value", function() list:update(1, function() return coroutine.create(print) end) end)
    raises("function expected", function() list:update(1) end)
    raises("updating it already", function()
      list:update(1, function() return list:update(1, function(old) return old end) end)
    end)
    assert.are.same({ 1 }, list:snapshot())
  end)

  it("has the list to itself while the function waits; reading goes on", function()
    local list = neap.list({ 1, 2 })
    local updating, go = begin_update(list)
    assert.are.same({ 1, 2 }, list:snapshot())
    local changes = {
      function() list[2] = 20 end, function() list:append(30) end, function() list:insert(1, 0) end,
      function() assert(list:pop() == 30) end, function() list:extend({ 7, 8 }) end,
      function() list:update(1, function(old) return old - 5 end) end,
    }
    local waiting = {}
    for i, change in ipairs(changes) do waiting[i] = (i % 2 == 0 and grid.parked_thread or grid.parked_task)(change) end
    assert.are.equal(2, #list)
    go:send(10)
    assert.are.equal(10, updating:join())
    neap.gather(waiting)
    assert.are.same({ -5, 10, 20, 7, 8 }, list:snapshot())
  end)

  it("lets what waits be cleared away", function()
    local list = neap.list({ 1, 2 })
    local updating, go = begin_update(list)
    local clearing = grid.parked_task(function() list:clear() end)
    local late = grid.parked_task(function() return pcall(list.update, list, 2, print) end)
    local popping = grid.parked_task(function() return list:pop() end)
    go:send(5)
    updating:join()
    clearing:join()
    local done, message = late:join()
    assert.is_false(done)
    assert.is_truthy(message:find("no such element"))
    assert.are.same(table.pack(nil, "empty", "empty"), table.pack(popping:join()))
  end)

  it("that is cancelled while its function waits changes nothing, and lets the next one in", function()
    local list = neap.list({ 1 })
    local updating = begin_update(list)
    local appending = grid.parked_thread(function() list:append(2) end)
    local cancelled = grid.parked_task(function() list:append("wrong") end)
    cancelled:cancel()
    updating:cancel()
    grid.assert_cancelled(updating)
    grid.assert_cancelled(cancelled)
    appending:join()
    assert.are.same({ 1, 2 }, list:snapshot())
  end)

  it_races("loses nothing when threads append, pop and update at once", function()
    local each, list = 300 * support.stress, neap.list({ 0 })
    local function append()
      for i = 1, each do
        list:append(i)
        list:update(1, function(old) return old + 1 end)
      end
    end
    local function pop()
      local count = 0
      while count < each do
        if list:pop(2 <= #list and 2 or 1) then count = count + 1 end
      end
      return count
    end
    local appending = { neap.thread(append), neap.thread(append) }
    append()
    neap.gather(appending)
    assert.are.equal(3 * each, list[1])
    assert.are.equal(3 * each + 1, #list)
    local popping = { neap.thread(pop), neap.thread(pop) }
    neap.gather(popping)
    assert.are.equal(each + 1, #list)
  end)
end)
