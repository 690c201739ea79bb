-- Shared data in other processes.

local neap = require "neap"
local elsewhere = require "spec.elsewhere"
local grid = require "spec.grid"
local support = require "spec.support"
local trial = require "spec.trial"

-- What is sent to processes must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local start = elsewhere.start

local it_races, raises = trial.it_races, trial.raises

--- A process that calls `fn`, says that it has begun what `fn` tells by its first argument, and is then killed in it.
local function kill_in(fn, ...)
  local begun = neap.channel(1)
  local process = start(fn, function() begun:send(true) end, ...)
  begun:recv()
  process:kill()
  process:wait()
end

--- How many descriptors this process has open.
local function count_descriptors()
  local count = 0
  local pipe <close> = assert(io.popen(("ls /proc/%d/fd"):format(neap.getpid())))
  for _ in pipe:lines() do count = count + 1 end
  return count
end

describe("a value, an array, a buffer", function()
  it("is the same memory in another process: as an argument, an upvalue, through a channel, as a result", function()
    local value, array, ch = neap.value("i32", 1), neap.array("f64", { 1, 2, 3 }), neap.channel()
    local small, large = neap.buffer("abc"), neap.buffer(1 << 20)
    local process = start(function(value_there, array_there)
      value_there:add(10)
      array_there[2] = 0.5
      small:write(1, "ABC")
      local part = ch:recv().part
      part:fill(7)
      ch:send("filled")
      ch:recv() -- it sees what is written here
      return value_there, small, value:get(), part[1]
    end, value, array)
    ch:send({ part = large:slice(1001, 2000) })
    ch:recv()
    value:add(100)
    large[1001] = 9
    ch:send(true)
    local value_back, small_back, seen, byte = process:join()
    assert.are.equal(111, value:get())
    assert.are.same({ 1, 0.5, 3 }, array:slice())
    assert.are.equal("ABC", small:string())
    assert.are.same({ 0, 9, 7, 7, 0 }, { large[1000], large[1001], large[1002], large[2000], large[2001] })
    assert.is_true(rawequal(value, value_back))
    assert.are.equal(small, small_back)
    assert.are.equal(111, seen)
    assert.are.equal(9, byte)
  end)

  it("outlives the process that made it", function()
    local value, array, large, buffer, slice = start(function()
      local made = neap.buffer("made elsewhere")
      return neap.value("u8", 7), neap.array("i16", { 1, 2 }), neap.array("f64", 100000), made, made:slice(6)
    end):join()
    collectgarbage()
    assert.are.equal(8, value:add(1))
    array[1] = -1
    large[100000] = 0.5
    slice[1] = 69
    assert.are.same({ -1, 2 }, array:slice())
    assert.are.equal(0.5, large[100000])
    assert.are.equal("made Elsewhere", buffer:string())
  end)

  it("outlives a process that made it and was killed, and goes on to a third", function()
    local made = neap.channel()
    local process = start(function()
      made:send({ neap.value("i64", 40), neap.buffer(("x"):rep(100000)) })
      neap.event():wait()
    end)
    local value, buffer = table.unpack(made:recv())
    process:kill()
    process:wait()
    assert.are.equal(42, start(function() return value:add(2) end):join())
    assert.are.equal(42, value:get())
    start(function() buffer[100000] = 65 end):join()
    assert.are.equal(65, buffer[100000])
  end)

  it("is shared by siblings and a grandchild", function()
    local value, ch = neap.value("i32"), neap.channel()
    local maker = start(function()
      local array = neap.array("i32", 3)
      ch:send(array)
      array[1] = neap.process(function() array[2] = value:add(1); return value:add(1) end):join()
      ch:recv()
      return array:slice()
    end)
    local array = ch:recv()
    start(function() array[3] = 33 end):join()
    ch:send("go on")
    assert.are.same({ 2, 1, 33 }, maker:join())
    assert.are.same({ 2, 1, 33 }, array:slice())
  end)

  it("raises the same there", function()
    local value, array = neap.value("u8", 255), neap.array("i32", 3)
    local messages = start(function()
      local list = {}
      for i, fn in ipairs({ function() value:add(1) end, function() return array[4] end,
        function() array[1] = "x" end }) do
        list[i] = select(2, pcall(fn))
      end
      return list
    end):join()
    assert.is_truthy(messages[1]:find("overflow"))
    assert.is_truthy(messages[2]:find("index 4 is out of bounds: the array has 3 elements"))
    assert.is_truthy(messages[3]:find("i32 expected, got string"))
    assert.are.equal(255, value:get())
  end)

  it("that is sealed is so in every process", function()
    for _, size in ipairs({ 100, 100000 }) do
      local here, there = neap.buffer(size), neap.buffer(size)
      local go = neap.channel()
      local process = start(function()
        here:fill(1)
        go:send("filled")
        go:recv()
        there:slice(1, 10):seal()
        return pcall(here.fill, here, 2)
      end)
      go:recv()
      here:seal()
      go:send("sealed")
      local done, message = process:join()
      assert.is_false(done)
      assert.is_truthy(message:find("the buffer is sealed"))
      assert.are.equal(("\1"):rep(size), here:string())
      raises("the buffer is sealed", there.fill, there, 1)
      assert.is_false(start(function() return (pcall(here.fill, here, 3)) end):join()) -- who comes later
    end
  end)

  it("may come in large numbers in one message", function()
    local many = {}
    for i = 1, 300 do many[i] = neap.value("i32", i) end
    for i = 301, 320 do many[i] = neap.array("i32", 20000) end
    local sum = start(function()
      local total = 0
      for i = 1, 300 do total = total + many[i]:get() end
      for i = 301, 320 do many[i][20000] = i end
      return total
    end):join()
    assert.are.equal(300 * 301 // 2, sum)
    for i = 301, 320 do assert.are.equal(i, many[i][20000]) end
  end)

  it("leaves no descriptor behind, nor its memory", function()
    local function once()
      local array = neap.array("f64", 1 << 20)
      local made = start(function()
        array[1] = 1
        return neap.buffer(1 << 20)
      end):join()
      made[1] = 1
    end
    once()
    collectgarbage()
    collectgarbage()
    local before = count_descriptors()
    for _ = 1, 20 do once() end
    repeat -- what ends in the hub's thread ends a little later
      collectgarbage()
      neap.yield()
    until count_descriptors() <= before
  end)

  it_races("loses nothing when processes add at once", function()
    local each, value, number = 20000 * support.stress, neap.value("i64"), neap.value("f64")
    local function add()
      for _ = 1, each do
        value:add(1)
        number:update(function(old) return old + 1 end)
      end
    end
    local processes = { start(add), start(add) }
    add()
    for _, process in ipairs(processes) do process:join() end
    assert.are.equal(3 * each, value:get())
    assert.are.equal(3 * each, number:get())
  end)

  it_races("is not stopped by a process that is killed while it adds and updates", function()
    for _ = 1, 3 * support.stress do
      local value, array = neap.value("i64"), neap.array("i32", 10)
      kill_in(function(begun)
        begun()
        while true do
          value:update(function(old) return old + 1 end)
          array:add(3, 1)
        end
      end)
      local before = value:get()
      assert.are.equal(before + 1, value:add(1))
      assert.are.equal(array[3] + 1, array:add(3, 1))
    end
  end)
end)

describe("a dict in another process", function()
  it("does there what it does here", function()
    local dict = neap.dict({ a = 1, t = { 1 } })
    local there = start(function()
      local seen = { dict.a, dict.t[1], #dict, dict:get("no", "default"), dict:contains("a"), dict:contains("no") }
      dict.a, dict[2], dict.t = nil, "two", { 2, { x = 3 } }
      dict:set("keys", "k")
      seen[#seen + 1] = dict:remove("keys")
      seen[#seen + 1] = dict:update("n", function(old) return (old or 0) + 1 end)
      seen.keys, seen.values, seen.pairs = dict:keys(), dict:values(), {}
      for key, value in pairs(dict) do seen.pairs[key] = value end
      seen.text = tostring(dict)
      return seen
    end):join()
    assert.are.same({ 1, 1, 2, "default", true, false, "k", 1 }, table.move(there, 1, 8, 1, {}))
    assert.are.same({ t = { 2, { x = 3 } }, [2] = "two", n = 1 }, dict:snapshot())
    assert.are.same(dict:snapshot(), there.pairs)
    assert.are.same(dict:keys(), there.keys)
    assert.are.same(dict:values(), there.values)
    assert.is_truthy(there.text:find("^dict: 0x%x+ %(3%)$"))
    start(function() dict:clear() end):join()
    assert.are.equal(0, #dict)
  end)

  it("says there what is wrong", function()
    local dict = neap.dict()
    local messages = start(function()
      local list = {}
      for i, fn in ipairs({
        function() dict[{}] = 1 end, function() dict.update = 1 end, function() dict.x = coroutine.create(print) end,
        function() dict:update("x", function() error("no") end) end,
        function() dict:update("x", function() dict:update("x", print) end) end,
        function() dict:update("x", function() dict:clear() end) end,
      }) do
        list[i] = select(2, pcall(fn))
      end
      return list
    end):join()
    for i, pattern in ipairs({ "not table", "is a method of dicts", "cannot send value: coroutine", "no",
      "updating it already", "updating it already" }) do
      assert.is_truthy(messages[i]:find(pattern))
    end
    assert.are.equal(0, #dict)
  end)

  it("has handles, dicts and functions in it, made anywhere", function()
    local dict, inner = neap.dict(), neap.dict()
    dict.inner = inner
    dict.done = neap.event()
    local process = start(function()
      local value, own = neap.value("i32", 5), neap.dict({ x = 1 })
      dict.inner.seen = true
      dict.value, dict.own = value, own
      dict.double = function(n) return 2 * n end
      dict.done:wait()
      return value:get(), own.x
    end)
    while not dict.double do neap.yield() end
    assert.is_true(inner.seen)
    assert.are.equal(6, dict.value:add(1))
    dict.own.x = 2
    assert.are.equal(8, dict.double(4))
    dict.done:set()
    assert.are.same({ 6, 2 }, { process:join() })
  end)

  it("raises once the process that it was made in has gone", function()
    local dict, list = start(function() return neap.dict({ 1 }), neap.list({ 1 }) end):join()
    for _, use in ipairs({
      function() return dict[1] end, function() dict[1] = 2 end, function() return #dict end,
      function() dict:keys() end,
      function() dict:update(1, print) end, function() dict:clear() end, function() for _ in pairs(dict) do end end,
      function() return list[1] end, function() list:append(2) end, function() return #list end,
      function() list:pop() end, function() list:update(1, print) end, function() list:snapshot() end,
    }) do
      raises("the process that it was made in has gone", use)
    end
    assert.is_truthy(tostring(dict):find("broken"))
  end)

  it("refuses there what would wait for itself, however often", function()
    local dict, list = neap.dict({ 1 }), neap.list({ 1 })
    local process = start(function()
      for _ = 1, 300 do
        for _, shared in ipairs({ dict, list }) do
          local problem
          shared:update(1, function(old)
            problem = select(2, pcall(shared.update, shared, 1, print))
            return old
          end)
          if not problem:find("it would wait for itself") then return problem end
        end
        collectgarbage() -- so that the same memory is used again
      end
      return "refused"
    end)
    assert.are.equal("refused", (process:join()))
  end)

  it("is updated by one process at a time, which may wait meanwhile", function()
    local dict, go = neap.dict({ x = 1, y = 1 }), neap.channel()
    local process = start(function()
      return dict:update("x", function(old) return old + go:recv() end)
    end)
    go:send(0)
    process:join()
    process = start(function()
      return dict:update("x", function(old)
        go:send("begun")
        return old + go:recv()
      end)
    end)
    go:recv()
    assert.are.equal(1, dict.x)
    dict.y = 2
    local waiting = grid.parked_task(function() return dict:update("x", function(old) return old * 10 end) end)
    local setting = grid.parked_task(function() dict.x = dict.x + 1 end)
    go:send(4)
    assert.are.equal(5, process:join())
    assert.are.equal(50, waiting:join())
    setting:join()
    assert.are.equal(2, dict.x) -- what it was before, plus 1
  end)

  it("waits there as well: for an update that is done here", function()
    local dict, go = neap.dict({ x = 1 }), neap.channel()
    local updating = grid.parked_task(function() dict:update("x", function() return go:recv() end) end)
    local waiting = neap.value("bool")
    local process = start(function()
      waiting:set(true)
      dict.x = 2
      return dict:update("x", function(old) return old + 100 end)
    end)
    while not waiting:get() do neap.yield() end
    go:send(5)
    updating:join()
    assert.are.equal(102, process:join())
  end)

  it("lets others go on when a process is killed in the middle of an update", function()
    local dict, list = neap.dict({ x = 1 }), neap.list({ 1 })
    kill_in(function(begun)
      list:update(1, function()
        dict:update("x", function()
          begun()
          neap.event():wait()
        end)
      end)
    end)
    assert.are.equal(2, dict:update("x", function(old) return old + 1 end))
    assert.are.equal(2, list:update(1, function(old) return old + 1 end))
    dict.x = 3
    list:append(4)
  end)

  it("lets who waits for it go on, too", function()
    local dict, begun = neap.dict({ x = 1 }), neap.channel()
    local process = start(function()
      dict:update("x", function()
        begun:send(true)
        neap.event():wait()
      end)
    end)
    begun:recv()
    local here = grid.parked_task(function() return dict:update("x", function(old) return old + 1 end) end)
    local there = start(function() return dict:update("x", function(old) return old + 1 end) end)
    process:kill()
    here:join()
    there:join()
    assert.are.equal(3, dict.x)
  end)

  it_races("loses no update of many processes", function()
    local each, dict, list = 100 * support.stress, neap.dict(), neap.list({ 0 })
    local function count()
      for _ = 1, each do
        dict:update("n", function(old) return (old or 0) + 1 end)
        list:update(1, function(old) return old + 1 end)
        list:append(true)
      end
    end
    local processes = { start(count), start(count) }
    count()
    for _, process in ipairs(processes) do process:join() end
    assert.are.equal(3 * each, dict.n)
    assert.are.equal(3 * each, list[1])
    assert.are.equal(3 * each + 1, #list)
  end)

  it_races("is not stopped by processes that are killed at any moment", function()
    local dict, list = neap.dict({ n = 0 }), neap.list({ 0 })
    for _ = 1, 3 * support.stress do
      kill_in(function(begun)
        begun()
        while true do
          dict:update("n", function(old) return old + 1 end)
          list:update(1, function(old) return old + 1 end)
          list:append(("x"):rep(100))
          list:pop(2)
        end
      end)
      local before = dict.n
      assert.are.equal(before + 1, dict:update("n", function(old) return old + 1 end))
      before = list[1]
      assert.are.equal(before + 1, list:update(1, function(old) return old + 1 end))
    end
  end)
end)

describe("a list in another process", function()
  it("does there what it does here", function()
    local list = neap.list({ 1, 2, 3 })
    local there = start(function()
      local seen = { list[1], list[4] or "nothing", #list }
      list[1], list[4] = 10, 40
      list:append({ 5 })
      list:insert(1, 0)
      list:extend({ 6, 7 })
      list[#list] = nil
      seen[#seen + 1] = list:pop()
      seen[#seen + 1] = list:pop(1)
      seen[#seen + 1] = list:update(2, function(old) return old * 10 end)
      seen.all, seen.pairs = {}, {}
      for i, value in ipairs(list) do seen.all[i] = value end
      for i, value in pairs(list) do seen.pairs[i] = value end
      seen.text = tostring(list)
      seen.errors = {}
      for i, fn in ipairs({ function() list[9] = 1 end, function() list:pop(9) end, function() list[1] = nil end,
        function() list:append(nil) end, function() list:update(9, print) end }) do
        seen.errors[i] = select(2, pcall(fn))
      end
      return seen
    end):join()
    assert.are.same({ 1, "nothing", 3, 6, 0, 20 }, table.move(there, 1, 6, 1, {}))
    assert.are.same({ 10, 20, 3, 40, { 5 } }, list:snapshot())
    assert.are.same(list:snapshot(), there.all)
    assert.are.same(list:snapshot(), there.pairs)
    assert.is_truthy(there.text:find("^list: 0x%x+ %(5%)$"))
    for i, pattern in ipairs({ "index 9 is out of bounds: the list has 5 elements", "index 9", "would leave a hole",
      "no place for nil", "index 9" }) do
      assert.is_truthy(there.errors[i]:find(pattern))
    end
    assert.are.same({ "empty", 0 }, { start(function()
      list:clear()
      return select(3, list:pop()), #list
    end):join() })
  end)

  it("is copied into a list of the other process", function()
    local list = neap.list({ 1, 2 })
    assert.are.same({ 1, 2, 1, 2 }, start(function()
      local own = neap.list(list)
      own:extend(list)
      return own:snapshot()
    end):join())
  end)

  it("waits there for an update that is done here", function()
    local list, go = neap.list({ 1, 2 }), neap.channel()
    local updating = grid.parked_task(function() list:update(1, function() return go:recv() end) end)
    local waiting = neap.value("bool")
    local process = start(function()
      waiting:set(true)
      list:append(3)
      list[2] = 20
      return list:pop()
    end)
    while not waiting:get() do neap.yield() end
    go:send(10)
    updating:join()
    assert.are.equal(3, process:join())
    assert.are.same({ 10, 20 }, list:snapshot())
  end)
end)
