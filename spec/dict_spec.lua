local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local it_races, raises = trial.it_races, trial.raises

local function increment(old) return (old or 0) + 1 end

--- An update of `key` that has begun and goes on when the channel gets a value, which it sets.
local function begin_update(dict, key)
  local go = neap.channel()
  return grid.parked_task(function() return dict:update(key, function() return go:recv() end) end), go
end

describe("dict", function()
  it("is empty, or has what a table has", function()
    assert.are.equal(0, #neap.dict())
    assert.are.equal(0, #neap.dict({}))
    local dict = neap.dict({ a = 1, [2] = "two", [true] = { "x" } })
    assert.are.equal(3, #dict)
    assert.are.same({ a = 1, [2] = "two", [true] = { "x" } }, dict:snapshot())
  end)

  it("refuses to be made of anything else", function()
    raises("table expected, got number", neap.dict, 5)
    raises("cannot send value.x: coroutine", neap.dict, { { x = coroutine.create(print) } })
    raises("a key is a string, a number, a boolean or a handle, not table", neap.dict, { [{}] = 1 })
  end)

  it("sets and gives values by key", function()
    local dict = neap.dict()
    dict.name, dict[1], dict[1.5], dict[false] = "neap", "one", "more", 0
    assert.are.equal("neap", dict.name)
    assert.are.equal("one", dict[1])
    assert.are.equal("more", dict[1.5])
    assert.are.equal(0, dict[false])
    assert.is_nil(dict.other)
    assert.is_nil(dict[2])
    assert.are.equal(4, #dict)
    dict.name = nil
    assert.is_nil(dict.name)
    assert.are.equal(3, #dict)
    dict.name = nil
    assert.are.equal(3, #dict)
  end)

  it("takes a float without a fraction for an integer, as tables do", function()
    local dict = neap.dict()
    dict[2.0] = "two"
    assert.are.equal("two", dict[2])
    assert.are.same({ [2] = "two" }, dict:snapshot())
    dict[2 ^ 70] = "big"
    assert.are.equal("big", dict[2 ^ 70])
    assert.is_nil(dict["2"])
  end)

  it("has strings of any length and content for keys", function()
    local dict = neap.dict()
    local keys = { "", "a\0b", "a", ("x"):rep(30), ("x"):rep(31), ("x"):rep(100000) }
    for i, key in ipairs(keys) do dict[key] = i end
    for i, key in ipairs(keys) do assert.are.equal(i, dict[key]) end
    assert.are.equal(#keys, #dict)
  end)

  it("has handles and null for keys", function()
    local dict, lock = neap.dict(), neap.lock()
    dict[lock], dict[neap.null], dict[neap.current()] = "lock", "null", "task"
    assert.are.equal("lock", dict[lock])
    assert.are.equal("null", dict[neap.null])
    assert.are.equal("task", dict[neap.current()])
    assert.is_nil(dict[neap.lock()])
    assert.is_true(neap.thread(function() return dict[lock] == "lock" end):join())
  end)

  it("refuses keys that would be copies, and those that tables refuse", function()
    local dict = neap.dict()
    for _, key in ipairs({ {}, print, coroutine.create(print), io.stdout, 0 / 0 }) do
      assert.has_error(function() dict[key] = 1 end)
      assert.has_error(function() return dict[key] end)
      assert.has_error(function() dict:update(key, increment) end)
    end
    raises("a handle, not nil", function() dict[nil] = 1 end)
    raises("a handle, not NaN", function() dict[0 / 0] = 1 end)
    assert.are.equal(0, #dict)
  end)

  it("has values of any kind that can be sent", function()
    local dict = neap.dict()
    local values = { 1, 1.0, -0.0, "", ("x"):rep(5000), true, false, neap.null, { 1, { x = 2 } } }
    for i, value in ipairs(values) do
      dict.v = value
      assert.are.same(value, dict.v)
      assert.are.equal(math.type(value), math.type(dict.v), i)
    end
    dict.f = function(n) return n + 1 end
    assert.are.equal(3, dict.f(2))
    raises("cannot send value%.x: coroutine", function() dict.v = { x = coroutine.create(print) } end)
    assert.are.same(values[#values], dict.v)
  end)

  it("keeps copies of tables", function()
    local dict, table_ = neap.dict(), { 1 }
    dict.t = table_
    table_[1] = 2
    assert.are.same({ 1 }, dict.t)
    dict.t[1] = 3
    assert.are.same({ 1 }, dict.t)
  end)

  it("has its methods, whatever its keys are", function()
    local dict = neap.dict()
    raises("'update' is a method of dicts: use d:set%(\"update\", value%)", function() dict.update = 1 end)
    dict:set("update", 1)
    dict:set("keys", 2)
    assert.are.equal(1, dict:get("update"))
    assert.are.equal("function", type(dict.update))
    assert.are.same({ update = 1, keys = 2 }, dict:snapshot())
    assert.are.equal(2, dict:update("update", increment))
  end)

  it("gives a default for what is not there", function()
    local dict = neap.dict({ a = false })
    assert.is_false(dict:get("a", 5))
    assert.are.equal(5, dict:get("b", 5))
    assert.is_nil(dict:get("b"))
    assert.is_true(dict:contains("a"))
    assert.is_false(dict:contains("b"))
  end)

  it("gives what it removes", function()
    local dict = neap.dict({ a = { 1 } })
    assert.are.same({ 1 }, dict:remove("a"))
    assert.is_nil(dict:remove("a"))
    assert.are.equal(0, #dict)
  end)

  it("is cleared", function()
    local dict = neap.dict({ 1, 2, 3, a = 4 })
    dict:clear()
    assert.are.equal(0, #dict)
    assert.is_nil(dict[1])
    dict[1] = "again"
    assert.are.equal("again", dict[1])
  end)

  it("gives keys, values and pairs in the order in which the keys came", function()
    local dict, keys, values = neap.dict(), {}, {}
    for _, key in ipairs({ "z", "a", 3, 1, 2.5 }) do dict[key] = { key } end
    dict.a = "new"
    dict.z = nil
    dict.z = "last"
    assert.are.same({ "a", 3, 1, 2.5, "z" }, dict:keys())
    assert.are.same({ "new", { 3 }, { 1 }, { 2.5 }, "last" }, dict:values())
    for key, value in pairs(dict) do
      table.insert(keys, key)
      table.insert(values, value)
    end
    assert.are.same(dict:keys(), keys)
    assert.are.same(dict:values(), values)
  end)

  it("is iterated over as it was when the iteration began", function()
    local dict, seen = neap.dict({ a = 1, b = 2, c = 3 }), 0
    for key in pairs(dict) do
      seen = seen + 1
      dict[key] = nil
      dict[key .. key] = 1
    end
    assert.are.equal(3, seen)
    assert.are.equal(3, #dict)
    for _ in pairs(neap.dict()) do error("there is nothing") end
  end)

  it("says what it is and how many keys it has", function()
    assert.is_truthy(tostring(neap.dict({ 1, 2 })):find("^dict: 0x%x+ %(2%)$"))
  end)

  it("says what is wrong with its arguments", function()
    local dict = neap.dict()
    raises("dict expected, got table", dict.get, {}, 1)
    raises("value expected", function() dict:set("a") end)
    raises("function expected", function() dict:update("a") end)
    raises("function expected", function() dict:update("a", 3) end)
    assert.are.equal(0, #dict)
  end)

  it("stays shared inside of another one, and in itself", function()
    local outer, inner = neap.dict(), neap.dict({ n = 1 })
    outer.inner, outer.list, outer.self = inner, neap.list(), outer
    neap.thread(function()
      outer.inner.n = 2
      outer.list:append("x")
      outer.self.self.added = true
    end):join()
    assert.are.equal(2, inner.n)
    assert.are.equal(inner, outer.inner)
    assert.are.equal("x", outer.list[1])
    assert.is_true(outer.added)
    outer.self = nil
  end)

  it("travels by reference: as an argument, an upvalue, a result, through a channel", function()
    local dict, ch = neap.dict(), neap.channel(1)
    ch:send({ dict })
    local result = neap.thread(function(argument)
      argument.a = 1
      dict.b = 2
      ch:recv()[1].c = 3
      return argument
    end, dict):join()
    assert.are.same({ a = 1, b = 2, c = 3 }, dict:snapshot())
    assert.are.equal(dict, result)
  end)

  it("outlives the thread that made it, with functions in it", function()
    local dict = neap.thread(function()
      local made, n = neap.dict(), 40
      made.f = function(x) return x + n end
      return made
    end):join()
    collectgarbage()
    assert.are.equal(42, dict.f(2))
  end)

  it("is used by finalisers", function()
    local dict = neap.dict()
    for i = 1, 100 do setmetatable({}, { __gc = function() dict[i] = { i } end }) end
    for i = 1, 1000 do dict.x = { i, ("x"):rep(i) } end
    collectgarbage()
    collectgarbage()
    assert.are.equal(101, #dict)
  end)
end)

describe("dict:update", function()
  it("sets what the function makes of the value, and returns that", function()
    local dict = neap.dict()
    assert.are.equal(1, dict:update("n", increment))
    assert.are.equal(2, dict:update("n", increment))
    assert.are.equal(2, dict.n)
    assert.are.same({ 1, 2 }, dict:update("list", function(old)
      assert.is_nil(old)
      return { 1, 2 }
    end))
    assert.are.same({ 1, 2 }, dict.list)
  end)

  it("removes the key when the function returns nothing", function()
    local dict = neap.dict({ a = 1 })
    assert.is_nil(dict:update("a", function() end))
    assert.are.equal(0, #dict)
    assert.is_nil(dict:update("b", function() end))
    assert.are.equal(0, #dict)
  end)

  it("changes nothing when the function fails, or returns what cannot be sent", function()
    local dict = neap.dict({ a = 1 })
    assert.has_error(function() dict:update("a", function() error("no", 0) end) end, "no")
    raises("cannot send value", function() dict:update("a", function() return coroutine.create(print) end) end)
    raises("no", function() dict:update("b", function() error("no") end) end)
    assert.are.same({ a = 1 }, dict:snapshot())
    assert.are.equal(2, dict:update("a", increment))
  end)

  it("has the key to itself while the function waits; reading goes on", function()
    local dict = neap.dict({ x = "old", y = 1 })
    local updating, go = begin_update(dict, "x")
    assert.are.equal("old", dict.x)
    assert.are.same({ x = "old", y = 1 }, dict:snapshot())
    dict.y = 2 -- another key
    local setting = grid.parked_task(function() dict.x = "set" end)
    local removing = grid.parked_task(function() return dict:remove("x") end)
    local counting = grid.parked_thread(function() return dict:update("x", function(old) return old or "none" end) end)
    go:send("new")
    assert.are.equal("new", updating:join())
    setting:join()
    assert.are.equal("set", removing:join())
    assert.are.equal("none", counting:join())
    assert.are.same({ x = "none", y = 2 }, dict:snapshot())
  end)

  it("of other keys goes on meanwhile", function()
    local dict = neap.dict()
    local updating, go = begin_update(dict, "x")
    assert.are.equal(1, dict:update("y", increment))
    local other, other_go = begin_update(dict, "z")
    other_go:send(26)
    other:join()
    go:send(24)
    updating:join()
    assert.are.same({ x = 24, y = 1, z = 26 }, dict:snapshot())
  end)

  it("may set other keys, and update them", function()
    local accounts = neap.dict({ a = 100, b = 0 })
    accounts:update("a", function(a)
      accounts:update("b", function(b) return b + 30 end)
      accounts.c = 1
      return a - 30
    end)
    assert.are.same({ a = 70, b = 30, c = 1 }, accounts:snapshot())
  end)

  it("of a key within its own update raises, as it would never end", function()
    local dict = neap.dict({ x = 1 })
    raises("updating it already", function()
      dict:update("x", function() return dict:update("x", increment) end)
    end)
    raises("updating it already", function()
      dict:update("x", function() dict:clear() end)
    end)
    assert.are.same({ x = 1 }, dict:snapshot())
  end)

  it("that is cancelled while its function waits changes nothing, and lets the next one in", function()
    local dict = neap.dict({ x = 1 })
    local updating = begin_update(dict, "x")
    local next_one = grid.parked_thread(function() return dict:update("x", function(old) return old + 1 end) end)
    updating:cancel()
    grid.assert_cancelled(updating)
    assert.are.equal(2, next_one:join())
  end)

  it("is cancelled while it waits for another one, in a task and in a thread", function()
    for _, park in ipairs({ grid.parked_task, grid.parked_thread }) do
      local dict = neap.dict()
      local updating, go = begin_update(dict, "x")
      local waiting = park(function() dict:update("x", function() return "wrong" end) end)
      local setting = park(function() dict.x = "wrong" end)
      waiting:cancel()
      setting:cancel()
      grid.assert_cancelled(waiting)
      grid.assert_cancelled(setting)
      go:send("right")
      updating:join()
      assert.are.equal("right", dict.x)
    end
  end)

  it("of a task that has ended in the middle of it is over", function()
    local dict = neap.dict({ x = 1 })
    local thread = grid.parked_thread(function()
      -- a coroutine that nobody resumes any more
      local begin = coroutine.wrap(function() dict:update("x", function() coroutine.yield() end) end)
      begin()
      neap.channel():recv()
    end)
    local updating = grid.parked_task(function() return dict:update("x", increment) end)
    thread:cancel()
    assert.are.equal(2, updating:join())
  end)

  it("that a collected coroutine has begun is over", function()
    local dict = neap.dict({ x = 1 })
    coroutine.wrap(function() dict:update("x", function() coroutine.yield() end) end)()
    collectgarbage()
    collectgarbage()
    assert.are.equal(2, dict:update("x", increment))
  end)

  it("keeps clear waiting", function()
    local dict = neap.dict({ x = 1, y = 2 })
    local updating, go = begin_update(dict, "x")
    local clearing = grid.parked_task(function() dict:clear() end)
    assert.are.equal(2, #dict)
    go:send(5)
    assert.are.equal(5, updating:join())
    clearing:join()
    assert.are.equal(0, #dict)
  end)

  it("waits as others do: by the timeout around it", function()
    local dict = neap.dict()
    local updating, go = begin_update(dict, "x")
    assert.are.same(table.pack(nil, "timeout", "timeout"),
      table.pack(neap.timeout(0.001, function() dict:update("x", increment) end)))
    go:send(1)
    updating:join()
    assert.are.equal(2, dict:update("x", increment))
  end)

  it("of two tasks that wait for each other is reported as a deadlock", function()
    local result = support.run_script([[
      local neap = require "neap"
      local dict, ready = neap.dict(), neap.barrier(2)
      local function update(one, other)
        dict:update(one, function()
          ready:wait()
          dict:update(other, function() end)
        end)
      end
      neap.spawn({ name = "ab" }, update, "a", "b")
      neap.spawn({ name = "ba" }, update, "b", "a")]])
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("task ab .* in update of dict: 0x%x+"))
  end)

  it_races("loses nothing when threads and tasks update the same keys", function()
    local each, dict = 300 * support.stress, neap.dict()
    local function count()
      for i = 1, each do
        dict:update("n", function(old) return (old or 0) + 1 end)
        dict:update(i % 5, function(old)
          if i % 7 == 0 then neap.yield() end
          return (old or 0) + 1
        end)
      end
    end
    local all = { neap.thread(count), neap.thread(count), neap.spawn(count), neap.spawn(count) }
    neap.gather(all)
    assert.are.equal(4 * each, dict.n)
    local sum = 0
    for key = 0, 4 do sum = sum + dict[key] end
    assert.are.equal(4 * each, sum)
  end)

  it("can be updated elsewhere in coroutines that are dropped, while their task waits for something else", function()
    local dict, lock, done = neap.dict(), neap.lock(), neap.event()
    lock:acquire()
    local other = neap.process(function(d, l, e)
      local neap = require "neap" -- luacheck: ignore
      local function begin_updates(first, last)
        local updates = {}
        for key = first, last do
          updates[key] = coroutine.wrap(function() d:update(key, function() return coroutine.yield() end) end)
          updates[key]()
        end
        return updates
      end
      local waiting = neap.spawn(function()
        begin_updates(1, 20)
        l:acquire()
      end)
      neap.yield()
      for _ = 1, 20 do
        for _, update in pairs(begin_updates(21, 120)) do update(1) end
        collectgarbage()
      end
      e:set()
      waiting:join()
    end, dict, lock, done)
    assert.is_true((neap.select { done, other }) == 1)
    lock:release()
    other:join()
    assert.are.equal(1, dict[120])
  end)

  it_races("lets nobody see a transfer half done", function()
    local rounds, dict, over = 200 * support.stress, neap.dict({ a = { 50, 50 } }), neap.event()
    local moving = neap.thread(function()
      for i = 1, rounds do
        dict:update("a", function(pair) return { pair[1] - i, pair[2] + i } end)
      end
      over:set()
    end)
    repeat
      local pair = dict.a
      assert(pair[1] + pair[2] == 100)
    until over:is_set()
    moving:join()
  end)
end)
