-- Classes that are registered (neap.register): what becomes of their objects on the way.

local neap = require "neap"
local passage = require "spec.passage"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ways, each_place, is_same = passage.ways, passage.each_place, passage.is_same

describe("a class", function()
  local count = 0
  -- Each test has names of its own, for what is registered stays.
  local function name_class()
    count = count + 1
    return "register_spec." .. count
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
