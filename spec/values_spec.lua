local neap = require "neap"
local trial = require "spec.trial"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

-- The ways that a value can go; each returns what arrives.
local ways = {}

function ways.channel(value)
  local ch = neap.channel(1)
  assert.is_true(ch:send(value))
  return (ch:recv())
end

function ways.queue(value)
  local queue = neap.queue()
  queue:put(value)
  return (queue:get())
end

function ways.thread(value) return (neap.thread(function(v) return v end, value):join()) end

function ways.thread_and_channel(value)
  local ch, back = neap.channel(1), neap.channel(1)
  local thread = neap.thread(function() back:send(ch:recv()) end)
  ch:send(value)
  local arrived = back:recv()
  thread:join()
  return arrived
end

function ways.error(value)
  local thread = neap.thread({ quiet = true }, function(v) error(v, 0) end, value)
  local joined, err = pcall(thread.join, thread)
  assert.is_false(joined)
  return err
end

--- There and back, by a process that stays for all of them.
local there, back
function ways.process(value)
  if not there then
    there, back = neap.channel(), neap.channel()
    neap.process({ daemon = true }, function(from, to)
      for v in from:iter() do to:send(v) end
    end, there, back)
  end
  there:send(value)
  return (back:recv())
end

function ways.dict(value)
  local dict = neap.dict()
  dict.kept = value
  return dict.kept
end

-- The places in which it can stand; each sends something that has it there, and takes it out again.
local places = {}

function places.value(value, way) return way(value) end
function places.field(value, way) return way({ here = value }).here end
function places.element(value, way) return way({ 0, value, 0 })[2] end
function places.nested(value, way) return way({ a = { [1.5] = { { value } } } }).a[1.5][1][1] end
function places.key(value, way) return (next(way({ [value] = true }))) end
function places.upvalue(value, way) return way(function() return value end)() end
function places.upvalue_of_upvalue(value, way)
  local function inner() return value end
  return way({ function() return inner() end })[1]()
end

-- A travelled value is asked in the state where it arrives: `check(arrived, sent)`.
local function each_place(check, values, excluded)
  for place, send in pairs(places) do
    for way_name, way in pairs(ways) do
      if place ~= excluded then
        for _, value in ipairs(values) do
          local arrived = send(value, way)
          assert(check(arrived, value), ("%s as %s through a %s became %s"):format(value, place, way_name, arrived))
        end
      end
    end
  end
end

local function is_same(arrived, sent) return arrived == sent and math.type(arrived) == math.type(sent) end

local function is_same_float(arrived, sent)
  return math.type(arrived) == "float" and string.pack("d", arrived) == string.pack("d", sent)
end

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
    assert.matches("values_spec.lua:" .. line .. ": attempt to index a nil value %(local 'missing'%)", err)
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

describe("a class", function()
  local count = 0
  -- Each test has names of its own, for what is registered stays.
  local function name_class()
    count = count + 1
    return "values_spec." .. count
  end

  local function make_point()
    local Point = neap.register(name_class(), {})
    Point.__index = Point
    function Point:sum() return self.x + self.y end
    function Point.__add(a, b) return setmetatable({ x = a.x + b.x, y = a.y + b.y }, Point) end
    return Point
  end

  it("is registered with a string and a table, once", function()
    local name, metatable = name_class(), {}
    assert.are.equal(metatable, neap.register(name, metatable))
    assert.are.equal(metatable, neap.register(name, metatable))
    assert.error_matches(function() neap.register(name, {}) end,
      "'" .. name .. "' is registered with another metatable")
    assert.error_matches(function() neap.register(name .. "b", metatable) end, "registered as '" .. name .. "'")
    assert.error_matches(function() neap.register(1, {}) end, "bad argument #1 to 'register'")
    assert.error_matches(function() neap.register("x") end, "bad argument #2 to 'register'")
    assert.error_matches(function() neap.register("", {}) end, "bad argument #1 to 'register'")
  end)

  it("is kept by its tables in the same state", function()
    local Point = make_point()
    local point = setmetatable({ x = 1, y = 2 }, Point)
    each_place(function(arrived) return getmetatable(arrived) == Point and arrived:sum() == 3 end, { point })
    each_place(is_same, { Point })
  end)

  it("is sent where it is not known", function()
    local Point = make_point()
    local point = setmetatable({ x = 1, y = 2 }, Point)
    local three, sum, same = neap.thread(function(p)
      return p:sum(), p + p, getmetatable(p) == getmetatable(p + p)
    end, point):join()
    assert.are.equal(3, three)
    assert.is_true(same)
    assert.are.equal(Point, getmetatable(sum))
    assert.are.equal(6, sum:sum())
  end)

  it("is the receiver's own where it is known", function()
    local name = name_class()
    local Mine = neap.register(name, {})
    assert.is_true(neap.thread(function(inbox)
      local own = require "neap".register(name, { __index = { who = "own" } })
      local arrived = inbox:recv()
      return getmetatable(arrived) == own and arrived.who == "own"
    end, (function()
      local inbox = neap.channel(1)
      inbox:send(setmetatable({}, Mine))
      return inbox
    end)()):join())
  end)

  it("gives way to one that the receiver registers later", function()
    local name = name_class()
    local Mine = neap.register(name, { __index = { who = "mine" } })
    local inbox = neap.channel(2)
    inbox:send(setmetatable({}, Mine))
    inbox:send(setmetatable({}, Mine))
    assert.are.same({ "mine", "own" }, { neap.thread(function()
      local first = inbox:recv()
      require "neap".register(name, { __index = { who = "own" } })
      return first.who, inbox:recv().who
    end):join() })
  end)

  it("is passed on by who was sent it", function()
    local Point = make_point()
    local point = setmetatable({ x = 1, y = 2 }, Point)
    local sum, arrived = neap.thread(function(p)
      local n = require "neap"
      return n.thread(function(q) return q:sum(), q end, p):join()
    end, point):join()
    assert.are.equal(3, sum)
    assert.are.equal(Point, getmetatable(arrived))
  end)

  it("keeps the class in upvalues of functions", function()
    local Point = make_point()
    local function new(x, y) return setmetatable({ x = x, y = y }, Point) end
    assert.are.same({ 3, true }, { neap.thread(function(p)
      return new(1, 2):sum(), getmetatable(new(1, 2)) == getmetatable(p)
    end, new(0, 0)):join() })
  end)

  it("holds its kind in cycles", function()
    local Point = make_point()
    local a, b = setmetatable({}, Point), setmetatable({}, Point)
    a.other, b.other = b, a
    for _, way in pairs(ways) do
      local arrived = way(a)
      assert.are.equal(arrived, arrived.other.other)
      assert.are.equal(Point, getmetatable(arrived.other))
    end
  end)

  it("inherits, in any of the ways that scripts do", function()
    local Animal = neap.register(name_class(), {})
    Animal.__index = Animal
    function Animal:describe() return self.name .. " has " .. self:legs() end
    function Animal.legs() return 0 end
    local Dog = neap.register(name_class(), setmetatable({}, { __index = Animal }))
    Dog.__index = Dog
    function Dog.legs() return 4 end
    local Snake = neap.register(name_class(), setmetatable({}, Animal))
    Snake.__index = Snake
    -- the parent makes its children
    function Animal.make(name) return setmetatable({ name = name }, Dog) end
    local dog, snake = setmetatable({ name = "dog" }, Dog), setmetatable({ name = "snake" }, Snake)
    local animal = setmetatable({ name = "animal" }, Animal)
    assert.are.same({ "dog has 4", "snake has 0", "animal has 0", "made has 4", true },
      { neap.thread(function(d, s, a)
        local made = a.make("made")
        return d:describe(), s:describe(), a:describe(), made:describe(), getmetatable(made) == getmetatable(d)
      end, dog, snake, animal):join() })
  end)

  it("inherits from a class of the library", function()
    local Child = neap.register(name_class(), setmetatable({}, { __index = neap.Thread }))
    Child.__index = Child
    assert.is_true(neap.thread(function(c) return c.start == require "neap".Thread.start end,
      setmetatable({}, Child)):join())
  end)

  it("is made known by loading its module", function()
    local Square = require "spec.sample.shape".Square
    assert.are.same({ 9, true }, { neap.thread(function(s)
      return s:area(), getmetatable(s) == require "spec.sample.shape".Square
    end, setmetatable({ side = 3 }, Square)):join() })
  end)

  it("that cannot be sent raises, with the path", function()
    local name = name_class()
    local Bad = neap.register(name, { connection = io.stdout })
    local ch = neap.channel(1)
    assert.error_matches(function() ch:send(setmetatable({}, Bad)) end,
      "cannot send class " .. name .. ".connection: userdata (FILE*)", nil, true)
    assert.are.equal(0, #ch)
  end)

  it("runs its finaliser on whole tables only", function()
    local whole = neap.channel(10)
    local Closer = neap.register(name_class(), {})
    Closer.__gc = function(object) whole:send(object.last == "last") end
    for _ = 1, 3 do ways.channel(setmetatable({ 1, 2, 3, last = "last" }, Closer)) end
    collectgarbage()
    collectgarbage()
    assert.are.equal(6, #whole)
    for _ = 1, 6 do assert.is_true(whole:recv()) end
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
