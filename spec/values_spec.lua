local neap = require "neap"
local passage = require "spec.passage"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ways = passage.ways
local each_place, is_same, is_same_float = passage.each_place, passage.is_same, passage.is_same_float

local function travel(...) return neap.thread(function(...) return ... end, ...):join() end

describe("a value that is sent", function()
  it("is nil, also among arguments and results", function()
    assert.are.same(table.pack(nil), table.pack(travel(nil)))
    assert.are.same(table.pack(nil, 1, nil, nil), table.pack(travel(nil, 1, nil, nil)))
    assert.are.same(table.pack(), table.pack(travel()))
    assert.are.same({ nil, nil, 3 }, travel({ nil, nil, 3 }))
    local nothing = nil
    assert.is_nil(travel(function() return nothing end)())
  end)

  it("is a boolean", function() each_place(is_same, { true, false }) end)

  it("is an integer", function()
    each_place(is_same, { 0, 1, -1, 127, 128, -128, 255, 2 ^ 31 | 0, -(2 ^ 31) | 0, (2 ^ 31 | 0) - 1, 2 ^ 53 | 0,
      math.maxinteger, math.mininteger })
  end)

  it("is a float", function()
    each_place(is_same, { 1.5, -1e308, 2 ^ 51 + 0.5, 5e-324, math.huge, -math.huge })
  end)

  it("is a float with the value of an integer, or one that equals nothing", function()
    -- as a key the first two are integers, and the last cannot be one
    each_place(is_same_float, { 1.0, -0.0, 0.0, 2 ^ 53, 0 / 0, -(0 / 0) }, "key")
  end)

  it("is a string of bytes", function()
    local values = { "", "a", "\0", "a\0b\0", "\255\254 not UTF-8", ("x"):rep(1000000) }
    for _, size in ipairs({ 29, 30, 31, 39, 40, 41, 62, 63, 64, 65, 127, 128, 255, 256 }) do
      table.insert(values, ("\0z"):rep(size):sub(1, size))
    end
    each_place(is_same, values)
  end)

  it("is neap.null", function()
    each_place(is_same, { neap.null })
    assert.are.equal("null", tostring(neap.null))
    assert.are.same({ true, "null" }, travel({ (neap.thread(function(null)
      return null == require "neap".null
    end, neap.null):join()), tostring(neap.null) }))
  end)

  it("is a C function of the library, by its name", function()
    each_place(is_same, { print, pcall, string.format, coroutine.wrap, table.unpack, io.write, os.exit, neap.channel })
    assert.is_true(neap.thread(function(p, f, spawn)
      return p == print and f == string.format and spawn == require "neap".spawn
    end, print, string.format, neap.spawn):join())
  end)

  it("is a method of a handle, by its name", function()
    local ch = neap.channel(1)
    each_place(is_same, { ch.send, ch.recv, neap.lock().acquire, neap.current().join })
    local send = ch.send
    neap.thread(function() send(ch, "sent") end):join()
    assert.are.equal("sent", ch:recv())
  end)

  it("is a loaded module, by its name", function()
    each_place(is_same, { string, neap, package, require "spec.sample.counter", _G })
    local counter = require "spec.sample.counter"
    assert.is_true(neap.thread(function()
      return counter == require "spec.sample.counter" and counter.data[3] == 3
    end):join())
  end)

  it("is a class of the library, by its name", function()
    each_place(is_same, { assert(neap.Thread), assert(neap.Task) })
    assert.is_true(neap.thread(function(class) return class == require "neap".Thread end, neap.Thread):join())
  end)

  it("is a handle, by reference", function()
    each_place(is_same, { neap.channel(), neap.queue(), neap.lock(), neap.rlock(), neap.rwlock(), neap.condition(),
      neap.semaphore(), neap.bounded_semaphore(), neap.event(), neap.barrier(2), (neap.pipe()), neap.value("i32"),
      neap.array("i32", 1), neap.buffer(3), neap.dict(), neap.list(), neap.current() })
    local ch = neap.channel(1)
    neap.thread(function() ch:send("seen") end):join()
    assert.are.equal("seen", ch:recv())
  end)

  it("is a channel inside itself", function()
    local ch = neap.channel(2)
    ch:send(ch)
    ch:send({ ch, { ch } })
    assert.are.equal(ch, ch:recv())
    local value = ch:recv()
    assert.are.equal(ch, value[2][1])
  end)
end)

describe("a table that is sent", function()
  local function each_way(check)
    for _, way in pairs(ways) do check(way) end
  end

  it("is a copy", function()
    each_way(function(way)
      local sent = { 1, 2, x = { 3 } }
      local arrived = way(sent)
      assert.are.same(sent, arrived)
      assert.are_not.equal(sent, arrived)
      arrived.x[1] = "changed"
      assert.are.equal(3, sent.x[1])
    end)
  end)

  it("keeps all keys and the holes in sequences", function()
    local sent = { 1, nil, 3, nil, [0] = 0, [-1] = -1, [math.maxinteger] = 2, [math.mininteger] = 3, [1.5] = 4,
      [true] = 5, [false] = 6, [""] = 7, ["a\0b"] = 8, [print] = 9, [neap.null] = 10 }
    local backwards, thinned = {}, {}
    for i = 100, 1, -1 do backwards[i] = i end
    for i = 1, 100 do thinned[i] = i end
    for i = 3, 100, 3 do thinned[i] = nil end
    thinned.x = "x"
    each_way(function(way) assert.are.same({ sent, backwards, thinned, {} }, way({ sent, backwards, thinned, {} })) end)
  end)

  it("is any table that chance makes", function()
    local seed = trial.seed()
    local function make(depth)
      local made = {}
      for i = 1, math.random(0, 8) do
        local keys = { i, math.random(-3, 10), math.random(), "k" .. math.random(20), math.random(2) == 1 }
        local deeper = depth > 0 and math.random(3) == 1
        made[keys[math.random(#keys)]] = deeper and make(depth - 1) or math.random(1000)
      end
      return made
    end
    for _ = 1, 200 do
      local sent = make(5)
      assert.are.same(sent, ways.channel(sent), "seed " .. seed)
    end
    local sent = {}
    for i = 1, 200 do sent[i] = make(4) end
    assert.are.same(sent, ways.thread(sent), "seed " .. seed)
  end)

  it("keeps cycles and shared references", function()
    each_way(function(way)
      local sent, shared = {}, { 1 }
      sent.self, sent[sent], sent.shared, sent[1], sent[shared] = sent, sent, shared, { shared }, shared
      local arrived = way(sent)
      assert.are.equal(arrived, arrived.self)
      assert.are.equal(arrived, arrived[arrived])
      assert.are.equal(arrived.shared, arrived[1][1])
      assert.are.equal(arrived.shared, arrived[arrived.shared])
      assert.are.equal(1, arrived.shared[1])
    end)
  end)

  it("keeps references between arguments, and between results", function()
    local shared = { "shared" }
    local same, first, second = neap.thread(function(a, b) return a == b[1], a, { a } end, shared, { shared }):join()
    assert.is_true(same)
    assert.are.equal(first, second[1])
  end)

  it("has tables for keys", function()
    each_way(function(way)
      local key, value = next(way({ [{ 1, { [{ "deep" }] = 2 } }] = { 3 } }))
      assert.are.equal("deep", next(key[2])[1])
      assert.are.equal(3, value[1])
    end)
  end)

  for _, depth in ipairs({ 33, 200, 100000 - 2 }) do
    it("is " .. depth .. " tables deep, in values and in keys", function()
      each_way(function(way)
        local values, keys = "bottom", "bottom"
        for _ = 1, depth do values, keys = { values }, { [keys] = true } end
        values, keys = way(values), way(keys)
        for _ = 1, depth do values, keys = values[1], next(keys) end
        assert.are.equal("bottom", values)
        assert.are.equal("bottom", keys)
      end)
    end)
  end

  it("is refused when it is deeper than 100000 tables, with the two ends of its path", function()
    local deep = {}
    for _ = 1, 1000000 do deep = { x = deep } end
    local ch = neap.channel(1)
    assert.error_matches(function() ch:send(deep) end, "cannot send value%.x%.x.* %.%.%. .*%.x: too deep")
    assert.are.equal(0, #ch)
  end)

  it("has a million keys", function()
    local sent = {}
    for i = 1, 500000 do
      sent[i] = i
      sent["k" .. i] = -i
    end
    local arrived = ways.thread(sent)
    for i = 1, 500000 do
      if arrived[i] ~= i or arrived["k" .. i] ~= -i then assert.are.equal(i, { arrived[i], arrived["k" .. i] }) end
    end
  end)

  it("contains many tables, one of them twice", function()
    local sent = {}
    for i = 1, 100000 do sent[i] = { i } end
    sent.again = sent[99999]
    local arrived = ways.thread(sent)
    assert.are.equal(arrived[99999], arrived.again)
    assert.are.equal(100000, arrived[100000][1])
  end)
end)

describe("what cannot be sent", function()
  local function make_foreign()
    local count = 0
    return {
      coroutine = coroutine.create(print),
      ["userdata (FILE*)"] = io.stdout,
      ["light userdata"] = debug.upvalueid(function() return count end, 1),
      ["C function without a name"] = ("a"):gmatch("a"),
      ["table whose metatable is not registered"] = setmetatable({}, {}),
    }
  end

  -- Each place: what is sent, and the path to the foreign value in it.
  local hiding = {
    { "", function(foreign) return foreign end },
    { ".conn", function(foreign) return { conn = foreign } end },
    { "[2]", function(foreign) return { 1, foreign } end },
    { '["odd key"].x[1]', function(foreign) return { ["odd key"] = { x = { foreign } } } end },
    { '["a\\000\\"b"]', function(foreign) return { ['a\0"b'] = foreign } end },
    { "[true]", function(foreign) return { [true] = foreign } end },
    { "[1.5]", function(foreign) return { [1.5] = foreign } end },
    { "[table]", function(foreign) return { [{}] = foreign } end },
    { "[key]", function(foreign) return { [foreign] = 1 } end },
    { "[key].a", function(foreign) return { [{ a = foreign }] = 1 } end },
    { ":upvalue(foreign)", function(foreign) return function() return foreign end end },
    { ".f:upvalue(settings).conn", function(foreign)
      local settings = { conn = foreign }
      return { f = function() return settings end }
    end },
  }

  local function each_foreign(check)
    for reason, foreign in pairs(make_foreign()) do
      for _, case in ipairs(hiding) do check(case[2](foreign), case[1], reason) end
    end
  end

  it("raises in the sender with its path, and the channel is as before", function()
    local ch = neap.channel(1)
    each_foreign(function(value, path, reason)
      local sent, err = pcall(ch.send, ch, value)
      assert.is_false(sent)
      assert.matches("cannot send value" .. path .. ": " .. reason, err, nil, true)
      assert.are.equal(0, #ch)
    end)
    ch:send("still works")
    assert.are.equal("still works", ch:recv())
  end)

  it("raises before a thread is started", function()
    each_foreign(function(value, path, reason)
      local started, err = pcall(neap.thread, print, 1, value)
      assert.is_false(started)
      assert.matches("cannot send args[2]" .. path .. ": " .. reason, err, nil, true)
    end)
  end)

  it("fails who returns it, with the reason", function()
    for _, start in ipairs({ neap.thread, neap.process }) do
      local handle = start({ quiet = true }, function() return 1, { conn = io.stdout } end)
      local joined, err = pcall(handle.join, handle)
      assert.is_false(joined)
      assert.matches("cannot send result%[2%]%.conn: userdata", tostring(err))
      assert.are.equal("failed", handle:status())
    end
  end)

  it("fails who raises it, with the reason", function()
    for _, start in ipairs({ neap.thread, neap.process }) do
      local handle = start({ quiet = true }, function() error({ conn = io.stdout }) end)
      local joined, err = pcall(handle.join, handle)
      assert.is_false(joined)
      assert.matches("cannot send error%.conn: userdata", tostring(err))
    end
  end)

  it("fails who raises it with what it says of itself there, and the reason", function()
    local function fail()
      local speaking = { __tostring = function(err) return "problem " .. err.code end }
      error(setmetatable({ code = 7 }, speaking))
    end
    local function join(handle) return select(2, pcall(handle.join, handle)) end
    local pool <close> = neap.pool { workers = 1, kind = "process" }
    local errors = {
      thread = join(neap.thread({ quiet = true }, fail)),
      process = join(neap.process({ quiet = true }, fail)),
      task = neap.thread(function(task) return select(2, pcall(task.join, task)) end,
        neap.spawn({ quiet = true }, fail)):join(),
      pool = join(pool:submit(fail)),
    }
    local reason = "cannot send error: table whose metatable is not registered (see neap.register)"
    for kind, err in pairs(errors) do assert.are.equal(("problem 7 (%s)"):format(reason), err, kind) end
  end)

  it("fails who raises it with the reason alone, if it cannot speak", function()
    local function fail()
      error(setmetatable({}, { __tostring = function() error("no words") end }))
    end
    local thread = neap.thread({ quiet = true }, fail)
    local _, err = pcall(thread.join, thread)
    assert.matches("^cannot send error: table whose metatable", err)
  end)

  it("leaves the handles beside it in working order", function()
    local ch, other = neap.channel(1), neap.channel(1)
    assert.is_false(pcall(ch.send, ch, { other, coroutine.create(print) }))
    other:send(1)
    assert.are.equal(1, other:recv())
  end)
end)

describe("sending", function()
  it("calls no metamethods", function()
    local name = "values_spec.guarded"
    local function refuse() error("a metamethod was called") end
    local Guarded = neap.register(name, { __index = refuse, __newindex = refuse, __pairs = refuse, __len = refuse,
      __eq = refuse })
    local arrived = ways.channel(setmetatable({ 1, x = 2 }, Guarded))
    assert.are.equal(1, rawget(arrived, 1))
    assert.are.equal(2, rawget(arrived, "x"))
  end)

  it("goes on while finalisers send", function()
    local sent = neap.queue()
    local pause = collectgarbage("setpause", 0)
    collectgarbage()
    for i = 1, 300 do
      setmetatable({}, { __gc = function() sent:put({ i, { function() return i end } }) end })
      local arrived = ways.channel({ function() return i end, load("return " .. i), neap.channel() })
      assert.are.equal(i, arrived[1]())
      assert.are.equal(i, arrived[2]())
    end
    collectgarbage("setpause", pause)
    collectgarbage()
    collectgarbage()
    assert.are.equal(300, sent:qsize())
    while not sent:empty() do
      local value = sent:get()
      assert.are.equal(value[1], value[2][1]())
    end
  end)
end)
