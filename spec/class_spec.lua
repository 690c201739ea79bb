local neap = require "neap"
local grid = require "spec.grid"
local support = require "spec.support"

-- What is sent to threads must have the globals for its _ENV, not busted's.
local after_each, assert, describe, it = after_each, assert, describe, it
local _ENV = _G -- luacheck: ignore

local function assert_raises(expected, fn, ...)
  local ok, message = pcall(fn, ...)
  assert.is_false(ok)
  assert.is_truthy(tostring(message):find(expected, 1, true), message)
end

-- The same for both kinds.
for kind, Base in pairs({ task = neap.Task, thread = neap.Thread }) do
  local full_name = kind == "task" and "neap.Task" or "neap.Thread"
  describe(full_name, function()
    local gates = {}

    after_each(function()
      for _, gate in pairs(gates) do gate:set() end
      gates = {}
    end)

    local function start_waiting()
      local gate = neap.event()
      local object = Base { target = function(event) return event:wait() end, args = { gate } }
      gates[object] = gate
      return object:start()
    end

    for name, wait in pairs({
      join = function(object, timeout) return object:join(timeout) end,
      wait = function(object, timeout) return object:wait(timeout) end,
    }) do
      grid.ask(name, {
        blocked = start_waiting,
        wait = wait,
        serve = function(object) gates[object]:set() end,
        served = table.pack(true),
        here_only = true,
        all = true,
      })
    end

    it("calls its target with its arguments", function()
      local function target(...) return select("#", ...), ... end
      local object = Base { target = target, args = table.pack(1, nil, "x", nil) }
      assert.are.equal(object, object:start())
      assert.are.same(table.pack(4, 1, nil, "x", nil), table.pack(object:join()))
      assert.are.equal(0, Base({ target = target }):start():join())
    end)

    it("refuses to start with arguments that would be lost", function()
      local function refuses(problem, args)
        local object = Base { target = print, args = args }
        assert_raises(problem, function() object:start() end)
        assert.are.equal("new", object:status())
      end
      refuses("args: list of arguments expected, got a table with the key 'a'", { 1, a = 2 })
      refuses("args: list of arguments expected, got a table with the key 'n'", { 1, n = -5 })
      refuses("args: list of arguments expected, got a table with the key 'n'", { 1, n = 0.5 })
      refuses("args: list of arguments expected, got a table with the key '2'", { 1, 2, n = 1 })
      for _, count in ipairs({ 0x7fffffff, 0x100000001, math.maxinteger }) do
        refuses("too many arguments", { 1, n = count })
      end
    end)

    it("is new before its start", function()
      local object = Base { target = print, name = "n", daemon = true }
      assert.are.equal("new", object:status())
      assert.is_false(object:is_alive())
      assert.is_nil(object:error())
      assert.is_nil(object:traceback())
      assert.is_nil(object.id)
      assert.are.equal("n", object.name)
      assert.is_true(object.daemon)
      assert.are.equal(kind .. ": n (new)", tostring(object))
      assert_raises("it has not been started", object.join, object)
      assert_raises("it has not been started", object.wait, object, 0)
      assert_raises("the field 'id' cannot be set", function() object.id = 5 end)
    end)

    it("is started by its method, and not spawned", function()
      for _, start in ipairs { neap.spawn, neap.thread, neap.process } do
        assert_raises("an object of a class has a method start", start, Base({ target = print }))
        assert_raises("a class is called, and its object started", start, Base:extend("Child"))
      end
    end)

    it("has the fields of its handle after its start", function()
      local object = start_waiting()
      assert.are.equal("waiting", grid.park(object):status())
      assert.is_true(object:is_alive())
      assert.are.equal("integer", math.type(object.id))
      assert.is_false(object.daemon)
      object.name = "renamed"
      assert.are.equal("renamed", object.name)
      assert.are.equal(kind .. ": renamed (waiting)", tostring(object))
      assert_raises("daemon can be set before the start only", function() object.daemon = true end)
      gates[object]:set()
      assert.is_true(object:join())
      assert.are.equal("done", object:status())
      assert.is_false(object:is_alive())
    end)

    it("may be named and made a daemon before its start", function()
      local object = Base { target = function() return neap.current().name, neap.current().daemon end }
      object.name, object.daemon = "late", true
      assert.are.same({ "late", true }, { object:start():join() })
      assert_raises("name: string expected, got number", function() Base({ target = print }).name = 5 end)
      assert_raises("daemon: boolean expected, got nil", function() Base({ target = print }).daemon = nil end)
    end)

    it("starts once", function()
      local object = Base({ target = function() end }):start()
      assert_raises("it has been started already", object.start, object)
      object:join()
      assert_raises("it has been started already", object.start, object)
    end)

    it("fails as any other", function()
      local problem = { code = 9 }
      local object = Base({ target = error, args = { problem }, quiet = true }):start()
      local ok, err = pcall(object.join, object)
      assert.is_false(ok)
      assert.are.same(problem, err)
      assert.are.equal("failed", object:status())
      assert.are.equal(9, object:error().code)
      assert.is_truthy(object:traceback():find("spawned at [^\n]*class_spec.lua:%d+"))
    end)

    it("is cancelled while it runs", function()
      local object = grid.park(start_waiting())
      assert.is_true(object:cancel("enough"))
      assert.is_false(object:cancel())
      grid.assert_cancelled(object)
      assert.are.equal("cancelled: enough", tostring(object:error()))
    end)

    it("that was cancelled before its start ends with it, and never runs", function()
      local ran = neap.channel(1)
      local object = Base { target = function(ch) ch:send("ran") end, args = { ran } }
      assert.is_true(object:cancel("too late"))
      assert.is_false(object:cancel())
      assert.are.equal("new", object:status())
      object:start()
      assert.is_false(object:cancel())
      grid.assert_cancelled(object)
      assert.are.equal("cancelled: too late", tostring(object:error()))
      assert.are.equal("cancelled", object:status())
      assert.are.equal(0, #ran)
    end)

    it("goes on when nobody holds it", function()
      local ch = neap.channel(1)
      Base({ target = function(out) out:send(neap.sleep(0.001) or "sent") end, args = { ch } }):start()
      collectgarbage()
      collectgarbage()
      assert.are.equal("sent", ch:recv())
    end)

    it("can be sent, before and after its start", function()
      local ch = neap.channel(2)
      local object = Base { target = function(n) return n + 1 end, args = { 41 }, name = "sent" }
      ch:send(object)
      ch:send(object:start())
      local function look(channel)
        local fresh, started = channel:recv(), channel:recv()
        return fresh:status(), fresh.name, fresh:start():join(), started:join()
      end
      assert.are.same({ "new", "sent", 42, 42 }, { neap.thread(look, ch):join() })
    end)

    it("refuses options that it does not know", function()
      assert_raises("unknown option 'tagret' (known: args, daemon, name, quiet, target)", Base, { tagret = print })
      assert_raises("unknown option '1'", Base, { print })
      assert_raises("option 'target': function expected, got string", Base, { target = "print" })
      assert_raises("option 'args': table expected, got number", Base, { args = 1 })
      assert_raises("table of options expected, got function", Base, print)
      assert_raises("class_spec.lua:", function() return Base(print), nil end)
    end)

    it("says of whom an option is", function()
      assert_raises(("bad argument #1 to '%s' (option 'target': function expected, got string)"):format(full_name),
        Base, { target = "print" })
      assert_raises(("bad argument #1 to '%s' (unknown option 'x' (known: "):format(full_name), Base, { x = 1 })
      assert_raises(("bad argument #1 to '%s' (table of options expected, got number)"):format(full_name), Base, 1)
      assert_raises("bad argument #1 to 'Named' (option 'name': string expected, got number)",
        Base:extend("Named"), { name = 1 })
    end)

    it("refuses to start what has nothing to run", function()
      local object = Base()
      assert_raises("there is nothing to start: neither a method run nor a target", object.start, object)
      local Wrong = Base:extend("Wrong")
      Wrong.run = 5
      local wrong = Wrong()
      assert_raises("object whose run is a function expected", wrong.start, wrong)
      assert.are.equal("new", wrong:status())
    end)

    it("refuses what is not one", function()
      for _, name in ipairs({ "start", "join", "cancel", "status", "is_alive", "error", "traceback" }) do
        assert.has_error(function() Base[name](5) end)
        assert.has_error(function() Base[name]({}) end)
      end
      assert_raises("bad argument #1 to 'extend' (string expected, got nil)", Base.extend, Base)
    end)

    describe("extended", function()
      local Counter = Base:extend("Counter")
      function Counter:init(limit, step)
        self.limit, self.step, self.seen = limit, step or 1, {}
      end
      function Counter:count()
        for i = 1, self.limit, self.step do self.seen[#self.seen + 1] = i end
        return #self.seen
      end
      function Counter:run() return self:count(), self end

      it("makes objects with init, and runs them with run", function()
        local counter = Counter(10, 2)
        assert.are.equal(10, counter.limit)
        assert.are.equal(5, (counter:start():join()))
      end)

      it("names its objects", function()
        local first, second = Counter(1), Counter(2)
        local class_name, number = first.name:match("^(%w+)%-(%d+)$")
        assert.are.equal("Counter", class_name)
        assert.are.equal("Counter-" .. number + 1, second.name)
        assert.are.equal("Counter: " .. first.name .. " (new)", tostring(first))
        assert.are.equal(first.name, Base.join((function()
          local Named = Counter:extend("Named")
          function Named.run() return neap.current().name end
          local named = Named(1)
          named.name = first.name
          return named:start()
        end)()))
      end)

      it("is the class of self in run, with all methods", function()
        local Asking = Counter:extend("Asking")
        function Asking:run()
          local ok, message = pcall(self.join, self)
          return self:status(), self:is_alive(), self.id == neap.current().id, self.name, ok, message, self:count()
        end
        local asking = Asking(3)
        local status, alive, same, name, ok, message, count = asking:start():join()
        assert.are.same({ "running", true, true, asking.name, false, 3 }, { status, alive, same, name, ok, count })
        assert.is_truthy(message:find("a task cannot join itself", 1, true))
      end)

      it("takes a class without init for one with options", function()
        local Plain = Base:extend("Plain")
        function Plain:run() return self.name, self.daemon end
        assert.are.same({ "p", true }, { Plain({ name = "p", daemon = true }):start():join() })
        assert_raises("unknown option", Plain, { x = 1 })
      end)

      it("lets init pass options on", function()
        local Careful = Base:extend("Careful")
        function Careful:init(n)
          Base.init(self, { name = "careful", quiet = true })
          self.n = n
        end
        function Careful:run() error({ n = self.n }) end
        local careful = Careful(5):start()
        assert.are.equal("careful", careful.name)
        local ok, err = pcall(careful.join, careful)
        assert.is_false(ok)
        assert.are.equal(5, err.n)
      end)

      it("can be extended again", function()
        local Double = Counter:extend("Double")
        function Double:count() return 2 * Counter.count(self) end
        local Triple = Double:extend("Triple")
        function Triple:init(...)
          Double.init(self, ...)
          self.extra = Double.count
        end
        function Triple:count() return 10 * self.extra(self) end
        assert.are.equal(60, (Triple(3):start():join()))
        assert.are.equal(6, (Double(3):start():join()))
        assert.are.equal(3, (Counter(3):start():join()))
      end)

      it("may bear the name of another class", function()
        local function make(n)
          local Same = Base:extend("Same")
          function Same.run() return n end
          return Same
        end
        local One, Two, Three = make(1), make(2), Base:extend("Same")
        function Three.run() return 3 end
        assert.are.equal(1, One():start():join())
        assert.are.equal(3, Three():start():join())
        assert.are.equal(2, Two():start():join())
        local ch = neap.channel(3)
        for _, class in ipairs({ One, Two, Three }) do ch:send(class()) end
        for _, class in ipairs({ One, Two, Three }) do assert.are.equal(class, getmetatable(ch:recv())) end
      end)

      it("can hold others", function()
        local Outer = Base:extend("Outer")
        function Outer:run() return (self.first:join()), (self.second:start():join()) end
        local outer = Outer()
        outer.first, outer.second = Counter(4):start(), Counter(5)
        assert.are.same({ 4, 5 }, { outer:start():join() })
      end)

      it("can be used, and extended, in another thread", function()
        local function use(class)
          local More = class:extend("More")
          function More:run() return self:count() + 100 end
          return (class(3):start():join()), (More(4):start():join()), tostring(More(1)):match("^More: More%-2")
        end
        assert.are.same({ 3, 104, "More: More-2" }, { neap.thread(use, Counter):join() })
      end)
    end)
  end)
end

describe("the object of a thread", function()
  it("is copied to it when it starts", function()
    local Copied = neap.Thread:extend("Copied")
    function Copied:run()
      self.list[2] = "inside"
      self.more = true
      return self.list, self.later
    end
    local object = Copied()
    object.list, object.later = { "before" }, "set before the start"
    object:start()
    object.list[2], object.later = "outside", "set after the start"
    assert.are.same({ { "before", "inside" }, "set before the start" }, { object:join() })
    assert.are.same({ "before", "outside" }, object.list)
    assert.is_nil(object.more)
  end)

  it("comes back as an object of its class", function()
    local Returned = neap.Thread:extend("Returned")
    function Returned:run()
      self.done = true
      return self
    end
    function Returned:hello() return "hello", self.done end
    local object = Returned():start()
    local copy = object:join()
    assert.are.equal(Returned, getmetatable(copy))
    assert.are.same({ "hello", true }, { copy:hello() })
    assert.are.equal(object.id, copy.id)
    assert.are.equal("done", copy:status())
  end)

  it("is refused when a field cannot be sent, and may be started without it", function()
    local Holder = neap.Thread:extend("Holder")
    function Holder.run() return "ran" end
    local holder = Holder()
    holder.conn = { file = io.stdout }
    local ok, message = pcall(holder.start, holder)
    assert.is_false(ok)
    assert.is_truthy(message:find("cannot send self.conn.file: userdata (FILE*)", 1, true), message)
    assert.are.equal("new", holder:status())
    holder.conn = nil
    assert.are.equal("ran", holder:start():join())
  end)

  it("is of the class in the module, where that is loaded", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    support.write_file(folder .. "/worker.lua", [[
      local neap = require "neap"
      local Worker = neap.Thread:extend("Worker")
      function Worker:run() return getmetatable(self) == require "worker", self.n end
      return Worker
    ]])
    local result = support.run_script([[
      local worker = require "worker"()
      worker.n = 5
      print(worker:start():join())
    ]], {}, { environment = { LUA_PATH = folder .. "/?.lua;;" } })
    os.execute("rm -r " .. folder)
    assert.are.same({ status = 0, stdout = "true\t5\n", stderr = "" }, result)
  end)
end)

describe("the object of a task", function()
  it("is the one that was started", function()
    local Same = neap.Task:extend("Same")
    function Same:run()
      self.seen = self
      self.data.x = neap.current().data.x
      neap.current().data.x = 5
      return neap.current()
    end
    local object = Same():start()
    local handle = object:join()
    assert.are.equal(object, object.seen)
    assert.are.equal(5, object.data.x)
    assert.are.equal(object.id, handle.id)
  end)
end)

describe("the program", function()
  it("hears of an object that failed, unless it is quiet, and tells where it was started", function()
    local result = support.run_script([[
      local Failing = neap.Thread:extend("Failing")
      function Failing:init(quiet) neap.Thread.init(self, {quiet = quiet}) end
      function Failing:run() error("on purpose", 0) end
      Failing(true):start():wait()
      local failing = Failing(false)
      failing:start()
    ]])
    assert.are.equal(1, result.status)
    assert.is_truthy(result.stderr:find("Failing%-2 failed: on purpose\n"), result.stderr)
    assert.is_truthy(result.stderr:find("spawned at script:6", 1, true), result.stderr)
    assert.is_nil(result.stderr:find("Failing-1", 1, true))
  end)

  it("does not wait for daemons", function()
    local result = support.run_script([[
      for _, Base in ipairs {neap.Task, neap.Thread} do
        Base {target = function() require "neap".sleep(3600) end, daemon = true}:start()
      end
      print "end"
    ]])
    assert.are.same({ status = 0, stdout = "end\n", stderr = "" }, result)
  end)
end)
